/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/lock_redis.h"
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "backends/state_redis_row.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define PURGE_PART 100 /* of one script: others want the server too */

static void add_number(struct state_redis_args *a, const char *name, int64_t value)
{
	state_redis_call_str(a, name);
	state_redis_call_int(a, value);
}

struct open_count {
	int64_t in_all;
	int64_t of_owner;
};

static int see_open(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct open_count *sum = arg;
	struct open_count n;
	(void)bucket;
	if (state_redis_call_array(r, 2, err) ||
		state_redis_call_number(r->element[0], INT32_MAX, true, &n.in_all, err) ||
		state_redis_call_number(r->element[1], INT32_MAX, true, &n.of_owner, err))
		return -1;
	sum->in_all += n.in_all;
	sum->of_owner += n.of_owner;
	return 0;
}

/*
 * The buckets are asked before the creation, which is a script on one of them: those who ask at the
 * same moment may all be let in.
 */
static int check_limits(struct state_redis *s, const struct upload *u,
	const struct upload_limits *limits, struct err *err)
{
	struct state_redis_args a = {0};
	struct open_count n = {0};

	if (limits->in_all <= 0 && (limits->of_owner <= 0 || !u->owner))
		return 0;
	state_redis_call_str(&a, u->owner ? u->owner : "");
	if (state_redis_call_all(s, SCRIPT_ALL_OPEN, &a, see_open, &n, err))
		return -1;
	if ((limits->in_all > 0 && n.in_all >= limits->in_all) ||
		(limits->of_owner > 0 && u->owner && n.of_owner >= limits->of_owner))
		return err_set(err, ERR_TOO_MANY, __func__, "too many uploads are unfinished");
	return 0;
}

int state_redis_upload_create(struct state *st, const struct upload *u,
	const struct upload_limits *limits, const struct outbox_list *msgs, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	unsigned bucket = redis_bucket_of(u->id);
	struct state_redis_args a = {0};

	if (check_limits(s, u, limits, err))
		return -1;
	state_redis_call_str(&a, u->id);
	state_redis_call_op(&a);
	const char *op = a.items[a.n - 1].data;
	state_redis_call_int(&a, u->created_at);
	state_redis_call_int(&a, clock_now());
	state_redis_call_str(&a, u->owner ? u->owner : "");
	size_t count = a.n;
	state_redis_call_str(&a, "");
	state_redis_call_member(&a, "op", op);
	add_number(&a, state_redis_row_members[ROW_KIND], u->kind);
	add_number(&a, state_redis_row_members[ROW_STATUS], UPLOAD_OPEN);
	add_number(&a, state_redis_row_members[ROW_LENGTH], u->length);
	add_number(&a, state_redis_row_members[ROW_OFFSET], 0);
	add_number(&a, state_redis_row_members[ROW_BEYOND], BEYOND_GOOD);
	add_number(&a, "fence", 0);
	add_number(&a, state_redis_row_members[ROW_CREATED_AT], u->created_at);
	add_number(&a, state_redis_row_members[ROW_TOUCHED_AT], u->created_at);
	add_number(&a, state_redis_row_members[ROW_COMPLETED_AT], 0);
	add_number(&a, "removable", 0);
	state_redis_call_member(&a, state_redis_row_members[ROW_TOKEN], u->token ? u->token : "");
	state_redis_call_member(&a, state_redis_row_members[ROW_METADATA], u->metadata);
	state_redis_call_member(&a, state_redis_row_members[ROW_MANIFEST], u->manifest);
	state_redis_call_member(&a, state_redis_row_members[ROW_CONCAT], u->concat);
	state_redis_call_member(&a, state_redis_row_members[ROW_OWNER], u->owner);

	char number[24];
	a.items[count] = redis_arg_int(number, (int64_t)(a.n - count - 1));
	if (state_redis_call_messages(&a, msgs, bucket, err)) {
		state_redis_call_free(&a);
		return -1;
	}
	return state_redis_call(s, SCRIPT_UPLOAD_CREATE, bucket, &a, NULL, err) == STATE_OK ? 0
											    : -1;
}

enum state_result state_redis_upload_get(
	struct state *st, const char *id, struct upload *out, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	enum state_result result = STATE_ERROR;
	redisReply *reply = NULL;
	struct buf key;

	buf_init(&key, 4096);
	if (buf_printf(&key, "%su:%s", s->buckets.bases[redis_bucket_of(id)], id)) {
		err_set(err, ERR_INVALID, __func__, "the prefix of keys is too long");
		goto out;
	}
	state_redis_call_str(&a, "HMGET");
	state_redis_call_str(&a, key.data);
	for (size_t i = 0; i < ROW_COUNT; i++)
		state_redis_call_str(&a, state_redis_row_members[i]);
	if (state_redis_call_command(s, key.data, &a, &reply, err))
		goto out;
	result = state_redis_row_read(reply, id, out, err);
out:
	if (reply)
		freeReplyObject(reply);
	buf_free(&key);
	return result;
}

enum state_result state_redis_upload_change(struct state *st, const struct upload_change *c,
	bool complete, const char *const *targets, size_t ntargets, const struct outbox_list *msgs,
	struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	unsigned bucket = redis_bucket_of(c->id);
	const char *token = lock_redis_token(c->release);
	struct state_redis_args a = {0};
	redisReply *reply;

	state_redis_call_str(&a, c->id);
	state_redis_call_op(&a);
	state_redis_call_int(&a, c->from);
	state_redis_call_int(&a, c->to);
	state_redis_call_int(&a, c->length);
	state_redis_call_int(&a, c->token != NULL);
	state_redis_call_str(&a, c->token ? c->token : "");
	state_redis_call_int(&a, c->beyond);
	state_redis_call_int(&a, (int64_t)c->fence);
	state_redis_call_int(&a, c->now);
	state_redis_call_int(&a, complete);
	state_redis_call_int(&a, clock_now());
	state_redis_call_str(&a, token ? token : "");
	state_redis_call_str(&a, s->channel);
	state_redis_call_int(&a, (int64_t)ntargets);
	for (size_t i = 0; i < ntargets; i++)
		state_redis_call_str(&a, targets[i]);
	if (state_redis_call_messages(&a, msgs, bucket, err)) {
		state_redis_call_free(&a);
		return STATE_ERROR;
	}
	enum state_result r = state_redis_call(s, SCRIPT_UPLOAD_CHANGE, bucket, &a, &reply, err);
	if (r != STATE_OK)
		return r;
	/* Run again after its first answer was lost it does not know: lock_release asks then. */
	if (token && reply->elements > 1 && reply->element[1]->integer == 1)
		lock_redis_released(c->release);
	freeReplyObject(reply);
	return STATE_OK;
}

enum state_result state_redis_upload_end(struct state *st, const char *id,
	enum upload_status status, int64_t touched_before, int64_t now,
	const struct outbox_list *msgs, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	unsigned bucket = redis_bucket_of(id);
	struct state_redis_args a = {0};

	state_redis_call_str(&a, id);
	state_redis_call_op(&a);
	state_redis_call_int(&a, status);
	state_redis_call_int(&a, touched_before);
	state_redis_call_int(&a, now);
	state_redis_call_int(&a, clock_now());
	if (state_redis_call_messages(&a, msgs, bucket, err)) {
		state_redis_call_free(&a);
		return STATE_ERROR;
	}
	return state_redis_call(s, SCRIPT_UPLOAD_END, bucket, &a, NULL, err);
}

int state_redis_upload_removed(struct state *st, const char *id, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	state_redis_call_str(&a, id);
	return state_redis_call(s, SCRIPT_UPLOAD_REMOVED, redis_bucket_of(id), &a, NULL, err) ==
			       STATE_OK
		       ? 0
		       : -1;
}

int state_redis_upload_purge(
	struct state *st, int64_t before, int limit, int *purged_out, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	/* Not always the same one first: the limit may be less than what that one holds. */
	unsigned bucket = (unsigned)random_below(REDIS_BUCKETS);
	unsigned empty = 0;

	while (empty < REDIS_BUCKETS && *purged_out < limit) {
		struct state_redis_args a = {0};
		redisReply *reply;
		int64_t n = 0;
		int part = limit - *purged_out < PURGE_PART ? limit - *purged_out : PURGE_PART;
		state_redis_call_int(&a, before);
		state_redis_call_int(&a, part);
		if (state_redis_call(s, SCRIPT_UPLOAD_PURGE, bucket, &a, &reply, err) != STATE_OK)
			return -1;
		int rc = state_redis_call_array(reply, 2, err);
		if (rc == 0)
			rc = state_redis_call_number(reply->element[1], part, false, &n, err);
		freeReplyObject(reply);
		if (rc)
			return -1;
		*purged_out += (int)n;
		if (n < part) {
			empty++;
			bucket = (bucket + 1) % REDIS_BUCKETS;
		}
	}
	return 0;
}

/* --- what a sweep looks for --- */

struct found {
	int64_t at;
	char id[UUID_SIZE];
};

struct scan {
	struct found *items;
	size_t n;
};

static int see_bucket(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct scan *scan = arg;
	(void)bucket;
	if (state_redis_call_array(r, 0, err))
		return -1;
	if (r->elements == 0)
		return 0;
	scan->items = mem_array(scan->items, scan->n + r->elements / 2, sizeof(*scan->items));
	for (size_t i = 0; i + 1 < r->elements; i += 2) {
		struct found *f = &scan->items[scan->n];
		if (state_redis_call_uuid(r->element[i], f->id, err) ||
			state_redis_call_number(r->element[i + 1], INT64_MAX, true, &f->at, err))
			return -1;
		scan->n++;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct found *x = a;
	const struct found *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return strcmp(x->id, y->id);
}

/* The oldest of ${index} and ${other} (may be NULL), merged over all buckets. */
static int scan_index(struct state *s, const char *index, const char *other, int64_t cutoff,
	char (*ids)[UUID_SIZE], int max, struct err *err)
{
	struct state_redis_args a = {0};
	struct scan scan = {0};
	int n = -1;

	state_redis_call_int(&a, cutoff);
	state_redis_call_int(&a, max);
	state_redis_call_str(&a, index);
	if (other)
		state_redis_call_str(&a, other);
	if (state_redis_call_all(
		    (struct state_redis *)s, SCRIPT_ALL_SCAN, &a, see_bucket, &scan, err) == 0) {
		if (scan.n > 0)
			qsort(scan.items, scan.n, sizeof(*scan.items), by_time);
		n = scan.n < (size_t)max ? (int)scan.n : max;
		for (int i = 0; i < n; i++)
			str_copy(ids[i], UUID_SIZE, scan.items[i].id);
	}
	free(scan.items);
	return n;
}

int state_redis_upload_scan_stale(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	return scan_index(s, "open", "partial", cutoff, ids, max, err);
}

int state_redis_upload_scan_delivered(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	return scan_index(s, "delivered", NULL, cutoff, ids, max, err);
}

int state_redis_upload_scan_removable(
	struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	return scan_index(s, "removable", NULL, INT64_MAX, ids, max, err);
}
