/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LIST_PAGE 64

enum delivery_column { /* of DELIVERY_COLUMNS */
	COL_ID,
	COL_UPLOAD_ID,
	COL_TARGET,
	COL_STATUS,
	COL_ATTEMPT,
	COL_DUE_AT,
	COL_LEASE_OWNER,
	COL_LEASE_UNTIL,
	COL_QUEUED_AT,
	COL_ENDED_AT,
	COL_LOCATION,
	COL_ISSUES,
	COL_SHA256,
};

static void read_row(const struct sql_query *q, struct delivery *out)
{
	*out = (struct delivery){
		.id = state_sqlite_query_int(q, COL_ID),
		.target = state_sqlite_query_dup(q, COL_TARGET),
		.status = (enum delivery_status)state_sqlite_query_int(q, COL_STATUS),
		.attempt = (int)state_sqlite_query_int(q, COL_ATTEMPT),
		.due_at = state_sqlite_query_int(q, COL_DUE_AT),
		.lease_owner = state_sqlite_query_dup(q, COL_LEASE_OWNER),
		.lease_until = state_sqlite_query_int(q, COL_LEASE_UNTIL),
		.queued_at = state_sqlite_query_int(q, COL_QUEUED_AT),
		.ended_at = state_sqlite_query_int(q, COL_ENDED_AT),
		.location = state_sqlite_query_dup(q, COL_LOCATION),
		.issues = state_sqlite_query_dup(q, COL_ISSUES),
		.sha256 = state_sqlite_query_dup(q, COL_SHA256),
	};
	str_copy(out->upload_id, sizeof(out->upload_id), state_sqlite_query_text(q, COL_UPLOAD_ID));
}

/* Step an UPDATE … RETURNING of at most one row: 1 with the row read by ${read}, 0, or -1. */
static int step_returning(struct sql_query *q, void (*read)(const struct sql_query *, void *),
	void *out, struct err *err)
{
	int rc = state_sqlite_query_step(q, err);
	if (rc > 0) {
		read(q, out);
		if (state_sqlite_query_step(q, err) < 0)
			rc = -1;
	}
	state_sqlite_query_end(q);
	return rc;
}

struct lease_args {
	const struct delivery_filter *f;
	const char *owner;
	int64_t now;
	int64_t until;
	struct delivery *out;
};

static void read_leased(const struct sql_query *q, void *out)
{
	delivery_free(out); /* of a run whose transaction was undone */
	read_row(q, out);
}

static enum state_result lease_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct lease_args *a = arg;
	const char *upload_id = a->f ? a->f->upload_id : NULL;
	struct sql_value owner = sql_text(a->owner);
	struct sql_value until = sql_int(a->until);
	struct sql_value now = sql_int(a->now);
	struct sql_value target = sql_text(a->f ? a->f->target : NULL);
	struct sql_query q;

	if (upload_id)
		state_sqlite_query_start(&q, c, SQL_DELIVERY_LEASE_OF_UPLOAD,
			SQL_ARGS(owner, until, now, target, sql_text(upload_id)), err);
	else
		state_sqlite_query_start(
			&q, c, SQL_DELIVERY_LEASE, SQL_ARGS(owner, until, now, target), err);
	int rc = step_returning(&q, read_leased, a->out, err);
	if (rc < 0)
		return STATE_ERROR;
	return rc == 0 ? STATE_NOT_FOUND : STATE_OK;
}

enum state_result state_sqlite_delivery_lease(struct state *s, const struct delivery_filter *f,
	const char *owner, int64_t now, int64_t lease_ms, struct delivery *out, struct err *err)
{
	*out = (struct delivery){0};
	struct lease_args a = {f, owner, now, now + lease_ms * CLOCK_US_PER_MS, out};
	enum state_result result = state_sqlite_write(s, lease_write, &a, 0, err);
	if (result != STATE_OK)
		delivery_free(out);
	return result;
}

struct renew_args {
	int64_t id;
	const char *owner;
	int64_t until;
};

static enum state_result renew_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct renew_args *a = arg;
	int n = state_sqlite_query_run(c, SQL_DELIVERY_RENEW,
		SQL_ARGS(sql_int(a->id), sql_text(a->owner), sql_int(a->until)), err);
	if (n < 0)
		return STATE_ERROR;
	return n == 0 ? STATE_CONFLICT : STATE_OK;
}

enum state_result state_sqlite_delivery_renew(struct state *s, int64_t id, const char *owner,
	int64_t now, int64_t lease_ms, struct err *err)
{
	struct renew_args a = {id, owner, now + lease_ms * CLOCK_US_PER_MS};
	return state_sqlite_write(s, renew_write, &a, 0, err);
}

struct end_args {
	const struct delivery_end *e;
	const struct outbox_list *msgs;
};

static void read_number(const struct sql_query *q, void *out)
{
	*(int64_t *)out = state_sqlite_query_int(q, 0);
}

static enum state_result end_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct end_args *a = arg;
	const struct delivery_end *e = a->e;
	bool pending = e->status == DELIVERY_PENDING;
	bool done = e->status == DELIVERY_DONE;
	bool count = e->status == DELIVERY_FAILED || (pending && e->count_attempt);
	int64_t upload = 0;
	struct sql_query q;

	state_sqlite_query_start(&q, c, SQL_DELIVERY_END,
		SQL_ARGS(sql_int(e->id), sql_text(e->owner), sql_int(e->status), sql_int(e->due_at),
			sql_int(count), sql_text(done ? e->location : NULL), sql_text(e->issues),
			sql_int(pending ? 0 : e->now), sql_text(done ? e->sha256 : NULL)),
		err);
	int rc = step_returning(&q, read_number, &upload, err);
	if (rc < 0)
		return STATE_ERROR;
	if (rc == 0)
		return STATE_CONFLICT;
	if (done && state_sqlite_query_run(c, SQL_UPLOAD_DELIVERED,
			    SQL_ARGS(sql_int(upload), sql_int(e->now)), err) < 0)
		return STATE_ERROR;
	return state_sqlite_outbox_insert(c, a->msgs, err) ? STATE_ERROR : STATE_OK;
}

enum state_result state_sqlite_delivery_end(struct state *s, const struct delivery_end *e,
	const struct outbox_list *msgs, struct err *err)
{
	struct end_args a = {e, msgs};
	unsigned flags = e->status == DELIVERY_PENDING ? SQL_WRITE_WAKES : 0;
	return state_sqlite_write(s, end_write, &a, flags, err);
}

struct queue_args {
	const char *upload_id;
	const char *target;
	int64_t now;
	const struct outbox_list *msgs;
};

static enum state_result queue_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct queue_args *a = arg;
	struct sql_query q;
	int64_t seq = 0;
	int64_t status = 0;

	state_sqlite_query_start(&q, c, SQL_UPLOAD_STATUS, SQL_ARGS(sql_text(a->upload_id)), err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0) {
		seq = state_sqlite_query_int(&q, 0);
		status = state_sqlite_query_int(&q, 1);
	}
	state_sqlite_query_end(&q);
	if (rc < 0)
		return STATE_ERROR;
	if (rc == 0)
		return STATE_NOT_FOUND;
	if (status != UPLOAD_COMPLETE)
		return STATE_CONFLICT;
	int n = state_sqlite_query_run(c, SQL_DELIVERY_QUEUE,
		SQL_ARGS(
			sql_int(seq), sql_text(a->upload_id), sql_text(a->target), sql_int(a->now)),
		err);
	if (n <= 0)
		return n < 0 ? STATE_ERROR : STATE_OK; /* pending already */
	if (state_sqlite_query_run(c, SQL_UPLOAD_UNDELIVERED, SQL_ARGS(sql_int(seq)), err) < 0)
		return STATE_ERROR;
	return state_sqlite_outbox_insert(c, a->msgs, err) ? STATE_ERROR : STATE_OK;
}

enum state_result state_sqlite_delivery_queue(struct state *s, const char *upload_id,
	const char *target, int64_t now, const struct outbox_list *msgs, struct err *err)
{
	struct queue_args a = {upload_id, target, now, msgs};
	return state_sqlite_write(s, queue_write, &a, SQL_WRITE_WAKES, err);
}

/*
 * All rows of a query into ${rows_out}; the count or -1. Callbacks run afterwards, so that they may
 * use the store, and no reader is held for as long as they take.
 */
static int read_rows(struct state *s, enum sql_id sql, const struct sql_value *args,
	struct delivery **rows_out, struct err *err)
{
	struct delivery *rows = NULL;
	int n = 0;
	int rc;
	struct sql_query q;

	*rows_out = NULL;
	struct sql_conn *c = state_sqlite_borrow(s, err);
	if (!c)
		return -1;
	state_sqlite_query_start(&q, c, sql, args, err);
	while ((rc = state_sqlite_query_step(&q, err)) > 0) {
		if (n % LIST_PAGE == 0)
			rows = mem_array(rows, (size_t)n + LIST_PAGE, sizeof(*rows));
		read_row(&q, &rows[n++]);
	}
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	*rows_out = rows;
	return rc < 0 ? -1 : n;
}

static void free_rows(struct delivery *rows, int n)
{
	for (int i = 0; i < n; i++)
		delivery_free(&rows[i]);
	free(rows);
}

int state_sqlite_delivery_of_upload(
	struct state *s, const char *upload_id, state_delivery_fn *fn, void *arg, struct err *err)
{
	struct delivery *rows;
	int n = read_rows(s, SQL_DELIVERY_OF_UPLOAD, SQL_ARGS(sql_text(upload_id)), &rows, err);
	for (int i = 0; i < n; i++) {
		if (fn(arg, &rows[i]))
			break;
	}
	free_rows(rows, n);
	return n < 0 ? -1 : 0;
}

int state_sqlite_delivery_unfinished(struct state *s, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err)
{
	struct sql_value target = sql_text(f ? f->target : NULL);
	struct sql_value limit = sql_int(LIST_PAGE);
	int64_t queued_at = INT64_MIN; /* what the previous page ended with */
	int64_t id = 0;
	int n;
	bool stopped = false;

	do {
		struct sql_value after = sql_int(queued_at);
		struct delivery *rows;
		if (f && f->upload_id)
			n = read_rows(s, SQL_DELIVERY_UNFINISHED_OF_UPLOAD,
				SQL_ARGS(after, sql_int(id), target, limit, sql_text(f->upload_id)),
				&rows, err);
		else
			n = read_rows(s, SQL_DELIVERY_UNFINISHED,
				SQL_ARGS(after, sql_int(id), target, limit), &rows, err);
		for (int i = 0; i < n && !stopped; i++) {
			queued_at = rows[i].queued_at;
			id = rows[i].id;
			stopped = fn(arg, &rows[i]) != 0;
		}
		free_rows(rows, n);
	} while (n == LIST_PAGE && !stopped);
	return n < 0 ? -1 : 0;
}

/* Until when nothing is due, as far as is known now: wall clock, INT64_MAX when nothing is queued.
 */
static int next_due(struct state *s, int64_t *out, struct err *err)
{
	struct sql_conn *c = state_sqlite_borrow(s, err);
	if (!c)
		return -1;
	struct sql_query q;
	state_sqlite_query_start(&q, c, SQL_DELIVERY_NEXT, NULL, err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0)
		*out = state_sqlite_query_text(&q, 0) ? state_sqlite_query_int(&q, 0) : INT64_MAX;
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	return rc < 0 ? -1 : 0;
}

int state_sqlite_delivery_wait(struct state *st, int64_t timeout_ms, int stop_fd, struct err *err)
{
	struct state_sqlite *s = (struct state_sqlite *)st;
	int rc = -1;
	int64_t due = INT64_MAX;

	/* Watched before the look, so that what is queued in between is seen. */
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return err_errno(err, __func__, "cannot watch for deliveries");
	if (inotify_add_watch(fd, s->wake_path, IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE) < 0) {
		err_errno(err, __func__, "cannot watch %s", s->wake_path);
		goto out;
	}
	if (next_due(st, &due, err))
		goto out;
	if (due != INT64_MAX) {
		int64_t us = due - clock_now();
		int64_t ms = us <= 0 ? 0 : (us - 1) / CLOCK_US_PER_MS + 1;
		if (ms < timeout_ms)
			timeout_ms = ms;
	}
	struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
	int ms = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
	/* A signal ends it early: the caller may have been told to stop. */
	if (ms > 0 && poll(fds, 2, ms) < 0 && errno != EINTR) {
		err_errno(err, __func__, "cannot wait for deliveries");
		goto out;
	}
	rc = 0;
out:
	close(fd);
	return rc;
}
