/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_LIST_H
#define DEX_TOOLS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct app;
struct delivery_filter;
struct err;

/*
 * Pending and failed deliveries, oldest first, then parked messages (not where ${f} names a target)
 * on standard output, at most ${limit} (0: all): tables with head lines (nothing at all when there
 * are none), or a JSON array. -1: the state store failed.
 */
int list_print(
	struct app *a, const struct delivery_filter *f, size_t limit, bool json, struct err *err);

#endif
