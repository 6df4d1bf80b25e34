/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/oidc_client.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "tests/lib/login_world.h"
#include "tests/lib/state_kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BACK "https://page.example/oauth_callback"

static const struct oidc_login login = {.state = "s", .nonce = "n", .verifier = "v"};

/* RFC 7636 appendix B. */
static void the_challenge_is_that_of_the_rfc(void **state)
{
	char challenge[OIDC_RANDOM_SIZE];
	(void)state;
	oidc_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge);
	assert_string_equal(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

static void logins_have_nothing_in_common(void **state)
{
	struct oidc_login a, b;
	(void)state;
	oidc_login_make(&a);
	oidc_login_make(&b);
	const char *const all[] = {a.state, a.nonce, a.verifier, b.state, b.nonce, b.verifier};
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(strlen(all[i]), OIDC_RANDOM_SIZE - 1);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(all[i], all[k]);
	}
}

static void the_way_to_the_issuer(void **state)
{
	struct login_world *w = *state;
	struct buf url, wanted;
	w->options.resource = "https://api.example/?a=b c";
	login_world_make(w);
	buf_init(&url, 4096);
	buf_init(&wanted, 4096);
	assert_int_equal(oidc_client_authorize(w->client, &login, BACK, &url, &w->err), 0);
	(void)buf_printf(&wanted,
		"%s/auth?p=1&response_type=code&client_id=page&redirect_uri=https%%3A%%2F%%2F"
		"page.example%%2Foauth_callback&scope=openid%%20profile%%20up&state=s&nonce=n&"
		"code_challenge=TJRIXgwhrmxBzh3-e2v6zupato5AokdvUCCOUm9QYIA&code_challenge_method="
		"S256&resource=https%%3A%%2F%%2Fapi.example%%2F%%3Fa%%3Db%%20c",
		w->issuer);
	assert_string_equal(buf_str(&url), buf_str(&wanted));
	buf_free(&url);
	buf_free(&wanted);
}

static void the_issuer_is_asked_once_for_its_end_points(void **state)
{
	struct login_world *w = *state;
	for (int i = 0; i < 5; i++) {
		struct buf url;
		buf_init(&url, 4096);
		assert_int_equal(oidc_client_authorize(w->client, &login, BACK, &url, &w->err), 0);
		buf_free(&url);
		login_world_make(w); /* another process */
	}
	assert_int_equal(login_world_asked(w, "/.well-known/openid-configuration", NULL), 1);
}

static void end_points_that_nobody_can_trust_are_none(void **state)
{
	static const char *const members[] = {
		"\"token_endpoint\":\"https://t.example/\"",
		"\"authorization_endpoint\":\"http://evil.example/\"",
		"\"authorization_endpoint\":\"javascript:alert(1)\"",
		"\"authorization_endpoint\":7",
		"\"authorization_endpoint\":\"https://a b/\"",
	};
	struct login_world *w = *state;
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		struct buf url;
		buf_init(&url, 4096);
		w->discovery = members[i];
		state_kv_forget(w->state, "oauth/");
		assert_int_equal(oidc_client_authorize(w->client, &login, BACK, &url, &w->err), -1);
		if (w->err.code != ERR_UNSUPPORTED)
			fail_msg("%s: %s", members[i], w->err.text);
		assert_int_equal(url.len, 0);
		buf_free(&url);
	}
}

/* What becomes of the code when the token end point says ${answer}. */
static int redeem(struct login_world *w, const char *answer, struct oidc_tokens *out)
{
	const struct oidc_callback back = {.code = "c o+de"};
	w->answer = answer;
	err_clear(&w->err);
	int rc = oidc_client_redeem(w->client, &login, &back, BACK, out, &w->err);
	if (rc < 0 && (out->access_token || out->id_token || w->err.code == ERR_NONE))
		fail_msg("%s", answer);
	return rc;
}

static int redeem_id(struct login_world *w, const char *id_token, struct oidc_tokens *out)
{
	struct buf text;
	buf_init(&text, 16384);
	(void)buf_printf(&text,
		"{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":60,\"id_token\":"
		"\"%s\"}",
		id_token);
	int rc = redeem(w, buf_str(&text), out);
	buf_free(&text);
	return rc;
}

static void a_code_becomes_tokens(void **state)
{
	struct login_world *w = *state;
	struct oidc_tokens t;
	const char *body = "";
	char *id = login_world_id_token(
		w, w->key, "ES256", "\"nonce\":\"n\",\"name\":\"Me Myself\",\"azp\":\"page\"");
	int64_t before = clock_now();
	assert_int_equal(redeem_id(w, id, &t), 0);
	assert_string_equal(t.access_token, "a");
	assert_string_equal(t.id_token, id);
	assert_string_equal(t.subject, "me");
	assert_string_equal(t.name, "Me Myself");
	assert_null(t.refresh_token);
	assert_in_range(
		t.expires_at, before + 60 * CLOCK_US_PER_S, clock_now() + 60 * CLOCK_US_PER_S);
	assert_int_equal(login_world_asked(w, "/token", &body), 1);
	assert_string_equal(body,
		"grant_type=authorization_code&code=c%20o%2Bde&redirect_uri=https%3A%2F%2Fpage."
		"example%2Foauth_callback&code_verifier=v&client_id=page");
	oidc_tokens_free(&t);
	free(id);
}

static void a_client_with_a_secret_says_it_in_the_header(void **state)
{
	struct login_world *w = *state;
	struct oidc_tokens t;
	const char *body = "";
	w->options.client_secret = "s:e%t";
	login_world_make(w);
	char *id = login_world_id_token(w, w->key, "ES256", "\"nonce\":\"n\"");
	assert_int_equal(redeem_id(w, id, &t), 0);
	assert_string_equal(t.name, "me"); /* he has no other */
	(void)login_world_asked(w, "/token", &body);
	assert_null(strstr(body, "client_id"));
	size_t last = http_server_count(w->server);
	const char *basic = NULL;
	while (!basic && last-- > 0)
		basic = net_headers_get(
			&http_server_request(w->server, last)->headers, "Authorization");
	assert_string_equal(basic, "Basic cGFnZTpzJTNBZSUyNXQ=");
	oidc_tokens_free(&t);
	free(id);
}

static void id_tokens_that_are_refused(void **state)
{
	static const struct {
		const char *more, *why;
	} rows[] = {
		{"\"nonce\":\"other\"", "another login"},
		{"\"nonce\":7", "another login"},
		{"\"x\":1", "another login"},
		{"\"nonce\":\"n\",\"iss\":\"https://evil.example\"", "another issuer"},
		{"\"nonce\":\"n\",\"aud\":\"other\"", "another audience"},
		{"\"nonce\":\"n\",\"aud\":[]", "another audience"},
		{"\"nonce\":\"n\",\"aud\":[\"page\",\"other\"]", "not for this client"},
		{"\"nonce\":\"n\",\"aud\":[\"page\",\"other\"],\"azp\":\"other\"",
			"not for this client"},
		{"\"nonce\":\"n\",\"azp\":\"other\"", "not for this client"},
		{"\"nonce\":\"n\",\"azp\":7", "not for this client"},
		{"\"nonce\":\"n\",\"sub\":\"\"", "not for this client"},
		{"\"nonce\":\"n\",\"sub\":null", "not for this client"},
		{"\"nonce\":\"n\",\"exp\":1", "expired"},
		{"\"nonce\":\"n\",\"exp\":null", "malformed"},
		{"\"nonce\":\"n\",\"iat\":99999999999", "future"},
	};
	struct login_world *w = *state;
	struct oidc_tokens t;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *id = login_world_id_token(w, w->key, "ES256", rows[i].more);
		assert_int_equal(redeem_id(w, id, &t), -1);
		if (w->err.code != ERR_INVALID || !strstr(w->err.text, rows[i].why))
			fail_msg("%s: %s", rows[i].more, w->err.text);
		free(id);
	}
	char *id = login_world_id_token(
		w, w->key, "ES256", "\"nonce\":\"n\",\"aud\":[\"page\",\"x\"],\"azp\":\"page\"");
	assert_int_equal(redeem_id(w, id, &t), 0);
	oidc_tokens_free(&t);
	free(id);
}

static void signatures_that_are_refused(void **state)
{
	struct login_world *w = *state;
	struct oidc_tokens t;
	char *foreign = login_world_id_token(w, w->foreign, "ES256", "\"nonce\":\"n\"");
	char *none = login_world_id_token(w, w->key, "none", "\"nonce\":\"n\"");
	assert_int_equal(redeem_id(w, foreign, &t), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(redeem_id(w, none, &t), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(redeem_id(w, "a.b", &t), -1);
	assert_int_equal(redeem_id(w, "", &t), -1);
	free(foreign);
	free(none);
}

static void answers_that_log_nobody_in(void **state)
{
	static const struct {
		int status;
		const char *answer;
		enum err_code code;
	} rows[] = {
		{200, "", ERR_UNAVAILABLE},
		{200, "[]", ERR_UNAVAILABLE},
		{200, "{}", ERR_INVALID},
		{400, "{\"error\":\"invalid_grant\"}", ERR_INVALID},
		{400, "{\"error\":\"invalid_client\"}", ERR_UNAVAILABLE},
		{401, "{\"error\":\"invalid_client\"}", ERR_UNAVAILABLE},
		{500, "", ERR_UNAVAILABLE},
		{302, "{}", ERR_UNAVAILABLE},
	};
	struct login_world *w = *state;
	struct oidc_tokens t;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		w->status = rows[i].status;
		assert_int_equal(redeem(w, rows[i].answer, &t), -1);
		if (w->err.code != rows[i].code)
			fail_msg("%s: %s", rows[i].answer, w->err.text);
	}
	w->status = 0;
	/* All is well but the access token. */
	char *id = login_world_id_token(w, w->key, "ES256", "\"nonce\":\"n\"");
	static const char *const tokens[] = {
		"\"token_type\":\"Bearer\"",
		"\"access_token\":\"\",\"token_type\":\"Bearer\"",
		"\"access_token\":\"a\"",
		"\"access_token\":\"a\",\"token_type\":\"DPoP\"",
		"\"access_token\":7,\"token_type\":\"Bearer\"",
	};
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		struct buf text;
		buf_init(&text, 8192);
		(void)buf_printf(&text, "{%s,\"id_token\":\"%s\"}", tokens[i], id);
		assert_int_equal(redeem(w, buf_str(&text), &t), -1);
		assert_int_equal(w->err.code, ERR_INVALID);
		buf_free(&text);
	}
	free(id);
}

static void the_code_goes_to_its_issuer_only(void **state)
{
	struct login_world *w = *state;
	struct oidc_tokens t;
	const struct oidc_callback rows[] = {{.code = "c", .iss = "https://evil.example"},
		{.code = "c", .iss = ""}, {.code = ""}, {.code = NULL}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(
			oidc_client_redeem(w->client, &login, &rows[i], BACK, &t, &w->err), -1);
		assert_int_equal(w->err.code, ERR_INVALID);
	}
	assert_int_equal(login_world_asked(w, "/token", NULL), 0);
}

static void a_refresh_changes_what_came(void **state)
{
	struct login_world *w = *state;
	const char *body = "";
	struct oidc_tokens t = {.access_token = mem_strdup("old"),
		.refresh_token = mem_strdup("r1"),
		.id_token = mem_strdup("id"),
		.subject = mem_strdup("me"),
		.name = mem_strdup("Me")};
	w->answer = "{\"access_token\":\"new\",\"token_type\":\"Bearer\",\"refresh_token\":\"r2\"}";
	assert_int_equal(oidc_client_refresh(w->client, &t, &w->err), 0);
	assert_string_equal(t.access_token, "new");
	assert_string_equal(t.refresh_token, "r2");
	assert_string_equal(t.id_token, "id");
	assert_int_equal(t.expires_at, 0);
	(void)login_world_asked(w, "/token", &body);
	assert_string_equal(body, "grant_type=refresh_token&refresh_token=r1&client_id=page");
	/* An ID token of somebody else: the session must not change hands. */
	char *id = login_world_id_token(w, w->key, "ES256", "\"sub\":\"you\"");
	struct buf text;
	buf_init(&text, 8192);
	(void)buf_printf(&text,
		"{\"access_token\":\"b\",\"token_type\":\"Bearer\",\"id_token\":\"%s\"}", id);
	w->answer = buf_str(&text);
	assert_int_equal(oidc_client_refresh(w->client, &t, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_string_equal(t.access_token, "new");
	buf_free(&text);
	free(id);
	oidc_tokens_free(&t);
}

static void the_way_out_of_the_issuer(void **state)
{
	struct login_world *w = *state;
	char *long_one = mem_zalloc(2050);
	struct buf url, wanted;
	memset(long_one, 'x', 2049);
	for (int i = 0; i < 2; i++) {
		buf_init(&url, 8192);
		buf_init(&wanted, 8192);
		assert_int_equal(oidc_client_end_session(w->client, i == 0 ? "a.b.c" : long_one,
					 "https://page.example/", &url, &w->err),
			0);
		(void)buf_printf(&wanted,
			"%s/end?client_id=page&post_logout_redirect_uri=https%%3A%%2F%%2Fpage."
			"example%%2F%s",
			w->issuer, i == 0 ? "&id_token_hint=a.b.c" : "");
		assert_string_equal(buf_str(&url), buf_str(&wanted));
		buf_free(&url);
		buf_free(&wanted);
	}
	free(long_one);
	w->discovery = "\"token_endpoint\":\"https://t.example/\"";
	state_kv_forget(w->state, "oauth/");
	buf_init(&url, 8192);
	assert_int_equal(oidc_client_end_session(w->client, NULL, "x", &url, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNSUPPORTED);
	buf_free(&url);
}

static void tokens_are_revoked(void **state)
{
	struct login_world *w = *state;
	const char *body = "";
	struct oidc_tokens t = {.access_token = mem_strdup("a"), .refresh_token = mem_strdup("r")};
	assert_int_equal(oidc_client_revoke(w->client, &t, &w->err), 0);
	assert_int_equal(login_world_asked(w, "/revoke", &body), 1);
	assert_string_equal(body, "token=r&token_type_hint=refresh_token&client_id=page");
	oidc_tokens_free(&t);
}

static void without_the_state_store_nobody_is_asked(void **state)
{
	struct login_world *w = *state;
	struct oidc_tokens t;
	state_kv_away(w->state, true);
	assert_int_equal(redeem(w, "{}", &t), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), 0);
	state_kv_away(w->state, false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, login_world_setup, login_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_challenge_is_that_of_the_rfc),
		cmocka_unit_test(logins_have_nothing_in_common),
		T(the_way_to_the_issuer),
		T(the_issuer_is_asked_once_for_its_end_points),
		T(end_points_that_nobody_can_trust_are_none),
		T(a_code_becomes_tokens),
		T(a_client_with_a_secret_says_it_in_the_header),
		T(id_tokens_that_are_refused),
		T(signatures_that_are_refused),
		T(answers_that_log_nobody_in),
		T(the_code_goes_to_its_issuer_only),
		T(a_refresh_changes_what_came),
		T(the_way_out_of_the_issuer),
		T(tokens_are_revoked),
		T(without_the_state_store_nobody_is_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
