/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_SENTINEL_H
#define DEX_BACKENDS_REDIS_SENTINEL_H

#include <stdint.h>

/* https://redis.io/docs/latest/develop/reference/sentinel-clients/ */

struct err;
struct redis;

/* Ask the Sentinels, one after the other, who is master, and make it the node that is used. */
int redis_sentinel_refresh(struct redis *r, int64_t deadline, struct err *err);

#endif
