/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_RANDOM_H
#define DEX_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#define UUID_SIZE 37 /* text + NUL */

/* Cryptographically strong bytes from the kernel; aborts when there are none. */
void random_bytes(void *out, size_t n);
/* Random UUID, version 4, RFC 9562, lower case. */
void random_uuid(char out[UUID_SIZE]);
/* Uniform in 0 … n-1 (n > 0): for jitter. */
uint64_t random_below(uint64_t n);

#endif
