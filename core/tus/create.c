/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/metrics.h"
#include "core/store/blob.h"
#include "core/store/sidecar.h"
#include "core/tus/hooks.h"
#include "core/tus/upload_impl.h"

#include <string.h>

/* Manifest check. A refusal is answered to the sender and told in its reports, nothing else is
 * kept. */
static int check(struct app *a, const struct upload_request *r, struct upload *up,
	struct notify_batch *batch, struct upload_rejection *rejection, struct err *err)
{
	if (up->kind == UPLOAD_PARTIAL ||
		a->hooks->check(a, r->metadata, up, batch, &rejection->body, err) == 0)
		return 0;
	struct outbox_list rows = notify_batch_rows(batch, up->created_at);
	struct err lost = {0};
	if (rows.n > 0 && state_outbox_add(a->state, &rows, &lost) < 0)
		LOG(LOG_LEVEL_ERROR, "reports of a refused upload were not queued",
			log_str("upload_id", up->id), log_err(&lost));
	notify_batch_send_local(batch);
	return -1;
}

/* Uploads that are whole at birth: a final one from its parts, and one of length 0. */
static int complete_at_once(
	struct app *a, const struct upload_request *r, struct upload *up, struct err *err)
{
	if (up->kind == UPLOAD_FINAL)
		return upload_concat_run(a, r->concat, up, err);
	if (up->length != 0)
		return 0;
	struct upload_step step = {.to = 0, .length = UPLOAD_LENGTH_UNKNOWN};
	return upload_step(a, up, &step, err);
}

/* Beside the data to come. Without it the upload cannot survive a lost state, but is one. */
static void describe(struct app *a, const struct upload *up)
{
	struct err err = {0};
	struct buf key;

	if (!a->keep_info || up->kind == UPLOAD_PARTIAL)
		return;
	buf_init(&key, BLOB_KEY_MAX);
	if (app_upload_key(a, up->id, &key, &err) < 0 ||
		sidecar_write(a->uploads, buf_str(&key), up, &err) < 0)
		LOG(LOG_LEVEL_ERROR, "an upload was not described in storage",
			log_str("upload_id", up->id), log_err(&err));
	buf_free(&key);
}

int upload_create(struct app *a, const struct upload_request *r, struct upload *out,
	struct upload_rejection *rejection, struct err *err)
{
	struct notify_batch batch;
	uint64_t max = a->config->max_size;

	memset(out, 0, sizeof(*out));
	rejection->body = NULL;
	notify_batch_init(&batch, &a->notify);
	random_uuid(out->id);
	out->created_at = out->touched_at = clock_now();
	out->kind = r->concat->kind == CONCAT_PARTIAL ? UPLOAD_PARTIAL
		    : r->concat->kind == CONCAT_FINAL ? UPLOAD_FINAL
						      : UPLOAD_NORMAL;
	out->length = r->length;
	out->metadata = mem_strdup(r->metadata_header);
	out->concat = mem_strdup(r->concat_header);
	out->owner = mem_strdup(r->owner);
	out->token = mem_strdup("");

	if (out->kind == UPLOAD_FINAL && upload_concat_check(a, r, &out->length, err) < 0)
		goto fail;
	if (max > 0 && out->length != UPLOAD_LENGTH_UNKNOWN && (uint64_t)out->length > max) {
		err_set(err, ERR_TOO_LARGE, __func__,
			"the upload would have %lld bytes, the limit is %llu",
			(long long)out->length, (unsigned long long)max);
		goto fail;
	}
	if (check(a, r, out, &batch, rejection, err) < 0)
		goto fail;
	struct outbox_list rows = notify_batch_rows(&batch, out->created_at);
	struct upload_limits limits = {
		.in_all = (int64_t)a->config->max_open,
		.of_owner = (int64_t)a->config->max_open_of_subject,
	};
	if (state_upload_create(a->state, out, &limits, &rows, err) < 0)
		goto fail;
	describe(a, out);
	notify_batch_send_local(&batch);
	metrics_add(METRIC_UPLOADS_CREATED, "", 1);
	if (complete_at_once(a, r, out, err) < 0)
		goto fail;
	notify_batch_free(&batch);
	return 0;
fail:
	notify_batch_free(&batch);
	upload_free(out);
	return -1;
}
