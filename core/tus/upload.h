/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TUS_UPLOAD_H
#define DEX_TUS_UPLOAD_H

#include "core/base/json.h"
#include "core/store/state.h"
#include "core/tus/headers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The life of an upload, without HTTP: create, take hold of, receive bytes, complete, terminate.
 * The ordering contract: bytes are durable before `state` says so; the offset in `state` moves by
 * compare-and-set; the last byte is one transaction.
 *
 * Results are the codes of base/err.h: ERR_NOT_FOUND, ERR_GONE, ERR_LOCKED, ERR_CONFLICT (offset),
 * ERR_TOO_LARGE, ERR_NO_SPACE, ERR_UNAVAILABLE, ERR_INVALID …
 */

struct app;
struct err;
struct lock;

/* An upload whose lock we hold, brought to the truth: `up.offset` is what storage really has. */
struct upload_hold {
	struct upload up;
	struct lock *lock;
};

struct upload_request {              /* what a creation asks for */
	int64_t length;              /* UPLOAD_LENGTH_UNKNOWN when deferred; ignored for a final */
	const char *metadata_header; /* as received, or NULL */
	const json_t *metadata;      /* parsed, never NULL */
	const char *concat_header;   /* as received, or NULL */
	const struct headers_concat *concat;
	const char *owner; /* or NULL: nobody was authenticated */
	bool others_parts; /* parts of a final upload may be another owner's */
};
struct upload_rejection { /* a manifest that was refused: ERR_INVALID with this filled */
	json_t *body;     /* {"upload_id":…,"validation_errors":[…]}; NULL otherwise; owned */
};

/*
 * Create: check the manifest (not for partials), insert it, write the creation's reports. An upload
 * of length 0 and a final one are complete on return. ERR_TOO_MANY: as many are open as may be. The
 * caller frees ${out} with upload_free.
 */
int upload_create(struct app *a, const struct upload_request *r, struct upload *out,
	struct upload_rejection *rejection, struct err *err);

/* State of an upload without its lock, for /info and the like. ERR_NOT_FOUND, ERR_GONE. */
int upload_find(struct app *a, const char *id, struct upload *out, struct err *err);
/*
 * The same for uploads of ${owner} (NULL: of anybody). Those of others, and of nobody, are
 * ERR_NOT_FOUND whatever has become of them.
 */
int upload_find_own(
	struct app *a, const char *id, const char *owner, struct upload *out, struct err *err);

/*
 * Take the lock (asking a holder to yield, at most DEX_LOCK_WAIT), read the state, and adopt what
 * storage has beyond it where it is known good; an upload all of whose bytes turn out to be there
 * is completed. Free with upload_let_go.
 */
int upload_take(struct app *a, const char *id, struct upload_hold *out, struct err *err);
void upload_let_go(struct upload_hold *h);

/* One answer of a body source. */
enum body_result {
	BODY_DATA,    /* a piece, valid until the next call */
	BODY_END,     /* the whole body has been given */
	BODY_WAIT,    /* nothing has arrived within the time */
	BODY_WOKEN,   /* wake_fd became readable first */
	BODY_GONE,    /* the client went away before the end */
	BODY_STOPPED, /* the process is asked to end */
};
struct body_source {
	enum body_result (*next)(
		void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len);
	void *arg;
	int64_t length; /* declared bytes, -1 when unknown (chunked) */
};

struct upload_chunk {                            /* one PATCH, or the body of a creation */
	int64_t offset;                          /* as the client said */
	int64_t length;                          /* declared now, or UPLOAD_LENGTH_UNKNOWN */
	const struct headers_checksum *checksum; /* or NULL */
	struct body_source *body;
};

/*
 * Whether one request may bring ${length} bytes (DEX_MAX_APPEND); -1 for an unknown number, which
 * is judged as they come. ERR_TOO_LARGE where it may not.
 */
int upload_check_append(const struct app *a, int64_t length, struct err *err);

/*
 * Receive a chunk into ${h}: streamed in constant memory, made durable as DEX_DURABILITY says,
 * offset committed, completed with the last byte. h->up is up to date on return, on failure too, so
 * that the answer can carry the true offset; the lock may be free by then, and upload_let_go is all
 * that is left to do. Failures beside those above: ERR_PEER_GONE,
 * ERR_INTERRUPTED (what arrived is kept), ERR_CORRUPT with `checksum_mismatch` set (nothing of the
 * chunk is kept).
 */
int upload_receive(struct app *a, struct upload_hold *h, const struct upload_chunk *c,
	bool *checksum_mismatch, struct err *err);

/* Terminate: tombstone, then its data are removed. ERR_CONFLICT while deliveries are pending. */
int upload_terminate(struct app *a, struct upload_hold *h, struct err *err);

/* End of life of an unfinished upload (or finished partial), 0 when it has none. */
int64_t upload_expires_at(const struct app *a, const struct upload *u);

enum upload_recovery {
	RECOVERY_KNOWN,       /* the state has it */
	RECOVERY_WHOLE,       /* registered as complete: its deliveries are due */
	RECOVERY_UNFINISHED,  /* registered as open, at what storage has */
	RECOVERY_LOST,        /* parts in an object store that nobody can go on with */
	RECOVERY_UNDESCRIBED, /* data without a readable description */
	RECOVERY_COUNT
};
/*
 * Register an upload again that lies in storage and that the state has lost (core/store/sidecar.h).
 * What an interrupted checksum left unverified can no longer be told apart and counts. Only looks
 * with ${dry_run}.
 */
int upload_recover(
	struct app *a, const char *id, bool dry_run, enum upload_recovery *out, struct err *err);

#endif
