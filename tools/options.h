/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_OPTIONS_H
#define DEX_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The command line of dex-deliver. */

struct options {
	const char *config;       /* dotenv file or NULL */
	const char *upload;       /* only this one, or NULL */
	const char *target;       /* only this one, or NULL */
	size_t jobs;              /* 0: as configured */
	size_t limit;             /* 0: none */
	const char *migrate_from; /* --migrate-state FROM TO, or NULL */
	const char *migrate_to;
	bool recover;
	bool watch;
	bool retry;
	bool drop_parked;
	bool verify;
	bool all;
	double sample; /* part of all uploads, 0: not given */
	uint64_t seed;
	bool seeded;
	bool report;
	bool csv;
	int64_t since; /* microseconds, 0: not given */
	int64_t until;
	bool list;
	bool json;
	bool dry_run;
	bool expire;
	bool quiet;
	bool verbose;
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_DONE,       /* --help or --version was answered on standard output */
	OPTIONS_WRONG = -1, /* told on standard error */
};

/* Strings point into ${argv}. */
enum options_result options_parse(int argc, char **argv, struct options *out);

#endif
