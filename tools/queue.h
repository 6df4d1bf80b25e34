/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_QUEUE_H
#define DEX_TOOLS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

/* What a person does with the queue of deliveries: begin failed ones anew, look what would happen.
 */

struct app;
struct delivery_filter;
struct err;

/*
 * Queue failed deliveries that match ${f} again. One that cannot be queued is told on standard
 * error and counted in ${refused}. -1: the state store failed.
 */
int queue_retry(struct app *a, const struct delivery_filter *f, size_t *refused, struct err *err);
/*
 * Tell on standard output what a sweep would deliver now and where; ${failed}: failed ones too.
 * Changes nothing. -1: the state store failed.
 */
int queue_dry_run(
	struct app *a, const struct delivery_filter *f, bool failed, size_t limit, struct err *err);

#endif
