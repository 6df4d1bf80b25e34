/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_HUMAN_H
#define DEX_TOOLS_HUMAN_H

#include <stdint.h>

/* Numbers and times as people read them. Each returns ${out}. */

#define HUMAN_SIZE 32

/* "512 B", "10.0 KiB", "1.5 GiB". */
char *human_bytes(char out[HUMAN_SIZE], double bytes);
/* "0:32", "12:07", "3:04:05". */
char *human_seconds(char out[HUMAN_SIZE], double seconds);
/* "2026-01-02T03:04:05Z" of wall-clock microseconds; "-" for 0. */
char *human_time(char out[HUMAN_SIZE], int64_t us);

#endif
