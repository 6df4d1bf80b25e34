/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state.h promises about uploads and shared values, held against every state store: a further
 * one is a further row in tests/lib/state_world.c.
 */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "tests/lib/state_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int64_t offset_of(struct state_world *w, const char *id)
{
	struct upload u;
	state_world_ok(w, (int)state_upload_get(w->s, id, &u, &w->err));
	upload_free(&u);
	return u.offset;
}

/* --- uploads --- */

static void store_tells_its_type_and_is_well(void **state)
{
	struct state_world *w = *state;
	assert_ptr_equal(registry_find_state(state_type(w->s)), w->row->backend());
	state_world_ok(w, state_probe(w->s, &w->err));
	state_world_ok(w, state_probe(w->s, NULL));
}

static void create_keeps_every_member(void **state)
{
	struct state_world *w = *state;
	struct upload u = {.kind = UPLOAD_FINAL,
		.length = INT64_MAX,
		.created_at = NOW,
		.metadata = (char *)"filename \"'%",
		.manifest = (char *)"{\"name\":\"\xc3\xa4\"}",
		.concat = (char *)"final;/a /b",
		.token = (char *)"tok",
		.owner = (char *)"alice"};
	struct upload got;
	random_uuid(u.id);
	state_world_ok(w, state_upload_create(w->s, &u, NULL, NULL, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_string_equal(got.id, u.id);
	assert_int_equal(got.kind, UPLOAD_FINAL);
	assert_int_equal(got.status, UPLOAD_OPEN);
	assert_int_equal(got.length, INT64_MAX);
	assert_int_equal(got.offset, 0);
	assert_int_equal(got.beyond, BEYOND_GOOD);
	assert_int_equal(got.created_at, NOW);
	assert_int_equal(got.touched_at, NOW);
	assert_int_equal(got.completed_at, 0);
	assert_string_equal(got.metadata, u.metadata);
	assert_string_equal(got.manifest, u.manifest);
	assert_string_equal(got.concat, u.concat);
	assert_string_equal(got.token, "tok");
	assert_string_equal(got.owner, "alice");
	upload_free(&got);
	upload_free(&got);

	state_world_upload(w, &u, UPLOAD_LENGTH_UNKNOWN);
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.length, UPLOAD_LENGTH_UNKNOWN);
	assert_null(got.metadata);
	assert_null(got.manifest);
	assert_null(got.concat);
	assert_null(got.owner);
	assert_string_equal(got.token, "");
	upload_free(&got);
}

static void create_refuses_what_exists_or_is_malformed(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 5);
	struct outbox_message m = state_world_message(u.id, "bus", "created");
	struct outbox_list list = {&m, 1};
	assert_int_equal(state_upload_create(w->s, &u, NULL, &list, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	assert_non_null(strstr(w->err.text, state_type(w->s)));
	assert_int_equal(state_world_counts(w).late_messages, 0);

	str_copy(u.id, sizeof(u.id), "../../etc/passwd");
	assert_int_equal(state_upload_create(w->s, &u, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	random_uuid(u.id);
	m.sink = NULL;
	assert_int_equal(state_upload_create(w->s, &u, NULL, &list, NULL), -1);
	assert_int_equal(state_upload_create(w->s, &u, NULL, &list, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	struct upload got;
	assert_int_equal(state_upload_get(w->s, u.id, &got, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_get(w->s, "no-id", &got, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_get(w->s, NULL, &got, &w->err), STATE_NOT_FOUND);
}

static int make_of(struct state_world *w, const char *owner, enum upload_kind kind, char *id)
{
	static const struct upload_limits limits = {.in_all = 6, .of_owner = 2};
	struct upload u = {.kind = kind, .length = 10, .created_at = NOW, .owner = (char *)owner};
	random_uuid(u.id);
	if (id)
		str_copy(id, UUID_SIZE, u.id);
	err_clear(&w->err);
	int rc = state_upload_create(w->s, &u, &limits, NULL, &w->err);
	if (rc)
		assert_int_equal(w->err.code, ERR_TOO_MANY);
	return rc;
}

/* Refused: nothing is stored. */
static void full_for(struct state_world *w, const char *owner)
{
	char id[UUID_SIZE];
	struct upload got;
	int64_t before = state_world_counts(w).open_uploads;
	assert_int_equal(make_of(w, owner, UPLOAD_NORMAL, id), -1);
	assert_int_equal(state_upload_get(w->s, id, &got, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_world_counts(w).open_uploads, before);
}

static enum state_result finish(struct state_world *w, const char *id)
{
	struct upload_change c = state_world_change(id, 0, 10);
	return state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err);
}

static void open_uploads_are_limited(void **state)
{
	struct state_world *w = *state;
	char a[2][UUID_SIZE];
	char b[2][UUID_SIZE];
	assert_int_equal(make_of(w, "alice", UPLOAD_NORMAL, a[0]), 0);
	assert_int_equal(make_of(w, "alice", UPLOAD_PARTIAL, a[1]), 0);
	full_for(w, "alice");
	/* Each way out of being open makes room, once. */
	state_world_ok(w, (int)finish(w, a[0]));
	assert_int_equal(finish(w, a[0]), STATE_CONFLICT);
	assert_int_equal(make_of(w, "alice", UPLOAD_NORMAL, a[0]), 0);
	full_for(w, "alice");
	struct upload_change c = state_world_change(a[0], 0, 4);
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	full_for(w, "alice");
	state_world_ok(
		w, (int)state_upload_end(w->s, a[0], UPLOAD_TERMINATED, 0, NOW + 5, NULL, &w->err));
	assert_int_equal(make_of(w, "alice", UPLOAD_NORMAL, a[0]), 0);
	state_world_ok(w, (int)finish(w, a[1]));
	/* A finished partial is open no more: its end makes no room. */
	state_world_ok(w,
		(int)state_upload_end(w->s, a[1], UPLOAD_EXPIRED, NOW + 9, NOW + 5, NULL, &w->err));
	assert_int_equal(make_of(w, "alice", UPLOAD_NORMAL, a[1]), 0);
	full_for(w, "alice");
	state_world_ok(w,
		(int)state_upload_end(w->s, a[1], UPLOAD_EXPIRED, NOW + 9, NOW + 5, NULL, &w->err));
	assert_int_equal(make_of(w, "alice", UPLOAD_NORMAL, a[1]), 0);

	/* Neither another owner nor nobody is like her, and names are what they are. */
	assert_int_equal(make_of(w, "Alice", UPLOAD_NORMAL, b[0]), 0);
	assert_int_equal(make_of(w, "alice ", UPLOAD_NORMAL, b[1]), 0);
	assert_int_equal(make_of(w, NULL, UPLOAD_NORMAL, NULL), 0);
	assert_int_equal(make_of(w, NULL, UPLOAD_NORMAL, NULL), 0);
	full_for(w, NULL);
	full_for(w, "bob");
	state_world_close(w);
	state_world_open(w);
	full_for(w, "bob");
	full_for(w, "alice");
	state_world_ok(w, (int)finish(w, b[0]));
	full_for(w, "alice");
	assert_int_equal(make_of(w, "bob", UPLOAD_NORMAL, NULL), 0);
	/* Without a limit the count goes on. */
	struct upload u;
	state_world_upload(w, &u, 10);
	full_for(w, "carol");
}

static void advance_changes_what_it_names(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct upload got;
	state_world_upload(w, &u, UPLOAD_LENGTH_UNKNOWN);
	struct upload_change c = state_world_change(u.id, 0, 4);
	c.token = "t1";
	c.beyond = BEYOND_UNVERIFIED;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.offset, 4);
	assert_int_equal(got.length, UPLOAD_LENGTH_UNKNOWN);
	assert_int_equal(got.beyond, BEYOND_UNVERIFIED);
	assert_string_equal(got.token, "t1");
	assert_int_equal(got.touched_at, NOW + 1);
	upload_free(&got);

	/* The same offset: the length becomes known, the token stays, nothing was touched. */
	c = state_world_change(u.id, 4, 4);
	c.length = 9;
	c.now = NOW + 2;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.length, 9);
	assert_int_equal(got.beyond, BEYOND_GOOD);
	assert_string_equal(got.token, "t1");
	assert_int_equal(got.touched_at, NOW + 1);
	assert_int_equal(got.status, UPLOAD_OPEN);
	upload_free(&got);

	c = state_world_change(u.id, 4, 2); /* repair */
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_int_equal(offset_of(w, u.id), 2);
}

static void messages_go_with_the_advance(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 10);
	struct outbox_message m = state_world_message(u.id, "bus", "moved");
	const struct outbox_list list = {&m, 1};
	struct upload_change c = state_world_change(u.id, 0, 4);
	c.msgs = &list;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	/* Not with one that is refused. */
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	assert_string_equal(state_world_take(w, "bus", NOW, 9).names, "moved ");
}

static void advance_is_refused_when_the_row_differs(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 10);
	struct upload_change c = state_world_change(u.id, 0, 4);
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c = state_world_change(u.id, 4, 11); /* beyond its length */
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c = state_world_change(u.id, 4, 5);
	c.length = 11; /* it has another one */
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c.length = 10;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_int_equal(offset_of(w, u.id), 5);

	char other[UUID_SIZE];
	random_uuid(other);
	c = state_world_change(other, 0, 1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_NOT_FOUND);
	c = state_world_change(u.id, 5, -1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void fence_keeps_a_stale_holder_out(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 10);
	static const struct {
		uint64_t fence;
		enum state_result result;
	} steps[] = {{0, STATE_OK}, {7, STATE_OK}, {7, STATE_OK}, {6, STATE_CONFLICT},
		{0, STATE_CONFLICT}, {INT64_MAX, STATE_OK}, {8, STATE_CONFLICT}};
	int64_t at = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct upload_change c = state_world_change(u.id, at, at + 1);
		c.fence = steps[i].fence;
		assert_int_equal(state_upload_advance(w->s, &c, &w->err), steps[i].result);
		at += steps[i].result == STATE_OK;
		assert_int_equal(offset_of(w, u.id), at);
	}
	struct upload_change c = state_world_change(u.id, at, 10);
	c.fence = 9;
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
}

static void complete_is_one_change(void **state)
{
	struct state_world *w = *state;
	static const char *const targets[] = {"zeta", "alpha", "mid"};
	struct upload u;
	struct upload got;
	state_world_upload(w, &u, 10);
	struct outbox_message m[] = {
		state_world_message(u.id, "bus", "one"), state_world_message(u.id, "bus", "two")};
	struct outbox_list list = {m, 2};
	struct upload_change c = state_world_change(u.id, 0, 10);
	c.token = "end";
	state_world_ok(w, (int)state_upload_complete(w->s, &c, targets, 3, &list, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.status, UPLOAD_COMPLETE);
	assert_int_equal(got.offset, 10);
	assert_int_equal(got.completed_at, NOW + 1);
	assert_string_equal(got.token, "end");
	upload_free(&got);
	struct seen_deliveries seen = state_world_deliveries(w, u.id);
	assert_string_equal(seen.targets, "zeta alpha mid ");
	assert_string_equal(seen.last.upload_id, u.id);
	assert_int_equal(seen.last.status, DELIVERY_PENDING);
	assert_int_equal(seen.last.attempt, 0);
	assert_int_equal(seen.last.due_at, NOW + 1);
	assert_int_equal(seen.last.queued_at, NOW + 1);
	assert_int_equal(seen.last.lease_until, 0);
	assert_int_equal(seen.last.ended_at, 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(seen.text[i], "-");

	/* Once: neither again nor onwards. */
	assert_int_equal(
		state_upload_complete(w->s, &c, targets, 3, &list, &w->err), STATE_CONFLICT);
	c = state_world_change(u.id, 10, 10);
	assert_int_equal(
		state_upload_complete(w->s, &c, targets, 3, &list, &w->err), STATE_CONFLICT);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	assert_int_equal(state_world_deliveries(w, u.id).n, 3);
	assert_string_equal(state_world_take(w, "bus", NOW, 9).names, "one two ");
}

static void complete_needs_the_last_byte(void **state)
{
	struct state_world *w = *state;
	static const char *const twice[] = {"a", "b", "a"};
	struct upload u;
	state_world_upload(w, &u, 10);
	struct upload_change c = state_world_change(u.id, 0, 9);
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
	c.to = 10;
	assert_int_equal(state_upload_complete(w->s, &c, twice, 3, NULL, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(offset_of(w, u.id), 0);
	assert_int_equal(state_world_deliveries(w, u.id).n, 0);

	state_world_upload(w, &u, UPLOAD_LENGTH_UNKNOWN);
	c = state_world_change(u.id, 0, 9);
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
	c.length = 9;
	state_world_ok(w, (int)state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err));
	assert_int_equal(state_world_status(w, u.id), UPLOAD_COMPLETE);

	state_world_upload(w, &u, 0); /* nothing to send at all */
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0));
	assert_int_equal(state_world_status(w, u.id), UPLOAD_COMPLETE);
}

/* --- the end of uploads --- */

static enum state_result end_upload(
	struct state_world *w, const char *id, enum upload_status status)
{
	return state_upload_end(w->s, id, status, NOW, NOW + 5, NULL, &w->err);
}

static void expire_takes_idle_open_uploads_and_partials(void **state)
{
	struct state_world *w = *state;
	struct upload idle;
	struct upload touched;
	struct upload done;
	struct upload part = {.kind = UPLOAD_PARTIAL, .length = 0, .created_at = NOW};
	state_world_upload(w, &idle, 10);
	state_world_upload(w, &touched, 10);
	struct upload_change c = state_world_change(touched.id, 0, 1);
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	state_world_upload(w, &done, 0);
	state_world_ok(w, (int)state_world_complete_for(w, &done, NULL, 0));
	random_uuid(part.id);
	state_world_ok(w, state_upload_create(w->s, &part, NULL, NULL, &w->err));
	state_world_ok(w, (int)state_world_complete_for(w, &part, NULL, 0));

	struct outbox_message m = state_world_message(idle.id, "bus", "expired");
	struct outbox_list list = {&m, 1};
	state_world_ok(w,
		(int)state_upload_end(w->s, idle.id, UPLOAD_EXPIRED, NOW, NOW + 5, &list, &w->err));
	assert_int_equal(state_world_status(w, idle.id), UPLOAD_EXPIRED);
	assert_int_equal(end_upload(w, idle.id, UPLOAD_EXPIRED), STATE_CONFLICT);
	state_world_ok(w, (int)end_upload(w, part.id, UPLOAD_EXPIRED));
	m = state_world_message(touched.id, "bus", "wrong");
	assert_int_equal(
		state_upload_end(w->s, touched.id, UPLOAD_EXPIRED, NOW, NOW + 5, &list, &w->err),
		STATE_CONFLICT);
	assert_int_equal(end_upload(w, done.id, UPLOAD_EXPIRED), STATE_CONFLICT);
	char none[UUID_SIZE];
	random_uuid(none);
	assert_int_equal(end_upload(w, none, UPLOAD_EXPIRED), STATE_NOT_FOUND);
	assert_string_equal(state_world_take(w, "bus", NOW, 9).names, "expired ");
	c = state_world_change(idle.id, 0, 1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
}

static void terminate_waits_for_deliveries(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 10);
	state_world_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	assert_int_equal(state_world_status(w, u.id), UPLOAD_TERMINATED);
	assert_int_equal(end_upload(w, u.id, UPLOAD_TERMINATED), STATE_CONFLICT);

	state_world_complete(w, &u, "a");
	assert_int_equal(end_upload(w, u.id, UPLOAD_TERMINATED), STATE_CONFLICT);
	state_world_finish(w, &u, DELIVERY_FAILED, NOW + 2);
	state_world_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	state_world_complete(w, &u, "a");
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 2);
	state_world_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	assert_int_equal(end_upload(w, u.id, UPLOAD_OPEN), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void retire_takes_delivered_uploads(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 10);
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0)); /* delivered nowhere */
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);

	state_world_complete(w, &u, "a");
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	state_world_finish(w, &u, DELIVERY_FAILED, NOW + 2);
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 3, NULL, &w->err));
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 4);
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "b", NOW + 3, NULL, &w->err));
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 6);
	state_world_ok(w, (int)end_upload(w, u.id, UPLOAD_RETIRED));
	assert_int_equal(state_world_status(w, u.id), UPLOAD_RETIRED);
	assert_int_equal(state_world_deliveries(w, u.id).n, 2);
}

static void stale_uploads_are_found_oldest_first(void **state)
{
	struct state_world *w = *state;
	char ids[4][UUID_SIZE];
	struct upload u[5];
	for (int i = 0; i < 5; i++) {
		u[i] = (struct upload){.length = 0,
			.kind = i % 2 ? UPLOAD_PARTIAL : UPLOAD_NORMAL,
			.created_at = NOW + 10 * (5 - i)};
		random_uuid(u[i].id);
		state_world_ok(w, state_upload_create(w->s, &u[i], NULL, NULL, &w->err));
	}
	state_world_ok(w, (int)state_world_complete_for(
				  w, &u[1], NULL, 0)); /* a partial: stays in the list */
	state_world_ok(
		w, (int)state_world_complete_for(w, &u[2], NULL, 0)); /* not a partial: leaves it */
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 9, ids, 4, &w->err), 0);
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 40, ids, 4, &w->err), 3);
	assert_string_equal(ids[0], u[4].id);
	assert_string_equal(ids[1], u[3].id);
	assert_string_equal(ids[2], u[1].id);
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 40, ids, 2, &w->err), 2);
	assert_string_equal(ids[0], u[4].id);
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 40, ids, 0, &w->err), 0);
	assert_int_equal(state_world_counts(w).open_uploads, 3);
}

static void delivered_uploads_are_found_when_the_last_is_done(void **state)
{
	struct state_world *w = *state;
	static const char *const two[] = {"a", "b"};
	char ids[4][UUID_SIZE];
	struct upload u;
	state_world_upload(w, &u, 1);
	state_world_ok(w, (int)state_world_complete_for(w, &u, two, 2));
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 2);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 20);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 19, ids, 4, &w->err), 0);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 20, ids, 4, &w->err), 1);
	assert_string_equal(ids[0], u.id);

	/* Queued anew it is no longer delivered, until it is again. */
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 21, NULL, &w->err));
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 30);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 29, ids, 4, &w->err), 0);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 30, ids, 4, &w->err), 1);
	state_world_ok(w, (int)end_upload(w, u.id, UPLOAD_RETIRED));
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
	state_world_upload(w, &u, 0);
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0));
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
}

static void tombstones_are_removed_then_forgotten(void **state)
{
	struct state_world *w = *state;
	char ids[8][UUID_SIZE];
	struct upload u[4];
	struct upload got;
	int purged = -1;
	for (int i = 0; i < 3; i++) {
		state_world_upload(w, &u[i], 10);
		assert_int_equal(state_upload_scan_removable(w->s, ids, 8, &w->err), i);
		state_world_ok(w, (int)state_upload_end(w->s, u[i].id,
					  i == 1 ? UPLOAD_EXPIRED : UPLOAD_TERMINATED, NOW,
					  NOW + 10 + i, NULL, &w->err));
	}
	state_world_complete(w, &u[3], "a");
	state_world_finish(w, &u[3], DELIVERY_DONE, NOW + 2);
	state_world_ok(w, (int)end_upload(w, u[3].id, UPLOAD_RETIRED));
	assert_int_equal(state_upload_scan_removable(w->s, ids, 8, &w->err), 4);
	assert_int_equal(state_upload_scan_removable(w->s, ids, 1, &w->err), 1);

	/* As long as its data are there, a tombstone is needed. */
	state_world_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 0);
	for (int i = 0; i < 4; i++) {
		state_world_ok(w, state_upload_removed(w->s, u[i].id, &w->err));
		state_world_ok(w, state_upload_removed(w->s, u[i].id, &w->err));
	}
	assert_int_equal(state_upload_scan_removable(w->s, ids, 8, &w->err), 0);
	state_world_ok(w, state_upload_purge(w->s, NOW + 10, 100, &purged, &w->err));
	assert_int_equal(purged, 0);
	state_world_ok(w, state_upload_purge(w->s, NOW + 11, 100, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_int_equal(state_upload_get(w->s, u[0].id, &got, &w->err), STATE_NOT_FOUND);
	state_world_ok(w, state_upload_purge(w->s, NOW + 99, 1, &purged, &w->err));
	assert_int_equal(purged, 1);
	state_world_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 1);
	state_world_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 0);
	assert_int_equal(state_world_status(w, u[3].id), UPLOAD_RETIRED);
	assert_int_equal(state_world_deliveries(w, u[3].id).n, 1);
	random_uuid(u[0].id);
	state_world_ok(w, state_upload_removed(w->s, u[0].id, &w->err));
}

static void purge_forgets_deliveries_too(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	int purged = 0;
	state_world_complete(w, &u, "a");
	state_world_finish(w, &u, DELIVERY_FAILED, NOW + 2);
	assert_int_equal(state_world_counts(w).failed_deliveries, 1);
	state_world_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	state_world_ok(w, state_upload_removed(w->s, u.id, &w->err));
	state_world_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_int_equal(state_world_deliveries(w, u.id).n, 0);
	assert_int_equal(state_world_counts(w).failed_deliveries, 0);
}

/* --- small shared values --- */

static void assert_kv(struct state_world *w, const char *key, int64_t now, const char *value)
{
	struct buf out;
	buf_init(&out, 100);
	enum state_result r = state_kv_get(w->s, key, now, &out, &w->err);
	assert_int_equal(r, value ? STATE_OK : STATE_NOT_FOUND);
	assert_string_equal(buf_str(&out), value ? value : "");
	buf_free(&out);
}

static void kv_values_live_until_their_time(void **state)
{
	struct state_world *w = *state;
	int64_t now = clock_now();
	assert_kv(w, "k", now, NULL);
	state_world_ok(w, state_kv_set(w->s, "k", "one", 3, now + 60 * SECOND, &w->err));
	assert_kv(w, "k", now, "one");
	assert_kv(w, "k", now + 60 * SECOND, NULL);
	state_world_ok(w, state_kv_set(w->s, "k", "", 0, now + 90 * SECOND, &w->err));
	assert_kv(w, "k", now + 80 * SECOND, "");
	state_world_ok(w, state_kv_set(w->s, "k", "for ever", 8, 0, &w->err));
	assert_kv(w, "k", INT64_MAX, "for ever");
	for (int i = 0; i < 40; i++) { /* others' ends do not touch it */
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		state_world_ok(w, state_kv_set(w->s, key, "x", 1, now - SECOND, &w->err));
	}
	assert_kv(w, "k", now, "for ever");
	assert_kv(w, "k7", now, NULL);
}

static void kv_values_are_bytes_of_any_kind(void **state)
{
	struct state_world *w = *state;
	static const char bytes[] = "a\0\xff\n";
	struct buf out;
	buf_init(&out, 4);
	state_world_ok(w, state_kv_set(w->s, "\xc3\xa4 '\"", bytes, 4, 0, &w->err));
	state_world_ok(w, (int)state_kv_get(w->s, "\xc3\xa4 '\"", NOW, &out, &w->err));
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.data, bytes, 4);
	state_world_ok(w, state_kv_set(w->s, "long", "12345", 5, 0, &w->err));
	assert_int_equal(state_kv_get(w->s, "long", NOW, &out, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_TOO_LARGE);
	assert_int_equal(state_kv_set(w->s, "", "x", 1, 0, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	buf_free(&out);
}

static void kv_add_is_for_the_first_only(void **state)
{
	struct state_world *w = *state;
	state_world_ok(w, (int)state_kv_add(w->s, "e", "me", 2, NOW, NOW + 10, &w->err));
	assert_int_equal(
		state_kv_add(w->s, "e", "you", 3, NOW + 9, NOW + 99, &w->err), STATE_CONFLICT);
	assert_kv(w, "e", NOW + 9, "me");
	state_world_ok(w, (int)state_kv_add(w->s, "e", "you", 3, NOW + 10, NOW + 99, &w->err));
	assert_kv(w, "e", NOW + 10, "you");
	state_world_ok(w, (int)state_kv_add(w->s, "f", "x", 1, NOW, 0, &w->err));
	assert_int_equal(state_kv_add(w->s, "f", "y", 1, INT64_MAX, 0, &w->err), STATE_CONFLICT);
}

/* --- the whole --- */

static void everything_is_there_after_reopening(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct upload open;
	state_world_complete(w, &u, "a");
	state_world_upload(w, &open, 10);
	state_world_add_message(w, u.id, "bus", "one", NOW);
	state_world_ok(w, state_kv_set(w->s, "k", "v", 1, 0, &w->err));
	assert_true(state_world_lease(w, NULL, "me", NOW + 1) > 0);
	state_world_close(w);
	state_world_open(w);
	struct state_counts c = state_world_counts(w);
	assert_int_equal(c.open_uploads, 1);
	assert_int_equal(c.pending_deliveries, 1);
	assert_int_equal(c.failed_deliveries, 0);
	assert_int_equal(c.late_messages, 1);
	assert_int_equal(state_world_status(w, u.id), UPLOAD_COMPLETE);
	assert_string_equal(state_world_deliveries(w, u.id).text[0], "me");
	assert_kv(w, "k", NOW, "v");
}

#define TEST(fn)                          \
	{                                 \
#fn, fn, NULL, NULL, NULL \
	}
static const struct CMUnitTest tests[] = {
	TEST(store_tells_its_type_and_is_well),
	TEST(create_keeps_every_member),
	TEST(create_refuses_what_exists_or_is_malformed),
	TEST(open_uploads_are_limited),
	TEST(advance_changes_what_it_names),
	TEST(messages_go_with_the_advance),
	TEST(advance_is_refused_when_the_row_differs),
	TEST(fence_keeps_a_stale_holder_out),
	TEST(complete_is_one_change),
	TEST(complete_needs_the_last_byte),
	TEST(expire_takes_idle_open_uploads_and_partials),
	TEST(terminate_waits_for_deliveries),
	TEST(retire_takes_delivered_uploads),
	TEST(stale_uploads_are_found_oldest_first),
	TEST(delivered_uploads_are_found_when_the_last_is_done),
	TEST(tombstones_are_removed_then_forgotten),
	TEST(purge_forgets_deliveries_too),
	TEST(kv_values_live_until_their_time),
	TEST(kv_values_are_bytes_of_any_kind),
	TEST(kv_add_is_for_the_first_only),
	TEST(everything_is_there_after_reopening),
};
#undef TEST

int main(void)
{
	return state_world_run("state", tests, sizeof(tests) / sizeof(tests[0]));
}
