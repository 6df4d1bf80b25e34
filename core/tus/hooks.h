/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TUS_HOOKS_H
#define DEX_TUS_HOOKS_H

#include "core/base/json.h"
#include "core/store/state.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What the data exchange does at the turning points of an upload, as seen from the life cycle. The
 * functions behind it are in core/dex/intake.c; partial uploads never come here.
 */

struct app;
struct err;
struct notify_batch;

#define HOOKS_TARGETS_MAX 64

struct upload_hooks {
	/*
	 * Before creation: check the metadata of ${u} (id and created_at are set). Accepted: 0,
	 * u->manifest filled, the creation's reports added to ${b} (they are sent once the upload
	 * exists). Refused: -1 with ERR_INVALID and ${rejection} (a JSON body for the client, owned
	 * by the caller), its two reports added to ${b}. Configurations unreadable: -1 with another
	 * code.
	 */
	int (*check)(struct app *a, const json_t *metadata, struct upload *u,
		struct notify_batch *b, json_t **rejection, struct err *err);
	/*
	 * Bytes have arrived: at most once a second while they do, and at the end of a PATCH.
	 * Before the transaction that moves the offset to that of ${u}: messages of it into ${b}.
	 */
	void (*progress)(struct app *a, const struct upload *u, struct notify_batch *b);
	/*
	 * The last byte, before the transaction: names of the targets (borrowed) into ${targets},
	 * at most HOOKS_TARGETS_MAX, messages of the completion into ${b}. Returns the number of
	 * targets.
	 */
	size_t (*complete)(struct app *a, const struct upload *u, int64_t now, const char **targets,
		struct notify_batch *b);
	/* Expired or terminated before it was complete, before the transaction: the last message.
	 */
	void (*ended)(struct app *a, const struct upload *u, const char *why, int64_t now,
		struct notify_batch *b);
};

#endif
