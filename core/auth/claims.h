/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_CLAIMS_H
#define DEX_AUTH_CLAIMS_H

#include "core/base/json.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * What a token says of itself: the claims of a JWT (RFC 7519 section 4.1, RFC 9068), which are also
 * the members of an introspection answer (RFC 7662 section 2.2). Pure.
 */

struct err;

#define CLAIMS_SKEW_S 60 /* clocks may differ by so much */

struct claims_rules {
	const char *issuer;   /* value of iss; NULL: any */
	const char *audience; /* must stand in aud; NULL: any */
	bool complete;        /* a JWT: iss and exp must be there */
	int64_t now;          /* wall clock, microseconds */
};

/*
 * iss, aud, exp, nbf, iat against ${r}. ERR_INVALID: one of them fails, is malformed, or missing
 * where it must not be. The text is one of a few fixed sentences.
 */
int claims_check(const json_t *claims, const struct claims_rules *r, struct err *err);
/* End of life, wall clock in microseconds; 0: none. Only after claims_check. */
int64_t claims_expires_at(const json_t *claims);
/* Whom the token stands for: sub, else client_id; NULL: neither is there. Borrowed. */
const char *claims_subject(const json_t *claims);
/* Each scope of ${wanted} (separated by spaces) stands in `scope` or `scp`. "": true. */
bool claims_have_scopes(const json_t *claims, const char *wanted);

#endif
