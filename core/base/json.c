/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/json.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

/*
 * Tokens and keys come as JSON, and jansson leaves copies of them in what it frees. Before main, as
 * nothing may use jansson meanwhile.
 */
__attribute__((constructor)) static void wipe_what_is_freed(void)
{
	json_set_alloc_funcs(malloc, mem_wiping_free);
}

/*
 * jansson recurses up to 2048 levels, more than a thread's stack should carry. Brackets outside
 * strings are counted first; whether they match is left to the parser.
 */
static bool too_deep(const char *text, size_t len)
{
	bool in_string = false;
	int depth = 0;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > DEPTH_MAX)
				return true;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return false;
}

json_t *json_parse(const char *text, size_t len, struct err *err)
{
	if (too_deep(text, len)) {
		err_set(err, ERR_INVALID, __func__, "nested more than %d levels deep", DEPTH_MAX);
		return NULL;
	}
	json_error_t why;
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!value) {
		err_set(err, ERR_INVALID, __func__, "line %d column %d: %s", why.line, why.column,
			why.text);
		return NULL;
	}
	if (!json_is_object(value)) {
		json_decref(value);
		err_set(err, ERR_INVALID, __func__, "line 1 column 1: not an object");
		return NULL;
	}
	return value;
}

static int add(const char *data, size_t len, void *out)
{
	return buf_add(out, data, len);
}

int json_write(struct buf *out, const json_t *value)
{
	size_t before = out->len;
	if (json_dump_callback(value, add, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		return 0;
	out->overflow = true;
	out->len = before;
	if (out->data)
		out->data[before] = '\0';
	return -1;
}

const char *json_get_str(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

/* Bytes of the UTF-8 sequence at the start of ${s}, 0 when there is none. */
static size_t sequence_length(const char *s, size_t len)
{
	unsigned char c = (unsigned char)s[0];
	size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
	return n <= len && str_is_utf8(s, n) ? n : 0;
}

static void escape(struct buf *out, char c)
{
	static const char short_from[] = "\"\\\b\f\n\r\t";
	static const char short_to[] = "\"\\bfnrt";
	const char *at = c ? strchr(short_from, c) : NULL;
	if (at)
		(void)buf_printf(out, "\\%c", short_to[at - short_from]);
	else
		(void)buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
}

/* Bytes at the start of ${s} that stand for themselves, whatever follows. */
static size_t plain_length(const char *s, size_t len)
{
	size_t n = 0;
	while (n < len && s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	return n;
}

int json_write_string(struct buf *out, const char *s, size_t len)
{
	if (plain_length(s, len) == len) {
		if (buf_reserve(out, len + 2) == 0) {
			(void)buf_add_char(out, '"');
			(void)buf_add(out, s, len);
			(void)buf_add_char(out, '"');
		}
		return out->overflow ? -1 : 0;
	}
	bool utf8 = str_is_utf8(s, len);
	size_t done = 0; /* bytes before it are written, those up to i need no change */
	(void)buf_add_char(out, '"');
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || utf8)) {
			i++;
			continue;
		}
		size_t n = c < 0x80 ? 0 : sequence_length(s + i, len - i);
		if (n > 0) {
			i += n;
			continue;
		}
		(void)buf_add(out, s + done, i - done);
		if (c < 0x80)
			escape(out, (char)c);
		else
			(void)buf_add_str(out, "\xEF\xBF\xBD");
		done = ++i;
	}
	(void)buf_add(out, s + done, len - done);
	(void)buf_add_char(out, '"');
	return out->overflow ? -1 : 0;
}
