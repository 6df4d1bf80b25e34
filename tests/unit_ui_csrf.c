/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/csrf.h"

#include "fcgi/origin.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "tests/lib/http_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RANDOM "00112233445566778899aabbccddeeff"

static struct config config = {
	.server_protocol = "http", .server_hostname = "h", .server_port = 80, .csrf_token = "key"};
static struct app app = {.config = &config};

struct fixture {
	struct http_memory m;
	struct http_request r;
	struct err err;
};

static int setup(void **state)
{
	static struct fixture f;

	http_memory_init(&f.m);
	http_memory_param(&f.m, "REQUEST_METHOD", "POST");
	http_memory_param(&f.m, "HTTP_HOST", "page.example.org:8081");
	http_begin(&f.r, &app, &http_memory_io, &f.m, HTTP_DRAIN_NONE, &f.err);
	config.csrf_trusted_origins = NULL;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_end(&f->r);
	http_memory_free(&f->m);
	return 0;
}

static void tokens_depend_on_key_and_cookie(void **state)
{
	char a[CSRF_TOKEN_SIZE], b[CSRF_TOKEN_SIZE];

	(void)state;
	/* printf form:00112233445566778899aabbccddeeff | openssl dgst -sha256 -hmac key */
	csrf_token("key", RANDOM, a);
	assert_string_equal(a, "25f66f3c502e4b50655d872a22b1e68a007fe1bd27d631c9d7ddc6f834c2e272");
	csrf_token("key2", RANDOM, b);
	assert_string_not_equal(a, b);
	csrf_token("key", "10112233445566778899aabbccddeeff", b);
	assert_string_not_equal(a, b);
}

static void cookies_are_read_strictly(void **state)
{
	static const struct {
		const char *header;
		bool found;
	} rows[] = {
		{"n=" RANDOM, true},
		{"a=1; n=" RANDOM "; b=2", true},
		{"a=1;n=" RANDOM, true},
		{"nn=" RANDOM, false},
		{"n=" RANDOM "0", false},
		{"n=0011", false},
		{"n=\"" RANDOM "\"", false},
		{"n=00112233445566778899AABBCCDDEEFF", false},
		{"n", false},
		{"", false},
		{NULL, false},
		{";;; n=x; n=" RANDOM, true},
	};
	char value[CSRF_RANDOM_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (csrf_cookie(rows[i].header, "n", value) != rows[i].found)
			fail_msg("row %zu", i);
		if (rows[i].found)
			assert_string_equal(value, RANDOM);
	}
}

static void origins(void **state)
{
	static const struct {
		const char *origin, *own, *trusted;
		bool ok;
	} rows[] = {
		{"http://h:81", "http://h:81", NULL, true},
		{"https://h:81", "http://h:81", NULL, true},
		{"http://H:81", "http://h:81", NULL, true},
		{"http://h", "http://h:81", NULL, false},
		{"http://h:81.evil.org", "http://h:81", NULL, false},
		{"http://evil.org", "http://h:81", "", false},
		{"null", "http://h:81", NULL, false},
		{"", "http://h:81", NULL, false},
		{"https://a", "http://h", "http://b,https://a", true},
		{"https://a:1", "http://h", "http://b,https://a", false},
		{"https://", "", NULL, false},
		{"https://any", "http://h", "*", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (origin_is_ours(rows[i].origin, rows[i].own, rows[i].trusted) != rows[i].ok)
			fail_msg("row %zu", i);
	}
}

static void a_browser_gets_a_cookie_once(void **state)
{
	struct fixture *f = *state;
	char token[CSRF_TOKEN_SIZE], again[CSRF_TOKEN_SIZE], random[CSRF_RANDOM_SIZE];
	const char *cookie;

	csrf_issue(&f->r, token);
	cookie = strstr(buf_str(&f->r.head), "Set-Cookie: dex_csrf=");
	assert_non_null(cookie);
	assert_non_null(strstr(cookie, "; Path=/; HttpOnly; SameSite=Lax\r\n"));
	assert_int_equal(sscanf(cookie, "Set-Cookie: dex_csrf=%32[0-9a-f];", random), 1);
	char header[64];
	(void)snprintf(header, sizeof(header), "dex_csrf=%s", random);
	http_memory_param(&f->m, "HTTP_COOKIE", header);
	buf_reset(&f->r.head);
	csrf_issue(&f->r, again);
	assert_string_equal(token, again);
	assert_int_equal(f->r.head.len, 0);
	assert_true(csrf_check(&f->r, token));
}

static void over_tls_the_cookie_is_of_this_host_alone(void **state)
{
	struct fixture *f = *state;
	char token[CSRF_TOKEN_SIZE];

	http_memory_param(&f->m, "HTTPS", "on");
	csrf_issue(&f->r, token);
	assert_non_null(strstr(buf_str(&f->r.head), "__Host-dex_csrf="));
	assert_non_null(strstr(buf_str(&f->r.head), "; Secure\r\n"));
	csrf_token("key", RANDOM, token);
	http_memory_param(&f->m, "HTTP_COOKIE", "dex_csrf=" RANDOM);
	assert_false(csrf_check(&f->r, token));
	http_memory_param(&f->m, "HTTP_COOKIE", "__Host-dex_csrf=" RANDOM);
	assert_true(csrf_check(&f->r, token));
}

static void forms_of_others_are_refused(void **state)
{
	struct fixture *f = *state;
	char token[CSRF_TOKEN_SIZE];

	csrf_token("key", RANDOM, token);
	assert_false(csrf_check(&f->r, token)); /* no cookie */
	http_memory_param(&f->m, "HTTP_COOKIE", "dex_csrf=" RANDOM);
	assert_true(csrf_check(&f->r, token));
	assert_false(csrf_check(&f->r, NULL));
	assert_false(csrf_check(&f->r, ""));
	token[0] = token[0] == 'a' ? 'b' : 'a';
	assert_false(csrf_check(&f->r, token));
	csrf_token("key", RANDOM, token);
	http_memory_param(&f->m, "HTTP_ORIGIN", "http://page.example.org:8081");
	assert_true(csrf_check(&f->r, token));
	http_memory_param(&f->m, "HTTP_ORIGIN", "http://evil.example.org");
	assert_false(csrf_check(&f->r, token));
	config.csrf_trusted_origins = "http://evil.example.org";
	assert_true(csrf_check(&f->r, token));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_depend_on_key_and_cookie),
		cmocka_unit_test(cookies_are_read_strictly),
		cmocka_unit_test(origins),
		TEST(a_browser_gets_a_cookie_once),
		TEST(over_tls_the_cookie_is_of_this_host_alone),
		TEST(forms_of_others_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
