/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/seal.h"

#include "core/base/mem.h"
#include "core/base/random.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void seal_key_derive(const char *secret, const char *purpose, struct seal_key *out)
{
	/* Parameters are only read. */
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, strlen(secret)),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)purpose, strlen(purpose)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	if (!ctx || EVP_KDF_derive(ctx, out->bytes, sizeof out->bytes, params) != 1)
		abort(); /* out of memory: nothing may be sealed with a key that is none */
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static const unsigned char *bytes_of(const void *data)
{
	static const unsigned char none = 0;
	return data ? data : &none;
}

int seal_close(const struct seal_key *key, const char *place, const void *data, size_t len,
	struct buf *out)
{
	unsigned char nonce[SEAL_NONCE_SIZE], tag[SEAL_TAG_SIZE];
	size_t place_len = strlen(place);
	int n = 0, rest = 0;
	if (len > INT_MAX - SEAL_OVERHEAD || place_len > INT_MAX)
		return -1;
	unsigned char *coded = mem_alloc(len + 1);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	random_bytes(nonce, sizeof nonce);
	if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) != 1 ||
		EVP_EncryptUpdate(ctx, NULL, &n, bytes_of(place), (int)place_len) != 1 ||
		EVP_EncryptUpdate(ctx, coded, &n, bytes_of(data), (int)len) != 1 ||
		EVP_EncryptFinal_ex(ctx, coded + n, &rest) != 1 ||
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag) != 1)
		abort(); /* out of memory: a value that is not sealed must not go out */
	EVP_CIPHER_CTX_free(ctx);
	int rc = buf_reserve(out, len + SEAL_OVERHEAD);
	if (rc == 0) {
		(void)buf_add(out, nonce, sizeof nonce);
		(void)buf_add(out, coded, len);
		rc = buf_add(out, tag, sizeof tag);
	}
	free(coded);
	return rc;
}

int seal_open(const struct seal_key *key, const char *place, const void *sealed, size_t len,
	struct buf *out)
{
	const unsigned char *nonce = sealed;
	unsigned char tag[SEAL_TAG_SIZE];
	size_t place_len = strlen(place);
	int n = 0, rest = 0;
	if (len < SEAL_OVERHEAD || len > INT_MAX || place_len > INT_MAX)
		return -1;
	size_t plain_len = len - SEAL_OVERHEAD;
	const unsigned char *coded = nonce + SEAL_NONCE_SIZE;
	memcpy(tag, coded + plain_len, sizeof tag);
	unsigned char *plain = mem_alloc(plain_len + 1);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int rc = -1;
	if (ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1 &&
		EVP_DecryptUpdate(ctx, NULL, &n, bytes_of(place), (int)place_len) == 1 &&
		EVP_DecryptUpdate(ctx, plain, &n, coded, (int)plain_len) == 1 &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
		EVP_DecryptFinal_ex(ctx, plain + n, &rest) == 1)
		rc = buf_add(out, plain, plain_len);
	EVP_CIPHER_CTX_free(ctx);
	mem_wipe(plain, plain_len);
	free(plain);
	return rc;
}
