/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/dex_world.h"

#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "core/tus/hooks.h"
#include "tests/lib/scratch.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char routing_text[] = "version: 1.0\n"
				   "targets:\n"
				   "  one: {name: one, type: file, path: $WORLD_DIR/one}\n"
				   "  two: {name: two, type: file, path: $WORLD_DIR/two}\n"
				   "routing_groups:\n"
				   "  - data_stream_id: stream\n"
				   "    data_stream_route: plain\n"
				   "    delivery_targets:\n"
				   "      - {name: one, path_template: '{{.Filename}}'}\n"
				   "  - data_stream_id: stream\n"
				   "    data_stream_route: both\n"
				   "    delivery_targets:\n"
				   "      - {name: one, path_template: '{{.Filename}}'}\n"
				   "      - {name: two, path_template: 'sub/{{.UploadId}}'}\n";

static void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	abort();
}

static void write_file(const struct dex_world *w, const char *name, const char *text)
{
	struct err err = {0};
	char *path = scratch_path(w->dir, name);
	if (fsio_replace(path, text, strlen(text), false, &err) < 0)
		die(path, err.text);
	free(path);
}

static void open_all(struct dex_world *w)
{
	static const struct app_backends backends = {
		.blob = registry_blob,
		.lock = registry_lock,
		.publish = registry_publish,
		.state = registry_state,
		.subscribe = registry_subscribe,
	};
	struct buf problems;
	buf_init(&problems, 65536);
	char *dotenv = scratch_path(w->dir, "settings.env");
	if (config_load(dotenv, &w->config, &problems) < 0)
		die("settings", buf_str(&problems));
	if (app_open(&w->app, w->config, &backends, false, &w->err) < 0)
		die("open", w->err.text);
	free(dotenv);
	buf_free(&problems);
}

struct dex_world *dex_world_new(const char *settings)
{
	struct dex_world *w = mem_zalloc(sizeof(*w));
	struct buf text;
	w->dir = scratch_make();
	buf_init(&text, 65536);
	(void)buf_printf(&text,
		"WORLD_DIR=%s\n"
		"LOCAL_FOLDER_UPLOADS_TUS=%s/uploads\n"
		"LOCAL_REPORTS_FOLDER=%s/reports\n"
		"LOCAL_EVENTS_FOLDER=%s/events\n"
		"UPLOAD_CONFIG_PATH=%s/configs\n"
		"DEX_DELIVERY_CONFIG_FILE=%s/delivery.yml\n%s",
		w->dir, w->dir, w->dir, w->dir, w->dir, w->dir, settings ? settings : "");
	write_file(w, "settings.env", buf_str(&text));
	write_file(w, "delivery.yml", routing_text);
	char *configs = scratch_path(w->dir, "configs");
	if (fsio_mkdirs(configs, false, &w->err) < 0)
		die(configs, w->err.text);
	free(configs);
	buf_free(&text);
	open_all(w);
	return w;
}

void dex_world_close(struct dex_world *w)
{
	if (!w->config)
		return;
	app_close(&w->app);
	config_free(w->config);
	w->config = NULL;
}

void dex_world_reopen(struct dex_world *w)
{
	dex_world_close(w);
	open_all(w);
}

void dex_world_free(struct dex_world *w)
{
	dex_world_close(w);
	scratch_remove(w->dir);
	free(w);
}

void dex_world_upload(struct dex_world *w, const char *route, const char *filename, int64_t length,
	char id_out[UUID_SIZE])
{
	char time[CLOCK_RFC3339_SIZE];
	struct buf manifest;
	struct upload u = {.kind = UPLOAD_NORMAL, .length = length, .created_at = clock_now()};
	random_uuid(u.id);
	buf_init(&manifest, 4096);
	(void)buf_printf(&manifest,
		"{\"version\":\"2.0\",\"data_stream_id\":\"stream\",\"data_stream_route\":\"%s\","
		"\"received_filename\":\"%s\",\"sender_id\":\"tester\",\"dex_ingest_datetime\":\"%"
		"s\"}",
		route, filename, clock_rfc3339(time, u.created_at));
	u.manifest = manifest.data;
	if (state_upload_create(w->app.state, &u, NULL, &(struct outbox_list){0}, &w->err) < 0)
		die("create", w->err.text);
	memcpy(id_out, u.id, UUID_SIZE);
	buf_free(&manifest);
}

void dex_world_store(struct dex_world *w, const char *id, const char *text)
{
	struct buf key;
	buf_init(&key, BLOB_KEY_MAX);
	if (app_upload_key(&w->app, id, &key, NULL) < 0)
		die("key", id);
	struct blob_writer *bw =
		blob_begin(w->app.uploads, buf_str(&key), BLOB_RESUME, 0, NULL, 0, &w->err);
	if (!bw || blob_append(bw, text, strlen(text), &w->err) < 0 ||
		blob_commit(bw, NULL, &w->err) < 0)
		die("store", w->err.text);
	buf_free(&key);
}

void dex_world_complete(struct dex_world *w, const char *id)
{
	const char *targets[HOOKS_TARGETS_MAX];
	struct notify_batch b;
	struct upload u = {0};
	if (state_upload_get(w->app.state, id, &u, &w->err) != STATE_OK)
		die("get", id);
	struct upload_change c = {
		.id = id,
		.from = u.offset,
		.to = u.length,
		.length = UPLOAD_LENGTH_UNKNOWN,
		.now = clock_now(),
	};
	notify_batch_init(&b, &w->app.notify);
	size_t n = w->app.hooks->complete(&w->app, &u, c.now, targets, &b);
	struct outbox_list rows = notify_batch_rows(&b, c.now);
	if (state_upload_complete(w->app.state, &c, targets, n, &rows, &w->err) != STATE_OK)
		die("complete", w->err.text);
	notify_batch_send_local(&b);
	notify_batch_free(&b);
	upload_free(&u);
}

void dex_world_finished(struct dex_world *w, const char *route, const char *filename,
	const char *text, char id_out[UUID_SIZE])
{
	dex_world_upload(w, route, filename, (int64_t)strlen(text), id_out);
	dex_world_store(w, id_out, text);
	dex_world_complete(w, id_out);
}

char *dex_world_read(const struct dex_world *w, const char *fmt, ...)
{
	struct buf path, text;
	struct err err = {0};
	va_list ap;
	buf_init(&path, 4096);
	buf_init(&text, 65536);
	(void)buf_printf(&path, "%s/", w->dir);
	va_start(ap, fmt);
	(void)buf_vprintf(&path, fmt, ap);
	va_end(ap);
	char *out = fsio_read_file(buf_str(&path), &text, &err) == 0 ? buf_take(&text) : NULL;
	buf_free(&path);
	buf_free(&text);
	return out;
}

/* nftw gives its callback nothing to carry. */
static size_t files_found;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	files_found += type == FTW_F;
	return 0;
}

size_t dex_world_files(const struct dex_world *w, const char *path)
{
	char *full = scratch_path(w->dir, path);
	files_found = 0;
	(void)nftw(full, count_file, 16, FTW_PHYS);
	free(full);
	return files_found;
}

struct found {
	const char *target;
	struct delivery out;
	bool found;
};

static int find(void *arg, const struct delivery *d)
{
	struct found *f = arg;
	if (!str_eq(d->target, f->target))
		return 0;
	f->found = true;
	f->out = *d;
	f->out.target = mem_strdup(d->target);
	f->out.lease_owner = mem_strdup(d->lease_owner);
	f->out.location = mem_strdup(d->location);
	f->out.sha256 = mem_strdup(d->sha256);
	f->out.issues = mem_strdup(d->issues);
	return -1;
}

struct delivery dex_world_delivery(struct dex_world *w, const char *id, const char *target)
{
	struct found f = {.target = target};
	if (state_delivery_of_upload(w->app.state, id, find, &f, &w->err) < 0 || !f.found)
		die("delivery", target);
	return f.out;
}
