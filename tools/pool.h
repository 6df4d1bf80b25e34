/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_POOL_H
#define DEX_TOOLS_POOL_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Threads that deliver: until nothing is due, or (watching) until we are asked to stop. */

struct app;
struct delivery_filter;
struct listener;
struct pool;
struct progress;

struct pool_options {
	struct app *app;
	const struct delivery_filter *filter;
	struct progress *progress;
	size_t jobs;
	size_t limit; /* 0: none */
	bool watch;
	struct listener *listener; /* buses say what to deliver; NULL: the state does */
};

struct pool_result {
	size_t delivered;
	size_t failed;
	bool broken; /* the state store failed: ${err}; never while watching */
	struct err err;
};

/* ${o} and what it points to must outlive the pool. NULL + ${err} when no thread can be had. */
struct pool *pool_start(const struct pool_options *o, struct err *err);
/* Wait until all have ended; frees the pool. */
void pool_join(struct pool *p, struct pool_result *out);

#endif
