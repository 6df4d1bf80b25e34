/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "fcgi/http.h"

#include <stdio.h>

/*
 * Failures as HTTP says them. The codes are those of tusd, which clients and dashboards know.
 * ${text}: what a client is told where the cause is ours; NULL: the error's own sentence.
 */
struct failure {
	int status;
	const char *code;
	const char *text;
};

/* What lies below us failed, whatever it was: the client did nothing wrong and may try again. */
#define UNAVAILABLE                                                                  \
	{                                                                            \
		503, "ERR_SERVICE_UNAVAILABLE",                                      \
			"the service is not ready for this request, try again later" \
	}

static const struct failure unavailable = UNAVAILABLE;

static const struct failure table[] = {
	[ERR_NONE] = {500, "ERR_INTERNAL_SERVER_ERROR", "something went wrong inside the server"},
	[ERR_INVALID] = {400, "ERR_INVALID_REQUEST", NULL},
	[ERR_NOT_FOUND] = {404, "ERR_UPLOAD_NOT_FOUND", NULL},
	[ERR_EXISTS] = {409, "ERR_UPLOAD_EXISTS", NULL},
	[ERR_CONFLICT] = {409, "ERR_MISMATCHED_OFFSET", NULL},
	[ERR_LOCKED] = {423, "ERR_UPLOAD_LOCKED", NULL},
	[ERR_GONE] = {410, "ERR_UPLOAD_GONE", NULL},
	[ERR_TOO_LARGE] = {413, "ERR_MAX_SIZE_EXCEEDED", NULL},
	[ERR_NO_SPACE] = {507, "ERR_NO_SPACE", "there is no space left for this upload"},
	[ERR_UNAVAILABLE] = UNAVAILABLE,
	/* Seen only by a client that half-closed; it may resume, so no status that ends its tries.
	 */
	[ERR_PEER_GONE] = {423, "ERR_UPLOAD_INTERRUPTED", NULL},
	[ERR_INTERRUPTED] = {423, "ERR_UPLOAD_INTERRUPTED", NULL},
	[ERR_DENIED] = {403, "ERR_FORBIDDEN", NULL},
	[ERR_UNSUPPORTED] = {501, "ERR_NOT_IMPLEMENTED", NULL},
	[ERR_TOO_MANY] = {429, "ERR_TOO_MANY_UPLOADS",
		"too many uploads are unfinished, finish or delete some, or try again later"},
	[ERR_CORRUPT] = UNAVAILABLE,
	[ERR_IO] = UNAVAILABLE,
};

static const struct failure *failure_of(const struct err *err)
{
	if ((size_t)err->code >= sizeof(table) / sizeof(table[0]))
		return &unavailable;
	/* A file that is missing or may not be opened is our trouble, not the client's request. */
	bool of_system =
		err->sys_errno != 0 &&
		(err->code == ERR_NOT_FOUND || err->code == ERR_DENIED || err->code == ERR_EXISTS);
	return of_system ? &unavailable : &table[err->code];
}

const char http_refusal[] = "Status: 503 Service Unavailable\r\n"
			    "Retry-After: 5\r\n"
			    "Tus-Resumable: " TUS_VERSION "\r\n"
			    "Cache-Control: no-store\r\n"
			    "X-Content-Type-Options: nosniff\r\n"
			    "Referrer-Policy: no-referrer\r\n"
			    "Content-Security-Policy: default-src 'none'; "
			    "frame-ancestors 'none'\r\n"
			    "Content-Type: text/plain; charset=utf-8\r\n"
			    "\r\n"
			    "ERR_SERVICE_UNAVAILABLE: the service is not set up\n";

void http_fail(struct http_request *r, int status, const char *code, const char *text)
{
	char body[ERR_TEXT_MAX + 64];

	r->code = code;
	(void)snprintf(body, sizeof(body), "%s: %s\n", code, text);
	http_text(r, status, body);
}

void http_error(struct http_request *r, const struct err *err)
{
	const struct failure *f = failure_of(err);

	if (err != r->err)
		*r->err = *err;
	http_fail(r, f->status, f->code, f->text ? f->text : err->text);
	if (f->status == 503)
		http_add_header_once(r, "Retry-After", "5");
	if (f->status == 429)
		http_add_header_once(r, "Retry-After", "60");
}
