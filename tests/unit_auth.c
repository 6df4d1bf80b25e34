/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens against an issuer in this program: keys, their cache, who may fetch them when. */
#include "core/auth/auth.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "tests/lib/http_server.h"
#include "tests/lib/jose.h"
#include "tests/lib/state_kv.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)

/* Nothing ends by itself within a test. */
static const struct jwks_times calm = {
	.refresh = HOUR_MS,
	.keep = 24 * HOUR_MS,
	.pause = HOUR_MS,
	.retry = HOUR_MS,
	.look = 0,
	.fetch = 30000,
};

static struct jose_key *key_a, *key_b; /* made once: P-256 */

struct world {
	struct http_server *server;
	struct state *state;
	struct auth *auth;
	struct auth_options options;
	struct err err;
	/* what the issuer says; changed with set_issuer */
	char issuer[64];
	struct issuer {
		const char *discovery; /* instead of the right one; %s is its own URL */
		int status;            /* of both documents; 0: 200 */
		int keys_status;       /* of the second alone */
		struct jose_key *keys[2];
		size_t nkeys;
		const char *key_set; /* instead of the keys */
		const char *introspection;
		int introspection_status;
	} says;
};

static void answer_keys(struct world *w, struct http_server_answer *a)
{
	if (w->says.keys_status)
		a->status = w->says.keys_status;
	if (w->says.key_set)
		(void)buf_add_str(&a->body, w->says.key_set);
	else
		jose_key_set(w->says.keys, w->says.nkeys, &a->body);
}

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;
	if (w->says.status)
		a->status = w->says.status;
	if (a->status / 100 == 3)
		net_headers_add(&a->headers, "Location", "/moved");
	if (str_eq(q->path, "/.well-known/openid-configuration")) {
		if (!w->says.discovery)
			(void)buf_printf(&a->body, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}",
				w->issuer, http_server_url(w->server));
		else
			(void)buf_add_str(&a->body, w->says.discovery);
	} else if (str_eq(q->path, "/keys")) {
		answer_keys(w, a);
	} else if (str_eq(q->path, "/introspect")) {
		if (w->says.introspection_status)
			a->status = w->says.introspection_status;
		(void)buf_add_str(&a->body, w->says.introspection);
	} else {
		a->status = 404;
	}
}

static void set_issuer(struct world *w, const struct issuer *says)
{
	http_server_set(w->server, NULL, NULL);
	w->says = *says;
	http_server_set(w->server, answer, w);
}

#define ISSUER(w, ...) set_issuer((w), &(const struct issuer){__VA_ARGS__})
#define KEY_A .keys = {key_a}, .nkeys = 1

static void make_auth(struct world *w)
{
	auth_free(w->auth);
	w->auth = auth_new(&w->options, w->state);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	w->server = http_server_start(NULL, NULL);
	w->state = state_kv_new();
	(void)str_copy(w->issuer, sizeof w->issuer, http_server_url(w->server));
	w->options = (struct auth_options){.issuer = w->issuer, .times = &calm};
	ISSUER(w, KEY_A);
	make_auth(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	auth_free(w->auth);
	state_close(w->state);
	http_server_stop(w->server);
	free(w);
	return 0;
}

static size_t asked(struct world *w, const char *path)
{
	size_t n = 0;
	for (size_t i = 0; i < http_server_count(w->server); i++)
		n += str_eq(http_server_request(w->server, i)->path, path);
	return n;
}

static char *token_of(struct world *w, const struct jose_key *k, const char *more)
{
	char claims[512];
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":%" PRId64 "%s}",
		w->issuer, clock_now() / CLOCK_US_PER_S + 600, more);
	return jose_usual(k, "ES256", claims);
}

static enum auth_result check_for(struct world *w, const char *token, enum auth_need need)
{
	struct auth_identity who;
	struct buf header;
	buf_init(&header, 1 << 16);
	(void)buf_printf(&header, "Bearer %s", token);
	err_clear(&w->err);
	enum auth_result r = auth_check(w->auth, header.data, need, &who, &w->err);
	if (r != AUTH_OK && (w->err.code == ERR_NONE || strstr(w->err.text, token)))
		fail_msg("\"%s\"", w->err.text);
	if ((r == AUTH_OK) != (who.subject != NULL))
		fail_msg("%d: %s", r, who.subject);
	auth_identity_free(&who);
	buf_free(&header);
	return r;
}

static enum auth_result check(struct world *w, const char *token)
{
	return check_for(w, token, AUTH_NEED_CHANGE);
}

static enum auth_result check_key(struct world *w, const struct jose_key *k)
{
	char *token = token_of(w, k, "");
	enum auth_result r = check(w, token);
	free(token);
	return r;
}

static void a_good_token_names_its_subject(void **state)
{
	struct world *w = *state;
	struct auth_identity who;
	char *token = token_of(w, key_a, ",\"scope\":\"x root\"");
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
	make_auth(w);
	assert_int_equal(
		auth_check(w->auth, header.data, AUTH_NEED_CHANGE, &who, &w->err), AUTH_OK);
	assert_true(who.admin);
	auth_identity_free(&who);
	assert_int_equal(asked(w, "/keys"), 1);
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
	struct world *w = *state;
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
	assert_int_equal(check(w, big), AUTH_INVALID);
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
	struct world *w = *state;
	w->options.required_scopes = "up load";
	w->options.read_scopes = "see";
	w->options.route_scopes = "send";
	make_auth(w);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *token = token_of(w, key_a, rows[i].claims);
		assert_int_equal(check_for(w, token, AUTH_NEED_CHANGE), rows[i].change);
		assert_int_equal(check_for(w, token, AUTH_NEED_READ), rows[i].read);
		assert_int_equal(check_for(w, token, AUTH_NEED_ROUTE), rows[i].route);
		free(token);
	}
	w->options.read_scopes = w->options.route_scopes = "";
	make_auth(w);
	char *token = token_of(w, key_a, ",\"scope\":\"load up\"");
	assert_int_equal(check_for(w, token, AUTH_NEED_READ), AUTH_OK);
	assert_int_equal(check_for(w, token, AUTH_NEED_ROUTE), AUTH_OK);
	free(token);
}

static void tokens_that_are_not_for_us_make_nobody_fetch(void **state)
{
	static const char *const claims[] = {
		"{\"iss\":\"https://other\",\"sub\":\"me\",\"exp\":9e9}",
		"{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":1}", "{\"iss\":\"%s\",\"sub\":\"me\"}",
		"{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":9e9,\"nbf\":9e9}"};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
		struct buf text;
		buf_init(&text, 4096);
		const char *mark = strstr(claims[i], "%s");
		(void)buf_add(
			&text, claims[i], mark ? (size_t)(mark - claims[i]) : strlen(claims[i]));
		if (mark)
			(void)buf_printf(&text, "%s%s", w->issuer, mark + 2);
		char *token = jose_usual(key_a, "ES256", text.data);
		assert_int_equal(check(w, token), AUTH_INVALID);
		free(token);
		buf_free(&text);
	}
	assert_int_equal(http_server_count(w->server), 0);
	/* A good one whose subject is nobody */
	char text[256];
	snprintf(text, sizeof text, "{\"iss\":\"%s\",\"exp\":9e9}", w->issuer);
	char *token = jose_usual(key_a, "ES256", text);
	assert_int_equal(check(w, token), AUTH_INVALID);
	free(token);
}

static void the_audience_counts_where_one_is_set(void **state)
{
	struct world *w = *state;
	w->options.audience = "dex";
	make_auth(w);
	assert_int_equal(check_key(w, key_a), AUTH_INVALID);
	char *token = token_of(w, key_a, ",\"aud\":[\"x\",\"dex\"]");
	assert_int_equal(check(w, token), AUTH_OK);
	free(token);
}

/* --- keys --- */

static void unknown_kids_are_asked_for_once_a_minute(void **state)
{
	struct world *w = *state;
	char claims[256], header[128];
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(state_kv_forget(w->state, "oauth/fetch/"), 1);
	size_t writes = state_kv_writes(w->state);
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":9e9}", w->issuer);
	for (int i = 0; i < 1000; i++) {
		snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"kid %d\"}", i);
		char *token = jose_token(key_b, "ES256", header, claims);
		if (check(w, token) != AUTH_INVALID)
			fail_msg("%d: %s", i, w->err.text);
		free(token);
	}
	assert_int_equal(asked(w, "/keys"), 2);
	/* The right to fetch, the keys, the outcome; the others cost no transaction. */
	assert_int_equal(state_kv_writes(w->state), writes + 3);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
}

static void cached_keys_serve_while_the_issuer_is_down(void **state)
{
	struct world *w = *state;
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	ISSUER(w, .status = 503);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	/* Another process finds them in the state store. */
	make_auth(w);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(asked(w, "/keys"), 1);
	/* Who signed with a key that cannot be had now is told to try again, not that he lies. */
	state_kv_forget(w->state, "oauth/fetch/");
	assert_int_equal(check_key(w, key_b), AUTH_UNAVAILABLE);
	assert_int_equal(check_key(w, key_b), AUTH_UNAVAILABLE);
	assert_int_equal(asked(w, "/.well-known/openid-configuration"), 2);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
}

static void keys_that_are_too_old_are_not_used(void **state)
{
	struct world *w = *state;
	struct jwks_times times = calm;
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	ISSUER(w, .status = 503);
	times.keep = 0;
	w->options.times = &times;
	make_auth(w);
	clock_sleep_ms(1); /* older than nothing */
	assert_int_equal(check_key(w, key_a), AUTH_UNAVAILABLE);
}

static void without_keys_the_issuer_is_asked_again_soon(void **state)
{
	struct world *w = *state;
	struct jwks_times times = calm;
	int64_t end = 0;
	times.retry = 5000;
	w->options.times = &times;
	make_auth(w);
	ISSUER(w, .status = 500);
	assert_int_equal(check_key(w, key_a), AUTH_UNAVAILABLE);
	assert_int_equal(check_key(w, key_a), AUTH_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), 1);
	assert_int_equal(state_kv_count(w->state, "oauth/fetch/", &end), 1);
	assert_true(end <= clock_now() + 5 * CLOCK_US_PER_S);
	ISSUER(w, KEY_A);
	state_kv_forget(w->state, "oauth/fetch/");
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(state_kv_count(w->state, "oauth/fetch/", &end), 1);
	assert_true(end > clock_now() + 60 * CLOCK_US_PER_S);
}

static void without_the_state_store_nothing_is_fetched(void **state)
{
	struct world *w = *state;
	state_kv_away(w->state, true);
	assert_int_equal(check_key(w, key_a), AUTH_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), 0);
	state_kv_away(w->state, false);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	state_kv_away(w->state, true);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(check_key(w, key_b), AUTH_UNAVAILABLE);
	assert_int_equal(asked(w, "/keys"), 1);
}

static void rotated_keys_are_found(void **state)
{
	struct world *w = *state;
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	ISSUER(w, .keys = {key_a, key_b}, .nkeys = 2);
	assert_int_equal(check_key(w, key_b), AUTH_INVALID);
	state_kv_forget(w->state, "oauth/fetch/"); /* a minute later */
	assert_int_equal(check_key(w, key_b), AUTH_OK);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	ISSUER(w, .keys = {key_b}, .nkeys = 1);
	state_kv_forget(w->state, "oauth/");
	make_auth(w);
	assert_int_equal(check_key(w, key_b), AUTH_OK);
	assert_int_equal(check_key(w, key_a), AUTH_INVALID);
}

static void a_token_seen_before_is_good_with_the_same_keys_only(void **state)
{
	struct world *w = *state;
	char *token = token_of(w, key_a, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(check(w, token), AUTH_OK);
	/* Each change of it is another token, in the signature as in the claims. */
	size_t len = strlen(token);
	for (size_t i = 2; i < len; i += 7) {
		char was = token[i];
		token[i] = was == 'A' ? 'B' : 'A';
		if (was != '.' && check(w, token) == AUTH_OK)
			fail_msg("byte %zu was changed", i);
		token[i] = was;
	}
	assert_int_equal(check(w, token), AUTH_OK);
	ISSUER(w, .keys = {key_b}, .nkeys = 1);
	state_kv_forget(w->state, "oauth/");
	assert_int_equal(check_key(w, key_b), AUTH_OK);
	assert_int_equal(check(w, token), AUTH_INVALID);
	free(token);
}

static void keys_are_renewed_before_they_are_too_old(void **state)
{
	struct world *w = *state;
	struct jwks_times times = calm;
	times.refresh = 0;
	times.retry = 0;
	w->options.times = &times;
	make_auth(w);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(asked(w, "/keys"), 1);
	/* A renewal that fails harms nobody, and is not repeated at once. */
	ISSUER(w, .status = 503);
	state_kv_forget(w->state, "oauth/fetch/");
	for (int i = 0; i < 5; i++)
		assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(asked(w, "/.well-known/openid-configuration"), 2);
	/* One that goes well brings what is new; a forged token does not cause any. */
	ISSUER(w, .keys = {key_b}, .nkeys = 1);
	state_kv_forget(w->state, "oauth/fetch/");
	char *token = token_of(w, key_a, "");
	char *sig = strrchr(token, '.') + 1;
	sig[0] = sig[0] == 'A' ? 'B' : 'A';
	assert_int_equal(check(w, token), AUTH_INVALID);
	free(token);
	assert_int_equal(asked(w, "/keys"), 1);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	assert_int_equal(asked(w, "/keys"), 2);
	assert_int_equal(check_key(w, key_a), AUTH_INVALID);
	assert_int_equal(check_key(w, key_b), AUTH_OK);
}

static void *check_once(void *arg)
{
	struct world *w = arg;
	struct auth_identity who;
	struct err err;
	struct buf header;
	char *token = token_of(w, key_a, "");
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
	struct world *w = *state;
	pthread_t threads[12];
	const size_t n = sizeof threads / sizeof threads[0];
	for (size_t i = 0; i < n; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, check_once, w), 0);
	for (size_t i = 0; i < n; i++) {
		void *good = NULL;
		assert_int_equal(pthread_join(threads[i], &good), 0);
		assert_non_null(good);
	}
	assert_int_equal(asked(w, "/keys"), 1);
}

static void answers_that_are_none_of_the_issuer(void **state)
{
	struct world *w = *state;
	char other[256], elsewhere[256], deep[600];
	snprintf(other, sizeof other, "{\"issuer\":\"%s/\",\"jwks_uri\":\"%s/keys\"}", w->issuer,
		w->issuer);
	snprintf(elsewhere, sizeof elsewhere,
		"{\"issuer\":\"%s\",\"jwks_uri\":\"http://localhost:%u/keys\"}", w->issuer,
		http_server_port(w->server));
	memset(deep, '[', sizeof deep - 1);
	deep[sizeof deep - 1] = '\0';
	const struct issuer rows[] = {
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
		set_issuer(w, &rows[i]);
		state_kv_forget(w->state, "oauth/");
		make_auth(w);
		if (check_key(w, key_a) != AUTH_UNAVAILABLE)
			fail_msg("%zu", i);
		assert_int_equal(state_kv_count(w->state, "oauth/keys/", NULL), 0);
	}
	assert_int_equal(asked(w, "/moved"), 0);
	ISSUER(w, KEY_A);
	state_kv_forget(w->state, "oauth/");
	assert_int_equal(check_key(w, key_a), AUTH_OK);
}

static void keys_of_another_issuer_do_not_hold(void **state)
{
	struct world *w = *state;
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	char other[80];
	snprintf(other, sizeof other, "%s/x", w->issuer);
	w->options.issuer = other;
	make_auth(w);
	char claims[256];
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":9e9}", other);
	char *token = jose_usual(key_a, "ES256", claims);
	assert_int_equal(check(w, token), AUTH_UNAVAILABLE);
	assert_int_equal(asked(w, "/x/.well-known/openid-configuration"), 1);
	free(token);
}

static void a_proxy_in_the_environment_is_not_used(void **state)
{
	/* HTTP_PROXY is what a CGI server makes of a client's "Proxy:" header. */
	static const char *const names[] = {"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_int_equal(setenv(names[i], "http://127.0.0.1:1", 1), 0);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_int_equal(unsetenv(names[i]), 0);
}

/* --- introspection --- */

static void use_introspection(struct world *w, char url[128])
{
	snprintf(url, 128, "%s/introspect", http_server_url(w->server));
	w->options.introspection_url = url;
	w->options.client_id = "dex upload";
	w->options.client_secret = "s:e+c%t";
	make_auth(w);
}

static void an_opaque_token_is_asked_about_once(void **state)
{
	struct world *w = *state;
	char url[128];
	int64_t end = 0;
	use_introspection(w, url);
	ISSUER(w, .introspection = "{\"active\":true,\"client_id\":\"c\",\"scope\":\"a\","
				   "\"username\":\"unkept\"}");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(check(w, "opaque+token/1~="), AUTH_OK);
		make_auth(w);
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
	make_auth(w);
	assert_int_equal(check(w, "opaque+token/1~="), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 2);
}

static void a_token_may_be_8_kib_long(void **state)
{
	struct world *w = *state;
	char url[128];
	use_introspection(w, url);
	ISSUER(w, .introspection = "{\"active\":true,\"sub\":\"s\"}");
	char *token = mem_alloc(AUTH_TOKEN_MAX + 2);
	memset(token, '+', AUTH_TOKEN_MAX + 1);
	token[AUTH_TOKEN_MAX + 1] = '\0';
	assert_int_equal(check(w, token), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 0);
	token[AUTH_TOKEN_MAX] = '\0';
	assert_int_equal(check(w, token), AUTH_OK);
	free(token);
}

static void a_bad_token_is_remembered_for_seconds(void **state)
{
	struct world *w = *state;
	char url[128];
	int64_t end = 0;
	use_introspection(w, url);
	ISSUER(w, .introspection = "{\"active\":false}");
	assert_int_equal(check(w, "opaque1"), AUTH_INVALID);
	assert_int_equal(check(w, "opaque1"), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 1);
	assert_int_equal(state_kv_count(w->state, "oauth/token/", &end), 1);
	assert_true(end <= clock_now() + 5 * CLOCK_US_PER_S);
	assert_int_equal(check(w, "opaque2"), AUTH_INVALID);
	assert_int_equal(http_server_count(w->server), 2);
}

static void an_answer_ends_with_its_token(void **state)
{
	struct world *w = *state;
	char url[128], text[128];
	int64_t end = 0, soon = clock_now() / CLOCK_US_PER_S + 20;
	use_introspection(w, url);
	snprintf(text, sizeof text, "{\"active\":true,\"sub\":\"s\",\"exp\":%" PRId64 "}", soon);
	ISSUER(w, .introspection = text);
	assert_int_equal(check(w, "opaque1"), AUTH_OK);
	assert_int_equal(state_kv_count(w->state, "oauth/token/", &end), 1);
	assert_int_equal(end, soon * CLOCK_US_PER_S);
}

static void answers_of_introspection(void **state)
{
	struct world *w = *state;
	char url[128], own[128];
	use_introspection(w, url);
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
		enum auth_result r = check(w, "opaque1");
		if (r != rows[i].result)
			fail_msg("%d %s: %d %s", rows[i].status, rows[i].body, r, w->err.text);
		/* No answer is no answer to remember. */
		assert_int_equal(state_kv_count(w->state, "oauth/token/", NULL),
			r == AUTH_UNAVAILABLE ? 0 : 1);
	}
	assert_int_equal(asked(w, "/moved"), 0);
	state_kv_forget(w->state, "oauth/");
	state_kv_away(w->state, true);
	size_t before = http_server_count(w->server);
	assert_int_equal(check(w, "opaque1"), AUTH_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), before);
}

static void without_an_issuer_every_token_is_asked_about(void **state)
{
	struct world *w = *state;
	char url[128];
	char *token = token_of(w, key_a, "");
	w->options.issuer = "";
	use_introspection(w, url);
	ISSUER(w, .introspection = "{\"active\":true,\"sub\":\"s\"}");
	assert_int_equal(check(w, token), AUTH_OK);
	assert_int_equal(asked(w, "/introspect"), 1);
	free(token);
}

/* --- health --- */

static void the_probe_tells_whether_the_issuer_answers(void **state)
{
	struct world *w = *state;
	char url[128];
	assert_int_equal(auth_probe(w->auth, &w->err), 0);
	assert_int_equal(auth_probe(w->auth, &w->err), 0);
	assert_int_equal(http_server_count(w->server), 1);
	assert_int_equal(check_key(w, key_a), AUTH_OK);
	ISSUER(w, .status = 500);
	state_kv_forget(w->state, "oauth/probe");
	assert_int_equal(auth_probe(w->auth, &w->err), -1);
	assert_non_null(strstr(w->err.text, "keys are 0 s old"));
	assert_int_equal(auth_probe(w->auth, &w->err), -1);
	use_introspection(w, url);
	ISSUER(w, KEY_A, .introspection = "{\"active\":false}");
	state_kv_forget(w->state, "oauth/probe");
	assert_int_equal(auth_probe(w->auth, &w->err), 0);
	ISSUER(w, KEY_A, .introspection = "", .introspection_status = 401);
	state_kv_forget(w->state, "oauth/probe");
	assert_int_equal(auth_probe(w->auth, &w->err), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
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
		TEST(a_proxy_in_the_environment_is_not_used),
		TEST(an_opaque_token_is_asked_about_once),
		TEST(a_token_may_be_8_kib_long),
		TEST(a_bad_token_is_remembered_for_seconds),
		TEST(an_answer_ends_with_its_token),
		TEST(answers_of_introspection),
		TEST(without_an_issuer_every_token_is_asked_about),
		TEST(the_probe_tells_whether_the_issuer_answers),
	};
	struct err err;

	/* Warnings about issuers that are down are of no use among the results. */
	if (log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return 1;
	key_a = jose_key_new("P-256", "a");
	key_b = jose_key_new("P-256", "b");
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	jose_key_free(key_a);
	jose_key_free(key_b);
	return rc;
}
