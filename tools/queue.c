/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/queue.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/delivery.h"
#include "core/dex/delivery_plan.h"
#include "core/store/state.h"
#include "tools/human.h"

#include <stdio.h>
#include <stdlib.h>

/* Gathered first, so that nothing is changed under the reader's feet. */
struct row {
	char upload_id[UUID_SIZE];
	char *target;
};
struct rows {
	bool pending;
	bool failed;
	int64_t now;
	struct row *items;
	size_t n, cap;
};

static int gather(void *arg, const struct delivery *d)
{
	struct rows *r = arg;
	bool due = d->status == DELIVERY_PENDING && d->due_at <= r->now && d->lease_until <= r->now;
	if (!(r->pending && due) && !(r->failed && d->status == DELIVERY_FAILED))
		return 0;
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 64;
		r->items = mem_array(r->items, r->cap, sizeof(*r->items));
	}
	struct row *row = &r->items[r->n++];
	str_copy(row->upload_id, sizeof(row->upload_id), d->upload_id);
	row->target = mem_strdup(d->target);
	return 0;
}

static void rows_free(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].target);
	free(r->items);
}

/* 1: queued, 0: ${cause} tells why not, -1: the state store failed. */
static int queue_one(struct app *a, const struct row *row, struct err *cause, struct err *err)
{
	struct upload u = {0};
	enum state_result res = state_upload_get(a->state, row->upload_id, &u, err);
	if (res == STATE_NOT_FOUND)
		err_set(cause, ERR_NOT_FOUND, __func__, "no such upload");
	if (res == STATE_OK) {
		res = delivery_queue(a, &u, row->target, cause);
		if (res == STATE_ERROR)
			*err = *cause;
	}
	upload_free(&u);
	return res == STATE_ERROR ? -1 : res == STATE_OK;
}

int queue_retry(struct app *a, const struct delivery_filter *f, size_t *refused, struct err *err)
{
	struct rows rows = {.failed = true};
	int rc = state_delivery_unfinished(a->state, f, gather, &rows, err);
	for (size_t i = 0; rc == 0 && i < rows.n; i++) {
		const struct row *row = &rows.items[i];
		struct err cause = {0};
		int queued = queue_one(a, row, &cause, err);
		if (queued < 0)
			rc = -1;
		if (queued != 0)
			continue;
		(*refused)++;
		fprintf(stderr, "cannot queue %s to %s: %s\n", row->upload_id, row->target,
			cause.text);
	}
	rows_free(&rows);
	return rc;
}

static int tell_one(struct app *a, const struct row *row, struct err *err)
{
	struct upload u = {0};
	struct delivery_plan plan;
	struct err cause = {0};
	char size[HUMAN_SIZE];
	enum state_result res = state_upload_get(a->state, row->upload_id, &u, err);
	if (res == STATE_ERROR)
		return -1;
	if (res != STATE_OK || u.status != UPLOAD_COMPLETE) {
		printf("would fail %s to %s: the data of the upload are no longer kept\n",
			row->upload_id, row->target);
		upload_free(&u);
		return 0;
	}
	if (delivery_plan_make(a, &u, row->target, &plan, &cause) == 0)
		printf("would deliver %s to %s: %s (%s)\n", row->upload_id, row->target,
			buf_str(&plan.key), human_bytes(size, (double)u.length));
	else
		printf("would fail %s to %s: %s\n", row->upload_id, row->target, cause.text);
	delivery_plan_free(&plan);
	upload_free(&u);
	return 0;
}

int queue_dry_run(
	struct app *a, const struct delivery_filter *f, bool failed, size_t limit, struct err *err)
{
	struct rows rows = {.pending = true, .failed = failed, .now = clock_now()};
	int rc = state_delivery_unfinished(a->state, f, gather, &rows, err);
	for (size_t i = 0; rc == 0 && i < rows.n && (limit == 0 || i < limit); i++)
		rc = tell_one(a, &rows.items[i], err);
	rows_free(&rows);
	return rc;
}
