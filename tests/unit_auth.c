/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens against an issuer: keys, their cache, who may fetch them when. */
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "tests/lib/auth_world.h"
#include "tests/lib/http_server.h"
#include "tests/lib/jose.h"
#include "tests/lib/state_kv.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_good_token_names_its_subject(void **state)
{
	struct auth_world *w = *state;
	struct auth_identity who;
	char *token = auth_world_token(w, auth_world_key_a, ",\"scope\":\"x root\"");
	struct buf header;
	buf_init(&header, 4096);
	(void)buf_printf(&header, "  bEaReR \t %s ", token);
	assert_int_equal(
		auth_check(w->auth, header.data, AUTH_NEED_CHANGE, &who, &w->err), AUTH_OK);
	assert_string_equal(who.subject, "me");
	assert_false(who.admin);
	auth_identity_free(&who);
	assert_null(who.subject);
	w->options.admin_scope = "root";
	auth_world_make(w);
	assert_int_equal(
		auth_check(w->auth, header.data, AUTH_NEED_CHANGE, &who, &w->err), AUTH_OK);
	assert_true(who.admin);
	auth_identity_free(&who);
	assert_int_equal(auth_world_asked(w, "/keys"), 1);
	buf_free(&header);
	free(token);
}

static void headers_without_a_token(void **state)
{
	static const struct {
		const char *header;
		enum auth_result result;
	} rows[] = {
		{NULL, AUTH_MISSING},
		{"", AUTH_MISSING},
		{"Bearer", AUTH_MISSING},
		{"Bearer ", AUTH_MISSING},
		{"Bearer \t ", AUTH_MISSING},
		{"Basic dXNlcjpwYXNz", AUTH_MISSING},
		{"Bearertoken", AUTH_MISSING},
		{"token", AUTH_MISSING},
		{"Bearer: x", AUTH_MISSING},
		{"Bearer x", AUTH_INVALID},
		{"Bearer a b", AUTH_INVALID},
		{"Bearer a,b", AUTH_INVALID},
		{"Bearer a=b", AUTH_INVALID},
		{"Bearer ==", AUTH_INVALID},
		{"Bearer \"x\"", AUTH_INVALID},
		{"Bearer \xc3\xa4", AUTH_INVALID},
		{"Bearer ..", AUTH_INVALID},
		{"Bearer a.b.c", AUTH_INVALID},
		{"Bearer a.b.c.d.e", AUTH_INVALID},
	};
	struct auth_world *w = *state;
	struct auth_identity who;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (auth_check(w->auth, rows[i].header, AUTH_NEED_READ, &who, &w->err) !=
			rows[i].result)
			fail_msg("%s", rows[i].header);
		assert_null(who.subject);
	}
	char *big = mem_alloc(AUTH_TOKEN_MAX + 2);
	memset(big, 'x', AUTH_TOKEN_MAX + 1);
	big[AUTH_TOKEN_MAX + 1] = '\0';
	assert_int_equal(auth_world_check(w, big), AUTH_INVALID);
	free(big);
	assert_int_equal(http_server_count(w->server), 0);
	assert_int_equal(state_kv_writes(w->state), 0);
}

static void each_need_has_its_scopes(void **state)
{
	static const struct {
		const char *claims;
		enum auth_result change, read, route;
	} rows[] = {
		{",\"scope\":\"up load\"", AUTH_OK, AUTH_SCOPE, AUTH_SCOPE},
		{",\"scope\":\"up\"", AUTH_SCOPE, AUTH_SCOPE, AUTH_SCOPE},
		{",\"scope\":\"see\"", AUTH_SCOPE, AUTH_OK, AUTH_SCOPE},
		{",\"scp\":[\"send\",\"see\"]", AUTH_SCOPE, AUTH_OK, AUTH_OK},
		{",\"scp\":\"send see up load\"", AUTH_OK, AUTH_OK, AUTH_OK},
		{"", AUTH_SCOPE, AUTH_SCOPE, AUTH_SCOPE},
	};
	struct auth_world *w = *state;
	w->options.required_scopes = "up load";
	w->options.read_scopes = "see";
	w->options.route_scopes = "send";
	auth_world_make(w);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *token = auth_world_token(w, auth_world_key_a, rows[i].claims);
		assert_int_equal(auth_world_check_for(w, token, AUTH_NEED_CHANGE), rows[i].change);
		assert_int_equal(auth_world_check_for(w, token, AUTH_NEED_READ), rows[i].read);
		assert_int_equal(auth_world_check_for(w, token, AUTH_NEED_ROUTE), rows[i].route);
		free(token);
	}
	w->options.read_scopes = w->options.route_scopes = "";
	auth_world_make(w);
	char *token = auth_world_token(w, auth_world_key_a, ",\"scope\":\"load up\"");
	assert_int_equal(auth_world_check_for(w, token, AUTH_NEED_READ), AUTH_OK);
	assert_int_equal(auth_world_check_for(w, token, AUTH_NEED_ROUTE), AUTH_OK);
	free(token);
}

static void tokens_that_are_not_for_us_make_nobody_fetch(void **state)
{
	static const char *const claims[] = {
		"{\"iss\":\"https://other\",\"sub\":\"me\",\"exp\":9e9}",
		"{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":1}", "{\"iss\":\"%s\",\"sub\":\"me\"}",
		"{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":9e9,\"nbf\":9e9}"};
	struct auth_world *w = *state;
	for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
		struct buf text;
		buf_init(&text, 4096);
		const char *mark = strstr(claims[i], "%s");
		(void)buf_add(
			&text, claims[i], mark ? (size_t)(mark - claims[i]) : strlen(claims[i]));
		if (mark)
			(void)buf_printf(&text, "%s%s", w->issuer, mark + 2);
		char *token = jose_usual(auth_world_key_a, "ES256", text.data);
		assert_int_equal(auth_world_check(w, token), AUTH_INVALID);
		free(token);
		buf_free(&text);
	}
	assert_int_equal(http_server_count(w->server), 0);
	/* A good one whose subject is nobody */
	char text[256];
	snprintf(text, sizeof text, "{\"iss\":\"%s\",\"exp\":9e9}", w->issuer);
	char *token = jose_usual(auth_world_key_a, "ES256", text);
	assert_int_equal(auth_world_check(w, token), AUTH_INVALID);
	free(token);
}

static void the_audience_counts_where_one_is_set(void **state)
{
	struct auth_world *w = *state;
	w->options.audience = "dex";
	auth_world_make(w);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_INVALID);
	char *token = auth_world_token(w, auth_world_key_a, ",\"aud\":[\"x\",\"dex\"]");
	assert_int_equal(auth_world_check(w, token), AUTH_OK);
	free(token);
}

/* --- keys --- */

static void unknown_kids_are_asked_for_once_a_minute(void **state)
{
	struct auth_world *w = *state;
	char claims[256], header[128];
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(state_kv_forget(w->state, "oauth/fetch/"), 1);
	size_t writes = state_kv_writes(w->state);
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":9e9}", w->issuer);
	for (int i = 0; i < 1000; i++) {
		snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"kid %d\"}", i);
		char *token = jose_token(auth_world_key_b, "ES256", header, claims);
		if (auth_world_check(w, token) != AUTH_INVALID)
			fail_msg("%d: %s", i, w->err.text);
		free(token);
	}
	assert_int_equal(auth_world_asked(w, "/keys"), 2);
	/* The right to fetch, the keys, the outcome; the others cost no transaction. */
	assert_int_equal(state_kv_writes(w->state), writes + 3);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
}

static void cached_keys_serve_while_the_issuer_is_down(void **state)
{
	struct auth_world *w = *state;
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	ISSUER(w, .status = 503);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	/* Another process finds them in the state store. */
	auth_world_make(w);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(auth_world_asked(w, "/keys"), 1);
	/* Who signed with a key that cannot be had now is told to try again, not that he lies. */
	state_kv_forget(w->state, "oauth/fetch/");
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_UNAVAILABLE);
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_UNAVAILABLE);
	assert_int_equal(auth_world_asked(w, "/.well-known/openid-configuration"), 2);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
}

static void keys_that_are_too_old_are_not_used(void **state)
{
	struct auth_world *w = *state;
	struct jwks_times times = auth_world_calm;
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	ISSUER(w, .status = 503);
	times.keep = 0;
	w->options.times = &times;
	auth_world_make(w);
	clock_sleep_ms(1); /* older than nothing */
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_UNAVAILABLE);
}

static void without_keys_the_issuer_is_asked_again_soon(void **state)
{
	struct auth_world *w = *state;
	struct jwks_times times = auth_world_calm;
	int64_t end = 0;
	times.retry = 5000;
	w->options.times = &times;
	auth_world_make(w);
	ISSUER(w, .status = 500);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_UNAVAILABLE);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), 1);
	assert_int_equal(state_kv_count(w->state, "oauth/fetch/", &end), 1);
	assert_true(end <= clock_now() + 5 * CLOCK_US_PER_S);
	ISSUER(w, KEY_A);
	state_kv_forget(w->state, "oauth/fetch/");
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(state_kv_count(w->state, "oauth/fetch/", &end), 1);
	assert_true(end > clock_now() + 60 * CLOCK_US_PER_S);
}

static void without_the_state_store_nothing_is_fetched(void **state)
{
	struct auth_world *w = *state;
	state_kv_away(w->state, true);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), 0);
	state_kv_away(w->state, false);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	state_kv_away(w->state, true);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_UNAVAILABLE);
	assert_int_equal(auth_world_asked(w, "/keys"), 1);
}

static void rotated_keys_are_found(void **state)
{
	struct auth_world *w = *state;
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	ISSUER(w, .keys = {auth_world_key_a, auth_world_key_b}, .nkeys = 2);
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_INVALID);
	state_kv_forget(w->state, "oauth/fetch/"); /* a minute later */
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_OK);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	ISSUER(w, .keys = {auth_world_key_b}, .nkeys = 1);
	state_kv_forget(w->state, "oauth/");
	auth_world_make(w);
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_OK);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_INVALID);
}

static void a_token_seen_before_is_good_with_the_same_keys_only(void **state)
{
	struct auth_world *w = *state;
	char *token = auth_world_token(w, auth_world_key_a, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(auth_world_check(w, token), AUTH_OK);
	/* Each change of it is another token, in the signature as in the claims. */
	size_t len = strlen(token);
	for (size_t i = 2; i < len; i += 7) {
		char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		if (was != '.' && auth_world_check(w, token) == AUTH_OK)
			fail_msg("byte %zu was changed", i);
		token[i] = was;
	}
	assert_int_equal(auth_world_check(w, token), AUTH_OK);
	ISSUER(w, .keys = {auth_world_key_b}, .nkeys = 1);
	state_kv_forget(w->state, "oauth/");
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_OK);
	assert_int_equal(auth_world_check(w, token), AUTH_INVALID);
	free(token);
}

static void keys_are_renewed_before_they_are_too_old(void **state)
{
	struct auth_world *w = *state;
	struct jwks_times times = auth_world_calm;
	times.refresh = 0;
	times.retry = 0;
	w->options.times = &times;
	auth_world_make(w);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(auth_world_asked(w, "/keys"), 1);
	/* A renewal that fails harms nobody, and is not repeated at once. */
	ISSUER(w, .status = 503);
	state_kv_forget(w->state, "oauth/fetch/");
	for (int i = 0; i < 5; i++)
		assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(auth_world_asked(w, "/.well-known/openid-configuration"), 2);
	/* One that goes well brings what is new; a forged token does not cause any. */
	ISSUER(w, .keys = {auth_world_key_b}, .nkeys = 1);
	state_kv_forget(w->state, "oauth/fetch/");
	char *token = auth_world_token(w, auth_world_key_a, "");
	char *sig = strrchr(token, '.') + 1;
	sig[0] = sig[0] == 'A' ? 'B' : 'A';
	assert_int_equal(auth_world_check(w, token), AUTH_INVALID);
	free(token);
	assert_int_equal(auth_world_asked(w, "/keys"), 1);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	assert_int_equal(auth_world_asked(w, "/keys"), 2);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_INVALID);
	assert_int_equal(auth_world_check_key(w, auth_world_key_b), AUTH_OK);
}

static void *check_once(void *arg)
{
	struct auth_world *w = arg;
	struct auth_identity who;
	struct err err;
	struct buf header;
	char *token = auth_world_token(w, auth_world_key_a, "");
	buf_init(&header, 4096);
	(void)buf_printf(&header, "Bearer %s", token);
	/* Each its own, as processes have. */
	struct auth *auth = auth_new(&w->options, w->state);
	bool good = auth_check(auth, header.data, AUTH_NEED_CHANGE, &who, &err) == AUTH_OK;
	auth_identity_free(&who);
	auth_free(auth);
	buf_free(&header);
	free(token);
	return good ? w : NULL;
}

static void processes_that_start_together_fetch_once(void **state)
{
	struct auth_world *w = *state;
	pthread_t threads[12];
	const size_t n = sizeof threads / sizeof threads[0];
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, check_once, w), 0);
	for (size_t i = 0; i < n; i++) {
		void *good = NULL;
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_non_null(good);
	}
	assert_int_equal(auth_world_asked(w, "/keys"), 1);
}

static void answers_that_are_none_of_the_issuer(void **state)
{
	struct auth_world *w = *state;
	char other[256], elsewhere[256], deep[600];
	snprintf(other, sizeof other, "{\"issuer\":\"%s/\",\"jwks_uri\":\"%s/keys\"}", w->issuer,
		w->issuer);
	snprintf(elsewhere, sizeof elsewhere,
		"{\"issuer\":\"%s\",\"jwks_uri\":\"http://localhost:%u/keys\"}", w->issuer,
		http_server_port(w->server));
	memset(deep, '[', sizeof deep - 1);
	deep[sizeof deep - 1] = '\0';
	const struct auth_world_issuer rows[] = {
		{KEY_A, .status = 404},
		{KEY_A, .status = 500},
		{KEY_A, .status = 302},
		{KEY_A, .keys_status = 301},
		{KEY_A, .keys_status = 404},
		{KEY_A, .keys_status = 204},
		{KEY_A, .discovery = ""},
		{KEY_A, .discovery = "{}"},
		{KEY_A, .discovery = "[]"},
		{KEY_A, .discovery = "<html>"},
		{KEY_A, .discovery = deep},
		{KEY_A, .discovery = other},
		{KEY_A, .discovery = elsewhere},
		{.key_set = ""},
		{.key_set = "{}"},
		{.key_set = "{\"keys\":[]}"},
		{.key_set = "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"},
		{.key_set = "{\"keys\":[]},\"fetched_at\":1"},
		{.key_set = deep},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		auth_world_set(w, &rows[i]);
		state_kv_forget(w->state, "oauth/");
		auth_world_make(w);
		if (auth_world_check_key(w, auth_world_key_a) != AUTH_UNAVAILABLE)
			fail_msg("%zu", i);
		assert_int_equal(state_kv_count(w->state, "oauth/keys/", NULL), 0);
	}
	assert_int_equal(auth_world_asked(w, "/moved"), 0);
	ISSUER(w, KEY_A);
	state_kv_forget(w->state, "oauth/");
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
}

static void keys_of_another_issuer_do_not_hold(void **state)
{
	struct auth_world *w = *state;
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	char other[80];
	snprintf(other, sizeof other, "%s/x", w->issuer);
	w->options.issuer = other;
	auth_world_make(w);
	char claims[256];
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":9e9}", other);
	char *token = jose_usual(auth_world_key_a, "ES256", claims);
	assert_int_equal(auth_world_check(w, token), AUTH_UNAVAILABLE);
	assert_int_equal(auth_world_asked(w, "/x/.well-known/openid-configuration"), 1);
	free(token);
}

/* --- health --- */

static void the_probe_tells_whether_the_issuer_answers(void **state)
{
	struct auth_world *w = *state;
	char url[128];
	assert_int_equal(auth_probe(w->auth, &w->err), 0);
	assert_int_equal(auth_probe(w->auth, &w->err), 0);
	assert_int_equal(http_server_count(w->server), 1);
	assert_int_equal(auth_world_check_key(w, auth_world_key_a), AUTH_OK);
	ISSUER(w, .status = 500);
	state_kv_forget(w->state, "oauth/probe");
	assert_int_equal(auth_probe(w->auth, &w->err), -1);
	assert_non_null(strstr(w->err.text, "keys are 0 s old"));
	assert_int_equal(auth_probe(w->auth, &w->err), -1);
	auth_world_introspect(w, url);
	ISSUER(w, KEY_A, .introspection = "{\"active\":false}");
	state_kv_forget(w->state, "oauth/probe");
	assert_int_equal(auth_probe(w->auth, &w->err), 0);
	ISSUER(w, KEY_A, .introspection = "", .introspection_status = 401);
	state_kv_forget(w->state, "oauth/probe");
	assert_int_equal(auth_probe(w->auth, &w->err), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, auth_world_setup, auth_world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_good_token_names_its_subject),
		TEST(headers_without_a_token),
		TEST(each_need_has_its_scopes),
		TEST(tokens_that_are_not_for_us_make_nobody_fetch),
		TEST(the_audience_counts_where_one_is_set),
		TEST(unknown_kids_are_asked_for_once_a_minute),
		TEST(cached_keys_serve_while_the_issuer_is_down),
		TEST(keys_that_are_too_old_are_not_used),
		TEST(without_keys_the_issuer_is_asked_again_soon),
		TEST(without_the_state_store_nothing_is_fetched),
		TEST(rotated_keys_are_found),
		TEST(a_token_seen_before_is_good_with_the_same_keys_only),
		TEST(keys_are_renewed_before_they_are_too_old),
		TEST(processes_that_start_together_fetch_once),
		TEST(answers_that_are_none_of_the_issuer),
		TEST(keys_of_another_issuer_do_not_hold),
		TEST(the_probe_tells_whether_the_issuer_answers),
	};

	if (auth_world_begin() < 0)
		return 1;
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	auth_world_end();
	return rc;
}
