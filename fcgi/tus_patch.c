/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "fcgi/routes.h"
#include "fcgi/tus_common.h"

void tus_patch(struct http_request *r)
{
	const char *offset_value = http_header_raw(r, "Upload-Offset");
	const char *length_value = http_header_raw(r, "Upload-Length");
	int64_t offset, length = UPLOAD_LENGTH_UNKNOWN;
	struct upload_hold hold;

	if (!tus_is_offset_stream(r)) {
		http_fail(r, 415, "ERR_INVALID_CONTENT_TYPE",
			"Content-Type must be " TUS_CONTENT_TYPE);
		return;
	}
	if (headers_number("Upload-Offset", offset_value ? offset_value : "", &offset, r->err) <
		0) {
		http_fail(r, 400, "ERR_INVALID_OFFSET", r->err->text);
		return;
	}
	if (length_value && headers_number("Upload-Length", length_value, &length, r->err) < 0) {
		http_fail(r, 400, "ERR_INVALID_UPLOAD_LENGTH", r->err->text);
		return;
	}
	if (!tus_may_append(r))
		return;
	if (upload_take(r->app, r->id, &hold, r->err) < 0) {
		http_error(r, r->err);
		return;
	}
	if (hold.up.kind == UPLOAD_FINAL) {
		http_fail(r, 403, "ERR_MODIFY_FINAL", "a final upload takes no data of its own");
	} else if (tus_receive(r, &hold, offset, length) == 0) {
		http_status(r, 204);
		tus_add_offset(r, &hold.up);
		tus_add_expires(r, &hold.up);
	}
	upload_let_go(&hold);
}
