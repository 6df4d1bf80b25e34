/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jws.h"

#include "core/base/str.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define DER_MAX 160 /* bytes of an ECDSA signature as OpenSSL wants it; P-521 takes 141 */

static const struct algorithm {
	const char *name;
	enum jwk_kind kind;
	const char *digest; /* NULL: its own */
	bool pss;
	size_t size; /* bytes of a signature; 0: as long as the RSA key */
} algorithms[] = {
	{"RS256", JWK_RSA, "SHA256", false, 0},
	{"RS384", JWK_RSA, "SHA384", false, 0},
	{"RS512", JWK_RSA, "SHA512", false, 0},
	{"PS256", JWK_RSA, "SHA256", true, 0},
	{"PS384", JWK_RSA, "SHA384", true, 0},
	{"PS512", JWK_RSA, "SHA512", true, 0},
	{"ES256", JWK_P256, "SHA256", false, 64},
	{"ES384", JWK_P384, "SHA384", false, 96},
	{"ES512", JWK_P521, "SHA512", false, 132},
	{"EdDSA", JWK_ED25519, NULL, false, 64},
	{"EdDSA", JWK_ED448, NULL, false, 114},
};
#define NALGORITHMS (sizeof algorithms / sizeof algorithms[0])

bool jws_known(const char *alg)
{
	for (size_t i = 0; i < NALGORITHMS; i++) {
		if (strcmp(alg, algorithms[i].name) == 0)
			return true;
	}
	return false;
}

static const struct algorithm *find(const char *alg, const struct jwk *key)
{
	if (key->alg && strcmp(key->alg, alg) != 0)
		return NULL;
	for (size_t i = 0; i < NALGORITHMS; i++) {
		if (algorithms[i].kind == key->kind && strcmp(alg, algorithms[i].name) == 0)
			return &algorithms[i];
	}
	return NULL;
}

bool jws_fits(const char *alg, const struct jwk *key)
{
	return find(alg, key) != NULL;
}

/* r and s of ${n} bytes each as the ASN.1 that OpenSSL wants. Its length, or 0. */
static size_t to_der(const unsigned char *raw, size_t n, unsigned char out[DER_MAX])
{
	BIGNUM *r = BN_bin2bn(raw, (int)n, NULL);
	BIGNUM *s = BN_bin2bn(raw + n, (int)n, NULL);
	ECDSA_SIG *sig = ECDSA_SIG_new();
	int len = 0;
	if (r && s && sig && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* now the signature's */
		len = i2d_ECDSA_SIG(sig, NULL);
		if (len > 0 && len <= DER_MAX)
			len = i2d_ECDSA_SIG(sig, &out);
		else
			len = 0;
	}
	ECDSA_SIG_free(sig);
	BN_free(r);
	BN_free(s);
	return len > 0 ? (size_t)len : 0;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct algorithm *a)
{
	if (a->kind != JWK_RSA)
		return true;
	if (!a->pss)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	/* The salt is as long as the digest (RFC 7518 section 3.5). */
	return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool jws_verify(const char *alg, const struct jwk *key, const void *data, size_t len,
	const unsigned char *sig, size_t sig_len)
{
	const struct algorithm *a = find(alg, key);
	unsigned char der[DER_MAX];
	EVP_PKEY_CTX *params = NULL;
	if (!a)
		return false;
	size_t size = a->size > 0 ? a->size : (size_t)EVP_PKEY_get_size(key->key);
	if (sig_len != size)
		return false;
	if (key->kind == JWK_P256 || key->kind == JWK_P384 || key->kind == JWK_P521) {
		sig_len = to_der(sig, size / 2, der);
		sig = der;
	}
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good =
		sig_len > 0 && ctx &&
		EVP_DigestVerifyInit_ex(ctx, &params, a->digest, NULL, NULL, key->key, NULL) == 1 &&
		set_padding(params, a) && EVP_DigestVerify(ctx, sig, sig_len, data, len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return good;
}
