/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_JWS_H
#define DEX_AUTH_JWS_H

#include "core/auth/jwk.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Signatures by their JOSE names (RFC 7518 section 3, RFC 8037): RS, PS and ES 256, 384, 512 and
 * EdDSA. No other is known, "none" and HS* least of all.
 */

bool jws_known(const char *alg);
/* ${key} may check signatures of ${alg}: its kind and curve, and its own `alg` where it has one. */
bool jws_fits(const char *alg, const struct jwk *key);
/* ${sig} is the signature of ${data}. The form is that of JOSE: r and s side by side for ES*. */
bool jws_verify(const char *alg, const struct jwk *key, const void *data, size_t len,
	const unsigned char *sig, size_t sig_len);

#endif
