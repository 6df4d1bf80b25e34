/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_SQLITE_WRITER_H
#define DEX_BACKENDS_STATE_SQLITE_WRITER_H

#include "core/store/state.h"

/*
 * The one thread of this process that writes. It takes all waiting changes at once and commits them
 * together: one sync for all (group commit). Callers sleep meanwhile; an answer is given only after
 * the commit.
 */

struct err;
struct sql_conn;
struct sql_writer;

/*
 * Make a change on ${c} within the open transaction. STATE_OK keeps it, anything else takes it back
 * (and only it). May be called more than once, when another change spoilt the whole transaction;
 * ${arg} is then as the last call left it.
 */
typedef enum state_result sql_write_fn(struct sql_conn *c, void *arg, struct err *err);

enum {
	SQL_WRITE_WAKES = 1, /* STATE_OK may bring a delivery's due time forward: wake state_wait */
};

/*
 * ${c} stays the caller's but is used by nobody else until the writer has ended. ${wake_fd}: its
 * file time is set after commits that wake. NULL + ${err} when no thread can be had.
 */
struct sql_writer *state_sqlite_writer_start(struct sql_conn *c, int wake_fd, struct err *err);
void state_sqlite_writer_stop(struct sql_writer *w); /* finishes what waits; NULL is fine */

enum state_result state_sqlite_writer_do(
	struct sql_writer *w, sql_write_fn *fn, void *arg, unsigned flags, struct err *err);

#endif
