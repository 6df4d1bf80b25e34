/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_JWK_H
#define DEX_AUTH_JWK_H

#include <stddef.h>

/*
 * Public keys of an issuer: JSON Web Key Sets (RFC 7517, RFC 7518 section 6, RFC 8037) as OpenSSL
 * keys. Pure: no network, no clock.
 */

struct err;
struct evp_pkey_st;

#define JWK_SET_MAX ((size_t)256 * 1024) /* bytes of a set's text */
#define JWK_KEYS_MAX 64
#define JWK_RSA_BITS_MIN 2048
#define JWK_RSA_BITS_MAX 8192 /* a verification costs time with the square of it */

enum jwk_kind { JWK_RSA, JWK_P256, JWK_P384, JWK_P521, JWK_ED25519, JWK_ED448 };

struct jwk {
	enum jwk_kind kind;
	char *kid; /* NULL: it has none */
	char *alg; /* the only algorithm it is for; NULL: any that fits its kind */
	struct evp_pkey_st *key;
};
struct jwk_set {
	struct jwk *keys;
	size_t n;
};

/*
 * The keys of ${text} that signatures can be checked with. Passed over are keys of other kinds, for
 * encryption, RSA keys outside the limits above, and malformed ones. ERR_INVALID: no key set, too
 * many keys, or none that can be used.
 */
int jwk_set_parse(const char *text, size_t len, struct jwk_set *out, struct err *err);
void jwk_set_free(struct jwk_set *s); /* leaves it empty */

#endif
