/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "fcgi/routes.h"
#include "fcgi/tus_common.h"

/* The length a creation declares. A final upload has none of its own. */
static int parse_length(struct http_request *r, bool final, int64_t *out)
{
	const char *length = http_header_raw(r, "Upload-Length");
	const char *defer = http_header_raw(r, "Upload-Defer-Length");

	*out = UPLOAD_LENGTH_UNKNOWN;
	if (final) {
		if (length || defer)
			return err_set(r->err, ERR_INVALID, __func__,
				"a final upload has no Upload-Length: it is the sum of its parts");
		return 0;
	}
	if (length && defer)
		return err_set(r->err, ERR_INVALID, __func__,
			"either Upload-Length or Upload-Defer-Length, not both");
	if (defer)
		return headers_defer_length(defer, r->err);
	if (!length)
		return err_set(r->err, ERR_INVALID, __func__,
			"Upload-Length or Upload-Defer-Length: 1 is needed");
	return headers_number("Upload-Length", length, out, r->err);
}

/* What the body is: none, data of the new upload, or something we must refuse. -1: answered. */
static int check_body(struct http_request *r, bool final, int64_t length, bool *data)
{
	uint64_t max = r->app->config->max_size;

	*data = false;
	if (!tus_is_offset_stream(r)) {
		if (r->content_length > 0) {
			http_fail(r, 415, "ERR_INVALID_CONTENT_TYPE",
				"Content-Type must be " TUS_CONTENT_TYPE
				" where the request has a body");
			return -1;
		}
		return 0;
	}
	if (final && r->content_length > 0) {
		http_fail(r, 403, "ERR_MODIFY_FINAL", "a final upload takes no data of its own");
		return -1;
	}
	*data = !final;
	if (!tus_may_append(r))
		return -1;
	uint64_t room = length != UPLOAD_LENGTH_UNKNOWN ? (uint64_t)length
			: max > 0                       ? max
							: INT64_MAX;
	if (r->content_length > 0 && (uint64_t)r->content_length > room) {
		http_fail(r, 413, "ERR_UPLOAD_SIZE_EXCEEDED",
			"the body goes beyond the upload's length or the size limit");
		return -1;
	}
	return 0;
}

static void add_location(struct http_request *r, const char *id)
{
	const struct config *c = r->app->config;
	struct buf url;

	buf_init(&url, 4096);
	/* Relative to the creation URL's host, so that it holds behind any front. */
	if (c->relative_location)
		buf_add_str(&url, r->prefix);
	else
		http_base_url(r, &url);
	buf_printf(&url, "%s%s", c->tus_path, id);
	http_add_header(r, "Location", "%s", buf_str(&url));
	buf_free(&url);
}

/* The upload exists: take the first bytes where the creation brings some, and answer 201. */
static void answer_created(struct http_request *r, struct upload *up, bool data)
{
	struct upload_hold hold;

	if (data && up->status == UPLOAD_OPEN) {
		if (upload_take(r->app, up->id, &hold, r->err) < 0) {
			http_error(r, r->err);
			return;
		}
		int rc = tus_receive(r, &hold, 0, UPLOAD_LENGTH_UNKNOWN);
		up->offset = hold.up.offset;
		up->touched_at = hold.up.touched_at;
		up->status = hold.up.status;
		upload_let_go(&hold);
		if (rc < 0) {
			/* The upload stays, and the client may go on with it. */
			add_location(r, up->id);
			return;
		}
	}
	http_status(r, 201);
	add_location(r, up->id);
	if (data)
		tus_add_offset(r, up);
	tus_add_expires(r, up);
	tus_add_limit(r);
}

static void create(
	struct http_request *r, const struct headers_concat *concat, const json_t *metadata)
{
	struct upload_rejection rejection = {0};
	struct upload_request request = {
		.metadata_header = http_header(r, "Upload-Metadata"),
		.metadata = metadata,
		.concat_header = http_header(r, "Upload-Concat"),
		.concat = concat,
		.owner = r->identity.subject,
		.others_parts = r->identity.admin,
	};
	bool final = concat->kind == CONCAT_FINAL;
	struct headers_checksum checksum;
	const char *checksum_value = http_header_raw(r, "Upload-Checksum");
	struct upload up;
	bool data;

	if (parse_length(r, final, &request.length) < 0) {
		http_fail(r, 400, "ERR_INVALID_UPLOAD_LENGTH", r->err->text);
		return;
	}
	if (check_body(r, final, request.length, &data) < 0)
		return;
	/* Checked again with the body; here so that a bad header creates nothing. */
	if (checksum_value && headers_checksum(checksum_value, &checksum, r->err) < 0) {
		http_fail(r, 400, "ERR_INVALID_CHECKSUM", r->err->text);
		return;
	}
	if (upload_create(r->app, &request, &up, &rejection, r->err) == 0) {
		str_copy(r->upload_id, sizeof(r->upload_id), up.id);
		answer_created(r, &up, data);
		upload_free(&up);
	} else if (rejection.body) {
		http_json(r, 400, rejection.body);
		r->code = "ERR_INVALID_MANIFEST";
	} else if (final && r->err->code == ERR_INVALID) {
		http_fail(r, 400, "ERR_INVALID_CONCAT", r->err->text);
	} else {
		http_error(r, r->err);
	}
	json_decref(rejection.body);
}

void tus_create(struct http_request *r)
{
	const char *concat_value = http_header_raw(r, "Upload-Concat");
	struct headers_concat concat = {.kind = CONCAT_NONE};
	json_t *metadata;

	if (concat_value &&
		headers_concat(concat_value, r->app->config->tus_path, &concat, r->err) < 0) {
		if (r->err->code == ERR_NOT_FOUND)
			http_error(r, r->err);
		else
			http_fail(r, 400, "ERR_INVALID_CONCAT", r->err->text);
		return;
	}
	metadata = headers_metadata(http_header(r, "Upload-Metadata"), r->err);
	if (metadata)
		create(r, &concat, metadata);
	else
		http_fail(r, 400, "ERR_INVALID_METADATA", r->err->text);
	json_decref(metadata);
	headers_concat_free(&concat);
}
