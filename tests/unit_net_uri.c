/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/net/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void urls_are_taken_apart(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool tls;
		const char *host;
		unsigned port;
		const char *authority, *path, *query, *origin;
	} rows[] = {
		{"http://h", false, "h", 80, "h", "", "", "http://h"},
		{"https://h/", true, "h", 443, "h", "", "", "https://h"},
		{"HTTPS://Host.Example:443/A/b%2F/?x=Y", true, "host.example", 443, "host.example",
			"/A/b%2F", "x=Y", "https://host.example"},
		{"http://h:443", false, "h", 443, "h:443", "", "", "http://h:443"},
		{"https://h:80//", true, "h", 80, "h:80", "", "", "https://h:80"},
		{"http://127.0.0.1:10000/devstoreaccount1", false, "127.0.0.1", 10000,
			"127.0.0.1:10000", "/devstoreaccount1", "", "http://127.0.0.1:10000"},
		{"http://[FD00:ec2::254]", false, "[fd00:ec2::254]", 80, "[fd00:ec2::254]", "", "",
			"http://[fd00:ec2::254]"},
		{"http://[::1]:8080/x", false, "[::1]", 8080, "[::1]:8080", "/x", "",
			"http://[::1]:8080"},
		{"https://a_b.c-d?sv=1&sig=a%2Bb%3D?/", true, "a_b.c-d", 443, "a_b.c-d", "",
			"sv=1&sig=a%2Bb%3D?/", "https://a_b.c-d"},
		{"http://h/a//b/../c", false, "h", 80, "h", "/a//b/../c", "", "http://h"},
		{"http://h/-._~!$&'()*+,;=:@%41?", false, "h", 80, "h", "/-._~!$&'()*+,;=:@%41", "",
			"http://h"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct uri u;
		struct err err = {0};
		struct buf b;
		buf_init(&b, 1024);
		int rc = uri_parse(rows[i].text, &u, &err);
		if (rc != 0)
			print_error("%s: %s\n", rows[i].text, err.text);
		assert_int_equal(rc, 0);
		assert_int_equal(u.tls, rows[i].tls);
		assert_string_equal(u.host, rows[i].host);
		assert_int_equal(u.port, rows[i].port);
		assert_string_equal(u.authority, rows[i].authority);
		assert_string_equal(u.path, rows[i].path);
		assert_string_equal(u.query, rows[i].query);
		assert_int_equal(uri_origin(&u, &b), 0);
		assert_string_equal(buf_str(&b), rows[i].origin);
		buf_free(&b);
		uri_free(&u);
		uri_free(&u);
	}
}

static void what_is_no_url_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "http://"},
		{"secret", "http://"},
		{"secret.example/x", "http://"},
		{"ftp://secret", "http://"},
		{"http:/secret", "http://"},
		{" http://secret", "http://"},
		{"http://", "host"},
		{"http:///secret", "host"},
		{"http://:80/secret", "host"},
		{"http://sec ret", "host"},
		{"http://sec%72et", "host"},
		{"http://secr\xC3\xA9t", "host"},
		{"http://[secret]", "host"},
		{"http://[::1", "host"},
		{"http://[", "host"},
		{"http://[]", "host"},
		{"http://::1", "host"},
		{"http://[::1%25lo]", "host"},
		{"http://[::1]x:80", "host"},
		{"http://secret:secret@h", "user information"},
		{"http://h:", "port"},
		{"http://h:0", "port"},
		{"http://h:65536", "port"},
		{"http://h:8a", "port"},
		{"http://h:-1", "port"},
		{"http://h/secret#x", "fragment"},
		{"http://h/se cret", "percent-encoded"},
		{"http://h/secret\xC3\xA9", "percent-encoded"},
		{"http://h/secret%4", "percent-encoded"},
		{"http://h/secret%", "percent-encoded"},
		{"http://h/secret?%zz", "percent-encoded"},
		{"http://h/secret\n", "percent-encoded"},
		{"http://h/?secret\"", "percent-encoded"},
		{"http://h/[secret]", "percent-encoded"},
		{"http://h\\secret", "host"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct uri u;
		struct err err = {0};
		int rc = uri_parse(rows[i].text, &u, &err);
		if (rc == 0 || !strstr(err.text, rows[i].why))
			print_error("%s: %s\n", rows[i].text, err.text);
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.text, rows[i].why));
		assert_null(strstr(err.text, "secret"));
		uri_free(&u);
	}
}

static void hosts_have_a_longest_name(void **state)
{
	(void)state;
	char text[7 + 254 + 1];
	for (size_t n = 253; n <= 254; n++) {
		struct uri u;
		memset(text, 'a', sizeof text);
		memcpy(text, "http://", 7);
		text[7 + n] = '\0';
		assert_int_equal(uri_parse(text, &u, NULL), n == 253 ? 0 : -1);
		uri_free(&u);
	}
}

static void texts_are_encoded(void **state)
{
	(void)state;
	static const struct {
		const char *text, *path, *part;
	} rows[] = {
		{"", "", ""},
		{"AZaz09-._~", "AZaz09-._~", "AZaz09-._~"},
		{"/a b/../c", "/a%20b/../c", "%2Fa%20b%2F..%2Fc"},
		{"\xC3\xBC%+&=?#", "%C3%BC%25%2B%26%3D%3F%23", "%C3%BC%25%2B%26%3D%3F%23"},
		{"!$'()*,;:@\"\n\x7f", "%21%24%27%28%29%2A%2C%3B%3A%40%22%0A%7F",
			"%21%24%27%28%29%2A%2C%3B%3A%40%22%0A%7F"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b;
		buf_init(&b, 256);
		assert_int_equal(uri_encode_path(&b, rows[i].text), 0);
		assert_string_equal(buf_str(&b), rows[i].path);
		buf_reset(&b);
		assert_int_equal(uri_encode(&b, rows[i].text), 0);
		assert_string_equal(buf_str(&b), rows[i].part);
		char *encoded = buf_take(&b);
		assert_int_equal(uri_decode(&b, encoded, strlen(encoded)), 0);
		assert_string_equal(buf_str(&b), rows[i].text);
		free(encoded);
		buf_free(&b);
	}
}

static void escapes_are_decoded(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 256);
	assert_int_equal(uri_decode(&b, "a+b%2f%2F%20%c3%BC", 18), 0);
	assert_string_equal(buf_str(&b), "a+b// \xC3\xBC");
	static const char *const bad[] = {"%", "%4", "%4g", "%g4", "a%00b", "%%41"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		buf_reset(&b);
		assert_int_equal(uri_decode(&b, bad[i], strlen(bad[i])), -1);
	}
	/* Only so many bytes count. */
	buf_reset(&b);
	assert_int_equal(uri_decode(&b, "ab%41", 4), -1);
	buf_reset(&b);
	assert_int_equal(uri_decode(&b, "ab%41", 2), 0);
	assert_string_equal(buf_str(&b), "ab");
	assert_int_equal(uri_decode(&b, "a\0b", 3), -1);
	buf_free(&b);
	buf_init(&b, 1);
	assert_int_equal(uri_decode(&b, "ab", 2), -1);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(what_is_no_url_is_refused),
		cmocka_unit_test(hosts_have_a_longest_name),
		cmocka_unit_test(texts_are_encoded),
		cmocka_unit_test(escapes_are_decoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
