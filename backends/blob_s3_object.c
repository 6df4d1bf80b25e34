/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_object.h"

#include "core/base/clock.h"
#include "core/base/crc32c.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

/* A read whose answer breaks off begins anew this often. */
#define READ_TRIES 4

/* A HEAD does not tell a missing bucket from a missing key. */
static int check_bucket(struct blob_s3_store *s, const char *key, struct err *err)
{
	struct blob_s3_call c;

	if (atomic_load(&s->answered))
		return 0;
	blob_s3_request_init(&c, "HEAD", NULL, s);
	int rc = blob_s3_request_send(&c, err);
	if (rc == 0 && c.answer.status == 404)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s: there is no bucket \"%s\"", key,
			s->bucket);
	blob_s3_request_free(&c);
	return rc;
}

static int read_stat(const struct blob_s3_call *c, struct blob_stat *out, struct err *err)
{
	const char *length = net_headers_get(&c->answer.headers, "Content-Length");
	const char *modified = net_headers_get(&c->answer.headers, "Last-Modified");

	*out = (struct blob_stat){0};
	if (!length || str_to_u64(length, INT64_MAX, &out->size) < 0)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s: %s tells no length", c->key,
			c->store->host);
	if (modified && clock_parse_http_date(modified, &out->mtime) < 0)
		out->mtime = 0;
	(void)blob_s3_request_etag(
		out->etag, sizeof(out->etag), net_headers_get(&c->answer.headers, "ETag"));
	return 0;
}

int blob_s3_object_stat(
	struct blob_s3_store *s, const char *key, struct blob_stat *out, struct err *err)
{
	struct blob_s3_call c;

	blob_s3_request_init(&c, "HEAD", key, s);
	int rc = blob_s3_request_run(&c, err);
	if (rc == 0)
		rc = read_stat(&c, out, err);
	else if (err->code == ERR_NOT_FOUND && check_bucket(s, key, err) == 0)
		(void)err_set(err, ERR_NOT_FOUND, __func__, "%s does not exist", key);
	blob_s3_request_free(&c);
	return rc;
}

struct reading {
	char *to;
	size_t len;
	size_t got;
	bool beyond; /* more was sent than asked for */
};

static int take(void *arg, const void *data, size_t len)
{
	struct reading *r = arg;

	if (len > r->len - r->got) {
		r->beyond = true;
		return -1;
	}
	memcpy(r->to + r->got, data, len);
	r->got += len;
	return 0;
}

/* "bytes FIRST-LAST/TOTAL" is what was asked for, and all of it came. */
static bool range_fits(const char *text, uint64_t offset, const struct reading *r)
{
	uint64_t first, last, total;
	const char *dash, *slash;

	if (!text || !str_starts(text, "bytes "))
		return false;
	text += strlen("bytes ");
	dash = strchr(text, '-');
	slash = dash ? strchr(dash, '/') : NULL;
	if (!slash || str_to_u64_n(text, (size_t)(dash - text), INT64_MAX, &first) < 0 ||
		str_to_u64_n(dash + 1, (size_t)(slash - dash) - 1, INT64_MAX, &last) < 0 ||
		str_to_u64(slash + 1, INT64_MAX, &total) < 0)
		return false;
	if (first != offset || last < first || last >= total || last - first + 1 != r->got)
		return false;
	return r->got == r->len || last + 1 == total;
}

/* 1: the answer was cut off, ask again. */
static int read_once(struct blob_s3_call *c, struct reading *r, uint64_t offset, struct err *err)
{
	char range[64];

	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)offset,
		(unsigned long long)(offset + r->len - 1));
	net_headers_set(&c->headers, "Range", range);
	c->sink = take;
	c->sink_arg = r;
	r->got = 0;
	if (blob_s3_request_send(c, err) < 0) {
		if (r->beyond)
			return err_set(err, ERR_UNAVAILABLE, __func__,
				"%s: %s sends more than was asked for", c->key, c->store->host);
		err_prefix(err, "%s", c->key);
		return r->got > 0 && err->code == ERR_UNAVAILABLE ? 1 : -1;
	}
	if (c->answer.status == 416) {
		r->got = 0;
		return 0;
	}
	if (!blob_s3_request_succeeded(c))
		return blob_s3_request_failed(c, err);
	const char *told = net_headers_get(&c->answer.headers, "Content-Range");
	/* A service without ranges sends the whole object, of which the end is known by length. */
	if (c->answer.status == 200 && offset == 0 && !told) {
		uint64_t length;
		const char *text = net_headers_get(&c->answer.headers, "Content-Length");
		if (text && str_to_u64(text, INT64_MAX, &length) == 0 && length == r->got)
			return 0;
	}
	if (range_fits(told, offset, r))
		return 0;
	(void)err_set(err, ERR_UNAVAILABLE, __func__, "%s: %s sends another range", c->key,
		c->store->host);
	return 1;
}

ssize_t blob_s3_object_read(struct blob_s3_store *s, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	struct reading r = {.to = data, .len = len};
	struct blob_s3_call c;
	struct blob_stat st;

	if (len == 0)
		return blob_s3_object_stat(s, key, &st, err);
	blob_s3_request_init(&c, "GET", key, s);
	/* A slow source counts as long as it moves: down to a byte a millisecond. */
	c.deadline_ms = clock_mono_ms() + s->timeout_ms + (int64_t)len;
	int rc = 1;
	for (int i = 0; rc == 1 && i < READ_TRIES; i++)
		rc = read_once(&c, &r, offset, err);
	blob_s3_request_free(&c);
	return rc == 0 ? (ssize_t)r.got : -1;
}

int blob_s3_object_del(struct blob_s3_store *s, const char *key, struct err *err)
{
	struct blob_s3_call c;

	blob_s3_request_init(&c, "DELETE", key, s);
	int rc = blob_s3_request_run(&c, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND) {
		err_clear(err);
		rc = 0;
	}
	blob_s3_request_free(&c);
	return rc;
}

/* The request without a condition, after a look. */
static int make_after_look(struct blob_s3_call *c, struct err *err)
{
	struct blob_s3_store *s = c->store;
	struct blob_stat st;
	pthread_mutex_t *stripe =
		&s->stripes[crc32c_update(0, c->key, strlen(c->key)) % BLOB_S3_STRIPES];
	int rc = -1;

	net_headers_set(&c->headers, "If-None-Match", NULL);
	pthread_mutex_lock(stripe);
	if (blob_s3_object_stat(s, c->key, &st, err) == 0)
		(void)err_set(err, ERR_EXISTS, __func__, "%s exists", c->key);
	else if (err->code == ERR_NOT_FOUND)
		rc = blob_s3_request_run(c, err);
	pthread_mutex_unlock(stripe);
	return rc;
}

/*
 * The object that is in our way may have been made by this very request, whose first answer was
 * lost: it is as we would have made it, and not older. The client repeats some requests unseen.
 * 0: it was; -1: it was not (ERR_EXISTS), or that cannot be told now.
 */
static int made_by_us(struct blob_s3_call *c, int64_t since, blob_s3_object_ours_fn *ours,
	void *arg, struct err *err)
{
	struct blob_stat st;
	int rc = blob_s3_object_stat(c->store, c->key, &st, err);

	if (rc != 0 && err->code != ERR_NOT_FOUND) {
		err->code = ERR_UNAVAILABLE;
		return -1;
	}
	if (rc == 0 && (c->answer.tries > 1 || st.mtime >= since) && ours(arg, &st))
		return 0;
	return err_set(err, ERR_EXISTS, __func__, "%s exists", c->key);
}

int blob_s3_object_make(
	struct blob_s3_call *c, blob_s3_object_ours_fn *ours, void *arg, struct err *err)
{
	struct blob_s3_store *s = c->store;
	int64_t since = clock_now() + atomic_load(&s->signer.skew_us) - CLOCK_US_PER_S;

	if (atomic_load(&s->unconditional))
		return make_after_look(c, err);
	net_headers_set(&c->headers, "If-None-Match", "*");
	if (blob_s3_request_run(c, err) == 0)
		return 0;
	if (err->code == ERR_EXISTS)
		return made_by_us(c, since, ours, arg, err);
	/* Services that do not know the header for writing say so in one of these ways. */
	if (c->answer.status != 501 && c->answer.status != 400)
		return -1;
	if (make_after_look(c, err) < 0)
		return -1;
	atomic_store(&s->unconditional, true);
	return 0;
}

struct sent {
	const void *data;
	size_t len;
};

/* The ETag of an object that was sent at once is its MD5, unless the service encrypts by key. */
static bool put_is_ours(void *arg, const struct blob_stat *st)
{
	const struct sent *sent = arg;
	unsigned char sum[DIGEST_MAX];
	char hex[2 * DIGEST_MAX + 1];

	if (st->size != sent->len)
		return false;
	struct digest *d = digest_new("md5");
	digest_update(d, sent->data, sent->len);
	str_hex(hex, sum, digest_final(d, sum));
	digest_free(d);
	return strcmp(hex, st->etag) == 0;
}

int blob_s3_object_put(struct blob_s3_store *s, const char *key, const void *data, size_t len,
	const struct net_headers *meta, bool fresh, struct err *err)
{
	struct sent sent = {data, len};
	struct blob_s3_call c;

	blob_s3_request_init(&c, "PUT", key, s);
	c.body = data;
	c.len = len;
	blob_s3_request_fields(&c, meta);
	int rc = fresh ? blob_s3_object_make(&c, put_is_ours, &sent, err)
		       : blob_s3_request_run(&c, err);
	blob_s3_request_free(&c);
	return rc;
}
