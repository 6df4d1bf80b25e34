/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_multipart.h"

#include "backends/blob_s3_list.h"
#include "backends/blob_s3_object.h"
#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPLETE_MAX ((size_t)4 << 20)
/* Services put many parts together while the request waits. */
#define COMPLETE_MS 60000
#define COMPLETE_PART_MS 20
/* Slowest copy inside a service: 1 ms for each of these bytes. */
#define COPY_BYTES_PER_MS 16384
#define COPY_SOURCE_MAX 8192

void blob_s3_multipart_add_etag(struct blob_s3_etags *e, const char *etag)
{
	if (e->n == e->cap) {
		e->cap = e->cap ? 2 * e->cap : 16;
		e->items = mem_array(e->items, e->cap, sizeof(*e->items));
	}
	e->items[e->n++] = mem_strdup(etag);
}

void blob_s3_multipart_free_etags(struct blob_s3_etags *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->items[i]);
	free(e->items);
	*e = (struct blob_s3_etags){0};
}

/* The text of one element of an answer. */
struct wanted {
	const char *path;
	char *out;
	size_t size;
	bool found;
};

static int find_element(void *arg, const char *path, const char *text)
{
	struct wanted *w = arg;

	if (strcmp(path, w->path) == 0)
		w->found = str_copy(w->out, w->size, text) && *text;
	return 0;
}

static int get_element(const struct blob_s3_call *c, struct wanted *w, struct err *err)
{
	struct err why;

	if (xml_parse(buf_str(&c->answer.body), c->answer.body.len, find_element, w, &why) < 0 ||
		!w->found)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s: %s sends an answer without %s",
			c->key, c->store->host, w->path);
	return 0;
}

int blob_s3_multipart_create(struct blob_s3_store *s, const char *key,
	const struct net_headers *meta, char upload[BLOB_S3_TOKEN_UPLOAD_MAX + 1], struct err *err)
{
	struct blob_s3_call c;
	struct wanted id = {"InitiateMultipartUploadResult/UploadId", upload,
		BLOB_S3_TOKEN_UPLOAD_MAX + 1, false};

	blob_s3_request_init(&c, "POST", key, s);
	blob_s3_request_param(&c, "uploads", "");
	blob_s3_request_fields(&c, meta);
	int rc = blob_s3_request_run(&c, err);
	if (rc == 0)
		rc = get_element(&c, &id, err);
	if (rc == 0 && blob_s3_token_check_upload(upload) < 0)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s: %s sends a strange upload id",
			key, s->host);
	if (rc < 0)
		upload[0] = '\0';
	blob_s3_request_free(&c);
	return rc;
}

int blob_s3_multipart_put(struct blob_s3_store *s, const char *key, const char *upload,
	uint32_t number, const void *data, size_t len, char etag[BLOB_S3_ETAG], struct err *err)
{
	struct blob_s3_call c;

	blob_s3_request_init(&c, "PUT", key, s);
	blob_s3_request_param_number(&c, "partNumber", number);
	blob_s3_request_param(&c, "uploadId", upload);
	c.body = data;
	c.len = len;
	int rc = blob_s3_request_run(&c, err);
	const char *told = rc == 0 ? net_headers_get(&c.answer.headers, "ETag") : NULL;
	if (rc == 0 && blob_s3_request_etag(etag, BLOB_S3_ETAG, told) < 0)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s: %s tells no ETag of part %u", key,
			s->host, (unsigned)number);
	blob_s3_request_free(&c);
	crash_point("s3-part-sent");
	return rc;
}

int blob_s3_multipart_source(
	struct blob_s3_call *c, const struct blob_s3_range *from, struct err *err)
{
	struct buf b;

	buf_init(&b, COPY_SOURCE_MAX);
	/* Not the endpoint's own path, which leads to the service and is no part of the name. */
	if (buf_printf(&b, "/%s/", from->store->bucket) < 0 ||
		uri_encode_path(&b, from->store->folder) < 0 ||
		uri_encode_path(&b, from->key) < 0) {
		buf_free(&b);
		return err_set(err, ERR_INVALID, __func__, "%s: the name is too long", from->key);
	}
	net_headers_set(&c->headers, "x-amz-copy-source", buf_str(&b));
	buf_free(&b);
	c->deadline_ms =
		clock_mono_ms() + c->store->timeout_ms + (int64_t)(from->len / COPY_BYTES_PER_MS);
	return 0;
}

int blob_s3_multipart_put_copy(struct blob_s3_store *s, const char *key, const char *upload,
	uint32_t number, const struct blob_s3_range *from, char etag[BLOB_S3_ETAG], struct err *err)
{
	char range[64];
	char told[BLOB_S3_ETAG + 2];
	struct blob_s3_call c;
	struct wanted w = {"CopyPartResult/ETag", told, sizeof(told), false};

	blob_s3_request_init(&c, "PUT", key, s);
	blob_s3_request_param_number(&c, "partNumber", number);
	blob_s3_request_param(&c, "uploadId", upload);
	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)from->first,
		(unsigned long long)(from->first + from->len - 1));
	net_headers_set(&c.headers, "x-amz-copy-source-range", range);
	int rc = blob_s3_multipart_source(&c, from, err);
	if (rc == 0)
		rc = blob_s3_request_run(&c, err);
	if (rc == 0)
		rc = get_element(&c, &w, err);
	if (rc == 0 && blob_s3_request_etag(etag, BLOB_S3_ETAG, told) < 0)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s: %s tells no ETag of part %u", key,
			s->host, (unsigned)number);
	blob_s3_request_free(&c);
	return rc;
}

static int write_parts(const struct blob_s3_etags *parts, struct buf *out)
{
	int rc = buf_add_str(out, "<CompleteMultipartUpload "
				  "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");

	for (size_t i = 0; rc == 0 && i < parts->n; i++) {
		rc = buf_printf(out, "<Part><PartNumber>%zu</PartNumber><ETag>\"", i + 1);
		if (rc == 0)
			rc = xml_escape(out, parts->items[i]);
		if (rc == 0)
			rc = buf_add_str(out, "\"</ETag></Part>");
	}
	return rc < 0 ? -1 : buf_add_str(out, "</CompleteMultipartUpload>");
}

struct completion {
	const struct blob_s3_etags *parts;
	uint64_t size;
};

/* The sixteen bytes that an MD5 in hex stands for. */
static int unhex(const char *text, unsigned char out[16])
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(text) != 32)
		return -1;
	for (int i = 0; i < 32; i++) {
		const char *d = strchr(digits, text[i]);
		if (!d)
			return -1;
		int value = (int)(d - digits);
		out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] << 4 | value : value);
	}
	return 0;
}

/* The ETag of an object made of parts is the MD5 of their MD5s, a dash and their number. */
static bool complete_is_ours(void *arg, const struct blob_stat *st)
{
	const struct completion *c = arg;
	unsigned char sum[DIGEST_MAX];
	char text[2 * DIGEST_MAX + 16];
	bool known = true;

	struct digest *d = digest_new("md5");
	for (size_t i = 0; known && i < c->parts->n; i++) {
		known = unhex(c->parts->items[i], sum) == 0;
		digest_update(d, sum, 16);
	}
	size_t n = digest_final(d, sum);
	digest_free(d);
	str_hex(text, sum, n);
	snprintf(text + 2 * n, sizeof(text) - 2 * n, "-%zu", c->parts->n);
	return known && st->size == c->size && strcmp(text, st->etag) == 0;
}

int blob_s3_multipart_complete(struct blob_s3_store *s, const char *key, const char *upload,
	const struct blob_s3_etags *parts, uint64_t size, bool fresh, struct err *err)
{
	struct blob_s3_call c;
	struct buf body;
	struct completion done = {parts, size};
	int rc;

	buf_init(&body, COMPLETE_MAX);
	blob_s3_request_init(&c, "POST", key, s);
	blob_s3_request_param(&c, "uploadId", upload);
	net_headers_set(&c.headers, "Content-Type", "application/xml");
	rc = write_parts(parts, &body);
	if (rc < 0) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s: too many parts", key);
		goto out;
	}
	c.body = body.data;
	c.len = body.len;
	c.deadline_ms = clock_mono_ms() + s->timeout_ms + COMPLETE_MS +
			(int64_t)parts->n * COMPLETE_PART_MS;
	crash_point("s3-before-complete");
	rc = fresh ? blob_s3_object_make(&c, complete_is_ours, &done, err)
		   : blob_s3_request_run(&c, err);
	if (rc < 0 && err->code == ERR_GONE) {
		struct blob_stat st;
		struct err ignored;
		if (blob_s3_object_stat(s, key, &st, &ignored) == 0 && st.size == size &&
			(!fresh || complete_is_ours(&done, &st)))
			rc = 0;
	}
	if (rc < 0 && err->code == ERR_CORRUPT)
		err_prefix(err, "parts were lost or overwritten");
	crash_point("s3-after-complete");
out:
	blob_s3_request_free(&c);
	buf_free(&body);
	return rc;
}

int blob_s3_multipart_abort(
	struct blob_s3_store *s, const char *key, const char *upload, struct err *err)
{
	struct blob_s3_call c;

	blob_s3_request_init(&c, "DELETE", key, s);
	blob_s3_request_param(&c, "uploadId", upload);
	int rc = blob_s3_request_run(&c, err);
	if (rc < 0 && (err->code == ERR_GONE || err->code == ERR_NOT_FOUND)) {
		err_clear(err);
		rc = 0;
	}
	blob_s3_request_free(&c);
	return rc;
}

struct aborting {
	struct blob_s3_store *s;
	const char *key;
	const char *own;
};

static int abort_one(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	const struct aborting *a = arg;

	if (strcmp(item->key, a->key) != 0 || !item->upload || str_eq(item->upload, a->own))
		return 0;
	return blob_s3_multipart_abort(a->s, a->key, item->upload, err);
}

void blob_s3_multipart_abort_others(struct blob_s3_store *s, const char *key, const char *own)
{
	struct aborting a = {s, key, own};
	struct err ignored;

	(void)blob_s3_list_uploads(s, key, abort_one, &a, &ignored);
}
