/* SPDX-License-Identifier: Apache-2.0 */
/* The connections to Redis: one real server, and a fake of one that misbehaves. */
#include "backends/redis.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/redis_world.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void values_go_and_come(void **state)
{
	struct redis_world *w = *state;
	size_t len = (size_t)5 << 20;
	char *big = mem_alloc(len);
	redisReply *reply;
	redis_world_open_plain(w);
	redis_world_assert_value(w, "a", NULL);
	redis_world_set(w, "a", "1");
	redis_world_assert_value(w, "a", "1");
	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 7 % 256);
	struct redis_arg args[] = {redis_arg_str("SET"), redis_arg_str("b"), {big, len}};
	assert_int_equal(redis_command(w->r, "b", args, 3, true, &reply, &w->err), REDIS_DONE);
	freeReplyObject(reply);
	assert_int_equal(redis_world_command(w, true, &reply, "GET", "b", NULL), REDIS_DONE);
	assert_int_equal(reply->len, len);
	assert_memory_equal(reply->str, big, len);
	freeReplyObject(reply);
	free(big);
}

static void reply_has_a_limit(void **state)
{
	struct redis_world *w = *state;
	redisReply *reply;
	redis_server_start(&w->servers[0], NULL);
	redis_world_open(w, "redis://127.0.0.1:%u?timeout=30s", w->servers[0].port);
	freeReplyObject(redis_server_command(&w->servers[0], "SETRANGE a 68000000 x"));
	assert_int_equal(redis_world_command(w, true, &reply, "GET", "a", NULL), REDIS_UNKNOWN);
	assert_int_equal(w->err.code, ERR_TOO_LARGE);
	assert_int_equal(redis_world_command(w, true, &reply, "STRLEN", "a", NULL), REDIS_DONE);
	assert_int_equal(reply->integer, 68000001);
	freeReplyObject(reply);
}

static void error_replies_are_told(void **state)
{
	struct redis_world *w = *state;
	redisReply *reply;
	redis_world_open_plain(w);
	redis_world_set(w, "a", "x");
	assert_int_equal(redis_world_command(w, false, &reply, "LPUSH", "a", "1"), REDIS_REFUSED);
	assert_null(reply);
	assert_int_equal(w->err.code, ERR_IO);
	assert_non_null(strstr(w->err.text, "WRONGTYPE"));
	freeReplyObject(redis_server_command(&w->servers[0], "CONFIG SET maxmemory 1"));
	assert_int_equal(redis_world_command(w, false, &reply, "SET", "a", "1"), REDIS_REFUSED);
	assert_int_equal(w->err.code, ERR_NO_SPACE);
}

static void scripts_are_sent_once(void **state)
{
	struct redis_script both = {.name = "both",
		.text = "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[2], ARGV[2]}"};
	struct redis_script wrong = {
		.name = "wrong", .text = "return redis.error_reply('ODD thing')"};
	struct redis_world *w = *state;
	struct redis_arg keys[] = {redis_arg_str("{a}1"), redis_arg_str("{a}2")};
	char number[24];
	struct redis_arg args[] = {redis_arg_str("x"), redis_arg_int(number, INT64_MIN)};
	redisReply *reply;
	redis_script_hash(&both);
	redis_script_hash(&wrong);
	redis_world_open_plain(w);
	for (int i = 0; i < 3; i++) {
		if (redis_eval(w->r, &both, keys, 2, args, 2, false, &reply, &w->err) != REDIS_DONE)
			fail_msg("%s", w->err.text);
		assert_int_equal(reply->elements, 2);
		assert_string_equal(reply->element[1]->str, "-9223372036854775808");
		freeReplyObject(reply);
	}
	reply = redis_server_command(&w->servers[0], "INFO commandstats");
	assert_non_null(strstr(reply->str, "cmdstat_eval:calls=1,"));
	assert_non_null(strstr(reply->str, "cmdstat_evalsha:calls=3,"));
	freeReplyObject(reply);
	assert_int_equal(
		redis_eval(w->r, &wrong, NULL, 0, NULL, 0, false, &reply, &w->err), REDIS_REFUSED);
	assert_non_null(strstr(w->err.text, "script wrong"));
	assert_non_null(strstr(w->err.text, "ODD thing"));
}

/* What idle connections of before the restart are good for shows before a command is sent. */
static void restart_between_commands_is_not_noticed(void **state)
{
	struct redis_world *w = *state;
	redisReply *reply;
	redis_world_open_plain(w);
	for (int i = 0; i < 3; i++) {
		redis_world_set(w, "a", "1");
		redis_server_stop(&w->servers[0]);
		redis_server_start_again(&w->servers[0]);
		if (redis_world_command(w, false, &reply, "INCR", "n", NULL) != REDIS_DONE)
			fail_msg("%s", w->err.text);
		freeReplyObject(reply);
	}
}

static void server_that_is_gone_is_down_at_once(void **state)
{
	struct redis_world *w = *state;
	redis_world_open_plain(w);
	redis_world_set(w, "a", "1");
	redis_server_stop(&w->servers[0]);
	int64_t start = clock_mono_ms();
	for (int i = 0; i < 1000; i++)
		redis_world_assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - start < 1500);
	redis_server_start_again(&w->servers[0]);
	redisReply *reply = NULL;
	start = clock_mono_ms();
	while (redis_world_command(w, true, &reply, "PING", NULL, NULL) != REDIS_DONE) {
		assert_true(clock_mono_ms() - start < REDIS_WORLD_LONG_MS);
		clock_sleep_ms(5);
	}
	freeReplyObject(reply);
}

/* A server that takes commands and never answers. */
static void silence_leaves_the_outcome_unknown(void **state)
{
	struct redis_world *w = *state;
	redisReply *reply;
	redis_server_start(&w->servers[0], NULL);
	redis_world_open(w, "redis://127.0.0.1:%u?timeout=200ms", w->servers[0].port);
	redis_world_set(w, "n", "1");
	assert_int_equal(kill(w->servers[0].pid, SIGSTOP), 0);
	int64_t start = clock_mono_ms();
	assert_int_equal(redis_world_command(w, false, &reply, "INCR", "n", NULL), REDIS_UNKNOWN);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_int_equal(redis_world_command(w, true, &reply, "GET", "n", NULL), REDIS_DOWN);
	assert_true(clock_mono_ms() - start < REDIS_WORLD_LONG_MS);
	assert_int_equal(kill(w->servers[0].pid, SIGCONT), 0);
	start = clock_mono_ms();
	while (redis_world_command(w, true, &reply, "GET", "n", NULL) != REDIS_DONE)
		assert_true(clock_mono_ms() - start < REDIS_WORLD_LONG_MS);
	/* It was carried out after all. */
	assert_string_equal(reply->str, "2");
	freeReplyObject(reply);
}

/* A server of one connection after the other that greets, and answers all else with ${answer}. */
struct fake {
	int fd;
	unsigned port;
	const char *answer; /* NULL: closes instead, the first ${closes} times */
	int closes;
	_Atomic int commands;
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct fake *f = arg;
	for (int fd; (fd = accept(f->fd, NULL, NULL)) >= 0; close(fd)) {
		char text[4096];
		for (ssize_t n; (n = recv(fd, text, sizeof(text) - 1, 0)) > 0;) {
			text[n] = '\0';
			const char *answer = "+PONG\r\n";
			if (!strstr(text, "PING")) {
				if (f->commands++ < f->closes)
					break;
				answer = f->answer;
			}
			if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
				break;
		}
	}
	return NULL;
}

static void start_fake(struct fake *f, const char *answer, int closes)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t size = sizeof(a);
	*f = (struct fake){.answer = answer, .closes = closes};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &size), 0);
	f->port = ntohs(a.sin_port);
	assert_int_equal(listen(f->fd, 16), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static void stop_fake(struct redis_world *w, struct fake *f)
{
	redis_close(w->r);
	w->r = NULL;
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->fd);
}

static void broken_reply_is_repeated_only_if_it_may(void **state)
{
	struct redis_world *w = *state;
	struct fake f;
	redisReply *reply;
	start_fake(&f, ":7\r\n", 1);
	redis_world_open(w, "redis://127.0.0.1:%u", f.port);
	assert_int_equal(redis_world_command(w, false, &reply, "INCR", "n", NULL), REDIS_UNKNOWN);
	assert_int_equal(f.commands, 1);
	assert_int_equal(redis_world_command(w, false, &reply, "INCR", "n", NULL), REDIS_DONE);
	assert_int_equal(reply->integer, 7);
	freeReplyObject(reply);
	stop_fake(w, &f);
	start_fake(&f, ":7\r\n", 2);
	redis_world_open(w, "redis://127.0.0.1:%u", f.port);
	assert_int_equal(redis_world_command(w, true, &reply, "GET", "n", NULL), REDIS_DONE);
	assert_int_equal(f.commands, 3);
	freeReplyObject(reply);
	stop_fake(w, &f);
}

static void nonsense_is_no_reply(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\n\r\n", "%1\r\n+a\r\n+b\r\n", "*2000000\r\n", "$-2\r\n"};
	struct redis_world *w = *state;
	struct fake f;
	redisReply *reply;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		start_fake(&f, answers[i], 0);
		redis_world_open(w, "redis://127.0.0.1:%u?timeout=500ms", f.port);
		assert_int_equal(
			redis_world_command(w, false, &reply, "INCR", "n", NULL), REDIS_UNKNOWN);
		assert_null(reply);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		stop_fake(w, &f);
	}
}

static void loading_is_waited_for_in_time(void **state)
{
	struct redis_world *w = *state;
	struct fake f;
	redisReply *reply;
	start_fake(&f, "-LOADING Redis is loading the dataset in memory\r\n", 0);
	redis_world_open(w, "redis://127.0.0.1:%u?timeout=200ms", f.port);
	int64_t start = clock_mono_ms();
	assert_int_equal(redis_world_command(w, false, &reply, "INCR", "n", NULL), REDIS_DOWN);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "LOADING"));
	assert_true(clock_mono_ms() - start >= 90 && clock_mono_ms() - start < REDIS_WORLD_LONG_MS);
	assert_true(f.commands > 2);
	stop_fake(w, &f);
}

static void listener_survives_a_restart(void **state)
{
	struct redis_world *w = *state;
	struct redis_world_heard h = {
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, ""};
	redis_world_open_plain(w);
	struct redis_listener *l = redis_listen(w->r, "news", redis_world_hear, &h, &w->err);
	assert_non_null(l);
	redis_world_await_heard(&h, &h.gaps, 1);
	assert_int_equal(redis_publish(w->r, "news", "one", &w->err), 0);
	assert_int_equal(redis_publish(w->r, "other", "no", &w->err), 0);
	assert_int_equal(redis_publish(w->r, "news", "two", &w->err), 0);
	redis_world_await_heard(&h, &h.messages, 2);
	assert_string_equal(h.last, "two");
	redis_server_stop(&w->servers[0]);
	redis_server_start_again(&w->servers[0]);
	redis_world_await_heard(&h, &h.gaps, 2);
	assert_int_equal(redis_publish(w->r, "news", "three", &w->err), 0);
	redis_world_await_heard(&h, &h.messages, 3);
	assert_string_equal(h.last, "three");
	redis_unlisten(l);
	redis_unlisten(NULL);
}

#define THREADS 100

static void *count_up(void *arg)
{
	struct redis_world *w = arg;
	struct redis_arg args[] = {redis_arg_str("INCR"), redis_arg_str("n")};
	for (int i = 0; i < 50; i++) {
		redisReply *reply;
		struct err err;
		if (redis_command(w->r, "n", args, 2, false, &reply, &err) != REDIS_DONE)
			return w;
		freeReplyObject(reply);
	}
	return NULL;
}

static void more_threads_than_connections(void **state)
{
	struct redis_world *w = *state;
	pthread_t threads[THREADS];
	redis_server_start(&w->servers[0], NULL);
	redis_world_open(w, "redis://127.0.0.1:%u?timeout=30s", w->servers[0].port);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, w), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	redis_world_assert_value(w, "n", "5000");
	redisReply *reply = redis_server_command(&w->servers[0], "INFO stats");
	const char *all = strstr(reply->str, "total_connections_received:");
	assert_non_null(all);
	/* Those of the test are among them. */
	assert_true(strtol(all + strlen("total_connections_received:"), NULL, 10) < 64 + 30);
	freeReplyObject(reply);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, redis_world_setup, redis_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_go_and_come),
		TEST(reply_has_a_limit),
		TEST(error_replies_are_told),
		TEST(scripts_are_sent_once),
		TEST(restart_between_commands_is_not_noticed),
		TEST(server_that_is_gone_is_down_at_once),
		TEST(silence_leaves_the_outcome_unknown),
		TEST(broken_reply_is_repeated_only_if_it_may),
		TEST(nonsense_is_no_reply),
		TEST(loading_is_waited_for_in_time),
		TEST(listener_survives_a_restart),
		TEST(more_threads_than_connections),
	};
	return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
