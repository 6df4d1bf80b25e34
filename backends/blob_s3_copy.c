/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_copy.h"

#include "backends/blob_s3_meta.h"
#include "backends/blob_s3_multipart.h"
#include "backends/blob_s3_object.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/tasks.h"

#include <stdlib.h>
#include <string.h>

/*
 * One request copies this much, though 5 GiB would be allowed: a copy tells nothing until it is
 * done, parts are copied at the same time, and whoever waits wants to hear of it now and then.
 */
#define ONE_REQUEST ((uint64_t)1 << 30)
#define PROGRESS_STEP ((uint64_t)64 << 20)

/* One part on its way. */
struct flight {
	struct task task;
	struct copying *copying;
	struct blob_s3_range range;
	uint32_t number;
	char etag[BLOB_S3_ETAG];
	int rc;
	struct err err;
};

struct copying {
	struct blob_s3_store *dst;
	const char *key;
	struct blob_source *sources; /* those with bytes */
	size_t n;
	char etag[80]; /* of the last source */
	uint64_t total;
	const struct blob_progress *progress;
	struct net_headers meta;
	char upload[BLOB_S3_TOKEN_UPLOAD_MAX + 1];
	struct blob_s3_etags etags;
	uint64_t done;
	uint64_t told;
	/* the next part: of which source, from where */
	size_t at_source;
	uint64_t at;
	struct flight *flights; /* a ring of dst->in_flight */
	size_t oldest, flying;
	uint32_t number;
};

/* Every source is as long as it should be. 1: there is more than is wanted of one. */
static int check_sources(struct copying *c, struct err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct blob_source *src = &c->sources[i];
		struct blob_s3_store *s = (struct blob_s3_store *)src->store;
		struct blob_stat st;
		if (blob_s3_object_stat(s, src->key, &st, err) < 0)
			return -1;
		if (st.size < src->size)
			return err_set(err, ERR_CORRUPT, __func__,
				"%s: %s has %llu bytes, expected %llu", src->store->name, src->key,
				(unsigned long long)st.size, (unsigned long long)src->size);
		if (st.size > src->size)
			return 1;
		memcpy(c->etag, st.etag, sizeof(c->etag));
	}
	return 0;
}

/* The service can do it: same place, and all but the last source can be parts. */
static bool fits(const struct copying *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct blob_source *src = &c->sources[i];
		const struct blob_s3_store *s = (const struct blob_s3_store *)src->store;
		if (strcmp(s->origin, c->dst->origin) != 0)
			return false;
		if (i + 1 < c->n && src->size < BLOB_S3_PART_MIN)
			return false;
	}
	return c->n > 0 && c->total <= BLOB_S3_TOKEN_PARTS_MAX * (ONE_REQUEST / 2);
}

static struct blob_s3_range range_of(const struct blob_source *from, uint64_t first, uint64_t len)
{
	return (struct blob_s3_range){
		.store = (const struct blob_s3_store *)from->store,
		.key = from->key,
		.first = first,
		.len = len,
	};
}

/* The copy of an object that was sent at once has its ETag; others have one that tells nothing. */
static bool copy_is_ours(void *arg, const struct blob_stat *st)
{
	const struct copying *c = arg;

	return st->size == c->total && c->etag[0] && !strchr(c->etag, '-') &&
	       strcmp(st->etag, c->etag) == 0;
}

static int copy_whole(struct copying *c, struct err *err)
{
	struct blob_s3_call call;
	struct blob_s3_range all = range_of(&c->sources[0], 0, c->total);

	blob_s3_request_init(&call, "PUT", c->key, c->dst);
	net_headers_set(&call.headers, "x-amz-metadata-directive", "REPLACE");
	blob_s3_request_fields(&call, &c->meta);
	int rc = blob_s3_multipart_source(&call, &all, err);
	if (rc == 0)
		rc = blob_s3_object_make(&call, copy_is_ours, c, err);
	blob_s3_request_free(&call);
	return rc;
}

/* Run by the store's tasks. */
static void copy_part(void *arg)
{
	struct flight *f = arg;
	const struct copying *c = f->copying;

	f->rc = blob_s3_multipart_put_copy(
		c->dst, c->key, c->upload, f->number, &f->range, f->etag, &f->err);
}

/* The flight that lies ${ahead} behind the oldest one in the ring. */
static size_t slot(const struct copying *c, size_t ahead)
{
	size_t i = c->oldest + ahead;

	return i < c->dst->in_flight ? i : i - c->dst->in_flight;
}

static void launch(struct copying *c)
{
	const struct blob_source *from = &c->sources[c->at_source];
	uint64_t len = from->size - c->at;
	struct flight *f = &c->flights[slot(c, c->flying)];

	/* Not a small rest, which could be too small for a part: two halves. */
	if (len > ONE_REQUEST)
		len = len < 2 * ONE_REQUEST ? len / 2 : ONE_REQUEST;
	*f = (struct flight){
		.task = {.fn = copy_part, .arg = f},
		.copying = c,
		.range = range_of(from, c->at, len),
		.number = ++c->number,
	};
	c->at += len;
	if (c->at == from->size) {
		c->at = 0;
		c->at_source++;
	}
	c->flying++;
	tasks_start(c->dst->tasks, &f->task);
}

static int land(struct copying *c, struct err *err)
{
	struct flight *f = &c->flights[c->oldest];

	tasks_wait(&f->task);
	c->oldest = slot(c, 1);
	c->flying--;
	if (f->rc < 0) {
		*err = f->err;
		return -1;
	}
	blob_s3_multipart_add_etag(&c->etags, f->etag);
	c->done += f->range.len;
	if (!c->progress || c->done - c->told < PROGRESS_STEP)
		return 0;
	c->told = c->done;
	if (c->progress->fn(c->progress->arg, c->done) < 0)
		return err_set(err, ERR_INTERRUPTED, __func__, "the copy was stopped");
	return 0;
}

static int copy_parts(struct copying *c, struct err *err)
{
	struct err ignored;
	int rc;

	blob_s3_multipart_abort_others(c->dst, c->key, NULL);
	if (blob_s3_multipart_create(c->dst, c->key, &c->meta, c->upload, err) < 0)
		return -1;
	c->flights = mem_zalloc(c->dst->in_flight * sizeof(*c->flights));
	rc = 0;
	while (rc == 0 && (c->flying > 0 || c->at_source < c->n)) {
		while (c->flying < c->dst->in_flight && c->at_source < c->n)
			launch(c);
		rc = land(c, err);
	}
	while (c->flying > 0)
		(void)land(c, &ignored);
	if (rc == 0)
		rc = blob_s3_multipart_complete(
			c->dst, c->key, c->upload, &c->etags, c->total, true, err);
	if (rc < 0)
		(void)blob_s3_multipart_abort(c->dst, c->key, c->upload, &ignored);
	else
		blob_s3_multipart_abort_others(c->dst, c->key, c->upload);
	free(c->flights);
	return rc;
}

static int copy(struct copying *c, struct err *err)
{
	struct blob_stat st;
	int rc = check_sources(c, err);

	if (rc != 0)
		return rc < 0 ? -1 : BLOB_COPY_GENERIC;
	/* A service that ignores the condition must not replace what is there. */
	if (blob_s3_object_stat(c->dst, c->key, &st, err) == 0)
		return err_set(err, ERR_EXISTS, __func__, "%s exists", c->key);
	if (err->code != ERR_NOT_FOUND)
		return -1;
	rc = c->n == 1 && c->total <= ONE_REQUEST ? copy_whole(c, err) : copy_parts(c, err);
	if (rc == 0)
		return 0;
	switch (err->code) {
	case ERR_DENIED:
	case ERR_UNSUPPORTED:
	case ERR_INVALID:
		return BLOB_COPY_GENERIC;
	case ERR_GONE:
		err->code = ERR_UNAVAILABLE;
		return -1;
	default:
		return -1;
	}
}

int blob_s3_copy_from(struct blob_store *dst, const char *key, const struct blob_source *src,
	size_t n, const struct blob_meta *meta, const struct blob_progress *progress,
	struct err *err)
{
	struct copying c = {
		.dst = (struct blob_s3_store *)dst,
		.key = key,
		.progress = progress,
	};
	int rc = BLOB_COPY_GENERIC;

	c.sources = mem_zalloc((n + 1) * sizeof(*c.sources));
	for (size_t i = 0; i < n; i++) {
		if (src[i].size == 0 && n > 1)
			continue;
		c.sources[c.n++] = src[i];
		c.total += src[i].size;
	}
	net_headers_init(&c.meta);
	if (fits(&c)) {
		struct blob_meta quiet = meta ? *meta : (struct blob_meta){0};
		quiet.left_out = NULL;
		blob_s3_meta_headers(&quiet, &c.meta);
		rc = copy(&c, err);
	}
	/* The other way lists what it leaves out itself. */
	if (rc == 0 && meta) {
		net_headers_free(&c.meta);
		blob_s3_meta_headers(meta, &c.meta);
	}
	blob_s3_multipart_free_etags(&c.etags);
	net_headers_free(&c.meta);
	free(c.sources);
	return rc;
}
