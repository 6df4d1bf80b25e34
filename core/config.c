/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/config_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOTENV_MAX (64 * 1024)
#define SHOWN_MAX 200 /* bytes of a bad value in a problem */
#define SESSION_KEY_MIN 32

struct config_var {
	char *name;
	char *value;
	size_t line; /* in the dotenv file; 0: environment or command line */
};

struct config_values {
	struct config_var *vars; /* those with precedence first */
	size_t n, cap;
	char **text; /* per row of the table: the value in force, normalised; NULL where there is
			none */
};

struct loader {
	struct config *c;
	struct buf *problems;
	const char *file; /* dotenv, may be NULL */
	bool failed;
};

/* Begin a problem: "FILE:LINE: " where ${line} is not 0, then the caller's text and end_problem. */
static struct buf *begin_problem(struct loader *l, size_t line)
{
	l->failed = true;
	if (line)
		(void)buf_printf(l->problems, "%s:%zu: ", l->file, line);
	return l->problems;
}

static void end_problem(struct loader *l)
{
	(void)buf_add_char(l->problems, '\n');
}

/* Long texts are cut, control characters and broken UTF-8 become '?', so that a line stays a line.
 */
static void add_clean(struct buf *b, const char *text)
{
	size_t len = strlen(text);
	bool utf8 = str_is_utf8(text, len);
	size_t shown = len;
	if (len > SHOWN_MAX) {
		shown = SHOWN_MAX;
		while (utf8 && ((unsigned char)text[shown] & 0xc0) == 0x80)
			shown--;
	}
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)text[i];
		(void)buf_add_char(
			b, c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8) ? '?' : (char)c);
	}
	if (shown < len)
		(void)buf_add_str(b, "…");
}

/* The variables */

static const struct config_var *find_var(const struct config_values *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++) {
		if (strcmp(v->vars[i].name, name) == 0)
			return &v->vars[i];
	}
	return NULL;
}

static size_t line_of(const struct config *c, const char *name)
{
	const struct config_var *var = find_var(c->values, name);
	return var ? var->line : 0;
}

static void add_var(struct config_values *v, char *name, const char *value, size_t line)
{
	if (v->n == v->cap) {
		v->cap = v->cap ? v->cap * 2 : 64;
		v->vars = mem_array(v->vars, v->cap, sizeof(*v->vars));
	}
	v->vars[v->n++] = (struct config_var){name, mem_strdup(value), line};
}

/*
 * Names that speak of the request, not of the installation: of RFC 3875, and DEX_UI, with which the
 * web server marks those of the upload page.
 */
static bool describes_request(const char *name)
{
	return str_starts(name, "HTTP_") || str_eq(name, "SERVER_PROTOCOL") ||
	       str_eq(name, "SERVER_PORT") || str_eq(name, "DEX_UI");
}

static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64];
	size_t na = strlen(a), nb = strlen(b);
	if (na >= 64 || nb >= 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[nb];
}

/* The row whose name is so like ${name} that a slip is likely, or NULL. */
static const struct config_row *similar_row(const char *name)
{
	const struct config_row *found = NULL;
	size_t best = 4;
	for (size_t i = 0; i < config_table_len; i++) {
		size_t d = edit_distance(name, config_table[i].name);
		if (d < best && d * 2 <= strlen(name) - strlen("DEX_")) {
			best = d;
			found = &config_table[i];
		}
	}
	return found;
}

/* Names with our prefix are ours alone, so an unknown one is a slip; DEX_CRASH_* serves tests. */
static void check_name(struct loader *l, const char *name, size_t line)
{
	if (!str_starts(name, "DEX_") || str_starts(name, "DEX_CRASH_") || config_table_find(name))
		return;
	const struct config_row *near = similar_row(name);
	struct buf *b = begin_problem(l, line);
	(void)buf_add_str(b, "unknown variable ");
	add_clean(b, name);
	if (near)
		(void)buf_printf(b, " (did you mean %s?)", near->name);
	end_problem(l);
}

static void copy_environment(struct loader *l)
{
	struct config_values *v = l->c->values;
	bool cgi = getenv("GATEWAY_INTERFACE") != NULL;
	for (char **e = environ; e && *e; e++) {
		const char *eq = strchr(*e, '=');
		if (!eq || eq == *e)
			continue;
		char *name = mem_strndup(*e, (size_t)(eq - *e));
		if (cgi && describes_request(name)) {
			free(name);
			continue;
		}
		check_name(l, name, 0);
		add_var(v, name, eq + 1, 0);
	}
}

static void on_dotenv(void *arg, const char *name, const char *value, size_t line)
{
	struct loader *l = arg;
	struct config_values *v = l->c->values;
	const struct config_row *row = config_table_find(name);
	check_name(l, name, line);
	if (row && (row->flags & CONFIG_ENV_ONLY)) {
		(void)buf_printf(begin_problem(l, line), "%s: cannot be set in this file", name);
		end_problem(l);
		return;
	}
	for (size_t i = 0; i < v->n; i++) {
		if (v->vars[i].line && strcmp(v->vars[i].name, name) == 0) {
			(void)buf_printf(begin_problem(l, line), "%s: already set in line %zu",
				name, v->vars[i].line);
			end_problem(l);
			return;
		}
	}
	add_var(v, mem_strdup(name), value, line);
}

static void read_dotenv(struct loader *l)
{
	struct buf text;
	struct err err;
	buf_init_secret(&text, DOTENV_MAX);
	if (fsio_read_file(l->file, &text, &err) < 0) {
		(void)buf_printf(begin_problem(l, 0), "DEX_APPCONF: %s", err.text);
		end_problem(l);
	} else if (config_dotenv_parse(
			   l->file, buf_str(&text), text.len, on_dotenv, l, l->problems) < 0) {
		l->failed = true;
	}
	buf_free(&text);
}

/* The rows */

static void set_field(struct config *c, const struct config_row *row, const struct config_value *v)
{
	char *field = (char *)c + row->offset;
	const char *text = v->text;
	int64_t signed_num = (int64_t)v->num;
	bool on = v->num != 0;
	switch (row->type) {
	case CONFIG_BOOL:
		memcpy(field, &on, sizeof(on));
		break;
	case CONFIG_UINT:
	case CONFIG_SIZE:
		memcpy(field, &v->num, sizeof(v->num));
		break;
	case CONFIG_DURATION:
		memcpy(field, &signed_num, sizeof(signed_num));
		break;
	default:
		memcpy(field, &text, sizeof(text));
	}
}

/* The first default that parses: for files and folders the first that exists. */
static int take_default(
	const struct config *c, const struct config_row *row, struct config_value *out)
{
	char *place;
	for (size_t n = 0; (place = config_value_default(row, n, c->upload_folder)); n++) {
		int rc = config_value_parse(row, place, out);
		free(place);
		if (rc == 0)
			return 0;
	}
	return -1;
}

static void report_missing(struct loader *l, const struct config_row *row)
{
	struct buf *b = begin_problem(l, 0);
	char *place;
	(void)buf_printf(b, "%s: expected ", row->name);
	(void)config_value_expected(row, b);
	(void)buf_add_str(b, ", it is not set");
	for (size_t n = 0; (place = config_value_default(row, n, l->c->upload_folder)); n++) {
		(void)buf_printf(b, "%s%s", n ? ", " : " and there is none at ", place);
		free(place);
	}
	end_problem(l);
}

static void add_shown(struct buf *b, const struct config_row *row, const char *value)
{
	if (row->flags & CONFIG_SECRET) {
		(void)buf_add_str(b, CONFIG_MASK);
		return;
	}
	(void)buf_add_char(b, '"');
	add_clean(b, value);
	(void)buf_add_char(b, '"');
}

static void report_bad(struct loader *l, const struct config_row *row, const struct config_var *var)
{
	struct buf *b = begin_problem(l, var->line);
	(void)buf_printf(b, "%s: expected ", row->name);
	(void)config_value_expected(row, b);
	(void)buf_add_str(b, ", got ");
	add_shown(b, row, var->value);
	end_problem(l);
}

/* One of the variables that make the row unnecessary has a value. */
static bool is_spared(const struct config *c, const struct config_row *row)
{
	for (const char *name = row->unless; name && *name;) {
		size_t len = strcspn(name, "|");
		char *one = mem_strndup(name, len);
		const char *value = config_lookup((void *)(uintptr_t)c, one);
		free(one);
		if (value && *value)
			return true;
		name += len + (name[len] == '|');
	}
	return false;
}

static void load_row(struct loader *l, const struct config_row *row, char **text)
{
	const struct config_var *var = find_var(l->c->values, row->name);
	struct config_value v = {0};

	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a variable always has a value. */
	if (var && (var->value[0] || (row->flags & CONFIG_EMPTY_OK))) {
		if (config_value_parse(row, var->value, &v) < 0)
			report_bad(l, row, var);
	} else if (take_default(l->c, row, &v) < 0) {
		if ((row->flags & CONFIG_REQUIRED) && !is_spared(l->c, row))
			report_missing(l, row);
		else
			v.text = mem_strdup("");
	}
	*text = v.text;
	if (row->has_field && v.text)
		set_field(l->c, row, &v);
}

static bool is_set(const char *field)
{
	return field && *field;
}

/* One that is at fault by itself is NULL here, and was told already. */
static void check_auth(struct loader *l)
{
	const struct config *c = l->c;

	if (c->auth_enabled && c->auth_issuer && !*c->auth_issuer && c->auth_introspection_url &&
		!*c->auth_introspection_url) {
		(void)buf_add_str(begin_problem(l, line_of(c, "OAUTH_AUTH_ENABLED")),
			"OAUTH_AUTH_ENABLED: expected OAUTH_ISSUER_URL or OAUTH_INTROSPECTION_URL "
			"beside it, got neither");
		end_problem(l);
	}
	if (is_set(c->auth_issuer) && strchr(c->auth_issuer, '?')) {
		(void)buf_add_str(begin_problem(l, line_of(c, "OAUTH_ISSUER_URL")),
			"OAUTH_ISSUER_URL: expected a URL without query");
		end_problem(l);
	}
	if (c->auth_client_id && c->auth_client_secret &&
		is_set(c->auth_client_id) != is_set(c->auth_client_secret)) {
		(void)buf_add_str(begin_problem(l, line_of(c, "OAUTH_INTROSPECTION_CLIENT_ID")),
			"OAUTH_INTROSPECTION_CLIENT_ID: expected together with "
			"OAUTH_INTROSPECTION_CLIENT_SECRET, got one of them");
		end_problem(l);
	}
}

static void check_login(struct loader *l)
{
	const struct config *c = l->c;

	if (is_set(c->login_client_secret) && c->login_client_id && !*c->login_client_id) {
		(void)buf_add_str(begin_problem(l, line_of(c, "OAUTH_CLIENT_SECRET")),
			"OAUTH_CLIENT_SECRET: expected OAUTH_CLIENT_ID beside it, got it alone");
		end_problem(l);
	}
	if (!c->auth_enabled || !is_set(c->login_client_id))
		return;
	if (c->auth_issuer && !*c->auth_issuer) {
		(void)buf_add_str(begin_problem(l, line_of(c, "OAUTH_CLIENT_ID")),
			"OAUTH_CLIENT_ID: expected OAUTH_ISSUER_URL beside it, got it alone");
		end_problem(l);
	}
	if (c->session_key && strlen(c->session_key) < SESSION_KEY_MIN) {
		(void)buf_printf(begin_problem(l, line_of(c, "OAUTH_SESSION_KEY")),
			"OAUTH_SESSION_KEY: expected a secret of at least %d characters with "
			"OAUTH_CLIENT_ID, got %zu",
			SESSION_KEY_MIN, strlen(c->session_key));
		end_problem(l);
	}
}

/* What a single row cannot say. Fields whose own row was at fault are NULL. */
static void check_together(struct loader *l)
{
	const struct config *c = l->c;
	const struct config_row *csrf = config_table_find("CSRF_TOKEN");

	if (str_eq(c->environment, "PROD") && str_eq(c->csrf_token, csrf->def)) {
		(void)buf_printf(begin_problem(l, line_of(c, csrf->name)),
			"%s: expected a secret of your own with ENVIRONMENT=PROD, got the default",
			csrf->name);
		end_problem(l);
	}
	if (c->tus_path && str_eq(c->tus_path, c->info_path)) {
		(void)buf_printf(begin_problem(l, line_of(c, "TUSD_HANDLER_INFO_PATH")),
			"TUSD_HANDLER_INFO_PATH: expected another path than "
			"TUSD_HANDLER_BASE_PATH, got "
			"\"%s\" for both",
			c->info_path);
		end_problem(l);
	}
	check_auth(l);
	check_login(l);
}

int config_load(const char *dotenv, struct config **out, struct buf *problems)
{
	struct config *c = mem_zalloc(sizeof(*c));
	struct loader l = {.c = c, .problems = problems};

	c->values = mem_zalloc(sizeof(*c->values));
	c->values->text = mem_zalloc(config_table_len * sizeof(*c->values->text));
	/* the first one of a name counts: command line, environment, dotenv */
	if (dotenv)
		add_var(c->values, mem_strdup("DEX_APPCONF"), dotenv, 0);
	copy_environment(&l);
	l.file = config_lookup(c, "DEX_APPCONF");
	if (l.file && l.file[0])
		read_dotenv(&l);
	for (size_t i = 0; i < config_table_len; i++)
		load_row(&l, &config_table[i], &c->values->text[i]);
	check_together(&l);
	if (l.failed) {
		config_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

static void wipe_free(char *s)
{
	if (s)
		mem_wipe(s, strlen(s));
	free(s);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	struct config_values *v = c->values;
	for (size_t i = 0; i < v->n; i++) {
		free(v->vars[i].name);
		wipe_free(v->vars[i].value);
	}
	for (size_t i = 0; i < config_table_len; i++)
		wipe_free(v->text[i]);
	free(v->vars);
	free(v->text);
	free(v);
	free(c);
}

enum config_durability config_durability(const struct config *c)
{
	if (str_eq(c->durability, "complete"))
		return CONFIG_DURABLE_COMPLETE;
	return str_eq(c->durability, "none") ? CONFIG_DURABLE_NONE : CONFIG_DURABLE_PATCH;
}

const char *config_lookup(void *arg, const char *name)
{
	const struct config *c = arg;
	/* Tests make settings by hand, which have no variables behind them. */
	const struct config_var *var = c->values ? find_var(c->values, name) : NULL;
	return var ? var->value : NULL;
}

const char *config_in_force(const struct config *c, const char *name)
{
	const struct config_row *row = config_table_find(name);

	if (row)
		return c->values->text[row - config_table];
	return config_lookup((void *)(uintptr_t)c, name);
}

int config_dump(const struct config *c, struct buf *out)
{
	for (size_t i = 0; i < config_table_len; i++) {
		const struct config_row *row = &config_table[i];
		const char *text = c->values->text[i];
		if (text[0] && (row->flags & CONFIG_SECRET))
			text = CONFIG_MASK;
		(void)buf_printf(out, "%s=%s\n", row->name, text);
	}
	return out->overflow ? -1 : 0;
}
