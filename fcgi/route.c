/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"
#include "core/dex/delivery.h"
#include "core/store/state.h"
#include "fcgi/routes.h"

#define ROUTE_BODY_MAX (size_t)(64 * 1024)

/* The body {"target":NAME,"source":"upload"}. NULL: answered. The caller decrefs. */
static json_t *read_body(struct http_request *r)
{
	struct buf text;
	json_t *body = NULL;
	const char *source;

	buf_init(&text, ROUTE_BODY_MAX);
	if (http_read_all(r, &text, ROUTE_BODY_MAX, r->err) < 0) {
		http_error(r, r->err);
		goto out;
	}
	body = json_parse(buf_str(&text), text.len, r->err);
	if (!body) {
		http_fail(r, 400, "ERR_INVALID_BODY", r->err->text);
		goto out;
	}
	source = json_get_str(body, "source");
	if (!json_get_str(body, "target")) {
		http_fail(r, 400, "ERR_INVALID_BODY", "\"target\" must name a delivery target");
	} else if (json_object_get(body, "source") && !str_eq(source, "upload")) {
		http_fail(r, 400, "ERR_INVALID_BODY", "\"source\" can only be \"upload\"");
	} else {
		goto out;
	}
	json_decref(body);
	body = NULL;
out:
	buf_free(&text);
	return body;
}

static void queue(struct http_request *r, const struct upload *u, const char *target)
{
	if (u->status != UPLOAD_COMPLETE) {
		http_fail(r, 409, "ERR_UPLOAD_NOT_FINISHED",
			u->status == UPLOAD_OPEN
				? "the upload is not finished"
				: "the upload's data have been removed after delivery");
		return;
	}
	switch (delivery_queue(r->app, u, target, r->err)) {
	case STATE_OK:
		http_text(r, 200, u->id);
		break;
	case STATE_NOT_FOUND:
		http_fail(r, 400, "ERR_INVALID_TARGET", r->err->text);
		break;
	case STATE_CONFLICT:
		http_fail(r, 409, "ERR_UPLOAD_NOT_FINISHED", "the upload is not finished");
		break;
	case STATE_ERROR:
		http_error(r, r->err);
		break;
	}
}

void route_post(struct http_request *r)
{
	struct upload u;
	json_t *body;

	if (r->method != HTTP_POST) {
		http_add_header(r, "Allow", "POST, OPTIONS");
		http_fail(r, 400, "ERR_INVALID_REQUEST", "only POST is offered here");
		return;
	}
	body = read_body(r);
	if (!body)
		return;
	enum state_result found = state_upload_get(r->app->state, r->id, &u, r->err);
	if (found == STATE_ERROR) {
		http_error(r, r->err);
	} else if (found == STATE_NOT_FOUND) {
		http_fail(r, 404, "ERR_UPLOAD_NOT_FOUND", "there is no such upload");
	} else {
		if (u.status == UPLOAD_EXPIRED || u.status == UPLOAD_TERMINATED)
			http_fail(r, 404, "ERR_UPLOAD_NOT_FOUND", "that upload has been removed");
		else
			queue(r, &u, json_get_str(body, "target"));
		upload_free(&u);
	}
	json_decref(body);
}
