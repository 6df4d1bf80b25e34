/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/store/blob.h"
#include "core/tus/upload_impl.h"

#include <stdlib.h>

/* ${owner}: whose it must be, or NULL. */
static int part_length(
	struct app *a, const char *id, const char *owner, int64_t *length, struct err *err)
{
	struct upload part;
	int rc = -1;

	*length = 0;
	if (upload_find_own(a, id, owner, &part, err) < 0) {
		err_prefix(err, "part %s", id);
		return -1;
	}
	if (part.kind != UPLOAD_PARTIAL)
		err_set(err, ERR_INVALID, __func__, "part %s is not a partial upload", id);
	else if (part.status != UPLOAD_COMPLETE)
		err_set(err, ERR_INVALID, __func__, "part %s is not finished", id);
	else
		rc = 0;
	*length = part.length;
	upload_free(&part);
	return rc;
}

int upload_concat_check(
	struct app *a, const struct upload_request *r, int64_t *total, struct err *err)
{
	const struct headers_concat *c = r->concat;
	const char *owner = r->others_parts ? NULL : r->owner;

	*total = 0;
	for (size_t i = 0; i < c->nparts; i++) {
		int64_t length;
		if (part_length(a, c->parts[i], owner, &length, err) < 0)
			return -1;
		if (length > INT64_MAX - *total)
			return err_set(
				err, ERR_TOO_LARGE, __func__, "the parts are too large together");
		*total += length;
	}
	return 0;
}

int upload_concat_run(
	struct app *a, const struct headers_concat *c, struct upload *up, struct err *err)
{
	struct blob_source *sources = mem_zalloc(c->nparts * sizeof(*sources));
	struct buf *keys = mem_zalloc((c->nparts + 1) * sizeof(*keys));
	struct buf *own = &keys[c->nparts];
	size_t n = 0;
	int rc = -1;

	for (size_t i = 0; i <= c->nparts; i++) {
		buf_init(&keys[i], BLOB_KEY_MAX);
		if (app_upload_key(a, i < c->nparts ? c->parts[i] : up->id, &keys[i], err) < 0)
			goto out;
	}
	for (size_t i = 0; i < c->nparts; i++) {
		int64_t length;
		if (part_length(a, c->parts[i], NULL, &length, err) < 0)
			goto out;
		/* An empty part has no object in storage. */
		if (length > 0)
			sources[n++] = (struct blob_source){
				a->uploads, buf_str(&keys[i]), (uint64_t)length};
	}
	if (n > 0 &&
		blob_copy_from(a->uploads, buf_str(own), sources, n, NULL, NULL, NULL, err) < 0) {
		upload_storage_failed(err);
		goto out;
	}
	/* The new id is known to nobody yet, so its lock need not be held. */
	struct upload_step step = {.to = up->length, .length = UPLOAD_LENGTH_UNKNOWN};
	rc = upload_step(a, up, &step, err);
out:
	for (size_t i = 0; i <= c->nparts; i++)
		buf_free(&keys[i]);
	free(keys);
	free(sources);
	return rc;
}
