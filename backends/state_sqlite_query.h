/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_SQLITE_QUERY_H
#define DEX_BACKENDS_STATE_SQLITE_QUERY_H

#include "backends/state_sqlite_sql.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One SQLite connection with its prepared statements, and queries on it. A connection is used by
 * one thread at a time. Errors name the file and carry the code that fits (locked: ERR_UNAVAILABLE,
 * full: ERR_NO_SPACE, damaged or not a database: ERR_CORRUPT).
 */

struct err;
struct sqlite3;
struct sqlite3_stmt;

struct sql_conn {
	struct sqlite3 *db;
	struct sqlite3_stmt *stmts[SQL_COUNT]; /* prepared when first used */
	const char *path;                      /* the owner's, outlives the connection */
	int64_t busy_since;                    /* monotonic ms */
	int64_t busy_limit_ms; /* how long to try while another process holds the lock */
	int wal_pages;         /* in the write-ahead log after the last commit */
};

/* Open ${path}. ${writer}: the file is made when missing (0640), WAL is switched on. NULL + ${err}.
 */
struct sql_conn *state_sqlite_query_connect(
	const char *path, bool writer, bool durable, struct err *err);
void state_sqlite_query_disconnect(struct sql_conn *c); /* NULL is fine */

struct sql_value { /* a bound parameter */
	enum { SQL_END_OF_ARGS, SQL_INT, SQL_TEXT, SQL_BLOB } kind;
	int64_t num;
	const void *data; /* must outlive the query; NULL binds NULL */
	size_t len;
};

static inline struct sql_value sql_int(int64_t num)
{
	return (struct sql_value){.kind = SQL_INT, .num = num};
}

static inline struct sql_value sql_text(const char *s)
{
	return (struct sql_value){.kind = SQL_TEXT, .data = s};
}

static inline struct sql_value sql_blob(const void *data, size_t len)
{
	return (struct sql_value){.kind = SQL_BLOB, .data = data, .len = len};
}

/* The parameters ?1, ?2 … of a statement. */
#define SQL_ARGS(...) ((const struct sql_value[]){__VA_ARGS__, {.kind = SQL_END_OF_ARGS}})

struct sql_query {
	struct sql_conn *conn;
	struct sqlite3_stmt *stmt; /* NULL when it could not start: stepping then fails */
};

/* Prepare if need be and bind ${args} (NULL: none). A failure is told by the first step. */
void state_sqlite_query_start(struct sql_query *q, struct sql_conn *c, enum sql_id id,
	const struct sql_value *args, struct err *err);
/* 1: a row; 0: no more rows; -1 with ${err}. */
int state_sqlite_query_step(struct sql_query *q, struct err *err);
/* Always, after the last step; what text() returned is no longer valid. */
void state_sqlite_query_end(struct sql_query *q);

int64_t state_sqlite_query_int(const struct sql_query *q, int column);
const char *state_sqlite_query_text(const struct sql_query *q, int column); /* NULL for NULL */
char *state_sqlite_query_dup(const struct sql_query *q, int column); /* the same, malloc'ed */
const void *state_sqlite_query_blob(const struct sql_query *q, int column, size_t *len_out);

/* Run a statement that yields no rows. Returns the number of changed rows or -1. */
int state_sqlite_query_run(
	struct sql_conn *c, enum sql_id id, const struct sql_value *args, struct err *err);
/* Run any SQL text, e.g. a migration. 0 or -1. */
int state_sqlite_query_exec(struct sql_conn *c, const char *sql, struct err *err);
/* The first column of the first row of any SQL text, as a number. 0 or -1. */
int state_sqlite_query_value(struct sql_conn *c, const char *sql, int64_t *out, struct err *err);

/* Copy what the write-ahead log holds into the database, as far as readers allow, without waiting.
 */
int state_sqlite_query_checkpoint(struct sql_conn *c, struct err *err);

bool state_sqlite_query_in_transaction(const struct sql_conn *c);
/* Rows that statements of this connection have changed so far, those taken back included. */
int64_t state_sqlite_query_changes(const struct sql_conn *c);
/* The file at the path is no longer the one that is open. */
bool state_sqlite_query_file_moved(struct sql_conn *c);

#endif
