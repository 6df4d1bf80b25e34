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

struct text_message { /* strings of its own */
	struct outbox_message m;
	char *sink;
	char *name;
	char *data;
};

int state_sqlite_move_messages(
	struct state *s, state_move_message_fn *fn, void *arg, struct err *err)
{
	char upload_id[UUID_SIZE] = "";
	char *sink = mem_strdup("");
	int64_t after = INT64_MIN;
	int n;
	int rc = 0;

	do {
		struct text_message rows[PAGE];
		struct sql_conn *c = state_sqlite_borrow(s, err);
		struct sql_query q;
		n = 0;
		if (!c) {
			rc = -1;
			break;
		}
		state_sqlite_query_start(&q, c, SQL_MOVE_MESSAGES,
			SQL_ARGS(
				sql_text(upload_id), sql_text(sink), sql_int(after), sql_int(PAGE)),
			err);
		while (n < PAGE && (rc = state_sqlite_query_step(&q, err)) > 0) {
			struct text_message *t = &rows[n++];
			*t = (struct text_message){
				.m = {.id = state_sqlite_query_int(&q, 0),
					.replace = state_sqlite_query_int(&q, 4) != 0,
					.due_at = state_sqlite_query_int(&q, 6),
					.attempt = (int)state_sqlite_query_int(&q, 7)},
				.sink = state_sqlite_query_dup(&q, 2),
				.name = state_sqlite_query_dup(&q, 3),
				.data = state_sqlite_query_dup(&q, 5),
			};
			str_copy(t->m.upload_id, sizeof(t->m.upload_id),
				state_sqlite_query_text(&q, 1));
			t->m.sink = t->sink;
			t->m.name = t->name;
			t->m.data = t->data;
		}
		state_sqlite_query_end(&q);
		state_sqlite_give_back(s, c);
		rc = rc < 0 ? -1 : 0;
		for (int i = 0; i < n; i++) {
			struct text_message *t = &rows[i];
			if (rc == 0)
				rc = fn(arg, &t->m, err);
			after = t->m.id;
			str_copy(upload_id, sizeof(upload_id), t->m.upload_id);
			free(sink);
			sink = t->sink;
			free(t->name);
			free(t->data);
		}
	} while (rc == 0 && n == PAGE);
	free(sink);
	return rc < 0 ? -1 : 0;
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

	state_sqlite_query_start(&q, c, SQL_OUTBOX_GROUP,
		SQL_ARGS(sql_text(first->upload_id), sql_text(first->sink), sql_int(1)), err);
	int rc = state_sqlite_query_step(&q, err);
	state_sqlite_query_end(&q);
	a->added = rc == 0;
	for (size_t i = 0; rc == 0 && i < a->msgs->n; i++) {
		const struct outbox_message *m = &a->msgs->items[i];
		rc = state_sqlite_query_run(c, SQL_MOVE_PUT_MESSAGE,
			     SQL_ARGS(sql_text(m->upload_id), sql_text(m->sink), sql_text(m->name),
				     sql_int(m->replace), sql_text(m->data), sql_int(m->due_at),
				     sql_int(m->attempt), sql_int(i == 0)),
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
