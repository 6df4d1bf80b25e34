/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_JWKS_FETCH_H
#define DEX_AUTH_JWKS_FETCH_H

#include "core/base/buf.h"

#include <stdint.h>

/*
 * The two requests by which an issuer's keys are had (OpenID Connect Discovery 1.0 section 4). One
 * try each, no redirects. Nothing is kept.
 */

struct err;
struct net_http;

/*
 * The jwks_uri of ${issuer}, malloc'ed. NULL: ERR_UNAVAILABLE: no answer, or one that is no
 * discovery document of this issuer; a jwks_uri without TLS that is not of the issuer's origin.
 */
char *jwks_fetch_discover(
	struct net_http *http, const char *issuer, int64_t deadline_ms, struct err *err);
/* The issuer's key set into ${out}, as it came. */
int jwks_fetch(struct net_http *http, const char *issuer, int64_t deadline_ms, struct buf *out,
	struct err *err);

#endif
