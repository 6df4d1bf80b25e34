/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_REDIS_H
#define DEX_BACKENDS_STATE_REDIS_H

#include "backends/redis.h"
#include "backends/redis_bucket.h"
#include "backends/state_redis_scripts.h"
#include "core/store/state_impl.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * What the files of the Redis state store share. state_redis.c opens and probes, the others hold
 * the slots of struct state_backend that belong to their subject.
 *
 * An upload belongs to one of 16 buckets (redis_bucket.h), and each change is one script on one
 * node of a Cluster. Nothing is ever looked for by scanning keys: each bucket has indexes of the
 * work at hand, and what is asked of the whole store is asked of the 16 buckets and merged. Keys,
 * with B = PREFIX:{DIGIT}: ("dex:{a}:"); those of locks are in lock_redis.c.
 *
 *   Bu:ID          hash    an upload; its members are those of struct upload, and
 *                          op (last operation), fence, ended_at, removable, delivered_at
 *   Bt:ID          hash    its deliveries: target -> NAME
 *   Bd:NAME        hash    a delivery; and lease_op, end_op, queue_op
 *   Bo:NAME        hash    a message of the outbox
 *   Bg:ID:SINK     sorted  a group: the unsent messages of an upload and sink, in their order
 *   Bp:ID:SINK     sorted  those of them that are parked; they are in no Bg and no Bh
 *   Bparked        sorted  names of parked messages, by when that was
 *   Bh:SINK        sorted  ids of uploads with messages, by due time of the group's first one
 *   Bopen, Bpartial, Bdelivered, Bremovable, Btombstones
 *                  sorted  ids of uploads by the time that the sweep asks for
 *   Btimes         sorted  ids of all uploads, by the time of struct upload_mark
 *   Btimed                 there when Btimes has all: earlier releases did not keep it
 *   Bopenof:OWNER  set     ids of the owner's open uploads
 *   Bdue, Bdue:TARGET, Bunfinished, Blate
 *                  sorted  names of deliveries and messages by time
 *   Bseq           the last NAME given; Bformat: the layout's version; Bop:NAME: see outbox_add
 *   PREFIX:kv:KEY  a shared value: EXPIRES OPERATION VALUE
 *
 * A NAME is 16 digits, in order of time. The id of a delivery or message is 16 * NAME + bucket.
 *
 * When a connection breaks in the middle, the script is run again on another: it carries the name
 * of its operation and finds out itself whether it was run (state_redis_scripts.h). Where that does
 * not come to an end in time, the caller gets ERR_UNAVAILABLE and does not know.
 *
 * Redis keeps what is acknowledged only as far as it is set up to: see state_warnings.
 */

struct state_redis_waiter;

struct state_redis {
	struct state base;
	struct redis *r;
	bool durable;
	atomic_bool cluster; /* scripts over all buckets were refused: ask one after another */
	struct redis_script scripts[SCRIPT_COUNT];
	struct redis_buckets buckets;
	char *channel;        /* of messages that a delivery was queued */
	pthread_mutex_t lock; /* of what follows */
	struct redis_listener *listener;
	struct state_redis_waiter *waiters;
};

int state_redis_upload_create(struct state *s, const struct upload *u,
	const struct upload_limits *limits, const struct outbox_list *msgs, struct err *err);
enum state_result state_redis_upload_get(
	struct state *s, const char *id, struct upload *out, struct err *err);
enum state_result state_redis_upload_change(struct state *s, const struct upload_change *c,
	bool complete, const char *const *targets, size_t ntargets, const struct outbox_list *msgs,
	struct err *err);
enum state_result state_redis_upload_end(struct state *s, const char *id, enum upload_status status,
	int64_t touched_before, int64_t now, const struct outbox_list *msgs, struct err *err);
int state_redis_upload_removed(struct state *s, const char *id, struct err *err);
int state_redis_upload_purge(
	struct state *s, int64_t before, int limit, int *purged_out, struct err *err);
int state_redis_upload_scan_stale(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
int state_redis_upload_scan_delivered(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
int state_redis_upload_scan_removable(
	struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err);
int state_redis_times_scan(struct state *s, const struct upload_mark *after, int64_t until,
	struct upload_mark *marks, int max, struct err *err);

enum state_result state_redis_delivery_lease(struct state *s, const struct delivery_filter *f,
	const char *owner, int64_t now, int64_t lease_ms, struct delivery *out, struct err *err);
enum state_result state_redis_delivery_renew(struct state *s, int64_t id, const char *owner,
	int64_t now, int64_t lease_ms, struct err *err);
enum state_result state_redis_delivery_end(struct state *s, const struct delivery_end *e,
	const struct outbox_list *msgs, struct err *err);
enum state_result state_redis_delivery_queue(struct state *s, const char *upload_id,
	const char *target, int64_t now, const struct outbox_list *msgs, struct err *err);

int state_redis_list_of_upload(
	struct state *s, const char *upload_id, state_delivery_fn *fn, void *arg, struct err *err);
int state_redis_list_unfinished(struct state *s, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err);
/* Read a delivery of ${bucket} as the scripts answer it; on failure ${out} is empty. */
int state_redis_list_row(
	unsigned bucket, const redisReply *row, struct delivery *out, struct err *err);

/*
 * Woken by a message that whoever queues publishes; a lost one costs at most a few seconds, after
 * which the store is looked at again.
 */
int state_redis_wait(struct state *s, int64_t timeout_ms, int stop_fd, struct err *err);
void state_redis_wait_wake(struct state_redis *s); /* a delivery was queued: tell all processes */
void state_redis_wait_stop(struct state_redis *s); /* ends the thread that listens */

int state_redis_outbox_add(struct state *s, const struct outbox_list *msgs, struct err *err);
int state_redis_outbox_take(struct state *s, const char *sink, int64_t now, int64_t lease_ms,
	int max, state_outbox_fn *fn, void *arg, struct err *err);
int state_redis_outbox_sent(struct state *s, const int64_t *ids, size_t n, struct err *err);
int state_redis_outbox_retry(struct state *s, int64_t id, int64_t due_at, struct err *err);
int state_redis_parked_park(
	struct state *s, int64_t id, const char *reason, int64_t now, struct err *err);
int state_redis_parked_unpark(struct state *s, int64_t id, int64_t now, struct err *err);
int state_redis_parked_list(
	struct state *s, const char *upload_id, state_outbox_fn *fn, void *arg, struct err *err);
/*
 * Hand ${fn} the message of ${bucket} whose row the scripts answered: name, upload, sink, and what
 * a message has beside them. -1 with ${err}, else what ${fn} returns.
 */
int state_redis_parked_read(unsigned bucket, const redisReply *row, state_move_message_fn *fn,
	void *arg, struct err *err);

int state_redis_kv_counts(struct state *s, int64_t now, struct state_counts *out, struct err *err);
enum state_result state_redis_kv_get(
	struct state *s, const char *key, int64_t now, struct buf *out, struct err *err);
enum state_result state_redis_kv_put(struct state *s, const char *key, const char *value,
	size_t len, bool only_if_absent, int64_t now, int64_t expires_at, struct err *err);

int state_redis_move_uploads(struct state *s, state_move_row_fn *fn, void *arg, struct err *err);
int state_redis_move_messages(
	struct state *s, state_move_message_fn *fn, void *arg, struct err *err);
int state_redis_move_put_uploads(struct state *s, const struct state_move_row *rows, size_t n,
	size_t *added, struct err *err);
int state_redis_move_put_messages(
	struct state *s, const struct outbox_list *msgs, size_t *added, struct err *err);

#endif
