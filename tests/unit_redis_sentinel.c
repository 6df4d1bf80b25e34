/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to a real master and its replica, which Sentinels name or nobody does. */
#include "backends/redis.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/redis_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void wait_for_sentinel(struct redis_world *w, const char *what)
{
	int64_t deadline = clock_mono_ms() + REDIS_WORLD_LONG_MS;
	for (bool is = false; !is; clock_sleep_ms(20)) {
		redisReply *reply = redis_server_command(&w->sentinel, "INFO sentinel");
		is = strstr(reply->str, what) != NULL;
		freeReplyObject(reply);
		if (clock_mono_ms() > deadline)
			fail_msg("no %s", what);
	}
}

static void sentinel_names_the_master(void **state)
{
	struct redis_world *w = *state;
	char config[64];
	redis_server_start(&w->servers[0], NULL);
	(void)snprintf(config, sizeof(config), "replicaof 127.0.0.1 %u\n", w->servers[0].port);
	redis_server_start(&w->servers[1], config);
	redis_world_await_role(&w->servers[1], "master_link_status:up");
	redis_server_start_sentinel(&w->sentinel, &w->servers[0]);
	wait_for_sentinel(w, "slaves=1");
	redis_world_open(w, "redis+sentinel://127.0.0.1:1,127.0.0.1:%u/dex", w->sentinel.port);
	redis_world_set(w, "a", "1");
	redis_server_stop(&w->servers[0]);
	redisReply *reply = NULL;
	int64_t start = clock_mono_ms();
	enum redis_result result;
	while ((result = redis_world_command(w, true, &reply, "SET", "a", "2")) != REDIS_DONE) {
		assert_true(result == REDIS_DOWN || result == REDIS_UNKNOWN);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_true(clock_mono_ms() - start < REDIS_WORLD_LONG_MS);
		clock_sleep_ms(10);
	}
	freeReplyObject(reply);
	redis_world_assert_value(w, "a", "2");
	redis_world_await_role(&w->servers[1], "role:master");
	/* A master that becomes a replica and keeps its connections: it answers READONLY. */
	redis_server_start_again(&w->servers[0]);
	redis_world_accepted(redis_server_command(&w->sentinel, "SENTINEL REMOVE dex"));
	redis_world_accepted(redis_server_command(
		&w->sentinel, "SENTINEL MONITOR dex 127.0.0.1 %u 1", w->servers[0].port));
	redis_world_accepted(
		redis_server_command(&w->servers[1], "REPLICAOF 127.0.0.1 %u", w->servers[0].port));
	redis_world_set(w, "a", "3");
	reply = redis_server_command(&w->servers[0], "GET a");
	assert_string_equal(reply->str, "3");
	freeReplyObject(reply);
}

/* Without Sentinels there is only waiting until somebody makes it a master. */
static void replica_is_no_server(void **state)
{
	struct redis_world *w = *state;
	char config[64];
	redisReply *reply;
	redis_server_start(&w->servers[0], NULL);
	(void)snprintf(config, sizeof(config), "replicaof 127.0.0.1 %u\n", w->servers[0].port);
	redis_server_start(&w->servers[1], config);
	redis_world_open(w, "redis://127.0.0.1:%u?timeout=1s", w->servers[1].port);
	/* As above: the last try may be cut short by the time limit, and then tells of that. */
	int64_t deadline = clock_mono_ms() + REDIS_WORLD_LONG_MS;
	do {
		enum redis_result refused = redis_world_command(w, false, &reply, "SET", "a", "1");
		assert_true(refused == REDIS_DOWN || refused == REDIS_UNKNOWN);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_true(clock_mono_ms() < deadline);
	} while (!strstr(w->err.text, "READONLY"));
	freeReplyObject(redis_server_command(&w->servers[1], "REPLICAOF NO ONE"));
	redis_world_set(w, "a", "1");
}

static void sentinel_that_knows_no_such_name(void **state)
{
	struct redis_world *w = *state;
	redis_server_start(&w->servers[0], NULL);
	redis_server_start_sentinel(&w->sentinel, &w->servers[0]);
	redis_world_open(w, "redis+sentinel://127.0.0.1:%u/other", w->sentinel.port);
	redis_world_assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "other"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, redis_world_setup, redis_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sentinel_names_the_master),
		TEST(replica_is_no_server),
		TEST(sentinel_that_knows_no_such_name),
	};
	return cmocka_run_group_tests_name("redis: Sentinel", tests, NULL, NULL);
}
