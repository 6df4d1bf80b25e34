/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that were set aside: see state_outbox_park. */
#include "backends/state_sqlite.h"

#include "core/base/err.h"
#include "core/base/str.h"

#include <stdlib.h>

enum message_column {
	COL_ID,
	COL_UPLOAD_ID,
	COL_SINK,
	COL_NAME,
	COL_REPLACE,
	COL_DATA,
	COL_DUE_AT,
	COL_ATTEMPT,
	COL_PARKED_AT,
	COL_REASON,
};

static void read_message(const struct sql_query *q, struct state_sqlite_message *t)
{
	*t = (struct state_sqlite_message){
		.m = {.id = state_sqlite_query_int(q, COL_ID),
			.replace = state_sqlite_query_int(q, COL_REPLACE) != 0,
			.due_at = state_sqlite_query_int(q, COL_DUE_AT),
			.attempt = (int)state_sqlite_query_int(q, COL_ATTEMPT),
			.parked_at = state_sqlite_query_int(q, COL_PARKED_AT)},
		.sink = state_sqlite_query_dup(q, COL_SINK),
		.name = state_sqlite_query_dup(q, COL_NAME),
		.data = state_sqlite_query_dup(q, COL_DATA),
		.reason = state_sqlite_query_dup(q, COL_REASON),
	};
	str_copy(t->m.upload_id, sizeof(t->m.upload_id), state_sqlite_query_text(q, COL_UPLOAD_ID));
	t->m.sink = t->sink;
	t->m.name = t->name;
	t->m.data = t->data;
	t->m.reason = t->reason;
	if (t->m.parked_at > 0)
		t->m.due_at = 0;
}

void state_sqlite_parked_free(struct state_sqlite_message *m)
{
	free(m->sink);
	free(m->name);
	free(m->data);
	free(m->reason);
}

int state_sqlite_parked_read(struct sql_query *q, struct state_sqlite_message *out, struct err *err)
{
	int n = 0;
	int rc = 1;
	while (n < STATE_SQLITE_MESSAGES && (rc = state_sqlite_query_step(q, err)) > 0)
		read_message(q, &out[n++]);
	state_sqlite_query_end(q);
	while (rc < 0 && n > 0)
		state_sqlite_parked_free(&out[--n]);
	return rc < 0 ? -1 : n;
}

int state_sqlite_parked_list(
	struct state *s, const char *upload_id, state_outbox_fn *fn, void *arg, struct err *err)
{
	int64_t at = 0;
	int64_t id = 0;
	bool stopped = false;
	int n;

	do {
		struct state_sqlite_message page[STATE_SQLITE_MESSAGES];
		struct sql_conn *c = state_sqlite_borrow(s, err);
		struct sql_query q;
		if (!c)
			return -1;
		state_sqlite_query_start(&q, c, SQL_OUTBOX_PARKED,
			SQL_ARGS(sql_int(at), sql_int(id), sql_text(upload_id),
				sql_int(STATE_SQLITE_MESSAGES)),
			err);
		n = state_sqlite_parked_read(&q, page, err);
		state_sqlite_give_back(s, c);
		for (int i = 0; i < n; i++) {
			at = page[i].m.parked_at;
			id = page[i].m.id;
			stopped = stopped || fn(arg, &page[i].m);
			state_sqlite_parked_free(&page[i]);
		}
	} while (!stopped && n == STATE_SQLITE_MESSAGES);
	return n < 0 ? -1 : 0;
}

struct change {
	int64_t id;
	const char *reason;
	int64_t now;
};

static enum state_result park_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct change *x = arg;
	return state_sqlite_outbox_step(c, SQL_OUTBOX_PARK,
		       SQL_ARGS(sql_int(x->id), sql_int(x->now), sql_text(x->reason)), err)
		       ? STATE_ERROR
		       : STATE_OK;
}

int state_sqlite_parked_park(
	struct state *s, int64_t id, const char *reason, int64_t now, struct err *err)
{
	struct change x = {.id = id, .reason = reason, .now = now};
	return state_sqlite_write(s, park_write, &x, 0, err) == STATE_OK ? 0 : -1;
}

static enum state_result unpark_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct change *x = arg;
	return state_sqlite_outbox_step(
		       c, SQL_OUTBOX_UNPARK, SQL_ARGS(sql_int(x->id), sql_int(x->now)), err)
		       ? STATE_ERROR
		       : STATE_OK;
}

int state_sqlite_parked_unpark(struct state *s, int64_t id, int64_t now, struct err *err)
{
	struct change x = {.id = id, .now = now};
	return state_sqlite_write(s, unpark_write, &x, 0, err) == STATE_OK ? 0 : -1;
}
