/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_LOCK_REDIS_H
#define DEX_BACKENDS_LOCK_REDIS_H

struct lock;

/*
 * For the state store in the same Redis, whose scripts can release a lock together with what its
 * holder did last: the keys of ID are Block:ID and Bwant:ID of the bucket, and both are to be
 * deleted if the first one holds the token.
 */

/* The holder's token. NULL: no lock is given, or one of another kind. */
const char *lock_redis_token(const struct lock *l);
/* A script has released it: lock_release has nothing more to ask of Redis. */
void lock_redis_released(struct lock *l);

#endif
