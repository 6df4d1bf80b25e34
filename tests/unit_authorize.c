/* SPDX-License-Identifier: Apache-2.0 */
/* Who may, over HTTP: what is answered, and what must not happen before. */
#include "fcgi/authorize.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "fcgi/http.h"
#include "tests/lib/http_memory.h"
#include "tests/lib/http_server.h"
#include "tests/lib/jose.h"
#include "tests/lib/upload_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct jose_key *key;
static struct http_server *issuer;
static struct http_memory m;
static bool issuer_is_down;

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	(void)arg;
	if (issuer_is_down)
		a->status = 503;
	else if (str_eq(q->path, "/keys"))
		jose_key_set(&key, 1, &a->body);
	else
		(void)buf_printf(&a->body, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}",
			http_server_url(issuer), http_server_url(issuer));
}

static int setup(void **state)
{
	upload_world_setup(state);
	struct upload_world *w = *state;
	w->config.tus_path = "/files/";
	w->config.info_path = "/info/";
	w->config.cors_origins = "*";
	w->config.server_protocol = "http";
	w->config.server_hostname = "h";
	w->config.server_port = 80;
	w->config.threads = 8;
	issuer_is_down = false;
	issuer = http_server_start(NULL, NULL);
	http_server_set(issuer, answer, NULL);
	w->app.auth = auth_new(
		&(struct auth_options){
			.issuer = http_server_url(issuer),
			.required_scopes = "up",
			.read_scopes = "see",
			.admin_scope = "root",
		},
		w->app.state);
	http_memory_init(&m);
	return 0;
}

static int teardown(void **state)
{
	struct upload_world *w = *state;
	auth_free(w->app.auth);
	w->app.auth = NULL;
	http_server_stop(issuer);
	http_memory_free(&m);
	return upload_world_teardown(state);
}

/* Let ${subject} with ${scope} send what follows; NULL: nobody. */
static void sign_in(const char *subject, const char *scope)
{
	char claims[256];
	struct buf header;
	if (!subject) {
		http_memory_param(&m, "HTTP_AUTHORIZATION", NULL);
		return;
	}
	snprintf(claims, sizeof claims,
		"{\"iss\":\"%s\",\"sub\":\"%s\",\"scope\":\"%s\",\"exp\":9e9}",
		http_server_url(issuer), subject, scope);
	char *token = jose_usual(key, "ES256", claims);
	buf_init(&header, 4096);
	(void)buf_printf(&header, "Bearer %s", token);
	http_memory_param(&m, "HTTP_AUTHORIZATION", header.data);
	buf_free(&header);
	free(token);
}

static int serve(
	struct upload_world *w, const char *method, const char *path, enum http_drain drain)
{
	buf_reset(&m.out);
	m.reads = m.next = 0;
	http_memory_param(&m, "REQUEST_METHOD", method);
	http_memory_param(&m, "SCRIPT_NAME", path);
	http_serve(&w->app, &http_memory_io, &m, drain);
	return http_memory_status(&m);
}

static void a_refusal_takes_no_body(void **state)
{
	static const char *const paths[][2] = {{"POST", "/files"},
		{"PATCH", "/files/11111111-2222-4333-8444-555555555555"},
		{"POST", "/route/11111111-2222-4333-8444-555555555555"},
		{"PATCH", "/files/nothing"}};
	static const struct {
		const char *subject, *scope;
		int status;
		const char *challenge;
	} rows[] = {
		{NULL, NULL, 401, "Bearer"},
		{"", "up see", 401, "Bearer error=\"invalid_token\""},
		{"me", "see", 403, "Bearer error=\"insufficient_scope\""},
	};
	struct upload_world *w = *state;
	http_memory_param(&m, "CONTENT_LENGTH", "5");
	http_memory_param(&m, "CONTENT_TYPE", "application/offset+octet-stream");
	http_memory_param(&m, "HTTP_UPLOAD_LENGTH", "5");
	http_memory_param(&m, "HTTP_UPLOAD_OFFSET", "0");
	http_memory_piece(&m, BODY_DATA, "hello");
	for (size_t v = 0; v < 2; v++) {
		/* The version is not looked at either. */
		http_memory_param(&m, "HTTP_TUS_RESUMABLE", v == 0 ? "1.0.0" : NULL);
		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
			sign_in(rows[i].subject, rows[i].scope);
			for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
				assert_int_equal(
					serve(w, paths[p][0], paths[p][1], HTTP_DRAIN_NONE),
					rows[i].status);
				assert_string_equal(http_memory_header(&m, "WWW-Authenticate"),
					rows[i].challenge);
				assert_int_equal(m.reads, 0);
			}
		}
	}
	/* Where the web server needs it, the body is taken and thrown away. */
	assert_int_equal(serve(w, "POST", "/files", HTTP_DRAIN_ALL), 403);
	assert_true(m.reads > 0);
	struct state_counts counts;
	struct err err;
	assert_int_equal(state_counts(w->app.state, 0, &counts, &err), 0);
	assert_int_equal(counts.open_uploads, 0);
}

static void an_upload_has_its_maker(void **state)
{
	struct upload_world *w = *state;
	char path[128];
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	http_memory_param(&m, "HTTP_UPLOAD_LENGTH", "5");
	http_memory_param(&m, "CONTENT_LENGTH", "0");
	sign_in("me", "up see");
	assert_int_equal(serve(w, "POST", "/files", HTTP_DRAIN_NONE), 201);
	const char *location = http_memory_header(&m, "Location");
	assert_true(location && strstr(location, "/files/"));
	(void)str_copy(path, sizeof path, strstr(location, "/files/"));
	assert_int_equal(serve(w, "HEAD", path, HTTP_DRAIN_NONE), 200);
	sign_in("you", "up see");
	assert_int_equal(serve(w, "HEAD", path, HTTP_DRAIN_NONE), 404);
	assert_int_equal(serve(w, "DELETE", path, HTTP_DRAIN_NONE), 404);
	sign_in("you", "up see root");
	assert_int_equal(serve(w, "HEAD", path, HTTP_DRAIN_NONE), 200);
	sign_in("me", "up see");
	assert_int_equal(serve(w, "DELETE", path, HTTP_DRAIN_NONE), 204);
	assert_int_equal(serve(w, "HEAD", path, HTTP_DRAIN_NONE), 410);
	sign_in("you", "up see");
	assert_int_equal(serve(w, "HEAD", path, HTTP_DRAIN_NONE), 404);
	/* Without authorization nobody is asked. */
	struct auth *auth = w->app.auth;
	w->app.auth = NULL;
	assert_int_equal(serve(w, "HEAD", path, HTTP_DRAIN_NONE), 410);
	w->app.auth = auth;
}

static void what_cannot_be_told_is_503(void **state)
{
	struct upload_world *w = *state;
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	issuer_is_down = true;
	sign_in("me", "up see");
	assert_int_equal(
		serve(w, "HEAD", "/files/11111111-2222-4333-8444-555555555555", HTTP_DRAIN_NONE),
		503);
	assert_string_equal(http_memory_header(&m, "Retry-After"), "5");
	assert_null(http_memory_header(&m, "WWW-Authenticate"));
	/* What needs no token needs no issuer. */
	assert_int_equal(serve(w, "OPTIONS", "/files", HTTP_DRAIN_NONE), 204);
	assert_int_equal(serve(w, "GET", "/", HTTP_DRAIN_NONE), 200);
}

static void methods_and_ids_are_told_to_those_inside(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
	} rows[] = {
		{"GET", "/files", 405},
		{"PUT", "/files/", 405},
		{"GET", "/files/11111111-2222-4333-8444-555555555555", 405},
		{"POST", "/info/11111111-2222-4333-8444-555555555555", 405},
		{"HEAD", "/files/nothing", 404},
		{"GET", "/info/nothing", 404},
		{"GET", "/route/nothing", 404},
		{"GET", "/info/11111111-2222-4333-8444-555555555555", 404},
	};
	struct upload_world *w = *state;
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		sign_in(NULL, NULL);
		if (serve(w, rows[i].method, rows[i].path, HTTP_DRAIN_NONE) != 401)
			fail_msg("%s %s", rows[i].method, rows[i].path);
		sign_in("me", "up see");
		if (serve(w, rows[i].method, rows[i].path, HTTP_DRAIN_NONE) != rows[i].status)
			fail_msg("%s %s", rows[i].method, rows[i].path);
	}
	/* There is nothing to guard elsewhere. */
	sign_in(NULL, NULL);
	assert_int_equal(serve(w, "GET", "/nothing", HTTP_DRAIN_NONE), 404);
	assert_int_equal(serve(w, "POST", "/version", HTTP_DRAIN_NONE), 405);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_refusal_takes_no_body),
		TEST(an_upload_has_its_maker),
		TEST(what_cannot_be_told_is_503),
		TEST(methods_and_ids_are_told_to_those_inside),
	};
	struct err err;

	if (log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return 1;
	key = jose_key_new("P-256", "a");
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	jose_key_free(key);
	return rc;
}
