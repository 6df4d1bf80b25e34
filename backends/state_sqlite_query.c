/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite_query.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUSY_LIMIT_MS 10000
#define BUSY_FIRST_US 200
#define BUSY_MAX_US 20000

static int fail(const struct sql_conn *c, int rc, struct err *err)
{
	int sys = c->db ? sqlite3_system_errno(c->db) : 0;
	const char *msg = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
	enum err_code code = ERR_IO;

	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(
			err, ERR_UNAVAILABLE, __func__, "%s is locked by another process", c->path);
	case SQLITE_FULL:
		code = ERR_NO_SPACE;
		break;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		code = ERR_CORRUPT;
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		code = ERR_DENIED;
		break;
	case SQLITE_CANTOPEN:
		code = sys == EACCES || sys == EPERM || sys == EROFS ? ERR_DENIED : ERR_UNAVAILABLE;
		break;
	case SQLITE_NOMEM:
		code = ERR_UNAVAILABLE;
		break;
	case SQLITE_CONSTRAINT:
		code = ERR_EXISTS;
		break;
	case SQLITE_TOOBIG:
		code = ERR_TOO_LARGE;
		break;
	case SQLITE_IOERR:
		if (sys == ENOSPC || sys == EDQUOT)
			code = ERR_NO_SPACE;
		break;
	default:
		break;
	}
	if (sys != 0 && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)) {
		errno = sys;
		err_errno(err, __func__, "%s: %s", c->path, msg);
		if (err)
			err->code = code;
		return -1;
	}
	return err_set(err, code, __func__, "%s: %s", c->path, msg);
}

/*
 * Instead of SQLite's own busy handler, whose growing sleeps starve one waiter while others get the
 * lock again and again: short random sleeps.
 */
static int wait_while_busy(void *arg, int tries)
{
	struct sql_conn *c = arg;
	int64_t now = clock_mono_ms();
	if (tries == 0)
		c->busy_since = now;
	if (now - c->busy_since >= c->busy_limit_ms)
		return 0;
	uint64_t longest = (uint64_t)BUSY_FIRST_US * ((uint64_t)tries + 1) * 2;
	if (longest > BUSY_MAX_US)
		longest = BUSY_MAX_US;
	uint64_t us = BUSY_FIRST_US + random_below(longest);
	struct timespec t = {.tv_sec = 0, .tv_nsec = (long)us * 1000};
	nanosleep(&t, NULL); /* cut short by a signal: one more try, no harm */
	return 1;
}

static int note_wal_pages(void *arg, sqlite3 *db, const char *name, int pages)
{
	(void)db;
	(void)name;
	struct sql_conn *c = arg;
	c->wal_pages = pages;
	return SQLITE_OK;
}

/*
 * Made here and not by SQLite, which would let others read it. An existing file stays unopened:
 * closing a descriptor of it would drop the locks of this process's other connections.
 */
static int make_file(const char *path, bool durable, struct err *err)
{
	struct err why = {0};
	int fd = fsio_open_or_make(path, O_RDWR | O_EXCL, &why);
	if (fd < 0)
		return why.code == ERR_EXISTS ? 0
					      : err_set(err, why.code, __func__, "%s", why.text);
	close(fd);
	return durable ? fsio_sync_parent(AT_FDCWD, path, err) : 0;
}

static int switch_wal_on(struct sql_conn *c, struct err *err)
{
	sqlite3_stmt *st;
	int rc;
	bool wal = false;

	/* SQLite does not call the busy handler when two processes switch at once. */
	for (int tries = 0;; tries++) {
		st = NULL;
		rc = sqlite3_prepare_v2(c->db, "PRAGMA journal_mode=WAL", -1, &st, NULL);
		if (rc == SQLITE_OK)
			rc = sqlite3_step(st);
		if ((rc & 0xff) != SQLITE_BUSY || !wait_while_busy(c, tries))
			break;
		sqlite3_finalize(st);
	}
	if (rc != SQLITE_ROW) {
		fail(c, rc, err);
	} else {
		wal = strcmp((const char *)sqlite3_column_text(st, 0), "wal") == 0;
		if (!wal)
			err_set(err, ERR_UNSUPPORTED, __func__,
				"%s cannot have a write-ahead log where it lies", c->path);
	}
	sqlite3_finalize(st);
	return wal ? 0 : -1;
}

static int set_up_writer(struct sql_conn *c, bool durable, struct err *err)
{
	if (sqlite3_db_readonly(c->db, "main") == 1)
		return err_set(err, ERR_DENIED, __func__, "%s is read-only", c->path);
	if (switch_wal_on(c, err))
		return -1;
	/* Checkpoints are made by the writer thread once the answers are out. */
	if (state_sqlite_query_exec(c,
		    "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;"
		    "PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY;",
		    err))
		return -1;
	sqlite3_wal_hook(c->db, note_wal_pages, c);
	return state_sqlite_query_exec(
		c, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
}

/* Nobody asks for SQLite's memory statistics, for which every allocation would take one lock. */
static void set_up_library(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

struct sql_conn *state_sqlite_query_connect(
	const char *path, bool writer, bool durable, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, set_up_library);
	if (writer && make_file(path, durable, err))
		return NULL;
	struct sql_conn *c = mem_zalloc(sizeof(*c));
	c->path = path;
	c->busy_limit_ms = BUSY_LIMIT_MS;
	int rc = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_extended_result_codes(c->db, 1);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_handler(c->db, wait_while_busy, c);
	if (rc != SQLITE_OK) {
		fail(c, rc, err);
		goto bad;
	}
	if (state_sqlite_query_exec(c, "PRAGMA mmap_size=0; PRAGMA trusted_schema=0;", err))
		goto bad;
	if (writer) {
		if (set_up_writer(c, durable, err))
			goto bad;
	} else if (state_sqlite_query_exec(
			   c, "PRAGMA query_only=1; PRAGMA cache_size=-512;", err)) {
		goto bad;
	}
	return c;
bad:
	state_sqlite_query_disconnect(c);
	return NULL;
}

void state_sqlite_query_disconnect(struct sql_conn *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(c->stmts[i]);
	sqlite3_close_v2(c->db);
	free(c);
}

static int bind_args(sqlite3_stmt *st, const struct sql_value *v)
{
	int rc = SQLITE_OK;
	for (int i = 1; rc == SQLITE_OK && v->kind != SQL_END_OF_ARGS; i++, v++) {
		if (v->kind == SQL_INT)
			rc = sqlite3_bind_int64(st, i, v->num);
		else if (!v->data)
			rc = sqlite3_bind_null(st, i);
		else if (v->kind == SQL_TEXT)
			rc = sqlite3_bind_text(st, i, v->data, -1, SQLITE_STATIC);
		else
			rc = sqlite3_bind_blob64(st, i, v->data, v->len, SQLITE_STATIC);
	}
	return rc;
}

void state_sqlite_query_start(struct sql_query *q, struct sql_conn *c, enum sql_id id,
	const struct sql_value *args, struct err *err)
{
	*q = (struct sql_query){.conn = c};
	if (!c->stmts[id]) {
		int rc = sqlite3_prepare_v3(c->db, state_sqlite_sql[id], -1,
			SQLITE_PREPARE_PERSISTENT, &c->stmts[id], NULL);
		if (rc != SQLITE_OK) {
			fail(c, rc, err);
			return;
		}
	}
	if (args) {
		int rc = bind_args(c->stmts[id], args);
		if (rc != SQLITE_OK) {
			fail(c, rc, err);
			return;
		}
	}
	q->stmt = c->stmts[id];
}

int state_sqlite_query_step(struct sql_query *q, struct err *err)
{
	if (!q->stmt)
		return -1;
	int rc = sqlite3_step(q->stmt);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	return fail(q->conn, rc, err);
}

void state_sqlite_query_end(struct sql_query *q)
{
	if (q->stmt) {
		/* Both repeat or have no failure of their own: step has told it. */
		(void)sqlite3_reset(q->stmt);
		(void)sqlite3_clear_bindings(q->stmt);
	}
	q->stmt = NULL;
}

int64_t state_sqlite_query_int(const struct sql_query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

const char *state_sqlite_query_text(const struct sql_query *q, int column)
{
	return (const char *)sqlite3_column_text(q->stmt, column);
}

char *state_sqlite_query_dup(const struct sql_query *q, int column)
{
	return mem_strdup(state_sqlite_query_text(q, column));
}

const void *state_sqlite_query_blob(const struct sql_query *q, int column, size_t *len_out)
{
	const void *data = sqlite3_column_blob(q->stmt, column);
	*len_out = (size_t)sqlite3_column_bytes(q->stmt, column);
	return data;
}

int state_sqlite_query_run(
	struct sql_conn *c, enum sql_id id, const struct sql_value *args, struct err *err)
{
	struct sql_query q;
	state_sqlite_query_start(&q, c, id, args, err);
	int rc = state_sqlite_query_step(&q, err);
	int changes = sqlite3_changes(c->db);
	state_sqlite_query_end(&q);
	return rc < 0 ? -1 : changes;
}

int state_sqlite_query_exec(struct sql_conn *c, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : fail(c, rc, err);
}

int state_sqlite_query_value(struct sql_conn *c, const char *sql, int64_t *out, struct err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	bool row = rc == SQLITE_ROW;
	if (row)
		*out = sqlite3_column_int64(st, 0);
	else
		fail(c, rc, err);
	sqlite3_finalize(st);
	return row ? 0 : -1;
}

int state_sqlite_query_checkpoint(struct sql_conn *c, struct err *err)
{
	c->wal_pages = 0;
	int rc = sqlite3_wal_checkpoint_v2(c->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	/* Busy: another process is at it. */
	return rc == SQLITE_OK || (rc & 0xff) == SQLITE_BUSY ? 0 : fail(c, rc, err);
}

bool state_sqlite_query_in_transaction(const struct sql_conn *c)
{
	return !sqlite3_get_autocommit(c->db);
}

int64_t state_sqlite_query_changes(const struct sql_conn *c)
{
	return sqlite3_total_changes(c->db);
}

bool state_sqlite_query_file_moved(struct sql_conn *c)
{
	int moved = 0;
	int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return rc == SQLITE_OK && moved;
}
