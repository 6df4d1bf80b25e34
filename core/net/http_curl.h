/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_HTTP_CURL_H
#define DEX_NET_HTTP_CURL_H

#include "core/net/http.h"

/*
 * The inside of http.h: one try of one request through libcurl, the only file that knows it.
 * libcurl is loaded when it is first needed and stays loaded.
 */

struct err;

struct http_curl_try {
	const struct net_http_options *options; /* times are set */
	const struct net_request *request;
	struct net_response *answer; /* emptied first; `tries` is left alone */
	int64_t deadline_ms;
	bool sunk;   /* out: bytes went to the request's sink */
	bool repeat; /* out: it failed on the way, another try may fare better */
};

/* ERR_UNAVAILABLE: the library cannot be loaded; the text names it. */
int http_curl_load(struct err *err);
/* A handle keeps connections between tries. Only after http_curl_load; NULL: out of memory. */
void *http_curl_open(void);
void http_curl_close(void *handle);
/* Errors as net_http_send. */
int http_curl_try(void *handle, struct http_curl_try *t, struct err *err);

#endif
