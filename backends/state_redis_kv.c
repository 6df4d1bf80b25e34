/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <string.h>

#define KEY_BYTES_MAX 65536
/*
 * A value's end is told by the clock of whoever asks. Redis throws it away a little later by its
 * own, which may go ahead.
 */
#define SLACK_MS INT64_C(60000)

static int see_counts(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct state_counts *out = arg;
	int64_t n[5];
	(void)bucket;
	if (state_redis_call_array(r, 5, err))
		return -1;
	for (size_t i = 0; i < 5; i++) {
		if (state_redis_call_number(r->element[i], INT64_MAX, false, &n[i], err))
			return -1;
	}
	out->open_uploads += n[0];
	out->pending_deliveries += n[1];
	out->failed_deliveries += n[2] - n[1];
	out->late_messages += n[3];
	out->parked_messages += n[4];
	return 0;
}

int state_redis_kv_counts(struct state *s, int64_t now, struct state_counts *out, struct err *err)
{
	struct state_redis_args a = {0};
	struct state_counts sum = {0};
	state_redis_call_int(&a, now);
	if (state_redis_call_all(
		    (struct state_redis *)s, SCRIPT_ALL_COUNTS, &a, see_counts, &sum, err))
		return -1;
	*out = sum;
	return 0;
}

static int make_key(struct state_redis *s, const char *key, struct buf *out, struct err *err)
{
	buf_init(out, KEY_BYTES_MAX);
	if (buf_printf(out, "%s:kv:%s", redis_prefix(s->r), key))
		return err_set(err, ERR_TOO_LARGE, __func__, "a key is too long");
	return 0;
}

/* EXPIRES OPERATION VALUE into its parts. */
static int split(
	const redisReply *r, int64_t *expires, const char **value, size_t *len, struct err *err)
{
	uint64_t at;
	const char *first =
		r->type == REDIS_REPLY_STRING ? memchr(r->str, ' ', (size_t)r->len) : NULL;
	const char *end = first ? r->str + r->len : NULL;
	const char *second = first ? memchr(first + 1, ' ', (size_t)(end - first - 1)) : NULL;
	if (!second || str_to_u64_n(r->str, (size_t)(first - r->str), INT64_MAX, &at))
		return err_set(err, ERR_CORRUPT, __func__, "a shared value is damaged");
	*expires = (int64_t)at;
	*value = second + 1;
	*len = (size_t)(end - second - 1);
	return 0;
}

enum state_result state_redis_kv_get(
	struct state *st, const char *key, int64_t now, struct buf *out, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	enum state_result result = STATE_ERROR;
	redisReply *reply = NULL;
	struct buf full;
	int64_t expires = 0;
	const char *value = NULL;
	size_t len = 0;

	if (make_key(s, key, &full, err))
		goto out;
	state_redis_call_str(&a, "GET");
	state_redis_call_str(&a, full.data);
	if (state_redis_call_command(s, full.data, &a, &reply, err))
		goto out;
	if (reply->type == REDIS_REPLY_NIL) {
		result = STATE_NOT_FOUND;
		goto out;
	}
	if (split(reply, &expires, &value, &len, err))
		goto out;
	if (expires != 0 && expires <= now) {
		result = STATE_NOT_FOUND;
		goto out;
	}
	if (len > 0 && buf_add(out, value, len)) {
		err_set(err, ERR_TOO_LARGE, __func__, "the value of %s has %zu bytes", key, len);
		goto out;
	}
	result = STATE_OK;
out:
	if (reply)
		freeReplyObject(reply);
	buf_free(&full);
	return result;
}

enum state_result state_redis_kv_put(struct state *st, const char *key, const char *value,
	size_t len, bool only_if_absent, int64_t now, int64_t expires_at, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	enum state_result result = STATE_ERROR;
	struct buf full;
	int64_t keep = 0;

	if (expires_at > 0)
		keep = (expires_at > now ? (expires_at - now) / CLOCK_US_PER_MS : 0) + SLACK_MS;
	if (make_key(s, key, &full, err) == 0) {
		state_redis_call_int(&a, only_if_absent);
		state_redis_call_int(&a, now);
		state_redis_call_int(&a, expires_at > 0 ? expires_at : 0);
		state_redis_call_op(&a);
		state_redis_call_int(&a, keep);
		state_redis_call_bytes(&a, value ? value : "", len);
		result = state_redis_call_key(s, SCRIPT_KV_PUT, full.data, &a, err);
	}
	buf_free(&full);
	return result;
}
