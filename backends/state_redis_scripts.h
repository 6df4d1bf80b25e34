/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_REDIS_SCRIPTS_H
#define DEX_BACKENDS_STATE_REDIS_SCRIPTS_H

#include "backends/redis.h"

/*
 * Every Lua script of the Redis state store. The rules they keep:
 *
 * - A change is one script on one bucket, so it happens as a whole or not at all. Scripts look
 *   first, then write the indexes, the rows last: Redis does not take back what a failed script
 *   has written, so what fails (a key of a foreign type) shall fail before a row has changed.
 * - Running one twice with the same arguments does the same as running it once, and answers the
 *   same: each carries the random name of its operation, which is kept in the row it changes. So
 *   a caller whose connection broke may ask again.
 * - Time comes from the caller. Numbers in Lua are doubles: exact for times (2^53 microseconds last
 *   until 2255), not for offsets and fences, which are compared as decimal text.
 * - Only SCRIPT_ALL_… take more than one bucket; they only read (but for SCRIPT_ALL_PROBE).
 * - KEYS holds how the keys of a bucket begin, and one more name: see redis_bucket_keys.
 *
 * A script of one bucket answers an array that starts with an enum script_answer; after
 * SCRIPT_CORRUPT follows the name of the key.
 */
enum script_answer {
	SCRIPT_OK = 0,
	SCRIPT_NOT_FOUND = 1,
	SCRIPT_CONFLICT = 2,
	SCRIPT_EXISTS = 3,
	SCRIPT_CORRUPT = 4,
};

enum script_id {
	SCRIPT_UPLOAD_CREATE,
	SCRIPT_UPLOAD_CHANGE,
	SCRIPT_UPLOAD_END,
	SCRIPT_UPLOAD_REMOVED,
	SCRIPT_UPLOAD_PURGE,
	SCRIPT_DELIVERY_LEASE,
	SCRIPT_DELIVERY_RENEW,
	SCRIPT_DELIVERY_END,
	SCRIPT_DELIVERY_QUEUE,
	SCRIPT_DELIVERY_OF_UPLOAD,
	SCRIPT_OUTBOX_ADD,
	SCRIPT_OUTBOX_TAKE,
	SCRIPT_OUTBOX_SENT,
	SCRIPT_OUTBOX_RETRY,
	SCRIPT_OUTBOX_PARK,
	SCRIPT_OUTBOX_UNPARK,
	SCRIPT_KV_PUT,
	SCRIPT_UPLOAD_ENLIST,
	SCRIPT_UPLOAD_ENLISTED,
	SCRIPT_MOVE_GROUP,
	SCRIPT_MOVE_PUT_UPLOAD,
	SCRIPT_MOVE_PUT_MESSAGES,

	/* An array with one element per bucket. */
	SCRIPT_ALL_PROBE,
	SCRIPT_ALL_COUNTS,
	SCRIPT_ALL_OPEN,
	SCRIPT_ALL_SCAN,
	SCRIPT_ALL_TIMES,
	SCRIPT_ALL_DUE,
	SCRIPT_ALL_UNFINISHED,
	SCRIPT_ALL_HEADS,
	SCRIPT_ALL_PARKED,
	SCRIPT_COUNT,
};

/* As they are written down: a store has its own copy, hashed. */
extern const struct redis_script state_redis_scripts[SCRIPT_COUNT];

/* What SCRIPT_ALL_PROBE leaves in each bucket: which layout of keys and rows it holds. */
#define STATE_REDIS_SCRIPTS_FORMAT "1"

#endif
