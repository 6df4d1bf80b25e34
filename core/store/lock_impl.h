/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_LOCK_IMPL_H
#define DEX_STORE_LOCK_IMPL_H

#include "core/store/lock.h"

struct lock_service { /* first member of the backend's own struct */
	const struct lock_backend *backend;
};

struct lock { /* first member of the backend's own struct */
	struct lock_service *svc;
	int wanted_fd; /* eventfd, see lock_fd */
	uint64_t fence;
	_Atomic int state; /* enum lock_state; see lock_base_set */
};

struct lock_backend {
	const char *name;
	/* As in struct state_backend: state and locks are kept at the same place. */
	const char *env;
	struct lock_service *(*open)(const char *where, struct err *err);
	void (*close)(struct lock_service *svc);
	/*
	 * One try without waiting: LOCK_OK, LOCK_BUSY (${err} may stay empty) or LOCK_ERROR. ${id}
	 * is a UUID. The new lock went through lock_base_init. ${row} (may be NULL) is left alone
	 * where the state is kept elsewhere.
	 */
	enum lock_result (*try_acquire)(struct lock_service *svc, const char *id,
		struct lock_row *row, struct lock **out, struct err *err);
	/* Ask the present holder of ${id} to let go; called again about every 500 ms while waiting.
	 */
	int (*request)(struct lock_service *svc, const char *id, struct err *err);
	void (*release)(struct lock *l); /* calls lock_base_end and frees */
	/*
	 * Set the state by the clock, without asking anybody: a process that was stopped for longer
	 * than its lease must learn of it before it writes, and before any thread had the time to
	 * tell. NULL: locks without leases.
	 */
	void (*look)(struct lock *l);
};

/* Fill the base members of a new lock; -1 when no eventfd can be had. */
int lock_base_init(struct lock *l, struct lock_service *svc, struct err *err);
void lock_base_end(struct lock *l);
/* The holder is to learn of ${state} (LOCK_WANTED, LOCK_LOST): any thread, while the lock lives. */
void lock_base_set(struct lock *l, enum lock_state state);

#endif
