/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/delivery_copy.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/delivery.h"
#include "core/dex/delivery_lease.h"
#include "core/dex/delivery_plan.h"
#include "core/dex/path_template.h"
#include "core/store/blob.h"
#include "core/store/state.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20)
#define REMOTE_PIECE ((size_t)8 << 20) /* each one is a request */
/* Longer than any row of retries, and long enough for most deliveries that a person queues again.
 */
#define NOTE_LIFE_US (30 * INT64_C(86400) * CLOCK_US_PER_S)

/* Where this delivery's name is noted. */
static int note_key(const struct delivery_copy *c, struct buf *out)
{
	return buf_printf(out, "delivery/%s/%s", c->upload->id, c->delivery->target);
}

/* The name an earlier run was about to make, "" when there was none. */
static int read_note(const struct delivery_copy *c, struct buf *out, struct err *err)
{
	struct buf key;
	buf_init(&key, 2048);
	int rc = note_key(c, &key);
	if (rc == 0 &&
		state_kv_get(c->app->state, buf_str(&key), clock_now(), out, err) == STATE_ERROR)
		rc = -1;
	buf_free(&key);
	return rc;
}

static int write_note(const struct delivery_copy *c, const char *name, struct err *err)
{
	struct buf key;
	buf_init(&key, 2048);
	int rc = note_key(c, &key);
	if (rc == 0)
		rc = state_kv_set(c->app->state, buf_str(&key), name, strlen(name),
			clock_now() + NOTE_LIFE_US, err);
	buf_free(&key);
	return rc;
}

static bool must_end(struct delivery_copy *c)
{
	const struct delivery_progress *p = c->progress;
	if (p && p->stop && p->stop(p->arg))
		c->stopped = true;
	return c->stopped || delivery_lease_lost(c->lease);
}

static int on_progress(void *arg, uint64_t done)
{
	struct delivery_copy *c = arg;
	if (c->progress && c->progress->moved)
		c->progress->moved(c->progress->arg, (int64_t)done, c->upload->length);
	return must_end(c) ? -1 : 0;
}

static enum delivery_copy_result why_failed(const struct delivery_copy *c)
{
	if (delivery_lease_lost(c->lease))
		return DELIVERY_COPY_LOST;
	return c->stopped ? DELIVERY_COPY_STOPPED : DELIVERY_COPY_FAILED;
}

/* 1: ${key} in the target has the upload's bytes, 0: others, -1: ${err}. */
static int compare(
	struct delivery_copy *c, const struct blob_source *src, const char *key, struct err *err)
{
	bool remote = blob_can(src->store, BLOB_CAP_REMOTE) || blob_can(c->target, BLOB_CAP_REMOTE);
	size_t piece = remote ? REMOTE_PIECE : PIECE;
	unsigned char *ours = mem_alloc(piece);
	unsigned char *theirs = mem_alloc(piece);
	int rc = 1;
	for (uint64_t at = 0; rc == 1 && at < src->size;) {
		size_t want = src->size - at < piece ? (size_t)(src->size - at) : piece;
		ssize_t a = blob_read(src->store, src->key, at, ours, want, err);
		ssize_t b = a < 0 ? -1 : blob_read(c->target, key, at, theirs, want, err);
		if (a < 0 || b < 0)
			rc = -1;
		else if ((size_t)a < want)
			rc = err_set(err, ERR_CORRUPT, __func__,
				"the upload has fewer than %llu bytes",
				(unsigned long long)src->size);
		else if (must_end(c))
			rc = err_set(err, ERR_INTERRUPTED, __func__, "the comparison was stopped");
		else if (a != b || memcmp(ours, theirs, want) != 0)
			rc = 0;
		at += want;
	}
	free(ours);
	free(theirs);
	return rc;
}

enum look {
	LOOK_FREE,  /* nothing has that name */
	LOOK_OURS,  /* this very delivery made it */
	LOOK_OTHER, /* another's file */
	LOOK_FAILED = -1,
};

/* ${noted}: this delivery may have made ${key} in an earlier run. */
static enum look look_at(struct delivery_copy *c, const struct blob_source *src, const char *key,
	bool noted, struct err *err)
{
	struct blob_stat st;
	if (blob_stat(c->target, key, &st, err) < 0)
		return err->code == ERR_NOT_FOUND ? LOOK_FREE : LOOK_FAILED;
	if (!noted || st.size != src->size)
		return LOOK_OTHER;
	int same = compare(c, src, key, err);
	if (same < 0)
		return LOOK_FAILED;
	return same ? LOOK_OURS : LOOK_OTHER;
}

/* The manifest's pairs as object metadata. */
static int copy_to(
	struct delivery_copy *c, const struct blob_source *src, const char *key, struct err *err)
{
	size_t n = json_object_size(c->plan->manifest);
	const char **keys = mem_array(NULL, n + 1, sizeof(*keys));
	const char **values = mem_array(NULL, n + 1, sizeof(*values));
	struct blob_meta meta = {.keys = keys, .values = values, .left_out = &c->left_out};
	const char *name;
	json_t *value;
	json_object_foreach (c->plan->manifest, name, value) {
		if (!json_is_string(value))
			continue;
		keys[meta.n] = name;
		values[meta.n++] = json_string_value(value);
	}
	struct blob_progress progress = {.fn = on_progress, .arg = c};
	int rc = blob_copy_from(c->target, key, src, 1, &meta, &progress, c->sha256, err);
	free(keys);
	free(values);
	return rc;
}

static int on_reading(void *arg, uint64_t done)
{
	(void)done;
	return must_end(arg) ? -1 : 0;
}

/*
 * The sum of what now lies in the target, where nobody had to read it on the way. Not of uploads in
 * a service, which would have to send all of it. Without a sum it is delivered all the same.
 */
static void add_sum(struct delivery_copy *c, const struct blob_source *src)
{
	const struct blob_progress progress = {.fn = on_reading, .arg = c};
	struct err err = {0};
	if (c->sha256[0] || !c->app->config->delivery_checksum ||
		blob_can(src->store, BLOB_CAP_REMOTE))
		return;
	if (blob_sha256(src, &progress, c->sha256, &err) < 0)
		LOG(LOG_LEVEL_WARN, "the SHA-256 of a delivery is not recorded",
			log_str("upload_id", c->upload->id), log_str("target", c->delivery->target),
			log_err(&err));
}

enum attempt {
	ATTEMPT_DONE,
	ATTEMPT_TAKEN, /* the name is another's */
	ATTEMPT_ENDED, /* ${result} tells */
};

/* Try to deliver under the name in c->key. ${note}: what is noted so far; brought up to date. */
static enum attempt try_name(struct delivery_copy *c, const struct blob_source *src, bool noted,
	struct buf *note, enum delivery_copy_result *result, struct err *err)
{
	const char *key = buf_str(&c->key);
	enum look look = look_at(c, src, key, noted, err);
	if (look == LOOK_FREE) {
		/* A name with the upload's own id needs no note, unless an older one would mislead.
		 */
		if ((note->len > 0 || !strstr(key, c->upload->id)) && !str_eq(buf_str(note), key)) {
			buf_reset(note);
			*result = DELIVERY_COPY_ERROR;
			if (write_note(c, key, err) < 0)
				return ATTEMPT_ENDED;
			(void)buf_add_str(note, key);
		}
		*result = DELIVERY_COPY_STOPPED;
		if (must_end(c))
			goto ended;
		c->moved = copy_to(c, src, key, err) == 0;
		if (c->moved)
			return ATTEMPT_DONE;
		if (err->code != ERR_EXISTS)
			goto ended;
		/* Somebody was faster: another upload, or whoever took our lease over. */
		int kept = delivery_lease_check(c->lease, err);
		*result = kept < 0 ? DELIVERY_COPY_ERROR : DELIVERY_COPY_LOST;
		if (kept <= 0)
			return ATTEMPT_ENDED;
		look = look_at(c, src, key, noted, err);
		if (look == LOOK_FREE)
			look = LOOK_OTHER;
	}
	if (look == LOOK_OURS)
		return ATTEMPT_DONE;
	if (look == LOOK_OTHER)
		return ATTEMPT_TAKEN;
ended:
	*result = why_failed(c);
	return ATTEMPT_ENDED;
}

enum delivery_copy_result delivery_copy_run(struct delivery_copy *c, struct err *err)
{
	const char *plain = buf_str(&c->plan->key);
	struct buf note, earlier, source;
	enum delivery_copy_result result = DELIVERY_COPY_ERROR;
	buf_init(&note, BLOB_KEY_MAX);
	buf_init(&earlier, BLOB_KEY_MAX);
	buf_init(&source, BLOB_KEY_MAX);
	if (read_note(c, &note, err) < 0)
		goto out;
	(void)buf_add_str(&earlier, buf_str(&note));
	result = DELIVERY_COPY_FAILED;
	if (app_upload_key(c->app, c->upload->id, &source, err) < 0)
		goto out;
	struct blob_source src = {
		.store = c->app->uploads,
		.key = buf_str(&source),
		.size = (uint64_t)c->upload->length,
	};
	for (int i = 0; i < 2; i++) {
		buf_reset(&c->key);
		int rc = i == 0 ? buf_add_str(&c->key, plain)
				: path_template_with_id(plain, c->upload->id, &c->key);
		if (rc < 0) {
			err_set(err, ERR_INVALID, __func__, "the path of the delivery is too long");
			goto out;
		}
		const char *key = buf_str(&c->key);
		bool noted = strstr(key, c->upload->id) || str_eq(buf_str(&earlier), key);
		enum attempt a = try_name(c, &src, noted, &note, &result, err);
		if (a == ATTEMPT_DONE) {
			add_sum(c, &src);
			result = DELIVERY_COPY_DONE;
		}
		if (a != ATTEMPT_TAKEN)
			goto out;
	}
	result = DELIVERY_COPY_FAILED;
	err_set(err, ERR_EXISTS, __func__,
		"other files have both the name %s and the one with the upload id", plain);
out:
	buf_free(&note);
	buf_free(&earlier);
	buf_free(&source);
	return result;
}
