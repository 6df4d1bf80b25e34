/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_BLOB_FAULT_H
#define DEX_TEST_BLOB_FAULT_H

#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * A blob store in front of another one that fails on purpose. Without a plan it only passes on; a
 * copy into it is always read and appended, so that faults meet it on the way.
 */
struct blob_store;

enum blob_fault_op {
	BLOB_FAULT_BEGIN,
	BLOB_FAULT_APPEND,
	BLOB_FAULT_SYNC,
	BLOB_FAULT_COMMIT, /* the inner writer is ended instead */
	BLOB_FAULT_STAT,
	BLOB_FAULT_READ,
	BLOB_FAULT_DEL,
	BLOB_FAULT_LIST,
	BLOB_FAULT_SWEEP,
	BLOB_FAULT_PROBE,
	BLOB_FAULT_OPS,
};

/* Zero means "not". Bytes are those appended since the plan was set. */
struct blob_fault_plan {
	unsigned nth[BLOB_FAULT_OPS]; /* call number so and so of that kind fails, from 1 */
	enum err_code code;           /* with this error; ERR_NONE: ERR_IO */
	size_t short_write;           /* an append that fails stores so many of its bytes first */
	uint64_t space;               /* room for so many bytes, then ERR_NO_SPACE */
	uint64_t dead_after; /* after so many bytes every call fails with ERR_UNAVAILABLE */
	unsigned together; /* reads wait until so many were called; they fail where no more come */
};

/* The wrapper closes ${inner} when it is closed. Close it with blob_close. */
struct blob_store *blob_fault_open(struct blob_store *inner);
/* Set a plan and count from zero again; NULL: no faults. ${s} must be from blob_fault_open. */
void blob_fault_set(struct blob_store *s, const struct blob_fault_plan *plan);
/* Calls of that kind since the plan was set, failed ones included. */
unsigned blob_fault_calls(struct blob_store *s, enum blob_fault_op op);

/* The most reads that were there at once since the plan was set. */
unsigned blob_fault_reads_at_once(struct blob_store *s);

#endif
