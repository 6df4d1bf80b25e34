/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_REPORT_TOTALS_H
#define DEX_TOOLS_REPORT_TOTALS_H

/* Sums of --report, one for each stream, sender and state. */

struct report_row;
struct report_totals;

struct report_totals *report_totals_new(void);
void report_totals_free(struct report_totals *t);
/*
 * Names come from senders: beyond some thousands of sums what is new is added to one of "(others)",
 * so that memory is bounded.
 */
void report_totals_add(struct report_totals *t, const struct report_row *row);

/* In the order of streams, senders, states. */
void report_totals_table(struct report_totals *t);
void report_totals_json(struct report_totals *t); /* elements of an array */

#endif
