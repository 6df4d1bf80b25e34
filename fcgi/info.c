/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/info.h"
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "fcgi/routes.h"

#include <string.h>

#define ISSUES_MAX (size_t)(256 * 1024)

static json_t *time_or_null(int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];

	return us > 0 ? json_string(clock_rfc3339(text, us)) : json_null();
}

/* The issues of failed tries, stored as a JSON array. */
static json_t *parse_issues(const char *text)
{
	struct err err = {0};
	struct buf object;
	json_t *parsed, *issues = NULL;

	if (!text)
		return json_array();
	buf_init(&object, ISSUES_MAX);
	if (buf_printf(&object, "{\"issues\":%s}", text) == 0) {
		parsed = json_parse(object.data, object.len, &err);
		issues = parsed ? json_incref(json_object_get(parsed, "issues")) : NULL;
		json_decref(parsed);
	}
	buf_free(&object);
	return issues ? issues : json_array();
}

/* One element per target whose delivery was tried; a pending one shows its last failure. */
static int add_delivery(void *arg, const struct delivery *d)
{
	json_t *list = arg;
	json_t *element = json_object();

	if (d->status == DELIVERY_DONE) {
		json_object_set_new(element, "status", json_string("SUCCESS"));
		json_object_set_new(element, "name", json_string(d->target));
		json_object_set_new(
			element, "location", d->location ? json_string(d->location) : json_null());
		json_object_set_new(element, "delivered_at", time_or_null(d->ended_at));
		json_object_set_new(element, "issues", json_null());
	} else if (d->status == DELIVERY_FAILED || d->issues) {
		json_object_set_new(element, "status", json_string("FAILURE"));
		json_object_set_new(element, "name", json_string(d->target));
		json_object_set_new(element, "location", json_null());
		json_object_set_new(element, "delivered_at", json_null());
		json_object_set_new(element, "issues", parse_issues(d->issues));
	}
	if (json_object_size(element) > 0)
		json_array_append(list, element);
	json_decref(element);
	return 0;
}

static json_t *manifest_of(const struct upload *u)
{
	struct err err = {0};
	json_t *manifest = u->manifest ? json_parse(u->manifest, strlen(u->manifest), &err) : NULL;

	if (manifest)
		return manifest;
	/* Partial uploads need none; these two are added to every manifest. */
	manifest = json_object();
	json_object_set_new(manifest, "dex_ingest_datetime", time_or_null(u->created_at));
	json_object_set_new(manifest, "upload_id", json_string(u->id));
	return manifest;
}

static json_t *describe(const struct upload *u, json_t *deliveries)
{
	bool nothing = u->status == UPLOAD_OPEN && u->offset == 0;
	const char *status = u->status != UPLOAD_OPEN ? "Complete"
			     : nothing                ? "Initiated"
						      : "In Progress";
	json_t *body = json_object();
	json_t *file_info = json_null();
	json_t *upload_status = json_object();

	if (!nothing) {
		file_info = json_object();
		json_object_set_new(file_info, "size_bytes", json_integer(u->offset));
		json_object_set_new(file_info, "updated_at", time_or_null(u->touched_at));
	}
	json_object_set_new(upload_status, "status", json_string(status));
	json_object_set_new(upload_status, "chunk_received_at",
		nothing ? json_null() : time_or_null(u->touched_at));

	json_object_set_new(body, "manifest", manifest_of(u));
	json_object_set_new(body, "file_info", file_info);
	json_object_set_new(body, "upload_status", upload_status);
	json_object_set(
		body, "deliveries", json_array_size(deliveries) > 0 ? deliveries : json_null());
	return body;
}

enum state_result info_describe(struct app *a, const char *id, json_t **out, struct err *err)
{
	struct upload u;
	json_t *deliveries;
	enum state_result found = state_upload_get(a->state, id, &u, err);

	*out = NULL;
	if (found == STATE_NOT_FOUND)
		err_set(err, ERR_NOT_FOUND, __func__, "there is no such upload");
	if (found != STATE_OK)
		return found;
	if (u.status == UPLOAD_EXPIRED || u.status == UPLOAD_TERMINATED) {
		err_set(err, ERR_NOT_FOUND, __func__, "that upload has been removed");
		upload_free(&u);
		return STATE_NOT_FOUND;
	}
	deliveries = json_array();
	if (state_delivery_of_upload(a->state, u.id, add_delivery, deliveries, err) == 0)
		*out = describe(&u, deliveries);
	json_decref(deliveries);
	upload_free(&u);
	return *out ? STATE_OK : STATE_ERROR;
}

void info_get(struct http_request *r)
{
	json_t *body;

	if (info_describe(r->app, r->id, &body, r->err) == STATE_OK)
		http_json(r, 200, body);
	else
		http_error(r, r->err);
	json_decref(body);
}
