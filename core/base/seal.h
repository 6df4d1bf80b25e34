/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_SEAL_H
#define DEX_BASE_SEAL_H

#include "core/base/buf.h"

#include <stddef.h>

/*
 * Sealed values: what leaves our hands and comes back can neither be read nor changed on the way.
 * AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits, which is good for 2^32 values under
 * one key. A sealed value is nonce, ciphertext, tag: SEAL_OVERHEAD bytes more than what it holds.
 */

#define SEAL_KEY_SIZE 32
#define SEAL_NONCE_SIZE 12
#define SEAL_TAG_SIZE 16
#define SEAL_OVERHEAD (SEAL_NONCE_SIZE + SEAL_TAG_SIZE)

struct seal_key {
	unsigned char bytes[SEAL_KEY_SIZE];
};

/*
 * The key for one purpose, by HKDF-SHA256 (RFC 5869) without salt from ${secret}, a text of at
 * least 32 bytes that nobody can guess. ${purpose} keeps the keys of one secret apart.
 */
void seal_key_derive(const char *secret, const char *purpose, struct seal_key *out);
/*
 * Append ${len} bytes sealed. ${place}: where the value belongs (its cookie, its key in a store);
 * it is not in the value, but opening needs the same one. -1: overflow of ${out}.
 */
int seal_close(const struct seal_key *key, const char *place, const void *data, size_t len,
	struct buf *out);
/* Append what a sealed value holds. -1: it was not sealed so, or overflow; nothing is appended. */
int seal_open(const struct seal_key *key, const char *place, const void *sealed, size_t len,
	struct buf *out);

#endif
