/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_STATE_IMPL_H
#define DEX_STORE_STATE_IMPL_H

#include "core/store/state.h"

/* For implementers of a state store. Meaning of each slot: the function of the same name in
 * state.h. */

struct state { /* first member of the backend's own struct */
	const struct state_backend *backend;
};

struct state_backend {
	const char *type;
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
	/* advance, and with ${complete} completion: ${targets} and ${msgs} as in
	 * state_upload_complete */
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

	int (*counts)(struct state *s, int64_t now, struct state_counts *out, struct err *err);
	enum state_result (*kv_get)(
		struct state *s, const char *key, int64_t now, struct buf *out, struct err *err);
	enum state_result (*kv_put)(struct state *s, const char *key, const char *value, size_t len,
		bool only_if_absent, int64_t now, int64_t expires_at, struct err *err);
};

#endif
