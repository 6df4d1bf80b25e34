/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_VERIFY_CHECK_H
#define DEX_TOOLS_VERIFY_CHECK_H

#include "core/dex/delivery.h"

#include <stdint.h>

/*
 * One upload held against what was recorded of it: its data in upload storage, as long as they are
 * kept, and each file that was delivered. Everything is read, in pieces; nothing is written.
 */

struct app;
struct err;

enum verify_verdict {
	VERIFY_SAME,       /* the sum that was recorded when it was delivered */
	VERIFY_UNRECORDED, /* readable and of the right size, but there is no sum to go by */
	VERIFY_DIFFERS,
	VERIFY_MISSING,
	VERIFY_UNREADABLE, /* cannot be judged: no access, service down, target no longer there */
	VERIFY_VERDICTS
};

struct verify_finding { /* of a file that is not as it should be; valid during the call */
	enum verify_verdict verdict;
	const char *upload_id;
	const char *place; /* name of the target, or "upload storage" */
	const char *location;
	const char *text; /* what differs, or the cause */
};

struct verify_tally {
	uint64_t uploads;
	uint64_t bytes;
	uint64_t files[VERIFY_VERDICTS];
};

struct verify_watcher {
	void (*found)(void *arg, const struct verify_finding *f);
	void *arg;
	const struct delivery_progress *progress; /* its stop ends the work between two pieces */
};

/*
 * Check upload ${id} and add to ${tally}. One that is not complete, or not known, has nothing to be
 * checked. What changes meanwhile (delivered anew, retired) is no finding. Where no sum is recorded
 * for an upload its files are held against each other: they may differ, but are never called the
 * same. 0; 1 where it was stopped; -1 when the state store fails.
 */
int verify_check(struct app *a, const char *id, const struct verify_watcher *w,
	struct verify_tally *tally, struct err *err);

#endif
