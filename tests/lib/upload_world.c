/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/upload_world.h"

#include "backends/registry.h"
#include "core/base/mem.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/tus/gather.h"
#include "core/tus/hooks.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The hooks are told the app, which is part of the world. */
static struct upload_world *world_of(struct app *a)
{
	return (struct upload_world *)((char *)a - offsetof(struct upload_world, app));
}

static int hook_check(struct app *a, const json_t *metadata, struct upload *u,
	struct notify_batch *b, json_t **rejection, struct err *err)
{
	(void)a, (void)b;
	if (json_object_get(metadata, "bad")) {
		*rejection = json_object();
		return err_set(err, ERR_INVALID, __func__, "bad");
	}
	u->manifest = mem_strdup("{}");
	return 0;
}

static void hook_progress(struct app *a, const struct upload *u, struct notify_batch *b)
{
	(void)u, (void)b;
	world_of(a)->progresses++;
}

static size_t hook_complete(struct app *a, const struct upload *u, int64_t now,
	const char **targets, struct notify_batch *b)
{
	(void)u, (void)now, (void)b;
	world_of(a)->completions++;
	targets[0] = "edav";
	return 1;
}

static void hook_ended(
	struct app *a, const struct upload *u, const char *why, int64_t now, struct notify_batch *b)
{
	(void)a, (void)u, (void)why, (void)now, (void)b;
}

static const struct upload_hooks hooks = {hook_check, hook_progress, hook_complete, hook_ended};

static void open_files(struct upload_world *w, struct err *err)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/state.db", w->dir);
	w->app.state = state_open(registry_find_state("sqlite"), path, false, err);
	snprintf(path, sizeof(path), "%s/locks", w->dir);
	w->app.locks = lock_open(registry_find_lock("file"), path, err);
}

static void open_redis(struct upload_world *w, struct err *err)
{
	char uri[64];

	redis_server_start(&w->redis, NULL);
	w->proxy = lossy_proxy_start(w->redis.port);
	snprintf(uri, sizeof(uri), "redis://127.0.0.1:%u?timeout=20s", lossy_proxy_port(w->proxy));
	w->app.state = state_open(registry_find_state("redis"), uri, false, err);
	w->app.locks = lock_open(registry_find_lock("redis"), uri, err);
}

static int set_up(void **state, const struct blob_backend *backend,
	void (*open)(struct upload_world *w, struct err *err))
{
	struct upload_world *w = mem_zalloc(sizeof(*w));
	struct err err = {0};
	char path[512];

	w->dir = scratch_make();
	w->config = (struct config){
		.durability = "patch",
		.upload_prefix = "tus-prefix",
		.lock_wait_ms = 5000,
		.body_timeout_ms = 5000,
		.upload_expiry_ms = 86400000,
	};
	w->app.config = &w->config;
	w->app.hooks = &hooks;
	w->app.gather = gather_pool_new();
	snprintf(path, sizeof(path), "%s/data", w->dir);
	const struct blob_option opts[] = {{"path", path}};
	bool files = backend == registry_find_blob("file");
	w->app.uploads = blob_fault_open(
		blob_open(backend, "uploads", files ? opts : NULL, files ? 1 : 0, true, &err));
	open(w, &err);
	if (!w->app.uploads || !w->app.state || !w->app.locks) {
		print_error("%s\n", err.text);
		return -1;
	}
	*state = w;
	return 0;
}

int upload_world_setup(void **state)
{
	return set_up(state, registry_find_blob("file"), open_files);
}

int upload_world_setup_by_sync(void **state)
{
	return set_up(state, &blob_memory_by_sync_backend, open_files);
}

int upload_world_setup_redis(void **state)
{
	return set_up(state, registry_find_blob("file"), open_redis);
}

int upload_world_teardown(void **state)
{
	struct upload_world *w = *state;

	lock_close(w->app.locks);
	state_close(w->app.state);
	blob_close(w->app.uploads);
	gather_pool_free(w->app.gather);
	if (w->proxy)
		lossy_proxy_stop(w->proxy);
	redis_server_remove(&w->redis);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

/* --- a body from a script of steps --- */

struct script {
	const struct step *steps;
	size_t n, at;
};

static enum body_result script_next(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	struct script *s = arg;

	(void)wake_fd;
	if (s->at == s->n)
		return BODY_END;
	if (s->steps[s->at].result == BODY_WAIT && timeout_ms > 0)
		s->at++; /* the sender goes on after a pause */
	if (s->at == s->n)
		return BODY_END;
	const struct step *step = &s->steps[s->at];
	if (step->result == BODY_WAIT)
		return BODY_WAIT;
	s->at++;
	*data = step->text;
	*len = step->text ? strlen(step->text) : 0;
	return step->result;
}

void upload_world_create(
	struct upload_world *w, enum headers_concat_kind kind, int64_t length, char id[UUID_SIZE])
{
	struct headers_concat concat = {.kind = kind};
	json_t *metadata = json_object();
	struct upload_request r = {.length = length,
		.metadata = metadata,
		.concat_header = kind == CONCAT_PARTIAL ? "partial" : NULL,
		.concat = &concat};
	struct upload_rejection rejection;
	struct upload up;
	struct err err = {0};

	assert_int_equal(upload_create(&w->app, &r, &up, &rejection, &err), 0);
	memcpy(id, up.id, UUID_SIZE);
	upload_free(&up);
	json_decref(metadata);
}

enum err_code upload_world_receive(
	struct upload_world *w, struct upload_hold *hold, const struct patch *p)
{
	struct script script = {p->steps, p->n, 0};
	struct body_source body = {script_next, &script, p->declared};
	struct headers_checksum sum;
	struct err err = {0};
	bool mismatch;

	if (p->checksum)
		assert_int_equal(headers_checksum(p->checksum, &sum, &err), 0);
	struct upload_chunk c = {p->offset, p->length, p->checksum ? &sum : NULL, &body};
	int rc = upload_receive(&w->app, hold, &c, &mismatch, &err);
	return rc == 0 ? ERR_NONE : err.code;
}

enum err_code upload_world_patch(
	struct upload_world *w, const char *id, const struct patch *p, int64_t *offset)
{
	struct upload_hold hold;
	struct err err = {0};

	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	enum err_code code = upload_world_receive(w, &hold, p);
	*offset = hold.up.offset;
	upload_let_go(&hold);
	return code;
}

void upload_world_assert_stored(struct upload_world *w, const char *id, const char *text)
{
	char got[256], key[128];
	struct err err = {0};

	snprintf(key, sizeof(key), "tus-prefix/%.2s/%s", id, id);
	ssize_t n = blob_read(w->app.uploads, key, 0, got, sizeof(got) - 1, &err);
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, text);
}

void upload_world_leave_surplus(
	struct upload_world *w, const char *id, uint64_t at, const char *text)
{
	char key[128];
	struct err err = {0};

	snprintf(key, sizeof(key), "tus-prefix/%.2s/%s", id, id);
	struct blob_writer *b = blob_begin(w->app.uploads, key, BLOB_RESUME, at, "", 0, &err);
	assert_non_null(b);
	assert_int_equal(blob_append(b, text, strlen(text), &err), 0);
	blob_end(b);
}

int64_t upload_world_offset(struct upload_world *w, const char *id, enum upload_status *status)
{
	struct upload_hold hold;
	struct err err = {0};

	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	int64_t offset = hold.up.offset;
	if (status)
		*status = hold.up.status;
	upload_let_go(&hold);
	return offset;
}
