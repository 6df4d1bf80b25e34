/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_REPORT_H
#define DEX_TOOLS_REPORT_H

#include <stdint.h>

/* dex-deliver --report: what was uploaded, for those whom it concerns. Times are UTC. */

struct app;
struct err;

enum report_form {
	REPORT_TABLE, /* totals by stream, sender and state */
	REPORT_CSV,   /* a line for each upload (RFC 4180) */
	REPORT_JSON,  /* {"since","until","uploads":[…],"totals":[…]} */
};

/*
 * Uploads of [since, until) in the order of struct upload_mark on standard output; parts that are
 * to be concatenated are left out. Rows are printed as they are read: memory is that of the totals.
 * 0, or -1 when the state store fails.
 */
int report_print(
	struct app *a, int64_t since, int64_t until, enum report_form form, struct err *err);

#endif
