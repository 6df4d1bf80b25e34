/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a blob. Bytes are gathered into blocks, full blocks are sent while more arrive.
 *
 * BLOB_STAGE: what fits into one block is one request at the commit; else the list of the blocks is
 * committed. Both only where no blob of that name is there.
 *
 * BLOB_RESUME: the service forgets blocks that were not committed, so every sync commits all there
 * is. What does not fill a block is committed as a block of its own, which the next commit replaces
 * by a fuller one; a later writer reads it back first, so that many small writers do not use up the
 * number of blocks that a blob may have. Every commit asks for the ETag that the writer has seen:
 * a writer that another one has overtaken fails. Bytes beyond the offset that a writer begins at
 * are left out of its first commit.
 */
#include "backends/blob_azure_blocks.h"
#include "backends/blob_azure_meta.h"
#include "backends/blob_azure_store.h"
#include "backends/blob_parts.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define BLOCKS_AIM 45000 /* blocks that an object of known size is cut into at most */
#define BACK_PIECE ((size_t)1 << 20)

struct azure_writer {
	struct blob_writer base;
	struct blob_azure_blocks blocks; /* in the store, in order, without `rest` */
	struct blob_parts *parts;
	uint64_t block_size;
	char etag[BLOB_AZURE_ETAG_SIZE]; /* of the blob as last seen, "": is not there */
	struct blob_azure_block
		rest;     /* committed block of the bytes after `blocks`; size 0: none */
	uint64_t rest_at; /* offset of `rest` */
	uint64_t back;    /* bytes after `blocks` that are in the store, not yet gathered again */
	bool dirty;       /* the blob is not what this writer has */
	bool failed;
	struct err first; /* the failure that stays */
	char token[BLOB_AZURE_TOKEN_SIZE];
};

static struct blob_azure_store *store_of(const struct azure_writer *w)
{
	return (struct blob_azure_store *)w->base.store;
}

static int fail(struct azure_writer *w, const struct err *err)
{
	if (!w->failed) {
		w->failed = true;
		w->first = *err;
	}
	return -1;
}

static int check(const struct azure_writer *w, struct err *err)
{
	if (!w->failed)
		return 0;
	*err = w->first;
	return -1;
}

static int put_part(void *arg, struct blob_part *p, struct err *err)
{
	const struct azure_writer *w = arg;
	if (p->number >= BLOB_AZURE_BLOCKS_MAX)
		return err_set(err, ERR_TOO_LARGE, __func__, "%s: more than %d blocks", w->base.key,
			BLOB_AZURE_BLOCKS_MAX);
	char id[BLOB_AZURE_ID_SIZE];
	blob_azure_block_id(id, p->number);
	str_copy(p->tag, sizeof(p->tag), id);
	return blob_azure_block_put(store_of(w), w->base.key, id, p->data, p->len, err);
}

static void part_arrived(void *arg, const struct blob_part *p)
{
	struct azure_writer *w = arg;
	blob_azure_blocks_add(&w->blocks, p->tag, p->len);
}

static uint64_t block_size_for(const struct blob_azure_store *s, uint64_t size)
{
	uint64_t least = (size / BLOCKS_AIM / MIB + 1) * MIB;
	if (size / BLOCKS_AIM < s->part_size)
		return s->part_size;
	return least < BLOB_AZURE_BLOCK_MAX ? least : BLOB_AZURE_BLOCK_MAX;
}

static void writer_free(struct azure_writer *w)
{
	blob_parts_free(w->parts);
	blob_azure_blocks_free(&w->blocks);
	free(w);
}

/* Keep of the ${bytes} that are there those up to ${offset}. */
static int keep_up_to(
	struct azure_writer *w, const char *key, uint64_t bytes, uint64_t offset, struct err *err)
{
	struct blob_azure_blocks *b = &w->blocks;

	if (bytes < offset)
		return err_set(err, ERR_CORRUPT, __func__, "%s has %llu bytes, expected %llu", key,
			(unsigned long long)bytes, (unsigned long long)offset);
	if (b->n > 0 && b->bytes != bytes)
		return err_set(err, ERR_CORRUPT, __func__,
			"%s has %llu bytes in blocks, %llu in all", key,
			(unsigned long long)b->bytes, (unsigned long long)bytes);
	w->dirty = bytes > offset;
	while (b->n > 0 && b->bytes > offset)
		blob_azure_blocks_cut(b, b->n - 1);
	w->back = offset - b->bytes;
	if (w->back > 0 || b->n == 0)
		return 0;
	/* The last block is whole; a small one will be replaced by a fuller one. */
	const struct blob_azure_block *last = &b->items[b->n - 1];
	if (last->size < w->block_size) {
		w->rest = *last;
		w->back = last->size;
		blob_azure_blocks_cut(b, b->n - 1);
		w->rest_at = b->bytes;
	}
	return 0;
}

static int resume(struct azure_writer *w, struct blob_azure_store *s, const char *key,
	uint64_t offset, const char *token, struct err *err)
{
	struct blob_azure_token t;
	uint64_t bytes;

	int found = blob_azure_blocks_get(s, key, 0, &w->blocks, w->etag, &bytes, err);
	if (found < 0)
		return -1;
	if (!found && offset > 0)
		return err_set(err, ERR_CORRUPT, __func__, "%s is missing, expected %llu bytes",
			key, (unsigned long long)offset);
	if (offset > 0) {
		if (blob_azure_token_read(token ? token : "", &t) < 0)
			return err_set(err, ERR_CORRUPT, __func__,
				"%s: not a token of this kind of storage", key);
		if (str_eq(t.etag, w->etag) && t.bytes != bytes)
			return err_set(err, ERR_CORRUPT, __func__,
				"%s has %llu bytes where %llu were committed", key,
				(unsigned long long)bytes, (unsigned long long)t.bytes);
		str_copy(w->token, sizeof(w->token), token);
	}
	return keep_up_to(w, key, bytes, offset, err);
}

struct blob_writer *blob_azure_begin(struct blob_store *base, const char *key, enum blob_mode mode,
	uint64_t offset, const char *token, uint64_t size_hint, struct err *err)
{
	struct blob_azure_store *s = (struct blob_azure_store *)base;
	struct azure_writer *w = mem_zalloc(sizeof(*w));

	blob_azure_blocks_init(&w->blocks);
	/* Where the size is not known, blocks grow with what is there. */
	w->block_size = block_size_for(s, size_hint > offset ? size_hint : 2 * offset);
	if (mode == BLOB_RESUME && resume(w, s, key, offset, token, err) < 0) {
		writer_free(w);
		return NULL;
	}
	const struct blob_parts_options o = {
		.tasks = s->tasks,
		.part_size = (size_t)w->block_size,
		.in_flight = s->in_flight,
		.put = put_part,
		.arrived = part_arrived,
		.arg = w,
	};
	w->parts = blob_parts_new(&o, w->blocks.bytes, (uint32_t)w->blocks.n);
	return &w->base;
}

/* Gather again what the next block has to begin with. */
static int load_back(struct azure_writer *w, struct err *err)
{
	if (w->back == 0)
		return 0;
	uint64_t from = w->blocks.bytes;
	uint64_t to = from + w->back;
	size_t size = w->back < BACK_PIECE ? (size_t)w->back : BACK_PIECE;
	unsigned char *piece = mem_alloc(size);
	int rc = 0;

	while (rc == 0 && from < to) {
		size_t want = to - from < size ? (size_t)(to - from) : size;
		ssize_t n =
			blob_azure_read(store_of(w), w->base.key, w->etag, from, piece, want, err);
		if (n >= 0 && (size_t)n < want) {
			err_set(err, ERR_CORRUPT, __func__, "%s ends at byte %llu of %llu",
				w->base.key, (unsigned long long)from + (unsigned long long)n,
				(unsigned long long)to);
			n = -1;
		}
		rc = n < 0 ? -1 : blob_parts_append(w->parts, piece, want, err);
		from += want;
	}
	free(piece);
	w->back = 0;
	return rc;
}

int blob_azure_append(struct blob_writer *base, const void *data, size_t len, struct err *err)
{
	struct azure_writer *w = (struct azure_writer *)base;

	if (check(w, err) < 0)
		return -1;
	w->dirty = true;
	if (load_back(w, err) < 0 || blob_parts_append(w->parts, data, len, err) < 0)
		return fail(w, err);
	base->offset += len;
	return 0;
}

/* Send what is gathered as a block that the next commit will replace. */
static int send_rest(struct azure_writer *w, struct err *err)
{
	size_t len = blob_parts_gathered(w->parts);

	if (len > 0 && len == w->rest.size && w->rest_at == w->blocks.bytes)
		return 0;
	memset(&w->rest, 0, sizeof(w->rest));
	if (len == 0)
		return 0;
	if (w->blocks.n >= BLOB_AZURE_BLOCKS_MAX)
		return err_set(err, ERR_TOO_LARGE, __func__, "%s: more than %d blocks", w->base.key,
			BLOB_AZURE_BLOCKS_MAX);
	blob_azure_block_id(w->rest.id, (uint32_t)w->blocks.n);
	w->rest.size = len;
	w->rest_at = w->blocks.bytes;
	return blob_azure_block_put(
		store_of(w), w->base.key, w->rest.id, blob_parts_gathered_data(w->parts), len, err);
}

/* Commit all there is. */
static int commit_blocks(struct azure_writer *w, const struct blob_meta *meta, struct err *err)
{
	struct blob_azure_blocks *b = &w->blocks;

	/* A block that is kept as it is need not be read back. */
	if (w->back != w->rest.size && load_back(w, err) < 0)
		return -1;
	if (blob_parts_settle(w->parts, err) < 0)
		return -1;
	if (w->back == 0 && send_rest(w, err) < 0)
		return -1;
	size_t full = b->n;
	if (w->rest.size > 0)
		blob_azure_blocks_add(b, w->rest.id, w->rest.size);
	int rc = 0;
	if (b->bytes != w->base.offset)
		rc = err_set(err, ERR_CORRUPT, __func__, "%s: %llu bytes in blocks, %llu taken",
			w->base.key, (unsigned long long)b->bytes,
			(unsigned long long)w->base.offset);
	if (rc == 0)
		rc = blob_azure_blocks_commit(store_of(w), w->base.key, b, meta, w->etag, err);
	struct blob_azure_token t = {
		.blocks = b->n,
		.bytes = b->bytes,
		.last_size = b->n > 0 ? b->items[b->n - 1].size : 0,
		.block_size = w->block_size,
	};
	blob_azure_blocks_cut(b, full);
	if (rc < 0 && err->code == ERR_EXISTS)
		return err_set(err, ERR_CONFLICT, __func__,
			"%s: another writer has gone on with it", w->base.key);
	if (rc < 0)
		return -1;
	w->dirty = false;
	str_copy(t.etag, sizeof(t.etag), w->etag);
	blob_azure_token_write(w->token, &t);
	return 0;
}

int blob_azure_sync(struct blob_writer *base, struct err *err)
{
	struct azure_writer *w = (struct azure_writer *)base;

	if (check(w, err) < 0)
		return -1;
	/* What is staged shows at its commit only. */
	if (base->mode == BLOB_STAGE || !w->dirty)
		return 0;
	return commit_blocks(w, NULL, err) < 0 ? fail(w, err) : 0;
}

const char *blob_azure_token(const struct blob_writer *base)
{
	return ((const struct azure_writer *)base)->token;
}

static int set_meta(struct azure_writer *w, const struct blob_meta *meta, struct err *err)
{
	struct blob_azure_call c;

	blob_azure_call_init(&c, store_of(w), "PUT", w->base.key, "comp=metadata");
	blob_azure_meta_headers(&c.r.headers, meta);
	int rc = blob_azure_call_send(&c, err);
	if (rc == 0 && !blob_azure_call_ok(&c))
		rc = blob_azure_call_fail(&c, "write the metadata of", err);
	blob_azure_call_free(&c);
	return rc;
}

/*
 * 1: the blob that is there was made by a try of ${c} whose answer was lost: its bytes, just now.
 * 0: it was not. -1: that cannot be told now.
 */
static int is_done(const struct blob_azure_call *c, struct err *err)
{
	struct blob_azure_call head;
	unsigned char sum[DIGEST_MAX];
	struct buf text;
	uint64_t size;

	struct digest *d = digest_new("md5");
	digest_update(d, c->r.body, c->r.body_len);
	buf_init(&text, 2 * sizeof(sum));
	str_base64_encode(&text, sum, digest_final(d, sum));
	digest_free(d);
	blob_azure_call_init(&head, c->s, "HEAD", c->key, NULL);
	int done = -1;
	if (blob_azure_call_send(&head, err) == 0) {
		if (blob_azure_call_missing(&head))
			done = 0;
		else if (!blob_azure_call_ok(&head))
			blob_azure_call_fail(&head, "look at", err);
		else if (blob_azure_call_length(&head, &size, err) == 0)
			done = size == c->r.body_len && blob_azure_call_since(c, &head) &&
			       str_eq(net_headers_get(&head.a.headers, "Content-MD5"),
				       buf_str(&text));
	}
	blob_azure_call_free(&head);
	buf_free(&text);
	if (done < 0)
		err->code = ERR_UNAVAILABLE;
	return done;
}

/* The whole object in one request. */
static int put_blob(struct azure_writer *w, const struct blob_meta *meta, struct err *err)
{
	struct blob_azure_call c;

	blob_azure_call_init(&c, store_of(w), "PUT", w->base.key, NULL);
	c.r.body = blob_parts_gathered_data(w->parts);
	c.r.body_len = blob_parts_gathered(w->parts);
	net_headers_set(&c.r.headers, "x-ms-blob-type", "BlockBlob");
	net_headers_set(&c.r.headers, "Content-Type", "application/octet-stream");
	blob_azure_meta_headers(&c.r.headers, meta);
	blob_azure_call_if_match(&c, "");
	blob_azure_call_add_md5(&c);
	int rc = blob_azure_call_write(&c, err);
	if (rc < 0) {
		struct err ignored;
		rc = is_done(&c, &ignored) == 1 ? 0 : -1;
	} else if (blob_azure_call_refused(&c)) {
		int done = c.a.tries > 1 ? is_done(&c, err) : 0;
		if (done == 0)
			err_set(err, ERR_EXISTS, __func__, "%s exists", w->base.key);
		rc = done > 0 ? 0 : -1;
	} else if (!blob_azure_call_ok(&c)) {
		rc = blob_azure_call_fail(&c, "write", err);
	}
	blob_azure_call_free(&c);
	return rc;
}

static int commit_staged(struct azure_writer *w, const struct blob_meta *meta, struct err *err)
{
	if (blob_parts_gathered(w->parts) == w->base.offset)
		return put_blob(w, meta, err);
	if (blob_parts_send(w->parts, err) < 0 || blob_parts_settle(w->parts, err) < 0)
		return -1;
	return blob_azure_blocks_commit(store_of(w), w->base.key, &w->blocks, meta, w->etag, err);
}

int blob_azure_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err)
{
	struct azure_writer *w = (struct azure_writer *)base;
	int rc = check(w, err);

	if (rc == 0 && base->mode == BLOB_STAGE) {
		rc = commit_staged(w, meta, err);
	} else if (rc == 0 && (w->dirty || !w->etag[0])) {
		rc = commit_blocks(w, meta, err);
	} else if (rc == 0 && meta && meta->n > 0) {
		rc = set_meta(w, meta, err);
	}
	writer_free(w);
	return rc;
}

void blob_azure_end(struct blob_writer *base)
{
	writer_free((struct azure_writer *)base);
}
