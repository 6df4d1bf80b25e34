/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis_row.h"

#include "backends/state_redis_call.h"
#include "core/base/err.h"
#include "core/base/str.h"

const char *const state_redis_row_members[ROW_COUNT] = {
	[ROW_KIND] = "kind",
	[ROW_STATUS] = "status",
	[ROW_LENGTH] = "length",
	[ROW_OFFSET] = "offset",
	[ROW_BEYOND] = "beyond",
	[ROW_CREATED_AT] = "created_at",
	[ROW_TOUCHED_AT] = "touched_at",
	[ROW_COMPLETED_AT] = "completed_at",
	[ROW_TOKEN] = "token",
	[ROW_METADATA] = "metadata",
	[ROW_MANIFEST] = "manifest",
	[ROW_CONCAT] = "concat",
	[ROW_OWNER] = "owner",
};

static int read_enum(const redisReply *r, int max, int *out, struct err *err)
{
	int64_t value;
	if (state_redis_call_number(r, max, false, &value, err))
		return -1;
	*out = (int)value;
	return 0;
}

static bool is_unknown(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING && str_eq(r->str, "-1");
}

static int read_upload(const redisReply *reply, struct upload *out, struct err *err)
{
	struct redisReply *const *m = reply->element;
	int kind;
	int status;
	int beyond;
	out->length = UPLOAD_LENGTH_UNKNOWN;
	if (read_enum(m[ROW_KIND], UPLOAD_FINAL, &kind, err) ||
		read_enum(m[ROW_STATUS], UPLOAD_RETIRED, &status, err) ||
		read_enum(m[ROW_BEYOND], BEYOND_WHOLE, &beyond, err) ||
		state_redis_call_number(m[ROW_OFFSET], INT64_MAX, false, &out->offset, err) ||
		state_redis_call_number(
			m[ROW_CREATED_AT], INT64_MAX, false, &out->created_at, err) ||
		state_redis_call_number(
			m[ROW_TOUCHED_AT], INT64_MAX, false, &out->touched_at, err) ||
		state_redis_call_number(
			m[ROW_COMPLETED_AT], INT64_MAX, false, &out->completed_at, err) ||
		state_redis_call_text(m[ROW_TOKEN], false, &out->token, err) ||
		state_redis_call_text(m[ROW_METADATA], true, &out->metadata, err) ||
		state_redis_call_text(m[ROW_MANIFEST], true, &out->manifest, err) ||
		state_redis_call_text(m[ROW_CONCAT], true, &out->concat, err) ||
		state_redis_call_text(m[ROW_OWNER], true, &out->owner, err))
		return -1;
	if (!is_unknown(m[ROW_LENGTH]) &&
		state_redis_call_number(m[ROW_LENGTH], INT64_MAX, false, &out->length, err))
		return -1;
	out->kind = (enum upload_kind)kind;
	out->status = (enum upload_status)status;
	out->beyond = (enum upload_beyond)beyond;
	return 0;
}

enum state_result state_redis_row_read(
	const redisReply *reply, const char *id, struct upload *out, struct err *err)
{
	bool any = false;

	*out = (struct upload){0};
	if (state_redis_call_array(reply, ROW_COUNT, err))
		return STATE_ERROR;
	for (size_t i = 0; i < ROW_COUNT; i++)
		any = any || reply->element[i]->type != REDIS_REPLY_NIL;
	if (!any)
		return STATE_NOT_FOUND;
	str_copy(out->id, sizeof(out->id), id);
	if (read_upload(reply, out, err) == 0)
		return STATE_OK;
	upload_free(out);
	if (err)
		err_prefix(err, "upload %s", id);
	return STATE_ERROR;
}
