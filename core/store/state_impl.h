/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_STATE_IMPL_H
#define DEX_STORE_STATE_IMPL_H

#include "core/store/state.h"

/* For implementers of a state store. Meaning of each slot: the function of the same name in
 * state.h. */

struct state { /* first member of the backend's own struct */
	const struct state_backend *backend;
};

/*
 * An upload as it moves from one store to another, with what struct upload does not tell. Leases
 * and fencing tokens stay behind: nobody works while a state is moved, and the tokens of one kind
 * of lock mean nothing to another.
 */
struct state_move_row {
	struct upload upload;
	int64_t delivered_at;        /* all deliveries are done; 0: not yet */
	int64_t ended_at;            /* when it became a tombstone */
	bool removable;              /* a tombstone whose data are still in storage */
	struct delivery *deliveries; /* in the order they were made; the walk leaves this empty */
	size_t ndeliveries;
};
/* Return -1 + ${err} to stop. What is pointed to is only valid during the call. */
typedef int state_move_row_fn(void *arg, const struct state_move_row *row, struct err *err);
typedef int state_move_message_fn(void *arg, const struct outbox_message *m, struct err *err);

struct state_backend {
	const char *type;
	/* Where this variable is set it is the `where` of open; NULL: a file beside the uploads. */
	const char *env;
	struct state *(*open)(const char *where, bool durable, struct err *err);
	void (*close)(struct state *s);
	int (*probe)(struct state *s, struct err *err);
	/* NULL: there is never anything to warn of */
	int (*warnings)(struct state *s, struct buf *out, struct err *err);

	int (*upload_create)(struct state *s, const struct upload *u,
		const struct upload_limits *limits, const struct outbox_list *msgs,
		struct err *err);
	enum state_result (*upload_get)(
		struct state *s, const char *id, struct upload *out, struct err *err);
	/* advance, and with ${complete} completion: ${targets} as in state_upload_complete; ${msgs}
	 * (may be NULL) go with either */
	enum state_result (*upload_change)(struct state *s, const struct upload_change *c,
		bool complete, const char *const *targets, size_t ntargets,
		const struct outbox_list *msgs, struct err *err);
	enum state_result (*upload_end)(struct state *s, const char *id, enum upload_status status,
		int64_t touched_before, int64_t now, const struct outbox_list *msgs,
		struct err *err);
	int (*upload_removed)(struct state *s, const char *id, struct err *err);
	int (*upload_purge)(
		struct state *s, int64_t before, int limit, int *purged_out, struct err *err);
	int (*upload_scan_stale)(
		struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
	int (*upload_scan_delivered)(
		struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
	int (*upload_scan_removable)(
		struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err);
	int (*upload_scan_times)(struct state *s, const struct upload_mark *after, int64_t until,
		struct upload_mark *marks, int max, struct err *err);

	enum state_result (*delivery_lease)(struct state *s, const struct delivery_filter *f,
		const char *owner, int64_t now, int64_t lease_ms, struct delivery *out,
		struct err *err);
	enum state_result (*delivery_renew)(struct state *s, int64_t id, const char *owner,
		int64_t now, int64_t lease_ms, struct err *err);
	enum state_result (*delivery_end)(struct state *s, const struct delivery_end *e,
		const struct outbox_list *msgs, struct err *err);
	enum state_result (*delivery_queue)(struct state *s, const char *upload_id,
		const char *target, int64_t now, const struct outbox_list *msgs, struct err *err);
	int (*delivery_of_upload)(struct state *s, const char *upload_id, state_delivery_fn *fn,
		void *arg, struct err *err);
	int (*delivery_unfinished)(struct state *s, const struct delivery_filter *f,
		state_delivery_fn *fn, void *arg, struct err *err);
	int (*wait)(struct state *s, int64_t timeout_ms, int stop_fd, struct err *err);

	int (*outbox_add)(struct state *s, const struct outbox_list *msgs, struct err *err);
	int (*outbox_take)(struct state *s, const char *sink, int64_t now, int64_t lease_ms,
		int max, state_outbox_fn *fn, void *arg, struct err *err);
	int (*outbox_sent)(struct state *s, const int64_t *ids, size_t n, struct err *err);
	int (*outbox_retry)(struct state *s, int64_t id, int64_t due_at, struct err *err);
	int (*outbox_park)(
		struct state *s, int64_t id, const char *reason, int64_t now, struct err *err);
	int (*outbox_unpark)(struct state *s, int64_t id, int64_t now, struct err *err);
	int (*outbox_parked)(struct state *s, const char *upload_id, state_outbox_fn *fn, void *arg,
		struct err *err);

	int (*counts)(struct state *s, int64_t now, struct state_counts *out, struct err *err);
	enum state_result (*kv_get)(
		struct state *s, const char *key, int64_t now, struct buf *out, struct err *err);
	enum state_result (*kv_put)(struct state *s, const char *key, const char *value, size_t len,
		bool only_if_absent, int64_t now, int64_t expires_at, struct err *err);

	/*
	 * For state_move. Every upload, in the order they were made if the store knows it; one may
	 * come twice. Every message, those of one upload and sink together and in their order, but
	 * parked ones apart.
	 */
	int (*move_uploads)(struct state *s, state_move_row_fn *fn, void *arg, struct err *err);
	int (*move_messages)(
		struct state *s, state_move_message_fn *fn, void *arg, struct err *err);
	/* Put what is not there yet; ${added} (0 before) counts it. Messages: all of one upload and
	 * sink, or none where the store has one of them; either all of them are parked or none. */
	int (*move_put_uploads)(struct state *s, const struct state_move_row *rows, size_t n,
		size_t *added, struct err *err);
	int (*move_put_messages)(
		struct state *s, const struct outbox_list *msgs, size_t *added, struct err *err);
};

#endif
