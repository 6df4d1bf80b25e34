/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_DIGEST_H
#define DEX_BASE_DIGEST_H

#include <stddef.h>

#define DIGEST_MAX 64

/*
 * Streaming checksums by their tus names: sha1, md5, sha256, sha512 (OpenSSL) and crc32c
 * (RFC 3720 appendix B.4; the four bytes most significant first).
 */
struct digest;

/* "sha1,md5,sha256,sha512,crc32c": value of Tus-Checksum-Algorithm. */
const char *digest_names(void);
/* NULL for a name that is not in digest_names(). */
struct digest *digest_new(const char *name);
void digest_update(struct digest *d, const void *data, size_t len);
/* Writes the sum and returns its length in bytes. The digest can only be freed afterwards. */
size_t digest_final(struct digest *d, unsigned char out[DIGEST_MAX]);
void digest_free(struct digest *d); /* NULL is fine */
/* Length of the sum of ${name} in bytes, 0 when unknown. */
size_t digest_size(const char *name);

/* SHA-256 of ${len} bytes at once. */
#define DIGEST_SHA256_SIZE 32
void digest_sha256(const void *data, size_t len, unsigned char out[DIGEST_SHA256_SIZE]);
/* The same in hexadecimal, with a NUL. */
#define DIGEST_SHA256_HEX (2 * DIGEST_SHA256_SIZE + 1)
void digest_sha256_hex(const void *data, size_t len, char out[DIGEST_SHA256_HEX]);
/* HMAC-SHA256 (RFC 2104) of ${len} bytes under a key of any length. */
void digest_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	unsigned char out[DIGEST_SHA256_SIZE]);

#endif
