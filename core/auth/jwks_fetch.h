/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_JWKS_FETCH_H
#define DEX_AUTH_JWKS_FETCH_H

#include "core/base/buf.h"

#include <stdint.h>

/*
 * The two requests by which an issuer's keys are had: discovery.h, and the key set that it names.
 * One try each, no redirects. Nothing is kept.
 */

struct err;
struct net_http;

/* The issuer's key set into ${out}, as it came. */
int jwks_fetch(struct net_http *http, const char *issuer, int64_t deadline_ms, struct buf *out,
	struct err *err);

#endif
