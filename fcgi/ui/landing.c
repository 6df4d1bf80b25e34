/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/dex/manifest_config.h"
#include "fcgi/ui/page.h"
#include "fcgi/ui/ui.h"

#define STREAMS_JSON_MAX (size_t)(256 * 1024)

static bool contains(const json_t *list, const char *text)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (str_eq(json_string_value(json_array_get(list, i)), text))
			return true;
	}
	return false;
}

static void add_once(json_t *list, const char *text)
{
	if (!contains(list, text))
		json_array_append_new(list, json_string(text));
}

/* Suggestions: all streams, all routes, and which goes with which for the script. */
static void add_streams(json_t *values, const struct manifest_streams *streams)
{
	json_t *ids = json_array();
	json_t *routes = json_array();
	json_t *by_id = json_object();
	struct buf text;

	for (size_t i = 0; i < streams->n; i++) {
		const struct manifest_stream *s = &streams->items[i];
		json_t *list = json_object_get(by_id, s->id);
		if (!list) {
			list = json_array();
			json_object_set_new(by_id, s->id, list);
		}
		add_once(list, s->route);
		add_once(ids, s->id);
		add_once(routes, s->route);
	}
	buf_init(&text, STREAMS_JSON_MAX);
	if (json_write(&text, by_id) == 0)
		json_object_set_new(values, "streams_json", json_string(buf_str(&text)));
	json_object_set_new(values, "streams", ids);
	json_object_set_new(values, "routes", routes);
	json_decref(by_id);
	buf_free(&text);
}

void landing_get(struct http_request *r)
{
	struct manifest_streams streams;
	struct err err = {0};
	json_t *values = json_object();

	/* Without suggestions the page still serves those who know their stream. */
	if (manifest_configs_streams(r->app->manifests, &streams, &err) < 0)
		LOG(LOG_LEVEL_WARN, "data streams cannot be listed", log_err(&err));
	add_streams(values, &streams);
	manifest_streams_free(&streams);
	page_send(r, 200, "landing", "landing_title", values);
}
