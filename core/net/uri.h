/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_URI_H
#define DEX_NET_URI_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* URLs of services (RFC 3986): http and https with a host; no user information, no fragment. */

struct err;

struct uri {
	bool tls;
	char *host;      /* lower case; an IPv6 address in its brackets */
	unsigned port;   /* 80 or 443 where the text has none */
	char *authority; /* host, and ":port" unless it is the scheme's own: value of a Host field
			  */
	char *path;      /* as written, without a final slash; "" for none */
	char *query;     /* as written, without '?'; "" for none */
};

/* Take ${text} apart. ERR_INVALID tells what is wrong, without the text itself. */
int uri_parse(const char *text, struct uri *out, struct err *err);
void uri_free(struct uri *u); /* idempotent */
/* Append "scheme://authority". */
int uri_origin(const struct uri *u, struct buf *out);
/*
 * Append ${path} with every byte percent-encoded (upper-case hex) but A-Z a-z 0-9 - . _ ~ and '/':
 * the form that SigV4 and Azure's SharedKey expect.
 */
int uri_encode_path(struct buf *out, const char *path);
/* As uri_encode_path, '/' encoded too: for names and values of a query. */
int uri_encode(struct buf *out, const char *text);
/* Append the text of ${len} bytes with %XX replaced ('+' stays). -1: malformed, or it holds NUL. */
int uri_decode(struct buf *out, const char *text, size_t len);

#endif
