/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/str.h"
#include "core/config.h"
#include "fcgi/cookie.h"
#include "fcgi/origin.h"
#include "fcgi/ui/login_cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000

static struct seal_key key;

static struct login_progress make(const char *back)
{
	struct login_progress p = {.ends_at = NOW + 1};
	oidc_login_make(&p.login);
	(void)str_copy(p.back, sizeof(p.back), back);
	return p;
}

static void ways_back(void **state)
{
	static const char *const good[] = {
		"/", "/manifest?data_stream_id=a&x=%22", "/status/1#a", "/a//b", "/@evil", "/a:b"};
	static const char *const bad[] = {"", "x", "//evil", "///", "/\\evil", "\\", "/a\\b",
		"/a b", "/a\tb", "/\n", "/a\"b", "/<", "/\xc3\xbc", "/\x7f", "https://evil/", "?x",
		"#x"};
	char edge[LOGIN_BACK_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(login_is_path(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (login_is_path(bad[i]))
			fail_msg("%s", bad[i]);
	}
	memset(edge, '/', 1);
	memset(edge + 1, 'x', LOGIN_BACK_MAX);
	edge[LOGIN_BACK_MAX + 1] = '\0';
	assert_false(login_is_path(edge));
	edge[LOGIN_BACK_MAX] = '\0';
	assert_true(login_is_path(edge));
}

static void what_was_written_is_read(void **state)
{
	struct login_progress p, found;
	char back[LOGIN_BACK_MAX + 1];
	struct buf text;

	(void)state;
	back[0] = '/';
	memset(back + 1, 'x', LOGIN_BACK_MAX - 1);
	back[LOGIN_BACK_MAX] = '\0';
	p = make(back);
	buf_init(&text, LOGIN_COOKIE_MAX);
	assert_int_equal(login_cookie_write(&key, &p, &text), 0);
	assert_true(text.len < 1200);
	assert_null(strstr(text.data, p.login.verifier));
	assert_int_equal(
		login_cookie_read(&key, p.login.state, text.data, text.len, NOW, &found), 0);
	assert_string_equal(found.login.state, p.login.state);
	assert_string_equal(found.login.nonce, p.login.nonce);
	assert_string_equal(found.login.verifier, p.login.verifier);
	assert_string_equal(found.back, back);
	buf_free(&text);
}

static void what_is_not_ours_is_refused(void **state)
{
	struct login_progress p = make("/"), other = make("/"), found;
	struct seal_key another;
	struct buf text;

	(void)state;
	buf_init(&text, LOGIN_COOKIE_MAX);
	login_cookie_key("another secret of thirty-two bytes", &another);
	assert_int_equal(login_cookie_write(&key, &p, &text), 0);
	const char *id = p.login.state;
	assert_int_equal(login_cookie_read(&key, id, text.data, text.len, NOW, &found), 0);
	assert_int_equal(login_cookie_read(&key, id, text.data, text.len, NOW + 1, &found), -1);
	assert_int_equal(found.login.verifier[0], '\0');
	assert_int_equal(login_cookie_read(&another, id, text.data, text.len, NOW, &found), -1);
	assert_int_equal(
		login_cookie_read(&key, other.login.state, text.data, text.len, NOW, &found), -1);
	assert_int_equal(login_cookie_read(&key, "", text.data, text.len, NOW, &found), -1);
	for (size_t len = 0; len < text.len; len++)
		assert_int_equal(login_cookie_read(&key, id, text.data, len, NOW, &found), -1);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		text.data[i] = c == 'A' ? 'B' : 'A';
		assert_int_equal(login_cookie_read(&key, id, text.data, text.len, NOW, &found), -1);
		text.data[i] = c;
	}
	buf_free(&text);
}

static void a_browser_has_few_logins(void **state)
{
	char states[6][OIDC_RANDOM_SIZE], gone[OIDC_RANDOM_SIZE];
	struct buf list, next;

	(void)state;
	buf_init(&list, 1024);
	for (size_t i = 0; i < 6; i++) {
		oidc_random(states[i]);
		buf_init(&next, 1024);
		login_list_add(buf_str(&list), list.len, states[i], &next, gone);
		assert_string_equal(gone, i < LOGINS_MAX ? "" : states[i - LOGINS_MAX]);
		buf_free(&list);
		list = next;
	}
	assert_int_equal(list.len, LOGINS_MAX * OIDC_RANDOM_SIZE - 1);
	assert_true(str_starts(buf_str(&list), states[5]) && str_ends(buf_str(&list), states[2]));
	/* What somebody else has put there ends the list. */
	buf_reset(&list);
	(void)buf_printf(&list, "%s.%s;%s", states[0], states[1], states[2]);
	buf_init(&next, 1024);
	login_list_add(list.data, list.len, states[3], &next, gone);
	assert_int_equal(next.len, 2 * OIDC_RANDOM_SIZE - 1);
	assert_string_equal(gone, "");
	buf_free(&next);
	buf_free(&list);
}

static void cookies_are_found_by_their_names(void **state)
{
	const char *header = "a=1; ab=2;b=; a=3 ;  a=; c; a";
	size_t len;

	(void)state;
	assert_memory_equal(cookie_next(&header, "a", &len), "1", 1);
	assert_int_equal(len, 1);
	assert_memory_equal(cookie_next(&header, "a", &len), "3 ", 2);
	assert_int_equal(len, 2);
	assert_non_null(cookie_next(&header, "a", &len));
	assert_int_equal(len, 0);
	assert_null(cookie_next(&header, "a", &len));
	assert_null(cookie_next(&header, "a", &len));
	header = NULL;
	assert_null(cookie_next(&header, "a", &len));
}

static void origins_of_the_page(void **state)
{
	static const struct {
		const char *origin, *url, *trusted;
		bool page;
	} rows[] = {
		{"http://h:8081", "http://h:8080", NULL, true},
		{"https://h:8081", "http://h:8080/cgi/dex", NULL, true},
		{"http://h:8080", "http://h:8080", NULL, true},
		{"http://H:8081", "http://h:8080", NULL, true},
		{"http://h", "http://h/cgi", NULL, true},
		{"http://[::1]:8081", "http://[::1]:8080", NULL, true},
		{"http://h", "http://h:8080", NULL, false},
		{"http://h:8082", "http://h:8080", NULL, false},
		{"http://h:80811", "http://h:8080", NULL, false},
		{"http://g:8081", "http://h:8080", NULL, false},
		{"http://h.evil:8081", "http://h:8080", NULL, false},
		{"null", "http://h:8080", NULL, false},
		{"", "http://h:8080", NULL, false},
		{"http://h:8081", "", NULL, false},
		{"https://page", "http://h:8080", "https://other,https://page", true},
		{"http://page", "http://h:8080", "https://other,https://page", false},
		{"http://page", "http://h:8080", "*", false},
		{"http://h:8081", "http://h:8080", "*", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct config c = {.ui_port = 8081, .csrf_trusted_origins = rows[i].trusted};
		if (origin_is_page(&c, rows[i].origin, rows[i].url) != rows[i].page)
			fail_msg("%s at %s", rows[i].origin, rows[i].url);
	}
	const struct config tls = {.ui_port = 443};
	assert_true(origin_is_page(&tls, "https://h", "https://h:8443"));
	assert_false(origin_is_page(&tls, "https://h:443.evil", "https://h:8443"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_back),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(what_is_not_ours_is_refused),
		cmocka_unit_test(a_browser_has_few_logins),
		cmocka_unit_test(cookies_are_found_by_their_names),
		cmocka_unit_test(origins_of_the_page),
	};

	login_cookie_key("a secret of thirty-two bytes, at least", &key);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
