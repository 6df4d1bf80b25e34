/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state.h promises about the order of all uploads by time, and about checksums of deliveries,
 * held against every state store, and through a move from one to another.
 */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "core/store/state_move.h"
#include "tests/lib/scratch.h"
#include "tests/lib/state_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MANY 700 /* more than any store tells at once */

/* All marks from ${since} until ${until}, in pages of ${page}; their number. */
static int list(struct state *s, int64_t since, int64_t until, int page, struct upload_mark *out)
{
	struct upload_mark after = {.at = since};
	struct err err = {0};
	int total = 0;
	int n;

	while ((n = state_upload_scan_times(s, &after, until, &out[total], page, &err)) > 0) {
		assert_true(n <= page);
		total += n;
		assert_true(total <= MANY);
		after = out[total - 1];
	}
	if (n < 0)
		fail_msg("%s", err.text);
	return total;
}

static void make(struct state_world *w, struct upload *u, int64_t created_at)
{
	*u = (struct upload){.length = 10, .created_at = created_at};
	random_uuid(u->id);
	state_world_ok(w, state_upload_create(w->s, u, NULL, NULL, &w->err));
}

static void complete(struct state_world *w, const struct upload *u, int64_t now)
{
	struct upload_change c = state_world_change(u->id, 0, 10);
	const char *target = "edav";
	c.now = now;
	state_world_ok(w, (int)state_upload_complete(w->s, &c, &target, 1, NULL, &w->err));
}

static void end_as(
	struct state_world *w, const struct upload *u, enum upload_status status, int64_t now)
{
	state_world_ok(
		w, (int)state_upload_end(w->s, u->id, status, INT64_MAX, now, NULL, &w->err));
}

static void assert_mark(const struct upload_mark *m, const struct upload *u, int64_t at)
{
	assert_string_equal(m->id, u->id);
	assert_int_equal(m->at, at);
}

struct kinds {
	struct upload open, expired, terminated, complete, retired;
};

/* Begun in one order, come to where they stand in another. */
static void make_kinds(struct state_world *w, struct kinds *k)
{
	make(w, &k->retired, NOW);
	make(w, &k->complete, NOW + 1);
	make(w, &k->terminated, NOW + 2);
	make(w, &k->expired, NOW + 3);
	make(w, &k->open, NOW + 4);
	complete(w, &k->retired, NOW + 10);
	complete(w, &k->complete, NOW + 20);
	end_as(w, &k->terminated, UPLOAD_TERMINATED, NOW + 30);
	end_as(w, &k->expired, UPLOAD_EXPIRED, NOW + 40);
	state_world_finish(w, &k->retired, DELIVERY_DONE, NOW + 100);
	end_as(w, &k->retired, UPLOAD_RETIRED, NOW + 200);
	/* Bytes that come do not move an open one. */
	struct upload_change c = state_world_change(k->open.id, 0, 5);
	c.now = NOW + 300;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
}

static void assert_kinds(struct state *s, const struct kinds *k)
{
	struct upload_mark marks[MANY];
	assert_int_equal(list(s, 0, INT64_MAX, 2, marks), 5);
	assert_mark(&marks[0], &k->open, NOW + 4);
	assert_mark(&marks[1], &k->retired, NOW + 10);
	assert_mark(&marks[2], &k->complete, NOW + 20);
	assert_mark(&marks[3], &k->terminated, NOW + 30);
	assert_mark(&marks[4], &k->expired, NOW + 40);
}

static void uploads_are_in_the_order_of_their_last_step(void **state)
{
	struct state_world *w = *state;
	struct kinds k;
	make_kinds(w, &k);
	assert_kinds(w->s, &k);
	state_world_close(w);
	state_world_open(w);
	assert_kinds(w->s, &k);
}

static void a_range_begins_with_since_and_ends_before_until(void **state)
{
	struct state_world *w = *state;
	struct upload u[3];
	struct upload_mark marks[MANY];
	for (int i = 0; i < 3; i++)
		make(w, &u[i], NOW + i);
	assert_int_equal(list(w->s, NOW + 1, NOW + 2, 10, marks), 1);
	assert_mark(&marks[0], &u[1], NOW + 1);
	assert_int_equal(list(w->s, NOW + 3, INT64_MAX, 10, marks), 0);
	assert_int_equal(list(w->s, NOW, NOW, 10, marks), 0);
	assert_int_equal(list(w->s, NOW + 2, NOW + 1, 10, marks), 0);
	struct upload_mark bad = {.at = NOW, .id = "no-id"};
	assert_int_equal(state_upload_scan_times(w->s, &bad, NOW + 9, marks, 9, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	bad.id[0] = '\0';
	assert_int_equal(state_upload_scan_times(w->s, &bad, NOW + 9, marks, 0, &w->err), 0);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void many_of_one_time_come_once_each_by_id(void **state)
{
	struct state_world *w = *state;
	static char ids[MANY][UUID_SIZE];
	static struct upload_mark marks[MANY];
	for (int i = 0; i < MANY; i++) {
		struct upload u;
		make(w, &u, NOW);
		str_copy(ids[i], UUID_SIZE, u.id);
	}
	qsort(ids, MANY, UUID_SIZE, by_text);
	for (int page = 37; page <= MANY; page += MANY - 37) {
		assert_int_equal(list(w->s, NOW, NOW + 1, page, marks), MANY);
		for (int i = 0; i < MANY; i++)
			assert_string_equal(marks[i].id, ids[i]);
	}
}

static void forgotten_uploads_are_not_listed(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct upload_mark marks[MANY];
	int purged;
	make(w, &u, NOW);
	end_as(w, &u, UPLOAD_EXPIRED, NOW + 1);
	assert_int_equal(list(w->s, 0, INT64_MAX, 10, marks), 1);
	state_world_ok(w, state_upload_removed(w->s, u.id, &w->err));
	state_world_ok(w, state_upload_purge(w->s, NOW + 2, 10, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_int_equal(list(w->s, 0, INT64_MAX, 10, marks), 0);
}

/* What an earlier release leaves a clock that is behind at: the order never goes back. */
static void a_clock_that_goes_back_does_not_move_an_upload_back(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct upload_mark marks[MANY];
	make(w, &u, NOW);
	complete(w, &u, NOW - 5);
	assert_int_equal(list(w->s, 0, INT64_MAX, 10, marks), 1);
	assert_mark(&marks[0], &u, NOW);
}

/* --- checksums --- */

static enum state_result done_with(
	struct state_world *w, const struct upload *u, const char *sum, enum delivery_status status)
{
	struct delivery_filter f = {.upload_id = u->id};
	struct delivery_end e = {.id = state_world_lease(w, &f, "me", NOW + 10),
		.owner = "me",
		.status = status,
		.due_at = NOW,
		.location = "/srv/file",
		.sha256 = sum,
		.now = NOW + 10};
	return state_delivery_end(w->s, &e, NULL, &w->err);
}

static void a_delivery_keeps_its_checksum(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_complete(w, &u, "edav");
	assert_string_equal(state_world_deliveries(w, u.id).sha256, "-");
	assert_int_equal(done_with(w, &u, "too short", DELIVERY_DONE), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
	struct delivery_filter f = {.upload_id = u.id};
	struct delivery_end e = {.id = state_world_lease(w, &f, "me", NOW + 10 * SECOND),
		.owner = "me",
		.status = DELIVERY_DONE,
		.location = "/srv/file",
		.sha256 = SUM,
		.now = NOW + 10 * SECOND};
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
	assert_string_equal(state_world_deliveries(w, u.id).sha256, SUM);
	/* Another delivery to the same place has none until it is done. */
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "edav", NOW + 20, NULL, &w->err));
	assert_string_equal(state_world_deliveries(w, u.id).sha256, "-");
}

static void a_checksum_is_optional_and_of_what_was_done(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_complete(w, &u, "edav");
	state_world_ok(w, (int)done_with(w, &u, SUM, DELIVERY_FAILED));
	assert_string_equal(state_world_deliveries(w, u.id).sha256, "-");
	state_world_complete(w, &u, "edav");
	state_world_ok(w, (int)done_with(w, &u, NULL, DELIVERY_DONE));
	assert_string_equal(state_world_deliveries(w, u.id).sha256, "-");
}

static void assert_same(const struct upload_mark *a, const struct upload_mark *b, int n)
{
	for (int i = 0; i < n; i++) {
		assert_string_equal(a[i].id, b[i].id);
		assert_int_equal(a[i].at, b[i].at);
	}
}

static void order_and_checksums_move_along(void **state)
{
	struct state_world *w = *state;
	struct kinds k;
	struct upload summed;
	struct state_move_counts n;
	struct upload_mark marks[MANY];
	make_kinds(w, &k);
	state_world_complete(w, &summed, "edav");
	state_world_ok(w, (int)done_with(w, &summed, SUM, DELIVERY_DONE));

	char *dir = scratch_make();
	char *path = scratch_path(dir, "state.db");
	struct state *sqlite = state_open(registry_find_state("sqlite"), path, false, &w->err);
	assert_non_null(sqlite);
	state_world_ok(w, state_move(w->s, sqlite, false, &n, &w->err));
	char *other_dir = scratch_make();
	struct state *other = w->row->open(other_dir, &w->err);
	assert_non_null(other);
	state_world_ok(w, state_move(sqlite, other, false, &n, &w->err));

	assert_int_equal(list(w->s, 0, INT64_MAX, 100, marks), 6);
	struct upload_mark there[MANY];
	assert_int_equal(list(sqlite, 0, INT64_MAX, 100, there), 6);
	assert_same(marks, there, 6);
	assert_int_equal(list(other, 0, INT64_MAX, 100, there), 6);
	assert_same(marks, there, 6);
	struct seen_deliveries seen = {0};
	state_world_ok(w, state_delivery_of_upload(
				  other, summed.id, state_world_see_delivery, &seen, &w->err));
	assert_string_equal(seen.sha256, SUM);
	state_close(other);
	state_close(sqlite);
	free(path);
	scratch_remove(other_dir);
	scratch_remove(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(uploads_are_in_the_order_of_their_last_step),
		cmocka_unit_test(a_range_begins_with_since_and_ends_before_until),
		cmocka_unit_test(many_of_one_time_come_once_each_by_id),
		cmocka_unit_test(forgotten_uploads_are_not_listed),
		cmocka_unit_test(a_clock_that_goes_back_does_not_move_an_upload_back),
		cmocka_unit_test(a_delivery_keeps_its_checksum),
		cmocka_unit_test(a_checksum_is_optional_and_of_what_was_done),
		cmocka_unit_test(order_and_checksums_move_along),
	};
	return state_world_run("state, order and sums", tests, sizeof(tests) / sizeof(tests[0]));
}
