/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client against a server in this program. TLS is in unit_net_http_tls.c. */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "tests/lib/http_server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FAR_MS 60000

/* A client, a server, and the answers that it gives in turn; the last one is given for ever. */
struct world {
	struct http_server *server;
	struct net_http *http;
	const struct script {
		int status;
		const char *body;
		const char *field, *value; /* of the answer; NULL: none */
		enum http_server_fault fault;
		ssize_t fault_after;
		bool chunked;
		int64_t slow_ms;
		const char *raw;
	} * script;
	size_t nscript;
	size_t at;
	struct net_request r;
	struct net_response a;
	struct err err;
	struct buf url, sunk;
	int signs, agains, sink_fails_at;
	bool sign_fails;
};

#define SCRIPT(w, ...)                                        \
	set_script((w), (const struct script[]){__VA_ARGS__}, \
		sizeof((const struct script[]){__VA_ARGS__}) / sizeof(struct script))

static void follow_script(
	void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	(void)q;
	struct world *w = arg;
	const struct script *s = &w->script[w->at];
	w->at += w->at + 1 < w->nscript;
	a->status = s->status ? s->status : 200;
	a->fault = s->fault;
	a->fault_after = s->fault_after;
	a->chunked = s->chunked;
	a->slow_ms = s->slow_ms;
	a->raw = s->raw;
	if (s->field)
		net_headers_add(&a->headers, s->field, s->value);
	if (s->body)
		(void)buf_add_str(&a->body, s->body);
}

static void set_script(struct world *w, const struct script *script, size_t n)
{
	http_server_set(w->server, NULL, NULL);
	w->script = script;
	w->nscript = n;
	w->at = 0;
	http_server_set(w->server, follow_script, w);
}

static void make_client(struct world *w, const struct net_http_options *o)
{
	net_http_free(w->http);
	w->http = net_http_new(o);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	w->server = http_server_start(NULL, NULL);
	make_client(w, &(struct net_http_options){.connect_ms = FAR_MS, .stall_ms = FAR_MS});
	net_response_init(&w->a, 0);
	buf_init(&w->url, 4096);
	buf_init(&w->sunk, 1 << 20);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	net_http_free(w->http);
	http_server_stop(w->server);
	net_request_free(&w->r);
	net_response_free(&w->a);
	buf_free(&w->url);
	buf_free(&w->sunk);
	free(w);
	return 0;
}

/* A request to the server, to be sent before another one is made. */
static struct net_request *request(struct world *w, const char *method, const char *target)
{
	net_request_free(&w->r);
	buf_reset(&w->url);
	assert_int_equal(buf_printf(&w->url, "%s%s", http_server_url(w->server), target), 0);
	net_request_init(&w->r, method, w->url.data);
	w->r.deadline_ms = clock_mono_ms() + FAR_MS;
	return &w->r;
}

static void send_ok(struct world *w)
{
	int rc = net_http_send(w->http, &w->r, &w->a, &w->err);
	if (rc != 0)
		print_error("%s\n", w->err.text);
	assert_int_equal(rc, 0);
}

static void send_fails(struct world *w, enum err_code code)
{
	err_clear(&w->err);
	assert_int_equal(net_http_send(w->http, &w->r, &w->a, &w->err), -1);
	if (w->err.code != code)
		print_error("%s\n", w->err.text);
	assert_int_equal(w->err.code, code);
	assert_string_not_equal(w->err.text, "");
}

static const struct http_server_request *last(struct world *w)
{
	size_t n = http_server_count(w->server);
	assert_true(n > 0);
	return http_server_request(w->server, n - 1);
}

static void an_answer_comes_whole(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 404, .body = "not here", .field = "X-Thing", .value = "  a b\t "},
		{.body = "in pieces", .chunked = true},
		{.raw = "HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
			"HTTP/1.1 201 Created\r\nx-empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
			"2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"});
	request(w, "GET", "/a");
	net_headers_add(&w->r.headers, "X-Name", "value");
	net_headers_add(&w->r.headers, "X-None", "");
	send_ok(w);
	assert_int_equal(w->a.status, 404);
	assert_int_equal(w->a.tries, 1);
	assert_string_equal(buf_str(&w->a.body), "not here");
	assert_false(w->a.truncated);
	assert_string_equal(net_headers_get(&w->a.headers, "x-thing"), "a b");
	const struct http_server_request *q = last(w);
	assert_string_equal(q->method, "GET");
	assert_string_equal(q->target, "/a");
	assert_string_equal(net_headers_get(&q->headers, "X-Name"), "value");
	assert_string_equal(net_headers_get(&q->headers, "X-None"), "");
	assert_int_equal(strncmp(net_headers_get(&q->headers, "Host"), "127.0.0.1:", 10), 0);
	assert_int_equal(q->headers.n, 3);
	send_ok(w);
	assert_int_equal(w->a.status, 200);
	assert_string_equal(buf_str(&w->a.body), "in pieces");
	assert_null(net_headers_get(&w->a.headers, "X-Thing"));
	send_ok(w);
	assert_int_equal(w->a.status, 201);
	assert_string_equal(buf_str(&w->a.body), "ok");
	assert_string_equal(net_headers_get(&w->a.headers, "X-Empty"), "");
	assert_null(net_headers_get(&w->a.headers, "X-Interim"));
	assert_null(net_headers_get(&w->a.headers, "X-Trailer"));
}

static void bodies_are_sent_with_their_length(void **state)
{
	struct world *w = *state;
	size_t large = 3 << 20;
	char *data = mem_alloc(large);
	for (size_t i = 0; i < large; i++)
		data[i] = (char)(i * 31 >> 3);
	const struct {
		const char *method;
		const void *body;
		size_t len;
	} rows[] = {
		{"PUT", "abc", 3},
		{"PUT", NULL, 0},
		{"PUT", data, large},
		{"POST", "a\0b", 3},
		{"POST", NULL, 0},
		{"POST", data, large},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		request(w, rows[i].method, "/b");
		w->r.body = rows[i].body;
		w->r.body_len = rows[i].len;
		/* One of the caller's is not sent twice. */
		net_headers_add(&w->r.headers, "Content-Length", "77");
		send_ok(w);
		const struct http_server_request *q = last(w);
		assert_string_equal(q->method, rows[i].method);
		char length[32];
		snprintf(length, sizeof length, "%zu", rows[i].len);
		assert_string_equal(net_headers_get(&q->headers, "Content-Length"), length);
		assert_int_equal(q->headers.n, 2);
		assert_int_equal(q->body.len, rows[i].len);
		if (rows[i].len > 0)
			assert_memory_equal(q->body.data, rows[i].body, rows[i].len);
	}
	request(w, "PUT", "/b");
	net_headers_add(&w->r.headers, "content-type", "text/plain");
	send_ok(w);
	assert_string_equal(net_headers_get(&last(w)->headers, "Content-Type"), "text/plain");
	free(data);
}

static void methods_without_a_body(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.body = "twelve bytes"}, {.status = 204}, {.status = 200});
	request(w, "HEAD", "/h");
	send_ok(w);
	assert_string_equal(net_headers_get(&w->a.headers, "Content-Length"), "12");
	assert_string_equal(buf_str(&w->a.body), "");
	request(w, "DELETE", "/d");
	send_ok(w);
	assert_int_equal(w->a.status, 204);
	assert_string_equal(last(w)->method, "DELETE");
	assert_null(net_headers_get(&last(w)->headers, "Content-Length"));
	request(w, "GET", "/g");
	send_ok(w);
	assert_string_equal(last(w)->method, "GET");
	assert_int_equal(http_server_connections(w->server), 1);
}

static void a_target_is_sent_as_it_is(void **state)
{
	struct world *w = *state;
	static const char *const targets[] = {
		"/",
		"/a//b/../c/./%2e%2E/%2f~!$&'()*+,;=:@",
		"/?uploads",
		"/k?b=&a&c=%20+%2B&d=/?",
		"/..",
		"//double",
	};
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		request(w, "GET", targets[i]);
		send_ok(w);
		assert_string_equal(last(w)->target, targets[i]);
	}
	request(w, "GET", "");
	send_ok(w);
	assert_string_equal(last(w)->target, "/");
}

static void redirects_are_answers(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 307, .field = "Location", .value = "/elsewhere", .body = "x"});
	request(w, "GET", "/a");
	send_ok(w);
	assert_int_equal(w->a.status, 307);
	assert_int_equal(http_server_count(w->server), 1);
}

static int take(void *arg, const void *data, size_t len)
{
	struct world *w = arg;
	(void)buf_add(&w->sunk, data, len);
	return w->sink_fails_at > 0 && w->sunk.len >= (size_t)w->sink_fails_at ? -1 : 0;
}

static void sink(struct world *w, const char *target)
{
	request(w, "GET", target);
	w->r.sink = take;
	w->r.sink_arg = w;
	w->r.idempotent = true;
	buf_reset(&w->sunk);
}

static void a_sink_gets_what_was_asked_for_only(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 503, .body = "busy"}, {.status = 206, .body = "content"},
		{.status = 404, .body = "none"},
		{.body = "content", .fault = HTTP_SERVER_CUT, .fault_after = 3},
		{.body = "content", .fault = HTTP_SERVER_CUT, .fault_after = 0},
		{.body = "content"});
	sink(w, "/a");
	send_ok(w);
	assert_int_equal(w->a.status, 206);
	assert_int_equal(w->a.tries, 2);
	assert_string_equal(buf_str(&w->sunk), "content");
	assert_string_equal(buf_str(&w->a.body), "");
	sink(w, "/b");
	send_ok(w);
	assert_int_equal(w->a.status, 404);
	assert_string_equal(buf_str(&w->sunk), "");
	assert_string_equal(buf_str(&w->a.body), "none");
	/* What a sink has is not taken back; before its first byte there is nothing to take. */
	sink(w, "/c");
	send_fails(w, ERR_UNAVAILABLE);
	assert_int_equal(w->a.tries, 1);
	assert_string_equal(buf_str(&w->sunk), "con");
	sink(w, "/d");
	send_ok(w);
	assert_int_equal(w->a.tries, 2);
	assert_string_equal(buf_str(&w->sunk), "content");
	sink(w, "/e");
	w->sink_fails_at = 1;
	send_fails(w, ERR_INTERRUPTED);
	assert_int_equal(w->a.tries, 1);
}

static void a_body_is_cut_off_at_its_maximum(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 400, .body = "0123456789"});
	net_response_free(&w->a);
	static const struct {
		size_t max;
		const char *body;
		bool truncated;
	} rows[] = {{9, "012345678", true}, {10, "0123456789", false}, {11, "0123456789", false}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		net_response_init(&w->a, rows[i].max);
		request(w, "GET", "/a");
		send_ok(w);
		assert_int_equal(w->a.status, 400);
		assert_string_equal(buf_str(&w->a.body), rows[i].body);
		assert_int_equal(w->a.truncated, rows[i].truncated);
		net_response_free(&w->a);
	}
	net_response_init(&w->a, 0);
}

static void what_fails_on_the_way_is_tried_again(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 503, .field = "Retry-After", .value = "0", .body = "busy"},
		{.body = "content", .fault = HTTP_SERVER_CUT, .fault_after = 4},
		{.fault = HTTP_SERVER_RESET, .fault_after = -1}, {.body = "content"});
	request(w, "PUT", "/a");
	w->r.body = "abc";
	w->r.body_len = 3;
	w->r.idempotent = true;
	send_ok(w);
	assert_int_equal(w->a.status, 200);
	assert_int_equal(w->a.tries, 4);
	assert_string_equal(buf_str(&w->a.body), "content");
	assert_string_equal(buf_str(&last(w)->body), "abc");
	static const int passing[] = {429, 500, 502, 504};
	for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
		SCRIPT(w, {.status = passing[i]}, {.status = 204});
		request(w, "GET", "/b");
		w->r.idempotent = true;
		send_ok(w);
		assert_int_equal(w->a.status, 204);
		assert_int_equal(w->a.tries, 2);
	}
	static const int lasting[] = {400, 403, 404, 409, 412, 501};
	for (size_t i = 0; i < sizeof lasting / sizeof lasting[0]; i++) {
		SCRIPT(w, {.status = lasting[i]}, {.status = 204});
		request(w, "GET", "/c");
		w->r.idempotent = true;
		send_ok(w);
		assert_int_equal(w->a.status, lasting[i]);
		assert_int_equal(w->a.tries, 1);
	}
}

static void what_may_do_harm_is_not_tried_again(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 503, .body = "busy"},
		{.body = "content", .fault = HTTP_SERVER_CUT, .fault_after = 4},
		{.body = "content", .chunked = true, .fault = HTTP_SERVER_CUT, .fault_after = 4},
		{.fault = HTTP_SERVER_RESET, .fault_after = -1});
	request(w, "POST", "/a");
	send_ok(w);
	assert_int_equal(w->a.status, 503);
	assert_int_equal(w->a.tries, 1);
	for (int i = 0; i < 2; i++) {
		request(w, "POST", "/b");
		send_fails(w, ERR_UNAVAILABLE);
		assert_int_equal(w->a.tries, 1);
	}
	/* Lost on a connection of its own, and on one that was kept, which libcurl would repeat. */
	request(w, "POST", "/c");
	send_fails(w, ERR_UNAVAILABLE);
	assert_int_equal(w->a.tries, 1);
	SCRIPT(w, {.body = "x"}, {.fault = HTTP_SERVER_RESET, .fault_after = -1}, {.body = "y"});
	request(w, "POST", "/d");
	send_ok(w);
	send_fails(w, ERR_UNAVAILABLE);
	assert_int_equal(w->a.tries, 1);
	assert_int_equal(http_server_count(w->server), 6);
	w->r.idempotent = true;
	send_ok(w);
}

static void a_pause_beyond_the_deadline_is_not_begun(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 503, .field = "Retry-After", .value = "3600", .body = "busy"},
		{.status = 204});
	int64_t begun = clock_mono_ms();
	request(w, "GET", "/a");
	w->r.idempotent = true;
	send_ok(w);
	assert_int_equal(w->a.status, 503);
	assert_int_equal(w->a.tries, 1);
	assert_string_equal(buf_str(&w->a.body), "busy");
	assert_true(clock_mono_ms() - begun < FAR_MS);
	request(w, "GET", "/b");
	w->r.deadline_ms = clock_mono_ms();
	send_fails(w, ERR_UNAVAILABLE);
	assert_int_equal(http_server_count(w->server), 1);
}

static int sign(void *arg, struct net_request *r, int64_t now, struct err *err)
{
	struct world *w = arg;
	char value[32];
	if (w->sign_fails)
		return err_set(err, ERR_DENIED, __func__, "no key");
	assert_true(now > 0);
	snprintf(value, sizeof value, "signed %d", ++w->signs);
	net_headers_set(&r->headers, "Authorization", value);
	return 0;
}

static bool again(void *arg, const struct net_request *r, const struct net_response *a)
{
	struct world *w = arg;
	assert_ptr_equal(r, &w->r);
	w->agains++;
	return a->status == 403;
}

static void each_try_is_signed(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 503}, {.status = 403}, {.status = 200});
	request(w, "GET", "/a");
	w->r.sign = sign;
	w->r.again = again;
	w->r.sign_arg = w->r.again_arg = w;
	w->r.idempotent = true;
	send_ok(w);
	assert_int_equal(w->a.status, 200);
	assert_int_equal(w->a.tries, 3);
	for (size_t i = 0; i < 3; i++) {
		const struct http_server_request *q = http_server_request(w->server, i);
		char value[32];
		snprintf(value, sizeof value, "signed %zu", i + 1);
		assert_string_equal(net_headers_get(&q->headers, "Authorization"), value);
		assert_int_equal(q->headers.n, 2);
	}
	w->sign_fails = true;
	send_fails(w, ERR_DENIED);
	assert_int_equal(http_server_count(w->server), 3);
}

static void a_request_is_sent_again_twice_at_most(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.status = 403, .body = "clock"});
	request(w, "POST", "/a");
	w->r.again = again;
	w->r.again_arg = w;
	send_ok(w);
	assert_int_equal(w->a.status, 403);
	assert_int_equal(w->a.tries, 3);
	assert_string_equal(buf_str(&w->a.body), "clock");
	assert_int_equal(w->agains, 2);
}

static void silence_ends_a_request(void **state)
{
	struct world *w = *state;
	make_client(w, &(struct net_http_options){.stall_ms = 50});
	SCRIPT(w, {.fault = HTTP_SERVER_STALL, .fault_after = -1},
		{.body = "content", .fault = HTTP_SERVER_STALL, .fault_after = 3},
		{.body = "content"});
	request(w, "GET", "/a");
	send_fails(w, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "nothing was sent or received"));
	request(w, "GET", "/b");
	w->r.idempotent = true;
	send_ok(w);
	assert_int_equal(w->a.tries, 2);
	assert_string_equal(buf_str(&w->a.body), "content");
}

static void slowness_is_no_silence(void **state)
{
	struct world *w = *state;
	make_client(w, &(struct net_http_options){.stall_ms = 1500});
	SCRIPT(w, {.body = "one byte after the other", .slow_ms = 80});
	request(w, "GET", "/a");
	send_ok(w);
	assert_string_equal(buf_str(&w->a.body), "one byte after the other");
}

static void a_deadline_ends_a_request(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.fault = HTTP_SERVER_STALL, .fault_after = -1});
	request(w, "GET", "/a?secret=1");
	w->r.idempotent = true;
	w->r.deadline_ms = clock_mono_ms() + 300;
	send_fails(w, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "127.0.0.1:"));
	assert_null(strstr(w->err.text, "secret"));
}

static void nobody_listens(void **state)
{
	struct world *w = *state;
	request(w, "GET", "/a?secret=1");
	char place[32];
	snprintf(place, sizeof place, "127.0.0.1:%u: ", http_server_port(w->server));
	http_server_stop(w->server);
	w->server = NULL;
	send_fails(w, ERR_UNAVAILABLE);
	assert_int_equal(strncmp(w->err.text, place, strlen(place)), 0);
	assert_null(strstr(w->err.text, "secret"));
	/* The name is reserved for being unknown (RFC 6761). */
	w->r.url = "http://no-such-host.invalid/x?secret=1";
	send_fails(w, ERR_UNAVAILABLE);
	assert_null(strstr(w->err.text, "secret"));
}

static void what_is_no_request_is_not_sent(void **state)
{
	struct world *w = *state;
	static const char *const urls[] = {"", "127.0.0.1/x", "ftp://127.0.0.1/", "http:///x",
		"http://user:secret@127.0.0.1/", "http://127.0.0.1/a b", "http://127.0.0.1/#f"};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		request(w, "GET", "/");
		w->r.url = urls[i];
		w->r.idempotent = true;
		send_fails(w, ERR_INVALID);
		assert_null(strstr(w->err.text, "secret"));
	}
	request(w, "BREW", "/");
	send_fails(w, ERR_INVALID);
	request(w, "GET", "/");
	w->r.body = "x";
	w->r.body_len = 1;
	send_fails(w, ERR_INVALID);
	assert_int_equal(http_server_count(w->server), 0);
}

static void answers_that_are_none(void **state)
{
	struct world *w = *state;
	static char many[128 * 8 + 64];
	int at = snprintf(many, sizeof many, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 101; i++)
		at += snprintf(many + at, sizeof many - (size_t)at, "a: b\r\n");
	snprintf(many + at, sizeof many - (size_t)at, "\r\n");
	SCRIPT(w, {.raw = "nonsense\r\n\r\n"}, {.raw = "HTTP/1.1 200 OK\r\nContent-"},
		{.raw = many});
	for (int i = 0; i < 3; i++) {
		request(w, "GET", "/");
		send_fails(w, ERR_UNAVAILABLE);
	}
}

static void a_connection_that_was_closed_is_made_anew(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.body = "x", .fault = HTTP_SERVER_CUT, .fault_after = 1});
	for (int i = 0; i < 3; i++) {
		request(w, "GET", "/");
		w->r.idempotent = true;
		send_ok(w);
		/* Whether the end was seen before or after it was sent is a matter of luck. */
		assert_in_range(w->a.tries, 1, i == 0 ? 1 : 2);
	}
	assert_int_equal(http_server_connections(w->server), 3);
}

/* libcurl sends it again by itself; who asks whether it was sent once must hear of it. */
static void what_libcurl_repeats_is_counted(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.body = "x"}, {.fault = HTTP_SERVER_RESET, .fault_after = -1}, {.body = "y"});
	request(w, "PUT", "/a");
	w->r.idempotent = true;
	send_ok(w);
	assert_int_equal(w->a.tries, 1);
	send_ok(w);
	assert_int_equal(w->a.tries, 2);
	assert_int_equal(http_server_count(w->server), 3);
}

static void only_a_given_proxy_is_used(void **state)
{
	struct world *w = *state;
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("no_proxy", "*", 1), 0);
	request(w, "GET", "/direct");
	send_ok(w);
	assert_string_equal(last(w)->target, "/direct");
	make_client(w, &(struct net_http_options){.proxy = http_server_url(w->server)});
	w->r.url = "http://far.invalid/x?y";
	send_ok(w);
	assert_string_equal(last(w)->target, "http://far.invalid/x?y");
	assert_int_equal(unsetenv("http_proxy"), 0);
	assert_int_equal(unsetenv("no_proxy"), 0);
}

#define THREADS 8
#define PER_THREAD 25

static void *many_requests(void *arg)
{
	struct world *w = arg;
	char *url = mem_strdup(http_server_url(w->server));
	size_t failed = 0;
	for (int i = 0; i < PER_THREAD; i++) {
		struct net_request r;
		struct net_response a;
		net_request_init(&r, "GET", url);
		net_response_init(&a, 0);
		failed += net_http_send(w->http, &r, &a, NULL) != 0 || a.status != 200 ||
			  !str_eq(buf_str(&a.body), "x");
		net_request_free(&r);
		net_response_free(&a);
	}
	free(url);
	return failed ? w : NULL;
}

static void threads_share_connections(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.body = "x"});
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_requests, w), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failed;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(http_server_count(w->server), THREADS * PER_THREAD);
	assert_in_range(http_server_connections(w->server), 1, THREADS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(an_answer_comes_whole),
		T(bodies_are_sent_with_their_length),
		T(methods_without_a_body),
		T(a_target_is_sent_as_it_is),
		T(redirects_are_answers),
		T(a_sink_gets_what_was_asked_for_only),
		T(a_body_is_cut_off_at_its_maximum),
		T(what_fails_on_the_way_is_tried_again),
		T(what_may_do_harm_is_not_tried_again),
		T(a_pause_beyond_the_deadline_is_not_begun),
		T(each_try_is_signed),
		T(a_request_is_sent_again_twice_at_most),
		T(silence_ends_a_request),
		T(slowness_is_no_silence),
		T(a_deadline_ends_a_request),
		T(nobody_listens),
		T(what_is_no_request_is_not_sent),
		T(answers_that_are_none),
		T(a_connection_that_was_closed_is_made_anew),
		T(what_libcurl_repeats_is_counted),
		T(only_a_given_proxy_is_used),
		T(threads_share_connections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
