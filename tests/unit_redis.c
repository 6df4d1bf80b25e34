/* SPDX-License-Identifier: Apache-2.0 */
/* The connections to Redis, against real servers: one, one with TLS, a Cluster, a Sentinel group.
 */
#include "backends/redis.h"
#include "backends/redis_cluster.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/scratch.h"

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

#define LONG_MS 60000 /* nothing that works takes so long */
#define SERVERS 3

struct world {
	struct redis_server servers[SERVERS];
	struct redis_server sentinel;
	char *certs;
	struct redis *r;
	struct err err;
};

static int setup(void **state)
{
	*state = mem_zalloc(sizeof(struct world));
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	redis_close(w->r);
	for (size_t i = 0; i < SERVERS; i++)
		redis_server_remove(&w->servers[i]);
	redis_server_remove(&w->sentinel);
	scratch_remove(w->certs);
	free(w);
	return 0;
}

static void open_uri(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void open_uri(struct world *w, const char *fmt, ...)
{
	char uri[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(uri, sizeof(uri), fmt, ap);
	va_end(ap);
	redis_close(w->r);
	w->r = redis_open(uri, &w->err);
	if (!w->r)
		fail_msg("%s", w->err.text);
}

static void open_plain(struct world *w)
{
	redis_server_start(&w->servers[0], NULL);
	open_uri(w, "redis://127.0.0.1:%u", w->servers[0].port);
}

static enum redis_result command(struct world *w, bool repeat, redisReply **out, const char *name,
	const char *key, const char *value)
{
	struct redis_arg args[3] = {redis_arg_str(name)};
	size_t n = 1;
	if (key)
		args[n++] = redis_arg_str(key);
	if (value)
		args[n++] = redis_arg_str(value);
	err_clear(&w->err);
	return redis_command(w->r, key, args, n, repeat, out, &w->err);
}

static void set(struct world *w, const char *key, const char *value)
{
	redisReply *reply;
	if (command(w, true, &reply, "SET", key, value) != REDIS_DONE)
		fail_msg("%s", w->err.text);
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
}

static void assert_value(struct world *w, const char *key, const char *value)
{
	redisReply *reply;
	if (command(w, true, &reply, "GET", key, NULL) != REDIS_DONE)
		fail_msg("%s", w->err.text);
	if (value)
		assert_string_equal(reply->str, value);
	else
		assert_int_equal(reply->type, REDIS_REPLY_NIL);
	freeReplyObject(reply);
}

static void assert_fails(struct world *w, enum redis_result result, enum err_code code)
{
	redisReply *reply;
	assert_int_equal(command(w, true, &reply, "GET", "k", NULL), result);
	assert_null(reply);
	if (w->err.code != code)
		fail_msg("%s", w->err.text);
}

static void values_go_and_come(void **state)
{
	struct world *w = *state;
	size_t len = (size_t)5 << 20;
	char *big = mem_alloc(len);
	redisReply *reply;
	open_plain(w);
	assert_value(w, "a", NULL);
	set(w, "a", "1");
	assert_value(w, "a", "1");
	for (size_t i = 0; i < len; i++)
		big[i] = (char)(i * 7 % 256);
	struct redis_arg args[] = {redis_arg_str("SET"), redis_arg_str("b"), {big, len}};
	assert_int_equal(redis_command(w->r, "b", args, 3, true, &reply, &w->err), REDIS_DONE);
	freeReplyObject(reply);
	assert_int_equal(command(w, true, &reply, "GET", "b", NULL), REDIS_DONE);
	assert_int_equal(reply->len, len);
	assert_memory_equal(reply->str, big, len);
	freeReplyObject(reply);
	free(big);
}

static void reply_has_a_limit(void **state)
{
	struct world *w = *state;
	redisReply *reply;
	redis_server_start(&w->servers[0], NULL);
	open_uri(w, "redis://127.0.0.1:%u?timeout=30s", w->servers[0].port);
	freeReplyObject(redis_server_command(&w->servers[0], "SETRANGE a 68000000 x"));
	assert_int_equal(command(w, true, &reply, "GET", "a", NULL), REDIS_UNKNOWN);
	assert_int_equal(w->err.code, ERR_TOO_LARGE);
	assert_int_equal(command(w, true, &reply, "STRLEN", "a", NULL), REDIS_DONE);
	assert_int_equal(reply->integer, 68000001);
	freeReplyObject(reply);
}

static void error_replies_are_told(void **state)
{
	struct world *w = *state;
	redisReply *reply;
	open_plain(w);
	set(w, "a", "x");
	assert_int_equal(command(w, false, &reply, "LPUSH", "a", "1"), REDIS_REFUSED);
	assert_null(reply);
	assert_int_equal(w->err.code, ERR_IO);
	assert_non_null(strstr(w->err.text, "WRONGTYPE"));
	freeReplyObject(redis_server_command(&w->servers[0], "CONFIG SET maxmemory 1"));
	assert_int_equal(command(w, false, &reply, "SET", "a", "1"), REDIS_REFUSED);
	assert_int_equal(w->err.code, ERR_NO_SPACE);
}

static void scripts_are_sent_once(void **state)
{
	static const struct redis_script both = {
		"both", "redis.call('SET', KEYS[1], ARGV[1]) return {KEYS[2], ARGV[2]}"};
	static const struct redis_script wrong = {"wrong", "return redis.error_reply('ODD thing')"};
	struct world *w = *state;
	struct redis_arg keys[] = {redis_arg_str("{a}1"), redis_arg_str("{a}2")};
	char number[24];
	struct redis_arg args[] = {redis_arg_str("x"), redis_arg_int(number, INT64_MIN)};
	redisReply *reply;
	open_plain(w);
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
	struct world *w = *state;
	redisReply *reply;
	open_plain(w);
	for (int i = 0; i < 3; i++) {
		set(w, "a", "1");
		redis_server_stop(&w->servers[0]);
		redis_server_start_again(&w->servers[0]);
		if (command(w, false, &reply, "INCR", "n", NULL) != REDIS_DONE)
			fail_msg("%s", w->err.text);
		freeReplyObject(reply);
	}
}

static void server_that_is_gone_is_down_at_once(void **state)
{
	struct world *w = *state;
	open_plain(w);
	set(w, "a", "1");
	redis_server_stop(&w->servers[0]);
	int64_t start = clock_mono_ms();
	for (int i = 0; i < 1000; i++)
		assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_true(clock_mono_ms() - start < 1500);
	redis_server_start_again(&w->servers[0]);
	redisReply *reply = NULL;
	start = clock_mono_ms();
	while (command(w, true, &reply, "PING", NULL, NULL) != REDIS_DONE) {
		assert_true(clock_mono_ms() - start < LONG_MS);
		clock_sleep_ms(5);
	}
	freeReplyObject(reply);
}

/* A server that takes commands and never answers. */
static void silence_leaves_the_outcome_unknown(void **state)
{
	struct world *w = *state;
	redisReply *reply;
	redis_server_start(&w->servers[0], NULL);
	open_uri(w, "redis://127.0.0.1:%u?timeout=200ms", w->servers[0].port);
	set(w, "n", "1");
	assert_int_equal(kill(w->servers[0].pid, SIGSTOP), 0);
	int64_t start = clock_mono_ms();
	assert_int_equal(command(w, false, &reply, "INCR", "n", NULL), REDIS_UNKNOWN);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_int_equal(command(w, true, &reply, "GET", "n", NULL), REDIS_DOWN);
	assert_true(clock_mono_ms() - start < LONG_MS);
	assert_int_equal(kill(w->servers[0].pid, SIGCONT), 0);
	start = clock_mono_ms();
	while (command(w, true, &reply, "GET", "n", NULL) != REDIS_DONE)
		assert_true(clock_mono_ms() - start < LONG_MS);
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

static void stop_fake(struct world *w, struct fake *f)
{
	redis_close(w->r);
	w->r = NULL;
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->fd);
}

static void broken_reply_is_repeated_only_if_it_may(void **state)
{
	struct world *w = *state;
	struct fake f;
	redisReply *reply;
	start_fake(&f, ":7\r\n", 1);
	open_uri(w, "redis://127.0.0.1:%u", f.port);
	assert_int_equal(command(w, false, &reply, "INCR", "n", NULL), REDIS_UNKNOWN);
	assert_int_equal(f.commands, 1);
	assert_int_equal(command(w, false, &reply, "INCR", "n", NULL), REDIS_DONE);
	assert_int_equal(reply->integer, 7);
	freeReplyObject(reply);
	stop_fake(w, &f);
	start_fake(&f, ":7\r\n", 2);
	open_uri(w, "redis://127.0.0.1:%u", f.port);
	assert_int_equal(command(w, true, &reply, "GET", "n", NULL), REDIS_DONE);
	assert_int_equal(f.commands, 3);
	freeReplyObject(reply);
	stop_fake(w, &f);
}

static void nonsense_is_no_reply(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\n\r\n", "%1\r\n+a\r\n+b\r\n", "*2000000\r\n", "$-2\r\n"};
	struct world *w = *state;
	struct fake f;
	redisReply *reply;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		start_fake(&f, answers[i], 0);
		open_uri(w, "redis://127.0.0.1:%u?timeout=500ms", f.port);
		assert_int_equal(command(w, false, &reply, "INCR", "n", NULL), REDIS_UNKNOWN);
		assert_null(reply);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		stop_fake(w, &f);
	}
}

static void loading_is_waited_for_in_time(void **state)
{
	struct world *w = *state;
	struct fake f;
	redisReply *reply;
	start_fake(&f, "-LOADING Redis is loading the dataset in memory\r\n", 0);
	open_uri(w, "redis://127.0.0.1:%u?timeout=200ms", f.port);
	int64_t start = clock_mono_ms();
	assert_int_equal(command(w, false, &reply, "INCR", "n", NULL), REDIS_DOWN);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "LOADING"));
	assert_true(clock_mono_ms() - start >= 90 && clock_mono_ms() - start < LONG_MS);
	assert_true(f.commands > 2);
	stop_fake(w, &f);
}

#define ACL                                               \
	"user default off\n"                              \
	"user app on >s3cr@t:p/w ~* &* +@all -flushall\n" \
	"user reader on >other ~* +get +select\n"

static void tls_and_users(void **state)
{
	struct world *w = *state;
	redisReply *reply;
	w->certs = scratch_make();
	redis_server_certificate(w->certs);
	struct redis_server *s = &w->servers[0];
	redis_server_start_tls(s, w->certs, "tls-auth-clients yes\n" ACL);
	for (int i = 0; i < 2; i++) {
		open_uri(w,
			"rediss://app:s3cr%%40t%%3Ap%%2Fw@%s:%u/3?ca_file=%s/ca.crt"
			"&cert_file=%s/server.crt&key_file=%s/server.key",
			i ? "localhost" : "127.0.0.1", s->tls_port, w->certs, w->certs, w->certs);
		set(w, "a", "1");
		assert_value(w, "a", "1");
		assert_int_equal(command(w, false, &reply, "FLUSHALL", NULL, NULL), REDIS_REFUSED);
		assert_int_equal(w->err.code, ERR_DENIED);
	}
	redis_server_stop(s);
	redis_server_start_again(s);
	assert_value(w, "a", NULL);
}

static void tls_trusts_nobody_else(void **state)
{
	struct world *w = *state;
	w->certs = scratch_make();
	redis_server_certificate(w->certs);
	struct redis_server *s = &w->servers[0];
	redis_server_start_tls(s, w->certs, "bind 127.0.0.1 127.0.0.2\ntls-auth-clients no\n" ACL);
	open_uri(w, "rediss://reader:other@127.0.0.1:%u?ca_file=%s/ca.crt", s->tls_port, w->certs);
	assert_value(w, "a", NULL);
	/* Not of that name, not of that authority, no TLS at all. */
	open_uri(w, "rediss://reader:other@127.0.0.2:%u?ca_file=%s/ca.crt", s->tls_port, w->certs);
	assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "its certificate is not accepted"));
	open_uri(w, "rediss://reader:other@127.0.0.1:%u", s->tls_port);
	assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "its certificate is not accepted"));
	open_uri(w, "rediss://reader:other@127.0.0.1:%u?ca_file=%s/ca.crt&timeout=500ms", s->port,
		w->certs);
	assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	struct redis *none = redis_open("rediss://h?ca_file=/nowhere", &w->err);
	assert_null(none);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void wrong_user_is_denied_without_a_secret(void **state)
{
	static const char *const users[] = {"app:geheim@", "nobody:geheim@", ":geheim@", ""};
	struct world *w = *state;
	struct redis_server *s = &w->servers[0];
	redis_server_start(s, ACL);
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		open_uri(w, "redis://%s127.0.0.1:%u", users[i], s->port);
		assert_fails(w, REDIS_DOWN, ERR_DENIED);
		assert_null(strstr(w->err.text, "geheim"));
		assert_fails(w, REDIS_DOWN, ERR_DENIED);
	}
	open_uri(w, "redis://reader:other@127.0.0.1:%u/99", s->port);
	assert_fails(w, REDIS_DOWN, ERR_INVALID);
}

static void cluster_is_followed(void **state)
{
	struct world *w = *state;
	char key[32];
	redis_server_start_cluster(w->servers, SERVERS);
	open_uri(w, "redis://127.0.0.1:%u", w->servers[0].port);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		set(w, key, key);
	}
	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "key%d", i);
		assert_value(w, key, key);
	}
	for (size_t i = 0; i < SERVERS; i++) {
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

static const struct redis_server *server_of(struct world *w, const char *key)
{
	unsigned slot = redis_cluster_slot(key, strlen(key));
	return &w->servers[slot * SERVERS / REDIS_CLUSTER_SLOTS];
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
	static const struct redis_script touch = {"touch", "return redis.call('INCR', KEYS[1])"};
	struct world *w = *state;
	struct redis_arg keys[] = {
		redis_arg_str("{foo}1"), redis_arg_str("{foo}2"), redis_arg_str("{foo}3")};
	redisReply *reply;
	redis_server_start_cluster(w->servers, SERVERS);
	open_uri(w, "redis://127.0.0.1:%u?timeout=1s", w->servers[0].port);
	set(w, "{foo}old", "1");
	unsigned slot = redis_cluster_slot("foo", 3);
	const struct redis_server *from = server_of(w, "foo");
	const struct redis_server *to = from == &w->servers[0] ? &w->servers[1] : &w->servers[0];
	char *from_id = node_id(from);
	char *to_id = node_id(to);
	setslot(to, slot, "IMPORTING", from_id);
	setslot(from, slot, "MIGRATING", to_id);
	set(w, "{foo}new", "2");
	assert_value(w, "{foo}new", "2");
	assert_value(w, "{foo}old", "1");
	if (redis_eval(w->r, &touch, keys, 1, NULL, 0, false, &reply, &w->err) != REDIS_DONE)
		fail_msg("%s", w->err.text);
	assert_int_equal(reply->integer, 1);
	freeReplyObject(reply);
	/*
	 * Keys that are neither here nor there are nowhere served together. Where the last of the
	 * tries is cut short by the time limit, its outcome is not known.
	 */
	enum redis_result split =
		redis_eval(w->r, &touch, keys + 1, 2, NULL, 0, false, &reply, &w->err);
	assert_true(split == REDIS_DOWN || split == REDIS_UNKNOWN);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	if (split == REDIS_DOWN)
		assert_non_null(strstr(w->err.text, "TRYAGAIN"));
	reply = redis_server_command(from, "MIGRATE 127.0.0.1 %u {foo}old 0 5000", to->port);
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
	setslot(to, slot, "NODE", to_id);
	setslot(from, slot, "NODE", to_id);
	assert_value(w, "{foo}old", "1");
	assert_value(w, "{foo}new", "2");
	free(from_id);
	free(to_id);
}

static void accepted(redisReply *reply)
{
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
}

static void wait_for_role(const struct redis_server *s, const char *role)
{
	int64_t deadline = clock_mono_ms() + LONG_MS;
	for (bool is = false; !is; clock_sleep_ms(20)) {
		redisReply *reply = redis_server_command(s, "INFO replication");
		is = strstr(reply->str, role) != NULL;
		freeReplyObject(reply);
		if (clock_mono_ms() > deadline)
			fail_msg("no %s", role);
	}
}

static void replica_takes_over_in_a_cluster(void **state)
{
	struct world *w = *state;
	struct redis_server *s = w->servers;
	redisReply *reply;
	redis_server_start_cluster(s, 2);
	redis_server_start(&s[2], "cluster-enabled yes\ncluster-node-timeout 2000\n");
	char *master = node_id(&s[1]);
	accepted(redis_server_command(&s[2], "CLUSTER MEET 127.0.0.1 %u", s[1].port));
	int64_t deadline = clock_mono_ms() + LONG_MS;
	for (bool is = false; !is; clock_sleep_ms(20)) {
		reply = redis_server_command(&s[2], "CLUSTER REPLICATE %s", master);
		is = reply->type != REDIS_REPLY_ERROR;
		freeReplyObject(reply);
		assert_true(clock_mono_ms() < deadline);
	}
	free(master);
	wait_for_role(&s[2], "master_link_status:up");
	open_uri(w, "redis://127.0.0.1:%u", s[0].port);
	set(w, "foo", "1");
	redis_server_stop(&s[1]);
	accepted(redis_server_command(&s[2], "CLUSTER FAILOVER TAKEOVER"));
	while (command(w, true, &reply, "SET", "foo", "2") != REDIS_DONE) {
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_true(clock_mono_ms() < deadline);
		clock_sleep_ms(10);
	}
	freeReplyObject(reply);
	reply = redis_server_command(&s[2], "GET foo");
	assert_string_equal(reply->str, "2");
	freeReplyObject(reply);
}

struct heard {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int gaps;
	int messages;
	char last[16];
};

static void hear(void *arg, const char *message)
{
	struct heard *h = arg;
	pthread_mutex_lock(&h->mutex);
	if (message) {
		h->messages++;
		(void)snprintf(h->last, sizeof(h->last), "%s", message);
	} else {
		h->gaps++;
	}
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mutex);
}

static void wait_heard(struct heard *h, const int *counter, int n)
{
	int64_t deadline = clock_mono_ms() + LONG_MS;
	struct timespec until = {deadline / 1000, 0};
	pthread_mutex_lock(&h->mutex);
	while (*counter < n)
		assert_int_equal(
			pthread_cond_clockwait(&h->cond, &h->mutex, CLOCK_MONOTONIC, &until), 0);
	pthread_mutex_unlock(&h->mutex);
}

static void cluster_without_its_first_host(void **state)
{
	struct world *w = *state;
	redis_server_start_cluster(w->servers, SERVERS);
	open_uri(w, "redis://127.0.0.1:%u,127.0.0.1:%u", w->servers[0].port, w->servers[1].port);
	freeReplyObject(redis_server_command(
		&w->servers[1], "CONFIG SET cluster-require-full-coverage no"));
	freeReplyObject(redis_server_command(
		&w->servers[2], "CONFIG SET cluster-require-full-coverage no"));
	redis_server_stop(&w->servers[0]);
	/* "foo" is of the last third. */
	set(w, "foo", "1");
	assert_value(w, "foo", "1");
	assert_int_equal(redis_publish(w->r, "c", "m", &w->err), 0);
	/* Messages go from any node to any other. */
	struct heard h = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, ""};
	struct redis_listener *l = redis_listen(w->r, "news", hear, &h, &w->err);
	assert_non_null(l);
	wait_heard(&h, &h.gaps, 1);
	freeReplyObject(redis_server_command(&w->servers[2], "PUBLISH news one"));
	wait_heard(&h, &h.messages, 1);
	redis_unlisten(l);
}

static void wait_for_sentinel(struct world *w, const char *what)
{
	int64_t deadline = clock_mono_ms() + LONG_MS;
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
	struct world *w = *state;
	char config[64];
	redis_server_start(&w->servers[0], NULL);
	(void)snprintf(config, sizeof(config), "replicaof 127.0.0.1 %u\n", w->servers[0].port);
	redis_server_start(&w->servers[1], config);
	wait_for_role(&w->servers[1], "master_link_status:up");
	redis_server_start_sentinel(&w->sentinel, &w->servers[0]);
	wait_for_sentinel(w, "slaves=1");
	open_uri(w, "redis+sentinel://127.0.0.1:1,127.0.0.1:%u/dex", w->sentinel.port);
	set(w, "a", "1");
	redis_server_stop(&w->servers[0]);
	redisReply *reply = NULL;
	int64_t start = clock_mono_ms();
	enum redis_result result;
	while ((result = command(w, true, &reply, "SET", "a", "2")) != REDIS_DONE) {
		assert_true(result == REDIS_DOWN || result == REDIS_UNKNOWN);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_true(clock_mono_ms() - start < LONG_MS);
		clock_sleep_ms(10);
	}
	freeReplyObject(reply);
	assert_value(w, "a", "2");
	wait_for_role(&w->servers[1], "role:master");
	/* A master that becomes a replica and keeps its connections: it answers READONLY. */
	redis_server_start_again(&w->servers[0]);
	accepted(redis_server_command(&w->sentinel, "SENTINEL REMOVE dex"));
	accepted(redis_server_command(
		&w->sentinel, "SENTINEL MONITOR dex 127.0.0.1 %u 1", w->servers[0].port));
	accepted(
		redis_server_command(&w->servers[1], "REPLICAOF 127.0.0.1 %u", w->servers[0].port));
	set(w, "a", "3");
	reply = redis_server_command(&w->servers[0], "GET a");
	assert_string_equal(reply->str, "3");
	freeReplyObject(reply);
}

/* Without Sentinels there is only waiting until somebody makes it a master. */
static void replica_is_no_server(void **state)
{
	struct world *w = *state;
	char config[64];
	redisReply *reply;
	redis_server_start(&w->servers[0], NULL);
	(void)snprintf(config, sizeof(config), "replicaof 127.0.0.1 %u\n", w->servers[0].port);
	redis_server_start(&w->servers[1], config);
	open_uri(w, "redis://127.0.0.1:%u?timeout=1s", w->servers[1].port);
	/* As above: the last try may be cut short by the time limit. */
	enum redis_result refused = command(w, false, &reply, "SET", "a", "1");
	assert_true(refused == REDIS_DOWN || refused == REDIS_UNKNOWN);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	if (refused == REDIS_DOWN)
		assert_non_null(strstr(w->err.text, "READONLY"));
	freeReplyObject(redis_server_command(&w->servers[1], "REPLICAOF NO ONE"));
	set(w, "a", "1");
}

static void sentinel_that_knows_no_such_name(void **state)
{
	struct world *w = *state;
	redis_server_start(&w->servers[0], NULL);
	redis_server_start_sentinel(&w->sentinel, &w->servers[0]);
	open_uri(w, "redis+sentinel://127.0.0.1:%u/other", w->sentinel.port);
	assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "other"));
}

static void listener_survives_a_restart(void **state)
{
	struct world *w = *state;
	struct heard h = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, ""};
	open_plain(w);
	struct redis_listener *l = redis_listen(w->r, "news", hear, &h, &w->err);
	assert_non_null(l);
	wait_heard(&h, &h.gaps, 1);
	assert_int_equal(redis_publish(w->r, "news", "one", &w->err), 0);
	assert_int_equal(redis_publish(w->r, "other", "no", &w->err), 0);
	assert_int_equal(redis_publish(w->r, "news", "two", &w->err), 0);
	wait_heard(&h, &h.messages, 2);
	assert_string_equal(h.last, "two");
	redis_server_stop(&w->servers[0]);
	redis_server_start_again(&w->servers[0]);
	wait_heard(&h, &h.gaps, 2);
	assert_int_equal(redis_publish(w->r, "news", "three", &w->err), 0);
	wait_heard(&h, &h.messages, 3);
	assert_string_equal(h.last, "three");
	redis_unlisten(l);
	redis_unlisten(NULL);
}

#define THREADS 100

static void *count_up(void *arg)
{
	struct world *w = arg;
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
	struct world *w = *state;
	pthread_t threads[THREADS];
	redis_server_start(&w->servers[0], NULL);
	open_uri(w, "redis://127.0.0.1:%u?timeout=30s", w->servers[0].port);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, w), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_value(w, "n", "5000");
	redisReply *reply = redis_server_command(&w->servers[0], "INFO stats");
	const char *all = strstr(reply->str, "total_connections_received:");
	assert_non_null(all);
	/* Those of the test are among them. */
	assert_true(strtol(all + strlen("total_connections_received:"), NULL, 10) < 64 + 30);
	freeReplyObject(reply);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

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
		TEST(tls_and_users),
		TEST(tls_trusts_nobody_else),
		TEST(wrong_user_is_denied_without_a_secret),
		TEST(cluster_is_followed),
		TEST(slot_that_moves_is_followed),
		TEST(cluster_without_its_first_host),
		TEST(replica_takes_over_in_a_cluster),
		TEST(sentinel_names_the_master),
		TEST(replica_is_no_server),
		TEST(sentinel_that_knows_no_such_name),
		TEST(listener_survives_a_restart),
		TEST(more_threads_than_connections),
	};
	return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
