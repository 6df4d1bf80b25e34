/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_HTTP_SERVER_H
#define DEX_TEST_HTTP_SERVER_H

#include "core/base/buf.h"
#include "core/net/headers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * An HTTP/1.1 server inside the test program, on a free port of 127.0.0.1, with a thread for each
 * connection. A callback writes each answer, faults included; the requests are kept.
 */
struct http_server;

struct http_server_request {
	char *method;
	char *target; /* as sent */
	char *path;   /* of the target, as sent */
	char *query;  /* behind the '?', as sent; "" for none */
	struct net_headers headers;
	struct buf body;
	int connection; /* number of its connection, from 1 */
};

enum http_server_fault {
	HTTP_SERVER_FINE,
	HTTP_SERVER_CUT,   /* the connection ends as if all were said */
	HTTP_SERVER_RESET, /* it is reset */
	HTTP_SERVER_STALL, /* nothing more comes until the client goes away */
};
struct http_server_answer { /* an empty 200 before the callback */
	int status;
	struct net_headers headers; /* Content-Length is added */
	struct buf body;
	bool close; /* say "Connection: close", and do so */
	bool chunked;
	enum http_server_fault fault;
	ssize_t fault_after; /* so many bytes of the body; -1: before the head */
	int64_t slow_ms;     /* pause before each byte of the body */
	const char *raw;     /* send this instead, and close the connection; static */
};

/* Called from the server's threads, one call at a time. */
typedef void http_server_fn(
	void *arg, const struct http_server_request *q, struct http_server_answer *a);

/* ${fn} NULL: every answer is an empty 200. A failure ends the test program. */
struct http_server *http_server_start(http_server_fn *fn, void *arg);
/*
 * From now on another callback. What it uses may be changed while there is none: after this with
 * NULL, before this with the callback.
 */
void http_server_set(struct http_server *s, http_server_fn *fn, void *arg);
void http_server_stop(struct http_server *s); /* ends its connections; NULL is fine */

const char *http_server_url(const struct http_server *s); /* "http://127.0.0.1:PORT" */
unsigned http_server_port(const struct http_server *s);
/* Requests so far, and number ${i} of them from 0 (valid until the server is stopped). */
size_t http_server_count(struct http_server *s);
const struct http_server_request *http_server_request(struct http_server *s, size_t i);
int http_server_connections(struct http_server *s); /* accepted so far */

#endif
