/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an upload with state and locks in one Redis: how often it is asked, and what becomes
 * of a lock that goes with a change.
 */
#include "core/base/err.h"
#include "core/base/random.h"
#include "core/store/lock.h"
#include "tests/lib/redis_watch.h"
#include "tests/lib/upload_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A command about the key of ${kind}, past the product. */
static redisReply *command(struct upload_world *w, const char *name, const char *kind,
	const char *id, const char *more)
{
	char text[128];
	(void)snprintf(text, sizeof(text), "%s dex:{%c}:%s:%s%s", name, id[0], kind, id, more);
	return redis_server_command(&w->redis, text);
}

/* The number it answers. */
static long long about(struct upload_world *w, const char *name, const char *kind, const char *id)
{
	redisReply *r = command(w, name, kind, id, "");
	assert_int_equal(r->type, REDIS_REPLY_INTEGER);
	long long n = r->integer;
	freeReplyObject(r);
	return n;
}

static void create(struct upload_world *w, int64_t length, char id[UUID_SIZE])
{
	upload_world_create(w, CONCAT_NONE, length, id);
}

static enum err_code patch(
	struct upload_world *w, const char *id, int64_t at, const char *text, enum body_result end)
{
	int64_t offset;
	return upload_world_patch(w, id, PATCH(at, NULL, {BODY_DATA, text}, {end, ""}), &offset);
}

/* Each script becomes known, and there is a connection for each purpose. */
static void warm_up(struct upload_world *w)
{
	char id[UUID_SIZE];
	create(w, 4, id);
	assert_int_equal(patch(w, id, 0, "ab", BODY_END), ERR_NONE);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
}

static void assert_asked(struct redis_watch *watch, int n, const char *what)
{
	char names[256];
	int asked = redis_watch_count(watch, names, sizeof(names));
	if (asked != n)
		fail_msg("%s: %d commands, not %d: %s", what, asked, n, names);
}

static void redis_is_asked_twice_for_a_patch(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE], other[UUID_SIZE];
	int64_t offset;

	warm_up(w);
	struct redis_watch *watch = redis_watch_start(&w->redis);
	create(w, 9, id);
	assert_asked(watch, 1, "creation");
	assert_int_equal(patch(w, id, 0, "abc", BODY_END), ERR_NONE);
	assert_asked(watch, 2, "in the middle");
	assert_int_equal(patch(w, id, 3, "def", BODY_GONE), ERR_PEER_GONE);
	assert_asked(watch, 2, "interrupted");
	assert_int_equal(patch(w, id, 3, "def", BODY_END), ERR_CONFLICT);
	assert_asked(watch, 2, "at a wrong offset");
	assert_int_equal(upload_world_offset(w, id, NULL), 6);
	assert_asked(watch, 2, "HEAD");
	assert_int_equal(upload_world_patch(w, id,
				 PATCH(6, "sha1 NZ1R7hByn2iWe0tJtUoRSMIhzBk=", {BODY_DATA, "ghi"},
					 {BODY_END, ""}),
				 &offset),
		ERR_CORRUPT);
	assert_asked(watch, 2, "of a wrong checksum");
	/* With its delivery, and the deliverers woken. */
	assert_int_equal(patch(w, id, 6, "ghi", BODY_END), ERR_NONE);
	assert_asked(watch, 2, "the last");
	assert_int_equal(w->completions, 1);
	upload_world_assert_stored(w, id, "abcdefghi");
	/* The length, which is declared with the last byte. */
	create(w, UPLOAD_LENGTH_UNKNOWN, other);
	assert_asked(watch, 1, "creation");
	struct patch declared = *PATCH(0, NULL, {BODY_DATA, "abc"}, {BODY_END, ""});
	declared.length = 3;
	assert_int_equal(upload_world_patch(w, other, &declared, &offset), ERR_NONE);
	assert_asked(watch, 2, "all at once");
	redis_watch_stop(watch);
}

static void the_lock_goes_with_the_last_change(void **state)
{
	struct upload_world *w = *state;
	struct upload_hold hold;
	struct err err = {0};
	char id[UUID_SIZE];

	create(w, 6, id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(
		upload_world_receive(w, &hold, PATCH(0, NULL, {BODY_DATA, "abc"}, {BODY_END, ""})),
		ERR_NONE);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
	/* The next one is served while we still answer, and is not disturbed by our end. */
	struct upload_hold next;
	assert_int_equal(upload_take(&w->app, id, &next, &err), 0);
	assert_int_equal(next.up.offset, 3);
	upload_let_go(&hold);
	assert_int_equal(about(w, "EXISTS", "lock", id), 1);
	assert_int_equal(lock_renew(next.lock), LOCK_KEPT);
	upload_let_go(&next);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
	assert_int_equal(w->progresses, 1);
}

/* The last change of who holds the upload. */
static struct upload_change last_change(const struct upload_hold *hold, int64_t from, int64_t to)
{
	return (struct upload_change){.id = hold->up.id,
		.fence = lock_fence(hold->lock),
		.from = from,
		.to = to,
		.length = UPLOAD_LENGTH_UNKNOWN,
		.now = hold->up.created_at + 1,
		.release = hold->lock};
}

/* It belongs to another by now, who has not moved the offset yet. */
static void a_lock_of_another_is_not_freed(void **state)
{
	struct upload_world *w = *state;
	struct upload_hold hold;
	struct lock *other;
	struct err err = {0};
	char id[UUID_SIZE];

	create(w, 6, id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(about(w, "DEL", "lock", id), 1);
	assert_int_equal(lock_acquire(w->app.locks, id, 0, NULL, &other, &err), LOCK_OK);
	struct upload_change c = last_change(&hold, 0, 3);
	assert_int_equal(state_upload_advance(w->app.state, &c, &err), STATE_OK);
	assert_int_equal(about(w, "EXISTS", "lock", id), 1);
	upload_let_go(&hold);
	assert_int_equal(about(w, "EXISTS", "lock", id), 1);
	/* Once the other has moved it, the token refuses. */
	c.fence = lock_fence(other);
	c.from = 3;
	c.to = 4;
	c.release = other;
	assert_int_equal(state_upload_advance(w->app.state, &c, &err), STATE_OK);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
	lock_release(other);
	c.fence--;
	c.from = 4;
	c.to = 5;
	c.release = NULL;
	assert_int_equal(state_upload_advance(w->app.state, &c, &err), STATE_CONFLICT);
}

/* A change that is refused frees nothing; who made it lets go by itself. */
static void a_refused_change_leaves_the_lock(void **state)
{
	struct upload_world *w = *state;
	struct upload_hold hold;
	struct err err = {0};
	char id[UUID_SIZE];

	create(w, 6, id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	struct upload_change c = last_change(&hold, 1, 3);
	assert_int_equal(state_upload_advance(w->app.state, &c, &err), STATE_CONFLICT);
	assert_int_equal(about(w, "EXISTS", "lock", id), 1);
	upload_let_go(&hold);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
}

/* Whichever answer is lost, the scripts are run again and do the same. */
static void lost_answers_change_nothing(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];

	warm_up(w);
	for (int skip = 0; skip < 2; skip++) {
		for (int lose = 1; lose < 3; lose++) {
			create(w, 6, id);
			assert_int_equal(patch(w, id, 0, "abc", BODY_END), ERR_NONE);
			lossy_proxy_lose(w->proxy, skip, lose);
			assert_int_equal(patch(w, id, 3, "def", BODY_END), ERR_NONE);
			assert_int_equal(lossy_proxy_left(w->proxy), 0);
			upload_world_assert_stored(w, id, "abcdef");
			assert_int_equal(about(w, "EXISTS", "lock", id), 0);
			assert_int_equal(about(w, "HLEN", "t", id), 1);
		}
	}
	assert_int_equal(w->completions, 4);
}

static void what_cannot_be_taken_is_let_go(void **state)
{
	struct upload_world *w = *state;
	struct upload_hold hold;
	struct err err = {0};
	char id[UUID_SIZE];

	random_uuid(id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
	create(w, 6, id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(upload_terminate(&w->app, &hold, &err), 0);
	upload_let_go(&hold);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
	/* A row that is damaged, and one that is none. */
	create(w, 6, id);
	freeReplyObject(command(w, "HSET", "u", id, " offset many"));
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
	freeReplyObject(command(w, "SET", "u", id, " x"));
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(about(w, "EXISTS", "lock", id), 0);
}

#define TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, upload_world_setup_redis, upload_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(redis_is_asked_twice_for_a_patch),
		TEST(the_lock_goes_with_the_last_change),
		TEST(a_lock_of_another_is_not_freed),
		TEST(a_refused_change_leaves_the_lock),
		TEST(lost_answers_change_nothing),
		TEST(what_cannot_be_taken_is_let_go),
	};
	return cmocka_run_group_tests_name("upload: Redis", tests, NULL, NULL);
}
