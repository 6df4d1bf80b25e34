/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_STATE_H
#define DEX_STORE_STATE_H

#include "core/base/buf.h"
#include "core/base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The state store: uploads, deliveries, outbox, small shared key-values. Every function that
 * changes something is one transaction: after it returns 0 (or a result that says so) the change
 * survives a kill -9, and a power cut where the store was opened durable. Safe from any thread. A
 * store that is locked, full or out of reach fails with ERR_UNAVAILABLE, ERR_NO_SPACE or
 * ERR_CORRUPT, never with a wrong answer. Times are wall-clock microseconds, 0 = unset.
 */

struct state;
struct state_backend;
struct err;
struct lock;

enum state_result {
	STATE_OK = 0,
	STATE_NOT_FOUND = 1,
	STATE_CONFLICT = 2, /* the row is not as the caller believed; nothing was changed */
	STATE_ERROR = -1,
};

enum upload_kind { UPLOAD_NORMAL = 0, UPLOAD_PARTIAL = 1, UPLOAD_FINAL = 2 };

enum upload_status {
	UPLOAD_OPEN = 0,       /* bytes missing */
	UPLOAD_COMPLETE = 1,   /* all bytes stored; deliveries exist (kind normal, final) */
	UPLOAD_EXPIRED = 2,    /* tombstone: answers 410 */
	UPLOAD_TERMINATED = 3, /* tombstone: answers 410 */
	UPLOAD_RETIRED = 4, /* delivered, its data removed after the retention; tombstone for tus,
			       /info stays */
};

/* What storage may hold beyond the offset of an open upload. */
enum upload_beyond {
	BEYOND_GOOD = 0,       /* a contiguous piece of what the sender sent */
	BEYOND_UNVERIFIED = 1, /* bytes of a chunk whose checksum was not verified */
	BEYOND_WHOLE = 2,      /* the committed object: all of its bytes, or nothing to rely on */
};

#define UPLOAD_LENGTH_UNKNOWN INT64_C(-1)

struct upload {
	char id[UUID_SIZE];
	enum upload_kind kind;
	enum upload_status status;
	int64_t length; /* UPLOAD_LENGTH_UNKNOWN while deferred */
	int64_t offset; /* never more than the durable bytes in storage */
	enum upload_beyond beyond;
	int64_t created_at;
	int64_t touched_at; /* last change of `offset`, or creation */
	int64_t completed_at;
	char *metadata; /* Upload-Metadata as the client sent it; NULL when there was none */
	char *manifest; /* JSON object: the accepted manifest incl. added members; NULL for partials
			 */
	char *concat;   /* Upload-Concat as received; NULL when there was none */
	char *token;    /* storage resume token, "" when none */
	char *owner;    /* subject that made it; NULL when nobody was authenticated */
};

void upload_free(struct upload *u); /* frees the strings, not ${u} itself; idempotent */

/*
 * A message to be sent later by dex-deliver, made in the same transaction as what it tells about:
 * one that comes with a change is about the upload that is changed.
 */
struct outbox_message {
	int64_t id; /* set by the store */
	char upload_id[UUID_SIZE];
	const char *sink; /* publisher's name */
	const char *name; /* action or event type */
	bool replace;
	const char *data;
	int64_t due_at;     /* not to be sent by a sweep before this time; 0 where it is parked */
	int attempt;        /* failed tries so far */
	int64_t parked_at;  /* set aside then, see state_outbox_park; 0: not */
	const char *reason; /* why it was parked; NULL unless it is */
};
struct outbox_list {
	const struct outbox_message *items;
	size_t n;
};

enum delivery_status {
	DELIVERY_PENDING = 0, /* due at `due_at`, or leased until `lease_until` */
	DELIVERY_DONE = 1,
	DELIVERY_FAILED = 2,
};

struct delivery {
	int64_t id;
	char upload_id[UUID_SIZE];
	char *target;
	enum delivery_status status;
	int attempt; /* failed tries since it was queued */
	int64_t due_at;
	char *lease_owner; /* NULL when not leased */
	int64_t lease_until;
	int64_t queued_at;
	int64_t ended_at; /* done or failed */
	char *location;   /* where the file lies now; NULL until done */
	char *sha256;     /* of what was copied, in hexadecimal; NULL where it was not computed */
	char *issues;     /* JSON array of {"level","message"} of failed tries, NULL when none */
};

void delivery_free(struct delivery *d); /* frees the strings, not ${d} itself; idempotent */

/* ${where}: file path or connection string. ${durable}: commits survive a power cut. */
struct state *state_open(
	const struct state_backend *backend, const char *where, bool durable, struct err *err);
void state_close(struct state *s);             /* NULL is fine; ends its threads */
const char *state_type(const struct state *s); /* "sqlite", "redis" */
int state_probe(struct state *s, struct err *err);
/*
 * Append a line for each setting of the store's server that would lose what was acknowledged, or
 * that could not be looked at; nothing when all is well. For people, not for every request.
 */
int state_warnings(struct state *s, struct buf *out, struct err *err);

/* --- uploads --- */

struct upload_limits { /* open uploads; 0: no limit */
	int64_t in_all;
	int64_t of_owner; /* of each; does not count for uploads of nobody */
};
/*
 * Insert ${u} (id, kind, length, created_at and strings; status open, offset 0) with ${msgs}.
 * ERR_TOO_MANY: with it there would be more open uploads than ${limits} (may be NULL) allow. A
 * store that spreads over servers may let a few more in when several come at the same moment.
 */
int state_upload_create(struct state *s, const struct upload *u, const struct upload_limits *limits,
	const struct outbox_list *msgs, struct err *err);
/* Read one upload; the caller frees it with upload_free. STATE_OK, STATE_NOT_FOUND, STATE_ERROR. */
enum state_result state_upload_get(
	struct state *s, const char *id, struct upload *out, struct err *err);

struct upload_change {
	const char *id;
	uint64_t fence; /* of the caller's lock; a smaller one than was seen before is a conflict */
	int64_t from;   /* the offset the caller believes */
	int64_t to;     /* new offset (smaller than `from` only to repair) */
	int64_t length; /* declare the length, or UPLOAD_LENGTH_UNKNOWN to leave it as it is */
	const char *token;         /* storage token for `to`; NULL leaves it */
	enum upload_beyond beyond; /* new value */
	int64_t now;
	/*
	 * The caller's lock, where this is the last it does under it; NULL keeps it. A store in the
	 * same place frees it together with a change that succeeds, another leaves it to
	 * lock_release.
	 */
	struct lock *release;
	const struct outbox_list *msgs; /* that go with state_upload_advance; may be NULL */
};
/* Compare-and-set of the offset of an open upload. STATE_CONFLICT when offset, fence or status
 * differ. */
enum state_result state_upload_advance(
	struct state *s, const struct upload_change *c, struct err *err);
/*
 * The last byte: advance as above to `to` == length, mark complete, insert one pending delivery per
 * entry of ${targets} (due at ${c}->now) and ${msgs}. All or nothing, once: completing a complete
 * upload is STATE_CONFLICT. Wakes state_wait.
 */
enum state_result state_upload_complete(struct state *s, const struct upload_change *c,
	const char *const *targets, size_t ntargets, const struct outbox_list *msgs,
	struct err *err);
/*
 * Make a tombstone of it: ${status} EXPIRED (only if still open, or a partial, and touched_at <=
 * ${touched_before}), TERMINATED (STATE_CONFLICT while deliveries are pending) or RETIRED (only if
 * delivered and no delivery is pending). Its data are to be removed: see
 * state_upload_scan_removable.
 */
enum state_result state_upload_end(struct state *s, const char *id, enum upload_status status,
	int64_t touched_before, int64_t now, const struct outbox_list *msgs, struct err *err);
/* The data of a tombstone are gone from storage. */
int state_upload_removed(struct state *s, const char *id, struct err *err);
/*
 * Forget tombstones (not RETIRED ones) ended before ${before} whose data are gone, with their
 * deliveries, at most ${limit}. Messages about them stay.
 */
int state_upload_purge(
	struct state *s, int64_t before, int limit, int *purged_out, struct err *err);

/* Up to ${max} ids into ${ids}; cost follows the number found. Returns the count or -1. */
/* Open uploads, and complete partials, last touched at or before ${cutoff}, oldest first. */
int state_upload_scan_stale(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
/* Complete uploads all of whose deliveries (one at least) were done at or before ${cutoff}. */
int state_upload_scan_delivered(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err);
/* Tombstones whose data are still to be removed. */
int state_upload_scan_removable(struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err);

/*
 * A place in the order of all uploads by the time at which each came to where it stands: when it
 * was begun, when it was complete, when it became EXPIRED or TERMINATED, whichever was last. (The
 * data of a RETIRED one go, but it stays where it was.) At the same time the order is that of ids.
 */
struct upload_mark {
	int64_t at;
	char id[UUID_SIZE]; /* "": in front of all of that time */
};
/*
 * Up to ${max} marks behind ${after} and before the time ${until} into ${marks}, in their order.
 * Returns the count, 0 at the end, or -1. Called again with the last one it tells all uploads page
 * by page: each once, but one that moves on meanwhile may come again, or not at all where it went
 * beyond ${until}. A store that was filled by a release without this order makes it when it is
 * first asked, which takes as long as a walk over all uploads.
 */
int state_upload_scan_times(struct state *s, const struct upload_mark *after, int64_t until,
	struct upload_mark *marks, int max, struct err *err);

/* --- deliveries --- */

struct delivery_filter { /* NULL: any */
	const char *upload_id;
	const char *target;
};
/*
 * Lease the pending delivery that has been due longest (and matches ${f}, may be NULL) to ${owner}
 * until ${now} + ${lease_ms}. A delivery whose lease ran out counts as pending. STATE_NOT_FOUND:
 * nothing is due. The caller frees ${out}.
 */
enum state_result state_delivery_lease(struct state *s, const struct delivery_filter *f,
	const char *owner, int64_t now, int64_t lease_ms, struct delivery *out, struct err *err);
/* Extend the lease. STATE_CONFLICT: it is no longer ours; stop working on it. */
enum state_result state_delivery_renew(struct state *s, int64_t id, const char *owner, int64_t now,
	int64_t lease_ms, struct err *err);

struct delivery_end {
	int64_t id;
	const char *owner;           /* of the lease; another one's is STATE_CONFLICT */
	enum delivery_status status; /* DONE, FAILED, or PENDING for another try at due_at */
	int64_t due_at;
	const char *location; /* DONE */
	const char *sha256;   /* DONE; 64 hexadecimal digits, or NULL where it is not known */
	const char *issues;   /* JSON array, all failed tries so far; NULL when none */
	bool count_attempt;   /* PENDING: attempt + 1 (as FAILED), or given back unharmed */
	int64_t now;
};
/* End the lease with an outcome, together with ${msgs}. */
enum state_result state_delivery_end(struct state *s, const struct delivery_end *e,
	const struct outbox_list *msgs, struct err *err);
/*
 * Queue (again) the delivery of a complete upload to ${target}: made when missing, set to pending
 * with attempt 0 and no issues when done or failed, left alone (and ${msgs} not added) when
 * pending. Wakes state_wait. STATE_NOT_FOUND: no such upload; STATE_CONFLICT: it is not complete.
 */
enum state_result state_delivery_queue(struct state *s, const char *upload_id, const char *target,
	int64_t now, const struct outbox_list *msgs, struct err *err);
/* Return -1 to stop; the listing then returns 0. ${d} is only valid during the call. */
typedef int state_delivery_fn(void *arg, const struct delivery *d);
/* The deliveries of one upload, in the order they were made. */
int state_delivery_of_upload(
	struct state *s, const char *upload_id, state_delivery_fn *fn, void *arg, struct err *err);
/* All pending and failed deliveries that match ${f} (may be NULL), oldest first. */
int state_delivery_unfinished(struct state *s, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err);
/*
 * Sleep until a delivery may be due: one was queued by any process, a due time or lease end is
 * reached, or ${timeout_ms} is over. Readable ${stop_fd} (or -1) ends it early. No polling.
 */
int state_wait(struct state *s, int64_t timeout_ms, int stop_fd, struct err *err);

/* --- outbox --- */

int state_outbox_add(struct state *s, const struct outbox_list *msgs, struct err *err);
/* Return -1 to leave the rest, which then stays leased. ${m} is only valid during the call. */
typedef int state_outbox_fn(void *arg, const struct outbox_message *m);
/*
 * Take up to ${max} messages of ${sink} due at ${now}, oldest first and only the first unsent of
 * each upload and sink onward (order per upload is kept), and push their due time ${lease_ms} ahead
 * so that no other sweep takes them meanwhile. ${fn} is called after the transaction.
 */
int state_outbox_take(struct state *s, const char *sink, int64_t now, int64_t lease_ms, int max,
	state_outbox_fn *fn, void *arg, struct err *err);
/* Sent, or no longer wanted: forget ${n} messages, parked ones too. */
int state_outbox_sent(struct state *s, const int64_t *ids, size_t n, struct err *err);
/* Not sent: try again at ${due_at}; attempt + 1. */
int state_outbox_retry(struct state *s, int64_t id, int64_t due_at, struct err *err);
/*
 * A message that its sink will never take: attempt + 1, and set it aside for a person to look at,
 * with the ${reason} (one line of text). What waits behind it may go.
 */
int state_outbox_park(
	struct state *s, int64_t id, const char *reason, int64_t now, struct err *err);
/* A parked message is to be sent again: due at once, with attempt 0, in front of later ones. */
int state_outbox_unpark(struct state *s, int64_t id, int64_t now, struct err *err);
/* All parked messages (NULL: of any upload). Memory is that of a page, the order the store's. */
int state_outbox_parked(
	struct state *s, const char *upload_id, state_outbox_fn *fn, void *arg, struct err *err);

/* --- counts and small shared values --- */

struct state_counts { /* each from an index of the work at hand, not of all uploads */
	int64_t open_uploads;
	int64_t pending_deliveries;
	int64_t failed_deliveries;
	int64_t late_messages; /* outbox messages due at or before now */
	int64_t parked_messages;
};
int state_counts(struct state *s, int64_t now, struct state_counts *out, struct err *err);

/* Shared key-values with an end of life (wall clock), for what processes must agree on. */
enum state_result state_kv_get(
	struct state *s, const char *key, int64_t now, struct buf *out, struct err *err);
int state_kv_set(struct state *s, const char *key, const char *value, size_t len,
	int64_t expires_at, struct err *err);
/* Set only when absent or expired; STATE_CONFLICT when present. For throttles and elections. */
enum state_result state_kv_add(struct state *s, const char *key, const char *value, size_t len,
	int64_t now, int64_t expires_at, struct err *err);

#endif
