/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_PROGRESS_H
#define DEX_TOOLS_PROGRESS_H

#include "core/dex/delivery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * What a person sees of running deliveries: on a terminal one bar over all copies that run, with
 * percent, rate and time left; and a plain line for each delivery that has ended.
 */

struct progress;

enum progress_lines {
	PROGRESS_LINES_NONE,
	PROGRESS_LINES_FAILURES,
	PROGRESS_LINES_ALL,
};

/* ${bar}: standard error is a terminal. ${jobs}: deliveries at once. */
struct progress *progress_new(size_t jobs, bool bar, enum progress_lines lines);
void progress_free(struct progress *p); /* NULL is fine */
/* The callbacks of worker number ${job}; valid as long as ${p}. */
struct delivery_progress progress_of(struct progress *p, size_t job, bool (*stop)(void *arg));
/* A line for the person, put above the bar. */
void progress_say(struct progress *p, FILE *to, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
