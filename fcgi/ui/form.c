/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/form.h"

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <string.h>

static int decode(const char *s, size_t len, struct buf *out)
{
	buf_reset(out);
	for (size_t i = 0; i < len; i++) {
		char c = s[i] == '+' ? ' ' : s[i];
		if (c == '%') {
			int high = i + 2 < len ? str_hex_digit(s[i + 1]) : -1;
			int low = i + 2 < len ? str_hex_digit(s[i + 2]) : -1;
			if (high < 0 || low < 0)
				return -1;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0' || buf_add_char(out, c) < 0)
			return -1;
	}
	return str_is_utf8(buf_str(out), out->len) ? 0 : -1;
}

static int add_pair(json_t *form, const char *pair, size_t len, struct err *err)
{
	const char *equals = memchr(pair, '=', len);
	struct buf name, value;
	int rc = -1;

	buf_init(&name, FORM_MAX);
	buf_init(&value, FORM_MAX);
	if (!equals) {
		err_set(err, ERR_INVALID, __func__, "a form field has no value");
		goto out;
	}
	if (decode(pair, (size_t)(equals - pair), &name) < 0 || name.len == 0) {
		err_set(err, ERR_INVALID, __func__, "the name of a form field is malformed");
		goto out;
	}
	if (decode(equals + 1, len - (size_t)(equals - pair) - 1, &value) < 0) {
		err_set(err, ERR_INVALID, __func__, "the value of form field %.64s is malformed",
			buf_str(&name));
		goto out;
	}
	if (json_object_get(form, buf_str(&name))) {
		err_set(err, ERR_INVALID, __func__, "form field %.64s stands twice",
			buf_str(&name));
		goto out;
	}
	rc = json_object_set_new(form, buf_str(&name), json_string(buf_str(&value)));
	if (rc < 0)
		err_set(err, ERR_INVALID, __func__, "a form field cannot be kept");
out:
	buf_free(&name);
	buf_free(&value);
	return rc;
}

json_t *form_parse(const char *text, size_t len, struct err *err)
{
	json_t *form = json_object();

	if (len > FORM_MAX) {
		err_set(err, ERR_INVALID, __func__, "the form is larger than %zu bytes", FORM_MAX);
		goto fail;
	}
	for (size_t at = 0; len > 0 && at <= len;) {
		const char *end = at < len ? memchr(text + at, '&', len - at) : NULL;
		size_t n = end ? (size_t)(end - text) - at : len - at;
		if (json_object_size(form) == FORM_FIELDS_MAX) {
			err_set(err, ERR_INVALID, __func__, "the form has more than %d fields",
				FORM_FIELDS_MAX);
			goto fail;
		}
		if (add_pair(form, text + at, n, err) < 0)
			goto fail;
		at += n + 1;
	}
	return form;
fail:
	json_decref(form);
	return NULL;
}

static bool is_form(struct http_request *r)
{
	const char *type = http_param(r, "CONTENT_TYPE");
	size_t n = strlen(FORM_TYPE);

	return type && strncmp(type, FORM_TYPE, n) == 0 && (type[n] == '\0' || type[n] == ';');
}

json_t *form_read(struct http_request *r, int *status)
{
	struct buf text;
	json_t *form = NULL;

	*status = 400;
	buf_init(&text, FORM_MAX);
	if (!is_form(r))
		*status = 415;
	else if (http_read_all(r, &text, FORM_MAX, r->err) == 0)
		form = form_parse(buf_str(&text), text.len, r->err);
	else if (r->err->code == ERR_TOO_LARGE)
		*status = 413;
	buf_free(&text);
	return form;
}
