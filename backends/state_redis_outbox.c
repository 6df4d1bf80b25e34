/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * Messages that belong to different buckets are added bucket by bucket: only those about one upload
 * are one change.
 */
int state_redis_outbox_add(struct state *st, const struct outbox_list *msgs, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct outbox_message *part = mem_array(NULL, msgs->n, sizeof(*part));
	int rc = 0;

	for (unsigned bucket = 0; rc == 0 && bucket < REDIS_BUCKETS; bucket++) {
		struct state_redis_args a = {0};
		struct outbox_list list = {.items = part};
		for (size_t i = 0; i < msgs->n; i++) {
			if (redis_bucket_of(msgs->items[i].upload_id) == bucket)
				part[list.n++] = msgs->items[i];
		}
		if (list.n == 0)
			continue;
		state_redis_call_op(&a);
		state_redis_call_int(&a, clock_now());
		rc = state_redis_call_messages(&a, &list, bucket, err);
		if (rc == 0 &&
			state_redis_call(s, SCRIPT_OUTBOX_ADD, bucket, &a, NULL, err) != STATE_OK)
			rc = -1;
		state_redis_call_free(&a);
	}
	free(part);
	return rc;
}

/* --- taking --- */

struct group { /* the messages of one upload, by when its first one is due */
	int64_t at;
	char upload_id[UUID_SIZE];
	unsigned bucket;
};

struct groups {
	struct group *items;
	size_t n;
};

static int see_groups(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct groups *all = arg;
	if (state_redis_call_array(r, 0, err))
		return -1;
	if (r->elements == 0)
		return 0;
	all->items = mem_array(all->items, all->n + r->elements / 2, sizeof(*all->items));
	for (size_t i = 0; i + 1 < r->elements; i += 2) {
		struct group *g = &all->items[all->n];
		char *id;
		if (state_redis_call_number(r->element[i + 1], INT64_MAX, true, &g->at, err) ||
			state_redis_call_text(r->element[i], false, &id, err))
			return -1;
		g->bucket = bucket;
		bool fits = str_copy(g->upload_id, sizeof(g->upload_id), id);
		free(id);
		if (!fits)
			return err_set(err, ERR_CORRUPT, __func__, "a member is no upload id");
		all->n++;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct group *x = a;
	const struct group *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return strcmp(x->upload_id, y->upload_id);
}

struct taken { /* a message with strings of its own */
	struct outbox_message m;
	char *name;
	char *data;
};

struct take {
	struct state_redis *s;
	const char *sink;
	int64_t now;
	int64_t until;
	int max;
	struct taken *items;
	int n;
};

enum message_column {
	COL_NAME,
	COL_UPLOAD_ID,
	COL_TITLE,
	COL_REPLACE,
	COL_DATA,
	COL_DUE_AT,
	COL_ATTEMPT,
	COL_COUNT
};

static int read_message(struct take *t, unsigned bucket, const redisReply *r, struct err *err)
{
	int64_t replace;
	int64_t attempt;
	char *id = NULL;
	struct taken *new = &t->items[t->n];
	struct redisReply *const *c = r->element;

	*new = (struct taken){.m.sink = t->sink};
	if (state_redis_call_array(r, COL_COUNT, err) ||
		state_redis_call_id(c[COL_NAME], bucket, &new->m.id, err) ||
		state_redis_call_number(c[COL_REPLACE], 1, false, &replace, err) ||
		state_redis_call_number(c[COL_DUE_AT], INT64_MAX, false, &new->m.due_at, err) ||
		state_redis_call_number(c[COL_ATTEMPT], INT_MAX, false, &attempt, err) ||
		state_redis_call_text(c[COL_UPLOAD_ID], false, &id, err))
		return -1;
	str_copy(new->m.upload_id, sizeof(new->m.upload_id), id);
	free(id);
	if (state_redis_call_text(c[COL_TITLE], false, &new->name, err))
		return -1;
	if (state_redis_call_text(c[COL_DATA], false, &new->data, err)) {
		free(new->name);
		return -1;
	}
	new->m.replace = replace != 0;
	new->m.attempt = (int)attempt;
	new->m.name = new->name;
	new->m.data = new->data;
	t->n++;
	return 0;
}

/* The messages of those of the ${n} groups that lie in ${bucket}. */
static int take_in(
	struct take *t, unsigned bucket, const struct group *groups, size_t n, struct err *err)
{
	struct state_redis_args a = {0};
	redisReply *reply;
	bool any = false;
	int rc = 0;

	state_redis_call_str(&a, t->sink);
	state_redis_call_int(&a, t->now);
	state_redis_call_int(&a, t->until);
	state_redis_call_op(&a);
	state_redis_call_int(&a, t->max - t->n);
	for (size_t i = 0; i < n; i++) {
		if (groups[i].bucket == bucket) {
			state_redis_call_str(&a, groups[i].upload_id);
			any = true;
		}
	}
	if (!any || t->n == t->max) {
		state_redis_call_free(&a);
		return 0;
	}
	if (state_redis_call(t->s, SCRIPT_OUTBOX_TAKE, bucket, &a, &reply, err) != STATE_OK)
		return -1;
	if (reply->elements - 1 > (size_t)(t->max - t->n))
		rc = err_set(err, ERR_CORRUPT, __func__, "more messages than asked for");
	if (rc == 0 && reply->elements > 1)
		t->items =
			mem_array(t->items, (size_t)t->n + reply->elements - 1, sizeof(*t->items));
	for (size_t i = 1; rc == 0 && i < reply->elements; i++)
		rc = read_message(t, bucket, reply->element[i], err);
	freeReplyObject(reply);
	return rc;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = ((const struct taken *)a)->m.id;
	int64_t y = ((const struct taken *)b)->m.id;
	return (x > y) - (x < y);
}

/*
 * The oldest groups are found first, over all buckets, then taken, bucket by bucket. What another
 * sweep took in between is left out.
 */
int state_redis_outbox_take(struct state *st, const char *sink, int64_t now, int64_t lease_ms,
	int max, state_outbox_fn *fn, void *arg, struct err *err)
{
	struct state_redis_args a = {0};
	struct groups all = {0};
	struct take t = {.s = (struct state_redis *)st,
		.sink = sink,
		.now = now,
		.until = now + lease_ms * CLOCK_US_PER_MS,
		.max = max};

	state_redis_call_str(&a, sink);
	state_redis_call_int(&a, now);
	state_redis_call_int(&a, max);
	int rc = state_redis_call_all(t.s, SCRIPT_ALL_HEADS, &a, see_groups, &all, err);
	if (rc == 0 && all.n > 0)
		qsort(all.items, all.n, sizeof(*all.items), by_time);
	size_t n = all.n < (size_t)max ? all.n : (size_t)max;
	/* The bucket of the oldest group goes first, should the limit be reached. */
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool done = false;
		for (size_t k = 0; k < i && !done; k++)
			done = all.items[k].bucket == all.items[i].bucket;
		if (!done)
			rc = take_in(&t, all.items[i].bucket, all.items, n, err);
	}
	if (t.n > 0)
		qsort(t.items, (size_t)t.n, sizeof(*t.items), by_id);
	for (int i = 0; rc == 0 && i < t.n; i++) {
		if (fn(arg, &t.items[i].m))
			break;
	}
	for (int i = 0; i < t.n; i++) {
		free(t.items[i].name);
		free(t.items[i].data);
	}
	free(t.items);
	free(all.items);
	return rc;
}

/* --- outcomes --- */

int state_redis_outbox_sent(struct state *st, const int64_t *ids, size_t n, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	for (unsigned bucket = 0; bucket < REDIS_BUCKETS; bucket++) {
		struct state_redis_args a = {0};
		for (size_t i = 0; i < n; i++) {
			if (state_redis_call_bucket_of(ids[i]) == bucket)
				state_redis_call_name(&a, ids[i]);
		}
		if (a.n > 0 &&
			state_redis_call(s, SCRIPT_OUTBOX_SENT, bucket, &a, NULL, err) != STATE_OK)
			return -1;
	}
	return 0;
}

int state_redis_outbox_retry(struct state *st, int64_t id, int64_t due_at, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	state_redis_call_name(&a, id);
	state_redis_call_int(&a, due_at);
	state_redis_call_op(&a);
	return state_redis_call(s, SCRIPT_OUTBOX_RETRY, state_redis_call_bucket_of(id), &a, NULL,
		       err) == STATE_OK
		       ? 0
		       : -1;
}
