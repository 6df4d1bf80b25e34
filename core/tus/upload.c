/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/metrics.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/tus/hooks.h"
#include "core/tus/upload_impl.h"

#include <stdlib.h>
#include <string.h>

int64_t upload_expires_at(const struct app *a, const struct upload *u)
{
	bool unfinished = u->status == UPLOAD_OPEN ||
			  (u->status == UPLOAD_COMPLETE && u->kind == UPLOAD_PARTIAL);

	if (!unfinished || a->config->upload_expiry_ms == 0)
		return 0;
	return u->touched_at + a->config->upload_expiry_ms * CLOCK_US_PER_MS;
}

int upload_storage_failed(struct err *err)
{
	if (err->code != ERR_NO_SPACE)
		err->code = ERR_UNAVAILABLE;
	return err_prefix(err, "storage");
}

bool upload_must_sync(const struct app *a, const struct upload *up, int64_t to, int64_t length)
{
	if (length == UPLOAD_LENGTH_UNKNOWN)
		length = up->length;
	if (blob_can(a->uploads, BLOB_CAP_STORED_BY_SYNC))
		return true;
	switch (config_durability(a->config)) {
	case CONFIG_DURABLE_PATCH:
		return true;
	case CONFIG_DURABLE_COMPLETE:
		return to == length;
	case CONFIG_DURABLE_NONE:
		break;
	}
	return false;
}

/* The transition that completes ${up}, whose members already have their final values. */
static enum state_result complete(
	struct app *a, struct upload *up, const struct upload_change *c, struct err *err)
{
	const char *targets[HOOKS_TARGETS_MAX];
	size_t ntargets = 0;
	struct notify_batch batch;
	enum state_result r;

	notify_batch_init(&batch, &a->notify);
	if (up->kind != UPLOAD_PARTIAL)
		ntargets = a->hooks->complete(a, up, c->now, targets, &batch);
	struct outbox_list rows = notify_batch_rows(&batch, c->now);
	crash_point("upload-completing");
	r = state_upload_complete(a->state, c, targets, ntargets, &rows, err);
	crash_point("upload-completed");
	if (r == STATE_OK) {
		notify_batch_send_local(&batch);
		crash_point("upload-reported");
		metrics_add(METRIC_UPLOADS_FINISHED, "", 1);
	}
	notify_batch_free(&batch);
	return r;
}

/*
 * The transition that leaves ${up} open, whose members already have their final values. Local
 * reports come first: behind it, when the lock may be another's, they could replace what that one
 * tells.
 */
static enum state_result advance(struct app *a, const struct upload *up, struct upload_change *c,
	bool report, struct err *err)
{
	struct notify_batch batch;

	notify_batch_init(&batch, &a->notify);
	if (report && up->kind != UPLOAD_PARTIAL)
		a->hooks->progress(a, up, &batch);
	struct outbox_list rows = notify_batch_rows(&batch, c->now);
	notify_batch_send_local(&batch);
	c->msgs = &rows;
	enum state_result r = state_upload_advance(a->state, c, err);
	c->msgs = NULL;
	notify_batch_free(&batch);
	return r;
}

/* An upload without bytes is an object without bytes, so that a delivery finds it like any other.
 */
static int store_empty(struct app *a, const struct upload *up, struct err *err)
{
	struct blob_writer *w = NULL;
	struct buf key;

	buf_init(&key, BLOB_KEY_MAX);
	if (app_upload_key(a, up->id, &key, err) == 0)
		w = blob_begin(a->uploads, buf_str(&key), BLOB_RESUME, 0, "", 0, err);
	buf_free(&key);
	if (!w || blob_commit(w, NULL, err) < 0)
		return upload_storage_failed(err);
	return 0;
}

int upload_step(struct app *a, struct upload *up, const struct upload_step *s, struct err *err)
{
	struct upload before = *up; /* scalars only; the strings stay with ${up} */
	int64_t now = clock_now();
	struct upload_change c = {
		.id = up->id,
		.fence = s->fence,
		.from = up->offset,
		.to = s->to,
		.length = s->length,
		.token = s->token,
		.beyond = s->beyond,
		.now = now,
		.release = s->release,
	};
	enum state_result r;

	if (s->length != UPLOAD_LENGTH_UNKNOWN)
		up->length = s->length;
	up->offset = s->to;
	up->beyond = s->beyond;
	up->touched_at = now;
	if (up->length == 0 && up->kind != UPLOAD_PARTIAL && store_empty(a, up, err) < 0) {
		*up = before;
		return -1;
	}
	if (up->offset == up->length) {
		up->status = UPLOAD_COMPLETE;
		up->completed_at = now;
		r = complete(a, up, &c, err);
	} else {
		r = advance(a, up, &c, s->report, err);
	}
	if (r == STATE_OK) {
		if (s->token) {
			free(up->token);
			up->token = mem_strdup(s->token);
		}
		return 0;
	}
	*up = before;
	if (r == STATE_CONFLICT)
		return err_set(err, ERR_INTERRUPTED, __func__,
			"another request has taken this upload over");
	if (r == STATE_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND, __func__, "no such upload");
	return -1;
}

/* A writer at the end of what is known of ${up}. */
static struct blob_writer *open_at(
	struct app *a, const struct upload *up, int64_t offset, struct err *err)
{
	struct blob_writer *w = NULL;
	struct buf key;

	buf_init(&key, BLOB_KEY_MAX);
	if (app_upload_key(a, up->id, &key, err) == 0)
		w = blob_begin(a->uploads, buf_str(&key), BLOB_RESUME, (uint64_t)offset, up->token,
			up->length > 0 ? (uint64_t)up->length : 0, err);
	buf_free(&key);
	return w;
}

/*
 * Where an object has to be committed, the state is told before that it will be: should the
 * completing step be lost, whoever comes next finds an object of the full length and need not have
 * its bytes again.
 */
static int commit_object(struct app *a, struct upload *up, struct blob_writer *w,
	const struct upload_step *s, struct err *err)
{
	struct upload_step before = {
		.to = up->offset,
		.length = s->length,
		.beyond = BEYOND_WHOLE,
		.fence = s->fence,
	};
	bool told = up->offset == s->to || upload_step(a, up, &before, err) == 0;

	if (!told) {
		blob_end(w);
		return -1;
	}
	crash_point("upload-committing");
	if (!w)
		w = open_at(a, up, s->to, err);
	if (!w || blob_commit(w, NULL, err) < 0)
		return upload_storage_failed(err);
	crash_point("upload-committed");
	return 0;
}

int upload_finish(struct app *a, struct upload *up, struct blob_writer *w,
	const struct upload_step *s, struct err *err)
{
	struct upload_step last = *s;

	if (blob_can(a->uploads, BLOB_CAP_STORED_BY_SYNC)) {
		if (commit_object(a, up, w, s, err) < 0)
			return -1;
		last.token = ""; /* there is nothing to go on with */
		return upload_step(a, up, &last, err);
	}
	crash_point("upload-appended");
	int rc = 0;
	if (w && upload_must_sync(a, up, s->to, s->length) && blob_sync(w, err) < 0)
		rc = upload_storage_failed(err);
	blob_end(w);
	crash_point("upload-synced");
	return rc < 0 ? -1 : upload_step(a, up, &last, err);
}

static int check_status(const struct upload *u, struct err *err)
{
	switch (u->status) {
	case UPLOAD_OPEN:
	case UPLOAD_COMPLETE:
		return 0;
	case UPLOAD_EXPIRED:
		return err_set(err, ERR_GONE, __func__, "this upload has expired");
	case UPLOAD_TERMINATED:
		return err_set(err, ERR_GONE, __func__, "this upload was terminated");
	case UPLOAD_RETIRED:
		break;
	}
	return err_set(err, ERR_GONE, __func__, "this upload was delivered and then removed");
}

static int not_found(struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "upload", "no such upload");
}

/* Read the row, whatever its status. */
static int load(struct app *a, const char *id, struct upload *out, struct err *err)
{
	switch (state_upload_get(a->state, id, out, err)) {
	case STATE_OK:
		return 0;
	case STATE_ERROR:
		return -1;
	case STATE_NOT_FOUND:
	case STATE_CONFLICT:
		break;
	}
	return not_found(err);
}

int upload_find_own(
	struct app *a, const char *id, const char *owner, struct upload *out, struct err *err)
{
	if (load(a, id, out, err) < 0)
		return -1;
	if (owner && !str_eq(out->owner, owner))
		not_found(err);
	else if (check_status(out, err) == 0)
		return 0;
	upload_free(out);
	return -1;
}

int upload_find(struct app *a, const char *id, struct upload *out, struct err *err)
{
	return upload_find_own(a, id, NULL, out, err);
}

int upload_sync_stored(
	struct app *a, const struct upload *up, const char *key, int64_t size, struct err *err)
{
	struct blob_writer *w =
		blob_begin(a->uploads, key, BLOB_RESUME, (uint64_t)size, up->token, 0, err);

	if (!w)
		return upload_storage_failed(err);
	int rc = blob_sync(w, err);
	blob_end(w);
	return rc < 0 ? upload_storage_failed(err) : 0;
}

/* Bytes of ${key} in storage, not more than the upload's length; 0 where nothing lies. */
static int stored_size(
	struct app *a, const struct upload *up, const char *key, int64_t *size, struct err *err)
{
	struct blob_stat st = {0};

	if (blob_stat(a->uploads, key, &st, err) < 0) {
		if (err->code != ERR_NOT_FOUND)
			return upload_storage_failed(err);
		err_clear(err);
		st.size = 0;
	}
	*size = st.size > INT64_MAX ? INT64_MAX : (int64_t)st.size;
	if (up->length != UPLOAD_LENGTH_UNKNOWN && *size > up->length)
		*size = up->length;
	return 0;
}

/* Storage whose objects are committed: has one been whose completing step was lost? */
static int recover_object(struct app *a, struct upload *up, const char *key,
	struct upload_step *step, struct err *err)
{
	int64_t size = 0;

	if (up->offset == up->length)
		return up->length > 0 ? upload_finish(a, up, NULL, step, err)
				      : upload_step(a, up, step, err);
	if (up->beyond != BEYOND_WHOLE || up->length == UPLOAD_LENGTH_UNKNOWN)
		return 0;
	if (stored_size(a, up, key, &size, err) < 0)
		return -1;
	if (size < up->length)
		return 0;
	step->to = size;
	step->token = "";
	return upload_step(a, up, step, err);
}

/* Storage that is written in place. */
static int recover_bytes(struct app *a, struct upload *up, const char *key,
	struct upload_step *step, struct err *err)
{
	int64_t size = 0;

	if (stored_size(a, up, key, &size, err) < 0)
		return -1;
	if (size < up->offset) {
		LOG(LOG_LEVEL_ERROR, "storage has fewer bytes than were acknowledged",
			log_str("upload_id", up->id), log_int("acknowledged", up->offset),
			log_int("stored", size));
		/* They were synced, so it is the storage that is not what it was: another disk, or
		 * none, is mounted there. Starting anew would overwrite what comes back. */
		if (config_durability(a->config) == CONFIG_DURABLE_PATCH)
			return err_set(err, ERR_UNAVAILABLE, __func__,
				"storage has %lld of %lld acknowledged bytes", (long long)size,
				(long long)up->offset);
		step->to = size;
	} else if (size > up->offset && up->beyond == BEYOND_GOOD &&
		   blob_can(a->uploads, BLOB_CAP_ADOPT)) {
		if (upload_must_sync(a, up, size, UPLOAD_LENGTH_UNKNOWN) &&
			upload_sync_stored(a, up, key, size, err) < 0)
			return -1;
		step->to = size;
	} else if (up->offset != up->length) {
		return 0;
	}
	return upload_step(a, up, step, err);
}

/* Hold `state` against what storage really has; see the ordering contract in DESIGN.md. */
static int recover(struct app *a, struct upload_hold *h, struct err *err)
{
	struct upload *up = &h->up;
	struct buf key;
	struct upload_step step = {
		.to = up->offset,
		.length = UPLOAD_LENGTH_UNKNOWN,
		.fence = lock_fence(h->lock),
	};

	if (up->status != UPLOAD_OPEN || up->kind == UPLOAD_FINAL)
		return 0;
	buf_init(&key, BLOB_KEY_MAX);
	int rc = app_upload_key(a, up->id, &key, err);
	if (rc == 0)
		rc = blob_can(a->uploads, BLOB_CAP_STORED_BY_SYNC)
			     ? recover_object(a, up, buf_str(&key), &step, err)
			     : recover_bytes(a, up, buf_str(&key), &step, err);
	buf_free(&key);
	return rc;
}

int upload_take(struct app *a, const char *id, struct upload_hold *out, struct err *err)
{
	struct lock_row row = {0};

	memset(out, 0, sizeof(*out));
	if (lock_acquire(a->locks, id, a->config->lock_wait_ms, &row, &out->lock, err) != LOCK_OK)
		return -1;
	out->up = row.upload;
	int rc = row.found ? 0 : row.read ? not_found(err) : load(a, id, &out->up, err);
	if (rc < 0 || check_status(&out->up, err) < 0 || recover(a, out, err) < 0) {
		upload_let_go(out);
		return -1;
	}
	return 0;
}

void upload_let_go(struct upload_hold *h)
{
	lock_release(h->lock);
	h->lock = NULL;
	upload_free(&h->up);
}

int upload_terminate(struct app *a, struct upload_hold *h, struct err *err)
{
	struct upload *up = &h->up;
	int64_t now = clock_now();
	struct notify_batch batch;
	struct buf key;
	int rc = -1;

	buf_init(&key, BLOB_KEY_MAX);
	notify_batch_init(&batch, &a->notify);
	if (up->status == UPLOAD_OPEN && up->kind != UPLOAD_PARTIAL)
		a->hooks->ended(a, up, "terminated by the sender", now, &batch);
	struct outbox_list rows = notify_batch_rows(&batch, now);
	switch (state_upload_end(a->state, up->id, UPLOAD_TERMINATED, 0, now, &rows, err)) {
	case STATE_OK:
		break;
	case STATE_CONFLICT:
		err_set(err, ERR_CONFLICT, __func__, "deliveries of this upload are still pending");
		goto out;
	case STATE_NOT_FOUND:
		err_set(err, ERR_NOT_FOUND, __func__, "no such upload");
		goto out;
	case STATE_ERROR:
		goto out;
	}
	notify_batch_send_local(&batch);
	metrics_add(METRIC_UPLOADS_TERMINATED, "", 1);
	rc = 0;
	/* The upload is gone for its sender; data that cannot be removed now are left to the sweep.
	 */
	struct err left = {0};
	if (app_upload_key(a, up->id, &key, &left) < 0 ||
		blob_del(a->uploads, buf_str(&key), up->token, &left) < 0 ||
		app_forget_info(a, buf_str(&key), &left) < 0 ||
		state_upload_removed(a->state, up->id, &left) < 0)
		LOG(LOG_LEVEL_WARN, "data of a terminated upload are left to the sweep",
			log_str("upload_id", up->id), log_err(&left));
out:
	notify_batch_free(&batch);
	buf_free(&key);
	return rc;
}
