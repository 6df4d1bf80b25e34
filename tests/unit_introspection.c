/* SPDX-License-Identifier: Apache-2.0 */
/* Opaque tokens: what an introspection end point is asked, and how long it is remembered. */
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "tests/lib/auth_world.h"
#include "tests/lib/http_server.h"
#include "tests/lib/state_kv.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_opaque_token_is_asked_about_once(void **state)
{
	struct auth_world *w = *state;
	char url[128];
	int64_t end = 0;
	auth_world_introspect(w, url);
	ISSUER(w, .introspection = "{\"active\":true,\"client_id\":\"c\",\"scope\":\"a\","
				   "\"username\":\"unkept\"}");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(auth_world_check(w, "opaque+token/1~="), AUTH_OK);
		auth_world_make(w);
	}
	assert_int_equal(http_server_count(w->server), 1);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(q->method, "POST");
	assert_string_equal(
		buf_str(&q->body), "token=opaque%2Btoken%2F1~%3D&token_type_hint=access_token");
	assert_string_equal(
		net_headers_get(&q->headers, "Content-Type"), "application/x-www-form-urlencoded");
	/* base64 of "dex%20upload:s%3Ae%2Bc%25t" */
	assert_string_equal(net_headers_get(&q->headers, "Authorization"),
		"Basic ZGV4JTIwdXBsb2FkOnMlM0FlJTJCYyUyNXQ=");
	/* Neither the token nor what nobody needs is kept; a minute at most. */
	assert_false(state_kv_has(w->state, "opaque"));
	assert_false(state_kv_has(w->state, "unkept"));
	assert_int_equal(state_kv_count(w->state, "oauth/token/", &end), 1);
	assert_true(end <= clock_now() + 60 * CLOCK_US_PER_S);
	assert_true(end > clock_now() + 30 * CLOCK_US_PER_S);
	/* Another end point is another judge. */
	ISSUER(w, .introspection = "{\"active\":false}");
	snprintf(url, sizeof url, "%s/introspect?other", http_server_url(w->server));
	auth_world_make(w);
	assert_int_equal(auth_world_check(w, "opaque+token/1~="), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 2);
}

static void a_token_may_be_8_kib_long(void **state)
{
	struct auth_world *w = *state;
	char url[128];
	auth_world_introspect(w, url);
	ISSUER(w, .introspection = "{\"active\":true,\"sub\":\"s\"}");
	char *token = mem_alloc(AUTH_TOKEN_MAX + 2);
	memset(token, '+', AUTH_TOKEN_MAX + 1);
	token[AUTH_TOKEN_MAX + 1] = '\0';
	assert_int_equal(auth_world_check(w, token), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 0);
	token[AUTH_TOKEN_MAX] = '\0';
	assert_int_equal(auth_world_check(w, token), AUTH_OK);
	free(token);
}

static void a_bad_token_is_remembered_for_seconds(void **state)
{
	struct auth_world *w = *state;
	char url[128];
	int64_t end = 0;
	auth_world_introspect(w, url);
	ISSUER(w, .introspection = "{\"active\":false}");
	assert_int_equal(auth_world_check(w, "opaque1"), AUTH_INVALID);
	assert_int_equal(auth_world_check(w, "opaque1"), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 1);
	assert_int_equal(state_kv_count(w->state, "oauth/token/", &end), 1);
	assert_true(end <= clock_now() + 5 * CLOCK_US_PER_S);
	assert_int_equal(auth_world_check(w, "opaque2"), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 2);
}

static void an_answer_ends_with_its_token(void **state)
{
	struct auth_world *w = *state;
	char url[128], text[128];
	int64_t end = 0, soon = clock_now() / CLOCK_US_PER_S + 20;
	auth_world_introspect(w, url);
	snprintf(text, sizeof text, "{\"active\":true,\"sub\":\"s\",\"exp\":%" PRId64 "}", soon);
	ISSUER(w, .introspection = text);
	assert_int_equal(auth_world_check(w, "opaque1"), AUTH_OK);
	assert_int_equal(state_kv_count(w->state, "oauth/token/", &end), 1);
	assert_int_equal(end, soon * CLOCK_US_PER_S);
}

static void answers_of_introspection(void **state)
{
	struct auth_world *w = *state;
	char url[128], own[128];
	auth_world_introspect(w, url);
	snprintf(own, sizeof own, "{\"active\":true,\"sub\":\"s\",\"iss\":\"%s\"}", w->issuer);
	const struct {
		int status;
		const char *body;
		enum auth_result result;
	} rows[] = {
		{200, own, AUTH_OK},
		{200, "{\"active\":true,\"sub\":\"s\"}", AUTH_OK},
		{200, "{\"active\":true,\"sub\":\"s\",\"iss\":\"https://other\"}", AUTH_INVALID},
		{200, "{\"active\":true,\"sub\":\"s\",\"exp\":1}", AUTH_INVALID},
		{200, "{\"active\":true,\"sub\":\"s\",\"nbf\":9e9}", AUTH_INVALID},
		{200, "{\"active\":true}", AUTH_INVALID},
		{200, "{\"active\":false,\"sub\":\"s\"}", AUTH_INVALID},
		{200, "{\"active\":\"true\",\"sub\":\"s\"}", AUTH_UNAVAILABLE},
		{200, "{\"active\":1,\"sub\":\"s\"}", AUTH_UNAVAILABLE},
		{200, "{\"active\":false,\"active\":true}", AUTH_UNAVAILABLE},
		{200, "{}", AUTH_UNAVAILABLE},
		{200, "[true]", AUTH_UNAVAILABLE},
		{200, "", AUTH_UNAVAILABLE},
		{200, "<html>", AUTH_UNAVAILABLE},
		{201, own, AUTH_UNAVAILABLE},
		{302, own, AUTH_UNAVAILABLE},
		{400, own, AUTH_UNAVAILABLE},
		{401, "{\"error\":\"invalid_client\"}", AUTH_UNAVAILABLE},
		{500, own, AUTH_UNAVAILABLE},
		{503, "", AUTH_UNAVAILABLE},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ISSUER(w, .introspection = rows[i].body, .introspection_status = rows[i].status);
		state_kv_forget(w->state, "oauth/");
		enum auth_result r = auth_world_check(w, "opaque1");
		if (r != rows[i].result)
			fail_msg("%d %s: %d %s", rows[i].status, rows[i].body, r, w->err.text);
		/* No answer is no answer to remember. */
		assert_int_equal(state_kv_count(w->state, "oauth/token/", NULL),
			r == AUTH_UNAVAILABLE ? 0 : 1);
	}
	assert_int_equal(auth_world_asked(w, "/moved"), 0);
	state_kv_forget(w->state, "oauth/");
	state_kv_away(w->state, true);
	size_t before = http_server_count(w->server);
	assert_int_equal(auth_world_check(w, "opaque1"), AUTH_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), before);
}

static void without_an_issuer_every_token_is_asked_about(void **state)
{
	struct auth_world *w = *state;
	char url[128];
	char *token = auth_world_token(w, auth_world_key_a, "");
	w->options.issuer = "";
	auth_world_introspect(w, url);
	ISSUER(w, .introspection = "{\"active\":true,\"sub\":\"s\"}");
	assert_int_equal(auth_world_check(w, token), AUTH_OK);
	assert_int_equal(auth_world_asked(w, "/introspect"), 1);
	free(token);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, auth_world_setup, auth_world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_opaque_token_is_asked_about_once),
		TEST(a_token_may_be_8_kib_long),
		TEST(a_bad_token_is_remembered_for_seconds),
		TEST(an_answer_ends_with_its_token),
		TEST(answers_of_introspection),
		TEST(without_an_issuer_every_token_is_asked_about),
	};

	if (auth_world_begin() < 0)
		return 1;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	auth_world_end();
	return rc;
}
