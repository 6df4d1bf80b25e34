/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_JOSE_H
#define DEX_TEST_JOSE_H

#include "core/base/buf.h"

#include <stddef.h>

/* Makes keys and tokens, good ones and bad ones. What goes wrong ends the test program. */

struct jose_key;

/* ${kind}: "RSA" (2048 bits), "RSA1024", "P-256", "P-384", "P-521", "Ed25519", "Ed448". */
struct jose_key *jose_key_new(const char *kind, const char *kid);
void jose_key_free(struct jose_key *k);
/* Append the public key as a JWK with its kid and ${more}: further members, as ",\"a\":1", or "".
 */
void jose_key_jwk(const struct jose_key *k, const char *more, struct buf *out);
/* Append {"keys":[…]} of the ${n} keys. */
void jose_key_set(struct jose_key *const *keys, size_t n, struct buf *out);

/* Append base64url. */
void jose_encode(struct buf *out, const void *data, size_t len);
/* The token of header and claims, signed as ${alg} says ("HS256": with ${k}'s JWK as the secret,
 * "none": not at all). malloc'ed. */
char *jose_token(const struct jose_key *k, const char *alg, const char *header, const char *claims);
/* The same with the usual header {"alg":…,"kid":…,"typ":"at+jwt"}. */
char *jose_usual(const struct jose_key *k, const char *alg, const char *claims);

#endif
