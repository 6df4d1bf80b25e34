/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/redis_world.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int redis_world_setup(void **state)
{
	*state = mem_zalloc(sizeof(struct redis_world));
	return 0;
}

int redis_world_teardown(void **state)
{
	struct redis_world *w = *state;
	redis_close(w->r);
	for (size_t i = 0; i < REDIS_WORLD_SERVERS; i++)
		redis_server_remove(&w->servers[i]);
	redis_server_remove(&w->sentinel);
	scratch_remove(w->certs);
	free(w);
	return 0;
}

void redis_world_open(struct redis_world *w, const char *fmt, ...)
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

void redis_world_open_plain(struct redis_world *w)
{
	redis_server_start(&w->servers[0], NULL);
	redis_world_open(w, "redis://127.0.0.1:%u", w->servers[0].port);
}

enum redis_result redis_world_command(struct redis_world *w, bool repeat, redisReply **out,
	const char *name, const char *key, const char *value)
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

void redis_world_set(struct redis_world *w, const char *key, const char *value)
{
	redisReply *reply;
	if (redis_world_command(w, true, &reply, "SET", key, value) != REDIS_DONE)
		fail_msg("%s", w->err.text);
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
}

void redis_world_assert_value(struct redis_world *w, const char *key, const char *value)
{
	redisReply *reply;
	if (redis_world_command(w, true, &reply, "GET", key, NULL) != REDIS_DONE)
		fail_msg("%s", w->err.text);
	if (value)
		assert_string_equal(reply->str, value);
	else
		assert_int_equal(reply->type, REDIS_REPLY_NIL);
	freeReplyObject(reply);
}

void redis_world_assert_fails(struct redis_world *w, enum redis_result result, enum err_code code)
{
	redisReply *reply;
	assert_int_equal(redis_world_command(w, true, &reply, "GET", "k", NULL), result);
	assert_null(reply);
	if (w->err.code != code)
		fail_msg("%s", w->err.text);
}

void redis_world_accepted(redisReply *reply)
{
	assert_string_equal(reply->str, "OK");
	freeReplyObject(reply);
}

void redis_world_await_role(const struct redis_server *s, const char *role)
{
	int64_t deadline = clock_mono_ms() + REDIS_WORLD_LONG_MS;
	for (bool is = false; !is; clock_sleep_ms(20)) {
		redisReply *reply = redis_server_command(s, "INFO replication");
		is = strstr(reply->str, role) != NULL;
		freeReplyObject(reply);
		if (clock_mono_ms() > deadline)
			fail_msg("no %s", role);
	}
}

void redis_world_hear(void *arg, const char *message)
{
	struct redis_world_heard *h = arg;
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

void redis_world_await_heard(struct redis_world_heard *h, const int *counter, int n)
{
	int64_t deadline = clock_mono_ms() + REDIS_WORLD_LONG_MS;
	struct timespec until = {deadline / 1000, 0};
	pthread_mutex_lock(&h->mutex);
	while (*counter < n)
		assert_int_equal(
			pthread_cond_clockwait(&h->cond, &h->mutex, CLOCK_MONOTONIC, &until), 0);
	pthread_mutex_unlock(&h->mutex);
}
