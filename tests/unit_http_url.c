/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "fcgi/http.h"
#include "tests/lib/http_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *params[16]; /* name, value, … */
	const char *url;
};

static struct config config = {
	.server_protocol = "http", .server_hostname = "dex.example.org", .server_port = 8080};

static void check(const struct row *row)
{
	struct app app = {.config = &config};
	struct http_memory m;
	struct http_request r;
	struct err err;
	struct buf url;

	http_memory_init(&m);
	buf_init(&url, 1024);
	for (size_t i = 0; i < 16 && row->params[i]; i += 2)
		http_memory_param(&m, row->params[i], row->params[i + 1]);
	http_begin(&r, &app, &http_memory_io, &m, HTTP_DRAIN_NONE, &err);
	assert_int_equal(http_base_url(&r, &url), 0);
	assert_string_equal(buf_str(&url), row->url);
	http_end(&r);
	buf_free(&url);
	http_memory_free(&m);
}

static void check_all(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(&rows[i]);
}
#define CHECK(rows) check_all((rows), sizeof(rows) / sizeof((rows)[0]))

static void the_web_server_tells_the_address(void **state)
{
	static const struct row rows[] = {
		{{NULL}, "http://dex.example.org:8080"},
		{{"HTTP_HOST", "a.org"}, "http://a.org"},
		{{"HTTP_HOST", "a.org:81", "HTTPS", "on"}, "https://a.org:81"},
		{{"HTTP_HOST", "a.org", "HTTPS", "off"}, "http://a.org"},
		{{"HTTP_HOST", "a.org", "REQUEST_SCHEME", "https"}, "https://a.org"},
		{{"HTTP_HOST", "[::1]:99"}, "http://[::1]:99"},
		{{"SERVER_NAME", "s.org", "SERVER_PORT", "81"}, "http://s.org:81"},
		{{"SERVER_NAME", "s.org", "SERVER_PORT", "80"}, "http://s.org"},
		{{"SERVER_NAME", "s.org", "SERVER_PORT", "443", "HTTPS", "on"}, "https://s.org"},
		{{"SERVER_NAME", "[::1]", "SERVER_PORT", "81"}, "http://[::1]:81"},
		{{"SERVER_NAME", "_", "SERVER_PORT", "81"}, "http://dex.example.org:8080"},
		{{"HTTP_HOST", "a.org", "SCRIPT_NAME", "/cgi-bin/dex", "PATH_INFO", "/files/"},
			"http://a.org/cgi-bin/dex"},
	};

	(void)state;
	CHECK(rows);
}

static void a_malformed_host_is_not_repeated(void **state)
{
	static const struct row rows[] = {
		{{"HTTP_HOST", "a.org/evil"}, "http://dex.example.org:8080"},
		{{"HTTP_HOST", "a.org\r\nX: y"}, "http://dex.example.org:8080"},
		{{"HTTP_HOST", "user@a.org"}, "http://dex.example.org:8080"},
		{{"HTTP_HOST", "<b>", "SERVER_NAME", "s.org", "SERVER_PORT", "80"}, "http://s.org"},
	};

	(void)state;
	CHECK(rows);
}

static void only_a_trusted_proxy_is_believed(void **state)
{
	static const char *const trusted =
		"10.0.0.0/9, 192.168.1.7,2001:db8::/33 ,nonsense/8,::1/129";
	static const struct {
		const char *remote;
		bool believed;
	} rows[] = {
		{"10.1.2.3", true},
		{"10.127.255.255", true},
		{"10.128.0.0", false},
		{"11.1.2.3", false},
		{"192.168.1.7", true},
		{"192.168.1.8", false},
		{"::ffff:10.1.2.3", true},
		{"2001:db8:7fff::1", true},
		{"2001:db8:8000::1", false},
		{"::1", false},
		{"", false},
		{"10.1.2.3, 8.8.8.8", false},
	};

	(void)state;
	config.trusted_proxies = trusted;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row row = {{"REMOTE_ADDR", rows[i].remote, "HTTP_HOST", "a.org",
						"HTTP_X_FORWARDED_PROTO", "https",
						"HTTP_X_FORWARDED_HOST", "f.org"},
			rows[i].believed ? "https://f.org" : "http://a.org"};
		check(&row);
	}
	config.trusted_proxies = "";
	static const struct row nobody = {{"REMOTE_ADDR", "127.0.0.1", "HTTP_HOST", "a.org",
						  "HTTP_X_FORWARDED_HOST", "f.org"},
		"http://a.org"};
	check(&nobody);
}

#define FROM_PROXY "REMOTE_ADDR", "127.0.0.1", "HTTP_HOST", "a.org"

static void the_proxy_tells_the_address(void **state)
{
	static const struct row rows[] = {
		{{FROM_PROXY, "HTTP_FORWARDED", "for=1.2.3.4;proto=https;host=f.org"},
			"https://f.org"},
		{{FROM_PROXY, "HTTP_FORWARDED", "Host=\"f.org:81\"; Proto=http, host=g.org"},
			"http://f.org:81"},
		{{FROM_PROXY, "HTTP_FORWARDED", "for=\"[::1]:4\";host=\"[::2]:5\""},
			"http://[::2]:5"},
		{{FROM_PROXY, "HTTP_FORWARDED", "for=1.2.3.4, host=g.org"}, "http://a.org"},
		{{FROM_PROXY, "HTTP_FORWARDED", ";;=;host"}, "http://a.org"},
		{{FROM_PROXY, "HTTP_FORWARDED", "host=\"f.org"}, "http://f.org"},
		{{FROM_PROXY, "HTTP_FORWARDED", "proto=gopher;host=\"a b\""}, "http://a.org"},
		{{FROM_PROXY, "HTTP_X_FORWARDED_PROTO", "https, http", "HTTP_X_FORWARDED_HOST",
			 "f.org, g.org"},
			"https://f.org"},
		{{FROM_PROXY, "HTTP_X_FORWARDED_HOST", "f.org", "HTTP_X_FORWARDED_PORT", "8443"},
			"http://f.org:8443"},
		{{FROM_PROXY, "HTTP_X_FORWARDED_HOST", "f.org:1", "HTTP_X_FORWARDED_PORT", "2"},
			"http://f.org:1"},
		{{FROM_PROXY, "HTTP_X_FORWARDED_HOST", "f.org", "HTTP_X_FORWARDED_PORT", "99999"},
			"http://f.org"},
		{{FROM_PROXY, "HTTP_X_FORWARDED_PROTO", "javascript"}, "http://a.org"},
	};

	(void)state;
	config.trusted_proxies = "127.0.0.1";
	CHECK(rows);
	config.trusted_proxies = NULL;
}

static void query_parameters_are_decoded(void **state)
{
	static const struct {
		const char *query, *name, *value; /* NULL: absent */
	} rows[] = {
		{"a=1&b=2", "b", "2"},
		{"a=1&b=2", "c", NULL},
		{"a=1&a=2", "a", "1"},
		{"a", "a", ""},
		{"a&b=x", "b", "x"},
		{"a=&b=x", "a", ""},
		{"a=b=c", "a", "b=c"},
		{"x=a%20b+c%2f", "x", "a b c/"},
		{"%61=1", "a", "1"},
		{"a=%zz%4", "a", "%zz%4"},
		{"&&a=1", "a", "1"},
		{"", "a", NULL},
		{NULL, "a", NULL},
	};
	struct app app = {.config = &config};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_memory m;
		struct http_request r;
		struct err err;
		struct buf value;
		http_memory_init(&m);
		buf_init(&value, 100);
		http_memory_param(&m, "QUERY_STRING", rows[i].query);
		http_begin(&r, &app, &http_memory_io, &m, HTTP_DRAIN_NONE, &err);
		int rc = http_query(&r, rows[i].name, &value);
		assert_int_equal(rc, rows[i].value ? 0 : -1);
		if (rows[i].value)
			assert_string_equal(buf_str(&value), rows[i].value);
		http_end(&r);
		buf_free(&value);
		http_memory_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_web_server_tells_the_address),
		cmocka_unit_test(a_malformed_host_is_not_repeated),
		cmocka_unit_test(only_a_trusted_proxy_is_believed),
		cmocka_unit_test(the_proxy_tells_the_address),
		cmocka_unit_test(query_parameters_are_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
