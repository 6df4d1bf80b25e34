/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_REPORT_ROW_H
#define DEX_TOOLS_REPORT_ROW_H

#include <stdint.h>

/* One upload as --report tells it, in each of its forms. */

struct app;
struct err;

struct report_row {
	const char *upload_id;
	const char *stream;
	const char *route;
	const char *sender;
	const char *filename;
	const char *state; /* unfinished, stored, pending, delivered, failed, expired, terminated */
	int64_t size;      /* bytes there are */
	int64_t begun_at;
	int64_t completed_at; /* 0: not */
	int64_t delivered_at; /* the last delivery; 0: not all are done */
	const char
		*targets; /* names of all, those that are not done with their state in brackets */
};
/* The row is only valid during the call. */
typedef void report_row_fn(void *arg, const struct report_row *row);

/* Read the upload; an unknown one, or a part, is none. 0 or -1. */
int report_row_read(struct app *a, const char *id, report_row_fn *fn, void *arg, struct err *err);

void report_row_csv_head(void);
void report_row_csv(const struct report_row *row);
/* ${before}: in front of it, "" or ",". */
void report_row_json(const struct report_row *row, const char *before);

#endif
