/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TUS_UPLOAD_IMPL_H
#define DEX_TUS_UPLOAD_IMPL_H

#include "core/tus/upload.h"

struct blob_writer;

/* Steps that creation, reception and recovery share; only core/tus includes this. */

/*
 * Move the offset of an open upload in `state` (and with ${length} its length, unless
 * UPLOAD_LENGTH_UNKNOWN), and complete it when that was the last byte. Bytes up to ${to} must be as
 * durable as DEX_DURABILITY asks. ${up} follows on success. A conflict is ERR_INTERRUPTED: somebody
 * else has taken over.
 */
struct upload_step {
	int64_t to;
	int64_t length;
	const char *token; /* NULL: unchanged */
	enum upload_beyond beyond;
	uint64_t fence;
	struct lock *release; /* as in struct upload_change */
	bool report;          /* tell of it as far as the upload stays open: hooks->progress */
};
int upload_step(struct app *a, struct upload *up, const struct upload_step *s, struct err *err);

/*
 * A failure of the storage, whatever its code, is not the client's: all but ERR_NO_SPACE become
 * ERR_UNAVAILABLE, so that a lost mount never looks like an unknown upload. Returns -1.
 */
int upload_storage_failed(struct err *err);

/*
 * The last byte is there: make the object whole and durable as DEX_DURABILITY asks (blob_commit
 * where storage asks for it), and take the completing step ${s}. ${w}: the writer that stands at
 * s->to, which is ended or committed in any case, or NULL where none is open.
 */
int upload_finish(struct app *a, struct upload *up, struct blob_writer *w,
	const struct upload_step *s, struct err *err);

/*
 * Make the first ${size} bytes of ${key}, where ${up} is stored in place, durable: whoever wrote
 * them may have died and left them in the system's cache. What lies beyond them is cut off.
 */
int upload_sync_stored(
	struct app *a, const struct upload *up, const char *key, int64_t size, struct err *err);

/* Bytes up to ${to} must be synced before upload_step may say so. */
bool upload_must_sync(const struct app *a, const struct upload *up, int64_t to, int64_t length);

/*
 * The parts of the final upload ${r}: exist, are the asker's own, partial and finished. Their total
 * length into ${total}.
 */
int upload_concat_check(
	struct app *a, const struct upload_request *r, int64_t *total, struct err *err);
/* Copy the parts into ${up} and complete it. */
int upload_concat_run(
	struct app *a, const struct headers_concat *c, struct upload *up, struct err *err);

#endif
