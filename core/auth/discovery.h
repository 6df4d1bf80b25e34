/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_DISCOVERY_H
#define DEX_AUTH_DISCOVERY_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What an issuer tells of itself: OpenID Connect Discovery 1.0 section 4, RFC 8414. One try, no
 * redirects.
 */

struct err;
struct net_http;
struct state;

#define DISCOVERY_MAX ((size_t)256 * 1024) /* bytes of a document */

struct discovery {      /* strings are malloc'ed; NULL: the issuer has none */
	char *jwks_uri; /* never NULL */
	char *authorization_endpoint;
	char *token_endpoint;
	char *revocation_endpoint;
	char *end_session_endpoint;
	bool names_itself; /* its answers to the browser carry `iss` (RFC 9207) */
};
void discovery_free(struct discovery *d); /* leaves it empty */

/*
 * Read ${text}. ERR_UNAVAILABLE: it is no discovery document of ${issuer}; its jwks_uri is neither
 * https nor at the issuer. Other end points of that kind count as not there.
 */
int discovery_parse(
	const char *text, size_t len, const char *issuer, struct discovery *out, struct err *err);
/*
 * Ask ${issuer}. The document is appended to ${text} as it came where that is not NULL.
 * ERR_UNAVAILABLE: no answer, or as above.
 */
int discovery_fetch(struct net_http *http, const char *issuer, int64_t deadline_ms,
	struct discovery *out, struct buf *text, struct err *err);
/*
 * The same from the state store, where it is kept for a quarter of an hour under
 * oauth/discovery/HASH, so that requests of anybody make us ask rarely. A failure is remembered for
 * 5 s.
 */
int discovery_get(struct net_http *http, struct state *state, const char *issuer,
	struct discovery *out, struct err *err);

/* GET ${url}, which has to answer 200 with at most ${max} bytes; ${what} is asked for. */
int discovery_get_document(struct net_http *http, const char *url, int64_t deadline_ms,
	const char *what, size_t max, struct buf *out, struct err *err);

#endif
