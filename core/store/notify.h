/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_NOTIFY_H
#define DEX_STORE_NOTIFY_H

#include "core/base/buf.h"
#include "core/store/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where reports and events go. A caller gathers the messages of one state transition in a batch,
 * gives the batch's outbox rows to the transaction, and then sends what is local at once:
 *
 *   remote sink: a row, due at once; dex-deliver sends it.
 *   local sink, message that must not be lost: a row, due a minute later, and a write at once; the
 * sweep finds it written, makes it durable and forgets the row. A crash in between loses nothing.
 *   local sink, other message: a write at once.
 */

struct err;
struct publisher;

#define NOTIFY_SINKS_MAX 8

enum notify_kind { NOTIFY_REPORT, NOTIFY_EVENT };

struct notify_sink {
	enum notify_kind kind;
	struct publisher *publisher; /* owned */
	bool retired; /* takes no new messages; what its outbox still holds is sent */
};
struct notify {
	struct notify_sink sinks[NOTIFY_SINKS_MAX];
	size_t n;
	uint64_t max_retry; /* repeats of a message that is refused, before it is parked */
};
/* Close all publishers. */
void notify_close(struct notify *n);
/* The sink of that publisher name, or NULL. */
struct publisher *notify_find(const struct notify *n, const char *name);

struct notify_batch {
	const struct notify *notify;
	struct notify_item *items;
	size_t n, cap;
	struct outbox_message *rows; /* made by notify_batch_rows */
};
void notify_batch_init(struct notify_batch *b, const struct notify *n);
void notify_batch_free(struct notify_batch *b);
/*
 * Add one message for every sink of ${kind}; ${json} is taken over and left empty. ${name} must
 * outlive the batch. ${keep}: must not be lost.
 */
void notify_batch_add(struct notify_batch *b, enum notify_kind kind, const char *upload_id,
	const char *name, bool replace, bool keep, struct buf *json);
/* Rows for the transaction; valid until the batch changes or is freed. */
struct outbox_list notify_batch_rows(struct notify_batch *b, int64_t now);
/* After the transaction: write to the local sinks. Failures are logged with the upload id. */
void notify_batch_send_local(struct notify_batch *b);

/*
 * Send what is due in the outbox of every sink, in order per upload, until nothing is due or
 * ${stop} answers true. A failed message is put off with growing pauses: for as long as it takes
 * where the sink is down. One that the sink refuses (publish_refused) is parked after ${max_retry}
 * repeats, so that those behind it may go. ${sent} and ${failed} count, parked ones among the
 * failed. -1 only when the state store fails.
 */
int notify_flush(const struct notify *n, struct state *state, bool (*stop)(void *arg), void *arg,
	size_t *sent, size_t *failed, struct err *err);

#endif
