/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state_move.h promises, and the slots it is made of, from and to every state store: each row
 * of tests/lib/state_world.c moves into SQLite and from there into another store of its own kind.
 */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "core/store/state_impl.h"
#include "core/store/state_move.h"
#include "tests/lib/scratch.h"
#include "tests/lib/state_dump.h"
#include "tests/lib/state_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* More than state_move takes at a time. */
#define MANY 70

/* --- further stores --- */

struct place {
	char *dir;
	struct state *s;
};

static struct place same_kind(struct state_world *w)
{
	struct place p = {.dir = scratch_make()};
	p.s = w->row->open(p.dir, &w->err);
	assert_non_null(p.s);
	return p;
}

static struct place sqlite_file(struct state_world *w)
{
	struct place p = {.dir = scratch_make()};
	char *path = scratch_path(p.dir, "state.db");
	p.s = state_open(registry_find_state("sqlite"), path, false, &w->err);
	free(path);
	assert_non_null(p.s);
	return p;
}

static void leave(struct place *p)
{
	state_close(p->s);
	scratch_remove(p->dir);
}

static struct state_move_counts move(struct state_world *w, struct state *from, struct state *to)
{
	struct state_move_counts n;
	err_clear(&w->err);
	state_world_ok(w, state_move(from, to, false, &n, &w->err));
	return n;
}

static void assert_counts(
	struct state_move_counts n, uint64_t uploads, uint64_t deliveries, uint64_t messages)
{
	assert_int_equal(n.uploads, uploads);
	assert_int_equal(n.deliveries, deliveries);
	assert_int_equal(n.messages, messages);
	assert_int_equal(n.present, 0);
}

/* --- what a store has --- */

static void assert_same(struct state *s, const char *expected)
{
	char *got = state_dump(s);
	assert_string_equal(got, expected);
	free(got);
}

/* --- records of every kind --- */

#define UPLOADS 9
#define DELIVERIES 6
#define MESSAGES 9

struct records {
	struct upload rich, deferred, partial, due, failed, delivered, expired, terminated, removed;
};

static void make(struct state_world *w, struct upload *u, const struct upload *like)
{
	*u = *like;
	random_uuid(u->id);
	u->created_at = NOW;
	state_world_ok(w, state_upload_create(w->s, u, NULL, NULL, &w->err));
}

static void make_open(struct state_world *w, struct records *r)
{
	make(w, &r->rich,
		&(struct upload){.kind = UPLOAD_FINAL,
			.length = INT64_MAX,
			.metadata = (char *)"filename \"'%\n",
			.manifest = (char *)"{\"name\":\"\xc3\xa4\"}",
			.concat = (char *)"final;/a /b",
			.owner = (char *)"alice \xe2\x82\xac"});
	struct upload_change c = state_world_change(r->rich.id, 0, 7);
	c.token = "{\"parts\":[1,2]}";
	c.beyond = BEYOND_WHOLE;
	c.fence = 5;
	c.now = NOW + 3 * SECOND;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	make(w, &r->deferred, &(struct upload){.length = UPLOAD_LENGTH_UNKNOWN});
	make(w, &r->partial, &(struct upload){.kind = UPLOAD_PARTIAL, .length = 10});
	state_world_ok(w, (int)state_world_complete_for(w, &r->partial, NULL, 0));
}

/* Complete ones with a delivery that waits, is leased, was tried, failed, or is done. */
static void make_complete(struct state_world *w, struct records *r)
{
	static const char *const two[] = {"first", "second \xc3\xb6"};
	struct delivery d;
	state_world_upload(w, &r->due, 10);
	state_world_ok(w, (int)state_world_complete_for(w, &r->due, two, 2));
	struct delivery_filter f = {.upload_id = r->due.id, .target = two[0]};
	state_world_ok(
		w, (int)state_delivery_lease(w->s, &f, "gone", NOW + 2, 3600000, &d, &w->err));
	delivery_free(&d);
	f.target = two[1];
	int64_t id = state_world_lease(w, &f, "me", NOW + 2);
	struct delivery_end e = {.id = id,
		.owner = "me",
		.status = DELIVERY_PENDING,
		.due_at = NOW + 50 * SECOND,
		.issues = "[{\"level\":\"ERROR\",\"message\":\"%s\"}]",
		.count_attempt = true,
		.now = NOW + 3};
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));

	state_world_complete(w, &r->failed, "there");
	f = (struct delivery_filter){.upload_id = r->failed.id};
	e.id = state_world_lease(w, &f, "me", NOW + 4);
	e.status = DELIVERY_FAILED;
	state_world_ok(w, (int)state_delivery_end(w->s, &e, NULL, &w->err));

	state_world_complete(w, &r->delivered, "there");
	state_world_finish(w, &r->delivered, DELIVERY_DONE, NOW + 9 * SECOND);
}

static void end(struct state_world *w, struct upload *u, enum upload_status status, int64_t now)
{
	state_world_ok(
		w, (int)state_upload_end(w->s, u->id, status, NOW + SECOND, now, NULL, &w->err));
}

static void make_tombstones(struct state_world *w, struct records *r)
{
	state_world_upload(w, &r->expired, 10);
	end(w, &r->expired, UPLOAD_EXPIRED, NOW + 60 * SECOND);
	state_world_complete(w, &r->terminated, "there");
	state_world_finish(w, &r->terminated, DELIVERY_DONE, NOW + 10 * SECOND);
	end(w, &r->terminated, UPLOAD_TERMINATED, NOW + 61 * SECOND);
	state_world_complete(w, &r->removed, "there");
	state_world_finish(w, &r->removed, DELIVERY_DONE, NOW + 11 * SECOND);
	end(w, &r->removed, UPLOAD_RETIRED, NOW + 62 * SECOND);
	state_world_ok(w, state_upload_removed(w->s, r->removed.id, &w->err));
}

static void make_messages(struct state_world *w, struct records *r)
{
	struct outbox_message m[] = {
		state_world_message(r->rich.id, "bus", "one"),
		state_world_message(r->rich.id, "bus", "two"),
		state_world_message(r->rich.id, "bus", "three"),
		state_world_message(r->rich.id, "other sink:{%}", "one"),
		state_world_message(r->due.id, "bus", "tried"),
	};
	m[1].replace = true;
	m[1].data = "{\"text\":\"\xc3\xa4\\n'\"}\n";
	m[2].due_at = NOW + 40 * SECOND;
	struct outbox_list list = {m, sizeof(m) / sizeof(m[0])};
	state_world_ok(w, state_outbox_add(w->s, &list, &w->err));
	/* Of an upload that the store does not know any more. */
	char stranger[UUID_SIZE];
	random_uuid(stranger);
	state_world_add_message(w, stranger, "files", "late", NOW - 1);
	struct seen_messages seen = state_world_take(w, "bus", NOW, 10);
	for (int i = 0; i < seen.n; i++)
		state_world_ok(w, state_outbox_retry(w->s, seen.ids[i], NOW + 20, &w->err));
	static const char *const names[] = {"poison", "later", "poison too"};
	for (int i = 0; i < 3; i++)
		state_world_add_message(w, r->rich.id, "refusing", names[i], NOW);
	seen = state_world_take(w, "refusing", NOW, 10);
	for (int i = 0; i < 3; i += 2)
		state_world_ok(w, state_outbox_park(w->s, seen.ids[i], "too \xc3\xa4 large",
					  NOW + 30 - i, &w->err));
}

static void make_records(struct state_world *w, struct records *r)
{
	make_open(w, r);
	make_complete(w, r);
	make_tombstones(w, r);
	make_messages(w, r);
}

static void make_many(struct state_world *w)
{
	for (int i = 0; i < MANY; i++) {
		struct upload u;
		state_world_complete(w, &u, "there");
		state_world_add_message(w, u.id, "bus", "one", NOW);
		state_world_add_message(w, u.id, "bus", "two", NOW);
	}
}

/* --- what arrives --- */

static void everything_arrives(void **state)
{
	struct state_world *w = *state;
	struct records r;
	struct place file = sqlite_file(w);
	struct place again = same_kind(w);
	make_records(w, &r);
	char *before = state_dump(w->s);
	assert_counts(move(w, w->s, file.s), UPLOADS, DELIVERIES, MESSAGES);
	assert_same(w->s, before);
	assert_same(file.s, before);
	assert_counts(move(w, file.s, again.s), UPLOADS, DELIVERIES, MESSAGES);
	assert_same(again.s, before);
	free(before);
	leave(&file);
	leave(&again);
}

/* The world with its store in another place; gives back the one it had. */
static struct state *enter(struct state_world *w, struct state *s)
{
	struct state *was = w->s;
	w->s = s;
	return was;
}

static void assert_found(struct state_world *w,
	int (*scan)(
		struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err),
	int64_t cutoff, const struct upload *expected, size_t n)
{
	char ids[8][UUID_SIZE];
	assert_int_equal(scan(w->s, cutoff, ids, 8, &w->err), n);
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		for (size_t k = 0; k < n; k++)
			found = found || str_eq(ids[k], expected[i].id);
		assert_true(found);
	}
}

static int scan_removable(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	(void)cutoff;
	return state_upload_scan_removable(s, ids, max, err);
}

/* Work goes on from indexes: each of them has what has arrived. */
static void find_work(struct state_world *w, const struct records *r, struct state_counts before)
{
	struct state_counts c = state_world_counts(w);
	assert_int_equal(c.open_uploads, before.open_uploads);
	assert_int_equal(c.pending_deliveries, before.pending_deliveries);
	assert_int_equal(c.failed_deliveries, before.failed_deliveries);
	assert_int_equal(c.late_messages, before.late_messages);
	assert_int_equal(c.parked_messages, 2);
	assert_found(w, state_upload_scan_stale, NOW, &r->deferred, 1);
	const struct upload stale[] = {r->rich, r->deferred, r->partial};
	assert_found(w, state_upload_scan_stale, NOW + 3 * SECOND, stale, 3);
	assert_found(w, state_upload_scan_delivered, NOW + 9 * SECOND - 1, NULL, 0);
	assert_found(w, state_upload_scan_delivered, NOW + 9 * SECOND, &r->delivered, 1);
	const struct upload tombstones[] = {r->expired, r->terminated};
	assert_found(w, scan_removable, 0, tombstones, 2);

	/* The lease stayed behind, and so did the lock that knew a fence of 5. */
	struct delivery_filter f = {.upload_id = r->due.id};
	int64_t id = state_world_lease(w, &f, "me", NOW + 4);
	assert_true(id > 0);
	assert_int_equal(state_world_lease(w, &f, "me", NOW + 49 * SECOND), id);
	state_world_ok(w, (int)state_world_end(w, id, DELIVERY_DONE, NOW + 49 * SECOND));
	assert_int_equal(state_world_lease(w, &f, "me", NOW + 50 * SECOND - 1), 0);
	assert_true(state_world_lease(w, &f, "me", NOW + 50 * SECOND) > 0);
	struct upload_change change = state_world_change(r->rich.id, 7, 8);
	change.fence = 1;
	state_world_ok(w, (int)state_upload_advance(w->s, &change, &w->err));
	state_world_ok(
		w, (int)state_delivery_queue(w->s, r->failed.id, "there", NOW, NULL, &w->err));
}

static void send_messages(struct state_world *w, const struct records *r)
{
	assert_int_equal(state_world_take(w, "bus", NOW + 19, 10).n, 0);
	struct seen_messages seen = state_world_take(w, "bus", NOW + 20, 10);
	assert_int_equal(seen.n, 4 - 1); /* the third of one upload is not due yet */
	assert_non_null(strstr(seen.names, "one two "));
	state_world_sent(w, &seen);
	seen = state_world_take(w, "bus", NOW + 40 * SECOND, 10);
	assert_string_equal(seen.names, "three ");
	state_world_sent(w, &seen);
	/* One that is added comes after those that were moved. */
	state_world_add_message(w, r->rich.id, "other sink:{%}", "two", NOW);
	seen = state_world_take(w, "other sink:{%}", NOW, 10);
	assert_string_equal(seen.names, "one two ");
	assert_string_equal(state_world_take(w, "files", NOW, 10).names, "late ");
}

static void work_goes_on_where_it_arrives(void **state)
{
	struct state_world *w = *state;
	struct records r;
	struct place file = sqlite_file(w);
	struct place again = same_kind(w);
	make_records(w, &r);
	struct state_counts before = state_world_counts(w);
	(void)move(w, w->s, file.s);
	(void)move(w, file.s, again.s);
	struct state *const places[] = {file.s, again.s};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct state *was = enter(w, places[i]);
		find_work(w, &r, before);
		send_messages(w, &r);
		(void)enter(w, was);
	}
	leave(&file);
	leave(&again);
}

static void an_empty_state_moves(void **state)
{
	struct state_world *w = *state;
	struct place again = same_kind(w);
	assert_counts(move(w, w->s, again.s), 0, 0, 0);
	assert_same(again.s, "");
	/* It is as if nothing had been: empty, without a mark. */
	assert_counts(move(w, w->s, again.s), 0, 0, 0);
	leave(&again);
}

static void many_move_in_pieces(void **state)
{
	struct state_world *w = *state;
	struct place again = same_kind(w);
	make_many(w);
	char *before = state_dump(w->s);
	assert_counts(move(w, w->s, again.s), MANY, MANY, 2 * MANY);
	assert_same(again.s, before);
	free(before);
	leave(&again);
}

/* --- what does not move --- */

static void a_dry_run_counts_only(void **state)
{
	struct state_world *w = *state;
	struct records r;
	struct state_move_counts n;
	struct place again = same_kind(w);
	make_records(w, &r);
	state_world_ok(w, state_move(w->s, NULL, true, &n, &w->err));
	assert_counts(n, UPLOADS, DELIVERIES, MESSAGES);
	state_world_ok(w, state_move(w->s, again.s, true, &n, &w->err));
	assert_counts(n, UPLOADS, DELIVERIES, MESSAGES);
	assert_same(again.s, "");
	/* No mark is left, either. */
	struct state *was = enter(w, again.s);
	struct upload u;
	state_world_upload(w, &u, 10);
	(void)enter(w, was);
	assert_int_equal(state_move(w->s, again.s, true, &n, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	leave(&again);
}

static void is_refused(struct state_world *w, struct state *to)
{
	struct state_move_counts n;
	char *before = state_dump(to);
	for (int dry = 0; dry < 2; dry++) {
		err_clear(&w->err);
		assert_int_equal(state_move(w->s, to, dry == 1, &n, &w->err), -1);
		assert_int_equal(w->err.code, ERR_EXISTS);
		assert_non_null(strstr(w->err.text, "not empty"));
	}
	assert_same(to, before);
	free(before);
}

static void a_destination_in_use_is_refused(void **state)
{
	struct state_world *w = *state;
	struct upload u;
	struct place one = same_kind(w);
	struct place other = same_kind(w);
	make_many(w);
	struct state *was = enter(w, one.s);
	state_world_upload(w, &u, 10);
	(void)enter(w, other.s);
	state_world_add_message(w, u.id, "bus", "alone", NOW);
	(void)enter(w, was);
	is_refused(w, one.s);
	is_refused(w, other.s);
	leave(&one);
	leave(&other);
}

static void what_was_moved_is_a_destination_in_use(void **state)
{
	struct state_world *w = *state;
	struct records r;
	struct place again = same_kind(w);
	make_records(w, &r);
	(void)move(w, w->s, again.s);
	is_refused(w, again.s);
	leave(&again);
}

/* --- a move that breaks off --- */

/* A store whose walks end after ${left} of what it has. */
struct broken {
	struct state_backend backend;
	const struct state_backend *real;
	int left;
	state_move_row_fn *row;
	state_move_message_fn *message;
	void *arg;
};
static struct broken broken;

static int breaks(struct err *err)
{
	return broken.left-- > 0 ? 0 : err_set(err, ERR_IO, __func__, "it ends here");
}

static int pass_row(void *arg, const struct state_move_row *row, struct err *err)
{
	(void)arg;
	return breaks(err) == 0 ? broken.row(broken.arg, row, err) : -1;
}

static int pass_message(void *arg, const struct outbox_message *m, struct err *err)
{
	(void)arg;
	return breaks(err) == 0 ? broken.message(broken.arg, m, err) : -1;
}

static int walk_uploads(struct state *s, state_move_row_fn *fn, void *arg, struct err *err)
{
	broken.row = fn;
	broken.arg = arg;
	return broken.real->move_uploads(s, pass_row, NULL, err);
}

static int walk_messages(struct state *s, state_move_message_fn *fn, void *arg, struct err *err)
{
	broken.message = fn;
	broken.arg = arg;
	return broken.real->move_messages(s, pass_message, NULL, err);
}

static void move_until(struct state_world *w, struct state *to, int left)
{
	struct state_move_counts n;
	broken = (struct broken){.backend = *w->s->backend, .real = w->s->backend, .left = left};
	broken.backend.move_uploads = walk_uploads;
	broken.backend.move_messages = walk_messages;
	w->s->backend = &broken.backend;
	err_clear(&w->err);
	assert_int_equal(state_move(w->s, to, false, &n, &w->err), -1);
	assert_string_equal(w->err.text, "it ends here");
	w->s->backend = broken.real;
}

static void goes_on_after(struct state_world *w, int left, bool some)
{
	struct place again = same_kind(w);
	char *before = state_dump(w->s);
	move_until(w, again.s, left);
	char *half = state_dump(again.s);
	assert_true(strlen(half) < strlen(before));
	free(half);
	/* Not one that anybody may use: but the same move may go on. */
	struct state_move_counts n = move(w, w->s, again.s);
	assert_int_equal(n.uploads, MANY);
	assert_int_equal(n.deliveries, MANY);
	assert_int_equal(n.messages, 2 * MANY);
	assert_int_equal(n.present > 0, some);
	assert_same(again.s, before);
	is_refused(w, again.s);
	free(before);
	leave(&again);
}

static void a_move_goes_on_where_it_broke_off(void **state)
{
	struct state_world *w = *state;
	make_many(w);
	goes_on_after(w, 0, false);
	goes_on_after(w, MANY - 1, true);
	/* Within the messages of an upload: all of them or none are there. */
	goes_on_after(w, MANY + MANY + 1, true);
}

/* --- the slots --- */

static void what_is_there_is_left_alone(void **state)
{
	struct state_world *w = *state;
	struct state_move_row rows[2] = {{.upload = {.length = 10, .offset = 3}}};
	struct delivery delivery = {.target = (char *)"there", .due_at = NOW, .queued_at = NOW};
	size_t added = 0;
	const struct state_backend *b = w->s->backend;
	rows[0].upload.created_at = rows[0].upload.touched_at = NOW;
	random_uuid(rows[0].upload.id);
	state_world_ok(w, b->move_put_uploads(w->s, rows, 1, &added, &w->err));
	assert_int_equal(added, 1);
	/* The same once more, changed, with a delivery, and another beside it. */
	rows[0].upload.offset = 9;
	rows[0].deliveries = &delivery;
	rows[0].ndeliveries = 1;
	rows[1].upload = rows[0].upload;
	random_uuid(rows[1].upload.id);
	added = 0;
	state_world_ok(w, b->move_put_uploads(w->s, rows, 2, &added, &w->err));
	assert_int_equal(added, 1);
	assert_int_equal(state_world_deliveries(w, rows[0].upload.id).n, 0);
	struct upload u;
	state_world_ok(w, (int)state_upload_get(w->s, rows[0].upload.id, &u, &w->err));
	assert_int_equal(u.offset, 3);
	upload_free(&u);
	assert_int_equal(state_world_counts(w).open_uploads, 2);

	struct outbox_message m[] = {state_world_message(rows[0].upload.id, "bus", "one"),
		state_world_message(rows[0].upload.id, "bus", "two")};
	struct outbox_list list = {m, 2};
	added = 0;
	state_world_ok(w, b->move_put_messages(w->s, &list, &added, &w->err));
	assert_int_equal(added, 2);
	added = 0;
	list.n = 1;
	state_world_ok(w, b->move_put_messages(w->s, &list, &added, &w->err));
	assert_int_equal(added, 0);
	assert_string_equal(state_world_take(w, "bus", NOW, 10).names, "one two ");
}

static int stop_at_row(void *arg, const struct state_move_row *row, struct err *err)
{
	(void)row;
	++*(int *)arg;
	return err_set(err, ERR_IO, __func__, "enough");
}

static int stop_at_message(void *arg, const struct outbox_message *m, struct err *err)
{
	(void)m;
	return stop_at_row(arg, NULL, err);
}

static void a_walk_ends_when_told(void **state)
{
	struct state_world *w = *state;
	int calls = 0;
	make_many(w);
	const struct state_backend *b = w->s->backend;
	assert_int_equal(b->move_uploads(w->s, stop_at_row, &calls, &w->err), -1);
	assert_string_equal(w->err.text, "enough");
	assert_int_equal(calls, 1);
	err_clear(&w->err);
	assert_int_equal(b->move_messages(w->s, stop_at_message, &calls, &w->err), -1);
	assert_string_equal(w->err.text, "enough");
	assert_int_equal(calls, 2);
}

#define TEST(fn)                          \
	{                                 \
#fn, fn, NULL, NULL, NULL \
	}
static const struct CMUnitTest tests[] = {
	TEST(everything_arrives),
	TEST(work_goes_on_where_it_arrives),
	TEST(an_empty_state_moves),
	TEST(many_move_in_pieces),
	TEST(a_dry_run_counts_only),
	TEST(a_destination_in_use_is_refused),
	TEST(what_was_moved_is_a_destination_in_use),
	TEST(a_move_goes_on_where_it_broke_off),
	TEST(what_is_there_is_left_alone),
	TEST(a_walk_ends_when_told),
};
#undef TEST

int main(void)
{
	return state_world_run("state_move", tests, sizeof(tests) / sizeof(tests[0]));
}
