/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_PARKED_H
#define DEX_TOOLS_PARKED_H

#include <stdbool.h>
#include <stddef.h>

/* What a person does with parked messages (state_outbox_park): look, send again, let go. */

struct app;
struct err;

enum parked_act { PARKED_SEND_AGAIN, PARKED_DROP };

/*
 * Do it with all parked messages (${upload_id} NULL) or those of an upload, and tell each on
 * standard output; ${dry_run}: tell only. -1: the state store failed.
 */
int parked_do(struct app *a, enum parked_act act, const char *upload_id, bool dry_run, bool quiet,
	struct err *err);

/*
 * Rows for --list, behind ${n} others: lines under a head of their own, or further objects of the
 * JSON array; at most ${limit} (0: all). Returns their number or -1.
 */
int parked_list(
	struct app *a, const char *upload_id, bool json, size_t n, size_t limit, struct err *err);

#endif
