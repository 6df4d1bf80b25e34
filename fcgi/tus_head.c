/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"
#include "fcgi/routes.h"
#include "fcgi/tus_common.h"

#include <inttypes.h>
#include <string.h>

/*
 * The client's own text, and after it what we added at creation. A client that sent one of the
 * added keys itself gets its own text back, so that no key stands twice.
 */
static void add_metadata(struct http_request *r, const struct upload *u)
{
	static const char *const added[] = {"upload_id", "dex_ingest_datetime"};
	struct err err = {0};
	struct buf text;
	json_t *own = headers_metadata(u->metadata, &err);
	json_t *manifest = u->manifest ? json_parse(u->manifest, strlen(u->manifest), &err) : NULL;

	buf_init(&text, TUS_METADATA_MAX + 1024);
	if (u->metadata)
		buf_add_str(&text, u->metadata);
	for (size_t i = 0; manifest && i < sizeof(added) / sizeof(added[0]); i++) {
		const char *value = json_get_str(manifest, added[i]);
		if (!value || (own && json_object_get(own, added[i])))
			continue;
		buf_printf(&text, "%s%s ", text.len > 0 ? "," : "", added[i]);
		str_base64_encode(&text, value, strlen(value));
	}
	if (text.len > 0)
		http_add_header(r, "Upload-Metadata", "%s", buf_str(&text));
	buf_free(&text);
	json_decref(manifest);
	json_decref(own);
}

static void answer(struct http_request *r, const struct upload *u)
{
	http_status(r, 200);
	/* A final upload whose parts have not been put together yet has no offset to go on from. */
	if (u->kind != UPLOAD_FINAL || u->status == UPLOAD_COMPLETE)
		tus_add_offset(r, u);
	if (u->length == UPLOAD_LENGTH_UNKNOWN)
		http_add_header(r, "Upload-Defer-Length", "1");
	else
		http_add_header(r, "Upload-Length", "%" PRId64, u->length);
	if (u->concat)
		http_add_header(r, "Upload-Concat", "%s", u->concat);
	add_metadata(r, u);
	tus_add_expires(r, u);
}

void tus_head(struct http_request *r)
{
	struct upload_hold hold = {0};
	struct upload up;

	/* A complete upload does not change any more; only an open one needs its lock. */
	if (upload_find(r->app, r->id, &up, r->err) < 0) {
		http_error(r, r->err);
		return;
	}
	if (up.status == UPLOAD_COMPLETE) {
		answer(r, &up);
	} else if (upload_take(r->app, r->id, &hold, r->err) < 0) {
		http_error(r, r->err);
	} else {
		answer(r, &hold.up);
		upload_let_go(&hold);
	}
	upload_free(&up);
}
