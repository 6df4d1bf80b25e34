/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/store/sidecar.h"
#include "core/tus/upload_impl.h"

/* What the storage has of ${up}; 0 where nothing lies. */
static int look(struct app *a, const char *key, bool *there, int64_t *size, struct err *err)
{
	struct blob_stat st = {0};

	*there = blob_stat(a->uploads, key, &st, err) == 0;
	*size = (int64_t)st.size;
	if (*there)
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return upload_storage_failed(err);
	err_clear(err);
	return 0;
}

/* The row as it was made, and then to where the data reach. */
static int enter(struct app *a, struct upload *up, const char *key, int64_t size, uint64_t fence,
	struct err *err)
{
	struct upload_step step = {.to = size, .length = UPLOAD_LENGTH_UNKNOWN, .fence = fence};

	if (size > 0 && !blob_can(a->uploads, BLOB_CAP_STORED_BY_SYNC) &&
		upload_sync_stored(a, up, key, size, err) < 0)
		return -1;
	if (state_upload_create(a->state, up, NULL, NULL, err) < 0)
		return -1;
	return size > 0 || up->length == 0 ? upload_step(a, up, &step, err) : 0;
}

static int recover(struct app *a, const char *id, const char *key, uint64_t fence, bool dry_run,
	enum upload_recovery *out, struct err *err)
{
	struct upload up;
	int64_t size;
	bool there;
	enum state_result r = state_upload_get(a->state, id, &up, err);

	upload_free(&up);
	if (r == STATE_ERROR)
		return -1;
	if (r == STATE_OK) {
		*out = RECOVERY_KNOWN;
		return 0;
	}
	if (sidecar_read(a->uploads, key, id, &up, err) < 0) {
		*out = RECOVERY_UNDESCRIBED;
		if (err->code != ERR_NOT_FOUND && err->code != ERR_CORRUPT)
			return upload_storage_failed(err);
		err_clear(err);
		return 0;
	}
	int rc = look(a, key, &there, &size, err);
	bool whole = there && up.length >= 0 && size >= up.length;
	if (whole)
		size = up.length;
	*out = whole ? RECOVERY_WHOLE : RECOVERY_UNFINISHED;
	/* Of such an object, the token that goes on with it is gone; final ones are made at once.
	 */
	if (!whole && (up.kind == UPLOAD_FINAL || blob_can(a->uploads, BLOB_CAP_STORED_BY_SYNC)))
		*out = RECOVERY_LOST;
	else if (rc == 0 && !dry_run)
		rc = enter(a, &up, key, size, fence, err);
	upload_free(&up);
	return rc;
}

int upload_recover(
	struct app *a, const char *id, bool dry_run, enum upload_recovery *out, struct err *err)
{
	struct lock *lock = NULL;
	struct buf key;
	int rc;

	if (lock_acquire(a->locks, id, a->config->lock_wait_ms, NULL, &lock, err) != LOCK_OK)
		return -1;
	buf_init(&key, BLOB_KEY_MAX);
	rc = app_upload_key(a, id, &key, err);
	if (rc == 0)
		rc = recover(a, id, buf_str(&key), lock_fence(lock), dry_run, out, err);
	buf_free(&key);
	lock_release(lock);
	return rc;
}
