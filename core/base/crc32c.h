/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_CRC32C_H
#define DEX_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4). The sum of nothing is 0; the sum of a longer text
 * comes from calling again with the sum so far.
 */

/* The fastest way this processor has. */
uint32_t crc32c_update(uint32_t crc, const void *data, size_t len);
/* The way every processor has. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t len);

#endif
