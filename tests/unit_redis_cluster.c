/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to a real Cluster: keys that lie elsewhere, slots that move, nodes that die. */
#include "backends/redis.h"
#include "backends/redis_cluster.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/redis_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void cluster_is_followed(void **state)
{
	struct redis_world *w = *state;
	char key[32];
	redis_server_start_cluster(w->servers, REDIS_WORLD_SERVERS);
	redis_world_open(w, "redis://127.0.0.1:%u", w->servers[0].port);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		redis_world_set(w, key, key);
	}
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		redis_world_assert_value(w, key, key);
	}
	for (size_t i = 0; i < REDIS_WORLD_SERVERS; i++) {
		redisReply *reply = redis_server_command(&w->servers[i], "DBSIZE");
		assert_true(reply->integer > 10 && reply->integer < 90);
		freeReplyObject(reply);
		/* After the first redirection all were known. */
		reply = redis_server_command(&w->servers[i], "INFO errorstats");
		const char *moved = strstr(reply->str, "errorstat_MOVED:count=");
		assert_true(
			!moved || strtol(moved + strlen("errorstat_MOVED:count="), NULL, 10) < 3);
		freeReplyObject(reply);
	}
}

static const struct redis_server *server_of(struct redis_world *w, const char *key)
{
	unsigned slot = redis_cluster_slot(key, strlen(key));
	return &w->servers[slot * REDIS_WORLD_SERVERS / REDIS_CLUSTER_SLOTS];
}

static char *node_id(const struct redis_server *s)
{
	redisReply *reply = redis_server_command(s, "CLUSTER MYID");
	char *id = mem_strdup(reply->str);
	freeReplyObject(reply);
	return id;
}

static void setslot(const struct redis_server *s, unsigned slot, const char *what, const char *id)
{
	redisReply *reply = redis_server_command(s, "CLUSTER SETSLOT %u %s %s", slot, what, id);
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
}

/* A slot on its way to another node: ASK for keys that are not there yet, MOVED afterwards. */
static void slot_that_moves_is_followed(void **state)
{
	struct redis_script touch = {.name = "touch", .text = "return redis.call('INCR', KEYS[1])"};
	struct redis_world *w = *state;
	struct redis_arg keys[] = {
		redis_arg_str("{foo}1"), redis_arg_str("{foo}2"), redis_arg_str("{foo}3")};
	redisReply *reply;
	redis_script_hash(&touch);
	redis_server_start_cluster(w->servers, REDIS_WORLD_SERVERS);
	redis_world_open(w, "redis://127.0.0.1:%u?timeout=1s", w->servers[0].port);
	redis_world_set(w, "{foo}old", "1");
	unsigned slot = redis_cluster_slot("foo", 3);
	const struct redis_server *from = server_of(w, "foo");
	const struct redis_server *to = from == &w->servers[0] ? &w->servers[1] : &w->servers[0];
	char *from_id = node_id(from);
	char *to_id = node_id(to);
	setslot(to, slot, "IMPORTING", from_id);
	setslot(from, slot, "MIGRATING", to_id);
	redis_world_set(w, "{foo}new", "2");
	redis_world_assert_value(w, "{foo}new", "2");
	redis_world_assert_value(w, "{foo}old", "1");
	if (redis_eval(w->r, &touch, keys, 1, NULL, 0, false, &reply, &w->err) != REDIS_DONE)
		fail_msg("%s", w->err.text);
	assert_int_equal(reply->integer, 1);
	freeReplyObject(reply);
	/*
	 * Keys that are neither here nor there are nowhere served together. The last of the tries
	 * may be cut short by the time limit: its outcome is not known then, or it tells of that.
	 */
	int64_t deadline = clock_mono_ms() + REDIS_WORLD_LONG_MS;
	do {
		err_clear(&w->err);
		enum redis_result split =
			redis_eval(w->r, &touch, keys + 1, 2, NULL, 0, false, &reply, &w->err);
		assert_true(split == REDIS_DOWN || split == REDIS_UNKNOWN);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_true(clock_mono_ms() < deadline);
	} while (!strstr(w->err.text, "TRYAGAIN"));
	reply = redis_server_command(from, "MIGRATE 127.0.0.1 %u {foo}old 0 5000", to->port);
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
	setslot(to, slot, "NODE", to_id);
	setslot(from, slot, "NODE", to_id);
	redis_world_assert_value(w, "{foo}old", "1");
	redis_world_assert_value(w, "{foo}new", "2");
	free(from_id);
	free(to_id);
}

static void replica_takes_over_in_a_cluster(void **state)
{
	struct redis_world *w = *state;
	struct redis_server *s = w->servers;
	redisReply *reply;
	redis_server_start_cluster(s, 2);
	redis_server_start(&s[2], "cluster-enabled yes\ncluster-node-timeout 2000\n");
	char *master = node_id(&s[1]);
	redis_world_accepted(redis_server_command(&s[2], "CLUSTER MEET 127.0.0.1 %u", s[1].port));
	int64_t deadline = clock_mono_ms() + REDIS_WORLD_LONG_MS;
	for (bool is = false; !is; clock_sleep_ms(20)) {
		reply = redis_server_command(&s[2], "CLUSTER REPLICATE %s", master);
		is = reply->type != REDIS_REPLY_ERROR;
		freeReplyObject(reply);
		assert_true(clock_mono_ms() < deadline);
	}
	free(master);
	redis_world_await_role(&s[2], "master_link_status:up");
	redis_world_open(w, "redis://127.0.0.1:%u", s[0].port);
	redis_world_set(w, "foo", "1");
	redis_server_stop(&s[1]);
	redis_world_accepted(redis_server_command(&s[2], "CLUSTER FAILOVER TAKEOVER"));
	while (redis_world_command(w, true, &reply, "SET", "foo", "2") != REDIS_DONE) {
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_true(clock_mono_ms() < deadline);
		clock_sleep_ms(10);
	}
	freeReplyObject(reply);
	reply = redis_server_command(&s[2], "GET foo");
	assert_string_equal(reply->str, "2");
	freeReplyObject(reply);
}

static void cluster_without_its_first_host(void **state)
{
	struct redis_world *w = *state;
	redis_server_start_cluster(w->servers, REDIS_WORLD_SERVERS);
	redis_world_open(
		w, "redis://127.0.0.1:%u,127.0.0.1:%u", w->servers[0].port, w->servers[1].port);
	freeReplyObject(redis_server_command(
		&w->servers[1], "CONFIG SET cluster-require-full-coverage no"));
	freeReplyObject(redis_server_command(
		&w->servers[2], "CONFIG SET cluster-require-full-coverage no"));
	redis_server_stop(&w->servers[0]);
	/* "foo" is of the last third. */
	redis_world_set(w, "foo", "1");
	redis_world_assert_value(w, "foo", "1");
	assert_int_equal(redis_publish(w->r, "c", "m", &w->err), 0);
	/* Messages go from any node to any other. */
	struct redis_world_heard h = {
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, ""};
	struct redis_listener *l = redis_listen(w->r, "news", redis_world_hear, &h, &w->err);
	assert_non_null(l);
	redis_world_await_heard(&h, &h.gaps, 1);
	freeReplyObject(redis_server_command(&w->servers[2], "PUBLISH news one"));
	redis_world_await_heard(&h, &h.messages, 1);
	redis_unlisten(l);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, redis_world_setup, redis_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cluster_is_followed),
		TEST(slot_that_moves_is_followed),
		TEST(replica_takes_over_in_a_cluster),
		TEST(cluster_without_its_first_host),
	};
	return cmocka_run_group_tests_name("redis: Cluster", tests, NULL, NULL);
}
