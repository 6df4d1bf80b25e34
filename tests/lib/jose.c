/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/jose.h"

#include "core/base/digest.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)

struct jose_key {
	char *kind;
	char *kid;
	EVP_PKEY *key;
};

static void check(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "jose: %s\n", what);
	abort();
}

struct jose_key *jose_key_new(const char *kind, const char *kid)
{
	struct jose_key *k = mem_zalloc(sizeof *k);
	k->kind = mem_strdup(kind);
	k->kid = mem_strdup(kid);
	if (str_starts(kind, "RSA"))
		k->key = EVP_PKEY_Q_keygen(
			NULL, NULL, "RSA", (size_t)(str_eq(kind, "RSA") ? 2048 : 1024));
	else if (str_starts(kind, "P-"))
		k->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	else
		k->key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
	check(k->key != NULL, kind);
	return k;
}

void jose_key_free(struct jose_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->key);
	free(k->kind);
	free(k->kid);
	free(k);
}

void jose_encode(struct buf *out, const void *data, size_t len)
{
	struct buf b;
	buf_init(&b, TEXT_MAX);
	check(str_base64_encode(&b, data, len) == 0, "base64");
	for (size_t i = 0; i < b.len && b.data[i] != '='; i++)
		(void)buf_add_char(out, b.data[i] == '+'   ? '-'
					: b.data[i] == '/' ? '_'
							   : b.data[i]);
	buf_free(&b);
	check(!out->overflow, "buffer");
}

/* ${size} 0: as short as can be. */
static void add_number(
	struct buf *out, const char *name, const EVP_PKEY *key, const char *param, int size)
{
	unsigned char raw[1024];
	BIGNUM *n = NULL;
	check(EVP_PKEY_get_bn_param(key, param, &n) == 1, param);
	if (size == 0)
		size = BN_num_bytes(n);
	check(BN_bn2binpad(n, raw, size) == size, "number");
	(void)buf_printf(out, ",\"%s\":\"", name);
	jose_encode(out, raw, (size_t)size);
	(void)buf_add_char(out, '"');
	BN_free(n);
}

void jose_key_jwk(const struct jose_key *k, const char *more, struct buf *out)
{
	unsigned char raw[64];
	size_t len = sizeof raw;
	(void)buf_printf(out, "{\"kid\":\"%s\"", k->kid);
	if (str_starts(k->kind, "RSA")) {
		(void)buf_add_str(out, ",\"kty\":\"RSA\"");
		add_number(out, "n", k->key, OSSL_PKEY_PARAM_RSA_N, 0);
		add_number(out, "e", k->key, OSSL_PKEY_PARAM_RSA_E, 0);
	} else if (str_starts(k->kind, "P-")) {
		int size = (EVP_PKEY_get_bits(k->key) + 7) / 8;
		(void)buf_printf(out, ",\"kty\":\"EC\",\"crv\":\"%s\"", k->kind);
		add_number(out, "x", k->key, OSSL_PKEY_PARAM_EC_PUB_X, size);
		add_number(out, "y", k->key, OSSL_PKEY_PARAM_EC_PUB_Y, size);
	} else {
		check(EVP_PKEY_get_raw_public_key(k->key, raw, &len) == 1, "raw key");
		(void)buf_printf(out, ",\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"", k->kind);
		jose_encode(out, raw, len);
		(void)buf_add_char(out, '"');
	}
	check(buf_add_str(out, more) == 0 && buf_add_char(out, '}') == 0, "buffer");
}

void jose_key_set(struct jose_key *const *keys, size_t n, struct buf *out)
{
	(void)buf_add_str(out, "{\"keys\":[");
	for (size_t i = 0; i < n; i++) {
		(void)buf_add_str(out, i ? "," : "");
		jose_key_jwk(keys[i], "", out);
	}
	check(buf_add_str(out, "]}") == 0, "buffer");
}

/* r and s of ${size} bytes each from an ASN.1 signature, in place. */
static size_t to_raw(unsigned char *sig, size_t len, int size)
{
	const unsigned char *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)len);
	check(s && BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, size) == size &&
			BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + size, size) == size,
		"ECDSA");
	ECDSA_SIG_free(s);
	return (size_t)size * 2;
}

static void sign(const struct jose_key *k, const char *alg, struct buf *token)
{
	unsigned char sig[2048];
	char digest[16];
	size_t len = sizeof sig;
	EVP_PKEY_CTX *params = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	(void)snprintf(digest, sizeof digest, "SHA%.3s", alg + 2);
	bool eddsa = str_eq(alg, "EdDSA");
	check(EVP_DigestSignInit_ex(
		      ctx, &params, eddsa ? NULL : digest, NULL, NULL, k->key, NULL) == 1,
		alg);
	if (alg[0] == 'P')
		check(EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING) == 1 &&
				EVP_PKEY_CTX_set_rsa_pss_saltlen(params, RSA_PSS_SALTLEN_DIGEST) ==
					1,
			"PSS");
	check(EVP_DigestSign(ctx, sig, &len, (unsigned char *)token->data, token->len) == 1, alg);
	EVP_MD_CTX_free(ctx);
	if (str_starts(k->kind, "P-"))
		len = to_raw(sig, len, (EVP_PKEY_get_bits(k->key) + 7) / 8);
	(void)buf_add_char(token, '.');
	jose_encode(token, sig, len);
}

static void sign_with_public_key(const struct jose_key *k, struct buf *token)
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	struct buf secret;
	buf_init(&secret, TEXT_MAX);
	jose_key_jwk(k, "", &secret);
	digest_hmac_sha256(secret.data, secret.len, token->data, token->len, sum);
	(void)buf_add_char(token, '.');
	jose_encode(token, sum, sizeof sum);
	buf_free(&secret);
}

char *jose_token(const struct jose_key *k, const char *alg, const char *header, const char *claims)
{
	struct buf token;
	buf_init(&token, TEXT_MAX);
	jose_encode(&token, header, strlen(header));
	(void)buf_add_char(&token, '.');
	jose_encode(&token, claims, strlen(claims));
	if (str_eq(alg, "none"))
		(void)buf_add_char(&token, '.');
	else if (str_eq(alg, "HS256"))
		sign_with_public_key(k, &token);
	else
		sign(k, alg, &token);
	return buf_take(&token);
}

char *jose_usual(const struct jose_key *k, const char *alg, const char *claims)
{
	char header[256];
	(void)snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"at+jwt\"}",
		alg, k->kid);
	return jose_token(k, alg, header, claims);
}
