/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/metrics.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/tus/gather.h"
#include "core/tus/upload_impl.h"

#include <string.h>

/* A long PATCH commits its offset on the way, so that a crash costs a second at most. */
#define CHECKPOINT_MS 1000
#define CHECKPOINT_BYTES (INT64_C(64) << 20)
/* Where that costs requests, and small parts of the object, it is done seldom: but soon when the
 * sender falls silent. */
#define REMOTE_CHECKPOINT_MS 10000
#define REMOTE_SILENCE_MS 2000

/*
 * A newcomer waits for the lock. A body that still flows may end within this time, so that of two
 * PATCHes at one offset one is answered 204; a silent one is given up after the shorter time.
 */
#define YIELD_MS 1000
#define YIELD_SILENCE_MS 250

struct receive {
	struct app *app;
	struct upload_hold *hold;
	const struct upload_chunk *chunk;
	struct blob_writer *writer; /* NULL until the first write */
	struct buf key;
	struct digest *digest; /* NULL without Upload-Checksum */
	char *gather;          /* held while data flow */
	size_t fill;           /* bytes in it */
	int64_t limit;         /* the upload may not grow beyond */
	int64_t stored;        /* offset after the last byte given to storage */
	bool by_sync;          /* what was appended is in storage only once it was synced */
	int64_t commit_ms;     /* monotonic time of the last commit */
	int64_t progress_ms;   /* and of the last progress report */
	int64_t told;          /* the offset that it told, or at which the chunk begins */
	int64_t wanted_ms;     /* a newcomer was first seen, 0: none */
	bool timed_out;        /* the sender was silent for DEX_BODY_TIMEOUT */
};

/* ${last}: nothing more is done under the lock, which goes with it if it can. */
static int commit(struct receive *rc, int64_t to, bool last, struct err *err)
{
	struct upload *up = &rc->hold->up;
	int64_t now = clock_mono_ms();
	struct upload_step step = {
		.to = to,
		.length = rc->chunk->length,
		/* Opening the writer has cut off what an earlier chunk left beyond the offset. */
		.beyond = rc->writer ? BEYOND_GOOD : up->beyond,
		.fence = lock_fence(rc->hold->lock),
		.release = last ? rc->hold->lock : NULL,
		.report = to > rc->told && (last || now - rc->progress_ms >= CHECKPOINT_MS),
	};

	if (to == up->offset && step.beyond == up->beyond && step.length == UPLOAD_LENGTH_UNKNOWN &&
		!step.report)
		return 0;
	if (to > 0 && to == (step.length != UPLOAD_LENGTH_UNKNOWN ? step.length : up->length)) {
		struct blob_writer *w = rc->writer;
		rc->writer = NULL; /* gone with the call */
		return upload_finish(rc->app, up, w, &step, err);
	}
	if (rc->writer) {
		crash_point("upload-appended");
		if (upload_must_sync(rc->app, up, to, step.length) &&
			blob_sync(rc->writer, err) < 0)
			return upload_storage_failed(err);
		crash_point("upload-synced");
		step.token = blob_token(rc->writer);
	}
	rc->commit_ms = clock_mono_ms();
	if (upload_step(rc->app, up, &step, err) < 0)
		return -1;
	if (step.report) {
		rc->told = to;
		rc->progress_ms = now;
	}
	return 0;
}

/*
 * Tell `state`, before the first byte of it is stored, that what lies beyond the offset must not be
 * adopted: its checksum has not been verified, or the chunk has turned out to be faulty.
 */
static int mark_unverified(struct receive *rc, struct err *err)
{
	struct upload_step step = {
		.to = rc->hold->up.offset,
		.length = UPLOAD_LENGTH_UNKNOWN,
		.beyond = BEYOND_UNVERIFIED,
		.fence = lock_fence(rc->hold->lock),
	};

	if (rc->hold->up.beyond == BEYOND_UNVERIFIED || !blob_can(rc->app->uploads, BLOB_CAP_ADOPT))
		return 0;
	return upload_step(rc->app, &rc->hold->up, &step, err);
}

static int lost(struct err *err)
{
	return err_set(err, ERR_INTERRUPTED, __func__, "another request for this upload took over");
}

/* Give the gathered bytes to storage. On failure `stored` still tells how many were taken. */
static int flush(struct receive *rc, struct err *err)
{
	struct upload *up = &rc->hold->up;
	int r;

	if (rc->fill == 0)
		return 0;
	/* We may have been stopped for a while. What another holder wrote is not to be overwritten.
	 */
	if (lock_renew(rc->hold->lock) == LOCK_LOST) {
		rc->fill = 0;
		return lost(err);
	}
	if (!rc->writer) {
		rc->writer = blob_begin(rc->app->uploads, buf_str(&rc->key), BLOB_RESUME,
			(uint64_t)rc->stored, up->token, up->length > 0 ? (uint64_t)up->length : 0,
			err);
		if (!rc->writer)
			return upload_storage_failed(err);
	}
	r = blob_append(rc->writer, rc->gather, rc->fill, err);
	rc->stored = (int64_t)blob_offset(rc->writer);
	metrics_add(METRIC_BYTES_RECEIVED, "", rc->fill);
	rc->fill = 0;
	return r < 0 ? upload_storage_failed(err) : 0;
}

/* As flush, in the middle of a body, with what is due now and then. */
static int flush_on_the_way(struct receive *rc, struct err *err)
{
	int64_t now = clock_mono_ms();

	if (rc->digest && mark_unverified(rc, err) < 0)
		return -1;
	if (flush(rc, err) < 0)
		return -1;
	if (rc->digest || rc->stored == rc->limit)
		return 0;
	if (now - rc->commit_ms < (rc->by_sync ? REMOTE_CHECKPOINT_MS : CHECKPOINT_MS) &&
		(rc->by_sync || rc->stored - rc->hold->up.offset < CHECKPOINT_BYTES))
		return 0;
	return commit(rc, rc->stored, false, err);
}

int upload_check_append(const struct app *a, int64_t length, struct err *err)
{
	uint64_t max = a->config->max_append;

	if (max == 0 || length < 0 || (uint64_t)length <= max)
		return 0;
	return err_set(err, ERR_TOO_LARGE, __func__,
		"one request may bring %llu bytes at most here: send the file in smaller chunks",
		(unsigned long long)max);
}

static int take(struct receive *rc, const char *data, size_t len, struct err *err)
{
	int64_t stored = rc->stored + (int64_t)rc->fill;

	if (upload_check_append(rc->app, stored + (int64_t)len - rc->chunk->offset, err) < 0)
		return -1;
	if (len > (uint64_t)(rc->limit - stored))
		return err_set(err, ERR_TOO_LARGE, __func__,
			"the body goes beyond the upload's length or the size limit");
	if (rc->digest)
		digest_update(rc->digest, data, len);
	while (len > 0) {
		if (!rc->gather)
			rc->gather = gather_take(rc->app->gather);
		size_t n = len < GATHER_SIZE - rc->fill ? len : GATHER_SIZE - rc->fill;
		memcpy(rc->gather + rc->fill, data, n);
		rc->fill += n;
		data += n;
		len -= n;
		if (rc->fill == GATHER_SIZE && flush_on_the_way(rc, err) < 0)
			return -1;
	}
	return 0;
}

static void release_gather(struct receive *rc)
{
	gather_give(rc->app->gather, rc->gather);
	rc->gather = NULL;
}

/* Whether the lock is still ours to go on; after a newcomer was seen only for YIELD_MS. */
static int keep_lock(struct receive *rc, struct err *err)
{
	int64_t now;

	switch (lock_renew(rc->hold->lock)) {
	case LOCK_KEPT:
		return 0;
	case LOCK_WANTED:
		now = clock_mono_ms();
		if (rc->wanted_ms == 0)
			rc->wanted_ms = now;
		if (now - rc->wanted_ms < YIELD_MS)
			return 0;
		break;
	case LOCK_LOST:
		break;
	}
	return lost(err);
}

/*
 * Nothing more has arrived: what has is stored, and the thread sleeps without a buffer until bytes,
 * the end, a newcomer or the time limit come.
 */
static enum body_result wait_for_more(
	struct receive *rc, const void **data, size_t *len, struct err *err)
{
	struct body_source *body = rc->chunk->body;
	int64_t silent_since = clock_mono_ms();
	int64_t commit_after = rc->by_sync ? REMOTE_SILENCE_MS : CHECKPOINT_MS;

	for (;;) {
		int64_t now = clock_mono_ms();
		int64_t timeout = rc->app->config->body_timeout_ms - (now - silent_since);
		bool uncommitted = !rc->digest && rc->stored > rc->hold->up.offset;
		if (rc->wanted_ms)
			timeout = YIELD_SILENCE_MS;
		else if (uncommitted && timeout > commit_after)
			timeout = commit_after;
		int wake_fd = rc->wanted_ms ? -1 : lock_fd(rc->hold->lock);
		enum body_result r =
			body->next(body->arg, timeout > 0 ? timeout : 0, wake_fd, data, len);
		if (r == BODY_WOKEN) {
			if (keep_lock(rc, err) < 0)
				return BODY_WOKEN;
			continue;
		}
		if (r != BODY_WAIT)
			return r;
		if (rc->wanted_ms) {
			err_set(err, ERR_INTERRUPTED, __func__,
				"another request for this upload took over");
			return BODY_WOKEN;
		}
		if (uncommitted && rc->stored != rc->limit &&
			commit(rc, rc->stored, false, err) < 0)
			return BODY_WOKEN;
		if (clock_mono_ms() - silent_since >= rc->app->config->body_timeout_ms) {
			rc->timed_out = true;
			return BODY_GONE;
		}
	}
}

/* Read the body to its end. 0: it came whole; -1: ${err} says why it did not. */
static int read_body(struct receive *rc, struct err *err)
{
	struct body_source *body = rc->chunk->body;

	for (;;) {
		const void *data;
		size_t len;
		enum body_result r = body->next(body->arg, 0, -1, &data, &len);
		if (r == BODY_WAIT) {
			if (rc->fill > 0 && flush_on_the_way(rc, err) < 0)
				return -1;
			release_gather(rc);
			r = wait_for_more(rc, &data, &len, err);
		}
		switch (r) {
		case BODY_DATA:
			if (take(rc, data, len, err) < 0 || keep_lock(rc, err) < 0)
				return -1;
			break;
		case BODY_END:
			return 0;
		case BODY_GONE:
			return err_set(err, ERR_PEER_GONE, __func__, "%s",
				rc->timed_out ? "the client was silent for too long"
					      : "the body ended before its declared length");
		case BODY_STOPPED:
			return err_set(
				err, ERR_UNAVAILABLE, __func__, "the server is being stopped");
		case BODY_WAIT:
		case BODY_WOKEN:
			return -1;
		}
	}
}

static int verify(struct receive *rc, bool *mismatch, struct err *err)
{
	const struct headers_checksum *want = rc->chunk->checksum;
	unsigned char sum[DIGEST_MAX];
	size_t len = digest_final(rc->digest, sum);

	if (len == want->len && memcmp(sum, want->sum, len) == 0)
		return 0;
	*mismatch = true;
	return err_set(err, ERR_CORRUPT, __func__, "the %s sum of the body does not match",
		want->algorithm);
}

static int finish(struct receive *rc, bool whole, bool *mismatch, struct err *err)
{
	struct err later = {0};

	if (whole && (!rc->digest || verify(rc, mismatch, err) == 0)) {
		if (flush(rc, err) == 0)
			return commit(rc, rc->stored, true, err);
	}
	if (lock_renew(rc->hold->lock) == LOCK_LOST)
		return -1;
	if (rc->digest || err->code == ERR_TOO_LARGE) {
		/* Nothing of the chunk counts. Bytes of it that storage has must not be adopted
		 * later. */
		if (rc->stored > rc->hold->up.offset && mark_unverified(rc, &later) < 0)
			*err = later;
		return -1;
	}
	/* Whatever arrived counts, also when its end did not or found no room. */
	if (flush(rc, &later) < 0 && err->code == ERR_PEER_GONE)
		*err = later;
	if (commit(rc, rc->stored, true, &later) < 0)
		*err = later;
	return -1;
}

static int check_chunk(
	const struct app *a, const struct upload *up, const struct upload_chunk *c, struct err *err)
{
	uint64_t max = a->config->max_size;
	int64_t length = up->length;

	if (up->kind == UPLOAD_FINAL)
		return err_set(
			err, ERR_DENIED, __func__, "a final upload takes no data of its own");
	if (upload_check_append(a, c->body->length, err) < 0)
		return -1;
	if (c->offset != up->offset)
		return err_set(err, ERR_CONFLICT, __func__,
			"the upload is at offset %lld, not %lld", (long long)up->offset,
			(long long)c->offset);
	if (c->length != UPLOAD_LENGTH_UNKNOWN) {
		if (length != UPLOAD_LENGTH_UNKNOWN && length != c->length)
			return err_set(err, ERR_INVALID, __func__,
				"the length was declared before as %lld", (long long)length);
		if (c->length < up->offset)
			return err_set(err, ERR_INVALID, __func__,
				"Upload-Length is smaller than the bytes already stored");
		if (max > 0 && (uint64_t)c->length > max)
			return err_set(err, ERR_TOO_LARGE, __func__,
				"Upload-Length is above the limit of %llu",
				(unsigned long long)max);
		length = c->length;
	}
	int64_t room = (length != UPLOAD_LENGTH_UNKNOWN     ? length
			       : max > 0 && max < INT64_MAX ? (int64_t)max
							    : INT64_MAX) -
		       up->offset;
	if (c->body->length > room)
		return err_set(err, ERR_TOO_LARGE, __func__,
			"the body goes beyond the upload's length or the size limit");
	return 0;
}

int upload_receive(struct app *a, struct upload_hold *h, const struct upload_chunk *c,
	bool *checksum_mismatch, struct err *err)
{
	struct upload *up = &h->up;
	int64_t before = up->offset;
	int64_t start = clock_mono_ms();
	int rc = -1;

	*checksum_mismatch = false;
	if (check_chunk(a, up, c, err) < 0)
		return -1;
	if (up->status == UPLOAD_COMPLETE)
		return 0;
	struct receive r = {
		.app = a,
		.hold = h,
		.chunk = c,
		.stored = up->offset,
		.commit_ms = start,
		.progress_ms = start,
		.told = before,
		.by_sync = blob_can(a->uploads, BLOB_CAP_STORED_BY_SYNC),
	};
	int64_t length = c->length != UPLOAD_LENGTH_UNKNOWN ? c->length : up->length;
	uint64_t max = a->config->max_size;
	r.limit = length != UPLOAD_LENGTH_UNKNOWN ? length
		  : max > 0 && max < INT64_MAX    ? (int64_t)max
						  : INT64_MAX;
	buf_init(&r.key, BLOB_KEY_MAX);
	if (app_upload_key(a, up->id, &r.key, err) < 0)
		goto out;
	if (c->checksum)
		r.digest = digest_new(c->checksum->algorithm);
	rc = finish(&r, read_body(&r, err) == 0, checksum_mismatch, err);
	if (up->offset > before) {
		double seconds = (double)(clock_mono_ms() - start + 1) / 1000.0;
		metrics_observe(METRIC_UPLOAD_SPEED, "", (double)(up->offset - before) / seconds);
	}
out:
	release_gather(&r);
	digest_free(r.digest);
	blob_end(r.writer);
	buf_free(&r.key);
	return rc;
}
