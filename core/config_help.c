/* SPDX-License-Identifier: Apache-2.0 */
/* The table of settings as texts for people. */
#include "core/base/str.h"
#include "core/config_impl.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 78

/* Words of ${text} in lines of at most WIDTH columns, each behind ${indent}. */
static void add_wrapped(struct buf *out, const char *indent, const char *text)
{
	size_t column = 0;
	for (const char *p = text; *p;) {
		size_t word = strcspn(p, " ");
		if (column > 0 && column + 1 + word > WIDTH) {
			(void)buf_add_char(out, '\n');
			column = 0;
		}
		if (column == 0) {
			(void)buf_add_str(out, indent);
			column = strlen(indent);
		} else {
			(void)buf_add_char(out, ' ');
			column++;
		}
		(void)buf_add(out, p, word);
		column += word;
		p += word;
		p += strspn(p, " ");
	}
	(void)buf_add_char(out, '\n');
}

/* "HELP (EXPECTED)". */
static void describe(struct buf *out, const struct config_row *row)
{
	(void)buf_add_str(out, row->help);
	if (row->type == CONFIG_TEXT || row->type == CONFIG_PATH)
		return;
	(void)buf_add_str(out, " (");
	(void)config_value_expected(row, out);
	(void)buf_add_char(out, ')');
}

static bool many_places(const struct config_row *row)
{
	return row->def && strchr(row->def, '|');
}

/* The places one after another, each between two ${quote}. */
static void add_places(struct buf *out, const struct config_row *row, const char *quote)
{
	for (const char *p = row->def;;) {
		size_t n = strcspn(p, "|");
		(void)buf_add_str(out, quote);
		(void)buf_add(out, p, n);
		(void)buf_add_str(out, quote);
		p += n;
		if (*p == '\0')
			return;
		(void)buf_add_str(out, ", ");
		p++;
	}
}

/* Headings belong to the first row of a group. */
static const char *heading_of(size_t row)
{
	while (!config_table[row].heading)
		row--;
	return config_table[row].heading;
}

static void help_row(struct buf *out, const struct config_row *row)
{
	struct buf text;
	buf_init(&text, 4096);
	(void)buf_printf(out, "  %s", row->name);
	if (row->def && (row->flags & CONFIG_SECRET))
		(void)buf_add_str(out, "  (default: a value for development)");
	else if (row->def && !many_places(row))
		(void)buf_printf(out, "=%s", row->def);
	(void)buf_add_char(out, '\n');
	describe(&text, row);
	if (many_places(row)) {
		(void)buf_add_str(&text, "; default: the first of ");
		add_places(&text, row, "");
	}
	out->overflow |= text.overflow;
	add_wrapped(out, "      ", buf_str(&text));
	buf_free(&text);
}

int config_help(struct buf *out)
{
	const char *last = NULL;
	add_wrapped(out, "",
		"Settings are environment variables. Those that the environment does not have are "
		"taken "
		"from the dotenv file (lines NAME=value) named with --appconf FILE or DEX_APPCONF. "
		"An "
		"empty value stands for the default. Faults are told at the start, all at once.");
	for (size_t i = 0; i < config_table_len; i++) {
		if (heading_of(i) != last) {
			last = heading_of(i);
			(void)buf_printf(out, "\n%s\n", last);
		}
		help_row(out, &config_table[i]);
	}
	(void)buf_add_char(out, '\n');
	add_wrapped(out, "",
		"Any other variable (EDAV_*, EHDI_*, EICR_*, NCIRD_*, LOCAL_EDAV_FOLDER and the "
		"like) "
		"matters only where the delivery file refers to it as $NAME. Unknown names that "
		"begin "
		"with DEX_ are refused.");
	return out->overflow ? -1 : 0;
}

/* The value that a person may uncomment as it is: nothing secret, no placeholder. */
static void example_row(struct buf *out, const struct config_row *row)
{
	const struct config_row *folder = config_table_find("LOCAL_FOLDER_UPLOADS_TUS");
	struct buf text;
	buf_init(&text, 4096);
	describe(&text, row);
	if (many_places(row)) {
		(void)buf_add_str(&text, "; default: the first of ");
		add_places(&text, row, "");
	} else if (row->def && str_starts(row->def, CONFIG_FOLDER)) {
		(void)buf_printf(&text, "; default: %s", row->def);
	}
	out->overflow |= text.overflow;
	add_wrapped(out, "# ", buf_str(&text));
	buf_free(&text);

	char *value = row->flags & CONFIG_SECRET ? NULL : config_value_default(row, 0, folder->def);
	(void)buf_printf(out, "#%s=%s\n", row->name, value ? value : "");
	free(value);
}

int config_dotenv_example(struct buf *out)
{
	const char *last = NULL;
	add_wrapped(out, "# ",
		"Settings of DEX Upload for --appconf FILE. Every line shows a default; take the # "
		"away "
		"from those you change. Variables of the environment win over this file.");
	for (size_t i = 0; i < config_table_len; i++) {
		const struct config_row *row = &config_table[i];
		if (row->flags & CONFIG_ENV_ONLY)
			continue;
		if (heading_of(i) != last) {
			last = heading_of(i);
			(void)buf_printf(out, "\n## %s\n", last);
		}
		(void)buf_add_char(out, '\n');
		example_row(out, row);
	}
	return out->overflow ? -1 : 0;
}

static void add_cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			(void)buf_add_char(out, '\\');
		(void)buf_add_char(out, *text);
	}
}

int config_markdown(struct buf *out)
{
	(void)buf_add_str(out, "| variable | default | meaning |\n| --- | --- | --- |\n");
	for (size_t i = 0; i < config_table_len; i++) {
		const struct config_row *row = &config_table[i];
		struct buf text;
		(void)buf_printf(out, "| `%s` | ", row->name);
		if (row->def && (row->flags & CONFIG_SECRET)) {
			(void)buf_add_str(out, "a value for development");
		} else if (row->def) {
			(void)buf_add_str(out, many_places(row) ? "the first of " : "");
			add_places(out, row, "`");
		}
		(void)buf_add_str(out, " | ");
		buf_init(&text, 4096);
		describe(&text, row);
		add_cell(out, buf_str(&text));
		out->overflow |= text.overflow;
		buf_free(&text);
		(void)buf_add_str(out, " |\n");
	}
	return out->overflow ? -1 : 0;
}

/* Text of an mdoc(7) page: a hyphen stays the one that can be typed, no line becomes a macro. */
static void add_roff(struct buf *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		(void)buf_add_str(out, "\\&");
	for (; *text; text++) {
		if (*text == '\\')
			(void)buf_add_str(out, "\\e");
		else if (*text == '-')
			(void)buf_add_str(out, "\\-");
		else
			(void)buf_add_char(out, *text);
	}
}

/* Each sentence begins a line: so it is usual in the source of a manual page. */
static void man_row(struct buf *out, const struct config_row *row)
{
	struct buf text;

	buf_init(&text, 4096);
	(void)buf_printf(out, ".It Ev %s\n", row->name);
	describe(&text, row);
	add_roff(out, buf_str(&text));
	(void)buf_add_str(out, ".\n");
	buf_reset(&text);
	if (row->def && (row->flags & CONFIG_SECRET))
		(void)buf_add_str(&text, "a value for development");
	else if (row->def && many_places(row))
		(void)buf_add_str(&text, "the first of ");
	if (row->def && !(row->flags & CONFIG_SECRET))
		add_places(&text, row, "");
	if (text.len > 0) {
		(void)buf_add_str(out, "Default: ");
		add_roff(out, buf_str(&text));
		(void)buf_add_str(out, ".\n");
	}
	if (row->flags & CONFIG_ENV_ONLY)
		(void)buf_add_str(out, "In the environment only.\n");
	out->overflow |= text.overflow;
	buf_free(&text);
}

int config_man(struct buf *out)
{
	const char *last = NULL;

	for (size_t i = 0; i < config_table_len; i++) {
		const struct config_row *row = &config_table[i];
		if (heading_of(i) != last) {
			(void)buf_add_str(out, last ? ".El\n" : "");
			last = heading_of(i);
			(void)buf_printf(out, ".Ss %s\n.Bl -tag -width Ds\n", last);
		}
		man_row(out, row);
	}
	(void)buf_add_str(out, ".El\n");
	return out->overflow ? -1 : 0;
}
