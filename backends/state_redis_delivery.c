/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <stdlib.h>

/* --- leases --- */

struct head { /* of what is due in one bucket */
	int64_t at;
	int64_t id;
	unsigned bucket;
};

struct heads {
	struct head items[REDIS_BUCKETS];
	size_t n;
};

static int see_head(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct heads *h = arg;
	if (state_redis_call_array(r, 0, err))
		return -1;
	if (r->elements == 0)
		return 0;
	struct head *new = &h->items[h->n];
	new->bucket = bucket;
	if (state_redis_call_array(r, 2, err) ||
		state_redis_call_number(r->element[0], INT64_MAX, true, &new->at, err) ||
		state_redis_call_id(r->element[1], bucket, &new->id, err))
		return -1;
	h->n++;
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct head *x = a;
	const struct head *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static enum state_result lease_in(struct state_redis *s, unsigned bucket,
	const struct delivery_filter *f, const char *owner, int64_t now, int64_t until,
	struct delivery *out, struct err *err)
{
	struct state_redis_args a = {0};
	redisReply *reply;

	state_redis_call_str(&a, owner);
	state_redis_call_int(&a, now);
	state_redis_call_int(&a, until);
	state_redis_call_op(&a);
	state_redis_call_str(&a, f && f->upload_id ? f->upload_id : "");
	state_redis_call_str(&a, f && f->target ? f->target : "");
	enum state_result r = state_redis_call(s, SCRIPT_DELIVERY_LEASE, bucket, &a, &reply, err);
	if (r != STATE_OK)
		return r;
	int rc = state_redis_call_array(reply, 2, err);
	if (rc == 0)
		rc = state_redis_list_row(bucket, reply->element[1], out, err);
	freeReplyObject(reply);
	return rc ? STATE_ERROR : STATE_OK;
}

enum state_result state_redis_delivery_lease(struct state *st, const struct delivery_filter *f,
	const char *owner, int64_t now, int64_t lease_ms, struct delivery *out, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	int64_t until = now + lease_ms * CLOCK_US_PER_MS;
	enum state_result r = STATE_NOT_FOUND;

	if (f && f->upload_id)
		return lease_in(s, redis_bucket_of(f->upload_id), f, owner, now, until, out, err);
	/* Others lease meanwhile: a bucket may be empty when we come, or its next one younger. */
	for (;;) {
		struct state_redis_args a = {0};
		struct heads h = {.n = 0};
		state_redis_call_int(&a, now);
		state_redis_call_str(&a, f && f->target ? f->target : "");
		if (state_redis_call_all(s, SCRIPT_ALL_DUE, &a, see_head, &h, err))
			return STATE_ERROR;
		if (h.n == 0)
			return STATE_NOT_FOUND;
		qsort(h.items, h.n, sizeof(h.items[0]), by_time);
		for (size_t i = 0; i < h.n && r == STATE_NOT_FOUND; i++)
			r = lease_in(s, h.items[i].bucket, f, owner, now, until, out, err);
		if (r != STATE_NOT_FOUND)
			return r;
	}
}

enum state_result state_redis_delivery_renew(struct state *st, int64_t id, const char *owner,
	int64_t now, int64_t lease_ms, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	state_redis_call_name(&a, id);
	state_redis_call_str(&a, owner);
	state_redis_call_int(&a, now + lease_ms * CLOCK_US_PER_MS);
	return state_redis_call(
		s, SCRIPT_DELIVERY_RENEW, state_redis_call_bucket_of(id), &a, NULL, err);
}

/* --- outcomes --- */

enum state_result state_redis_delivery_end(struct state *st, const struct delivery_end *e,
	const struct outbox_list *msgs, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	unsigned bucket = state_redis_call_bucket_of(e->id);
	struct state_redis_args a = {0};
	bool done = e->status == DELIVERY_DONE;
	const char *location = done ? e->location : NULL;
	const char *sha256 = done ? e->sha256 : NULL;
	bool count =
		e->status == DELIVERY_FAILED || (e->status == DELIVERY_PENDING && e->count_attempt);

	state_redis_call_name(&a, e->id);
	state_redis_call_str(&a, e->owner);
	state_redis_call_op(&a);
	state_redis_call_int(&a, e->status);
	state_redis_call_int(&a, e->due_at);
	state_redis_call_int(&a, count);
	state_redis_call_int(&a, e->now);
	state_redis_call_int(&a, clock_now());
	state_redis_call_int(
		&a, 2 * (location != NULL) + 2 * (sha256 != NULL) + 2 * (e->issues != NULL));
	state_redis_call_member(&a, "location", location);
	state_redis_call_member(&a, "sha256", sha256);
	state_redis_call_member(&a, "issues", e->issues);
	if (state_redis_call_messages(&a, msgs, bucket, err)) {
		state_redis_call_free(&a);
		return STATE_ERROR;
	}
	enum state_result r = state_redis_call(s, SCRIPT_DELIVERY_END, bucket, &a, NULL, err);
	if (r == STATE_OK && e->status == DELIVERY_PENDING)
		state_redis_wait_wake(s);
	return r;
}

enum state_result state_redis_delivery_queue(struct state *st, const char *upload_id,
	const char *target, int64_t now, const struct outbox_list *msgs, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	unsigned bucket = redis_bucket_of(upload_id);
	struct state_redis_args a = {0};

	state_redis_call_str(&a, upload_id);
	state_redis_call_str(&a, target);
	state_redis_call_int(&a, now);
	state_redis_call_int(&a, clock_now());
	state_redis_call_op(&a);
	if (state_redis_call_messages(&a, msgs, bucket, err)) {
		state_redis_call_free(&a);
		return STATE_ERROR;
	}
	enum state_result r = state_redis_call(s, SCRIPT_DELIVERY_QUEUE, bucket, &a, NULL, err);
	if (r == STATE_OK)
		state_redis_wait_wake(s);
	return r;
}
