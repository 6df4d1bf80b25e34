/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state.h promises about deliveries and messages, held against every state store: a further
 * one is a further row in tests/lib/state_world.c.
 */
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/store/state.h"
#include "tests/lib/state_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LATE_MS 20000 /* a wait that takes half of it has not been woken */

/* --- deliveries --- */

static void lease_takes_what_has_been_due_longest(void **state)
{
	struct state_world *w = *state;
	struct upload u[3];
	for (int i = 0; i < 3; i++) {
		struct upload_change c;
		const char *target = i == 1 ? "b" : "a";
		state_world_upload(w, &u[i], 1);
		c = state_world_change(u[i].id, 0, 1);
		c.now = NOW + 30 - 10 * i;
		state_world_ok(w, (int)state_upload_complete(w->s, &c, &target, 1, NULL, &w->err));
	}
	struct delivery d;
	assert_int_equal(state_world_lease(w, NULL, "me", NOW + 9), 0);
	state_world_ok(w, (int)state_delivery_lease(w->s, NULL, "me", NOW + 30, 2000, &d, &w->err));
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
	assert_int_equal(state_world_lease(w, &nowhere, "me", NOW + 30), 0);
	assert_int_equal(state_world_lease(w, &mixed, "me", NOW + 30), 0);
	assert_int_equal(state_world_lease(w, &second, "me", NOW + 19), 0);
	assert_true(state_world_lease(w, &second, "me", NOW + 30) > 0);
	assert_int_equal(state_world_lease(w, &b, "me", NOW + 30), 0);
	assert_true(state_world_lease(w, NULL, "me", NOW + 30) > 0);
	assert_int_equal(state_world_lease(w, NULL, "me", NOW + 30), 0);
	assert_int_equal(state_world_counts(w).pending_deliveries, 3);
	assert_int_equal(state_delivery_lease(w->s, NULL, "", NOW, 1, &d, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void lease_that_ran_out_is_another_s_to_take(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_complete(w, &u, "a");
	int64_t id = state_world_lease(w, NULL, "me", NOW + 1);
	int64_t until = NOW + 1 + SECOND;
	assert_int_equal(state_world_lease(w, NULL, "you", until - 1), 0);

	/* Renewed in time, and even late as long as nobody took it. */
	state_world_ok(w, (int)state_delivery_renew(w->s, id, "me", until - 1, 1000, &w->err));
	assert_int_equal(state_world_lease(w, NULL, "you", until), 0);
	until += SECOND - 1;
	state_world_ok(w, (int)state_delivery_renew(w->s, id, "me", until + 5, 1000, &w->err));
	assert_int_equal(
		state_delivery_renew(w->s, id, "you", until, 1000, &w->err), STATE_CONFLICT);
	until += 5 + SECOND;

	assert_int_equal(state_world_lease(w, NULL, "you", until), id);
	assert_int_equal(
		state_delivery_renew(w->s, id, "me", until, 1000, &w->err), STATE_CONFLICT);
	assert_int_equal(state_world_end(w, id, DELIVERY_DONE, until), STATE_CONFLICT);
	struct seen_deliveries seen = state_world_deliveries(w, u.id);
	assert_int_equal(seen.last.status, DELIVERY_PENDING);
	assert_string_equal(seen.text[0], "you");
	assert_int_equal(
		state_delivery_renew(w->s, id + 99, "me", until, 1000, &w->err), STATE_CONFLICT);
}

static void end_of_a_delivery_keeps_its_outcome(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_complete(w, &u, "a");
	int64_t id = state_world_lease(w, NULL, "me", NOW + 1);
	struct delivery_end e = {.id = id,
		.owner = "me",
		.status = DELIVERY_PENDING,
		.due_at = NOW + 50,
		.location = "/not/yet",
		.issues = "[1]",
		.count_attempt = true,
		.now = NOW + 2};
	struct outbox_message m = state_world_message(u.id, "bus", "failed once");
	struct outbox_list list = {&m, 1};
	state_world_ok(w, (int)state_delivery_end(w->s, &e, &list, &w->err));
	m.name = "too late";
	assert_int_equal(state_delivery_end(w->s, &e, &list, &w->err), STATE_CONFLICT);
	assert_string_equal(state_world_take(w, "bus", NOW, 9).names, "failed once ");
	struct seen_deliveries seen = state_world_deliveries(w, u.id);
	assert_int_equal(seen.last.attempt, 1);
	assert_int_equal(seen.last.due_at, NOW + 50);
	assert_int_equal(seen.last.ended_at, 0);
	assert_string_equal(seen.text[0], "-");
	assert_string_equal(seen.text[1], "-");
	assert_string_equal(seen.text[2], "[1]");
	assert_int_equal(state_world_lease(w, NULL, "me", NOW + 49), 0);

	/* Given back: no try was made. */
	assert_int_equal(state_world_lease(w, NULL, "me", NOW + 50), id);
	e.count_attempt = false;
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
	assert_int_equal(state_world_deliveries(w, u.id).last.attempt, 1);

	assert_int_equal(state_world_lease(w, NULL, "me", NOW + 50), id);
	e.status = DELIVERY_FAILED;
	e.issues = "[1,2]";
	e.now = NOW + 51;
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
	seen = state_world_deliveries(w, u.id);
	assert_int_equal(seen.last.status, DELIVERY_FAILED);
	assert_int_equal(seen.last.attempt, 2);
	assert_int_equal(seen.last.ended_at, NOW + 51);
	assert_string_equal(seen.text[1], "-");
	assert_string_equal(seen.text[2], "[1,2]");
	assert_int_equal(state_world_lease(w, NULL, "me", NOW + 99 * SECOND), 0);
	assert_int_equal(state_world_counts(w).failed_deliveries, 1);
	assert_int_equal(state_world_counts(w).pending_deliveries, 0);

	state_world_complete(w, &u, "a");
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 3);
	seen = state_world_deliveries(w, u.id);
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
	state_world_upload(w, &u, 10);
	assert_int_equal(state_delivery_queue(w->s, u.id, "a", NOW, NULL, &w->err), STATE_CONFLICT);
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0));

	struct outbox_message m = state_world_message(u.id, "bus", "queued");
	struct outbox_list list = {&m, 1};
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 2, &list, &w->err));
	m.name = "unneeded";
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 3, &list, &w->err));
	assert_int_equal(state_world_deliveries(w, u.id).last.queued_at, NOW + 2);
	assert_string_equal(state_world_take(w, "bus", NOW, 9).names, "queued ");

	/* A leased one is pending too. */
	struct delivery_filter f = {.upload_id = u.id};
	int64_t id = state_world_lease(w, &f, "me", NOW + 4);
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", NOW + 5, NULL, &w->err));
	assert_string_equal(state_world_deliveries(w, u.id).text[0], "me");
	struct delivery_end e = {
		.id = id, .owner = "me", .status = DELIVERY_FAILED, .issues = "[]", .now = NOW + 6};
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));

	for (int round = 0; round < 2; round++) { /* failed, then done */
		int64_t now = NOW + 10 + 10 * round;
		state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", now, NULL, &w->err));
		struct seen_deliveries seen = state_world_deliveries(w, u.id);
		assert_int_equal(seen.n, 1);
		assert_int_equal(seen.last.id, id);
		assert_int_equal(seen.last.status, DELIVERY_PENDING);
		assert_int_equal(seen.last.attempt, 0);
		assert_int_equal(seen.last.due_at, now);
		assert_int_equal(seen.last.queued_at, now);
		assert_int_equal(seen.last.ended_at, 0);
		assert_string_equal(seen.text[1], "-");
		assert_string_equal(seen.text[2], "-");
		state_world_finish(w, &u, DELIVERY_DONE, now + 1);
	}
	assert_int_equal(state_world_counts(w).failed_deliveries, 0);
	state_world_ok(
		w, (int)state_upload_end(w->s, u.id, UPLOAD_TERMINATED, 0, NOW, NULL, &w->err));
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
	assert_int_equal(state_world_status(e->w, d->upload_id), UPLOAD_COMPLETE);
	return 0;
}

static void unfinished_lists_all_in_order(void **state)
{
	struct state_world *w = *state;
	static const char *const two[] = {"a", "b"};
	enum { UPLOADS = 170 };
	struct upload u;
	for (int i = 0; i < UPLOADS; i++) {
		state_world_upload(w, &u, 1);
		struct upload_change c = state_world_change(u.id, 0, 1);
		c.now = NOW + (i * 37) % 50; /* several of the same time */
		state_world_ok(w, (int)state_upload_complete(w->s, &c, two, 2, NULL, &w->err));
		if (i % 3 == 0)
			state_world_finish(w, &u, DELIVERY_FAILED, NOW + 60);
		if (i % 3 == 1)
			state_world_finish(w, &u, DELIVERY_DONE, NOW + 60);
	}
	struct every_one all = {w, 0, 0};
	state_world_ok(w, state_delivery_unfinished(w->s, NULL, use_the_store, &all, &w->err));
	assert_int_equal(all.n, 2 * UPLOADS - 57);
	struct delivery_filter b = {.target = "b"};
	all = (struct every_one){w, 0, 0};
	state_world_ok(w, state_delivery_unfinished(w->s, &b, use_the_store, &all, &w->err));
	assert_int_equal(all.n, UPLOADS);

	struct delivery_filter one = {.upload_id = u.id};
	struct seen_deliveries seen = {0};
	state_world_ok(
		w, state_delivery_unfinished(w->s, &one, state_world_see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.last.upload_id, u.id);
	one.target = "z";
	seen = (struct seen_deliveries){0};
	state_world_ok(
		w, state_delivery_unfinished(w->s, &one, state_world_see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 0);
	seen = (struct seen_deliveries){.stop_at = 3};
	state_world_ok(
		w, state_delivery_unfinished(w->s, NULL, state_world_see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 3);
	seen = (struct seen_deliveries){.stop_at = 1};
	state_world_ok(
		w, state_delivery_of_upload(w->s, u.id, state_world_see_delivery, &seen, &w->err));
	assert_int_equal(seen.n, 1);
}

/* --- waiting --- */

/* How long a wait of at most ${timeout_ms} took. */
static int64_t waited(struct state_world *w, int64_t timeout_ms, int stop_fd)
{
	int64_t start = clock_mono_ms();
	state_world_ok(w, state_wait(w->s, timeout_ms, stop_fd, &w->err));
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
	state_world_upload(w, &u, 0);
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0));
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", clock_now(), NULL, &w->err));
	assert_true(waited(w, LATE_MS, -1) < LATE_MS / 2);
}

static void wait_ends_at_the_next_due_time(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 0);
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0));
	state_world_ok(w, (int)state_delivery_queue(w->s, u.id, "a", clock_now(), NULL, &w->err));

	/* The end of a lease. */
	struct delivery d;
	int64_t now = clock_now();
	state_world_ok(w, (int)state_delivery_lease(w->s, NULL, "me", now, 50, &d, &w->err));
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
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));
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
	struct upload_change c = state_world_change(t->u.id, 0, 0);
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
		state_world_upload(w, &t.u, 0);
		if (t.how == BY_QUEUE)
			state_world_ok(w, (int)state_world_complete_for(w, &t.u, NULL, 0));
		assert_int_equal(pthread_create(&thread, NULL, queue_one, &t), 0);
		int64_t took = waited(w, LATE_MS, -1);
		pthread_join(thread, NULL);
		assert_true(took < LATE_MS / 2);
		state_world_finish(w, &t.u, DELIVERY_DONE, clock_now());
	}
}

/* --- outbox --- */

static void outbox_gives_each_message_once_in_order(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 1);
	state_world_add_message(w, u.id, "bus", "one", NOW);
	state_world_add_message(w, u.id, "bus", "two", NOW);
	state_world_add_message(w, u.id, "log", "else", NOW);
	state_world_add_message(w, u.id, "bus", "later", NOW + 5);
	assert_int_equal(state_world_counts(w).late_messages, 3);
	assert_int_equal(state_world_take(w, "bus", NOW - 1, 9).n, 0);
	assert_int_equal(state_world_take(w, "nobody", NOW, 9).n, 0);
	assert_int_equal(state_world_take(w, "bus", NOW, 0).n, 0);
	struct seen_messages first = state_world_take(w, "bus", NOW, 9);
	assert_string_equal(first.names, "one two ");
	assert_int_equal(
		state_world_take(w, "bus", NOW + 5, 9).n, 0); /* "later" is behind leased ones */
	assert_string_equal(state_world_take(w, "log", NOW, 9).names, "else ");
	state_world_sent(w, &first);
	state_world_sent(w, &first);
	assert_string_equal(state_world_take(w, "bus", NOW + 5, 9).names, "later ");
	assert_int_equal(state_world_counts(w).late_messages, 0);
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
	state_world_ok(w, state_outbox_add(w->s, &list, &w->err));
	state_world_ok(w, state_outbox_add(w->s, NULL, &w->err));
	state_world_ok(w, state_outbox_take(w->s, "bus", NOW, 1000, 9, see_all_of_it, &m, &w->err));
	assert_int_equal(state_world_take(w, "bus", NOW, 9).n, 0);
}

static void outbox_keeps_order_when_one_is_tried_again(void **state)
{
	struct state_world *w = *state;
	struct upload u[2];
	for (int i = 0; i < 2; i++)
		state_world_upload(w, &u[i], 1);
	state_world_add_message(w, u[0].id, "bus", "a1", NOW);
	state_world_add_message(w, u[1].id, "bus", "b1", NOW);
	state_world_add_message(w, u[0].id, "bus", "a2", NOW);
	struct seen_messages seen = state_world_take(w, "bus", NOW, 9);
	assert_string_equal(seen.names, "a1 b1 a2 ");
	state_world_ok(w, state_outbox_retry(w->s, seen.ids[0], NOW + 10 * SECOND, &w->err));
	state_world_ok(w, state_outbox_sent(w->s, &seen.ids[1], 1, &w->err));
	state_world_add_message(w, u[0].id, "bus", "a3", NOW);
	state_world_add_message(w, u[0].id, "log", "x1", NOW);
	state_world_add_message(w, u[1].id, "bus", "b2", NOW);

	/* Upload a waits for its first message in this sink; others do not. */
	seen = state_world_take(w, "bus", NOW + 9 * SECOND, 9);
	assert_string_equal(seen.names, "b2 ");
	state_world_sent(w, &seen);
	assert_string_equal(state_world_take(w, "log", NOW + 9 * SECOND, 9).names, "x1 ");
	seen = state_world_take(w, "bus", NOW + 10 * SECOND, 1);
	assert_string_equal(seen.names, "a1 ");
	assert_int_equal(seen.attempt, 1);
	assert_int_equal(state_world_take(w, "bus", NOW + 10 * SECOND, 9).n, 0);
	state_world_sent(w, &seen);
	seen = state_world_take(w, "bus", NOW + 10 * SECOND, 9);
	assert_string_equal(seen.names, "a2 a3 ");
	assert_int_equal(seen.attempt, 0);
	/* A sweep that died: its lease runs out, all come again. */
	assert_string_equal(state_world_take(w, "bus", NOW + 11 * SECOND, 9).names, "a2 a3 ");
	state_world_ok(w, state_outbox_retry(w->s, 999999, NOW, &w->err));
}

static void outbox_takes_oldest_uploads_first(void **state)
{
	struct state_world *w = *state;
	static const char *const names[] = {"m0", "m1", "m2", "m3", "m4"};
	for (int i = 0; i < 5; i++) {
		struct upload u;
		state_world_upload(w, &u, 1);
		state_world_add_message(w, u.id, "bus", names[i], NOW - 10 + i);
	}
	assert_string_equal(state_world_take(w, "bus", NOW, 2).names, "m0 m1 ");
	assert_string_equal(state_world_take(w, "bus", NOW, 2).names, "m2 m3 ");
	assert_string_equal(state_world_take(w, "bus", NOW, 2).names, "m4 ");
}

static void outbox_late_answer_hits_no_other_message(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 1);
	state_world_add_message(w, u.id, "bus", "old", NOW);
	struct seen_messages old = state_world_take(w, "bus", NOW, 9);
	state_world_sent(w, &old);
	state_world_add_message(w, u.id, "bus", "new", NOW);
	state_world_sent(w, &old);
	state_world_ok(w, state_outbox_retry(w->s, old.ids[0], NOW + 99, &w->err));
	assert_string_equal(state_world_take(w, "bus", NOW, 9).names, "new ");
}

static int see_reason(void *arg, const struct outbox_message *m)
{
	struct buf *out = arg;
	assert_int_equal(m->due_at, 0);
	assert_string_equal(m->sink, "bus");
	assert_string_equal(m->data, "{}");
	return buf_printf(out, "%s %lld %s\n", m->name, (long long)(m->parked_at - NOW), m->reason);
}

static void parked_message_lets_others_go(void **state)
{
	struct state_world *w = *state;
	struct upload u[2];
	struct buf text;
	for (int i = 0; i < 2; i++)
		state_world_upload(w, &u[i], 1);
	state_world_add_message(w, u[0].id, "bus", "a1", NOW - 1);
	state_world_add_message(w, u[0].id, "bus", "a2", NOW);
	state_world_add_message(w, u[1].id, "bus", "b1", NOW);
	struct seen_messages seen = state_world_take(w, "bus", NOW, 1);
	assert_string_equal(seen.names, "a1 ");
	state_world_ok(
		w, state_outbox_park(w->s, seen.ids[0], "bus: 413 too large", NOW + 5, &w->err));
	/* Parked is parked: late answers of another sweep change nothing. */
	state_world_ok(w, state_outbox_park(w->s, seen.ids[0], "again", NOW + 9, &w->err));
	state_world_ok(w, state_outbox_retry(w->s, seen.ids[0], NOW, &w->err));
	struct state_counts c = state_world_counts(w);
	assert_int_equal(c.parked_messages, 1);
	assert_int_equal(c.late_messages, 2);

	buf_init(&text, 256);
	state_world_ok(w, state_outbox_parked(w->s, u[0].id, see_reason, &text, &w->err));
	assert_string_equal(buf_str(&text), "a1 5 bus: 413 too large\n");
	buf_free(&text);
	assert_int_equal(state_world_parked(w, NULL).n, 1);
	assert_int_equal(state_world_parked(w, NULL).attempt, 1);
	assert_int_equal(state_world_parked(w, u[1].id).n, 0);

	seen = state_world_take(w, "bus", NOW + 2 * SECOND, 9);
	assert_string_equal(seen.names, "a2 b1 ");
	state_world_add_message(w, u[0].id, "bus", "a3", NOW);
	state_world_sent(w, &seen);
	assert_string_equal(state_world_take(w, "bus", NOW + 2 * SECOND, 9).names, "a3 ");
}

static void parked_message_goes_first_when_it_is_sent_again(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	state_world_upload(w, &u, 1);
	state_world_add_message(w, u.id, "bus", "a1", NOW);
	state_world_add_message(w, u.id, "bus", "a2", NOW + SECOND);
	struct seen_messages seen = state_world_take(w, "bus", NOW, 9);
	state_world_ok(w, state_outbox_park(w->s, seen.ids[0], "no", NOW, &w->err));
	state_world_close(w);
	state_world_open(w);
	seen = state_world_parked(w, NULL);
	assert_int_equal(seen.n, 1);
	state_world_ok(w, state_outbox_unpark(w->s, seen.ids[0], NOW + 2 * SECOND, &w->err));
	state_world_ok(w, state_outbox_unpark(w->s, seen.ids[0], NOW, &w->err));
	assert_int_equal(state_world_parked(w, NULL).n, 0);
	assert_int_equal(state_world_counts(w).parked_messages, 0);
	/* Not due yet: what is behind it waits. */
	assert_int_equal(state_world_take(w, "bus", NOW + SECOND, 9).n, 0);
	seen = state_world_take(w, "bus", NOW + 2 * SECOND, 9);
	assert_string_equal(seen.names, "a1 a2 ");
	assert_int_equal(seen.attempt, 0);
}

static void parked_messages_can_be_forgotten_and_are_many(void **state)
{
	struct state_world *w = *state;
	enum { MANY = 70 }; /* more than a page, in the end all of one upload */
	struct upload u;
	state_world_upload(w, &u, 1);
	for (int i = 0; i < MANY; i++)
		state_world_add_message(w, u.id, "bus", "m", NOW);
	for (int i = 0; i < MANY; i++) {
		struct seen_messages seen = state_world_take(w, "bus", NOW + i * SECOND, 1);
		assert_int_equal(seen.n, 1);
		state_world_ok(w, state_outbox_park(w->s, seen.ids[0], "no", NOW, &w->err));
	}
	assert_int_equal(state_world_counts(w).parked_messages, MANY);
	struct seen_messages all = state_world_parked(w, NULL);
	assert_int_equal(all.n, MANY);
	assert_int_equal(state_world_parked(w, u.id).n, MANY);
	state_world_ok(w, state_outbox_sent(w->s, all.ids, MANY, &w->err));
	assert_int_equal(state_world_parked(w, NULL).n, 0);
	assert_int_equal(state_world_counts(w).parked_messages, 0);
	assert_int_equal(state_world_take(w, "bus", NOW + 99 * SECOND, 9).n, 0);
}

#define TEST(fn)                          \
	{                                 \
#fn, fn, NULL, NULL, NULL \
	}
static const struct CMUnitTest tests[] = {
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
	TEST(parked_message_lets_others_go),
	TEST(parked_message_goes_first_when_it_is_sent_again),
	TEST(parked_messages_can_be_forgotten_and_are_many),
};
#undef TEST

int main(void)
{
	return state_world_run("work in state", tests, sizeof(tests) / sizeof(tests[0]));
}
