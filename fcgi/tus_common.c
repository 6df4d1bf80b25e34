/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/tus_common.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <inttypes.h>

void tus_add_expires(struct http_request *r, const struct upload *u)
{
	char date[CLOCK_HTTP_SIZE];
	int64_t at = upload_expires_at(r->app, u);

	if (at > 0)
		http_add_header(r, "Upload-Expires", "%s", clock_http_date(date, at));
}

void tus_add_offset(struct http_request *r, const struct upload *u)
{
	http_add_header(r, "Upload-Offset", "%" PRId64, u->offset);
}

void tus_add_limit(struct http_request *r)
{
	uint64_t max = r->app->config->max_append;

	if (max > 0)
		http_add_header(r, "Upload-Limit", "max-append-size=%" PRIu64, max);
}

bool tus_may_append(struct http_request *r)
{
	if (upload_check_append(r->app, r->content_length, r->err) == 0)
		return true;
	http_error(r, r->err);
	tus_add_limit(r);
	return false;
}

bool tus_is_offset_stream(struct http_request *r)
{
	const char *type = http_param(r, "CONTENT_TYPE");

	return type && str_eq_ci(type, TUS_CONTENT_TYPE);
}

void tus_error(struct http_request *r, const struct upload *u, const struct err *err)
{
	http_error(r, err);
	tus_add_expires(r, u);
	/* With the true offset the client can go on at once instead of asking for it. */
	if (err->code == ERR_CONFLICT || err->code == ERR_INTERRUPTED)
		tus_add_offset(r, u);
	if (err->code == ERR_TOO_LARGE)
		tus_add_limit(r);
}

int tus_receive(struct http_request *r, struct upload_hold *h, int64_t offset, int64_t length)
{
	struct headers_checksum checksum;
	const char *value = http_header_raw(r, "Upload-Checksum");
	struct body_source body;
	bool mismatch;

	if (value && headers_checksum(value, &checksum, r->err) < 0) {
		http_fail(r, 400, "ERR_INVALID_CHECKSUM", r->err->text);
		tus_add_expires(r, &h->up);
		return -1;
	}
	http_body_source(r, &body);
	struct upload_chunk chunk = {
		.offset = offset,
		.length = length,
		.checksum = value ? &checksum : NULL,
		.body = &body,
	};
	if (upload_receive(r->app, h, &chunk, &mismatch, r->err) == 0)
		return 0;
	if (mismatch) {
		http_fail(r, 460, "ERR_CHECKSUM_MISMATCH", r->err->text);
		tus_add_expires(r, &h->up);
	} else {
		tus_error(r, &h->up, r->err);
	}
	return -1;
}
