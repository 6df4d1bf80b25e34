/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a whole state: see struct state_move_row. */
#include "backends/state_sqlite.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>

#define PAGE 64

enum row_column { /* of SQL_MOVE_UPLOADS */
	ROW_SEQ,
	ROW_ID,
	ROW_KIND,
	ROW_STATUS,
	ROW_LENGTH,
	ROW_OFFSET,
	ROW_BEYOND,
	ROW_CREATED_AT,
	ROW_TOUCHED_AT,
	ROW_COMPLETED_AT,
	ROW_METADATA,
	ROW_MANIFEST,
	ROW_CONCAT,
	ROW_TOKEN,
	ROW_OWNER,
	ROW_DELIVERED_AT,
	ROW_ENDED_AT,
	ROW_REMOVABLE,
};

static void read_row(const struct sql_query *q, struct state_move_row *out)
{
	*out = (struct state_move_row){
		.upload = {.kind = (enum upload_kind)state_sqlite_query_int(q, ROW_KIND),
			.status = (enum upload_status)state_sqlite_query_int(q, ROW_STATUS),
			.length = state_sqlite_query_int(q, ROW_LENGTH),
			.offset = state_sqlite_query_int(q, ROW_OFFSET),
			.beyond = (enum upload_beyond)state_sqlite_query_int(q, ROW_BEYOND),
			.created_at = state_sqlite_query_int(q, ROW_CREATED_AT),
			.touched_at = state_sqlite_query_int(q, ROW_TOUCHED_AT),
			.completed_at = state_sqlite_query_int(q, ROW_COMPLETED_AT),
			.metadata = state_sqlite_query_dup(q, ROW_METADATA),
			.manifest = state_sqlite_query_dup(q, ROW_MANIFEST),
			.concat = state_sqlite_query_dup(q, ROW_CONCAT),
			.token = state_sqlite_query_dup(q, ROW_TOKEN),
			.owner = state_sqlite_query_dup(q, ROW_OWNER)},
		.delivered_at = state_sqlite_query_int(q, ROW_DELIVERED_AT),
		.ended_at = state_sqlite_query_int(q, ROW_ENDED_AT),
		.removable = state_sqlite_query_int(q, ROW_REMOVABLE) != 0,
	};
	str_copy(out->upload.id, sizeof(out->upload.id), state_sqlite_query_text(q, ROW_ID));
}

int state_sqlite_move_uploads(struct state *s, state_move_row_fn *fn, void *arg, struct err *err)
{
	int64_t after = INT64_MIN;
	int n;
	int rc = 0;

	do {
		struct state_move_row rows[PAGE];
		struct sql_conn *c = state_sqlite_borrow(s, err);
		struct sql_query q;
		if (!c)
			return -1;
		n = 0;
		state_sqlite_query_start(
			&q, c, SQL_MOVE_UPLOADS, SQL_ARGS(sql_int(after), sql_int(PAGE)), err);
		while (n < PAGE && (rc = state_sqlite_query_step(&q, err)) > 0) {
			after = state_sqlite_query_int(&q, ROW_SEQ);
			read_row(&q, &rows[n++]);
		}
		state_sqlite_query_end(&q);
		state_sqlite_give_back(s, c);
		rc = rc < 0 ? -1 : 0;
		for (int i = 0; i < n; i++) {
			if (rc == 0)
				rc = fn(arg, &rows[i], err);
			upload_free(&rows[i].upload);
		}
	} while (rc == 0 && n == PAGE);
	return rc < 0 ? -1 : 0;
}

/* Those that are parked, or those that are not. */
static int walk_messages(
	struct state *s, bool parked, state_move_message_fn *fn, void *arg, struct err *err)
{
	char upload_id[UUID_SIZE] = "";
	char *sink = mem_strdup("");
	int64_t after = INT64_MIN;
	int n;
	int rc = 0;

	do {
		struct state_sqlite_message page[STATE_SQLITE_MESSAGES];
		struct sql_conn *c = state_sqlite_borrow(s, err);
		struct sql_query q;
		n = -1;
		if (!c)
			break;
		state_sqlite_query_start(&q, c, SQL_MOVE_MESSAGES,
			SQL_ARGS(sql_text(upload_id), sql_text(sink), sql_int(after),
				sql_int(STATE_SQLITE_MESSAGES), sql_int(parked)),
			err);
		n = state_sqlite_parked_read(&q, page, err);
		state_sqlite_give_back(s, c);
		for (int i = 0; i < n; i++) {
			struct state_sqlite_message *t = &page[i];
			if (rc == 0)
				rc = fn(arg, &t->m, err);
			after = t->m.id;
			str_copy(upload_id, sizeof(upload_id), t->m.upload_id);
			free(sink);
			sink = mem_strdup(t->sink);
			state_sqlite_parked_free(t);
		}
	} while (rc == 0 && n == STATE_SQLITE_MESSAGES);
	free(sink);
	return rc < 0 || n < 0 ? -1 : 0;
}

int state_sqlite_move_messages(
	struct state *s, state_move_message_fn *fn, void *arg, struct err *err)
{
	if (walk_messages(s, false, fn, arg, err) < 0)
		return -1;
	return walk_messages(s, true, fn, arg, err);
}

struct put_args {
	const struct state_move_row *rows;
	size_t n;
	size_t added;
};

static int put_deliveries(
	struct sql_conn *c, int64_t seq, const struct state_move_row *row, struct err *err)
{
	for (size_t i = 0; i < row->ndeliveries; i++) {
		const struct delivery *d = &row->deliveries[i];
		if (state_sqlite_query_run(c, SQL_MOVE_PUT_DELIVERY,
			    SQL_ARGS(sql_int(seq), sql_text(row->upload.id), sql_text(d->target),
				    sql_int(d->status), sql_int(d->attempt), sql_int(d->due_at),
				    sql_int(d->queued_at), sql_int(d->ended_at),
				    sql_text(d->location), sql_text(d->issues),
				    sql_text(d->sha256)),
			    err) < 0)
			return -1;
	}
	return 0;
}

static int put_row(struct sql_conn *c, const struct state_move_row *row, struct err *err)
{
	const struct upload *u = &row->upload;
	struct sql_query q;
	int64_t seq = 0;

	state_sqlite_query_start(&q, c, SQL_MOVE_PUT_UPLOAD,
		SQL_ARGS(sql_text(u->id), sql_int(u->kind), sql_int(u->status), sql_int(u->length),
			sql_int(u->offset), sql_int(u->beyond), sql_int(u->created_at),
			sql_int(u->touched_at), sql_int(u->completed_at),
			sql_int(row->delivered_at), sql_int(row->ended_at), sql_int(row->removable),
			sql_text(u->token ? u->token : ""), sql_text(u->metadata),
			sql_text(u->manifest), sql_text(u->concat), sql_text(u->owner)),
		err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0)
		seq = state_sqlite_query_int(&q, 0);
	state_sqlite_query_end(&q);
	if (rc > 0 && put_deliveries(c, seq, row, err) < 0)
		rc = -1;
	return rc;
}

static enum state_result put_write(struct sql_conn *c, void *arg, struct err *err)
{
	struct put_args *a = arg;

	a->added = 0;
	for (size_t i = 0; i < a->n; i++) {
		int rc = put_row(c, &a->rows[i], err);
		if (rc < 0)
			return STATE_ERROR;
		a->added += (size_t)rc;
	}
	return STATE_OK;
}

int state_sqlite_move_put_uploads(struct state *s, const struct state_move_row *rows, size_t n,
	size_t *added, struct err *err)
{
	struct put_args a = {.rows = rows, .n = n};
	int rc = state_sqlite_write(s, put_write, &a, SQL_WRITE_WAKES, err) == STATE_OK ? 0 : -1;
	*added = a.added;
	return rc;
}

struct messages_args {
	const struct outbox_list *msgs;
	bool added;
};

static enum state_result messages_write(struct sql_conn *c, void *arg, struct err *err)
{
	struct messages_args *a = arg;
	const struct outbox_message *first = &a->msgs->items[0];
	struct sql_query q;
	bool parked = first->parked_at > 0;

	state_sqlite_query_start(&q, c, SQL_MOVE_HAS_MESSAGE,
		SQL_ARGS(sql_text(first->upload_id), sql_text(first->sink), sql_int(parked)), err);
	int rc = state_sqlite_query_step(&q, err);
	state_sqlite_query_end(&q);
	a->added = rc == 0;
	for (size_t i = 0; rc == 0 && i < a->msgs->n; i++) {
		const struct outbox_message *m = &a->msgs->items[i];
		rc = state_sqlite_query_run(c, SQL_MOVE_PUT_MESSAGE,
			     SQL_ARGS(sql_text(m->upload_id), sql_text(m->sink), sql_text(m->name),
				     sql_int(m->replace), sql_text(m->data), sql_int(m->due_at),
				     sql_int(m->attempt), sql_int(i == 0 && !parked),
				     sql_int(m->parked_at), sql_text(m->reason)),
			     err) < 0
			     ? -1
			     : 0;
	}
	return rc < 0 ? STATE_ERROR : STATE_OK;
}

int state_sqlite_move_put_messages(
	struct state *s, const struct outbox_list *msgs, size_t *added, struct err *err)
{
	struct messages_args a = {.msgs = msgs};
	int rc = state_sqlite_write(s, messages_write, &a, 0, err) == STATE_OK ? 0 : -1;
	*added = rc == 0 && a.added ? msgs->n : 0;
	return rc;
}
