/* SPDX-License-Identifier: Apache-2.0 */
/* All uploads in the order of struct upload_mark: 16 sorted sets, merged. */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 512 /* of one bucket; Redis answers nobody else meanwhile */

struct found {
	struct upload_mark *items;
	size_t n;
	bool incomplete; /* a bucket was filled by a release that did not keep the order */
};

static int see_bucket(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct found *f = arg;
	int64_t timed;

	(void)bucket;
	if (state_redis_call_array(r, 1, err) ||
		state_redis_call_number(r->element[0], 1, false, &timed, err))
		return -1;
	f->incomplete |= timed == 0;
	f->items = mem_array(f->items, f->n + r->elements / 2 + 1, sizeof(*f->items));
	for (size_t i = 1; i + 1 < r->elements; i += 2) {
		struct upload_mark *m = &f->items[f->n];
		if (state_redis_call_uuid(r->element[i], m->id, err) ||
			state_redis_call_number(r->element[i + 1], INT64_MAX, true, &m->at, err))
			return -1;
		f->n++;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct upload_mark *x = a;
	const struct upload_mark *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return strcmp(x->id, y->id);
}

static int look(struct state_redis *s, const struct upload_mark *after, int64_t until, int max,
	struct found *out, struct err *err)
{
	struct state_redis_args a = {0};

	out->n = 0;
	out->incomplete = false;
	state_redis_call_int(&a, after->at);
	state_redis_call_str(&a, after->id);
	state_redis_call_int(&a, until);
	state_redis_call_int(&a, max);
	return state_redis_call_all(s, SCRIPT_ALL_TIMES, &a, see_bucket, out, err);
}

static int enlist(void *arg, const struct state_move_row *row, struct err *err)
{
	struct state_redis_args a = {0};

	state_redis_call_str(&a, row->upload.id);
	return state_redis_call(arg, SCRIPT_UPLOAD_ENLIST, redis_bucket_of(row->upload.id), &a,
		       NULL, err) == STATE_ERROR
		       ? -1
		       : 0;
}

/* Once: put in what an earlier release has made. Whatever is made meanwhile puts itself in. */
static int make_order(struct state_redis *s, struct err *err)
{
	int rc = state_redis_move_uploads(&s->base, enlist, s, err);

	for (unsigned i = 0; rc == 0 && i < REDIS_BUCKETS; i++) {
		struct state_redis_args a = {0};
		rc = state_redis_call(s, SCRIPT_UPLOAD_ENLISTED, i, &a, NULL, err) == STATE_OK ? 0
											       : -1;
	}
	return rc == 0 ? 0 : err_prefix(err, "put the uploads in order");
}

int state_redis_times_scan(struct state *st, const struct upload_mark *after, int64_t until,
	struct upload_mark *marks, int max, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct found f = {0};
	int n = -1;

	if (max > PAGE_MAX)
		max = PAGE_MAX;
	int rc = look(s, after, until, max, &f, err);
	if (rc == 0 && f.incomplete) {
		rc = make_order(s, err);
		if (rc == 0)
			rc = look(s, after, until, max, &f, err);
	}
	if (rc == 0) {
		if (f.n > 0)
			qsort(f.items, f.n, sizeof(*f.items), by_time);
		n = f.n < (size_t)max ? (int)f.n : max;
		for (int i = 0; i < n; i++)
			marks[i] = f.items[i];
	}
	free(f.items);
	return n;
}
