/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/template.h"

#include "core/base/err.h"
#include "core/base/str.h"
#include "fcgi/ui/texts.h"

#include <inttypes.h>
#include <string.h>

#define NAME_SIZE 64

struct rendering {
	struct buf *out;
	const char *begin, *end;                  /* of the whole template */
	const json_t *scopes[TEMPLATE_DEPTH_MAX]; /* innermost last */
	size_t depth;
	struct err *err;
};

/* One {{...}} of a template. */
struct tag {
	const char *begin; /* at "{{" */
	const char *end;   /* behind "}}" */
	char kind;         /* '#', '^', '/' or 0 */
	char name[NAME_SIZE];
};

int template_escape(struct buf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_char(s + i, len - i);
		unsigned char c = (unsigned char)s[i];
		if (n == 0)
			(void)buf_add_str(out, "\xef\xbf\xbd");
		else if (c == '&')
			(void)buf_add_str(out, "&amp;");
		else if (c == '<')
			(void)buf_add_str(out, "&lt;");
		else if (c == '>')
			(void)buf_add_str(out, "&gt;");
		else if (c == '"')
			(void)buf_add_str(out, "&quot;");
		else if (c == '\'')
			(void)buf_add_str(out, "&#39;");
		else if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
			(void)buf_add_char(out, ' ');
		else
			(void)buf_add(out, s + i, n);
		i += n ? n : 1;
	}
	return out->overflow ? -1 : 0;
}

/* The next tag in ${p}..${end}: 1, 0 where there is none, -1 when it is malformed. */
static int next_tag(const char *p, const char *end, struct tag *tag)
{
	const char *begin = memmem(p, (size_t)(end - p), "{{", 2);
	if (!begin)
		return 0;
	const char *inner = begin + 2;
	const char *close = memmem(inner, (size_t)(end - inner), "}}", 2);
	if (!close)
		return -1;
	*tag = (struct tag){.begin = begin, .end = close + 2};
	if (inner < close && strchr("#^/", *inner))
		tag->kind = *inner++;
	size_t n = (size_t)(close - inner);
	if (n == 0 || n >= NAME_SIZE)
		return -1;
	memcpy(tag->name, inner, n);
	tag->name[n] = '\0';
	return tag->name[strspn(tag->name, "abcdefghijklmnopqrstuvwxyz0123456789_.")] == '\0' ? 1
											      : -1;
}

/* Where the section that ${open} begins ends: its closing tag. */
static int find_close(const struct tag *open, const char *end, struct tag *close)
{
	size_t depth = 1;
	const char *p = open->end;
	while (next_tag(p, end, close) == 1) {
		if (close->kind == '#' || close->kind == '^')
			depth++;
		else if (close->kind == '/' && --depth == 0)
			return str_eq(open->name, close->name) ? 0 : -1;
		p = close->end;
	}
	return -1;
}

static const json_t *value_of(const struct rendering *r, const char *name)
{
	if (str_eq(name, "."))
		return r->scopes[r->depth - 1];
	for (size_t i = r->depth; i-- > 0;) {
		const json_t *value = json_object_get(r->scopes[i], name);
		if (value)
			return value;
	}
	return NULL;
}

static bool is_something(const json_t *value)
{
	if (json_is_array(value))
		return json_array_size(value) > 0;
	if (json_is_string(value))
		return json_string_length(value) > 0;
	return json_is_object(value) || json_is_number(value) || json_is_true(value);
}

static int put_value(struct rendering *r, const char *name)
{
	if (str_starts(name, "t.")) {
		const char *text = texts_get(name + 2);
		if (!text)
			return err_set(
				r->err, ERR_INVALID, __func__, "there is no text %s", name + 2);
		return template_escape(r->out, text, strlen(text));
	}
	const json_t *value = value_of(r, name);
	if (json_is_string(value))
		return template_escape(r->out, json_string_value(value), json_string_length(value));
	if (json_is_integer(value))
		return buf_printf(r->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return 0;
}

/* Behind a section's tag: a line that holds nothing else gives no empty line. */
static const char *behind(const struct rendering *r, const struct tag *tag)
{
	bool alone = (tag->begin == r->begin || tag->begin[-1] == '\n') && tag->end < r->end &&
		     *tag->end == '\n';
	return alone ? tag->end + 1 : tag->end;
}

static int render(struct rendering *r, const char *p, const char *end);

static int render_inside(
	struct rendering *r, const json_t *scope, const struct tag *open, const struct tag *close)
{
	if (r->depth == TEMPLATE_DEPTH_MAX)
		return err_set(r->err, ERR_INVALID, __func__, "sections are nested too deeply");
	r->scopes[r->depth++] = scope;
	int rc = render(r, behind(r, open), close->begin);
	r->depth--;
	return rc;
}

static int render_section(struct rendering *r, const struct tag *open, const struct tag *close)
{
	const json_t *value = value_of(r, open->name);
	int rc = 0;

	if (is_something(value) != (open->kind == '#'))
		return 0;
	if (open->kind == '^' || (!json_is_array(value) && !json_is_object(value)))
		return render_inside(r, r->scopes[r->depth - 1], open, close);
	if (json_is_object(value))
		return render_inside(r, value, open, close);
	for (size_t i = 0; rc == 0 && i < json_array_size(value); i++)
		rc = render_inside(r, json_array_get(value, i), open, close);
	return rc;
}

static int render(struct rendering *r, const char *p, const char *end)
{
	struct tag tag, close;
	int found;

	while ((found = next_tag(p, end, &tag)) == 1) {
		(void)buf_add(r->out, p, (size_t)(tag.begin - p));
		p = tag.end;
		if (tag.kind == 0) {
			if (put_value(r, tag.name) < 0)
				return -1;
			continue;
		}
		if (tag.kind == '/' || find_close(&tag, end, &close) < 0)
			return err_set(r->err, ERR_INVALID, __func__,
				"section %s is not opened and closed", tag.name);
		if (render_section(r, &tag, &close) < 0)
			return -1;
		p = behind(r, &close);
	}
	if (found < 0)
		return err_set(r->err, ERR_INVALID, __func__, "malformed tag: %.40s", p);
	return buf_add(r->out, p, (size_t)(end - p));
}

int template_render(
	struct buf *out, const char *text, size_t len, const json_t *values, struct err *err)
{
	struct rendering r = {.out = out,
		.begin = text,
		.end = text + len,
		.scopes = {values},
		.depth = 1,
		.err = err};

	if (render(&r, text, text + len) < 0 && !out->overflow)
		return -1;
	if (out->overflow)
		return err_set(err, ERR_TOO_LARGE, __func__, "the page is too large");
	return 0;
}
