/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_SWEEP_H
#define DEX_DEX_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * House-keeping: expiry of unfinished uploads, retention of delivered ones, removal of data whose
 * upload is gone, of stray files, of old tombstones. Its cost follows the work at hand.
 */

struct app;
struct err;

struct sweep_result {
	size_t expired; /* unfinished uploads made tombstones */
	size_t retired; /* delivered uploads past the retention */
	size_t removed; /* uploads whose data were removed from storage */
	size_t stray;   /* temporary files of dead processes */
	size_t purged;  /* old tombstones forgotten */
};

/*
 * Called for a stale upload all of whose bytes lie in storage though the state says otherwise (its
 * receiver died before the last transaction): bring it to the truth, which completes it where the
 * bytes are known good. The caller supplies it, for the life cycle is above this layer:
 * upload_take.
 */
typedef int sweep_settle_fn(struct app *a, const char *id, struct err *err);

/*
 * One pass. An upload that somebody works on (its lock is held) is left for the next pass. What
 * cannot be done for one upload is logged and left; -1 only when the state store fails.
 */
int sweep_run(struct app *a, sweep_settle_fn *settle, bool (*stop)(void *arg), void *arg,
	struct sweep_result *out, struct err *err);

#endif
