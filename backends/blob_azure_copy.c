/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy Blob (https://learn.microsoft.com/rest/api/storageservices/copy-blob): one blob to another
 * one of the same account. The service may do it after its answer; it is asked until it is done.
 */
#include "backends/blob_azure_meta.h"
#include "backends/blob_azure_store.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"

#include <stdlib.h>
#include <string.h>

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000
#define ID_MAX 128
#define SOURCE_US (24 * 3600 * CLOCK_US_PER_S) /* so long the service may read the source */
#define URL_MAX ((size_t)32 << 10)
#define PROGRESS_STEP ((uint64_t)64 << 20)

enum copying { COPY_DONE, COPY_PENDING, COPY_FAILED };

struct copy {
	struct blob_azure_store *s;
	const char *key;
	const struct blob_source *src;
	const struct blob_progress *progress;
	uint64_t told; /* bytes at the last call of progress */
	char id[ID_MAX];
};

static enum copying status_of(const struct blob_azure_call *c)
{
	const char *status = net_headers_get(&c->a.headers, "x-ms-copy-status");
	if (str_eq(status, "success"))
		return COPY_DONE;
	return str_eq(status, "pending") ? COPY_PENDING : COPY_FAILED;
}

/* End a copy that is on its way and take away what it has made. */
static void give_up(const struct copy *c)
{
	struct blob_azure_call call;
	struct buf query;
	struct err ignored;

	buf_init(&query, 4 * (size_t)ID_MAX);
	buf_add_str(&query, "comp=copy&copyid=");
	uri_encode(&query, c->id);
	blob_azure_call_init(&call, c->s, "PUT", c->key, buf_str(&query));
	buf_free(&query);
	net_headers_set(&call.r.headers, "x-ms-copy-action", "abort");
	/* The caller has the error that matters; the next try finds what could not be removed. */
	(void)blob_azure_call_send(&call, &ignored);
	blob_azure_call_free(&call);
	(void)c->s->base.backend->del(&c->s->base, c->key, NULL, &ignored);
}

/* "DONE/TOTAL" of a copy on its way. */
static int tell(struct copy *c, const struct blob_azure_call *call, struct err *err)
{
	const char *text = net_headers_get(&call->a.headers, "x-ms-copy-progress");
	uint64_t done;

	if (!c->progress || !text || str_to_u64_n(text, strcspn(text, "/"), INT64_MAX, &done) < 0)
		done = c->told;
	if (!c->progress)
		return 0;
	/* Asked also where nothing moves: it tells whether to go on. */
	if (done < c->told + PROGRESS_STEP)
		done = c->told;
	c->told = done;
	if (c->progress->fn(c->progress->arg, done) < 0)
		return err_set(err, ERR_INTERRUPTED, __func__, "the copy was stopped");
	return 0;
}

/* Ask how far it is. 1: on its way, 0: done, -1: error. */
static int look(struct copy *c, struct err *err)
{
	struct blob_azure_call call;
	int rc = -1;

	blob_azure_call_init(&call, c->s, "HEAD", c->key, NULL);
	if (blob_azure_call_send(&call, err) < 0)
		goto out;
	if (!blob_azure_call_ok(&call)) {
		blob_azure_call_fail(&call, "look at the copy", err);
		goto out;
	}
	switch (status_of(&call)) {
	case COPY_DONE:
		rc = 0;
		break;
	case COPY_PENDING:
		rc = tell(c, &call, err) < 0 ? -1 : 1;
		break;
	case COPY_FAILED:
		err_set(err, ERR_UNAVAILABLE, __func__, "the service did not copy %s", c->key);
		break;
	}
out:
	blob_azure_call_free(&call);
	return rc;
}

static int wait_for(struct copy *c, struct err *err)
{
	int64_t pause = PAUSE_MIN_MS;
	int rc = 1;

	while (rc == 1) {
		clock_sleep_ms(pause);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
		rc = look(c, err);
	}
	if (rc < 0)
		give_up(c);
	return rc;
}

/* ${told} is ${source}; the query, a signature, may be told or not. */
static bool is_source(const char *told, const char *source)
{
	size_t len = strcspn(source, "?");

	return told && strncmp(told, source, len) == 0 && (told[len] == '?' || told[len] == '\0');
}

/*
 * 1: the blob that is there was just copied from our source: an answer was lost on the way. 0: it
 * was not. -1: that cannot be told now.
 */
static int is_ours(
	struct copy *c, const struct blob_azure_call *begun, const char *source, struct err *err)
{
	struct blob_azure_call call;
	int ours = -1;

	blob_azure_call_init(&call, c->s, "HEAD", c->key, NULL);
	if (blob_azure_call_send(&call, err) == 0) {
		const char *id = net_headers_get(&call.a.headers, "x-ms-copy-id");
		const char *from = net_headers_get(&call.a.headers, "x-ms-copy-source");
		if (blob_azure_call_missing(&call))
			ours = 0;
		else if (!blob_azure_call_ok(&call))
			blob_azure_call_fail(&call, "look at", err);
		else
			ours = is_source(from, source) && status_of(&call) != COPY_FAILED &&
			       blob_azure_call_since(begun, &call) && id &&
			       str_copy(c->id, sizeof(c->id), id);
	}
	blob_azure_call_free(&call);
	if (ours < 0)
		err->code = ERR_UNAVAILABLE;
	return ours;
}

static int started(struct copy *c, const struct blob_azure_call *call, struct err *err)
{
	const char *id = net_headers_get(&call->a.headers, "x-ms-copy-id");

	if (status_of(call) == COPY_DONE)
		return 0;
	if (status_of(call) == COPY_FAILED || !id || !str_copy(c->id, sizeof(c->id), id))
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"copy %s: an answer that makes no sense", c->key);
	return wait_for(c, err);
}

int blob_azure_copy_from(struct blob_store *base, const char *key, const struct blob_source *src,
	size_t n, const struct blob_meta *meta, const struct blob_progress *progress,
	struct err *err)
{
	struct blob_azure_store *s = (struct blob_azure_store *)base;
	struct copy c = {.s = s, .key = key, .src = src, .progress = progress};
	struct blob_azure_call call;
	struct buf plain, source;
	int rc = BLOB_COPY_GENERIC;

	if (n != 1)
		return BLOB_COPY_GENERIC;
	const struct blob_azure_store *from = (const struct blob_azure_store *)src->store;
	if (!azure_auth_same_account(s->auth, from->auth))
		return BLOB_COPY_GENERIC;
	buf_init(&plain, URL_MAX);
	buf_init_secret(&source, URL_MAX); /* it may hold a SAS token */
	blob_azure_call_init(&call, s, "PUT", key, NULL);
	if (blob_azure_url(from, src->key, &plain) < 0 ||
		azure_auth_source_url(
			from->auth, buf_str(&plain), clock_now() + SOURCE_US, &source) < 0)
		goto out;
	net_headers_set(&call.r.headers, "x-ms-copy-source", buf_str(&source));
	blob_azure_meta_headers(&call.r.headers, meta);
	blob_azure_call_if_match(&call, "");
	rc = blob_azure_call_write(&call, err);
	if (rc < 0)
		goto out;
	if (blob_azure_call_ok(&call)) {
		rc = started(&c, &call, err);
	} else if (blob_azure_call_refused(&call)) {
		int ours = call.a.tries > 1 ? is_ours(&c, &call, buf_str(&plain), err) : 0;
		if (ours > 0)
			rc = wait_for(&c, err);
		else
			rc = ours < 0 ? -1 : err_set(err, ERR_EXISTS, __func__, "%s exists", key);
	} else if (call.a.status == 403 || call.a.status == 404 || call.a.status == 501) {
		/* The source cannot be read that way; reading it will tell why. */
		rc = BLOB_COPY_GENERIC;
	} else {
		rc = blob_azure_call_fail(&call, "copy to", err);
	}
out:
	blob_azure_call_free(&call);
	buf_free(&source);
	buf_free(&plain);
	return rc;
}
