/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_LOCK_H
#define DEX_STORE_LOCK_H

#include "core/store/state.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One holder per upload, across threads, processes and (with a shared backend) hosts. The lock only
 * avoids wasted work and lets a newcomer ask the holder to yield; the real guard is the
 * compare-and-set of `state` with the fencing token.
 */

struct lock_backend;
struct lock_service;
struct lock;
struct err;

enum lock_result {
	LOCK_OK = 0,
	LOCK_BUSY = 1,   /* still held by another when the time was over; ${err} is ERR_LOCKED */
	LOCK_ERROR = -1, /* the lock service failed; ${err} tells */
};

enum lock_state {
	LOCK_KEPT,   /* ours, go on */
	LOCK_WANTED, /* ours, but a newcomer waits: finish or yield soon */
	LOCK_LOST,   /* no longer ours (lease ran out): write nothing more */
};

/* ${where}: directory (file locks) or connection string. */
struct lock_service *lock_open(
	const struct lock_backend *backend, const char *where, struct err *err);
void lock_close(struct lock_service *svc); /* NULL is fine; no lock may be held */

/*
 * The upload's row, read in the same step as its lock was taken, which saves a question where both
 * are kept in one place. Zeroed at first.
 */
struct lock_row {
	bool read; /* false: it could not be had this way, state_upload_get tells */
	bool found;
	struct upload upload; /* if found; the caller frees it with upload_free */
};

/*
 * Take the lock of ${id}. ${wait_ms} 0: only if it is free, the holder is not disturbed. Otherwise
 * the holder is asked to let go, and asked again now and then, until the time is over.
 * The lock is freed when its holder's process dies (kernel locks) or its lease runs out. ${row} may
 * be NULL; it is only filled with LOCK_OK.
 */
enum lock_result lock_acquire(struct lock_service *svc, const char *id, int64_t wait_ms,
	struct lock_row *row, struct lock **out, struct err *err);
/*
 * Free the lock, which a change may have done before (struct upload_change): it is to be called in
 * any case. NULL is fine.
 */
void lock_release(struct lock *l);
/*
 * Cheap: no system call in the common case. Call between pieces of work, and right before what only
 * the holder may do.
 */
enum lock_state lock_renew(struct lock *l);
/*
 * A descriptor that becomes readable when lock_renew would no longer answer LOCK_KEPT, for poll(2)
 * beside a client's socket. Valid until lock_release; never read from it.
 */
int lock_fd(const struct lock *l);
/* Fencing token: greater for every later holder; constant 0 where the kernel rules out stale
 * holders. */
uint64_t lock_fence(const struct lock *l);

#endif
