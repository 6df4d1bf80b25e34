/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/config.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (64 * 1024)
#define LINES_MAX 1000
#define NAME_MAX_BYTES 255

#define NAME_START "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define NAME_CHARS NAME_START "0123456789"
#define BLANKS " \t"

/* A value never gets longer than its line, so one allocation of that size does. */
struct value {
	char *text;
	size_t len;
};

/* What stands behind the closing quote may only be a comment. */
static const char *check_rest(const char *p)
{
	size_t blanks = strspn(p, BLANKS);
	if (p[blanks] == '\0' || (blanks > 0 && p[blanks] == '#'))
		return NULL;
	return "text behind the closing quote";
}

static const char *take_plain(const char *p, struct value *v)
{
	for (; *p; p++) {
		/* as in a shell: X=#1 has a value, X= #1 has a comment; '=' or a blank lies before
		 * p */
		if (*p == '#' && strchr(BLANKS, p[-1]))
			break;
		v->text[v->len++] = *p;
	}
	while (v->len > 0 && strchr(BLANKS, v->text[v->len - 1]))
		v->len--;
	return NULL;
}

static const char *take_single(const char *p, struct value *v)
{
	const char *end = strchr(p, '\'');
	if (!end)
		return "the single quote is not closed";
	v->len = (size_t)(end - p);
	memcpy(v->text, p, v->len);
	return check_rest(end + 1);
}

static const char *take_double(const char *p, struct value *v)
{
	for (; *p != '"'; p++) {
		char c = *p;
		if (c == '\\') {
			c = *++p;
			if (c == 'n')
				c = '\n';
			else if (c != '"' && c != '\\' && c != '$')
				return c ? "unknown escape; \\n \\\" \\\\ and \\$ are known"
					 : "the double quote is not closed";
		} else if (c == '\0') {
			return "the double quote is not closed";
		}
		v->text[v->len++] = c;
	}
	return check_rest(p + 1);
}

/* ${p} is behind '=' and its blanks. NULL or the fault. */
static const char *take_value(const char *p, struct value *v)
{
	if (*p == '\'')
		return take_single(p + 1, v);
	if (*p == '"')
		return take_double(p + 1, v);
	return take_plain(p, v);
}

struct parser {
	const char *file;
	size_t line;
	config_dotenv_fn *fn;
	void *arg;
	struct buf *problems;
	int rc;
};

static void fault(struct parser *d, const char *name, const char *text)
{
	(void)buf_printf(
		d->problems, "%s:%zu: %s%s%s\n", d->file, d->line, name, name[0] ? ": " : "", text);
	d->rc = -1;
}

/* One line without its end, NUL-terminated, free of NULs. */
static void parse_line(struct parser *d, const char *s, size_t len)
{
	char name[NAME_MAX_BYTES + 1] = "";
	struct value v = {0};

	const char *p = s + strspn(s, BLANKS);
	if (*p == '\0' || *p == '#')
		return;
	if (str_starts(p, "export") && strchr(BLANKS, p[6]) && p[6]) {
		p += 6;
		p += strspn(p, BLANKS);
	}
	size_t n = strchr(NAME_START, *p) && *p ? strspn(p, NAME_CHARS) : 0;
	const char *eq = p + n + strspn(p + n, BLANKS);
	if (n == 0 || *eq != '=') {
		fault(d, "", "expected NAME=value");
		return;
	}
	if (n > NAME_MAX_BYTES) {
		fault(d, "", "the name is longer than 255 bytes");
		return;
	}
	memcpy(name, p, n);
	name[n] = '\0';

	v.text = mem_alloc(len + 1);
	const char *wrong = take_value(eq + 1 + strspn(eq + 1, BLANKS), &v);
	v.text[v.len] = '\0';
	if (wrong)
		fault(d, name, wrong);
	else
		d->fn(d->arg, name, v.text, d->line);
	mem_wipe(v.text, len + 1);
	free(v.text);
}

/* ${raw} is not NUL-terminated. Tabs are the only control characters in a line. */
static void take_line(struct parser *d, const char *raw, size_t len)
{
	if (len > 0 && raw[len - 1] == '\r')
		len--;
	if (!str_is_utf8(raw, len)) {
		fault(d, "", "not UTF-8");
		return;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)raw[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			fault(d, "", "control character");
			return;
		}
	}
	char *line = mem_strndup(raw, len);
	parse_line(d, line, len);
	mem_wipe(line, len);
	free(line);
}

int config_dotenv_parse(const char *file, const char *text, size_t len, config_dotenv_fn *fn,
	void *arg, struct buf *problems)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct parser d = {.file = file, .fn = fn, .arg = arg, .problems = problems};
	const char *end = text + len;

	if (len > TEXT_MAX) {
		(void)buf_printf(problems, "%s: longer than 64 KiB\n", file);
		return -1;
	}
	if (len >= 3 && memcmp(text, bom, 3) == 0)
		text += 3;
	while (text < end) {
		if (++d.line > LINES_MAX) {
			fault(&d, "", "more than 1000 lines");
			break;
		}
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		const char *stop = nl ? nl : end;
		take_line(&d, text, (size_t)(stop - text));
		text = nl ? nl + 1 : end;
	}
	return d.rc;
}
