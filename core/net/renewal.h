/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_RENEWAL_H
#define DEX_NET_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A value that ends and is fetched anew before that: temporary keys, access tokens. One thread
 * fetches at a time; the others go on with the old value while it is valid and wait where there is
 * none. A failure is remembered for a while, so that a service which is down is not asked by every
 * request. Safe from any thread.
 */

struct err;
struct renewal;

struct renewal_ops {
	/*
	 * A new value and when it ends (wall clock, microseconds; 0: never); NULL + ${err}. Called
	 * by one thread at a time, no lock is held.
	 */
	void *(*fetch)(void *arg, int64_t *expires_at, struct err *err);
	/* Copy ${value} to ${out}, which the caller of renewal_get gave. */
	void (*copy)(const void *value, void *out);
	void (*drop)(void *value);
};
struct renewal_times {
	int64_t early_ms; /* a value is fetched anew so long before it ends */
	int64_t pause_ms; /* at least so long from one fetch to the next, unless it has ended */
};

/* ${ops} and ${arg} are borrowed. ${times} NULL: 5 minutes early, 5 seconds between fetches. */
struct renewal *renewal_new(
	const struct renewal_ops *ops, void *arg, const struct renewal_times *times);
void renewal_free(struct renewal *r); /* NULL is fine */

/* The value that is valid now, to ${out}. -1: the error of the last fetch. */
int renewal_get(struct renewal *r, void *out, struct err *err);
/*
 * The value was refused by who should take it: the next renewal_get fetches. false: it was fetched
 * less than ${pause_ms} ago, another one would not fare better.
 */
bool renewal_refused(struct renewal *r);
/* Forget value and failure: what they were made from has changed. */
void renewal_reset(struct renewal *r);

#endif
