/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to an S3 store. What fits into one part is one PutObject at the commit; more is a
 * multipart upload, begun with the first full part, several parts on their way at once.
 *
 * BLOB_RESUME: what is synced and too little for a part becomes a tail, and the token says where
 * everything is. The tail of the token before stays until the next sync shows that the newer token
 * was kept. Parts that were sent beyond the token are overwritten by those who go on from it; that
 * no overtaken writer has overwritten any of ours is seen from the token's chain at the commit.
 *
 * A writer that finds the object complete, because the one before it died after its commit, only
 * compares what it is given with what is there.
 */
#include "backends/blob_s3_upload.h"

#include "backends/blob_parts.h"
#include "backends/blob_s3_list.h"
#include "backends/blob_s3_meta.h"
#include "backends/blob_s3_multipart.h"
#include "backends/blob_s3_object.h"
#include "backends/blob_s3_size.h"
#include "backends/blob_s3_tail.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20)

struct s3_writer {
	struct blob_writer base;
	struct blob_s3_store *s;
	char *key;
	enum blob_mode mode;
	uint64_t hint; /* expected size, 0: unknown */

	struct blob_s3_token kept; /* as `state` has it, or is about to */
	char token[BLOB_S3_TOKEN_MAX];
	uint64_t synced; /* the offset that it is for */

	struct blob_s3_token now; /* parts that have arrived */
	uint32_t resumed;         /* of them: sent by writers before, their ETags unknown */
	char resumed_chain[BLOB_S3_TOKEN_NAME];
	struct blob_s3_etags etags; /* of the parts after those */
	struct blob_parts *parts;   /* NULL while there is nothing to gather */
	size_t part_size;           /* of `parts` */
	uint32_t sent;              /* parts that have arrived or are on their way */
	uint64_t sent_bytes;
	uint32_t room_until; /* parts of part_size are cut up to this number */

	struct net_headers meta;
	bool described;
	bool complete; /* the object is there, with all its `size` bytes */
	uint64_t size;
};

static struct s3_writer *writer_of(struct blob_writer *base)
{
	return (struct s3_writer *)base;
}

static void writer_free(struct s3_writer *w)
{
	blob_parts_free(w->parts);
	blob_s3_multipart_free_etags(&w->etags);
	net_headers_free(&w->meta);
	free(w->key);
	free(w);
}

/* Run by the store's tasks. */
static int put_part(void *arg, struct blob_part *p, struct err *err)
{
	const struct s3_writer *w = arg;

	return blob_s3_multipart_put(
		w->s, w->key, w->now.upload, p->number, p->data, p->len, p->tag, err);
}

static void part_arrived(void *arg, const struct blob_part *p)
{
	struct s3_writer *w = arg;

	blob_s3_token_chain(w->now.chain, p->number, p->len, p->tag);
	blob_s3_multipart_add_etag(&w->etags, p->tag);
	w->now.parts = p->number;
	w->now.bytes += p->len;
}

static size_t gathered(const struct s3_writer *w)
{
	return w->parts ? blob_parts_gathered(w->parts) : 0;
}

/*
 * That the multipart upload is not there any more is our affair, and not an answer of this
 * interface: bytes that were acknowledged are lost, or a delivery has to begin anew.
 */
static int without_gone(const struct s3_writer *w, int rc, struct err *err)
{
	if (rc < 0 && err->code == ERR_GONE)
		err->code = w->mode == BLOB_RESUME ? ERR_CORRUPT : ERR_UNAVAILABLE;
	return rc;
}

static int settle(struct s3_writer *w, struct err *err)
{
	return w->parts ? blob_parts_settle(w->parts, err) : 0;
}

/* Begin to gather, in parts of the size that suits the number of the next one. */
static int open_parts(struct s3_writer *w, struct err *err)
{
	if (w->sent >= BLOB_S3_TOKEN_PARTS_MAX)
		return err_set(err, ERR_TOO_LARGE, __func__, "%s has too many parts", w->key);
	w->part_size = blob_s3_size_of_part(
		w->s->part_size, w->sent, w->sent_bytes, w->hint, &w->room_until);
	struct blob_parts_options o = {
		.tasks = w->s->tasks,
		.part_size = w->part_size,
		.in_flight = blob_s3_size_in_flight(w->part_size, w->s->in_flight),
		.put = put_part,
		.arrived = part_arrived,
		.arg = w,
	};
	w->parts = blob_parts_new(&o, w->sent_bytes, w->sent + 1);
	return 0;
}

/* At the latest now there must be a multipart upload. */
static int open_upload(struct s3_writer *w, struct err *err)
{
	if (w->now.upload[0])
		return 0;
	/* What lies there was left by a run of the same delivery that died. */
	if (w->mode == BLOB_STAGE)
		blob_s3_multipart_abort_others(w->s, w->key, NULL);
	return blob_s3_multipart_create(w->s, w->key, &w->meta, w->now.upload, err);
}

/* Count the parts that have gone since ${before} bytes were gathered, ${more} came and went by. */
static void count_sent(struct s3_writer *w, size_t before, size_t more)
{
	size_t gone = before + more - gathered(w);

	w->sent_bytes += gone;
	w->sent += (uint32_t)(gone / w->part_size + (gone % w->part_size > 0));
}

/* Send what is gathered, as a part. */
static int send_rest(struct s3_writer *w, struct err *err)
{
	size_t before = gathered(w);

	if (before == 0)
		return 0;
	if (open_upload(w, err) < 0 || blob_parts_send(w->parts, err) < 0)
		return -1;
	count_sent(w, before, 0);
	return 0;
}

/* Take bytes, without a word about the writer's offset. */
static int gather(struct s3_writer *w, const char *data, size_t len, struct err *err)
{
	while (len > 0) {
		if (!w->parts && open_parts(w, err) < 0)
			return -1;
		size_t before = gathered(w);
		uint64_t room = (uint64_t)(w->room_until - w->sent) * w->part_size - before;
		size_t n = len < room ? len : (size_t)room;
		if (n == 0) {
			/* Larger parts from here on. */
			if (settle(w, err) < 0)
				return -1;
			blob_parts_free(w->parts);
			w->parts = NULL;
			continue;
		}
		if (before + n >= w->part_size && open_upload(w, err) < 0)
			return -1;
		if (blob_parts_append(w->parts, data, n, err) < 0)
			return -1;
		count_sent(w, before, n);
		data += n;
		len -= n;
	}
	return 0;
}

/* 1: the object is there and has the bytes up to ${offset}: it was committed. 0: no. */
static int find_complete(struct s3_writer *w, uint64_t offset, struct err *err)
{
	struct blob_stat st;

	if (blob_s3_object_stat(w->s, w->key, &st, err) < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	if (st.size < offset)
		return 0;
	w->complete = true;
	w->size = st.size;
	return 1;
}

/* Get the first ${len} bytes of the token's tail. ERR_NOT_FOUND: it is not there. */
static int load_tail(struct s3_writer *w, uint64_t len, struct err *err)
{
	char *piece = mem_alloc(PIECE);
	uint64_t at = 0;
	int rc = 0;

	while (rc == 0 && at < len) {
		size_t want = len - at < PIECE ? (size_t)(len - at) : PIECE;
		ssize_t n = blob_s3_tail_read(w->s, w->key, w->kept.tail, at, piece, want, err);
		if (n < 0)
			rc = -1;
		else if ((size_t)n < want)
			rc = err_set(
				err, ERR_CORRUPT, __func__, "%s: its tail is too short", w->key);
		else
			rc = gather(w, piece, want, err);
		at += want;
	}
	free(piece);
	return rc;
}

/* Go on at ${offset}, where ${token}, which is parsed as w->kept, says. */
static int resume(struct s3_writer *w, uint64_t offset, struct err *err)
{
	const struct blob_s3_token *t = &w->kept;

	if (t->whole || t->upload[0]) {
		int found = find_complete(w, offset, err);
		if (found != 0)
			return found < 0 ? -1 : 0;
		if (t->whole)
			return err_set(err, ERR_CORRUPT, __func__, "%s is missing", w->key);
	}
	if (offset < t->bytes || offset - t->bytes > t->tail_len)
		return err_set(err, ERR_CORRUPT, __func__,
			"%s: its token is for the bytes %llu to %llu, not %llu", w->key,
			(unsigned long long)t->bytes, (unsigned long long)t->bytes + t->tail_len,
			(unsigned long long)offset);
	w->now = *t;
	w->resumed = t->parts;
	memcpy(w->resumed_chain, t->chain, sizeof(w->resumed_chain));
	w->sent = t->parts;
	w->sent_bytes = t->bytes;
	if (load_tail(w, offset - t->bytes, err) == 0)
		return 0;
	if (err->code != ERR_NOT_FOUND)
		return -1;
	int found = t->upload[0] ? 0 : find_complete(w, offset, err);
	if (found == 0)
		return err_set(err, ERR_CORRUPT, __func__, "%s: its tail is missing", w->key);
	return found < 0 ? -1 : 0;
}

struct blob_writer *blob_s3_upload_begin(struct blob_store *base, const char *key,
	enum blob_mode mode, uint64_t offset, const char *token, uint64_t size_hint,
	struct err *err)
{
	struct s3_writer *w;

	if (size_hint > BLOB_S3_SIZE_MAX) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s would be larger than 5 TiB", key);
		return NULL;
	}
	w = mem_zalloc(sizeof(*w));
	w->s = (struct blob_s3_store *)base;
	w->key = mem_strdup(key);
	w->mode = mode;
	w->hint = size_hint;
	w->synced = offset;
	net_headers_init(&w->meta);
	blob_s3_token_init(&w->now);
	blob_s3_token_init(&w->kept);
	if (token && *token && blob_s3_token_parse(token, &w->kept) < 0) {
		err_set(err, ERR_CORRUPT, __func__, "%s: its token is malformed", key);
		goto fail;
	}
	if (offset == 0)
		return &w->base;
	if (!token || !*token) {
		err_set(err, ERR_CORRUPT, __func__, "%s: no token for byte %llu", key,
			(unsigned long long)offset);
		goto fail;
	}
	blob_s3_token_write(&w->kept, w->token);
	if (resume(w, offset, err) < 0)
		goto fail;
	return &w->base;

fail:
	writer_free(w);
	return NULL;
}

void blob_s3_upload_describe(struct blob_writer *base, const struct blob_meta *meta)
{
	struct s3_writer *w = writer_of(base);

	if (!meta || w->described)
		return;
	if (w->now.upload[0])
		blob_s3_meta_leave_out(meta);
	else
		blob_s3_meta_headers(meta, &w->meta);
	w->described = true;
}

/* The bytes must be those that are there already. */
static int compare(
	const struct s3_writer *w, uint64_t offset, const char *data, size_t len, struct err *err)
{
	char *there = mem_alloc(PIECE);
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < len;) {
		size_t want = len - at < PIECE ? len - at : PIECE;
		ssize_t n = blob_s3_object_read(w->s, w->key, offset + at, there, want, err);
		if (n < 0)
			rc = -1;
		else if ((size_t)n < want || memcmp(there, data + at, want) != 0)
			rc = err_set(err, ERR_CORRUPT, __func__,
				"%s is complete, and its bytes are others", w->key);
		at += want;
	}
	free(there);
	return rc;
}

int blob_s3_upload_append(struct blob_writer *base, const void *data, size_t len, struct err *err)
{
	struct s3_writer *w = writer_of(base);

	if (base->offset > BLOB_S3_SIZE_MAX || len > BLOB_S3_SIZE_MAX - base->offset)
		return err_set(
			err, ERR_TOO_LARGE, __func__, "%s would be larger than 5 TiB", w->key);
	int rc = w->complete ? compare(w, base->offset, data, len, err) : gather(w, data, len, err);

	if (rc == 0)
		base->offset += len;
	return without_gone(w, rc, err);
}

int blob_s3_upload_sync(struct blob_writer *base, struct err *err)
{
	struct s3_writer *w = writer_of(base);

	if (w->mode == BLOB_STAGE || base->offset == w->synced)
		return 0;
	if (w->complete) {
		struct blob_s3_token whole = {.whole = 1, .bytes = w->size};
		blob_s3_token_write(&whole, w->token);
		w->synced = base->offset;
		return 0;
	}
	/* That we are called again shows that the token of the last time was kept. */
	blob_s3_tail_del(w->s, w->key, w->kept.old_tail);
	w->kept.old_tail[0] = '\0';
	if (gathered(w) >= blob_s3_size_of_synced(w->sent, w->sent_bytes, w->hint) &&
		send_rest(w, err) < 0)
		return without_gone(w, -1, err);
	if (settle(w, err) < 0)
		return without_gone(w, -1, err);
	struct blob_s3_token next = w->now;
	next.tail[0] = '\0';
	next.tail_len = gathered(w);
	if (next.tail_len > 0 && blob_s3_tail_put(w->s, w->key, blob_parts_gathered_data(w->parts),
					 (size_t)next.tail_len, next.tail, err) < 0)
		return -1;
	/* An upload that was begun for parts that did not come to be is none yet. */
	if (next.parts == 0)
		next.upload[0] = '\0';
	memcpy(next.old_tail, w->kept.tail, sizeof(next.old_tail));
	w->kept = next;
	blob_s3_token_write(&next, w->token);
	w->synced = base->offset;
	return 0;
}

const char *blob_s3_upload_token(const struct blob_writer *base)
{
	return ((const struct s3_writer *)base)->token;
}

struct recall {
	const struct s3_writer *w;
	struct blob_s3_etags etags;
	char chain[BLOB_S3_TOKEN_NAME];
};

static int recall_part(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	struct recall *r = arg;
	(void)err;

	if (r->etags.n == r->w->resumed)
		return 1;
	/* A part is missing: the chain will tell. */
	if (item->number != r->etags.n + 1)
		return 1;
	blob_s3_token_chain(r->chain, item->number, item->size, item->etag);
	blob_s3_multipart_add_etag(&r->etags, item->etag);
	return 0;
}

/* Learn the ETags of the parts that writers before us have sent, ahead of our own. */
static int recall_parts(struct s3_writer *w, struct err *err)
{
	struct blob_s3_token start;
	struct recall r = {.w = w};

	if (w->resumed == 0)
		return 0;
	blob_s3_token_init(&start);
	memcpy(r.chain, start.chain, sizeof(r.chain));
	int rc = blob_s3_list_parts(w->s, w->key, w->now.upload, recall_part, &r, err);
	if (rc == 0 && (r.etags.n != w->resumed || strcmp(r.chain, w->resumed_chain) != 0))
		rc = err_set(err, ERR_CORRUPT, __func__, "%s: parts of it were lost or overwritten",
			w->key);
	for (size_t i = 0; rc == 0 && i < w->etags.n; i++)
		blob_s3_multipart_add_etag(&r.etags, w->etags.items[i]);
	if (rc == 0) {
		struct blob_s3_etags own = w->etags;
		w->etags = r.etags;
		r.etags = own;
	}
	blob_s3_multipart_free_etags(&r.etags);
	return rc;
}

static int commit_parts(struct s3_writer *w, uint64_t size, bool fresh, struct err *err)
{
	if (send_rest(w, err) < 0 || settle(w, err) < 0)
		return -1;
	if (recall_parts(w, err) < 0)
		return -1;
	return blob_s3_multipart_complete(w->s, w->key, w->now.upload, &w->etags, size, fresh, err);
}

static int commit_new(struct s3_writer *w, const struct blob_meta *meta, struct err *err)
{
	bool fresh = w->mode == BLOB_STAGE;
	uint64_t size = w->base.offset;

	blob_s3_upload_describe(&w->base, meta);
	if (w->now.upload[0]) {
		int rc = commit_parts(w, size, fresh, err);
		struct err ignored;
		/* Gone with the commit of a writer that died before it could tell. */
		if (rc < 0 && err->code == ERR_GONE && !fresh &&
			find_complete(w, size, &ignored) == 1 && w->size == size)
			return 0;
		return without_gone(w, rc, err);
	}
	const void *data = w->parts ? blob_parts_gathered_data(w->parts) : NULL;
	return blob_s3_object_put(w->s, w->key, data, gathered(w), &w->meta, fresh, err);
}

int blob_s3_upload_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err)
{
	struct s3_writer *w = writer_of(base);
	int rc;

	if (!w->complete)
		rc = commit_new(w, meta, err);
	else if (w->size == base->offset)
		rc = 0;
	else
		rc = err_set(err, ERR_CORRUPT, __func__, "%s is complete, and longer", w->key);
	if (rc < 0) {
		blob_s3_upload_end(base);
		return -1;
	}
	if (w->mode == BLOB_STAGE && w->now.upload[0])
		blob_s3_multipart_abort_others(w->s, w->key, w->now.upload);
	blob_s3_tail_del(w->s, w->key, w->kept.old_tail);
	blob_s3_tail_del(w->s, w->key, w->kept.tail);
	writer_free(w);
	return 0;
}

void blob_s3_upload_end(struct blob_writer *base)
{
	struct s3_writer *w = writer_of(base);

	/* Parts on their way would come to be after the upload was aborted. */
	blob_parts_free(w->parts);
	w->parts = NULL;
	if (w->mode == BLOB_STAGE && w->now.upload[0]) {
		struct err ignored; /* the next run of the delivery aborts it */
		(void)blob_s3_multipart_abort(w->s, w->key, w->now.upload, &ignored);
	}
	writer_free(w);
}
