/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/path_template.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/store/blob.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATE_MAX 1024
#define SEGMENT_MAX ((size_t)255)   /* NAME_MAX of every usual file system */
#define EXTENSION_MAX ((size_t)128) /* leaves room to cut the stem where the id must fit in */

enum part_kind {
	PART_LITERAL,
	PART_YEAR,
	PART_MONTH,
	PART_DAY,
	PART_HOUR,
	PART_UPLOAD_ID,
	PART_FILENAME,
	PART_STREAM_ID,
	PART_STREAM_ROUTE,
	PART_EMPTY,
};

static const struct {
	const char *name;
	enum part_kind kind;
} placeholders[] = {
	{".Year", PART_YEAR},
	{".Month", PART_MONTH},
	{".Day", PART_DAY},
	{".Hour", PART_HOUR},
	{".UploadId", PART_UPLOAD_ID},
	{".Filename", PART_FILENAME},
	{".DataStreamID", PART_STREAM_ID},
	{".DataStreamRoute", PART_STREAM_ROUTE},
	{".Prefix", PART_EMPTY},
	{".Suffix", PART_EMPTY},
};

struct part {
	enum part_kind kind;
	const char *text; /* PART_LITERAL: within path_template.text */
	size_t len;
};

struct path_template {
	char *text;
	struct part *parts;
	size_t nparts;
};

static void add_part(struct path_template *t, enum part_kind kind, const char *text, size_t len)
{
	t->parts = mem_array(t->parts, t->nparts + 1, sizeof(*t->parts));
	t->parts[t->nparts++] = (struct part){kind, text, len};
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The placeholder that ${open} ("{{…") starts; returns what follows it, or NULL. */
static const char *compile_placeholder(struct path_template *t, const char *open, struct err *err)
{
	size_t column = (size_t)(open - t->text) + 1;
	const char *close = strstr(open, "}}");
	if (!close) {
		err_set(err, ERR_INVALID, "path_template_compile",
			"path template: \"{{\" in column %zu is never closed", column);
		return NULL;
	}
	const char *name = open + 2;
	size_t len = (size_t)(close - name);
	while (len > 0 && is_blank(*name)) {
		name++;
		len--;
	}
	while (len > 0 && is_blank(name[len - 1]))
		len--;
	for (size_t i = 0; i < sizeof(placeholders) / sizeof(placeholders[0]); i++) {
		if (strlen(placeholders[i].name) == len &&
			memcmp(placeholders[i].name, name, len) == 0) {
			add_part(t, placeholders[i].kind, NULL, 0);
			return close + 2;
		}
	}
	err_set(err, ERR_INVALID, "path_template_compile",
		"path template: unknown placeholder \"%.*s\" in column %zu",
		len > 60 ? 60 : (int)len, name, column);
	return NULL;
}

struct path_template *path_template_compile(const char *text, struct err *err)
{
	size_t len = strnlen(text, TEMPLATE_MAX + 1);
	if (len == 0 || len > TEMPLATE_MAX) {
		err_set(err, ERR_INVALID, __func__, "path template: must have 1 to %d bytes",
			TEMPLATE_MAX);
		return NULL;
	}
	struct path_template *t = mem_zalloc(sizeof(*t));
	t->text = mem_strdup(text);
	const char *rest = t->text;
	while (rest && *rest) {
		const char *open = strstr(rest, "{{");
		size_t plain = open ? (size_t)(open - rest) : strlen(rest);
		if (plain > 0)
			add_part(t, PART_LITERAL, rest, plain);
		rest = open ? compile_placeholder(t, open, err) : rest + plain;
	}
	if (!rest) {
		path_template_free(t);
		return NULL;
	}
	return t;
}

void path_template_free(struct path_template *t)
{
	if (!t)
		return;
	free(t->parts);
	free(t->text);
	free(t);
}

/*
 * Length of ${name} without its extension. A leading dot starts a hidden file, and a tail that is
 * longer than any extension is part of the name.
 */
static size_t stem_length(const char *name)
{
	const char *dot = strrchr(name, '.');
	size_t len = strlen(name);
	if (!dot || dot == name)
		return len;
	size_t stem = (size_t)(dot - name);
	return len - stem <= EXTENSION_MAX ? stem : len;
}

/* The longest prefix of ${s} with at most ${len} bytes that does not cut a UTF-8 sequence. */
static size_t utf8_prefix(const char *s, size_t len)
{
	while (len > 0 && ((unsigned char)s[len] & 0xC0) == 0x80)
		len--;
	return len;
}

/* Bytes by which the longest segment of ${path} passes SEGMENT_MAX. */
static size_t segment_excess(const char *path)
{
	size_t excess = 0;
	for (const char *seg = path;;) {
		size_t n = strcspn(seg, "/");
		if (n > SEGMENT_MAX && n - SEGMENT_MAX > excess)
			excess = n - SEGMENT_MAX;
		if (seg[n] == '\0')
			return excess;
		seg += n + 1;
	}
}

/* Append the result with the first ${stem} bytes of the file's name; overflow shows in ${out}. */
static void expand_parts(const struct path_template *t, const struct path_template_values *v,
	size_t stem, struct buf *out)
{
	struct clock_civil c;
	clock_civil(v->ingest_time, &c);
	for (size_t i = 0; i < t->nparts; i++) {
		const struct part *p = &t->parts[i];
		switch (p->kind) {
		case PART_LITERAL:
			(void)buf_add(out, p->text, p->len);
			break;
		case PART_YEAR:
			(void)buf_printf(out, "%04d", c.year);
			break;
		case PART_MONTH:
			(void)buf_printf(out, "%02d", c.month);
			break;
		case PART_DAY:
			(void)buf_printf(out, "%02d", c.day);
			break;
		case PART_HOUR:
			(void)buf_printf(out, "%02d", c.hour);
			break;
		case PART_UPLOAD_ID:
			(void)buf_add_str(out, v->upload_id);
			break;
		case PART_FILENAME:
			(void)buf_add(out, v->filename, stem);
			break;
		case PART_STREAM_ID:
			(void)buf_add_str(out, v->data_stream_id);
			break;
		case PART_STREAM_ROUTE:
			(void)buf_add_str(out, v->data_stream_route);
			break;
		case PART_EMPTY:
			break;
		}
	}
	(void)buf_add_str(out, v->filename + stem_length(v->filename));
}

/* A value fills a segment, it never makes one. */
static int check_value(const char *what, const char *value, struct err *err)
{
	if (!strchr(value, '/'))
		return 0;
	return err_set(err, ERR_INVALID, "path_template_expand",
		"the %s contains \"/\" and would lead out of its place in the target", what);
}

int path_template_expand(const struct path_template *t, const struct path_template_values *v,
	struct buf *out, struct err *err)
{
	if (check_value("upload id", v->upload_id, err) < 0 ||
		check_value("file name", v->filename, err) < 0 ||
		check_value("data_stream_id", v->data_stream_id, err) < 0 ||
		check_value("data_stream_route", v->data_stream_route, err) < 0)
		return -1;
	/* A name of legal length may pass the file system's limit with what the template adds: cut
	 * it. */
	struct buf path;
	buf_init(&path, BLOB_KEY_MAX);
	size_t stem = stem_length(v->filename);
	expand_parts(t, v, stem, &path);
	size_t excess = path.overflow ? 0 : segment_excess(buf_str(&path));
	if (excess > 0 && excess < stem) {
		buf_reset(&path);
		expand_parts(t, v, utf8_prefix(v->filename, stem - excess), &path);
	}
	int rc = -1;
	if (path.overflow)
		err_set(err, ERR_INVALID, __func__,
			"the path of the delivery is longer than %d bytes", BLOB_KEY_MAX);
	else if (!blob_key_valid(buf_str(&path)) || segment_excess(buf_str(&path)) > 0)
		err_set(err, ERR_INVALID, __func__,
			"the path of the delivery would leave the target or is not a valid name");
	else if (buf_add(out, path.data, path.len) < 0)
		err_set(err, ERR_TOO_LARGE, __func__, "the path of the delivery is too long");
	else
		rc = 0;
	buf_free(&path);
	return rc;
}

int path_template_with_id(const char *path, const char *upload_id, struct buf *out)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t stem = stem_length(name);
	size_t full = strlen(name) + 1 + strlen(upload_id);
	size_t keep = stem;
	if (full > SEGMENT_MAX && full - SEGMENT_MAX < stem)
		keep = utf8_prefix(name, stem - (full - SEGMENT_MAX));
	if (buf_add(out, path, (size_t)(name - path) + keep) < 0 || buf_add_char(out, '_') < 0 ||
		buf_add_str(out, upload_id) < 0)
		return -1;
	return buf_add_str(out, name + stem);
}
