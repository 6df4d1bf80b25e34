/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of deliveries. Callbacks run between the calls, so that they may use the store. */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <limits.h>
#include <stdlib.h>

#define PAGE 32 /* deliveries of one bucket at once */

enum delivery_column { /* of an answered row */
	COL_NAME,
	COL_UPLOAD_ID,
	COL_TARGET,
	COL_STATUS,
	COL_ATTEMPT,
	COL_DUE_AT,
	COL_LEASE_UNTIL,
	COL_QUEUED_AT,
	COL_ENDED_AT,
	COL_LEASE_OWNER,
	COL_LOCATION,
	COL_ISSUES,
	COL_SHA256,
	COL_COUNT,
};

int state_redis_list_row(
	unsigned bucket, const redisReply *row, struct delivery *out, struct err *err)
{
	int64_t status;
	int64_t attempt;
	struct redisReply *const *c = row->element;

	*out = (struct delivery){0};
	if (state_redis_call_array(row, COL_COUNT, err) ||
		state_redis_call_id(c[COL_NAME], bucket, &out->id, err) ||
		state_redis_call_uuid(c[COL_UPLOAD_ID], out->upload_id, err) ||
		state_redis_call_number(c[COL_STATUS], DELIVERY_FAILED, false, &status, err) ||
		state_redis_call_number(c[COL_ATTEMPT], INT_MAX, false, &attempt, err) ||
		state_redis_call_number(c[COL_DUE_AT], INT64_MAX, false, &out->due_at, err) ||
		state_redis_call_number(
			c[COL_LEASE_UNTIL], INT64_MAX, false, &out->lease_until, err) ||
		state_redis_call_number(c[COL_QUEUED_AT], INT64_MAX, false, &out->queued_at, err) ||
		state_redis_call_number(c[COL_ENDED_AT], INT64_MAX, false, &out->ended_at, err) ||
		state_redis_call_text(c[COL_TARGET], false, &out->target, err) ||
		state_redis_call_text(c[COL_LEASE_OWNER], true, &out->lease_owner, err) ||
		state_redis_call_text(c[COL_LOCATION], true, &out->location, err) ||
		state_redis_call_text(c[COL_ISSUES], true, &out->issues, err) ||
		state_redis_call_text(c[COL_SHA256], true, &out->sha256, err)) {
		delivery_free(out);
		if (err)
			err_prefix(err, "a delivery");
		return -1;
	}
	out->status = (enum delivery_status)status;
	out->attempt = (int)attempt;
	return 0;
}

struct page {
	struct delivery *rows;
	size_t n;
	size_t next; /* the first that was not handed out */
};

static void free_page(struct page *p)
{
	for (size_t i = 0; i < p->n; i++)
		delivery_free(&p->rows[i]);
	free(p->rows);
	*p = (struct page){0};
}

/* The rows among the elements of ${r} from ${first} onward. */
static int read_page(
	unsigned bucket, const redisReply *r, size_t first, struct page *out, struct err *err)
{
	free_page(out);
	if (r->elements <= first)
		return 0;
	out->rows = mem_array(NULL, r->elements - first, sizeof(*out->rows));
	for (size_t i = first; i < r->elements; i++) {
		if (state_redis_list_row(bucket, r->element[i], &out->rows[out->n], err))
			return -1;
		out->n++;
	}
	return 0;
}

/* --- of one upload --- */

static int by_id(const void *a, const void *b)
{
	const struct delivery *x = a;
	const struct delivery *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static int by_queued(const void *a, const void *b)
{
	const struct delivery *x = a;
	const struct delivery *y = b;
	if (x->queued_at != y->queued_at)
		return x->queued_at < y->queued_at ? -1 : 1;
	return by_id(a, b);
}

static int read_upload(
	struct state_redis *s, const char *upload_id, struct page *out, struct err *err)
{
	unsigned bucket = redis_bucket_of(upload_id);
	struct state_redis_args a = {0};
	redisReply *reply;

	state_redis_call_str(&a, upload_id);
	if (state_redis_call(s, SCRIPT_DELIVERY_OF_UPLOAD, bucket, &a, &reply, err) != STATE_OK)
		return -1;
	int rc = read_page(bucket, reply, 1, out, err);
	freeReplyObject(reply);
	return rc;
}

int state_redis_list_of_upload(
	struct state *s, const char *upload_id, state_delivery_fn *fn, void *arg, struct err *err)
{
	struct page p = {0};
	int rc = read_upload((struct state_redis *)s, upload_id, &p, err);
	if (rc == 0 && p.n > 0)
		qsort(p.rows, p.n, sizeof(*p.rows), by_id);
	for (size_t i = 0; rc == 0 && i < p.n; i++) {
		if (fn(arg, &p.rows[i]))
			break;
	}
	free_page(&p);
	return rc;
}

static int unfinished_of_upload(struct state_redis *s, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err)
{
	struct page p = {0};
	int rc = read_upload(s, f->upload_id, &p, err);
	if (rc == 0 && p.n > 0)
		qsort(p.rows, p.n, sizeof(*p.rows), by_queued);
	for (size_t i = 0; rc == 0 && i < p.n; i++) {
		if (p.rows[i].status == DELIVERY_DONE ||
			(f->target && !str_eq(f->target, p.rows[i].target)))
			continue;
		if (fn(arg, &p.rows[i]))
			break;
	}
	free_page(&p);
	return rc;
}

/* --- of the whole store: 16 sorted listings, merged --- */

struct cursor {
	struct page page;
	bool more;    /* the bucket may hold more than this page */
	int64_t time; /* of the last one looked at */
	char *name;
};

struct merge {
	struct cursor cursors[REDIS_BUCKETS];
};

static int see_page(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct cursor *c = &((struct merge *)arg)->cursors[bucket];
	int64_t more;
	char *name;
	if (state_redis_call_array(r, 3, err) ||
		state_redis_call_number(r->element[0], 1, false, &more, err) ||
		state_redis_call_number(r->element[1], INT64_MAX, true, &c->time, err) ||
		state_redis_call_text(r->element[2], false, &name, err))
		return -1;
	free(c->name);
	c->name = name;
	c->more = more != 0;
	return read_page(bucket, r, 3, &c->page, err);
}

static void page_args(
	struct state_redis_args *a, int64_t time, const char *name, const struct delivery_filter *f)
{
	state_redis_call_int(a, time);
	state_redis_call_str(a, name);
	state_redis_call_int(a, PAGE);
	state_redis_call_str(a, f && f->target ? f->target : "");
}

/* Read on until there is one to be handed out, or no more. */
static int refill(struct state_redis *s, struct merge *m, unsigned bucket,
	const struct delivery_filter *f, struct err *err)
{
	struct cursor *c = &m->cursors[bucket];
	while (c->page.next == c->page.n && c->more) {
		struct state_redis_args a = {0};
		page_args(&a, c->time, c->name, f);
		if (state_redis_call_one(s, SCRIPT_ALL_UNFINISHED, bucket, &a, see_page, m, err))
			return -1;
	}
	return 0;
}

/* The oldest of all that were not handed out, or NULL. */
static struct delivery *oldest(struct merge *m)
{
	struct cursor *best = NULL;
	for (unsigned i = 0; i < REDIS_BUCKETS; i++) {
		struct cursor *c = &m->cursors[i];
		if (c->page.next < c->page.n &&
			(!best || by_queued(&c->page.rows[c->page.next],
					  &best->page.rows[best->page.next]) < 0))
			best = c;
	}
	return best ? &best->page.rows[best->page.next++] : NULL;
}

int state_redis_list_unfinished(struct state *st, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	if (f && f->upload_id)
		return unfinished_of_upload(s, f, fn, arg, err);

	struct merge *m = mem_zalloc(sizeof(*m));
	struct state_redis_args a = {0};
	page_args(&a, 0, "", f);
	int rc = state_redis_call_all(s, SCRIPT_ALL_UNFINISHED, &a, see_page, m, err);
	while (rc == 0) {
		for (unsigned i = 0; rc == 0 && i < REDIS_BUCKETS; i++)
			rc = refill(s, m, i, f, err);
		const struct delivery *d = rc == 0 ? oldest(m) : NULL;
		if (!d || fn(arg, d))
			break;
	}
	for (unsigned i = 0; i < REDIS_BUCKETS; i++) {
		free_page(&m->cursors[i].page);
		free(m->cursors[i].name);
	}
	free(m);
	return rc;
}
