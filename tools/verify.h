/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_VERIFY_H
#define DEX_TOOLS_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* dex-deliver --verify: read files again and hold them against what was recorded of them. */

struct app;
struct err;
struct progress;

struct verify_options {
	struct app *app;
	const char *upload; /* only this one, or NULL */
	int64_t since;      /* uploads of [since, until) in the order of struct upload_mark */
	int64_t until;
	double part;   /* of the uploads, chosen at random: 0 < part <= 1 */
	uint64_t seed; /* of the choice: the same one chooses the same uploads */
	size_t jobs;
	bool quiet; /* findings only */
	struct progress *progress;
};

enum verify_result {
	VERIFY_FINE,
	VERIFY_FOUND,   /* at least one file differs, is missing or cannot be read */
	VERIFY_STOPPED, /* asked to stop; nothing was found until then */
	VERIFY_BROKEN,  /* the state store failed: ${err} */
};

/*
 * A line on standard output and one in the log for each finding, a summary in the end, also when
 * stopped. Memory: a page of ids and a few MiB for each job.
 */
enum verify_result verify_run(const struct verify_options *o, struct err *err);

#endif
