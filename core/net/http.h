/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_HTTP_H
#define DEX_NET_HTTP_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/net/headers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The HTTP client: libcurl, blocking, safe from any thread. Connections are kept and used again.
 * A connection whose other end has not acknowledged for 10 s what was sent has failed on the way.
 * Certificates and host names are always checked. Redirects are not followed. libcurl is loaded
 * with the first request, so that a program that makes none does not pay for its forty libraries.
 */

struct net_http;
struct net_response;

struct net_http_options {
	const char *ca_file; /* certificates to trust instead of the system's; NULL: the system's */
	const char *proxy;   /* proxy URL; NULL: none, whatever the environment says */
	int64_t connect_ms;  /* to connect and shake hands; 0: 5 s */
	int64_t stall_ms; /* without a byte in either direction, looked at once a second; 0: 30 s */
};
struct net_http *net_http_new(const struct net_http_options *o); /* strings are copied */
void net_http_free(struct net_http *h); /* no request may be running; NULL is fine */

/* Receives the body of a 2xx answer as it comes; -1 ends the request. */
typedef int net_sink_fn(void *arg, const void *data, size_t len);

struct net_request {
	const char *method; /* GET HEAD PUT POST DELETE */
	const char *url;    /* whole and encoded; sent as it is (no dot segments are removed) */
	struct net_headers headers;
	const void *body; /* borrowed until the request returns; sent again with each try */
	size_t body_len;  /* PUT and POST always send a Content-Length, also of 0 */
	/*
	 * Called before each try with the wall clock (microseconds) to sign with; it sets fields of
	 * ${headers} with net_headers_set, and may set ${signed_url}. NULL: nothing to sign. -1 +
	 * err: give up.
	 */
	int (*sign)(void *arg, struct net_request *r, int64_t now, struct err *err);
	void *sign_arg;
	/*
	 * Sent instead of ${url} where not NULL: a URL that carries its signature. sign frees the
	 * one of the last try and makes another from ${url}, which stays as it was.
	 */
	char *signed_url; /* malloc'ed; net_request_free wipes it */
	/*
	 * Called at each try's end that brought an answer: true: try again at once (the clock was
	 * wrong, a token was old) - at most twice in all. NULL: never.
	 */
	bool (*again)(void *arg, const struct net_request *r, const struct net_response *a);
	void *again_arg;
	/*
	 * Where the body of a 2xx answer goes; NULL: into the answer's `body`. A try that breaks
	 * off after bytes went to a sink is not repeated.
	 */
	net_sink_fn *sink;
	void *sink_arg;
	/*
	 * Repeating the request does no harm: what fails on the way (connect, reset, stall) and
	 * 429, 500, 502, 503, 504 are tried again with growing pauses and full jitter (100 ms,
	 * doubled, 5 s at most; a Retry-After counts), while they end before ${deadline_ms}.
	 */
	bool idempotent;
	/*
	 * Asked about once a second, and before each try: true ends the request. NULL: nobody
	 * wishes to.
	 */
	bool (*stop)(void *arg);
	void *stop_arg;
	int64_t deadline_ms; /* clock_mono_ms() at which it ends, tries and pauses; 0: in 60 s */
};
struct net_response {
	int status; /* of the last try */
	struct net_headers headers;
	struct buf body; /* at most body_max bytes (256 KiB), what is beyond is cut off */
	bool truncated;
	int tries; /* how often it was sent, libcurl's own repetitions too; 1: surely once */
};

void net_request_init(struct net_request *r, const char *method, const char *url);
void net_request_free(struct net_request *r);                    /* its headers */
void net_response_init(struct net_response *a, size_t body_max); /* 0: 256 KiB */
void net_response_free(struct net_response *a); /* fields and body are wiped first */

/*
 * Send ${r} and wait for the answer. 0: there is one, of whatever status, in ${a} (initialised by
 * the caller). -1: none came: ERR_UNAVAILABLE (network, deadline), ERR_INVALID (the URL, a
 * certificate that is not trusted), ERR_INTERRUPTED (the sink or ${stop} ended it). The text names
 * host and cause, never a query string or a header.
 */
int net_http_send(
	struct net_http *h, struct net_request *r, struct net_response *a, struct err *err);

/*
 * What a status that is no success means where its service says no more: ERR_DENIED (401, 403),
 * ERR_NOT_FOUND (404), ERR_TOO_LARGE (413), ERR_UNSUPPORTED (501), ERR_UNAVAILABLE (408, 429 and
 * what else begins with 5), ERR_IO.
 */
enum err_code net_http_meaning(int status);

#endif
