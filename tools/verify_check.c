/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verify_check.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/delivery_plan.h"
#include "core/dex/routing.h"
#include "core/net/uri.h"
#include "core/store/blob.h"
#include "core/store/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOCATION_MAX 8192
#define UPLOAD_STORAGE "upload storage"

struct copy { /* a delivery that is done */
	char *target;
	char *location;
	char *sha256; /* NULL: not recorded */
	int64_t ended_at;
};

struct check {
	struct app *app;
	const struct verify_watcher *w;
	struct verify_tally *tally;
	struct upload u;
	struct copy *copies;
	size_t ncopies;
	const char *recorded;         /* a sum of the upload, NULL: none */
	char first[BLOB_SHA256_SIZE]; /* without one: that of the first file that was read, or "" */
	char first_at[LOCATION_MAX];
	bool stopped;
};

static int keep_copy(void *arg, const struct delivery *d)
{
	struct check *c = arg;
	if (d->status != DELIVERY_DONE || !d->location)
		return 0;
	c->copies = mem_array(c->copies, c->ncopies + 1, sizeof(*c->copies));
	c->copies[c->ncopies++] = (struct copy){
		.target = mem_strdup(d->target),
		.location = mem_strdup(d->location),
		.sha256 = d->sha256 ? mem_strdup(d->sha256) : NULL,
		.ended_at = d->ended_at,
	};
	return 0;
}

static void forget(struct check *c)
{
	for (size_t i = 0; i < c->ncopies; i++) {
		free(c->copies[i].target);
		free(c->copies[i].location);
		free(c->copies[i].sha256);
	}
	free(c->copies);
	upload_free(&c->u);
}

/* --- has it changed since we looked? --- */

struct again {
	const struct copy *copy;
	bool same;
};

static int see_again(void *arg, const struct delivery *d)
{
	struct again *x = arg;
	if (str_eq(d->target, x->copy->target))
		x->same = d->status == DELIVERY_DONE && d->ended_at == x->copy->ended_at;
	return 0;
}

/* 1: what was checked is still what is recorded, 0: not, -1: the state store failed. */
static int still_so(struct check *c, const struct copy *copy, struct err *err)
{
	struct again x = {.copy = copy};
	struct upload now = {0};
	if (copy)
		return state_delivery_of_upload(c->app->state, c->u.id, see_again, &x, err) < 0
			       ? -1
			       : x.same;
	enum state_result r = state_upload_get(c->app->state, c->u.id, &now, err);
	x.same = r == STATE_OK && now.status == UPLOAD_COMPLETE;
	upload_free(&now);
	return r == STATE_ERROR ? -1 : x.same;
}

/* --- one file --- */

struct reading {
	struct check *check;
	uint64_t before; /* bytes that are in the tally */
};

static int on_progress(void *arg, uint64_t done)
{
	struct reading *r = arg;
	struct check *c = r->check;
	const struct delivery_progress *p = c->w->progress;
	c->tally->bytes += done - r->before;
	r->before = done;
	if (p->moved)
		p->moved(p->arg, (int64_t)done, c->u.length);
	c->stopped = p->stop && p->stop(p->arg);
	return c->stopped ? -1 : 0;
}

/* Against ${expected}, or what was read before. */
static enum verify_verdict compare(
	struct check *c, const char *expected, const char *location, const char *hex, char *text)
{
	if (expected && str_eq(hex, expected))
		return VERIFY_SAME;
	if (expected) {
		snprintf(text, ERR_TEXT_MAX, "SHA-256 is %s, expected %s", hex, expected);
		return VERIFY_DIFFERS;
	}
	if (c->first[0] && !str_eq(c->first, hex)) {
		snprintf(text, ERR_TEXT_MAX, "SHA-256 is %s, of %.100s it is %s", hex, c->first_at,
			c->first);
		return VERIFY_DIFFERS;
	}
	str_copy(c->first, sizeof(c->first), hex);
	str_copy(c->first_at, sizeof(c->first_at), location);
	return VERIFY_UNRECORDED;
}

static enum verify_verdict judge(struct check *c, struct blob_store *s, const char *key,
	const char *expected, const char *location, char *text)
{
	struct blob_stat st;
	struct err cause = {0};
	char hex[BLOB_SHA256_SIZE];
	int rc = blob_stat(s, key, &st, &cause);
	if (rc == 0 && st.size != (uint64_t)c->u.length) {
		snprintf(text, ERR_TEXT_MAX, "size is %" PRIu64 ", expected %" PRId64, st.size,
			c->u.length);
		return VERIFY_DIFFERS;
	}
	if (rc == 0) {
		struct reading r = {.check = c};
		const struct blob_progress progress = {.fn = on_progress, .arg = &r};
		const struct blob_source src = {.store = s, .key = key, .size = st.size};
		rc = blob_sha256(&src, &progress, hex, &cause);
	}
	if (rc == 0)
		return compare(c, expected, location, hex, text);
	str_copy(text, ERR_TEXT_MAX, cause.text);
	return cause.code == ERR_NOT_FOUND ? VERIFY_MISSING
	       : cause.code == ERR_CORRUPT ? VERIFY_DIFFERS
					   : VERIFY_UNREADABLE;
}

/* ${store} NULL: ${text} says why. ${copy} NULL: the data in upload storage. */
static int check_file(struct check *c, const struct copy *copy, struct blob_store *store,
	const char *key, const char *location, char *text, struct err *err)
{
	const struct delivery_progress *p = c->w->progress;
	const char *place = copy ? copy->target : UPLOAD_STORAGE;
	const char *expected = copy && copy->sha256 ? copy->sha256 : c->recorded;
	enum verify_verdict v = VERIFY_UNREADABLE;

	if (p->started)
		p->started(p->arg, c->u.id, place, c->u.length);
	if (store)
		v = judge(c, store, key, expected, location, text);
	if (p->ended)
		p->ended(p->arg, c->u.id, place, DELIVERY_STOPPED, location);
	if (c->stopped)
		return 1;
	if (v != VERIFY_SAME && v != VERIFY_UNRECORDED) {
		int so = still_so(c, copy, err);
		if (so <= 0)
			return so;
		struct verify_finding f = {.verdict = v,
			.upload_id = c->u.id,
			.place = place,
			.location = location,
			.text = text};
		c->w->found(c->w->arg, &f);
	}
	c->tally->files[v]++;
	return 0;
}

/* --- where it lies --- */

/* The name in ${s} of what lies at ${location}: the inverse of blob_location. */
static int key_at(const struct blob_store *s, const char *location, struct buf *key)
{
	struct buf text;
	int rc = -1;
	buf_init(&text, LOCATION_MAX);
	if (blob_location(s, "k", &text) == 0 && text.len > 1 &&
		strncmp(buf_str(&text), location, text.len - 1) == 0) {
		const char *rest = location + text.len - 1;
		/* In a URL a name is percent-encoded, in a path it is not. */
		rc = strstr(location, "://") ? uri_decode(key, rest, strlen(rest))
					     : buf_add_str(key, rest);
	}
	buf_reset(&text);
	if (rc == 0 &&
		(!blob_key_valid(buf_str(key)) || blob_location(s, buf_str(key), &text) < 0 ||
			!str_eq(buf_str(&text), location)))
		rc = -1;
	buf_free(&text);
	return rc;
}

static int check_copy(struct check *c, const struct copy *copy, struct err *err)
{
	const struct routing *r = c->app->routing;
	const struct routing_target *target = routing_find_target(r, copy->target);
	struct blob_store *store = NULL;
	struct err cause = {0};
	struct buf key;

	buf_init(&key, BLOB_KEY_MAX);
	if (!target)
		err_set(&cause, ERR_NOT_FOUND, __func__, "no target is called so any more");
	else
		store = app_target(c->app, (size_t)(target - r->targets), &cause);
	if (store && key_at(store, copy->location, &key) < 0) {
		store = NULL;
		err_set(&cause, ERR_NOT_FOUND, __func__, "the target now lies elsewhere");
	}
	int rc = check_file(c, copy, store, buf_str(&key), copy->location, cause.text, err);
	buf_free(&key);
	return rc;
}

static int check_data(struct check *c, struct err *err)
{
	struct err cause = {0};
	struct buf key, location;
	buf_init(&key, BLOB_KEY_MAX);
	buf_init(&location, LOCATION_MAX);
	(void)delivery_plan_source(c->app, c->u.id, &location);
	struct blob_store *store =
		app_upload_key(c->app, c->u.id, &key, &cause) == 0 ? c->app->uploads : NULL;
	int rc = check_file(c, NULL, store, buf_str(&key), buf_str(&location), cause.text, err);
	buf_free(&location);
	buf_free(&key);
	return rc;
}

int verify_check(struct app *a, const char *id, const struct verify_watcher *w,
	struct verify_tally *tally, struct err *err)
{
	struct check *c = mem_zalloc(sizeof(*c));
	*c = (struct check){.app = a, .w = w, .tally = tally};
	enum state_result r = state_upload_get(a->state, id, &c->u, err);
	int rc = r == STATE_ERROR ? -1 : 0;

	if (r != STATE_OK || c->u.status == UPLOAD_OPEN || c->u.kind == UPLOAD_PARTIAL)
		goto out;
	rc = state_delivery_of_upload(a->state, id, keep_copy, c, err);
	if (rc < 0)
		goto out;
	for (size_t i = 0; i < c->ncopies && !c->recorded; i++)
		c->recorded = c->copies[i].sha256;
	if (c->u.status == UPLOAD_COMPLETE)
		rc = check_data(c, err);
	for (size_t i = 0; rc == 0 && i < c->ncopies; i++)
		rc = check_copy(c, &c->copies[i], err);
	tally->uploads += rc == 0 && (c->u.status == UPLOAD_COMPLETE || c->ncopies > 0);
out:
	forget(c);
	free(c);
	return rc;
}
