/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/routing.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/yaml.h"
#include "core/store/blob_impl.h" /* option tables of the target types */

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)
#define NAME_MAX_BYTES 128

struct loading {
	const char *file;
	const struct blob_backend *const *backends;
	struct routing *r;
	struct err *err;
};

static int fail(const struct loading *l, size_t line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int fail(const struct loading *l, size_t line, const char *fmt, ...)
{
	struct buf text;
	va_list ap;
	buf_init(&text, ERR_TEXT_MAX);
	va_start(ap, fmt);
	/* What does not fit is left out: the line number is what counts. */
	if (buf_vprintf(&text, fmt, ap) < 0)
		(void)buf_add_str(&text, "wrong, with a value too long to be shown here");
	va_end(ap);
	err_set(l->err, ERR_INVALID, "routing_parse", "%s:%zu: %s", l->file, line, buf_str(&text));
	buf_free(&text);
	return -1;
}

static int want_scalar(const struct loading *l, const struct yaml_node *n)
{
	if (n->kind == YAML_SCALAR)
		return 0;
	return fail(l, n->line, "\"%s\" must be a text", n->key);
}

static int want_kind(
	const struct loading *l, const struct yaml_node *n, enum yaml_kind kind, const char *what)
{
	if (n->kind == kind)
		return 0;
	return fail(l, n->line, "%s must be a %s", what, kind == YAML_MAP ? "map" : "list");
}

/* A non-empty text without control characters under ${key}; NULL + err. */
static const struct yaml_node *need_text(
	const struct loading *l, const struct yaml_node *map, const char *key)
{
	const struct yaml_node *n = yaml_get(map, key);
	if (!n) {
		fail(l, map->line, "\"%s\" is missing", key);
		return NULL;
	}
	if (want_scalar(l, n) < 0)
		return NULL;
	size_t len = strlen(n->scalar);
	if (len == 0 || len > NAME_MAX_BYTES || str_has_control(n->scalar, len)) {
		fail(l, n->line, "\"%s\" must have 1 to %d bytes and no control character", key,
			NAME_MAX_BYTES);
		return NULL;
	}
	return n;
}

static bool is_one_of(const char *key, const char *const *known)
{
	for (; *known; known++) {
		if (str_eq(key, *known))
			return true;
	}
	return false;
}

/* ${known} ends with NULL; ${where} is "" or " in …". */
static int check_keys(const struct loading *l, const struct yaml_node *map,
	const char *const *known, const char *where)
{
	for (const struct yaml_node *n = map->child; n; n = n->next) {
		if (!is_one_of(n->key, known))
			return fail(l, n->line, "unknown key \"%s\"%s", n->key, where);
	}
	return 0;
}

/* ---- targets ---- */

static void target_clear(struct routing_target *t)
{
	for (size_t i = 0; i < t->noptions; i++) {
		free(t->options[i].key);
		free(t->options[i].value);
	}
	free(t->options);
	free(t->name);
	*t = (struct routing_target){0};
}

static const struct blob_backend *find_backend(
	const struct loading *l, const struct yaml_node *type, const char *target)
{
	struct buf known;
	buf_init(&known, 256);
	for (const struct blob_backend *const *b = l->backends; *b; b++) {
		if (str_eq((*b)->type, type->scalar)) {
			buf_free(&known);
			return *b;
		}
		(void)buf_printf(&known, "%s%s", known.len ? ", " : "", (*b)->type);
	}
	fail(l, type->line, "unknown type \"%s\" of target \"%s\", known: %s", type->scalar, target,
		buf_str(&known));
	buf_free(&known);
	return NULL;
}

static const struct blob_option_spec *find_spec(const struct blob_backend *b, const char *key)
{
	for (const struct blob_option_spec *s = b->options; s->key; s++) {
		if (str_eq(s->key, key))
			return s;
	}
	return NULL;
}

/* An empty value is as good as none: "${NAME:-}" makes an option depend on the environment. */
static int read_option(const struct loading *l, struct routing_target *t, const struct yaml_node *n)
{
	if (!find_spec(t->backend, n->key))
		return fail(l, n->line, "unknown key \"%s\" in target \"%s\" of type %s", n->key,
			t->name, t->backend->type);
	if (want_scalar(l, n) < 0)
		return -1;
	if (!*n->scalar)
		return 0;
	t->options = mem_array(t->options, t->noptions + 1, sizeof(*t->options));
	t->options[t->noptions++] =
		(struct routing_option){mem_strdup(n->key), mem_strdup(n->scalar)};
	return 0;
}

static bool has_option(const struct routing_target *t, const char *key)
{
	for (size_t i = 0; i < t->noptions; i++) {
		if (str_eq(t->options[i].key, key))
			return true;
	}
	return false;
}

/* Fill ${t}, cleared by the caller on failure, from a target's map. */
static int read_target(const struct loading *l, const struct yaml_node *map, const char *name,
	struct routing_target *t)
{
	static const char *const not_options[] = {"name", "type", "path_template", NULL};
	t->name = mem_strdup(name);
	t->line = map->line;
	if (!yaml_get(map, "type"))
		return fail(l, map->line, "target \"%s\" has no \"type\"", name);
	const struct yaml_node *type = need_text(l, map, "type");
	if (!type)
		return -1;
	t->backend = find_backend(l, type, name);
	if (!t->backend)
		return -1;
	for (const struct yaml_node *n = map->child; n; n = n->next) {
		if (!is_one_of(n->key, not_options) && read_option(l, t, n) < 0)
			return -1;
	}
	for (const struct blob_option_spec *s = t->backend->options; s->key; s++) {
		if ((s->flags & BLOB_OPT_REQUIRED) && !has_option(t, s->key))
			return fail(l, map->line, "target \"%s\" of type %s needs \"%s\"", name,
				t->backend->type, s->key);
	}
	return 0;
}

static bool same_target(const struct routing_target *a, const struct routing_target *b)
{
	if (a->backend != b->backend || a->noptions != b->noptions)
		return false;
	for (size_t i = 0; i < a->noptions; i++) {
		const char *other = NULL;
		for (size_t j = 0; j < b->noptions; j++) {
			if (str_eq(a->options[i].key, b->options[j].key))
				other = b->options[j].value;
		}
		if (!str_eq(a->options[i].value, other))
			return false;
	}
	return true;
}

/* ${repeats}: a target defined within streams appears with each of them. */
static int add_target(
	const struct loading *l, const struct yaml_node *map, const char *name, bool repeats)
{
	struct routing_target t = {0};
	if (read_target(l, map, name, &t) < 0) {
		target_clear(&t);
		return -1;
	}
	const struct routing_target *other = routing_find_target(l->r, name);
	if (other) {
		bool same = repeats && same_target(other, &t);
		target_clear(&t);
		if (same)
			return 0;
		return fail(l, map->line, "target \"%s\" is defined differently in line %zu", name,
			other->line);
	}
	l->r->targets = mem_array(l->r->targets, l->r->ntargets + 1, sizeof(*l->r->targets));
	l->r->targets[l->r->ntargets++] = t;
	return 0;
}

static int read_targets(const struct loading *l, const struct yaml_node *targets)
{
	if (want_kind(l, targets, YAML_MAP, "\"targets\"") < 0)
		return -1;
	for (const struct yaml_node *n = targets->child; n; n = n->next) {
		if (want_kind(l, n, YAML_MAP, "a target") < 0)
			return -1;
		if (yaml_get(n, "path_template"))
			return fail(l, yaml_get(n, "path_template")->line,
				"unknown key \"path_template\" in target \"%s\", it belongs to a "
				"stream",
				n->key);
		if (yaml_get(n, "name")) {
			const struct yaml_node *name = need_text(l, n, "name");
			if (!name)
				return -1;
			if (!str_eq(name->scalar, n->key))
				return fail(l, name->line, "target \"%s\" is called \"%s\" here",
					n->key, name->scalar);
		}
		size_t len = strlen(n->key);
		if (len == 0 || len > NAME_MAX_BYTES || str_has_control(n->key, len))
			return fail(l, n->line,
				"a target's name must have 1 to %d bytes and no control character",
				NAME_MAX_BYTES);
		if (add_target(l, n, n->key, false) < 0)
			return -1;
	}
	return 0;
}

/* Collect the targets that are defined within a stream, as the older spelling does. */
static int read_inline_targets(const struct loading *l, const struct yaml_node *stream)
{
	const struct yaml_node *list = yaml_get(stream, "delivery_targets");
	if (!list || list->kind != YAML_SEQ)
		return 0; /* reported when the stream is read */
	for (const struct yaml_node *n = list->child; n; n = n->next) {
		if (!yaml_get(n, "type"))
			continue;
		const struct yaml_node *name = need_text(l, n, "name");
		if (!name || add_target(l, n, name->scalar, true) < 0)
			return -1;
	}
	return 0;
}

/* ---- streams ---- */

static int read_entry(const struct loading *l, const struct yaml_node *map, struct routing_group *g)
{
	static const char *const known[] = {"name", "path_template", NULL};
	if (want_kind(l, map, YAML_MAP, "a delivery target") < 0)
		return -1;
	const struct yaml_node *name = need_text(l, map, "name");
	if (!name)
		return -1;
	/* An inline target's keys were checked with its definition. */
	if (!yaml_get(map, "type") && check_keys(l, map, known, " in a stream's target") < 0)
		return -1;
	const struct routing_target *target = routing_find_target(l->r, name->scalar);
	if (!target)
		return fail(l, name->line, "target \"%s\" is not defined", name->scalar);
	if (routing_entry_of(g, name->scalar))
		return fail(
			l, name->line, "target \"%s\" appears twice in one stream", name->scalar);
	const struct yaml_node *template = yaml_get(map, "path_template");
	if (template && want_scalar(l, template) < 0)
		return -1;
	bool given = template && *template->scalar;
	struct err why;
	struct path_template *t =
		path_template_compile(given ? template->scalar : PATH_TEMPLATE_DEFAULT, &why);
	if (!t)
		return fail(l, template ? template->line : map->line, "%s", why.text);
	g->entries = mem_array(g->entries, g->nentries + 1, sizeof(*g->entries));
	g->entries[g->nentries++] = (struct routing_entry){.target = target, .path_template = t};
	return 0;
}

static char *lower_copy(const char *s)
{
	char *copy = mem_strdup(s);
	str_lower(copy);
	return copy;
}

static int read_group(const struct loading *l, const struct yaml_node *map)
{
	static const char *const known[] = {
		"data_stream_id", "data_stream_route", "delivery_targets", NULL};
	if (check_keys(l, map, known, " in a stream") < 0)
		return -1;
	const struct yaml_node *id = need_text(l, map, "data_stream_id");
	const struct yaml_node *route = id ? need_text(l, map, "data_stream_route") : NULL;
	if (!id || !route)
		return -1;
	const struct yaml_node *list = yaml_get(map, "delivery_targets");
	if (!list)
		return fail(l, map->line, "\"delivery_targets\" is missing");
	if (want_kind(l, list, YAML_SEQ, "\"delivery_targets\"") < 0)
		return -1;
	if (routing_find_group(l->r, id->scalar, route->scalar))
		return fail(l, map->line, "stream \"%s\", route \"%s\" appears twice", id->scalar,
			route->scalar);
	l->r->groups = mem_array(l->r->groups, l->r->ngroups + 1, sizeof(*l->r->groups));
	struct routing_group *g = &l->r->groups[l->r->ngroups++];
	*g = (struct routing_group){.data_stream_id = lower_copy(id->scalar),
		.data_stream_route = lower_copy(route->scalar)};
	for (const struct yaml_node *n = list->child; n; n = n->next) {
		if (read_entry(l, n, g) < 0)
			return -1;
	}
	return 0;
}

/* A list of maps under ${key}, each given to ${fn}; an absent list is empty. */
static int each_map(const struct loading *l, const struct yaml_node *root, const char *key,
	int (*fn)(const struct loading *l, const struct yaml_node *map))
{
	const struct yaml_node *list = yaml_get(root, key);
	if (!list)
		return 0;
	if (list->kind != YAML_SEQ)
		return fail(l, list->line, "\"%s\" must be a list", key);
	for (const struct yaml_node *n = list->child; n; n = n->next) {
		if (n->kind != YAML_MAP)
			return fail(l, n->line, "an element of \"%s\" must be a map", key);
		if (fn(l, n) < 0)
			return -1;
	}
	return 0;
}

/* Targets first: groups point into the finished array. */
static int read_root(const struct loading *l, const struct yaml_node *root)
{
	static const char *const known[] = {
		"version", "targets", "routing_groups", "programs", NULL};
	if (want_kind(l, root, YAML_MAP, "the file") < 0 || check_keys(l, root, known, "") < 0)
		return -1;
	const struct yaml_node *version = yaml_get(root, "version");
	if (version && (version->kind != YAML_SCALAR || !str_eq(version->scalar, "1.0")))
		return fail(l, version->line, "\"version\" must be 1.0");
	const struct yaml_node *targets = yaml_get(root, "targets");
	if (targets && read_targets(l, targets) < 0)
		return -1;
	if (each_map(l, root, "routing_groups", read_inline_targets) < 0 ||
		each_map(l, root, "programs", read_inline_targets) < 0 ||
		each_map(l, root, "routing_groups", read_group) < 0)
		return -1;
	return each_map(l, root, "programs", read_group);
}

/* ---- text ---- */

/*
 * References in comments are nobody's settings: double their '$', so that expansion leaves them
 * alone. A quote opens at the start of a value only ("it's" is plain) and a quoted text ends with
 * its line here.
 */
static int shield_comments(const char *text, size_t len, struct buf *out)
{
	char quote = '\0';
	bool comment = false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		char before = i > 0 ? text[i - 1] : '\n';
		if (c == '\n') {
			comment = false;
			quote = '\0';
		} else if (comment) {
			if (c == '$' && buf_add_char(out, '$') < 0)
				return -1;
		} else if (quote) {
			if (c == '\\' && quote == '"' && i + 1 < len && text[i + 1] == '"') {
				if (buf_add_char(out, c) < 0)
					return -1;
				c = text[++i];
			} else if (c == quote) {
				quote = '\0';
			}
		} else if ((c == '"' || c == '\'') && strchr(" \t\n[{,:", before)) {
			quote = c;
		} else if (c == '#' && strchr(" \t\r\n", before)) {
			comment = true;
		}
		if (buf_add_char(out, c) < 0)
			return -1;
	}
	return 0;
}

static int expand(const char *file, const char *text, size_t len,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct buf *out,
	struct err *err)
{
	struct buf shielded;
	buf_init(&shielded, 2 * TEXT_MAX);
	int rc = shield_comments(text, len, &shielded);
	if (rc < 0) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s:1: larger than %zu bytes", file,
			TEXT_MAX);
	} else if (str_expand(out, buf_str(&shielded), shielded.len, lookup, arg, err) < 0) {
		/* "line 3: …" becomes "FILE:3: …", as every other error here is written. */
		struct err why = *err;
		bool has_line = str_starts(why.text, "line ");
		rc = err_set(err, why.code, __func__, "%s:%s", file, why.text + (has_line ? 5 : 0));
	}
	buf_free(&shielded);
	return rc;
}

struct routing *routing_parse(const char *file, const char *text, size_t len,
	const struct blob_backend *const *backends,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct err *err)
{
	struct err scratch = {0};
	struct loading l = {.file = file, .backends = backends, .err = err ? err : &scratch};
	struct yaml_node *root = NULL;
	struct buf expanded;
	buf_init(&expanded, TEXT_MAX);
	if (expand(file, text, len, lookup, arg, &expanded, l.err) == 0)
		root = yaml_parse(file, buf_str(&expanded), expanded.len, l.err);
	if (root) {
		l.r = mem_zalloc(sizeof(*l.r));
		if (read_root(&l, root) < 0) {
			routing_free(l.r);
			l.r = NULL;
		}
	}
	yaml_tree_free(root);
	buf_free(&expanded);
	return l.r;
}

struct routing *routing_load(const char *file, const struct blob_backend *const *backends,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct err *err)
{
	struct buf text;
	buf_init(&text, TEXT_MAX);
	struct routing *r = NULL;
	if (fsio_read_file(file, &text, err) == 0)
		r = routing_parse(file, buf_str(&text), text.len, backends, lookup, arg, err);
	buf_free(&text);
	return r;
}

void routing_free(struct routing *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->ngroups; i++) {
		struct routing_group *g = &r->groups[i];
		for (size_t j = 0; j < g->nentries; j++)
			path_template_free(g->entries[j].path_template);
		free(g->entries);
		free(g->data_stream_id);
		free(g->data_stream_route);
	}
	free(r->groups);
	for (size_t i = 0; i < r->ntargets; i++)
		target_clear(&r->targets[i]);
	free(r->targets);
	free(r);
}

/* ---- look-ups ---- */

const struct routing_target *routing_find_target(const struct routing *r, const char *name)
{
	for (size_t i = 0; i < r->ntargets; i++) {
		if (str_eq(r->targets[i].name, name))
			return &r->targets[i];
	}
	return NULL;
}

const struct routing_group *routing_find_group(
	const struct routing *r, const char *data_stream_id, const char *data_stream_route)
{
	for (size_t i = 0; i < r->ngroups; i++) {
		const struct routing_group *g = &r->groups[i];
		if (str_eq_ci(g->data_stream_id, data_stream_id) &&
			str_eq_ci(g->data_stream_route, data_stream_route))
			return g;
	}
	return NULL;
}

const struct routing_group *routing_of_manifest(const struct routing *r, const json_t *manifest)
{
	static const char *const pairs[][2] = {
		{"data_stream_id", "data_stream_route"}, {"meta_destination_id", "meta_ext_event"}};
	for (size_t i = 0; i < 2; i++) {
		const char *id = json_get_str(manifest, pairs[i][0]);
		const char *route = json_get_str(manifest, pairs[i][1]);
		const struct routing_group *g =
			id && route ? routing_find_group(r, id, route) : NULL;
		if (g)
			return g;
	}
	return NULL;
}

const struct routing_entry *routing_entry_of(const struct routing_group *g, const char *target)
{
	for (size_t i = 0; i < g->nentries; i++) {
		if (str_eq(g->entries[i].target->name, target))
			return &g->entries[i];
	}
	return NULL;
}
