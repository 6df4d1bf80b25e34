/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_REDIS_ROW_H
#define DEX_BACKENDS_STATE_REDIS_ROW_H

#include "backends/redis.h"
#include "core/store/state.h"

/* The row of an upload as Redis gives it: to the state store, and to locks that read it as well. */

/* In the order they are read. Those from ROW_METADATA onward may be missing. */
enum state_redis_row_member {
	ROW_KIND,
	ROW_STATUS,
	ROW_LENGTH,
	ROW_OFFSET,
	ROW_BEYOND,
	ROW_CREATED_AT,
	ROW_TOUCHED_AT,
	ROW_COMPLETED_AT,
	ROW_TOKEN,
	ROW_METADATA,
	ROW_MANIFEST,
	ROW_CONCAT,
	ROW_OWNER,
	ROW_COUNT,
};
extern const char *const state_redis_row_members[ROW_COUNT];

/*
 * Read the answer to HMGET with all of state_redis_row_members. The caller frees ${out} with
 * upload_free. STATE_OK; STATE_NOT_FOUND: there is no row; STATE_ERROR (ERR_CORRUPT).
 */
enum state_result state_redis_row_read(
	const redisReply *reply, const char *id, struct upload *out, struct err *err);

#endif
