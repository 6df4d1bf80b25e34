/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_azure_blocks.h"

#include "backends/blob_azure_meta.h"
#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_RANDOM 8                 /* bytes of an id after its number */
#define LIST_MAX ((size_t)16 << 20) /* 50,000 blocks with their XML take about 5 MiB */
#define LOOK_AGAIN_MS 5000          /* to find out whether a commit was done */
#define LIST_BROKEN 2               /* a list that makes no sense: half an answer, perhaps */
#define QUERY_MAX ((size_t)512)

void blob_azure_blocks_init(struct blob_azure_blocks *b)
{
	memset(b, 0, sizeof(*b));
}

void blob_azure_blocks_free(struct blob_azure_blocks *b)
{
	free(b->items);
	memset(b, 0, sizeof(*b));
}

void blob_azure_blocks_add(struct blob_azure_blocks *b, const char *id, uint64_t size)
{
	if (b->n == b->cap) {
		b->cap = b->cap ? 2 * b->cap : 16;
		b->items = mem_array(b->items, b->cap, sizeof(*b->items));
	}
	struct blob_azure_block *item = &b->items[b->n++];
	str_copy(item->id, sizeof(item->id), id);
	item->size = size;
	b->bytes += size;
}

void blob_azure_blocks_cut(struct blob_azure_blocks *b, size_t n)
{
	while (b->n > n)
		b->bytes -= b->items[--b->n].size;
}

void blob_azure_block_id(char out[BLOB_AZURE_ID_SIZE], uint32_t number)
{
	unsigned char raw[4 + ID_RANDOM] = {(unsigned char)(number >> 24),
		(unsigned char)(number >> 16), (unsigned char)(number >> 8), (unsigned char)number};
	struct buf text;

	random_bytes(raw + 4, ID_RANDOM);
	buf_init(&text, BLOB_AZURE_ID_SIZE - 1);
	/* Twelve bytes give sixteen characters. */
	str_base64_encode(&text, raw, sizeof(raw));
	str_copy(out, BLOB_AZURE_ID_SIZE, buf_str(&text));
	buf_free(&text);
}

struct reading {
	struct blob_azure_blocks *blocks;
	char id[BLOB_AZURE_ID_SIZE];
	uint64_t size;
	bool bad;
};

static int take_element(void *arg, const char *path, const char *text)
{
	struct reading *r = arg;
	if (str_eq(path, "BlockList/CommittedBlocks/Block/Name")) {
		r->bad = r->bad || !*text || !str_copy(r->id, sizeof(r->id), text);
	} else if (str_eq(path, "BlockList/CommittedBlocks/Block/Size")) {
		r->bad = r->bad || str_to_u64(text, BLOB_AZURE_BLOCK_MAX, &r->size) < 0;
	} else if (str_eq(path, "BlockList/CommittedBlocks/Block")) {
		r->bad = r->bad || !r->id[0] || r->blocks->n == BLOB_AZURE_BLOCKS_MAX;
		if (!r->bad)
			blob_azure_blocks_add(r->blocks, r->id, r->size);
		r->id[0] = '\0';
		r->size = 0;
	}
	return r->bad ? -1 : 0;
}

static int parse_list(
	const struct blob_azure_call *c, struct blob_azure_blocks *out, struct err *err)
{
	struct reading r = {.blocks = out};
	const char *body = buf_str(&c->a.body);
	size_t len = c->a.body.len;

	if (str_starts(body, "\xef\xbb\xbf")) {
		body += 3;
		len -= 3;
	}
	if (!c->a.truncated && xml_parse(body, len, take_element, &r, err) == 0 && !r.bad)
		return 0;
	return err_set(
		err, ERR_UNAVAILABLE, __func__, "%s: a list of blocks that makes no sense", c->key);
}

/* 1: the blob is there, 0: it is not, or nothing of it was ever committed; -1: error. */
static int is_committed(
	struct blob_azure_store *s, const char *key, int64_t deadline_ms, struct err *err)
{
	struct blob_azure_call c;
	int rc = -1;

	blob_azure_call_init(&c, s, "HEAD", key, NULL);
	c.r.deadline_ms = deadline_ms;
	if (blob_azure_call_send(&c, err) == 0) {
		if (blob_azure_call_missing(&c))
			rc = 0;
		else if (blob_azure_call_ok(&c))
			rc = 1;
		else
			blob_azure_call_fail(&c, "look at", err);
	}
	blob_azure_call_free(&c);
	return rc;
}

/* One try. 1: found, 0: no such blob, -1: error, LIST_BROKEN: worth another one. */
static int get_once(struct blob_azure_store *s, const char *key, int64_t deadline_ms,
	struct blob_azure_blocks *out, char etag[BLOB_AZURE_ETAG_SIZE], uint64_t *bytes_out,
	struct err *err)
{
	struct blob_azure_call c;
	int rc = -1;

	blob_azure_blocks_cut(out, 0);
	etag[0] = '\0';
	*bytes_out = 0;
	blob_azure_call_init(&c, s, "GET", key, "comp=blocklist&blocklisttype=committed");
	blob_azure_call_body_max(&c, LIST_MAX);
	c.r.deadline_ms = deadline_ms;
	if (blob_azure_call_send(&c, err) < 0)
		goto out;
	if (blob_azure_call_missing(&c)) {
		rc = 0;
		goto out;
	}
	if (!blob_azure_call_ok(&c)) {
		blob_azure_call_fail(&c, "read the blocks of", err);
		goto out;
	}
	if (parse_list(&c, out, err) < 0) {
		rc = LIST_BROKEN;
		goto out;
	}
	blob_azure_call_etag(&c, etag, BLOB_AZURE_ETAG_SIZE);
	*bytes_out = out->bytes;
	const char *size = net_headers_get(&c.a.headers, "x-ms-blob-content-length");
	if (size && str_to_u64(size, INT64_MAX, bytes_out) < 0) {
		err_set(err, ERR_UNAVAILABLE, __func__, "%s: a size that makes no sense", key);
		goto out;
	}
	/*
	 * A blob of which only blocks were sent has no ETag in Azure, but one in Azurite. An empty
	 * one looks the same there.
	 */
	rc = etag[0] ? 1 : 0;
	if (rc == 1 && out->n == 0 && *bytes_out == 0)
		rc = is_committed(s, key, deadline_ms, err);
	if (rc == 0)
		etag[0] = '\0';
out:
	blob_azure_call_free(&c);
	return rc;
}

int blob_azure_blocks_get(struct blob_azure_store *s, const char *key, int64_t deadline_ms,
	struct blob_azure_blocks *out, char etag[BLOB_AZURE_ETAG_SIZE], uint64_t *bytes_out,
	struct err *err)
{
	int rc = LIST_BROKEN;

	if (!deadline_ms)
		deadline_ms = clock_mono_ms() + s->timeout_ms;
	for (int i = 0; rc == LIST_BROKEN && i < BLOB_AZURE_TRIES; i++)
		rc = get_once(s, key, deadline_ms, out, etag, bytes_out, err);
	return rc == LIST_BROKEN ? -1 : rc;
}

int blob_azure_block_put(struct blob_azure_store *s, const char *key, const char *id,
	const void *data, size_t len, struct err *err)
{
	struct blob_azure_call c;
	struct buf query;

	buf_init(&query, QUERY_MAX);
	buf_add_str(&query, "comp=block&blockid=");
	uri_encode(&query, id);
	blob_azure_call_init(&c, s, "PUT", key, buf_str(&query));
	buf_free(&query);
	c.r.body = data;
	c.r.body_len = len;
	blob_azure_call_add_md5(&c);
	int rc = blob_azure_call_write(&c, err);
	if (rc == 0 && !blob_azure_call_ok(&c))
		rc = blob_azure_call_fail(&c, "send a block of", err);
	blob_azure_call_free(&c);
	if (rc == 0)
		crash_point("azure-block-sent");
	return rc;
}

static int list_body(const struct blob_azure_blocks *b, struct buf *out)
{
	buf_add_str(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>");
	for (size_t i = 0; i < b->n; i++) {
		buf_add_str(out, "<Latest>");
		xml_escape(out, b->items[i].id);
		buf_add_str(out, "</Latest>");
	}
	return buf_add_str(out, "</BlockList>");
}

/*
 * 1: the blob consists of exactly these blocks, whose ids nobody else can have made; an empty one
 * is as good as ours. 0: it does not. -1: that cannot be told now.
 */
static int is_done(struct blob_azure_store *s, const char *key, const struct blob_azure_blocks *b,
	char etag[BLOB_AZURE_ETAG_SIZE], struct err *err)
{
	struct blob_azure_blocks seen;
	char seen_etag[BLOB_AZURE_ETAG_SIZE];
	uint64_t bytes;

	blob_azure_blocks_init(&seen);
	int found = blob_azure_blocks_get(
		s, key, clock_mono_ms() + LOOK_AGAIN_MS, &seen, seen_etag, &bytes, err);
	bool same = found == 1 && seen.n == b->n && bytes == b->bytes;
	for (size_t i = 0; same && i < b->n; i++)
		same = str_eq(seen.items[i].id, b->items[i].id);
	blob_azure_blocks_free(&seen);
	if (same)
		str_copy(etag, BLOB_AZURE_ETAG_SIZE, seen_etag);
	if (found < 0)
		err->code = ERR_UNAVAILABLE;
	return found < 0 ? -1 : same;
}

int blob_azure_blocks_commit(struct blob_azure_store *s, const char *key,
	const struct blob_azure_blocks *b, const struct blob_meta *meta,
	char etag[BLOB_AZURE_ETAG_SIZE], struct err *err)
{
	struct blob_azure_call c;
	struct buf body;
	int rc = -1;

	buf_init(&body, LIST_MAX);
	blob_azure_call_init(&c, s, "PUT", key, "comp=blocklist");
	if (list_body(b, &body) < 0) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s: too many blocks", key);
		goto out;
	}
	c.r.body = body.data;
	c.r.body_len = body.len;
	net_headers_set(&c.r.headers, "Content-Type", "application/xml");
	net_headers_set(&c.r.headers, "x-ms-blob-content-type", "application/octet-stream");
	blob_azure_meta_headers(&c.r.headers, meta);
	blob_azure_call_if_match(&c, etag);
	blob_azure_call_add_md5(&c);
	crash_point("azure-before-list");
	if (blob_azure_call_write(&c, err) < 0) {
		struct err ignored;
		rc = is_done(s, key, b, etag, &ignored) == 1 ? 0 : -1;
		goto out;
	}
	int done = 0;
	if (blob_azure_call_refused(&c) && c.a.tries > 1)
		done = is_done(s, key, b, etag, err);
	if (blob_azure_call_ok(&c)) {
		blob_azure_call_etag(&c, etag, BLOB_AZURE_ETAG_SIZE);
		rc = 0;
	} else if (done != 0) {
		rc = done > 0 ? 0 : -1;
	} else if (blob_azure_call_refused(&c) && !etag[0]) {
		err_set(err, ERR_EXISTS, __func__, "%s exists", key);
	} else if (c.a.status == 412 || str_eq(c.code, "InvalidBlockList")) {
		err_set(err, ERR_CONFLICT, __func__, "%s: another writer has gone on with it", key);
	} else {
		blob_azure_call_fail(&c, "commit", err);
	}
	if (rc == 0)
		crash_point("azure-after-list");
out:
	blob_azure_call_free(&c);
	buf_free(&body);
	return rc;
}

void blob_azure_token_write(char out[BLOB_AZURE_TOKEN_SIZE], const struct blob_azure_token *t)
{
	snprintf(out, BLOB_AZURE_TOKEN_SIZE, "1 %s %llu %llu %llu %llu", t->etag,
		(unsigned long long)t->blocks, (unsigned long long)t->bytes,
		(unsigned long long)t->last_size, (unsigned long long)t->block_size);
}

int blob_azure_token_read(const char *text, struct blob_azure_token *out)
{
	uint64_t *const numbers[] = {&out->blocks, &out->bytes, &out->last_size, &out->block_size};
	static const uint64_t limits[] = {
		BLOB_AZURE_BLOCKS_MAX, INT64_MAX, BLOB_AZURE_BLOCK_MAX, BLOB_AZURE_BLOCK_MAX};

	memset(out, 0, sizeof(*out));
	if (!str_starts(text, "1 "))
		return -1;
	text += 2;
	size_t len = strcspn(text, " ");
	if (len == 0 || len >= sizeof(out->etag))
		return -1;
	memcpy(out->etag, text, len);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		text += len;
		if (*text != ' ')
			return -1;
		text++;
		len = strcspn(text, " ");
		if (str_to_u64_n(text, len, limits[i], numbers[i]) < 0)
			return -1;
	}
	return text[len] == '\0' ? 0 : -1;
}
