/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/*
 * Texts quote what strangers sent and may be cut anywhere: keep them one line, and do not end in
 * the middle of a UTF-8 character, or JSON writers would refuse the text.
 */
static void tidy(char *text, bool cut)
{
	size_t len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
	if (!cut)
		return;
	while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0 && ((unsigned char)text[len - 1] & 0x80) != 0)
		len--;
	text[len] = '\0';
}

/* Append formatted text to ${e}; whatever does not fit is cut off. */
static void append(struct err *e, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void append(struct err *e, const char *fmt, va_list ap)
{
	size_t used = strlen(e->text);
	int n = vsnprintf(e->text + used, sizeof e->text - used, fmt, ap);
	tidy(e->text, n < 0 || (size_t)n >= sizeof e->text - used);
}

static void append_str(struct err *e, const char *s)
{
	size_t used = strlen(e->text);
	int n = snprintf(e->text + used, sizeof e->text - used, "%s", s);
	tidy(e->text, n < 0 || (size_t)n >= sizeof e->text - used);
}

int err_set(struct err *e, enum err_code code, const char *where, const char *fmt, ...)
{
	if (!e)
		return -1;
	err_clear(e);
	e->code = code;
	e->where = where;
	va_list ap;
	va_start(ap, fmt);
	append(e, fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_code code_of_errno(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
		return ERR_NO_SPACE;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_DENIED;
	case EEXIST:
		return ERR_EXISTS;
	default:
		return ERR_IO;
	}
}

int err_errno(struct err *e, const char *where, const char *fmt, ...)
{
	int number = errno;
	if (!e)
		return -1;
	err_clear(e);
	e->code = code_of_errno(number);
	e->sys_errno = number;
	e->where = where;
	va_list ap;
	va_start(ap, fmt);
	append(e, fmt, ap);
	va_end(ap);
	char why[96];
	append_str(e, ": ");
	append_str(e, strerror_r(number, why, sizeof why));
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	/* Built aside: the prefix may quote the old text. */
	struct err both = {0};
	va_list ap;
	va_start(ap, fmt);
	append(&both, fmt, ap);
	va_end(ap);
	append_str(&both, ": ");
	append_str(&both, e->text);
	memcpy(e->text, both.text, sizeof e->text);
	return -1;
}

void err_clear(struct err *e)
{
	if (!e)
		return;
	e->code = ERR_NONE;
	e->sys_errno = 0;
	e->where = NULL;
	e->text[0] = '\0';
}

const char *err_code_name(enum err_code code)
{
	static const char *const names[] = {
		[ERR_NONE] = "none",
		[ERR_INVALID] = "invalid",
		[ERR_NOT_FOUND] = "not found",
		[ERR_EXISTS] = "exists",
		[ERR_CONFLICT] = "conflict",
		[ERR_LOCKED] = "locked",
		[ERR_GONE] = "gone",
		[ERR_TOO_LARGE] = "too large",
		[ERR_NO_SPACE] = "no space",
		[ERR_UNAVAILABLE] = "unavailable",
		[ERR_PEER_GONE] = "peer gone",
		[ERR_INTERRUPTED] = "interrupted",
		[ERR_DENIED] = "denied",
		[ERR_UNSUPPORTED] = "unsupported",
		[ERR_CORRUPT] = "corrupt",
		[ERR_TOO_MANY] = "too many",
		[ERR_IO] = "input/output",
	};
	size_t i = (size_t)code;
	return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}
