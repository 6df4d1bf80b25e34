/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_DELIVERY_COPY_H
#define DEX_DEX_DELIVERY_COPY_H

#include "core/base/buf.h"

#include <stdbool.h>

/*
 * The copying of one delivery: which name it takes in the target, and the bytes.
 *
 * The name is the resolved path template, or that name with `_{upload id}` where another file has
 * it. Before the bytes move, the name is noted in the state store. A later run of the same delivery
 * that finds a file of that name with the same content knows that it came from an earlier run (one
 * that died, or did not learn of its success) and leaves it as it is: delivered once. Without the
 * note a file of that name is somebody else's, whatever it contains.
 */

struct app;
struct blob_store;
struct delivery;
struct delivery_lease;
struct delivery_plan;
struct delivery_progress;
struct err;
struct upload;

enum delivery_copy_result {
	DELIVERY_COPY_DONE,
	DELIVERY_COPY_FAILED,     /* source or target: ${err} */
	DELIVERY_COPY_STOPPED,    /* the caller's stop answered true */
	DELIVERY_COPY_LOST,       /* the lease is another worker's now */
	DELIVERY_COPY_ERROR = -1, /* the state store failed: ${err} */
};

struct delivery_copy {
	struct app *app;
	const struct delivery *delivery;
	const struct upload *upload;
	const struct delivery_plan *plan;
	struct blob_store *target;
	struct delivery_lease *lease;
	const struct delivery_progress *progress; /* or NULL */

	/* filled in */
	struct buf key;  /* its name in the target; initialised and freed by the caller */
	char sha256[65]; /* "": not known (DEX_DELIVERY_CHECKSUM) */
	/* metadata keys that the target could not take; initialised and freed by the caller */
	struct buf left_out;
	bool moved; /* false: an earlier run had put it there */
	bool stopped;
};

enum delivery_copy_result delivery_copy_run(struct delivery_copy *c, struct err *err);

#endif
