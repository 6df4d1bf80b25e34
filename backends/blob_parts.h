/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_PARTS_H
#define DEX_BACKENDS_BLOB_PARTS_H

#include "core/base/tasks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How object stores take a stream: bytes are gathered into parts, full parts are sent by the tasks
 * of the store, several at once, while the next one is gathered. Memory: (in_flight + 1) parts of
 * part_size bytes, taken page by page as they fill, used again for the parts that follow, given
 * back by blob_parts_settle; only what is gathered then stays.
 *
 * One thread uses a struct blob_parts; `put` is called by the store's tasks, several at once.
 */

struct err;
struct blob_parts;

struct blob_part {
	uint32_t number; /* as given by next_number at the time the part was full */
	uint64_t offset; /* of its first byte in the object */
	const void *data;
	size_t len;
	char tag[96]; /* what the store answers: ETag, block id; filled in by put */
};

struct blob_parts_options {
	struct tasks *tasks;
	size_t part_size;
	size_t in_flight; /* parts on their way at once, 1 at least */
	/* Send one part; its tag into ${p}->tag. Repeats on its own what may be repeated. */
	int (*put)(void *arg, struct blob_part *p, struct err *err);
	/*
	 * Called in the order of the object, by the thread that uses the parts, for each part that
	 * arrived, as soon as all before it have. ${p}->data is no longer there.
	 */
	void (*arrived)(void *arg, const struct blob_part *p);
	void *arg;
};

/* ${offset}, ${number}: of the first byte and the first part. */
struct blob_parts *blob_parts_new(
	const struct blob_parts_options *o, uint64_t offset, uint32_t number);
void blob_parts_free(struct blob_parts *p); /* waits for parts on their way; NULL is fine */
/*
 * Take all of ${len} bytes, waiting for the oldest part on its way where there are in_flight of
 * them. -1: a part failed and the object cannot be finished; the first failure in its order stays,
 * and this, blob_parts_send and blob_parts_settle answer it from then on.
 */
int blob_parts_append(struct blob_parts *p, const void *data, size_t len, struct err *err);
/* Bytes that are gathered and not yet on their way; blob_parts_gathered_data shows them. */
size_t blob_parts_gathered(const struct blob_parts *p);
const void *blob_parts_gathered_data(const struct blob_parts *p);
/* Send what is gathered as a part, however small; nothing gathered is no part. */
int blob_parts_send(struct blob_parts *p, struct err *err);
/* Wait until every part on its way has arrived. -1 + the first failure, which stays. */
int blob_parts_settle(struct blob_parts *p, struct err *err);
/* Forget what is gathered and give its memory back. */
void blob_parts_drop_gathered(struct blob_parts *p);

#endif
