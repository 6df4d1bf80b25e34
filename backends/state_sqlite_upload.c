/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

enum upload_column { /* of SQL_UPLOAD_GET */
	COL_ID,
	COL_KIND,
	COL_STATUS,
	COL_LENGTH,
	COL_OFFSET,
	COL_BEYOND,
	COL_CREATED_AT,
	COL_TOUCHED_AT,
	COL_COMPLETED_AT,
	COL_METADATA,
	COL_MANIFEST,
	COL_CONCAT,
	COL_TOKEN,
	COL_OWNER,
};

/* The row number of upload ${id}. 1, 0 when there is none, -1. */
static int find_row(struct sql_conn *c, const char *id, int64_t *seq, struct err *err)
{
	struct sql_query q;
	state_sqlite_query_start(&q, c, SQL_UPLOAD_STATUS, SQL_ARGS(sql_text(id)), err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0)
		*seq = state_sqlite_query_int(&q, 0);
	state_sqlite_query_end(&q);
	return rc;
}

/* Why a guarded change found no row: there is none, or it is not as the caller believed. */
static enum state_result not_found_or_conflict(struct sql_conn *c, const char *id, struct err *err)
{
	int64_t seq;
	int rc = find_row(c, id, &seq, err);
	if (rc < 0)
		return STATE_ERROR;
	return rc == 0 ? STATE_NOT_FOUND : STATE_CONFLICT;
}

struct create_args {
	const struct upload *u;
	const struct upload_limits *limits;
	const struct outbox_list *msgs;
};

/* 1: there is no room for another one; 0, or -1. */
static int too_many(struct sql_conn *c, const struct create_args *a, struct err *err)
{
	struct sql_query q;
	if (a->limits->in_all <= 0 && a->limits->of_owner <= 0)
		return 0;
	state_sqlite_query_start(&q, c, SQL_UPLOAD_TOO_MANY,
		SQL_ARGS(sql_int(a->limits->in_all), sql_text(a->u->owner),
			sql_int(a->limits->of_owner)),
		err);
	int rc = state_sqlite_query_step(&q, err);
	state_sqlite_query_end(&q);
	return rc;
}

static enum state_result create_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct create_args *a = arg;
	const struct upload *u = a->u;
	int full = too_many(c, a, err);
	if (full > 0)
		err_set(err, ERR_TOO_MANY, __func__, "too many uploads are unfinished");
	if (full)
		return STATE_ERROR;
	int n = state_sqlite_query_run(c, SQL_UPLOAD_CREATE,
		SQL_ARGS(sql_text(u->id), sql_int(u->kind), sql_int(u->length),
			sql_int(u->created_at), sql_text(u->token ? u->token : ""),
			sql_text(u->metadata), sql_text(u->manifest), sql_text(u->concat),
			sql_text(u->owner)),
		err);
	if (n < 0 || state_sqlite_outbox_insert(c, a->msgs, err))
		return STATE_ERROR;
	return STATE_OK;
}

int state_sqlite_upload_create(struct state *s, const struct upload *u,
	const struct upload_limits *limits, const struct outbox_list *msgs, struct err *err)
{
	struct create_args a = {u, limits, msgs};
	return state_sqlite_write(s, create_write, &a, 0, err) == STATE_OK ? 0 : -1;
}

enum state_result state_sqlite_upload_get(
	struct state *s, const char *id, struct upload *out, struct err *err)
{
	struct sql_conn *c = state_sqlite_borrow(s, err);
	if (!c)
		return STATE_ERROR;
	struct sql_query q;
	state_sqlite_query_start(&q, c, SQL_UPLOAD_GET, SQL_ARGS(sql_text(id)), err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0) {
		*out = (struct upload){
			.kind = (enum upload_kind)state_sqlite_query_int(&q, COL_KIND),
			.status = (enum upload_status)state_sqlite_query_int(&q, COL_STATUS),
			.length = state_sqlite_query_int(&q, COL_LENGTH),
			.offset = state_sqlite_query_int(&q, COL_OFFSET),
			.beyond = (enum upload_beyond)state_sqlite_query_int(&q, COL_BEYOND),
			.created_at = state_sqlite_query_int(&q, COL_CREATED_AT),
			.touched_at = state_sqlite_query_int(&q, COL_TOUCHED_AT),
			.completed_at = state_sqlite_query_int(&q, COL_COMPLETED_AT),
			.metadata = state_sqlite_query_dup(&q, COL_METADATA),
			.manifest = state_sqlite_query_dup(&q, COL_MANIFEST),
			.concat = state_sqlite_query_dup(&q, COL_CONCAT),
			.token = state_sqlite_query_dup(&q, COL_TOKEN),
			.owner = state_sqlite_query_dup(&q, COL_OWNER),
		};
		str_copy(out->id, sizeof(out->id), state_sqlite_query_text(&q, COL_ID));
	}
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	if (rc < 0)
		return STATE_ERROR;
	return rc == 0 ? STATE_NOT_FOUND : STATE_OK;
}

struct change_args {
	const struct upload_change *c;
	const char *const *targets;
	size_t ntargets;
	const struct outbox_list *msgs;
};

#define CHANGE_ARGS(ch)                                                              \
	SQL_ARGS(sql_text((ch)->id), sql_int((ch)->from), sql_int((ch)->to),         \
		sql_int((ch)->length), sql_text((ch)->token), sql_int((ch)->beyond), \
		sql_int((int64_t)(ch)->fence), sql_int((ch)->now))

static enum state_result advance_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct change_args *a = arg;
	int n = state_sqlite_query_run(c, SQL_UPLOAD_ADVANCE, CHANGE_ARGS(a->c), err);
	if (n < 0)
		return STATE_ERROR;
	if (n == 0)
		return not_found_or_conflict(c, a->c->id, err);
	return state_sqlite_outbox_insert(c, a->msgs, err) ? STATE_ERROR : STATE_OK;
}

static enum state_result complete_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct change_args *a = arg;
	int64_t seq = 0;

	int n = state_sqlite_query_run(c, SQL_UPLOAD_COMPLETE, CHANGE_ARGS(a->c), err);
	if (n < 0)
		return STATE_ERROR;
	if (n == 0)
		return not_found_or_conflict(c, a->c->id, err);
	/* RETURNING would make a table for its one row. */
	if (a->ntargets > 0 && find_row(c, a->c->id, &seq, err) < 0)
		return STATE_ERROR;
	for (size_t i = 0; i < a->ntargets; i++) {
		if (state_sqlite_query_run(c, SQL_DELIVERY_CREATE,
			    SQL_ARGS(sql_int(seq), sql_text(a->c->id), sql_text(a->targets[i]),
				    sql_int(a->c->now)),
			    err) < 0)
			return STATE_ERROR;
	}
	return state_sqlite_outbox_insert(c, a->msgs, err) ? STATE_ERROR : STATE_OK;
}

enum state_result state_sqlite_upload_change(struct state *s, const struct upload_change *c,
	bool complete, const char *const *targets, size_t ntargets, const struct outbox_list *msgs,
	struct err *err)
{
	struct change_args a = {c, targets, ntargets, msgs};
	if (complete)
		return state_sqlite_write(s, complete_write, &a, SQL_WRITE_WAKES, err);
	return state_sqlite_write(s, advance_write, &a, 0, err);
}

struct end_args {
	const char *id;
	enum upload_status status;
	int64_t touched_before;
	int64_t now;
	const struct outbox_list *msgs;
};

static enum state_result end_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct end_args *a = arg;
	int n;
	if (a->status == UPLOAD_EXPIRED)
		n = state_sqlite_query_run(c, SQL_UPLOAD_EXPIRE,
			SQL_ARGS(sql_text(a->id), sql_int(a->now), sql_int(a->touched_before)),
			err);
	else
		n = state_sqlite_query_run(c,
			a->status == UPLOAD_TERMINATED ? SQL_UPLOAD_TERMINATE : SQL_UPLOAD_RETIRE,
			SQL_ARGS(sql_text(a->id), sql_int(a->now)), err);
	if (n < 0)
		return STATE_ERROR;
	if (n == 0)
		return not_found_or_conflict(c, a->id, err);
	return state_sqlite_outbox_insert(c, a->msgs, err) ? STATE_ERROR : STATE_OK;
}

enum state_result state_sqlite_upload_end(struct state *s, const char *id,
	enum upload_status status, int64_t touched_before, int64_t now,
	const struct outbox_list *msgs, struct err *err)
{
	struct end_args a = {id, status, touched_before, now, msgs};
	return state_sqlite_write(s, end_write, &a, 0, err);
}

static enum state_result removed_write(struct sql_conn *c, void *arg, struct err *err)
{
	const char *id = arg;
	int n = state_sqlite_query_run(c, SQL_UPLOAD_REMOVED, SQL_ARGS(sql_text(id)), err);
	return n < 0 ? STATE_ERROR : STATE_OK;
}

int state_sqlite_upload_removed(struct state *s, const char *id, struct err *err)
{
	char copy[UUID_SIZE];
	str_copy(copy, sizeof(copy), id);
	return state_sqlite_write(s, removed_write, copy, 0, err) == STATE_OK ? 0 : -1;
}

struct purge_args {
	int64_t before;
	int limit;
	int purged;
};

static enum state_result purge_write(struct sql_conn *c, void *arg, struct err *err)
{
	struct purge_args *a = arg;
	const struct sql_value *args = SQL_ARGS(sql_int(a->before), sql_int(a->limit));
	if (state_sqlite_query_run(c, SQL_UPLOAD_PURGE_DELIVERIES, args, err) < 0)
		return STATE_ERROR;
	a->purged = state_sqlite_query_run(c, SQL_UPLOAD_PURGE, args, err);
	return a->purged < 0 ? STATE_ERROR : STATE_OK;
}

int state_sqlite_upload_purge(
	struct state *s, int64_t before, int limit, int *purged_out, struct err *err)
{
	struct purge_args a = {before, limit, 0};
	if (state_sqlite_write(s, purge_write, &a, 0, err) != STATE_OK)
		return -1;
	*purged_out = a.purged;
	return 0;
}

static int scan(struct state *s, enum sql_id sql, const struct sql_value *args,
	char (*ids)[UUID_SIZE], int max, struct err *err)
{
	struct sql_conn *c = state_sqlite_borrow(s, err);
	if (!c)
		return -1;
	struct sql_query q;
	int n = 0;
	int rc;
	state_sqlite_query_start(&q, c, sql, args, err);
	while ((rc = state_sqlite_query_step(&q, err)) > 0 && n < max)
		str_copy(ids[n++], UUID_SIZE, state_sqlite_query_text(&q, 0));
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	return rc < 0 ? -1 : n;
}

int state_sqlite_upload_scan_stale(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	return scan(
		s, SQL_UPLOAD_SCAN_STALE, SQL_ARGS(sql_int(cutoff), sql_int(max)), ids, max, err);
}

int state_sqlite_upload_scan_delivered(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	return scan(s, SQL_UPLOAD_SCAN_DELIVERED, SQL_ARGS(sql_int(cutoff), sql_int(max)), ids, max,
		err);
}

int state_sqlite_upload_scan_removable(
	struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	return scan(s, SQL_UPLOAD_SCAN_REMOVABLE, SQL_ARGS(sql_int(max)), ids, max, err);
}

int state_sqlite_upload_scan_times(struct state *s, const struct upload_mark *after, int64_t until,
	struct upload_mark *marks, int max, struct err *err)
{
	struct sql_conn *c = state_sqlite_borrow(s, err);
	struct sql_query q;
	int n = 0;
	int rc;

	if (!c)
		return -1;
	state_sqlite_query_start(&q, c, SQL_UPLOAD_SCAN_TIMES,
		SQL_ARGS(sql_int(after->at), sql_text(after->id), sql_int(until), sql_int(max)),
		err);
	while ((rc = state_sqlite_query_step(&q, err)) > 0 && n < max) {
		struct upload_mark *m = &marks[n++];
		m->at = state_sqlite_query_int(&q, 0);
		str_copy(m->id, sizeof(m->id), state_sqlite_query_text(&q, 1));
	}
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	return rc < 0 ? -1 : n;
}
