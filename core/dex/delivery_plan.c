/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/delivery_plan.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/manifest.h"
#include "core/dex/routing.h"
#include "core/store/blob.h"
#include "core/store/state.h"

#include <string.h>

json_t *delivery_plan_manifest(const struct upload *u, struct err *err)
{
	if (!u->manifest)
		return json_object();
	json_t *manifest = json_parse(u->manifest, strlen(u->manifest), err);
	if (!manifest) {
		err_prefix(err, "the stored manifest cannot be read");
		if (err)
			err->code = ERR_CORRUPT;
	}
	return manifest;
}

int delivery_plan_source(struct app *a, const char *id, struct buf *url)
{
	struct buf key;
	buf_init(&key, BLOB_KEY_MAX);
	int rc = app_upload_key(a, id, &key, NULL);
	if (rc == 0)
		rc = blob_location(a->uploads, buf_str(&key), url);
	buf_free(&key);
	return rc;
}

int delivery_plan_make(struct app *a, const struct upload *u, const char *target,
	struct delivery_plan *out, struct err *err)
{
	json_t *manifest = delivery_plan_manifest(u, err);
	if (!manifest) {
		*out = (struct delivery_plan){0};
		buf_init(&out->key, BLOB_KEY_MAX);
		return -1;
	}
	int rc = delivery_plan_from(a, u, manifest, target, out, err);
	json_decref(manifest);
	return rc;
}

int delivery_plan_from(struct app *a, const struct upload *u, json_t *manifest, const char *target,
	struct delivery_plan *out, struct err *err)
{
	*out = (struct delivery_plan){.manifest = manifest ? json_incref(manifest) : json_object()};
	buf_init(&out->key, BLOB_KEY_MAX);
	const struct routing_target *t = routing_find_target(a->routing, target);
	if (!t)
		return err_set(
			err, ERR_NOT_FOUND, __func__, "target %s is no longer configured", target);
	out->target = (size_t)(t - a->routing->targets);
	const struct routing_group *g = routing_of_manifest(a->routing, out->manifest);
	const struct routing_entry *e = g ? routing_entry_of(g, target) : NULL;
	if (!e)
		return err_set(err, ERR_NOT_FOUND, __func__,
			"target %s is no longer configured for stream %s, %s", target,
			manifest_stream_id(out->manifest), manifest_stream_route(out->manifest));
	/* dex_ingest_datetime is the time of creation: the manifest check sets it, whatever a
	 * client sent. */
	struct path_template_values v = {
		.ingest_time = u->created_at,
		.upload_id = u->id,
		.filename = manifest_filename(out->manifest),
		.data_stream_id = manifest_stream_id(out->manifest),
		.data_stream_route = manifest_stream_route(out->manifest),
	};
	return path_template_expand(e->path_template, &v, &out->key, err);
}

void delivery_plan_free(struct delivery_plan *p)
{
	json_decref(p->manifest);
	p->manifest = NULL;
	buf_free(&p->key);
}
