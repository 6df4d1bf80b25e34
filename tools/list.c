/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/list.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/dex/routing.h"
#include "core/store/state.h"
#include "tools/human.h"
#include "tools/parked.h"

#include <stdio.h>
#include <string.h>

#define ROW_MAX ((size_t)1 << 20)

struct list {
	bool json;
	size_t limit;
	size_t n;
	int target_width;
	int64_t now;
};

static const char *state_of(const struct list *l, const struct delivery *d)
{
	if (d->status == DELIVERY_FAILED)
		return "failed";
	return d->lease_owner && d->lease_until > l->now ? "running" : "pending";
}

/* The failed tries of ${d}; the caller decrefs them. NULL when there are none. */
static json_t *issues_of(const struct delivery *d)
{
	struct buf text;
	struct err err = {0};
	if (!d->issues)
		return NULL;
	buf_init(&text, ROW_MAX);
	/* Our parser wants an object at the top. */
	(void)buf_printf(&text, "{\"issues\":%s}", d->issues);
	json_t *wrapped = json_parse(buf_str(&text), text.len, &err);
	json_t *issues = json_incref(json_object_get(wrapped, "issues"));
	json_decref(wrapped);
	buf_free(&text);
	return issues;
}

static void print_row(struct list *l, const struct delivery *d)
{
	char when[HUMAN_SIZE];
	json_t *issues = issues_of(d);
	size_t n = json_array_size(issues);
	const char *last = n > 0 ? json_get_str(json_array_get(issues, n - 1), "message") : NULL;
	if (l->n == 0)
		printf("%-36s  %-*s  %-7s  %8s  %-20s  %s\n", "UPLOAD", l->target_width, "TARGET",
			"STATE", "ATTEMPTS", "DUE/ENDED", "LAST ISSUE");
	printf("%-36s  %-*s  %-7s  %8d  %-20s  %s\n", d->upload_id, l->target_width, d->target,
		state_of(l, d), d->attempt,
		human_time(when, d->status == DELIVERY_FAILED ? d->ended_at : d->due_at),
		last ? last : "-");
	json_decref(issues);
}

static json_t *time_json(int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];
	return us == 0 ? json_null() : json_string(clock_rfc3339(text, us));
}

static int print_object(struct list *l, const struct delivery *d)
{
	struct buf text;
	json_t *issues = issues_of(d);
	json_t *row = json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "upload_id",
		d->upload_id, "target", d->target, "state", state_of(l, d), "attempts", d->attempt,
		"queued_at", time_json(d->queued_at), "due_at",
		time_json(d->status == DELIVERY_FAILED ? 0 : d->due_at), "ended_at",
		time_json(d->ended_at), "issues", issues ? issues : json_null());
	buf_init(&text, ROW_MAX);
	int rc = row ? json_write(&text, row) : -1;
	if (rc == 0)
		printf("%s%s", l->n == 0 ? "[\n" : ",\n", buf_str(&text));
	buf_free(&text);
	json_decref(row);
	return rc;
}

static int print_one(void *arg, const struct delivery *d)
{
	struct list *l = arg;
	if (l->limit > 0 && l->n >= l->limit)
		return -1;
	if (!l->json)
		print_row(l, d);
	else if (print_object(l, d) < 0)
		return 0;
	l->n++;
	return 0;
}

int list_print(
	struct app *a, const struct delivery_filter *f, size_t limit, bool json, struct err *err)
{
	struct list l = {.json = json, .limit = limit, .target_width = 6, .now = clock_now()};
	for (size_t i = 0; i < a->routing->ntargets; i++) {
		int len = (int)strlen(a->routing->targets[i].name);
		if (len > l.target_width)
			l.target_width = len;
	}
	int rc = state_delivery_unfinished(a->state, f, print_one, &l, err);
	int parked = 0;
	if (rc == 0 && !(f && f->target)) {
		parked = parked_list(a, f ? f->upload_id : NULL, json, l.n, limit, err);
		rc = parked < 0 ? -1 : 0;
	}
	if (json)
		fputs(l.n > 0 || parked > 0 ? "\n]\n" : "[]\n", stdout);
	return rc;
}
