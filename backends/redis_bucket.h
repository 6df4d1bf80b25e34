/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_BUCKET_H
#define DEX_BACKENDS_REDIS_BUCKET_H

#include "backends/redis.h"

/*
 * What Redis holds about an upload, its rows and its lock, belongs to one of 16 buckets, by the
 * first digit of its id. The keys of a bucket begin with PREFIX:{DIGIT}: ("dex:{a}:"), so they lie
 * in one hash slot of a Cluster and one script can change any of them together.
 */

#define REDIS_BUCKETS 16

struct err;

struct redis_buckets {
	char *bases[REDIS_BUCKETS]; /* how the keys of each begin */
};

/* ERR_INVALID: the prefix is too long. redis_buckets_free is right after a failure too. */
int redis_buckets_init(struct redis_buckets *b, const char *prefix, struct err *err);
void redis_buckets_free(struct redis_buckets *b);
unsigned redis_bucket_of(const char *upload_id);
/*
 * The KEYS of a script about the bucket: how its keys begin, and one more name of the same slot.
 * Neither is ever a key: while a Cluster moves the slot, a script with two keys that are not there
 * is refused (TRYAGAIN) on both nodes, where each has a part of the keys only.
 */
void redis_bucket_keys(
	const struct redis_buckets *b, unsigned bucket, struct redis_arg keys[static 2]);

#endif
