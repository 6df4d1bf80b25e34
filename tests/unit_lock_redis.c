/* SPDX-License-Identifier: Apache-2.0 */
/* Locks in Redis when messages, keys or the server are lost; what lock.h says is tested elsewhere.
 */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/store/lock.h"
#include "tests/lib/redis_server.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MS 15000 /* nothing that works takes so long */
#define LEASE_MS 8000
#define SERVERS 3

struct world {
	struct redis_server servers[SERVERS];
	struct lock_service *svc;
	struct lock_service *other; /* as of another process */
	struct err err;
	char id[UUID_SIZE];
};

static void open_services(struct world *w, const char *options)
{
	char uri[128];
	(void)snprintf(uri, sizeof(uri), "redis://127.0.0.1:%u%s", w->servers[0].port, options);
	w->svc = lock_open(registry_find_lock("redis"), uri, &w->err);
	w->other = lock_open(registry_find_lock("redis"), uri, &w->err);
	assert_non_null(w->svc);
	assert_non_null(w->other);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	random_uuid(w->id);
	*state = w;
	return 0;
}

static int setup_one(void **state)
{
	setup(state);
	struct world *w = *state;
	redis_server_start(&w->servers[0], NULL);
	open_services(w, "");
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	lock_close(w->svc);
	lock_close(w->other);
	for (size_t i = 0; i < SERVERS; i++)
		redis_server_remove(&w->servers[i]);
	free(w);
	return 0;
}

static struct lock *take(struct world *w, struct lock_service *svc, const char *id, int64_t wait_ms)
{
	struct lock *l;
	if (lock_acquire(svc, id, wait_ms, NULL, &l, &w->err) != LOCK_OK)
		fail_msg("%s", w->err.text);
	return l;
}

/* As soon as the server is reached again. */
static struct lock *take_at_last(struct world *w)
{
	struct lock *l;
	int64_t deadline = clock_mono_ms() + LONG_MS;
	while (lock_acquire(w->svc, w->id, 0, NULL, &l, &w->err) != LOCK_OK) {
		if (clock_mono_ms() > deadline)
			fail_msg("%s", w->err.text);
		clock_sleep_ms(10);
	}
	return l;
}

static bool readable(const struct lock *l, int timeout_ms)
{
	struct pollfd p = {lock_fd(l), POLLIN, 0};
	return poll(&p, 1, timeout_ms) == 1;
}

/* The number or text that a command about the key of ${kind} gives; free it. */
static redisReply *about(struct world *w, const char *command, const char *kind, const char *more)
{
	char text[256];
	(void)snprintf(
		text, sizeof(text), "%s dex:{%.1s}:%s:%s%s", command, w->id, kind, w->id, more);
	return redis_server_command(&w->servers[0], text);
}

static long long number(redisReply *r)
{
	assert_int_equal(r->type, REDIS_REPLY_INTEGER);
	long long n = r->integer;
	freeReplyObject(r);
	return n;
}

static void lease_is_renewed_while_it_is_held(void **state)
{
	struct world *w = *state;
	struct lock *a = take(w, w->svc, w->id, 0);
	int64_t deadline = clock_mono_ms() + LONG_MS;
	long long before = LEASE_MS;
	for (;;) {
		long long left = number(about(w, "PTTL", "lock", ""));
		assert_true(left > 0 && left <= LEASE_MS);
		assert_true(clock_mono_ms() < deadline);
		if (left > before)
			break;
		before = left;
		clock_sleep_ms(50);
	}
	assert_true(before > 1000);
	assert_int_equal(lock_renew(a), LOCK_KEPT);
	lock_release(a);
	assert_int_equal(number(about(w, "EXISTS", "lock", "")), 0);
	long long keep = number(about(w, "PTTL", "fence", ""));
	assert_true(keep > INT64_C(29) * 24 * 3600 * 1000);
}

static void silent_server_loses_the_lock_in_time(void **state)
{
	struct world *w = *state;
	int64_t start = clock_mono_ms();
	struct lock *a = take(w, w->svc, w->id, 0);
	assert_int_equal(kill(w->servers[0].pid, SIGSTOP), 0);
	assert_true(readable(a, LONG_MS));
	assert_int_equal(lock_renew(a), LOCK_LOST);
	/* Not only because the server is silent for a moment, and not too late. */
	int64_t took = clock_mono_ms() - start;
	assert_true(took > LEASE_MS / 4 && took < LEASE_MS);
	assert_int_equal(kill(w->servers[0].pid, SIGCONT), 0);
	lock_release(a);
	lock_release(take_at_last(w));
}

static void lock_that_another_took_is_lost(void **state)
{
	struct world *w = *state;
	struct lock *a = take(w, w->svc, w->id, 0);
	uint64_t fence = lock_fence(a);
	assert_int_equal(number(about(w, "DEL", "lock", "")), 1);
	struct lock *b = take(w, w->other, w->id, 0);
	assert_true(lock_fence(b) > fence);
	assert_true(readable(a, LONG_MS));
	assert_int_equal(lock_renew(a), LOCK_LOST);
	/* Its release must not free what is another's. */
	lock_release(a);
	assert_int_equal(number(about(w, "EXISTS", "lock", "")), 1);
	assert_int_equal(lock_renew(b), LOCK_KEPT);
	lock_release(b);
}

static void fence_grows_though_the_counter_is_lost(void **state)
{
	struct world *w = *state;
	uint64_t last = 0;
	for (int i = 0; i < 5; i++) {
		struct lock *a = take(w, i % 2 ? w->svc : w->other, w->id, 0);
		assert_true(lock_fence(a) > last);
		last = lock_fence(a);
		lock_release(a);
	}
	assert_int_equal(number(about(w, "DEL", "fence", "")), 1);
	/* The new one begins with the milliseconds of the clock, which must have gone on. */
	int64_t now = clock_now();
	while ((uint64_t)(clock_now() / CLOCK_US_PER_MS) <= last)
		assert_true(clock_now() - now < LONG_MS * CLOCK_US_PER_MS);
	struct lock *a = take(w, w->svc, w->id, 0);
	assert_true(lock_fence(a) > last);
	lock_release(a);
}

/* A request whose message nobody heard. */
static void request_is_found_without_its_message(void **state)
{
	struct world *w = *state;
	char value[64];
	struct lock *a = take(w, w->svc, w->id, 0);
	redisReply *token = about(w, "GET", "lock", "");
	(void)snprintf(value, sizeof(value), " %s PX 2000", token->str);
	freeReplyObject(token);
	int64_t start = clock_mono_ms();
	freeReplyObject(about(w, "SET", "want", value));
	assert_true(readable(a, LONG_MS));
	assert_true(clock_mono_ms() - start < 2000);
	assert_int_equal(lock_renew(a), LOCK_WANTED);
	lock_release(a);
	assert_int_equal(number(about(w, "EXISTS", "want", "")), 0);
}

/* A request is for the one who held the lock at that time. */
static void request_for_another_holder_does_not_disturb(void **state)
{
	struct world *w = *state;
	struct lock *a = take(w, w->svc, w->id, 0);
	char token[] = "00112233445566778899aabbccddeeff";
	char value[64];
	char message[128];
	(void)snprintf(value, sizeof(value), " %s PX 5000", token);
	(void)snprintf(message, sizeof(message), "%s %s", w->id, token);
	freeReplyObject(about(w, "SET", "want", value));
	freeReplyObject(redis_server_command(&w->servers[0], "PUBLISH dex:locks %s", message));
	freeReplyObject(redis_server_command(&w->servers[0], "PUBLISH dex:locks x"));
	/* Two rounds of looking for requests. */
	assert_false(readable(a, 2200));
	assert_int_equal(lock_renew(a), LOCK_KEPT);
	lock_release(a);
}

static void services_share_by_message(void **state)
{
	struct world *w = *state;
	struct lock *b;
	struct lock *a = take(w, w->svc, w->id, 0);
	/* Wait until the service listens. */
	int64_t deadline = clock_mono_ms() + LONG_MS;
	for (bool is = false; !is;) {
		redisReply *r = redis_server_command(&w->servers[0], "PUBSUB NUMSUB dex:locks");
		is = r->elements == 2 && r->element[1]->integer > 0;
		freeReplyObject(r);
		assert_true(clock_mono_ms() < deadline);
	}
	int64_t start = clock_mono_ms();
	assert_int_equal(lock_acquire(w->other, w->id, 1, NULL, &b, &w->err), LOCK_BUSY);
	assert_true(readable(a, LONG_MS));
	/* Sooner than the next look would have found it, most likely. */
	assert_true(clock_mono_ms() - start < 900);
	lock_release(a);
}

static void server_that_is_down_is_an_error(void **state)
{
	struct world *w = *state;
	struct lock *l;
	redis_server_stop(&w->servers[0]);
	assert_int_equal(lock_acquire(w->svc, w->id, 0, NULL, &l, &w->err), LOCK_ERROR);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_null(l);
	redis_server_start_again(&w->servers[0]);
	l = take_at_last(w);
	/* A restart that forgets the lock loses it. */
	redis_server_stop(&w->servers[0]);
	redis_server_start_again(&w->servers[0]);
	assert_true(readable(l, LONG_MS));
	assert_int_equal(lock_renew(l), LOCK_LOST);
	lock_release(l);
}

/* What is released while the server is down is free as soon as it is back, not with its lease. */
static void release_is_made_up_for(void **state)
{
	struct world *w = *state;
	redis_server_start(&w->servers[0], "appendonly yes\nappendfsync always\n");
	open_services(w, "");
	int64_t start = clock_mono_ms();
	struct lock *a = take(w, w->svc, w->id, 0);
	redis_server_stop(&w->servers[0]);
	lock_release(a);
	redis_server_start_again(&w->servers[0]);
	/* If it is still there, no lease ends it. */
	(void)number(about(w, "PERSIST", "lock", ""));
	while (number(about(w, "EXISTS", "lock", "")) == 1) {
		assert_true(clock_mono_ms() - start < 4 * LONG_MS);
		clock_sleep_ms(10);
	}
	/* It is another's by now, who is not disturbed. */
	struct lock *b = take(w, w->other, w->id, 0);
	assert_int_equal(lock_renew(b), LOCK_KEPT);
	lock_release(b);
}

#define MANY 600

static void many_locks_are_kept_in_a_cluster(void **state)
{
	struct world *w = *state;
	static struct lock *locks[MANY];
	redis_server_start_cluster(w->servers, SERVERS);
	open_services(w, "?prefix=a:b");
	for (int i = 0; i < MANY; i++) {
		random_uuid(w->id);
		/* Some hundred of one bucket. */
		if (i % 2)
			memcpy(w->id, "ab", 2);
		locks[i] = take(w, w->svc, w->id, 0);
	}
	struct lock *l;
	assert_int_equal(lock_acquire(w->other, w->id, 1, NULL, &l, &w->err), LOCK_BUSY);
	assert_true(readable(locks[MANY - 1], LONG_MS));
	assert_int_equal(lock_renew(locks[MANY - 1]), LOCK_WANTED);
	/* Longer than a lease. */
	clock_sleep_ms(LEASE_MS + 500);
	for (int i = 0; i < MANY - 1; i++)
		assert_int_equal(lock_renew(locks[i]), LOCK_KEPT);
	for (int i = 0; i < MANY; i++)
		lock_release(locks[i]);
	for (size_t i = 0; i < SERVERS; i++) {
		redisReply *r = redis_server_command(&w->servers[i], "KEYS *:lock:*");
		assert_int_equal(r->elements, 0);
		freeReplyObject(r);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup_one, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lease_is_renewed_while_it_is_held),
		TEST(silent_server_loses_the_lock_in_time),
		TEST(lock_that_another_took_is_lost),
		TEST(fence_grows_though_the_counter_is_lost),
		TEST(request_is_found_without_its_message),
		TEST(request_for_another_holder_does_not_disturb),
		TEST(services_share_by_message),
		TEST(server_that_is_down_is_an_error),
		cmocka_unit_test_setup_teardown(release_is_made_up_for, setup, teardown),
		cmocka_unit_test_setup_teardown(many_locks_are_kept_in_a_cluster, setup, teardown),
	};
	return cmocka_run_group_tests_name("lock_redis", tests, NULL, NULL);
}
