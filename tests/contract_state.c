/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state.h promises, held against every state store: a further one is a further row of `rows`.
 * What threads and processes do to each other is in contract_state_shared.c.
 */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "tests/lib/state_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND CLOCK_US_PER_S
#define NOW INT64_C(1800000000000000) /* of tests whose result does not depend on the real time */
#define LATE_MS 20000                 /* a wait that takes half of it has not been woken */

/* --- helpers --- */

static void assert_ok(struct state_world *w, int rc)
{
	if (rc != 0)
		fail_msg("result %d: %s", rc, w->err.text);
}

static void new_upload(struct state_world *w, struct upload *u, int64_t length)
{
	*u = (struct upload){.length = length, .created_at = NOW};
	random_uuid(u->id);
	assert_ok(w, state_upload_create(w->s, u, NULL, &w->err));
}

static struct upload_change change(const char *id, int64_t from, int64_t to)
{
	return (struct upload_change){
		.id = id, .from = from, .to = to, .length = UPLOAD_LENGTH_UNKNOWN, .now = NOW + 1};
}

static enum state_result complete(
	struct state_world *w, const struct upload *u, const char *const *targets, size_t n)
{
	struct upload_change c = change(u->id, 0, u->length);
	return state_upload_complete(w->s, &c, targets, n, NULL, &w->err);
}

/* A complete upload with one pending delivery. */
static void new_complete(struct state_world *w, struct upload *u, const char *target)
{
	new_upload(w, u, 10);
	assert_ok(w, (int)complete(w, u, &target, 1));
}

static enum upload_status status_of(struct state_world *w, const char *id)
{
	struct upload u;
	assert_ok(w, (int)state_upload_get(w->s, id, &u, &w->err));
	upload_free(&u);
	return u.status;
}

static int64_t offset_of(struct state_world *w, const char *id)
{
	struct upload u;
	assert_ok(w, (int)state_upload_get(w->s, id, &u, &w->err));
	upload_free(&u);
	return u.offset;
}

/* Lease whatever has been due longest for ${owner}; 0 when nothing is. */
static int64_t lease(struct state_world *w, const struct delivery_filter *f, const char *owner,
	int64_t now)
{
	struct delivery d;
	enum state_result r = state_delivery_lease(w->s, f, owner, now, 1000, &d, &w->err);
	if (r == STATE_NOT_FOUND)
		return 0;
	assert_ok(w, (int)r);
	int64_t id = d.id;
	delivery_free(&d);
	delivery_free(&d);
	return id;
}

static enum state_result end(
	struct state_world *w, int64_t id, enum delivery_status status, int64_t now)
{
	struct delivery_end e = {.id = id,
		.owner = "me",
		.status = status,
		.due_at = now + 5 * SECOND,
		.location = "/srv/file",
		.now = now};
	return state_delivery_end(w->s, &e, NULL, &w->err);
}

/* Bring the one pending delivery of ${u} to an end. */
static void finish(
	struct state_world *w, const struct upload *u, enum delivery_status status, int64_t now)
{
	struct delivery_filter f = {.upload_id = u->id};
	int64_t id = lease(w, &f, "me", now);
	assert_true(id > 0);
	assert_ok(w, (int)end(w, id, status, now));
}

struct seen_deliveries {
	int n;
	int stop_at; /* 0: never */
	char targets[256];
	struct delivery last;
	char text[3][64]; /* lease owner, location, issues of the last one; "-" for NULL */
};

static int see_delivery(void *arg, const struct delivery *d)
{
	struct seen_deliveries *seen = arg;
	size_t used = strlen(seen->targets);
	snprintf(seen->targets + used, sizeof(seen->targets) - used, "%s ", d->target);
	seen->last = *d;
	str_copy(seen->text[0], sizeof(seen->text[0]), d->lease_owner ? d->lease_owner : "-");
	str_copy(seen->text[1], sizeof(seen->text[1]), d->location ? d->location : "-");
	str_copy(seen->text[2], sizeof(seen->text[2]), d->issues ? d->issues : "-");
	return ++seen->n == seen->stop_at ? -1 : 0;
}

static struct seen_deliveries deliveries_of(struct state_world *w, const char *id)
{
	struct seen_deliveries seen = {0};
	assert_ok(w, state_delivery_of_upload(w->s, id, see_delivery, &seen, &w->err));
	return seen;
}

static struct outbox_message message(const char *upload_id, const char *sink, const char *name)
{
	struct outbox_message m = {.sink = sink, .name = name, .data = "{}", .due_at = NOW};
	str_copy(m.upload_id, sizeof(m.upload_id), upload_id);
	return m;
}

static void add_message(struct state_world *w, const char *upload_id, const char *sink,
	const char *name, int64_t due_at)
{
	struct outbox_message m = message(upload_id, sink, name);
	m.due_at = due_at;
	struct outbox_list list = {&m, 1};
	assert_ok(w, state_outbox_add(w->s, &list, &w->err));
}

struct seen_messages {
	char names[256];
	int64_t ids[32];
	int n;
	int attempt; /* of the last */
};

static int see_message(void *arg, const struct outbox_message *m)
{
	struct seen_messages *seen = arg;
	size_t used = strlen(seen->names);
	snprintf(seen->names + used, sizeof(seen->names) - used, "%s ", m->name);
	seen->ids[seen->n++] = m->id;
	seen->attempt = m->attempt;
	return 0;
}

static struct seen_messages take(struct state_world *w, const char *sink, int64_t now, int max)
{
	struct seen_messages seen = {0};
	assert_ok(w, state_outbox_take(w->s, sink, now, 1000, max, see_message, &seen, &w->err));
	return seen;
}

static void sent(struct state_world *w, const struct seen_messages *seen)
{
	assert_ok(w, state_outbox_sent(w->s, seen->ids, (size_t)seen->n, &w->err));
}

static struct state_counts counts(struct state_world *w)
{
	struct state_counts c;
	assert_ok(w, state_counts(w->s, NOW, &c, &w->err));
	return c;
}

/* --- uploads --- */

static void store_tells_its_type_and_is_well(void **state)
{
	struct state_world *w = *state;
	assert_ptr_equal(registry_find_state(state_type(w->s)), w->row->backend());
	assert_ok(w, state_probe(w->s, &w->err));
	assert_ok(w, state_probe(w->s, NULL));
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
	assert_ok(w, state_upload_create(w->s, &u, NULL, &w->err));
	assert_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_string_equal(got.id, u.id);
	assert_int_equal(got.kind, UPLOAD_FINAL);
	assert_int_equal(got.status, UPLOAD_OPEN);
	assert_int_equal(got.length, INT64_MAX);
	assert_int_equal(got.offset, 0);
	assert_false(got.unverified);
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

	new_upload(w, &u, UPLOAD_LENGTH_UNKNOWN);
	assert_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
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
	new_upload(w, &u, 5);
	struct outbox_message m = message(u.id, "bus", "created");
	struct outbox_list list = {&m, 1};
	assert_int_equal(state_upload_create(w->s, &u, &list, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	assert_non_null(strstr(w->err.text, state_type(w->s)));
	assert_int_equal(counts(w).late_messages, 0);

	str_copy(u.id, sizeof(u.id), "../../etc/passwd");
	assert_int_equal(state_upload_create(w->s, &u, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	random_uuid(u.id);
	m.sink = NULL;
	assert_int_equal(state_upload_create(w->s, &u, &list, NULL), -1);
	assert_int_equal(state_upload_create(w->s, &u, &list, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	struct upload got;
	assert_int_equal(state_upload_get(w->s, u.id, &got, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_get(w->s, "no-id", &got, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_get(w->s, NULL, &got, &w->err), STATE_NOT_FOUND);
}

static void advance_changes_what_it_names(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct upload got;
	new_upload(w, &u, UPLOAD_LENGTH_UNKNOWN);
	struct upload_change c = change(u.id, 0, 4);
	c.token = "t1";
	c.unverified = true;
	assert_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.offset, 4);
	assert_int_equal(got.length, UPLOAD_LENGTH_UNKNOWN);
	assert_true(got.unverified);
	assert_string_equal(got.token, "t1");
	assert_int_equal(got.touched_at, NOW + 1);
	upload_free(&got);

	/* The same offset: the length becomes known, the token stays, nothing was touched. */
	c = change(u.id, 4, 4);
	c.length = 9;
	c.now = NOW + 2;
	assert_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.length, 9);
	assert_false(got.unverified);
	assert_string_equal(got.token, "t1");
	assert_int_equal(got.touched_at, NOW + 1);
	assert_int_equal(got.status, UPLOAD_OPEN);
	upload_free(&got);

	c = change(u.id, 4, 2); /* repair */
	assert_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_int_equal(offset_of(w, u.id), 2);
}

static void advance_is_refused_when_the_row_differs(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 10);
	struct upload_change c = change(u.id, 0, 4);
	assert_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c = change(u.id, 4, 11); /* beyond its length */
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c = change(u.id, 4, 5);
	c.length = 11; /* it has another one */
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c.length = 10;
	assert_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_int_equal(offset_of(w, u.id), 5);

	char other[UUID_SIZE];
	random_uuid(other);
	c = change(other, 0, 1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_NOT_FOUND);
	c = change(u.id, 5, -1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void fence_keeps_a_stale_holder_out(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 10);
	static const struct {
		uint64_t fence;
		enum state_result result;
	} steps[] = {{0, STATE_OK}, {7, STATE_OK}, {7, STATE_OK}, {6, STATE_CONFLICT},
		{0, STATE_CONFLICT}, {INT64_MAX, STATE_OK}, {8, STATE_CONFLICT}};
	int64_t at = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct upload_change c = change(u.id, at, at + 1);
		c.fence = steps[i].fence;
		assert_int_equal(state_upload_advance(w->s, &c, &w->err), steps[i].result);
		at += steps[i].result == STATE_OK;
		assert_int_equal(offset_of(w, u.id), at);
	}
	struct upload_change c = change(u.id, at, 10);
	c.fence = 9;
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
}

static void complete_is_one_change(void **state)
{
	struct state_world *w = *state;
	static const char *const targets[] = {"zeta", "alpha", "mid"};
	struct upload u;
	struct upload got;
	new_upload(w, &u, 10);
	struct outbox_message m[] = {message(u.id, "bus", "one"), message(u.id, "bus", "two")};
	struct outbox_list list = {m, 2};
	struct upload_change c = change(u.id, 0, 10);
	c.token = "end";
	assert_ok(w, (int)state_upload_complete(w->s, &c, targets, 3, &list, &w->err));
	assert_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.status, UPLOAD_COMPLETE);
	assert_int_equal(got.offset, 10);
	assert_int_equal(got.completed_at, NOW + 1);
	assert_string_equal(got.token, "end");
	upload_free(&got);
	struct seen_deliveries seen = deliveries_of(w, u.id);
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
	c = change(u.id, 10, 10);
	assert_int_equal(
		state_upload_complete(w->s, &c, targets, 3, &list, &w->err), STATE_CONFLICT);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	assert_int_equal(deliveries_of(w, u.id).n, 3);
	assert_string_equal(take(w, "bus", NOW, 9).names, "one two ");
}

static void complete_needs_the_last_byte(void **state)
{
	struct state_world *w = *state;
	static const char *const twice[] = {"a", "b", "a"};
	struct upload u;
	new_upload(w, &u, 10);
	struct upload_change c = change(u.id, 0, 9);
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
	c.to = 10;
	assert_int_equal(state_upload_complete(w->s, &c, twice, 3, NULL, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(offset_of(w, u.id), 0);
	assert_int_equal(deliveries_of(w, u.id).n, 0);

	new_upload(w, &u, UPLOAD_LENGTH_UNKNOWN);
	c = change(u.id, 0, 9);
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
	c.length = 9;
	assert_ok(w, (int)state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err));
	assert_int_equal(status_of(w, u.id), UPLOAD_COMPLETE);

	new_upload(w, &u, 0); /* nothing to send at all */
	assert_ok(w, (int)complete(w, &u, NULL, 0));
	assert_int_equal(status_of(w, u.id), UPLOAD_COMPLETE);
}

/* --- the end of uploads --- */

static enum state_result end_upload(struct state_world *w, const char *id, enum upload_status status)
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
	new_upload(w, &idle, 10);
	new_upload(w, &touched, 10);
	struct upload_change c = change(touched.id, 0, 1);
	assert_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	new_upload(w, &done, 0);
	assert_ok(w, (int)complete(w, &done, NULL, 0));
	random_uuid(part.id);
	assert_ok(w, state_upload_create(w->s, &part, NULL, &w->err));
	assert_ok(w, (int)complete(w, &part, NULL, 0));

	struct outbox_message m = message(idle.id, "bus", "expired");
	struct outbox_list list = {&m, 1};
	assert_ok(w, (int)state_upload_end(
			     w->s, idle.id, UPLOAD_EXPIRED, NOW, NOW + 5, &list, &w->err));
	assert_int_equal(status_of(w, idle.id), UPLOAD_EXPIRED);
	assert_int_equal(end_upload(w, idle.id, UPLOAD_EXPIRED), STATE_CONFLICT);
	assert_ok(w, (int)end_upload(w, part.id, UPLOAD_EXPIRED));
	m.name = "wrong";
	assert_int_equal(
		state_upload_end(w->s, touched.id, UPLOAD_EXPIRED, NOW, NOW + 5, &list, &w->err),
		STATE_CONFLICT);
	assert_int_equal(end_upload(w, done.id, UPLOAD_EXPIRED), STATE_CONFLICT);
	char none[UUID_SIZE];
	random_uuid(none);
	assert_int_equal(end_upload(w, none, UPLOAD_EXPIRED), STATE_NOT_FOUND);
	assert_string_equal(take(w, "bus", NOW, 9).names, "expired ");
	c = change(idle.id, 0, 1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
}

static void terminate_waits_for_deliveries(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 10);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	assert_int_equal(status_of(w, u.id), UPLOAD_TERMINATED);
	assert_int_equal(end_upload(w, u.id, UPLOAD_TERMINATED), STATE_CONFLICT);

	new_complete(w, &u, "a");
	assert_int_equal(end_upload(w, u.id, UPLOAD_TERMINATED), STATE_CONFLICT);
	finish(w, &u, DELIVERY_FAILED, NOW + 2);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	new_complete(w, &u, "a");
	finish(w, &u, DELIVERY_DONE, NOW + 2);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	assert_int_equal(end_upload(w, u.id, UPLOAD_OPEN), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void retire_takes_delivered_uploads(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 10);
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	assert_ok(w, (int)complete(w, &u, NULL, 0)); /* delivered nowhere */
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);

	new_complete(w, &u, "a");
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	finish(w, &u, DELIVERY_FAILED, NOW + 2);
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 3, NULL, &w->err));
	finish(w, &u, DELIVERY_DONE, NOW + 4);
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "b", NOW + 3, NULL, &w->err));
	assert_int_equal(end_upload(w, u.id, UPLOAD_RETIRED), STATE_CONFLICT);
	finish(w, &u, DELIVERY_DONE, NOW + 6);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_RETIRED));
	assert_int_equal(status_of(w, u.id), UPLOAD_RETIRED);
	assert_int_equal(deliveries_of(w, u.id).n, 2);
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
		assert_ok(w, state_upload_create(w->s, &u[i], NULL, &w->err));
	}
	assert_ok(w, (int)complete(w, &u[1], NULL, 0)); /* a partial: stays in the list */
	assert_ok(w, (int)complete(w, &u[2], NULL, 0)); /* not a partial: leaves it */
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 9, ids, 4, &w->err), 0);
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 40, ids, 4, &w->err), 3);
	assert_string_equal(ids[0], u[4].id);
	assert_string_equal(ids[1], u[3].id);
	assert_string_equal(ids[2], u[1].id);
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 40, ids, 2, &w->err), 2);
	assert_string_equal(ids[0], u[4].id);
	assert_int_equal(state_upload_scan_stale(w->s, NOW + 40, ids, 0, &w->err), 0);
	assert_int_equal(counts(w).open_uploads, 3);
}

static void delivered_uploads_are_found_when_the_last_is_done(void **state)
{
	struct state_world *w = *state;
	static const char *const two[] = {"a", "b"};
	char ids[4][UUID_SIZE];
	struct upload u;
	new_upload(w, &u, 1);
	assert_ok(w, (int)complete(w, &u, two, 2));
	finish(w, &u, DELIVERY_DONE, NOW + 2);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
	finish(w, &u, DELIVERY_DONE, NOW + 20);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 19, ids, 4, &w->err), 0);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 20, ids, 4, &w->err), 1);
	assert_string_equal(ids[0], u.id);

	/* Queued anew it is no longer delivered, until it is again. */
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 21, NULL, &w->err));
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
	finish(w, &u, DELIVERY_DONE, NOW + 30);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 29, ids, 4, &w->err), 0);
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 30, ids, 4, &w->err), 1);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_RETIRED));
	assert_int_equal(state_upload_scan_delivered(w->s, NOW + 99, ids, 4, &w->err), 0);
	new_upload(w, &u, 0);
	assert_ok(w, (int)complete(w, &u, NULL, 0));
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
		new_upload(w, &u[i], 10);
		assert_int_equal(state_upload_scan_removable(w->s, ids, 8, &w->err), i);
		assert_ok(w, (int)state_upload_end(w->s, u[i].id,
				     i == 1 ? UPLOAD_EXPIRED : UPLOAD_TERMINATED, NOW, NOW + 10 + i, NULL,
				     &w->err));
	}
	new_complete(w, &u[3], "a");
	finish(w, &u[3], DELIVERY_DONE, NOW + 2);
	assert_ok(w, (int)end_upload(w, u[3].id, UPLOAD_RETIRED));
	assert_int_equal(state_upload_scan_removable(w->s, ids, 8, &w->err), 4);
	assert_int_equal(state_upload_scan_removable(w->s, ids, 1, &w->err), 1);

	/* As long as its data are there, a tombstone is needed. */
	assert_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 0);
	for (int i = 0; i < 4; i++) {
		assert_ok(w, state_upload_removed(w->s, u[i].id, &w->err));
		assert_ok(w, state_upload_removed(w->s, u[i].id, &w->err));
	}
	assert_int_equal(state_upload_scan_removable(w->s, ids, 8, &w->err), 0);
	assert_ok(w, state_upload_purge(w->s, NOW + 10, 100, &purged, &w->err));
	assert_int_equal(purged, 0);
	assert_ok(w, state_upload_purge(w->s, NOW + 11, 100, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_int_equal(state_upload_get(w->s, u[0].id, &got, &w->err), STATE_NOT_FOUND);
	assert_ok(w, state_upload_purge(w->s, NOW + 99, 1, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 0);
	assert_int_equal(status_of(w, u[3].id), UPLOAD_RETIRED);
	assert_int_equal(deliveries_of(w, u[3].id).n, 1);
	random_uuid(u[0].id);
	assert_ok(w, state_upload_removed(w->s, u[0].id, &w->err));
}

static void purge_forgets_deliveries_too(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	int purged = 0;
	new_complete(w, &u, "a");
	finish(w, &u, DELIVERY_FAILED, NOW + 2);
	assert_int_equal(counts(w).failed_deliveries, 1);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	assert_ok(w, state_upload_removed(w->s, u.id, &w->err));
	assert_ok(w, state_upload_purge(w->s, NOW + 99, 100, &purged, &w->err));
	assert_int_equal(purged, 1);
	assert_int_equal(deliveries_of(w, u.id).n, 0);
	assert_int_equal(counts(w).failed_deliveries, 0);
}

/* --- deliveries --- */

static void lease_takes_what_has_been_due_longest(void **state)
{
	struct state_world *w = *state;
	struct upload u[3];
	for (int i = 0; i < 3; i++) {
		struct upload_change c;
		const char *target = i == 1 ? "b" : "a";
		new_upload(w, &u[i], 1);
		c = change(u[i].id, 0, 1);
		c.now = NOW + 30 - 10 * i;
		assert_ok(w, (int)state_upload_complete(w->s, &c, &target, 1, NULL, &w->err));
	}
	struct delivery d;
	assert_int_equal(lease(w, NULL, "me", NOW + 9), 0);
	assert_ok(w, (int)state_delivery_lease(w->s, NULL, "me", NOW + 30, 2000, &d, &w->err));
	assert_string_equal(d.upload_id, u[2].id);
	assert_string_equal(d.target, "a");
	assert_string_equal(d.lease_owner, "me");
	assert_int_equal(d.status, DELIVERY_PENDING);
	assert_int_equal(d.due_at, NOW + 10);
	assert_int_equal(d.lease_until, NOW + 30 + 2 * SECOND);
	delivery_free(&d);

	struct delivery_filter b = {.target = "b"};
	struct delivery_filter second = {.upload_id = u[1].id};
	struct delivery_filter mixed = {.upload_id = u[1].id, .target = "a"};
	struct delivery_filter nowhere = {.target = "c"};
	assert_int_equal(lease(w, &nowhere, "me", NOW + 30), 0);
	assert_int_equal(lease(w, &mixed, "me", NOW + 30), 0);
	assert_int_equal(lease(w, &second, "me", NOW + 19), 0);
	assert_true(lease(w, &second, "me", NOW + 30) > 0);
	assert_int_equal(lease(w, &b, "me", NOW + 30), 0);
	assert_true(lease(w, NULL, "me", NOW + 30) > 0);
	assert_int_equal(lease(w, NULL, "me", NOW + 30), 0);
	assert_int_equal(counts(w).pending_deliveries, 3);
	assert_int_equal(state_delivery_lease(w->s, NULL, "", NOW, 1, &d, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void lease_that_ran_out_is_another_s_to_take(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_complete(w, &u, "a");
	int64_t id = lease(w, NULL, "me", NOW + 1);
	int64_t until = NOW + 1 + SECOND;
	assert_int_equal(lease(w, NULL, "you", until - 1), 0);

	/* Renewed in time, and even late as long as nobody took it. */
	assert_ok(w, (int)state_delivery_renew(w->s, id, "me", until - 1, 1000, &w->err));
	assert_int_equal(lease(w, NULL, "you", until), 0);
	until += SECOND - 1;
	assert_ok(w, (int)state_delivery_renew(w->s, id, "me", until + 5, 1000, &w->err));
	assert_int_equal(
		state_delivery_renew(w->s, id, "you", until, 1000, &w->err), STATE_CONFLICT);
	until += 5 + SECOND;

	assert_int_equal(lease(w, NULL, "you", until), id);
	assert_int_equal(state_delivery_renew(w->s, id, "me", until, 1000, &w->err), STATE_CONFLICT);
	assert_int_equal(end(w, id, DELIVERY_DONE, until), STATE_CONFLICT);
	struct seen_deliveries seen = deliveries_of(w, u.id);
	assert_int_equal(seen.last.status, DELIVERY_PENDING);
	assert_string_equal(seen.text[0], "you");
	assert_int_equal(
		state_delivery_renew(w->s, id + 99, "me", until, 1000, &w->err), STATE_CONFLICT);
}

static void end_of_a_delivery_keeps_its_outcome(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_complete(w, &u, "a");
	int64_t id = lease(w, NULL, "me", NOW + 1);
	struct delivery_end e = {.id = id,
		.owner = "me",
		.status = DELIVERY_PENDING,
		.due_at = NOW + 50,
		.location = "/not/yet",
		.issues = "[1]",
		.count_attempt = true,
		.now = NOW + 2};
	struct outbox_message m = message(u.id, "bus", "failed once");
	struct outbox_list list = {&m, 1};
	assert_ok(w, (int)state_delivery_end(w->s, &e, &list, &w->err));
	m.name = "too late";
	assert_int_equal(state_delivery_end(w->s, &e, &list, &w->err), STATE_CONFLICT);
	assert_string_equal(take(w, "bus", NOW, 9).names, "failed once ");
	struct seen_deliveries seen = deliveries_of(w, u.id);
	assert_int_equal(seen.last.attempt, 1);
	assert_int_equal(seen.last.due_at, NOW + 50);
	assert_int_equal(seen.last.ended_at, 0);
	assert_string_equal(seen.text[0], "-");
	assert_string_equal(seen.text[1], "-");
	assert_string_equal(seen.text[2], "[1]");
	assert_int_equal(lease(w, NULL, "me", NOW + 49), 0);

	/* Given back: no try was made. */
	assert_int_equal(lease(w, NULL, "me", NOW + 50), id);
	e.count_attempt = false;
	assert_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
	assert_int_equal(deliveries_of(w, u.id).last.attempt, 1);

	assert_int_equal(lease(w, NULL, "me", NOW + 50), id);
	e.status = DELIVERY_FAILED;
	e.issues = "[1,2]";
	e.now = NOW + 51;
	assert_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
	seen = deliveries_of(w, u.id);
	assert_int_equal(seen.last.status, DELIVERY_FAILED);
	assert_int_equal(seen.last.attempt, 2);
	assert_int_equal(seen.last.ended_at, NOW + 51);
	assert_string_equal(seen.text[1], "-");
	assert_string_equal(seen.text[2], "[1,2]");
	assert_int_equal(lease(w, NULL, "me", NOW + 99 * SECOND), 0);
	assert_int_equal(counts(w).failed_deliveries, 1);
	assert_int_equal(counts(w).pending_deliveries, 0);

	new_complete(w, &u, "a");
	finish(w, &u, DELIVERY_DONE, NOW + 3);
	seen = deliveries_of(w, u.id);
	assert_int_equal(seen.last.status, DELIVERY_DONE);
	assert_int_equal(seen.last.attempt, 0);
	assert_int_equal(seen.last.ended_at, NOW + 3);
	assert_string_equal(seen.text[0], "-");
	assert_string_equal(seen.text[1], "/srv/file");
	assert_string_equal(seen.text[2], "-");
}

static void queue_makes_or_repeats_a_delivery(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	random_uuid(u.id);
	assert_int_equal(
		state_delivery_queue(w->s, u.id, "a", NOW, NULL, &w->err), STATE_NOT_FOUND);
	new_upload(w, &u, 10);
	assert_int_equal(state_delivery_queue(w->s, u.id, "a", NOW, NULL, &w->err), STATE_CONFLICT);
	assert_ok(w, (int)complete(w, &u, NULL, 0));

	struct outbox_message m = message(u.id, "bus", "queued");
	struct outbox_list list = {&m, 1};
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 2, &list, &w->err));
	m.name = "unneeded";
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 3, &list, &w->err));
	assert_int_equal(deliveries_of(w, u.id).last.queued_at, NOW + 2);
	assert_string_equal(take(w, "bus", NOW, 9).names, "queued ");

	/* A leased one is pending too. */
	struct delivery_filter f = {.upload_id = u.id};
	int64_t id = lease(w, &f, "me", NOW + 4);
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 5, NULL, &w->err));
	assert_string_equal(deliveries_of(w, u.id).text[0], "me");
	struct delivery_end e = {
		.id = id, .owner = "me", .status = DELIVERY_FAILED, .issues = "[]", .now = NOW + 6};
	assert_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));

	for (int round = 0; round < 2; round++) { /* failed, then done */
		int64_t now = NOW + 10 + 10 * round;
		assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", now, NULL, &w->err));
		struct seen_deliveries seen = deliveries_of(w, u.id);
		assert_int_equal(seen.n, 1);
		assert_int_equal(seen.last.id, id);
		assert_int_equal(seen.last.status, DELIVERY_PENDING);
		assert_int_equal(seen.last.attempt, 0);
		assert_int_equal(seen.last.due_at, now);
		assert_int_equal(seen.last.queued_at, now);
		assert_int_equal(seen.last.ended_at, 0);
		assert_string_equal(seen.text[1], "-");
		assert_string_equal(seen.text[2], "-");
		finish(w, &u, DELIVERY_DONE, now + 1);
	}
	assert_int_equal(counts(w).failed_deliveries, 0);
	assert_ok(w, (int)end_upload(w, u.id, UPLOAD_TERMINATED));
	assert_int_equal(state_delivery_queue(w->s, u.id, "a", NOW, NULL, &w->err), STATE_CONFLICT);
}

struct every_one {
	struct state_world *w;
	int n;
	int64_t last;
};

static int use_the_store(void *arg, const struct delivery *d)
{
	struct every_one *e = arg;
	assert_true(d->queued_at >= e->last);
	e->last = d->queued_at;
	e->n++;
	assert_int_equal(status_of(e->w, d->upload_id), UPLOAD_COMPLETE);
	return 0;
}

static void unfinished_lists_all_in_order(void **state)
{
	struct state_world *w = *state;
	static const char *const two[] = {"a", "b"};
	enum { UPLOADS = 170 };
	struct upload u;
	for (int i = 0; i < UPLOADS; i++) {
		new_upload(w, &u, 1);
		struct upload_change c = change(u.id, 0, 1);
		c.now = NOW + (i * 37) % 50; /* several of the same time */
		assert_ok(w, (int)state_upload_complete(w->s, &c, two, 2, NULL, &w->err));
		if (i % 3 == 0)
			finish(w, &u, DELIVERY_FAILED, NOW + 60);
		if (i % 3 == 1)
			finish(w, &u, DELIVERY_DONE, NOW + 60);
	}
	struct every_one all = {w, 0, 0};
	assert_ok(w, state_delivery_unfinished(w->s, NULL, use_the_store, &all, &w->err));
	assert_int_equal(all.n, 2 * UPLOADS - 57);
	struct delivery_filter b = {.target = "b"};
	all = (struct every_one){w, 0, 0};
	assert_ok(w, state_delivery_unfinished(w->s, &b, use_the_store, &all, &w->err));
	assert_int_equal(all.n, UPLOADS);

	struct delivery_filter one = {.upload_id = u.id};
	struct seen_deliveries seen = {0};
	assert_ok(w, state_delivery_unfinished(w->s, &one, see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.last.upload_id, u.id);
	one.target = "z";
	seen = (struct seen_deliveries){0};
	assert_ok(w, state_delivery_unfinished(w->s, &one, see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 0);
	seen = (struct seen_deliveries){.stop_at = 3};
	assert_ok(w, state_delivery_unfinished(w->s, NULL, see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 3);
	seen = (struct seen_deliveries){.stop_at = 1};
	assert_ok(w, state_delivery_of_upload(w->s, u.id, see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 1);
}

/* --- waiting --- */

/* How long a wait of at most ${timeout_ms} took. */
static int64_t waited(struct state_world *w, int64_t timeout_ms, int stop_fd)
{
	int64_t start = clock_mono_ms();
	assert_ok(w, state_wait(w->s, timeout_ms, stop_fd, &w->err));
	return clock_mono_ms() - start;
}

static void wait_ends_when_its_time_is_over(void **state)
{
	struct state_world *w = *state;
	assert_true(waited(w, 0, -1) < LATE_MS / 2);
	assert_true(waited(w, -5, -1) < LATE_MS / 2);
	assert_true(waited(w, 30, -1) >= 29);
}

static void wait_ends_when_told_to_stop(void **state)
{
	struct state_world *w = *state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_true(waited(w, LATE_MS, fds[0]) < LATE_MS / 2);
	close(fds[0]);
	close(fds[1]);
}

static void wait_ends_at_once_when_something_is_due(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 0);
	assert_ok(w, (int)complete(w, &u, NULL, 0));
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", clock_now(), NULL, &w->err));
	assert_true(waited(w, LATE_MS, -1) < LATE_MS / 2);
}

static void wait_ends_at_the_next_due_time(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 0);
	assert_ok(w, (int)complete(w, &u, NULL, 0));
	assert_ok(w, (int)state_delivery_queue(w->s, u.id, "a", clock_now(), NULL, &w->err));

	/* The end of a lease. */
	struct delivery d;
	int64_t now = clock_now();
	assert_ok(w, (int)state_delivery_lease(w->s, NULL, "me", now, 50, &d, &w->err));
	int64_t id = d.id;
	delivery_free(&d);
	int64_t until = now + 50 * CLOCK_US_PER_MS;
	assert_true(waited(w, LATE_MS, -1) < LATE_MS / 2);
	assert_true(clock_now() >= until);

	/* Another try. */
	struct delivery_end e = {.id = id,
		.owner = "me",
		.status = DELIVERY_PENDING,
		.due_at = clock_now() + 50 * CLOCK_US_PER_MS,
		.now = clock_now()};
	assert_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
	assert_true(waited(w, LATE_MS, -1) < LATE_MS / 2);
	assert_true(clock_now() >= e.due_at);
}

struct waiter {
	struct state_world *w;
	struct upload u;
	enum { BY_COMPLETE, BY_QUEUE } how;
};

static void *queue_one(void *arg)
{
	struct waiter *t = arg;
	const char *target = "a";
	struct err err = {0};
	struct upload_change c = change(t->u.id, 0, 0);
	c.now = clock_now();
	enum state_result r;
	if (t->how == BY_COMPLETE)
		r = state_upload_complete(t->w->s, &c, &target, 1, NULL, &err);
	else
		r = state_delivery_queue(t->w->s, t->u.id, target, c.now, NULL, &err);
	if (r != STATE_OK)
		state_world_die("cannot queue", &err);
	return NULL;
}

static void wait_ends_when_a_delivery_is_queued(void **state)
{
	struct state_world *w = *state;
	/* Many rounds: whenever it comes, before, within or after the look, it must be seen. */
	for (int round = 0; round < 40; round++) {
		struct waiter t = {.w = w, .how = round % 2 ? BY_QUEUE : BY_COMPLETE};
		pthread_t thread;
		new_upload(w, &t.u, 0);
		if (t.how == BY_QUEUE)
			assert_ok(w, (int)complete(w, &t.u, NULL, 0));
		assert_int_equal(pthread_create(&thread, NULL, queue_one, &t), 0);
		int64_t took = waited(w, LATE_MS, -1);
		pthread_join(thread, NULL);
		assert_true(took < LATE_MS / 2);
		finish(w, &t.u, DELIVERY_DONE, clock_now());
	}
}

/* --- outbox --- */

static void outbox_gives_each_message_once_in_order(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 1);
	add_message(w, u.id, "bus", "one", NOW);
	add_message(w, u.id, "bus", "two", NOW);
	add_message(w, u.id, "log", "else", NOW);
	add_message(w, u.id, "bus", "later", NOW + 5);
	assert_int_equal(counts(w).late_messages, 3);
	assert_int_equal(take(w, "bus", NOW - 1, 9).n, 0);
	assert_int_equal(take(w, "nobody", NOW, 9).n, 0);
	assert_int_equal(take(w, "bus", NOW, 0).n, 0);
	struct seen_messages first = take(w, "bus", NOW, 9);
	assert_string_equal(first.names, "one two ");
	assert_int_equal(take(w, "bus", NOW + 5, 9).n, 0); /* "later" is behind leased ones */
	assert_string_equal(take(w, "log", NOW, 9).names, "else ");
	sent(w, &first);
	sent(w, &first);
	assert_string_equal(take(w, "bus", NOW + 5, 9).names, "later ");
	assert_int_equal(counts(w).late_messages, 0);
}

static int see_all_of_it(void *arg, const struct outbox_message *m)
{
	const struct outbox_message *want = arg;
	assert_true(m->id > 0);
	assert_string_equal(m->upload_id, want->upload_id);
	assert_string_equal(m->sink, want->sink);
	assert_string_equal(m->name, want->name);
	assert_true(m->replace == want->replace);
	assert_string_equal(m->data, want->data);
	assert_int_equal(m->due_at, want->due_at);
	assert_int_equal(m->attempt, 0);
	return -1;
}

static void outbox_message_keeps_every_member(void **state)
{
	struct state_world *w = *state;
	struct outbox_message m = {.sink = "bus",
		.name = "file.moved",
		.replace = true,
		.data = "{\"a\":\"\xc3\xa4\"}",
		.due_at = NOW};
	struct outbox_list list = {&m, 1};
	random_uuid(m.upload_id);
	assert_ok(w, state_outbox_add(w->s, &list, &w->err));
	assert_ok(w, state_outbox_add(w->s, NULL, &w->err));
	assert_ok(w, state_outbox_take(w->s, "bus", NOW, 1000, 9, see_all_of_it, &m, &w->err));
	assert_int_equal(take(w, "bus", NOW, 9).n, 0);
}

static void outbox_keeps_order_when_one_is_tried_again(void **state)
{
	struct state_world *w = *state;
	struct upload u[2];
	for (int i = 0; i < 2; i++)
		new_upload(w, &u[i], 1);
	add_message(w, u[0].id, "bus", "a1", NOW);
	add_message(w, u[1].id, "bus", "b1", NOW);
	add_message(w, u[0].id, "bus", "a2", NOW);
	struct seen_messages seen = take(w, "bus", NOW, 9);
	assert_string_equal(seen.names, "a1 b1 a2 ");
	assert_ok(w, state_outbox_retry(w->s, seen.ids[0], NOW + 10 * SECOND, &w->err));
	assert_ok(w, state_outbox_sent(w->s, &seen.ids[1], 1, &w->err));
	add_message(w, u[0].id, "bus", "a3", NOW);
	add_message(w, u[0].id, "log", "x1", NOW);
	add_message(w, u[1].id, "bus", "b2", NOW);

	/* Upload a waits for its first message in this sink; others do not. */
	seen = take(w, "bus", NOW + 9 * SECOND, 9);
	assert_string_equal(seen.names, "b2 ");
	assert_string_equal(take(w, "log", NOW + 9 * SECOND, 9).names, "x1 ");
	seen = take(w, "bus", NOW + 10 * SECOND, 1);
	assert_string_equal(seen.names, "a1 ");
	assert_int_equal(seen.attempt, 1);
	assert_int_equal(take(w, "bus", NOW + 10 * SECOND, 9).n, 0);
	sent(w, &seen);
	seen = take(w, "bus", NOW + 10 * SECOND, 9);
	assert_string_equal(seen.names, "a2 a3 ");
	assert_int_equal(seen.attempt, 0);
	/* A sweep that died: its lease runs out, all come again, in the order they were added. */
	assert_string_equal(take(w, "bus", NOW + 11 * SECOND, 9).names, "a2 a3 b2 ");
	assert_ok(w, state_outbox_retry(w->s, 999999, NOW, &w->err));
}

static void outbox_takes_oldest_uploads_first(void **state)
{
	struct state_world *w = *state;
	static const char *const names[] = {"m0", "m1", "m2", "m3", "m4"};
	for (int i = 0; i < 5; i++) {
		struct upload u;
		new_upload(w, &u, 1);
		add_message(w, u.id, "bus", names[i], NOW - 10 + i);
	}
	assert_string_equal(take(w, "bus", NOW, 2).names, "m0 m1 ");
	assert_string_equal(take(w, "bus", NOW, 2).names, "m2 m3 ");
	assert_string_equal(take(w, "bus", NOW, 2).names, "m4 ");
}

static void outbox_late_answer_hits_no_other_message(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	new_upload(w, &u, 1);
	add_message(w, u.id, "bus", "old", NOW);
	struct seen_messages old = take(w, "bus", NOW, 9);
	sent(w, &old);
	add_message(w, u.id, "bus", "new", NOW);
	sent(w, &old);
	assert_ok(w, state_outbox_retry(w->s, old.ids[0], NOW + 99, &w->err));
	assert_string_equal(take(w, "bus", NOW, 9).names, "new ");
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
	assert_ok(w, state_kv_set(w->s, "k", "one", 3, now + 60 * SECOND, &w->err));
	assert_kv(w, "k", now, "one");
	assert_kv(w, "k", now + 60 * SECOND, NULL);
	assert_ok(w, state_kv_set(w->s, "k", "", 0, now + 90 * SECOND, &w->err));
	assert_kv(w, "k", now + 80 * SECOND, "");
	assert_ok(w, state_kv_set(w->s, "k", "for ever", 8, 0, &w->err));
	assert_kv(w, "k", INT64_MAX, "for ever");
	for (int i = 0; i < 40; i++) { /* others' ends do not touch it */
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		assert_ok(w, state_kv_set(w->s, key, "x", 1, now - SECOND, &w->err));
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
	assert_ok(w, state_kv_set(w->s, "\xc3\xa4 '\"", bytes, 4, 0, &w->err));
	assert_ok(w, (int)state_kv_get(w->s, "\xc3\xa4 '\"", NOW, &out, &w->err));
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.data, bytes, 4);
	assert_ok(w, state_kv_set(w->s, "long", "12345", 5, 0, &w->err));
	assert_int_equal(state_kv_get(w->s, "long", NOW, &out, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_TOO_LARGE);
	assert_int_equal(state_kv_set(w->s, "", "x", 1, 0, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	buf_free(&out);
}

static void kv_add_is_for_the_first_only(void **state)
{
	struct state_world *w = *state;
	assert_ok(w, (int)state_kv_add(w->s, "e", "me", 2, NOW, NOW + 10, &w->err));
	assert_int_equal(
		state_kv_add(w->s, "e", "you", 3, NOW + 9, NOW + 99, &w->err), STATE_CONFLICT);
	assert_kv(w, "e", NOW + 9, "me");
	assert_ok(w, (int)state_kv_add(w->s, "e", "you", 3, NOW + 10, NOW + 99, &w->err));
	assert_kv(w, "e", NOW + 10, "you");
	assert_ok(w, (int)state_kv_add(w->s, "f", "x", 1, NOW, 0, &w->err));
	assert_int_equal(state_kv_add(w->s, "f", "y", 1, INT64_MAX, 0, &w->err), STATE_CONFLICT);
}

/* --- the whole --- */

static void everything_is_there_after_reopening(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct upload open;
	new_complete(w, &u, "a");
	new_upload(w, &open, 10);
	add_message(w, u.id, "bus", "one", NOW);
	assert_ok(w, state_kv_set(w->s, "k", "v", 1, 0, &w->err));
	assert_true(lease(w, NULL, "me", NOW + 1) > 0);
	state_world_close(w);
	state_world_open(w);
	struct state_counts c = counts(w);
	assert_int_equal(c.open_uploads, 1);
	assert_int_equal(c.pending_deliveries, 1);
	assert_int_equal(c.failed_deliveries, 0);
	assert_int_equal(c.late_messages, 1);
	assert_int_equal(status_of(w, u.id), UPLOAD_COMPLETE);
	assert_string_equal(deliveries_of(w, u.id).text[0], "me");
	assert_kv(w, "k", NOW, "v");
}

#define TEST(fn) \
	{ \
		#fn, fn, NULL, NULL, NULL \
	}
static const struct CMUnitTest tests[] = {
	TEST(store_tells_its_type_and_is_well),
	TEST(create_keeps_every_member),
	TEST(create_refuses_what_exists_or_is_malformed),
	TEST(advance_changes_what_it_names),
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
	TEST(lease_takes_what_has_been_due_longest),
	TEST(lease_that_ran_out_is_another_s_to_take),
	TEST(end_of_a_delivery_keeps_its_outcome),
	TEST(queue_makes_or_repeats_a_delivery),
	TEST(unfinished_lists_all_in_order),
	TEST(wait_ends_when_its_time_is_over),
	TEST(wait_ends_when_told_to_stop),
	TEST(wait_ends_at_once_when_something_is_due),
	TEST(wait_ends_at_the_next_due_time),
	TEST(wait_ends_when_a_delivery_is_queued),
	TEST(outbox_gives_each_message_once_in_order),
	TEST(outbox_message_keeps_every_member),
	TEST(outbox_keeps_order_when_one_is_tried_again),
	TEST(outbox_takes_oldest_uploads_first),
	TEST(outbox_late_answer_hits_no_other_message),
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
