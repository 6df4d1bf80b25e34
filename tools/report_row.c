/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/report_row.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/dex/delivery_plan.h"
#include "core/dex/manifest.h"
#include "core/store/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TARGETS_MAX 8192
#define ROW_MAX ((size_t)1 << 20)

/* --- reading --- */

struct deliveries {
	size_t n, pending, failed;
	int64_t last;
	struct buf targets;
};

static int see_delivery(void *arg, const struct delivery *d)
{
	struct deliveries *all = arg;
	(void)buf_printf(&all->targets, "%s%s%s", all->n > 0 ? " " : "", d->target,
		d->status == DELIVERY_DONE      ? ""
		: d->status == DELIVERY_PENDING ? "(pending)"
						: "(failed)");
	all->n++;
	all->pending += d->status == DELIVERY_PENDING;
	all->failed += d->status == DELIVERY_FAILED;
	if (d->ended_at > all->last)
		all->last = d->ended_at;
	return 0;
}

static const char *state_of(const struct upload *u, const struct deliveries *d)
{
	switch (u->status) {
	case UPLOAD_OPEN:
		return "unfinished";
	case UPLOAD_EXPIRED:
		return "expired";
	case UPLOAD_TERMINATED:
		return "terminated";
	default:
		return d->failed > 0    ? "failed"
		       : d->pending > 0 ? "pending"
		       : d->n > 0       ? "delivered"
					: "stored";
	}
}

static const char *text_of(const json_t *manifest, const char *key)
{
	const char *s = json_get_str(manifest, key);
	return s ? s : "";
}

int report_row_read(struct app *a, const char *id, report_row_fn *fn, void *arg, struct err *err)
{
	struct upload u = {0};
	struct deliveries d = {0};
	struct err ignored = {0};
	enum state_result r = state_upload_get(a->state, id, &u, err);
	if (r == STATE_ERROR)
		return -1;
	if (r != STATE_OK || u.kind == UPLOAD_PARTIAL) {
		upload_free(&u);
		return 0;
	}
	buf_init(&d.targets, TARGETS_MAX);
	int rc = state_delivery_of_upload(a->state, id, see_delivery, &d, err);
	/* What cannot be read has no names, but it is an upload. */
	json_t *manifest = delivery_plan_manifest(&u, &ignored);
	struct report_row row = {
		.upload_id = id,
		.stream = manifest_stream_id(manifest),
		.route = manifest_stream_route(manifest),
		.sender = text_of(manifest, "sender_id"),
		.filename = manifest_filename(manifest),
		.state = state_of(&u, &d),
		.size = u.offset,
		.begun_at = u.created_at,
		.completed_at = u.completed_at,
		.delivered_at = d.n > 0 && d.pending + d.failed == 0 ? d.last : 0,
		.targets = buf_str(&d.targets),
	};
	if (rc == 0)
		fn(arg, &row);
	json_decref(manifest);
	buf_free(&d.targets);
	upload_free(&u);
	return rc;
}

/* --- CSV --- */

/*
 * Quoted always. What a spreadsheet takes for a formula, whatever stands before it in the cell,
 * gets an apostrophe in front: names come from senders.
 */
static void csv_text(const char *s)
{
	putchar('"');
	if (*s && strchr("=+-@\t\r\n", *s))
		putchar('\'');
	for (; *s; s++) {
		if (*s == '"')
			putchar('"');
		putchar(*s);
	}
	fputs("\",", stdout);
}

static void csv_time(int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];
	printf("%s,", us ? clock_rfc3339(text, us) : "");
}

void report_row_csv_head(void)
{
	fputs("upload_id,data_stream_id,data_stream_route,sender_id,filename,state,targets,begun_"
	      "utc,"
	      "completed_utc,delivered_utc,delivery_seconds,bytes\r\n",
		stdout);
}

void report_row_csv(const struct report_row *row)
{
	printf("%s,", row->upload_id);
	csv_text(row->stream);
	csv_text(row->route);
	csv_text(row->sender);
	csv_text(row->filename);
	printf("%s,", row->state);
	csv_text(row->targets);
	csv_time(row->begun_at);
	csv_time(row->completed_at);
	csv_time(row->delivered_at);
	if (row->delivered_at)
		printf("%.3f", (double)(row->delivered_at - row->completed_at) / 1e6);
	printf(",%" PRId64 "\r\n", row->size);
}

/* --- JSON --- */

static json_t *json_time(int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];
	return us ? json_string(clock_rfc3339(text, us)) : json_null();
}

void report_row_json(const struct report_row *row, const char *before)
{
	struct buf text;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:I}",
		"upload_id", row->upload_id, "data_stream_id", row->stream, "data_stream_route",
		row->route, "sender_id", row->sender, "filename", row->filename, "state",
		row->state, "targets", row->targets, "begun_at", json_time(row->begun_at),
		"completed_at", json_time(row->completed_at), "delivered_at",
		json_time(row->delivered_at), "bytes", (json_int_t)row->size);
	buf_init(&text, ROW_MAX);
	if (o && json_write(&text, o) == 0)
		printf("%s\n%s", before, buf_str(&text));
	buf_free(&text);
	json_decref(o);
}
