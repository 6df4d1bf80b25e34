/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/blob_copy.h"

#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/tasks.h"

#include <stdlib.h>

#define LOCAL_PIECE ((size_t)1 << 20)
#define REMOTE_PIECE ((size_t)8 << 20)
#define READS 4 /* of remote pieces, at once */
#define PROGRESS_STEP (UINT64_C(64) << 20)

struct copy {
	struct blob_writer *w;
	struct digest *sum; /* NULL when nobody wants it */
	const struct blob_progress *progress;
	uint64_t done;
	uint64_t next_progress;
	unsigned char *memory; /* for pieces */
	size_t size;           /* of the memory */
	struct tasks *tasks;   /* NULL until there is something to read ahead */
};

/* One piece of a source. */
struct piece {
	struct task task;
	const struct blob_source *src;
	uint64_t at;
	size_t want;
	unsigned char *data;
	ssize_t n; /* what blob_read answered, and its error */
	struct err err;
};

static unsigned char *reserve(struct copy *c, size_t size)
{
	if (c->size < size) {
		free(c->memory);
		c->memory = mem_alloc(size);
		c->size = size;
	}
	return c->memory;
}

static size_t piece_len(const struct blob_source *src, uint64_t at, size_t max)
{
	uint64_t left = src->size - at;

	return left < max ? (size_t)left : max;
}

static void read_piece(void *arg)
{
	struct piece *p = arg;

	p->n = blob_read(p->src->store, p->src->key, p->at, p->data, p->want, &p->err);
}

/* Write the piece that was read; pieces come in the order of the object. */
static int take_piece(struct copy *c, const struct piece *p, struct err *err)
{
	if (p->n < 0) {
		*err = p->err;
		return -1;
	}
	if ((size_t)p->n < p->want)
		return err_set(err, ERR_CORRUPT, __func__, "%s: %s ends at byte %llu of %llu",
			blob_name(p->src->store), p->src->key,
			(unsigned long long)p->at + (unsigned long long)p->n,
			(unsigned long long)p->src->size);
	if (c->sum)
		digest_update(c->sum, p->data, p->want);
	if (blob_append(c->w, p->data, p->want, err) < 0)
		return -1;
	c->done += p->want;
	if (c->progress && c->done >= c->next_progress) {
		c->next_progress = c->done + PROGRESS_STEP;
		if (c->progress->fn(c->progress->arg, c->done) < 0)
			return err_set(err, ERR_INTERRUPTED, __func__, "the copy was stopped");
	}
	return 0;
}

static int copy_in_turn(struct copy *c, const struct blob_source *src, size_t max, struct err *err)
{
	struct piece p = {.src = src, .data = reserve(c, piece_len(src, 0, max))};

	for (; p.at < src->size; p.at += p.want) {
		p.want = piece_len(src, p.at, max);
		read_piece(&p);
		if (take_piece(c, &p, err) < 0)
			return -1;
	}
	return 0;
}

static int copy_ahead(struct copy *c, const struct blob_source *src, struct err *err)
{
	struct piece ring[READS];
	/* In one block, which is too large for the heap: freeing it gives it back to the system. */
	unsigned char *memory = reserve(c, READS * REMOTE_PIECE);
	uint64_t asked = 0;
	uint64_t next = 0; /* piece to be taken */
	uint64_t end = 0;  /* pieces that were asked for */
	int rc = 0;

	if (!c->tasks)
		c->tasks = tasks_new(READS);
	while (rc == 0 && (next < end || asked < src->size)) {
		for (; end - next < READS && asked < src->size; end++) {
			struct piece *p = &ring[end % READS];
			*p = (struct piece){
				.task = {.fn = read_piece, .arg = p},
				.src = src,
				.at = asked,
				.want = piece_len(src, asked, REMOTE_PIECE),
				.data = memory + end % READS * REMOTE_PIECE,
			};
			asked += p->want;
			tasks_start(c->tasks, &p->task);
		}
		struct piece *p = &ring[next++ % READS];
		tasks_wait(&p->task);
		rc = take_piece(c, p, err);
	}
	while (next < end)
		tasks_wait(&ring[next++ % READS].task);
	return rc;
}

static int copy_one(struct copy *c, const struct blob_source *src, struct err *err)
{
	if (!blob_can(src->store, BLOB_CAP_REMOTE))
		return copy_in_turn(c, src, LOCAL_PIECE, err);
	if (src->size <= REMOTE_PIECE)
		return copy_in_turn(c, src, REMOTE_PIECE, err);
	return copy_ahead(c, src, err);
}

int blob_copy_generic(struct blob_store *dst, const char *key, const struct blob_source *src,
	size_t n, uint64_t total, const struct blob_meta *meta,
	const struct blob_progress *progress, char *sha256_hex, struct err *err)
{
	struct copy c = {.progress = progress, .next_progress = PROGRESS_STEP};
	int rc = 0;

	c.w = blob_begin(dst, key, BLOB_STAGE, 0, NULL, total, err);
	if (!c.w)
		return -1;
	blob_describe(c.w, meta);
	c.sum = sha256_hex ? digest_new("sha256") : NULL;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = copy_one(&c, &src[i], err);
	tasks_free(c.tasks);
	free(c.memory);
	if (rc < 0)
		blob_end(c.w);
	else
		rc = blob_commit(c.w, meta, err);
	if (rc == 0 && c.sum) {
		unsigned char out[DIGEST_MAX];
		str_hex(sha256_hex, out, digest_final(c.sum, out));
	}
	digest_free(c.sum);
	return rc;
}
