/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_SQLITE_H
#define DEX_BACKENDS_STATE_SQLITE_H

#include "backends/state_sqlite_query.h"
#include "backends/state_sqlite_writer.h"
#include "core/store/state_impl.h"

#include <pthread.h>

/*
 * What the files of the SQLite state store share. state_sqlite.c opens and closes, the others hold
 * the slots of struct state_backend that belong to their subject.
 */

#define SQLITE_READERS_MAX 8

struct state_sqlite {
	struct state base;
	char *path;
	char *wake_path; /* a file whose time is set when a delivery was queued */
	int wake_fd;
	struct sql_conn *write_conn;
	struct sql_writer *writer;
	/* Readers are few and shared, so that a thousand threads do not need a thousand
	 * connections. */
	pthread_mutex_t lock;
	pthread_cond_t reader_freed;
	struct sql_conn *readers[SQLITE_READERS_MAX]; /* the idle ones */
	int idle;
	int opened;
};

/* Borrow a reader; NULL + ${err}. Give it back soon, and never call the store while holding one. */
struct sql_conn *state_sqlite_borrow(struct state *s, struct err *err);
void state_sqlite_give_back(struct state *s, struct sql_conn *c);
/* As state_sqlite_writer_do. */
enum state_result state_sqlite_write(
	struct state *s, sql_write_fn *fn, void *arg, unsigned flags, struct err *err);

int state_sqlite_upload_create(struct state *s, const struct upload *u,
	const struct upload_limits *limits, const struct outbox_list *msgs, struct err *err);
enum state_result state_sqlite_upload_get(
	struct state *s, const char *id, struct upload *out, struct err *err);
enum state_result state_sqlite_upload_change(struct state *s, const struct upload_change *c,
	bool complete, const char *const *targets, size_t ntargets, const struct outbox_list *msgs,
	struct err *err);
enum state_result state_sqlite_upload_end(struct state *s, const char *id,
	enum upload_status status, int64_t touched_before, int64_t now,
	const struct outbox_list *msgs, struct err *err);
int state_sqlite_upload_removed(struct state *s, const char *id, struct err *err);
int state_sqlite_upload_purge(
	struct state *s, int64_t before, int limit, int *purged_out, struct err *err);
int state_sqlite_upload_scan_stale(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
int state_sqlite_upload_scan_delivered(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
int state_sqlite_upload_scan_removable(
	struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err);
int state_sqlite_upload_scan_times(struct state *s, const struct upload_mark *after, int64_t until,
	struct upload_mark *marks, int max, struct err *err);

enum state_result state_sqlite_delivery_lease(struct state *s, const struct delivery_filter *f,
	const char *owner, int64_t now, int64_t lease_ms, struct delivery *out, struct err *err);
enum state_result state_sqlite_delivery_renew(struct state *s, int64_t id, const char *owner,
	int64_t now, int64_t lease_ms, struct err *err);
enum state_result state_sqlite_delivery_end(struct state *s, const struct delivery_end *e,
	const struct outbox_list *msgs, struct err *err);
enum state_result state_sqlite_delivery_queue(struct state *s, const char *upload_id,
	const char *target, int64_t now, const struct outbox_list *msgs, struct err *err);
int state_sqlite_delivery_of_upload(
	struct state *s, const char *upload_id, state_delivery_fn *fn, void *arg, struct err *err);
int state_sqlite_delivery_unfinished(struct state *s, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err);
int state_sqlite_delivery_wait(struct state *s, int64_t timeout_ms, int stop_fd, struct err *err);

int state_sqlite_outbox_add(struct state *s, const struct outbox_list *msgs, struct err *err);
/* Within a change: add ${msgs} (may be NULL). */
int state_sqlite_outbox_insert(struct sql_conn *c, const struct outbox_list *msgs, struct err *err);
int state_sqlite_outbox_take(struct state *s, const char *sink, int64_t now, int64_t lease_ms,
	int max, state_outbox_fn *fn, void *arg, struct err *err);
int state_sqlite_outbox_sent(struct state *s, const int64_t *ids, size_t n, struct err *err);
int state_sqlite_outbox_retry(struct state *s, int64_t id, int64_t due_at, struct err *err);
/*
 * Within a change: a statement that takes one message away or brings one back and answers its
 * upload and sink. Then the first that is left of them is the one to go next.
 */
int state_sqlite_outbox_step(
	struct sql_conn *c, enum sql_id id, const struct sql_value *args, struct err *err);

int state_sqlite_parked_park(
	struct state *s, int64_t id, const char *reason, int64_t now, struct err *err);
int state_sqlite_parked_unpark(struct state *s, int64_t id, int64_t now, struct err *err);
int state_sqlite_parked_list(
	struct state *s, const char *upload_id, state_outbox_fn *fn, void *arg, struct err *err);

/* A message with strings of its own, as SQL_MOVE_MESSAGES and SQL_OUTBOX_PARKED answer it. */
struct state_sqlite_message {
	struct outbox_message m;
	char *sink;
	char *name;
	char *data;
	char *reason;
};
#define STATE_SQLITE_MESSAGES 64 /* of a page */
/* Read up to a page of them and end the query. The number, or -1 and then there are none. */
int state_sqlite_parked_read(
	struct sql_query *q, struct state_sqlite_message *out, struct err *err);
void state_sqlite_parked_free(struct state_sqlite_message *m);

int state_sqlite_kv_counts(struct state *s, int64_t now, struct state_counts *out, struct err *err);
enum state_result state_sqlite_kv_get(
	struct state *s, const char *key, int64_t now, struct buf *out, struct err *err);
enum state_result state_sqlite_kv_put(struct state *s, const char *key, const char *value,
	size_t len, bool only_if_absent, int64_t now, int64_t expires_at, struct err *err);

int state_sqlite_move_uploads(struct state *s, state_move_row_fn *fn, void *arg, struct err *err);
int state_sqlite_move_messages(
	struct state *s, state_move_message_fn *fn, void *arg, struct err *err);
int state_sqlite_move_put_uploads(struct state *s, const struct state_move_row *rows, size_t n,
	size_t *added, struct err *err);
int state_sqlite_move_put_messages(
	struct state *s, const struct outbox_list *msgs, size_t *added, struct err *err);

#endif
