/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/report.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/store/state.h"
#include "tools/human.h"
#include "tools/report_row.h"
#include "tools/report_totals.h"

#include <stdio.h>

#define PAGE 256

struct printing {
	enum report_form form;
	struct report_totals *totals;
	bool any;
};

static void print_one(void *arg, const struct report_row *row)
{
	struct printing *p = arg;
	report_totals_add(p->totals, row);
	if (p->form == REPORT_CSV)
		report_row_csv(row);
	if (p->form == REPORT_JSON)
		report_row_json(row, p->any ? "," : "");
	p->any = true;
}

static void head(enum report_form form, int64_t since, int64_t until)
{
	char from[HUMAN_SIZE];
	char to[HUMAN_SIZE];
	human_time(from, since);
	human_time(to, until);
	if (form == REPORT_TABLE)
		printf("Uploads from %s until %s (UTC); time from the last byte to the last "
		       "delivery, h:mm:ss\n\n",
			from, to);
	else if (form == REPORT_CSV)
		report_row_csv_head();
	else
		printf("{\"since\":\"%s\",\"until\":\"%s\",\"uploads\":[", from, to);
}

static void foot(const struct printing *p)
{
	if (p->form == REPORT_TABLE)
		report_totals_table(p->totals);
	if (p->form != REPORT_JSON)
		return;
	fputs("\n],\"totals\":[", stdout);
	report_totals_json(p->totals);
	fputs("\n]}\n", stdout);
}

int report_print(
	struct app *a, int64_t since, int64_t until, enum report_form form, struct err *err)
{
	struct printing p = {.form = form, .totals = report_totals_new()};
	struct upload_mark page[PAGE];
	struct upload_mark after = {.at = since};
	int n;
	int rc = 0;

	head(form, since, until);
	do {
		n = state_upload_scan_times(a->state, &after, until, page, PAGE, err);
		for (int i = 0; rc == 0 && i < n; i++)
			rc = report_row_read(a, page[i].id, print_one, &p, err);
		if (n > 0)
			after = page[n - 1];
	} while (rc == 0 && n > 0);
	if (n < 0)
		rc = -1;
	/* JSON that ends in the middle does not look like a whole report. */
	if (rc == 0)
		foot(&p);
	report_totals_free(p.totals);
	return rc;
}
