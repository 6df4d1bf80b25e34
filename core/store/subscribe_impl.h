/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_SUBSCRIBE_IMPL_H
#define DEX_STORE_SUBSCRIBE_IMPL_H

#include "core/store/subscribe.h"

/*
 * For implementers of a bus. The wrapper (subscribe.c) renews locks, logs and puts the subscriber's
 * name before errors; a backend contains only the bus. Meaning and errors of each slot:
 * subscribe.h. ${err} is never NULL. Slots are called from several threads at once.
 */

struct subscriber { /* first member of the backend's own struct */
	const struct subscribe_backend *backend;
	char *name;
	size_t batch; /* set by open: SUBSCRIBER_MAX_MESSAGES and the like */
	struct subscribe_keeper *keeper;
};

/* First member of the backend's own struct; made by receive, freed by drop. */
struct subscribe_held {
	struct subscribe_message m;
	/*
	 * When the lock runs out and how long it lasts from its renewal, by clock_mono_ms(), set by
	 * receive and renew. 0: it is never renewed.
	 */
	int64_t locked_until;
	int64_t lock_ms;
	/* of the wrapper */
	int64_t renew_at;
	bool renewing;
	struct subscribe_held *next;
};

struct subscribe_backend {
	const char *type; /* "service-bus", "sqs" */
	const char *env;  /* the variable that, set, makes dex-deliver take events from here */
	const char *const *settings; /* further variables, ends with NULL; NULL: none */
	struct subscriber *(*open)(const struct subscribe_place *place, struct err *err);
	void (*close)(struct subscriber *s);
	int (*receive)(struct subscriber *s, size_t max, int64_t wait_ms, bool (*stop)(void *arg),
		void *arg, struct subscribe_held **out, struct err *err);
	/*
	 * ERR_GONE: the lock is lost, there is no point in asking again; other errors: try again
	 * while it lasts.
	 */
	int (*renew)(struct subscriber *s, struct subscribe_held *m, struct err *err);
	int (*complete)(struct subscriber *s, struct subscribe_held *m, struct err *err);
	int (*abandon)(struct subscriber *s, struct subscribe_held *m, struct err *err);
	int (*dead_letter)(struct subscriber *s, struct subscribe_held *m, const char *reason,
		struct err *err);
	void (*drop)(struct subscribe_held *m); /* free it, asking nobody */
	int (*probe)(struct subscriber *s, struct err *err);
};

#endif
