/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>

#define GROW 64

enum group_column { /* of SQL_OUTBOX_GROUP */
	COL_ID,
	COL_NAME,
	COL_REPLACE,
	COL_DATA,
	COL_DUE_AT,
	COL_ATTEMPT,
};

int state_sqlite_outbox_insert(struct sql_conn *c, const struct outbox_list *msgs, struct err *err)
{
	for (size_t i = 0; msgs && i < msgs->n; i++) {
		const struct outbox_message *m = &msgs->items[i];
		if (state_sqlite_query_run(c, SQL_OUTBOX_ADD,
			    SQL_ARGS(sql_text(m->upload_id), sql_text(m->sink), sql_text(m->name),
				    sql_int(m->replace), sql_text(m->data), sql_int(m->due_at)),
			    err) < 0)
			return -1;
	}
	return 0;
}

static enum state_result add_write(struct sql_conn *c, void *arg, struct err *err)
{
	return state_sqlite_outbox_insert(c, arg, err) ? STATE_ERROR : STATE_OK;
}

int state_sqlite_outbox_add(struct state *s, const struct outbox_list *msgs, struct err *err)
{
	struct outbox_list list = *msgs;
	return state_sqlite_write(s, add_write, &list, 0, err) == STATE_OK ? 0 : -1;
}

struct taken { /* a message with strings of its own */
	struct outbox_message m;
	char *name;
	char *data;
};

struct take_args {
	const char *sink;
	int64_t now;
	int64_t until;
	int max;
	struct taken *items;
	int n;
};

static void free_taken(struct take_args *a)
{
	for (int i = 0; i < a->n; i++) {
		free(a->items[i].name);
		free(a->items[i].data);
	}
	free(a->items);
	a->items = NULL;
	a->n = 0;
}

/* The first unsent message of ${upload_id} and those after it, up to the first that is not due. */
static int take_group(
	struct sql_conn *c, struct take_args *a, const char *upload_id, struct err *err)
{
	struct sql_query q;
	int rc;
	state_sqlite_query_start(&q, c, SQL_OUTBOX_GROUP,
		SQL_ARGS(sql_text(upload_id), sql_text(a->sink), sql_int(a->max - a->n)), err);
	while ((rc = state_sqlite_query_step(&q, err)) > 0 &&
		state_sqlite_query_int(&q, COL_DUE_AT) <= a->now) {
		if (a->n % GROW == 0)
			a->items = mem_array(a->items, (size_t)a->n + GROW, sizeof(*a->items));
		struct taken *t = &a->items[a->n++];
		*t = (struct taken){
			.m = {.id = state_sqlite_query_int(&q, COL_ID),
				.sink = a->sink,
				.replace = state_sqlite_query_int(&q, COL_REPLACE) != 0,
				.due_at = state_sqlite_query_int(&q, COL_DUE_AT),
				.attempt = (int)state_sqlite_query_int(&q, COL_ATTEMPT)},
			.name = state_sqlite_query_dup(&q, COL_NAME),
			.data = state_sqlite_query_dup(&q, COL_DATA),
		};
		t->m.name = t->name;
		t->m.data = t->data;
		str_copy(t->m.upload_id, sizeof(t->m.upload_id), upload_id);
	}
	state_sqlite_query_end(&q);
	return rc < 0 ? -1 : 0;
}

static enum state_result take_write(struct sql_conn *c, void *arg, struct err *err)
{
	struct take_args *a = arg;
	struct sql_query heads;
	int rc;

	free_taken(a); /* of a run whose transaction was undone */
	state_sqlite_query_start(&heads, c, SQL_OUTBOX_HEADS,
		SQL_ARGS(sql_text(a->sink), sql_int(a->now), sql_int(a->max)), err);
	while ((rc = state_sqlite_query_step(&heads, err)) > 0 && a->n < a->max) {
		if (take_group(c, a, state_sqlite_query_text(&heads, 0), err)) {
			rc = -1;
			break;
		}
	}
	state_sqlite_query_end(&heads);
	if (rc < 0)
		return STATE_ERROR;
	for (int i = 0; i < a->n; i++) {
		if (state_sqlite_query_run(c, SQL_OUTBOX_PUSH,
			    SQL_ARGS(sql_int(a->items[i].m.id), sql_int(a->until)), err) < 0)
			return STATE_ERROR;
	}
	return STATE_OK;
}

static int by_id(const void *a, const void *b)
{
	int64_t x = ((const struct taken *)a)->m.id;
	int64_t y = ((const struct taken *)b)->m.id;
	return (x > y) - (x < y);
}

int state_sqlite_outbox_take(struct state *s, const char *sink, int64_t now, int64_t lease_ms,
	int max, state_outbox_fn *fn, void *arg, struct err *err)
{
	struct take_args a = {
		.sink = sink, .now = now, .until = now + lease_ms * CLOCK_US_PER_MS, .max = max};
	int rc = state_sqlite_write(s, take_write, &a, 0, err) == STATE_OK ? 0 : -1;
	if (rc == 0 && a.n > 0) {
		qsort(a.items, (size_t)a.n, sizeof(*a.items), by_id);
		for (int i = 0; i < a.n; i++) {
			if (fn(arg, &a.items[i].m))
				break;
		}
	}
	free_taken(&a);
	return rc;
}

int state_sqlite_outbox_step(
	struct sql_conn *c, enum sql_id id, const struct sql_value *args, struct err *err)
{
	struct sql_query q;
	state_sqlite_query_start(&q, c, id, args, err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0) {
		struct sql_value upload_id = sql_text(state_sqlite_query_text(&q, 0));
		struct sql_value sink = sql_text(state_sqlite_query_text(&q, 1));
		rc = state_sqlite_query_run(c, SQL_OUTBOX_NO_HEAD, SQL_ARGS(upload_id, sink), err);
		if (rc >= 0)
			rc = state_sqlite_query_run(
				c, SQL_OUTBOX_NEW_HEAD, SQL_ARGS(upload_id, sink), err);
	}
	state_sqlite_query_end(&q);
	return rc < 0 ? -1 : 0;
}

struct sent_args {
	const int64_t *ids;
	size_t n;
};

static enum state_result sent_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct sent_args *a = arg;
	for (size_t i = 0; i < a->n; i++) {
		if (state_sqlite_outbox_step(c, SQL_OUTBOX_SENT, SQL_ARGS(sql_int(a->ids[i])), err))
			return STATE_ERROR;
	}
	return STATE_OK;
}

int state_sqlite_outbox_sent(struct state *s, const int64_t *ids, size_t n, struct err *err)
{
	struct sent_args a = {ids, n};
	return state_sqlite_write(s, sent_write, &a, 0, err) == STATE_OK ? 0 : -1;
}

struct retry_args {
	int64_t id;
	int64_t due_at;
};

static enum state_result retry_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct retry_args *a = arg;
	int n = state_sqlite_query_run(
		c, SQL_OUTBOX_RETRY, SQL_ARGS(sql_int(a->id), sql_int(a->due_at)), err);
	return n < 0 ? STATE_ERROR : STATE_OK;
}

int state_sqlite_outbox_retry(struct state *s, int64_t id, int64_t due_at, struct err *err)
{
	struct retry_args a = {id, due_at};
	return state_sqlite_write(s, retry_write, &a, 0, err) == STATE_OK ? 0 : -1;
}
