/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/manifest.h"
#include "core/dex/routing.h"
#include "fcgi/info.h"
#include "fcgi/ui/page.h"
#include "fcgi/ui/texts.h"
#include "fcgi/ui/ui.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROUTED_MAX (size_t)(1024 * 1024)

/*
 * GET /status/{id}: what /info tells, as a page. The script takes over from there: it sends the
 * file and asks /info anew; without it the page shows the state at the time it was asked for.
 */

static void set_text(json_t *values, const char *name, const char *text)
{
	json_object_set_new(values, name, json_string(text ? text : ""));
}

static void add_deliveries(json_t *values, const json_t *deliveries)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(deliveries); i++) {
		const json_t *d = json_array_get(deliveries, i);
		const json_t *issues = json_object_get(d, "issues");
		json_t *texts = json_array();
		for (size_t k = 0; k < json_array_size(issues); k++) {
			const char *text = json_get_str(json_array_get(issues, k), "message");
			if (text)
				json_array_append_new(texts, json_string(text));
		}
		json_t *item = json_pack("{s:b, s:o}", "good",
			str_eq(json_get_str(d, "status"), "SUCCESS"), "issues", texts);
		set_text(item, "name", json_get_str(d, "name"));
		set_text(item, "location", json_get_str(d, "location"));
		set_text(item, "at", json_get_str(d, "delivered_at"));
		json_array_append_new(list, item);
	}
	json_object_set_new(values, "deliveries", list);
}

static void add_size(json_t *values, const json_t *info)
{
	const json_t *bytes = json_object_get(json_object_get(info, "file_info"), "size_bytes");
	char text[64];

	if (bytes)
		(void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT " %s",
			json_integer_value(bytes), texts_get("bytes"));
	else
		(void)snprintf(text, sizeof(text), "%s", texts_get("size_unknown"));
	json_object_set_new(values, "bytes", json_integer(json_integer_value(bytes)));
	set_text(values, "size", text);
}

/* The streams that are delivered somewhere, as "id/route" in lower case: the script learns an
 * upload's stream from /info only. */
static void add_routed(json_t *values, const struct routing *routing)
{
	json_t *holder = json_object(), *list = json_array();
	struct buf text;

	buf_init(&text, ROUTED_MAX);
	for (size_t i = 0; i < routing->ngroups; i++) {
		const struct routing_group *g = &routing->groups[i];
		if (g->nentries > 0)
			json_array_append_new(list,
				json_sprintf("%s/%s", g->data_stream_id, g->data_stream_route));
	}
	json_object_set_new(holder, "streams", list);
	if (json_write(&text, holder) == 0)
		set_text(values, "routed", buf_str(&text));
	json_decref(holder);
	buf_free(&text);
}

static bool is_routed(const struct routing *routing, const json_t *manifest)
{
	const struct routing_group *g = routing_of_manifest(routing, manifest);

	return g && g->nentries > 0;
}

static json_t *values_of(const char *id, const json_t *info, const struct routing *routing)
{
	const json_t *manifest = json_object_get(info, "manifest");
	const json_t *deliveries = json_object_get(info, "deliveries");
	const char *status = json_get_str(json_object_get(info, "upload_status"), "status");
	bool complete = str_eq(status, "Complete");
	const char *name = manifest_filename(manifest);
	const char *text = complete                      ? "status_complete"
			   : str_eq(status, "Initiated") ? "status_initiated"
							 : "status_in_progress";
	json_t *values = json_object();

	set_text(values, "id", id);
	set_text(values, "name", name[0] || !complete ? name : id);
	set_text(values, "status", status);
	set_text(values, "status_text", texts_get(text));
	json_object_set_new(values, "complete", json_boolean(complete));
	bool none = complete && json_array_size(deliveries) == 0;
	bool routed = is_routed(routing, manifest);
	json_object_set_new(values, "waiting", json_boolean(none && routed));
	json_object_set_new(values, "nowhere", json_boolean(none && !routed));
	json_object_set_new(values, "before", json_boolean(!complete));
	add_deliveries(values, deliveries);
	add_size(values, info);
	set_text(values, "sender", json_get_str(manifest, "sender_id"));
	set_text(values, "producer", json_get_str(manifest, "data_producer_id"));
	set_text(values, "stream_id", manifest_stream_id(manifest));
	set_text(values, "stream_route", manifest_stream_route(manifest));
	set_text(values, "jurisdiction", json_get_str(manifest, "jurisdiction"));
	return values;
}

void status_page_get(struct http_request *r)
{
	json_t *info;

	/* A browser sends no token with a link. Whether there is such an upload is not told either.
	 */
	if (r->app->auth) {
		json_t *values = json_pack("{s:s, s:b}", "id", r->id, "before", 1);
		add_routed(values, r->app->routing);
		page_send(r, 200, "status", "status_title", values);
		return;
	}
	switch (info_describe(r->app, r->id, &info, r->err)) {
	case STATE_OK: {
		json_t *values = values_of(r->id, info, r->app->routing);
		add_routed(values, r->app->routing);
		page_send(r, 200, "status", "status_title", values);
		json_decref(info);
		break;
	}
	case STATE_NOT_FOUND:
		page_redirect(r, "/");
		break;
	default:
		page_error(r, r->err);
		break;
	}
}
