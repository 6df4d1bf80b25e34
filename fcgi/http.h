/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_HTTP_H
#define DEX_FCGI_HTTP_H

#include "core/auth/auth.h"
#include "core/base/buf.h"
#include "core/base/json.h"
#include "core/tus/upload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One request and its answer, above the transport. A handler reads parameters and body, sets
 * status, headers and a small body; http_finish sends them. CGI variables are named as in RFC 3875.
 */

struct app;
struct err;

enum http_method {
	HTTP_GET = 1 << 0,
	HTTP_HEAD = 1 << 1,
	HTTP_POST = 1 << 2,
	HTTP_PATCH = 1 << 3,
	HTTP_DELETE = 1 << 4,
	HTTP_OPTIONS = 1 << 5,
	HTTP_OTHER = 1 << 6,
};

/* The transport: FastCGI, CGI, in-memory for tests. */
struct http_io {
	/* Value of a CGI variable, NULL when absent. */
	const char *(*param)(void *arg, const char *name);
	/*
	 * Next piece of the request body, in place, as body_source.next in core/tus/upload.h: waits
	 * at most
	 * ${timeout_ms} (0: not at all), also for ${wake_fd} when it is not -1.
	 */
	enum body_result (*read)(
		void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len);
	/* Send bytes of the answer ("Status: …" head first). -1: the client has gone. */
	int (*write)(void *arg, const void *data, size_t len);
};

/*
 * What an answer to a request whose body was not read needs first, so that it arrives. nginx hands
 * it on at once; Apache's mod_proxy_fcgi does so after about 64 KiB; behind a CGI server the answer
 * is lost unless the body is taken.
 */
enum http_drain { HTTP_DRAIN_NONE, HTTP_DRAIN_SOME, HTTP_DRAIN_ALL };

struct http_request {
	struct app *app;
	const struct http_io *io;
	void *io_arg;
	enum http_method method; /* after X-HTTP-Method-Override */
	char method_name[16];    /* for logs and labels; "OTHER" when unknown */
	const char *path;        /* what routes match, begins with '/' */
	const char *prefix;      /* where the program is mounted, "" or "/cgi-bin/dex" */
	const char *id;          /* id part of the path, validated uuid, or NULL */
	int64_t content_length;  /* -1: not declared (chunked or absent) */
	bool has_body;           /* a body may follow: length > 0, or chunked */
	bool body_ended;         /* BODY_END or BODY_GONE was seen */
	bool body_gone;          /* it ended before its declared length */
	uint64_t body_read;      /* bytes of body taken so far */
	enum http_drain drain;   /* set by the transport */
	unsigned flags;          /* enum route_flags of the route; 0 until one was found */
	const char *route;       /* its path, or what stands before the id; NULL until then */

	struct auth_identity identity; /* who sends it; empty where nobody was asked */

	int status;                /* 0 until set */
	struct buf head;           /* header lines of the answer */
	struct buf body;           /* body of the answer, at most 1 MiB */
	const char *content_type;  /* of that body; static string */
	const char *code;          /* error code for metrics, NULL when fine */
	char upload_id[UUID_SIZE]; /* for the log line; "" when there is none */
	struct err *err; /* what went wrong inside, for the log line; scratch for handlers */
};

/* Make ${name} the request's method (HTTP_OTHER when unknown or NULL), and the way back. */
void http_set_method(struct http_request *r, const char *name);
const char *http_method_name(enum http_method method);
/* CGI variable, or NULL when absent or empty. http_header("Upload-Offset") is param
 * HTTP_UPLOAD_OFFSET. */
const char *http_param(struct http_request *r, const char *name);
const char *http_header(struct http_request *r, const char *name);
/* A header that is present but empty: "" is returned; absent: NULL. */
const char *http_header_raw(struct http_request *r, const char *name);
/* Value of a query parameter, percent-decoded into ${out}; -1 when absent. */
int http_query(struct http_request *r, const char *name, struct buf *out);

/* Next piece of the body; keeps body_read and body_ended. */
enum body_result http_read(
	struct http_request *r, int64_t timeout_ms, int wake_fd, const void **data, size_t *len);
/* The body as a source for upload_receive. */
void http_body_source(struct http_request *r, struct body_source *out);
/* Whole body of at most ${max} bytes into ${out}. ERR_TOO_LARGE, ERR_PEER_GONE, ERR_UNAVAILABLE
 * (slow). */
int http_read_all(struct http_request *r, struct buf *out, size_t max, struct err *err);

void http_status(struct http_request *r, int status);
void http_add_header(struct http_request *r, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, unless that header is set already. */
void http_add_header_once(struct http_request *r, const char *name, const char *value);
/* Set the body with its type; http_finish adds Content-Length. */
void http_text(struct http_request *r, int status, const char *text);
void http_json(struct http_request *r, int status, const json_t *value);
/*
 * Answer with an error: status and tus code from the table in http_error.c (ERR_* -> status, code),
 * body "CODE: sentence\n". Keeps ${err} for the log line.
 */
void http_error(struct http_request *r, const struct err *err);
/* The same with an explicit status and code where the table's choice does not fit. */
void http_fail(struct http_request *r, int status, const char *code, const char *text);

/* Head and body of the answer of a process that could not be set up: 503; the cause is for the log.
 */
extern const char http_refusal[];

/*
 * Absolute URL of this service as the client sees it, without a closing slash: from Forwarded /
 * X-Forwarded-* when the peer is a trusted proxy, else from the web server's variables, else from
 * SERVER_PROTOCOL/HOSTNAME/PORT settings. Appended to ${out}.
 */
int http_base_url(struct http_request *r, struct buf *out);

/* The client sent the request over TLS, as far as the same sources tell. */
bool http_is_https(struct http_request *r);

/*
 * The three steps of http_serve: take the request line and its variables in; send the answer that
 * was set (500 where none was) and return the bytes sent, or -1 when the client has gone; free.
 */
void http_begin(struct http_request *r, struct app *app, const struct http_io *io, void *io_arg,
	enum http_drain drain, struct err *err);
int64_t http_finish(struct http_request *r);
void http_end(struct http_request *r);

/*
 * Serve one request from first to last: parse, route, send, count, log one line. Used by every
 * transport. ${io_arg} is handed to the io functions.
 */
void http_serve(struct app *app, const struct http_io *io, void *io_arg, enum http_drain drain);

#endif
