/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/sweep.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/store/state.h"
#include "core/tus/hooks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256
#define STRAY_AGE_MS INT64_C(86400000)
#define STRAY_PAUSE_US (INT64_C(3600) * CLOCK_US_PER_S)
#define TOMBSTONE_LIFE_US (30 * INT64_C(86400) * CLOCK_US_PER_S)
/* The folders of uploads are looked through in turn, so that each hour's share stays small. */
#define FOLDERS 256
#define FOLDERS_AN_HOUR 16
#define FOLDER_KEY "sweep/folder"
#define STRAY_KEY "sweep/stray"

struct sweep {
	struct app *app;
	sweep_settle_fn *settle;
	bool (*stop)(void *arg);
	void *arg;
	int64_t now;
	int64_t cutoff; /* of the step that runs */
	struct sweep_result *out;
};

static bool stopped(const struct sweep *s)
{
	return s->stop && s->stop(s->arg);
}

/* Remove the data of a tombstone. 0 also when storage fails: a later pass finds it again. */
static int remove_data(struct sweep *s, const struct upload *u, struct err *err)
{
	struct err cause = {0};
	struct buf key;
	buf_init(&key, BLOB_KEY_MAX);
	int rc = app_upload_key(s->app, u->id, &key, &cause);
	if (rc == 0)
		rc = blob_del(s->app->uploads, buf_str(&key), u->token, &cause);
	if (rc == 0)
		rc = app_forget_info(s->app, buf_str(&key), &cause);
	buf_free(&key);
	if (rc < 0) {
		LOG(LOG_LEVEL_ERROR, "data of an ended upload cannot be removed",
			log_str("upload_id", u->id), log_err(&cause));
		return 0;
	}
	if (state_upload_removed(s->app->state, u->id, err) < 0)
		return -1;
	s->out->removed++;
	return 1;
}

/* Bytes in storage reach the declared length, which the state does not know of. */
static bool has_all_bytes(struct sweep *s, const struct upload *u)
{
	struct blob_stat st;
	struct err err = {0};
	struct buf key;
	if (u->status != UPLOAD_OPEN || u->length < 0)
		return false;
	buf_init(&key, BLOB_KEY_MAX);
	bool all = app_upload_key(s->app, u->id, &key, &err) == 0 &&
		   blob_stat(s->app->uploads, buf_str(&key), &st, &err) == 0 &&
		   st.size >= (uint64_t)u->length;
	buf_free(&key);
	return all;
}

/* Make a tombstone of ${u}, and remove its data. 1: done, 0: it is not as we thought, -1: state. */
static int end_upload(
	struct sweep *s, const struct upload *u, enum upload_status status, struct err *err)
{
	struct notify_batch b;
	notify_batch_init(&b, &s->app->notify);
	if (status == UPLOAD_EXPIRED && u->kind != UPLOAD_PARTIAL)
		s->app->hooks->ended(
			s->app, u, "The upload expired before it was complete", s->now, &b);
	struct outbox_list rows = notify_batch_rows(&b, s->now);
	enum state_result res =
		state_upload_end(s->app->state, u->id, status, s->cutoff, s->now, &rows, err);
	if (res == STATE_OK)
		notify_batch_send_local(&b);
	notify_batch_free(&b);
	if (res != STATE_OK)
		return res == STATE_ERROR ? -1 : 0;
	LOG(LOG_LEVEL_INFO, status == UPLOAD_EXPIRED ? "upload expired" : "upload retired",
		log_str("upload_id", u->id));
	return remove_data(s, u, err) < 0 ? -1 : 1;
}

/* What a step does with one upload, whose lock we hold. 1: done, 0: left as it is, -1: state. */
typedef int step_fn(struct sweep *s, const struct upload *u, struct err *err);

static int expire(struct sweep *s, const struct upload *u, struct err *err)
{
	bool ends = u->status == UPLOAD_OPEN ||
		    (u->status == UPLOAD_COMPLETE && u->kind == UPLOAD_PARTIAL);
	if (!ends || u->touched_at > s->cutoff)
		return 0;
	int rc = end_upload(s, u, UPLOAD_EXPIRED, err);
	s->out->expired += rc > 0;
	return rc;
}

static int retire(struct sweep *s, const struct upload *u, struct err *err)
{
	int rc = end_upload(s, u, UPLOAD_RETIRED, err);
	s->out->retired += rc > 0;
	return rc;
}

/* Left by a process that died, or by a storage that failed, between tombstone and removal. */
static int remove_rest(struct sweep *s, const struct upload *u, struct err *err)
{
	if (u->status == UPLOAD_OPEN || u->status == UPLOAD_COMPLETE)
		return 0;
	return remove_data(s, u, err);
}

/* Take the lock of ${id} if nobody has it, read the upload, and do ${step}. */
static int with_upload(struct sweep *s, const char *id, step_fn *step, struct err *err)
{
	struct lock *lock = NULL;
	struct upload u = {0};
	struct err cause = {0};
	int rc = 0;
	switch (lock_acquire(s->app->locks, id, 0, NULL, &lock, &cause)) {
	case LOCK_OK:
		break;
	case LOCK_ERROR:
		LOG(LOG_LEVEL_ERROR, "upload cannot be locked", log_str("upload_id", id),
			log_err(&cause));
		return 0;
	default:
		return 0;
	}
	enum state_result res = state_upload_get(s->app->state, id, &u, err);
	if (res == STATE_ERROR)
		rc = -1;
	else if (res == STATE_OK)
		rc = step(s, &u, err);
	upload_free(&u);
	lock_release(lock);
	return rc;
}

/* Complete an upload that only lacks the last transaction. 0, or -1 when the state store fails. */
static int settle_if_whole(struct sweep *s, const char *id, struct err *err)
{
	struct upload u = {0};
	struct err cause = {0};
	enum state_result res = state_upload_get(s->app->state, id, &u, err);
	if (res == STATE_OK && s->settle && has_all_bytes(s, &u) &&
		s->settle(s->app, id, &cause) < 0)
		LOG(LOG_LEVEL_WARN, "upload could not be settled", log_str("upload_id", id),
			log_err(&cause));
	upload_free(&u);
	return res == STATE_ERROR ? -1 : 0;
}

static int expire_one(struct sweep *s, const char *id, struct err *err)
{
	if (settle_if_whole(s, id, err) < 0)
		return -1;
	return with_upload(s, id, expire, err);
}

static int retire_one(struct sweep *s, const char *id, struct err *err)
{
	return with_upload(s, id, retire, err);
}

static int remove_one(struct sweep *s, const char *id, struct err *err)
{
	return with_upload(s, id, remove_rest, err);
}

static int scan_removable(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	(void)cutoff;
	return state_upload_scan_removable(s, ids, max, err);
}

/* Do ${one} with everything that ${scan} finds, in batches while they make headway. */
static int each(struct sweep *s,
	int (*scan)(struct state *, int64_t, char (*)[UUID_SIZE], int, struct err *),
	int64_t cutoff, int (*one)(struct sweep *, const char *, struct err *), struct err *err)
{
	char(*ids)[UUID_SIZE] = mem_array(NULL, BATCH, sizeof(*ids));
	int rc = 0;
	bool more = true;
	s->cutoff = cutoff;
	while (rc == 0 && more && !stopped(s)) {
		int n = scan(s->app->state, cutoff, ids, BATCH, err);
		int done = 0;
		rc = n < 0 ? -1 : 0;
		for (int i = 0; rc == 0 && i < n && !stopped(s); i++) {
			int did = one(s, ids[i], err);
			rc = did < 0 ? -1 : 0;
			done += did > 0;
		}
		more = n == BATCH && done > 0;
	}
	free(ids);
	return rc;
}

/*
 * Whether a part of an unfinished upload, left in storage, is one its state knows of. A tombstone's
 * go with its data.
 */
static int part_in_use(void *arg, const char *key, const char *part)
{
	const struct sweep *s = arg;
	const char *slash = strrchr(key, '/');
	const char *id = slash ? slash + 1 : key;
	struct upload u = {0};
	struct err err = {0};
	if (!str_is_uuid(id))
		return -1;
	enum state_result res = state_upload_get(s->app->state, id, &u, &err);
	int in_use = res == STATE_OK && u.token && strstr(u.token, part) != NULL;
	if (res == STATE_ERROR)
		LOG(LOG_LEVEL_WARN, "part in storage cannot be looked up", log_str("upload_id", id),
			log_err(&err));
	upload_free(&u);
	return res == STATE_ERROR ? -1 : in_use;
}

static void sweep_store(struct sweep *s, struct blob_store *store, blob_in_use_fn *in_use)
{
	struct err err = {0};
	uint64_t removed = 0;
	if (blob_sweep(store, STRAY_AGE_MS, in_use, s, &removed, &err) < 0)
		LOG(LOG_LEVEL_WARN, "stray files cannot be removed",
			log_str("store", blob_name(store)), log_err(&err));
	s->out->stray += (size_t)removed;
}

struct orphans {
	struct sweep *s;
	size_t n;
	char first[UUID_SIZE];
	struct err *err;
	int rc;
};

static int look_at_key(void *arg, const char *key, const struct blob_stat *st)
{
	struct orphans *o = arg;
	const char *slash = strrchr(key, '/');
	const char *id = slash ? slash + 1 : key;
	struct upload u = {0};
	if (!str_is_uuid(id) || st->mtime > o->s->now - STRAY_AGE_MS * CLOCK_US_PER_MS)
		return 0;
	enum state_result res = state_upload_get(o->s->app->state, id, &u, o->err);
	upload_free(&u);
	if (res == STATE_NOT_FOUND && o->n++ == 0)
		str_copy(o->first, sizeof(o->first), id);
	if (res == STATE_ERROR)
		o->rc = -1;
	return res == STATE_ERROR || stopped(o->s) ? -1 : 0;
}

/* Where the next hour's share of the folders begins. */
static unsigned next_folders(struct sweep *s, struct err *err)
{
	struct buf text;
	uint64_t first = 0;
	char next[8];
	buf_init(&text, 8);
	if (state_kv_get(s->app->state, FOLDER_KEY, s->now, &text, err) != STATE_OK ||
		str_to_u64(buf_str(&text), FOLDERS - 1, &first) < 0)
		first = 0;
	buf_free(&text);
	int len = snprintf(next, sizeof(next), "%u", ((unsigned)first + FOLDERS_AN_HOUR) % FOLDERS);
	/* Where this fails the same share is looked at again. */
	if (state_kv_set(s->app->state, FOLDER_KEY, next, (size_t)len, 0, err) < 0)
		LOG(LOG_LEVEL_WARN, "place in storage not kept", log_err(err));
	return (unsigned)first;
}

/*
 * Data whose upload the state does not know. An upload is known before its first byte is stored, so
 * this means that the state was lost or is an older copy: then those files are all there is left,
 * and a person has to decide. They are told of, never removed.
 */
static int tell_orphans(struct sweep *s, struct err *err)
{
	struct orphans o = {.s = s, .err = err};
	struct err cause = {0};
	struct buf key;
	unsigned first = next_folders(s, &cause);
	buf_init(&key, BLOB_KEY_MAX);
	for (unsigned i = 0; i < FOLDERS_AN_HOUR && o.rc == 0 && !stopped(s); i++) {
		char id[UUID_SIZE];
		snprintf(id, sizeof(id), "%02x000000-0000-4000-8000-000000000000",
			(first + i) % FOLDERS);
		buf_reset(&key);
		if (app_upload_key(s->app, id, &key, &cause) < 0)
			break;
		char *slash = strrchr(key.data, '/');
		if (!slash)
			break;
		*slash = '\0';
		if (blob_list(s->app->uploads, key.data, look_at_key, &o, &cause) < 0) {
			LOG(LOG_LEVEL_WARN, "upload storage cannot be listed", log_err(&cause));
			break;
		}
	}
	if (o.n > 0)
		LOG(LOG_LEVEL_ERROR,
			"data in storage belong to no known upload; was the state lost?",
			log_int("uploads", (int64_t)o.n), log_str("first", o.first));
	buf_free(&key);
	return o.rc;
}

/* At most once an hour, whoever of all processes comes first. */
static int sweep_strays(struct sweep *s, struct err *err)
{
	switch (state_kv_add(
		s->app->state, STRAY_KEY, "1", 1, s->now, s->now + STRAY_PAUSE_US, err)) {
	case STATE_OK:
		break;
	case STATE_ERROR:
		return -1;
	default:
		return 0;
	}
	sweep_store(s, s->app->uploads, part_in_use);
	for (size_t i = 0; s->app->routing && i < s->app->routing->ntargets && !stopped(s); i++) {
		/* Those that were delivered to; nobody else leaves anything behind. */
		pthread_mutex_lock(&s->app->target_mutex);
		struct blob_store *target = s->app->targets[i];
		pthread_mutex_unlock(&s->app->target_mutex);
		if (target)
			sweep_store(s, target, NULL);
	}
	return tell_orphans(s, err);
}

static int purge(struct sweep *s, struct err *err)
{
	int n = BATCH;
	while (n == BATCH && !stopped(s)) {
		if (state_upload_purge(s->app->state, s->now - TOMBSTONE_LIFE_US, BATCH, &n, err) <
			0)
			return -1;
		s->out->purged += (size_t)n;
	}
	return 0;
}

int sweep_run(struct app *a, sweep_settle_fn *settle, bool (*stop)(void *arg), void *arg,
	struct sweep_result *out, struct err *err)
{
	const struct config *c = a->config;
	struct sweep s = {
		.app = a,
		.settle = settle,
		.stop = stop,
		.arg = arg,
		.now = clock_now(),
		.out = out,
	};
	*out = (struct sweep_result){0};
	if (c->upload_expiry_ms > 0 &&
		each(&s, state_upload_scan_stale, s.now - c->upload_expiry_ms * CLOCK_US_PER_MS,
			expire_one, err) < 0)
		return -1;
	if (c->retention_ms > 0 &&
		each(&s, state_upload_scan_delivered, s.now - c->retention_ms * CLOCK_US_PER_MS,
			retire_one, err) < 0)
		return -1;
	if (each(&s, scan_removable, 0, remove_one, err) < 0 || sweep_strays(&s, err) < 0)
		return -1;
	return purge(&s, err);
}
