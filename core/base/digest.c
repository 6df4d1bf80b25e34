/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/digest.h"

#include "core/base/crc32c.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static const struct algorithm {
	const char *name;
	size_t size;
	const EVP_MD *(*md)(void); /* NULL: our own crc32c */
} algorithms[] = {
	{"sha1", 20, EVP_sha1},
	{"md5", 16, EVP_md5},
	{"sha256", 32, EVP_sha256},
	{"sha512", 64, EVP_sha512},
	{"crc32c", 4, NULL},
};

struct digest {
	const struct algorithm *algorithm;
	EVP_MD_CTX *ctx; /* NULL for crc32c */
	uint32_t crc;
};

static const struct algorithm *find(const char *name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	}
	return NULL;
}

const char *digest_names(void)
{
	return "sha1,md5,sha256,sha512,crc32c";
}

size_t digest_size(const char *name)
{
	const struct algorithm *a = find(name);
	return a ? a->size : 0;
}

struct digest *digest_new(const char *name)
{
	const struct algorithm *a = find(name);
	if (!a)
		return NULL;
	struct digest *d = mem_zalloc(sizeof *d);
	d->algorithm = a;
	if (!a->md)
		return d;
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx || EVP_DigestInit_ex(d->ctx, a->md(), NULL) != 1) {
		digest_free(d);
		return NULL;
	}
	return d;
}

void digest_update(struct digest *d, const void *data, size_t len)
{
	if (!d->ctx)
		d->crc = crc32c_update(d->crc, data, len);
	else if (EVP_DigestUpdate(d->ctx, data, len) != 1)
		abort(); /* only after misuse: going on would vouch for bytes that were not summed
			  */
}

size_t digest_final(struct digest *d, unsigned char out[DIGEST_MAX])
{
	if (d->ctx) {
		if (EVP_DigestFinal_ex(d->ctx, out, NULL) != 1)
			abort();
	} else {
		for (size_t i = 0; i < 4; i++)
			out[i] = (unsigned char)(d->crc >> (24 - 8 * i) & 0xff);
	}
	return d->algorithm->size;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	free(d);
}

void digest_sha256(const void *data, size_t len, unsigned char out[DIGEST_SHA256_SIZE])
{
	if (EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) != 1)
		abort(); /* out of memory: a made-up sum would be worse */
}

void digest_sha256_hex(const void *data, size_t len, char out[DIGEST_SHA256_HEX])
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	digest_sha256(data, len, sum);
	str_hex(out, sum, sizeof sum);
}

void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	unsigned char out[DIGEST_SHA256_SIZE])
{
	unsigned char none = 0;
	if (key_len > INT_MAX ||
		!HMAC(EVP_sha256(), key_len > 0 ? key : &none, (int)key_len, data, len, out, NULL))
		abort();
}
