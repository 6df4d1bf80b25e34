/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_JWT_H
#define DEX_AUTH_JWT_H

#include "core/auth/jwk.h"
#include "core/base/json.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * JSON Web Tokens in compact form (RFC 7519, RFC 7515), signed. Pure: keys and time are given, see
 * claims.h for the latter. What RFC 8725 warns of is refused: algorithms that are not asymmetric,
 * `crit` and `b64`, keys that come with the token (they are not looked at), members that stand
 * twice, types other than JWT and at+jwt
 * (none at all is common, and fine).
 */

struct err;

#define JWT_MAX 8192 /* bytes */

struct jwt {
	const char *text;  /* as given, borrowed */
	size_t signed_len; /* bytes of it that the signature is about */
	json_t *header;
	const char *alg; /* of the header; a known one */
	const char *kid; /* of the header; NULL: none */
	json_t *claims;
	unsigned char *sig;
	size_t sig_len;
};

/* Three parts, separated by dots: what is judged as a JWT. */
bool jwt_looks_like(const char *text);
/*
 * Take ${text} apart; it must stay as long as ${out}. ERR_INVALID: it is malformed, or of a kind
 * that is refused; nothing has to be freed then.
 */
int jwt_parse(const char *text, struct jwt *out, struct err *err);
void jwt_free(struct jwt *t); /* wipes; leaves it empty */

enum jwt_result {
	JWT_GOOD,
	JWT_FORGED, /* the key it names did not sign it, or is for another algorithm */
	JWT_NO_KEY, /* the key it names is not in the set; or it names none, and no key signed it */
};
enum jwt_result jwt_verify(const struct jwt *t, const struct jwk_set *keys);

#endif
