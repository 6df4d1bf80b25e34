/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jwk.h"

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#define MEMBER_MAX (JWK_RSA_BITS_MAX / 8) /* bytes of a number */
#define EXPONENT_MAX 8                    /* bytes; 65537 is what everybody uses */
#define COORDINATE_MAX 66                 /* bytes, of P-521 */

static const struct curve {
	const char *kty;
	const char *crv;
	enum jwk_kind kind;
	const char *name; /* as OpenSSL calls it */
	size_t size;      /* bytes of a coordinate, or of the key */
} curves[] = {
	{"EC", "P-256", JWK_P256, "prime256v1", 32},
	{"EC", "P-384", JWK_P384, "secp384r1", 48},
	{"EC", "P-521", JWK_P521, "secp521r1", COORDINATE_MAX},
	{"OKP", "Ed25519", JWK_ED25519, "ED25519", 32},
	{"OKP", "Ed448", JWK_ED448, "ED448", 57},
};

/* Bytes of the base64url member ${name} into ${out} of ${max} bytes; 0 where it is none. */
static size_t bytes_of(const json_t *jwk, const char *name, unsigned char *out, size_t max)
{
	const char *text = json_get_str(jwk, name);
	size_t len = text ? strlen(text) : 0;
	if (len == 0 || len > (max * 4 + 2) / 3)
		return 0;
	ssize_t n = str_base64url_decode(text, len, out);
	return n < 0 ? 0 : (size_t)n;
}

/* A public key of ${type} from what was laid into ${b}. */
static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *b)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;
	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static EVP_PKEY *make_rsa(const json_t *jwk)
{
	unsigned char modulus[MEMBER_MAX + 2], exponent[EXPONENT_MAX + 2];
	size_t modulus_len = bytes_of(jwk, "n", modulus, MEMBER_MAX);
	size_t exponent_len = bytes_of(jwk, "e", exponent, EXPONENT_MAX);
	EVP_PKEY *key = NULL;
	if (modulus_len == 0 || exponent_len == 0)
		return NULL;
	BIGNUM *n = BN_bin2bn(modulus, (int)modulus_len, NULL);
	BIGNUM *e = BN_bin2bn(exponent, (int)exponent_len, NULL);
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	/* With the exponent 1 everything would be its own signature. */
	if (n && e && b && BN_is_odd(n) && BN_is_odd(e) && !BN_is_one(e) &&
		BN_num_bits(n) >= JWK_RSA_BITS_MIN && BN_num_bits(n) <= JWK_RSA_BITS_MAX &&
		OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		key = make_key("RSA", b);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	BN_free(e);
	return key;
}

/* A point that is not on its curve makes no key. */
static EVP_PKEY *make_ec(const json_t *jwk, const struct curve *c)
{
	unsigned char point[1 + 2 * COORDINATE_MAX + 2];
	EVP_PKEY *key = NULL;
	/* Each coordinate has its full size (RFC 7518 section 6.2.1.2). */
	if (bytes_of(jwk, "x", point + 1, c->size) != c->size ||
		bytes_of(jwk, "y", point + 1 + c->size, c->size) != c->size)
		return NULL;
	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	if (b && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, c->name, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(
			b, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->size) == 1)
		key = make_key("EC", b);
	OSSL_PARAM_BLD_free(b);
	return key;
}

static EVP_PKEY *make_okp(const json_t *jwk, const struct curve *c)
{
	unsigned char raw[64];
	if (bytes_of(jwk, "x", raw, c->size) != c->size)
		return NULL;
	return EVP_PKEY_new_raw_public_key_ex(NULL, c->name, NULL, raw, c->size);
}

/* Meant for signatures, as far as it says what it is meant for. */
static bool is_for_signatures(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use");
	const json_t *ops = json_object_get(jwk, "key_ops");
	const json_t *op;
	size_t i;
	if (use && !str_eq(json_string_value(use), "sig"))
		return false;
	if (!ops)
		return true;
	json_array_foreach (ops, i, op) {
		if (str_eq(json_string_value(op), "verify"))
			return true;
	}
	return false;
}

/* One key of a set; false: it cannot be used. */
static bool parse_key(const json_t *jwk, struct jwk *out)
{
	const char *kty = json_get_str(jwk, "kty");
	const char *crv = json_get_str(jwk, "crv");
	*out = (struct jwk){.key = NULL};
	if (!kty || !is_for_signatures(jwk))
		return false;
	if (strcmp(kty, "RSA") == 0) {
		out->kind = JWK_RSA;
		out->key = make_rsa(jwk);
	}
	for (size_t i = 0; crv && i < sizeof curves / sizeof curves[0]; i++) {
		const struct curve *c = &curves[i];
		if (strcmp(kty, c->kty) != 0 || strcmp(crv, c->crv) != 0)
			continue;
		out->kind = c->kind;
		out->key = strcmp(kty, "EC") == 0 ? make_ec(jwk, c) : make_okp(jwk, c);
	}
	/* What OpenSSL says about a foreign key is of no use to anybody. */
	ERR_clear_error();
	if (!out->key)
		return false;
	out->kid = mem_strdup(json_get_str(jwk, "kid"));
	out->alg = mem_strdup(json_get_str(jwk, "alg"));
	return true;
}

int jwk_set_parse(const char *text, size_t len, struct jwk_set *out, struct err *err)
{
	json_t *doc = len <= JWK_SET_MAX ? json_parse(text, len, NULL) : NULL;
	const json_t *list = doc ? json_object_get(doc, "keys") : NULL;
	const json_t *one;
	size_t i;
	*out = (struct jwk_set){.n = 0};
	if (!json_is_array(list)) {
		json_decref(doc);
		return err_set(err, ERR_INVALID, __func__, "this is no JSON Web Key Set");
	}
	size_t n = json_array_size(list);
	if (n <= JWK_KEYS_MAX) {
		out->keys = mem_zalloc((n + 1) * sizeof *out->keys);
		json_array_foreach (list, i, one) {
			if (parse_key(one, &out->keys[out->n]))
				out->n++;
		}
	}
	json_decref(doc);
	if (out->n > 0)
		return 0;
	jwk_set_free(out);
	return n > JWK_KEYS_MAX ? err_set(err, ERR_INVALID, __func__,
					  "a JSON Web Key Set of more than %d keys", JWK_KEYS_MAX)
				: err_set(err, ERR_INVALID, __func__,
					  "no key of the JSON Web Key Set can be used");
}

void jwk_set_free(struct jwk_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		EVP_PKEY_free(s->keys[i].key);
		free(s->keys[i].kid);
		free(s->keys[i].alg);
	}
	free(s->keys);
	*s = (struct jwk_set){.n = 0};
}
