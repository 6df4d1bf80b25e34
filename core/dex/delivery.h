/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_DELIVERY_H
#define DEX_DEX_DELIVERY_H

#include "core/base/json.h"
#include "core/store/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Delivery of finished uploads to their targets: lease one pending delivery, copy, record the
 * outcome with its report in one transaction. Any number of processes may do so at once.
 */

struct app;
struct err;

enum delivery_outcome {
	DELIVERY_NOTHING_DUE,
	DELIVERY_OK,        /* delivered */
	DELIVERY_RETRIED,   /* failed, another try is planned */
	DELIVERY_GIVEN_UP,  /* failed for good */
	DELIVERY_STOPPED,   /* given back as ${stop} asked, or another worker took it over */
	DELIVERY_ERROR = -1 /* state store out of reach: ${err} */
};

struct delivery_progress { /* what a progress display needs; all callbacks may be NULL */
	void (*started)(void *arg, const char *upload_id, const char *target, int64_t size);
	void (*moved)(void *arg, int64_t done, int64_t size);
	void (*ended)(void *arg, const char *upload_id, const char *target, enum delivery_outcome o,
		const char *text); /* location or cause */
	bool (*stop)(void *arg);
	void *arg;
};

/*
 * Deliver the one that has been due longest and matches ${f} (may be NULL). ${owner}: name of this
 * worker, unique among all that run. The lease is renewed while bytes move.
 */
enum delivery_outcome delivery_run_one(struct app *a, const struct delivery_filter *f,
	const char *owner, const struct delivery_progress *progress, struct err *err);

/* As delivery_run_one, of those that have been due for ${overdue_ms}, or leased so long too long.
 */
enum delivery_outcome delivery_run_overdue(struct app *a, int64_t overdue_ms, const char *owner,
	const struct delivery_progress *progress, struct err *err);

/*
 * What is to be done when an upload completes: names of its targets into ${targets} (borrowed from
 * the routing table, at most ${max}); returns their number. A stream with no group: 0, logged.
 * ${manifest}: that of ${u}, NULL where it has none.
 */
size_t delivery_targets(struct app *a, const struct upload *u, const json_t *manifest,
	const char **targets, size_t max);
/* Add the FileReady event for ${target} to ${b}. */
struct notify_batch;
void delivery_event(struct app *a, const struct upload *u, json_t *manifest, const char *target,
	struct notify_batch *b);
/*
 * Queue (again) the delivery of ${u} to ${target}, with its event: POST /route and --retry.
 * STATE_NOT_FOUND here means: no such target, or it is not in the stream's routing group (${err}
 * tells).
 */
enum state_result delivery_queue(
	struct app *a, const struct upload *u, const char *target, struct err *err);

#endif
