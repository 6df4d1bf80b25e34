/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to a real Redis with TLS, and who may make one. */
#include "backends/redis.h"
#include "core/base/err.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/redis_world.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ACL                                               \
	"user default off\n"                              \
	"user app on >s3cr@t:p/w ~* &* +@all -flushall\n" \
	"user reader on >other ~* +get +select\n"

static void tls_and_users(void **state)
{
	struct redis_world *w = *state;
	redisReply *reply;
	w->certs = scratch_make();
	redis_server_certificate(w->certs);
	struct redis_server *s = &w->servers[0];
	redis_server_start_tls(s, w->certs, "tls-auth-clients yes\n" ACL);
	for (int i = 0; i < 2; i++) {
		redis_world_open(w,
			"rediss://app:s3cr%%40t%%3Ap%%2Fw@%s:%u/3?ca_file=%s/ca.crt"
			"&cert_file=%s/server.crt&key_file=%s/server.key",
			i ? "localhost" : "127.0.0.1", s->tls_port, w->certs, w->certs, w->certs);
		redis_world_set(w, "a", "1");
		redis_world_assert_value(w, "a", "1");
		assert_int_equal(redis_world_command(w, false, &reply, "FLUSHALL", NULL, NULL),
			REDIS_REFUSED);
		assert_int_equal(w->err.code, ERR_DENIED);
	}
	redis_server_stop(s);
	redis_server_start_again(s);
	redis_world_assert_value(w, "a", NULL);
}

static void tls_trusts_nobody_else(void **state)
{
	struct redis_world *w = *state;
	w->certs = scratch_make();
	redis_server_certificate(w->certs);
	struct redis_server *s = &w->servers[0];
	redis_server_start_tls(s, w->certs, "bind 127.0.0.1 127.0.0.2\ntls-auth-clients no\n" ACL);
	redis_world_open(
		w, "rediss://reader:other@127.0.0.1:%u?ca_file=%s/ca.crt", s->tls_port, w->certs);
	redis_world_assert_value(w, "a", NULL);
	/* Not of that name, not of that authority, no TLS at all. */
	redis_world_open(
		w, "rediss://reader:other@127.0.0.2:%u?ca_file=%s/ca.crt", s->tls_port, w->certs);
	redis_world_assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "its certificate is not accepted"));
	redis_world_open(w, "rediss://reader:other@127.0.0.1:%u", s->tls_port);
	redis_world_assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "its certificate is not accepted"));
	redis_world_open(w, "rediss://reader:other@127.0.0.1:%u?ca_file=%s/ca.crt&timeout=500ms",
		s->port, w->certs);
	redis_world_assert_fails(w, REDIS_DOWN, ERR_UNAVAILABLE);
	struct redis *none = redis_open("rediss://h?ca_file=/nowhere", &w->err);
	assert_null(none);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void wrong_user_is_denied_without_a_secret(void **state)
{
	static const char *const users[] = {"app:geheim@", "nobody:geheim@", ":geheim@", ""};
	struct redis_world *w = *state;
	struct redis_server *s = &w->servers[0];
	redis_server_start(s, ACL);
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		redis_world_open(w, "redis://%s127.0.0.1:%u", users[i], s->port);
		redis_world_assert_fails(w, REDIS_DOWN, ERR_DENIED);
		assert_null(strstr(w->err.text, "geheim"));
		redis_world_assert_fails(w, REDIS_DOWN, ERR_DENIED);
	}
	redis_world_open(w, "redis://reader:other@127.0.0.1:%u/99", s->port);
	redis_world_assert_fails(w, REDIS_DOWN, ERR_INVALID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, redis_world_setup, redis_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tls_and_users),
		TEST(tls_trusts_nobody_else),
		TEST(wrong_user_is_denied_without_a_secret),
	};
	return cmocka_run_group_tests_name("redis: TLS", tests, NULL, NULL);
}
