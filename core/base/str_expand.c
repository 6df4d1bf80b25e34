/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"

#include <string.h>

#define NAME_MAX_LEN 127

struct expansion {
	struct buf *out;
	const char *in;
	size_t len;
	size_t pos;
	size_t line;
	const char *(*lookup)(void *arg, const char *name);
	void *arg;
	struct err *err;
};

static bool name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool name_rest(char c)
{
	return name_start(c) || (c >= '0' && c <= '9');
}

static int malformed(struct expansion *x, const char *what)
{
	return err_set(x->err, ERR_INVALID, "str_expand", "line %zu: %s", x->line, what);
}

static int add(struct expansion *x, const char *s, size_t len)
{
	if (buf_add(x->out, s, len) == 0)
		return 0;
	return err_set(x->err, ERR_TOO_LARGE, "str_expand",
		"line %zu: more than %zu bytes when expanded", x->line, x->out->max);
}

static int read_name(struct expansion *x, char name[NAME_MAX_LEN + 1])
{
	size_t n = 0;
	while (x->pos + n < x->len && (n ? name_rest : name_start)(x->in[x->pos + n]))
		n++;
	if (n == 0)
		return malformed(x, "'$' must be followed by a name, by {NAME} or by another '$'");
	if (n > NAME_MAX_LEN)
		return malformed(x, "variable name too long");
	memcpy(name, x->in + x->pos, n);
	name[n] = '\0';
	x->pos += n;
	return 0;
}

static int put_value(struct expansion *x, const char *name)
{
	const char *value = x->lookup(x->arg, name);
	if (!value)
		return err_set(x->err, ERR_INVALID, "str_expand",
			"line %zu: variable %s is not set and has no default", x->line, name);
	return add(x, value, strlen(value));
}

/* The rest of ${NAME} or ${NAME:-default}; pos is behind the opening brace. */
static int braced(struct expansion *x)
{
	char name[NAME_MAX_LEN + 1];
	if (read_name(x, name) != 0)
		return -1;
	const char *rest = x->in + x->pos;
	size_t left = x->len - x->pos;
	if (left > 0 && rest[0] == '}') {
		x->pos++;
		return put_value(x, name);
	}
	/* A default ends with its line, so that a forgotten brace does not swallow the file. */
	const char *eol = left ? memchr(rest, '\n', left) : NULL;
	if (eol)
		left = (size_t)(eol - rest);
	const char *close = left ? memchr(rest, '}', left) : NULL;
	if (!close || rest[0] != ':' || rest[1] != '-')
		return err_set(x->err, ERR_INVALID, "str_expand",
			"line %zu: malformed reference to variable %s", x->line, name);
	x->pos += (size_t)(close - rest) + 1;
	/* As in the shell, the default of ":-" also stands in for an empty value. */
	const char *value = x->lookup(x->arg, name);
	if (value && *value)
		return add(x, value, strlen(value));
	return add(x, rest + 2, (size_t)(close - rest) - 2);
}

/* One reference; pos is behind the '$'. */
static int reference(struct expansion *x)
{
	char c = x->pos < x->len ? x->in[x->pos] : '\0';
	if (c == '$') {
		x->pos++;
		return add(x, "$", 1);
	}
	if (c == '{') {
		x->pos++;
		return braced(x);
	}
	char name[NAME_MAX_LEN + 1];
	if (read_name(x, name) != 0)
		return -1;
	return put_value(x, name);
}

int str_expand(struct buf *out, const char *in, size_t len,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct err *err)
{
	struct expansion x = {
		.out = out,
		.in = in,
		.len = len,
		.line = 1,
		.lookup = lookup,
		.arg = arg,
		.err = err,
	};
	while (x.pos < len) {
		size_t plain = 0;
		while (x.pos + plain < len && in[x.pos + plain] != '$') {
			if (in[x.pos + plain] == '\n')
				x.line++;
			plain++;
		}
		if (add(&x, in + x.pos, plain) != 0)
			return -1;
		x.pos += plain;
		if (x.pos == len)
			break;
		x.pos++;
		if (reference(&x) != 0)
			return -1;
	}
	return 0;
}
