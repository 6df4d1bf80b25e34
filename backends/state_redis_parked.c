/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that were set aside: see state_outbox_park. */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <limits.h>
#include <stdlib.h>

#define PAGE 64

enum message_column { /* of an answered row */
	COL_NAME,
	COL_UPLOAD_ID,
	COL_SINK,
	COL_TITLE,
	COL_REPLACE,
	COL_DATA,
	COL_DUE_AT,
	COL_ATTEMPT,
	COL_PARKED_AT,
	COL_REASON,
	COL_COUNT,
};

int state_redis_parked_read(unsigned bucket, const redisReply *row, state_move_message_fn *fn,
	void *arg, struct err *err)
{
	struct outbox_message m = {0};
	struct redisReply *const *c = row->element;
	char *text[3] = {NULL, NULL, NULL};
	char *reason = NULL;
	int64_t attempt;
	int64_t replace;
	int rc = -1;

	if (state_redis_call_array(row, COL_COUNT, err) == 0 &&
		state_redis_call_id(c[COL_NAME], bucket, &m.id, err) == 0 &&
		state_redis_call_uuid(c[COL_UPLOAD_ID], m.upload_id, err) == 0 &&
		state_redis_call_text(c[COL_SINK], false, &text[0], err) == 0 &&
		state_redis_call_text(c[COL_TITLE], false, &text[1], err) == 0 &&
		state_redis_call_number(c[COL_REPLACE], 1, false, &replace, err) == 0 &&
		state_redis_call_text(c[COL_DATA], false, &text[2], err) == 0 &&
		state_redis_call_number(c[COL_DUE_AT], INT64_MAX, false, &m.due_at, err) == 0 &&
		state_redis_call_number(c[COL_ATTEMPT], INT_MAX, false, &attempt, err) == 0 &&
		state_redis_call_text(c[COL_REASON], true, &reason, err) == 0 &&
		(c[COL_PARKED_AT]->type == REDIS_REPLY_NIL ||
			state_redis_call_number(
				c[COL_PARKED_AT], INT64_MAX, false, &m.parked_at, err) == 0)) {
		m.sink = text[0];
		m.name = text[1];
		m.data = text[2];
		m.reason = reason;
		m.replace = replace != 0;
		m.attempt = (int)attempt;
		if (m.parked_at > 0)
			m.due_at = 0;
		rc = fn(arg, &m, err);
	}
	for (size_t i = 0; i < 3; i++)
		free(text[i]);
	free(reason);
	return rc;
}

struct listing {
	const char *upload_id; /* NULL: any */
	state_outbox_fn *fn;
	void *arg;
	bool stopped;
	int64_t at; /* of the last one seen in this bucket */
	char *name;
	size_t n; /* of this page */
};

static int see_message(void *arg, const struct outbox_message *m, struct err *err)
{
	struct listing *l = arg;
	(void)err;
	l->at = m->parked_at;
	if (!l->stopped && (!l->upload_id || str_eq(l->upload_id, m->upload_id)))
		l->stopped = l->fn(l->arg, m) != 0;
	return 0;
}

static int see_page(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	struct listing *l = arg;

	if (state_redis_call_array(r, 0, err))
		return -1;
	l->n = r->elements;
	for (size_t i = 0; i < r->elements; i++) {
		if (state_redis_parked_read(bucket, r->element[i], see_message, l, err))
			return -1;
		free(l->name);
		l->name = NULL;
		if (state_redis_call_text(r->element[i]->element[COL_NAME], false, &l->name, err))
			return -1;
	}
	return 0;
}

/* Bucket by bucket, in each the one first that was parked first. */
int state_redis_parked_list(
	struct state *st, const char *upload_id, state_outbox_fn *fn, void *arg, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct listing l = {.upload_id = upload_id, .fn = fn, .arg = arg};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && !l.stopped && i < REDIS_BUCKETS; i++) {
		if (upload_id && redis_bucket_of(upload_id) != i)
			continue;
		l.at = 0;
		free(l.name);
		l.name = mem_strdup("");
		do {
			struct state_redis_args a = {0};
			state_redis_call_int(&a, l.at);
			state_redis_call_str(&a, l.name);
			state_redis_call_int(&a, PAGE);
			rc = state_redis_call_one(s, SCRIPT_ALL_PARKED, i, &a, see_page, &l, err);
		} while (rc == 0 && !l.stopped && l.n == PAGE);
	}
	free(l.name);
	return rc;
}

static int change(struct state_redis *s, enum script_id script, int64_t id, const char *reason,
	int64_t now, struct err *err)
{
	struct state_redis_args a = {0};
	state_redis_call_name(&a, id);
	if (reason)
		state_redis_call_str(&a, reason);
	state_redis_call_int(&a, now);
	return state_redis_call(s, script, state_redis_call_bucket_of(id), &a, NULL, err) ==
			       STATE_OK
		       ? 0
		       : -1;
}

int state_redis_parked_park(
	struct state *st, int64_t id, const char *reason, int64_t now, struct err *err)
{
	return change((struct state_redis *)st, SCRIPT_OUTBOX_PARK, id, reason, now, err);
}

int state_redis_parked_unpark(struct state *st, int64_t id, int64_t now, struct err *err)
{
	return change((struct state_redis *)st, SCRIPT_OUTBOX_UNPARK, id, NULL, now, err);
}
