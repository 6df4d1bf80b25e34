/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/http.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "tests/lib/http_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct app app;
static struct http_memory m;
static struct http_request r;
static struct err err;

static int setup(void **state)
{
	static const struct config config = {.cors_origins = "*",
		.tus_path = "/files/",
		.server_protocol = "http",
		.server_hostname = "h",
		.server_port = 80};

	(void)state;
	app = (struct app){.config = &config};
	http_memory_init(&m);
	http_memory_param(&m, "REQUEST_METHOD", "GET");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_end(&r);
	http_memory_free(&m);
	return 0;
}

static void begin(enum http_drain drain)
{
	http_begin(&r, &app, &http_memory_io, &m, drain, &err);
}

static void path_and_prefix_come_from_path_info_or_script_name(void **state)
{
	static const struct {
		const char *script, *info, *path, *prefix;
	} rows[] = {
		{"/files/x", NULL, "/files/x", ""},
		{"/files/x", "", "/files/x", ""},
		{"/cgi-bin/dex", "/files/x", "/files/x", "/cgi-bin/dex"},
		{"", "/files/x", "/files/x", ""},
		{"/", "/files/x", "/files/x", ""},
		{"/files/x", "/files/x", "/files/x", ""},
		{NULL, NULL, "/", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		http_memory_param(&m, "SCRIPT_NAME", rows[i].script);
		http_memory_param(&m, "PATH_INFO", rows[i].info);
		begin(HTTP_DRAIN_NONE);
		assert_string_equal(r.path, rows[i].path);
		assert_string_equal(r.prefix, rows[i].prefix);
	}
}

static void a_body_is_expected_where_one_may_follow(void **state)
{
	static const struct {
		const char *method, *length, *encoding;
		int64_t content_length;
		bool has_body;
	} rows[] = {
		{"PATCH", "10", NULL, 10, true},
		{"PATCH", "0", NULL, 0, false},
		{"PATCH", "", "chunked", -1, true},
		{"PATCH", NULL, "chunked", -1, true},
		{"PATCH", NULL, NULL, -1, true},
		{"POST", "", NULL, -1, true},
		{"GET", NULL, NULL, -1, false},
		{"GET", "", "chunked", -1, true},
		{"HEAD", "", NULL, -1, false},
		{"DELETE", "7", NULL, 7, true},
		{"PATCH", "9223372036854775807", NULL, INT64_MAX, true},
		{"PATCH", "9223372036854775808", NULL, -1, true},
		{"PATCH", "-1", NULL, -1, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		http_memory_param(&m, "REQUEST_METHOD", rows[i].method);
		http_memory_param(&m, "CONTENT_LENGTH", rows[i].length);
		http_memory_param(&m, "HTTP_TRANSFER_ENCODING", rows[i].encoding);
		begin(HTTP_DRAIN_NONE);
		assert_int_equal(r.content_length, rows[i].content_length);
		assert_int_equal(r.has_body, rows[i].has_body);
	}
}

static void unknown_methods_are_other(void **state)
{
	static const char *const names[] = {"PUT", "get", "", "PATCHX", "PROPFIND"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		http_memory_param(&m, "REQUEST_METHOD", names[i]);
		begin(HTTP_DRAIN_NONE);
		assert_int_equal(r.method, HTTP_OTHER);
		assert_string_equal(r.method_name, "OTHER");
	}
}

static void headers_are_found_by_their_http_name(void **state)
{
	(void)state;
	http_memory_param(&m, "HTTP_UPLOAD_OFFSET", "5");
	http_memory_param(&m, "HTTP_UPLOAD_LENGTH", "");
	http_memory_param(&m, "CONTENT_TYPE", "a/b");
	begin(HTTP_DRAIN_NONE);
	assert_string_equal(http_header(&r, "Upload-Offset"), "5");
	assert_string_equal(http_header(&r, "content-type"), "a/b");
	assert_null(http_header(&r, "Upload-Length"));
	assert_string_equal(http_header_raw(&r, "Upload-Length"), "");
	assert_null(http_header_raw(&r, "Upload-Concat"));
	assert_null(http_header(
		&r, "A-Name-Longer-Than-Any-Header-This-Program-Will-Ever-Ask-The-Server-For"));
}

/* --- bodies --- */

static enum body_result read_some(struct buf *out)
{
	const void *data;
	size_t len;
	enum body_result result = http_read(&r, 0, -1, &data, &len);

	if (result == BODY_DATA)
		buf_add(out, data, len);
	return result;
}

static void a_body_ends_at_its_declared_length(void **state)
{
	struct buf got;

	(void)state;
	buf_init(&got, 100);
	http_memory_param(&m, "CONTENT_LENGTH", "5");
	http_memory_piece(&m, BODY_DATA, "abc");
	http_memory_piece(&m, BODY_WAIT, NULL);
	http_memory_piece(&m, BODY_DATA, "defgh");
	begin(HTTP_DRAIN_NONE);
	assert_int_equal(read_some(&got), BODY_DATA);
	assert_int_equal(read_some(&got), BODY_WAIT);
	assert_int_equal(read_some(&got), BODY_DATA);
	assert_false(r.body_ended);
	assert_int_equal(read_some(&got), BODY_END);
	assert_int_equal(read_some(&got), BODY_END);
	assert_true(r.body_ended);
	assert_string_equal(buf_str(&got), "abcde");
	assert_int_equal(r.body_read, 5);
	/* The end was known without asking the transport, where it might have waited. */
	assert_int_equal(m.reads, 3);
	buf_free(&got);
}

static void a_short_body_means_the_client_has_gone(void **state)
{
	struct buf got;

	(void)state;
	buf_init(&got, 100);
	http_memory_param(&m, "CONTENT_LENGTH", "5");
	http_memory_piece(&m, BODY_DATA, "abcd");
	http_memory_piece(&m, BODY_END, NULL);
	begin(HTTP_DRAIN_NONE);
	assert_int_equal(read_some(&got), BODY_DATA);
	assert_int_equal(read_some(&got), BODY_GONE);
	assert_int_equal(read_some(&got), BODY_GONE);
	assert_int_equal(r.body_read, 4);
	buf_free(&got);
}

static void a_chunked_body_ends_with_the_stream_unless_it_broke(void **state)
{
	static const enum body_result ends[] = {BODY_END, BODY_GONE};
	struct buf got;

	(void)state;
	buf_init(&got, 100);
	for (size_t i = 0; i < 2; i++) {
		http_memory_free(&m);
		http_memory_init(&m);
		http_memory_param(&m, "REQUEST_METHOD", "PATCH");
		http_memory_param(&m, "CONTENT_LENGTH", "");
		http_memory_piece(&m, BODY_DATA, "abcd");
		http_memory_piece(&m, ends[i], NULL);
		begin(HTTP_DRAIN_NONE);
		assert_int_equal(read_some(&got), BODY_DATA);
		assert_int_equal(read_some(&got), ends[i]);
		assert_int_equal(read_some(&got), ends[i]);
	}
	buf_free(&got);
}

static void a_request_without_body_reads_nothing(void **state)
{
	struct body_source source;
	const void *data;
	size_t len;

	(void)state;
	begin(HTTP_DRAIN_NONE);
	http_body_source(&r, &source);
	assert_int_equal(source.length, 0);
	assert_int_equal(source.next(source.arg, 1000, -1, &data, &len), BODY_END);
	assert_int_equal(m.reads, 0);
}

static void read_all_tells_why_it_failed(void **state)
{
	static const struct {
		const char *length;
		const char *data;
		enum body_result then;
		int code; /* enum err_code */
	} rows[] = {
		{"4", "abcd", BODY_END, ERR_NONE},
		{NULL, "abcd", BODY_END, ERR_NONE},
		{"9", "", BODY_END, ERR_TOO_LARGE},
		{NULL, "abcdefghi", BODY_END, ERR_TOO_LARGE},
		{"5", "abcd", BODY_END, ERR_PEER_GONE},
		{NULL, "abcd", BODY_GONE, ERR_PEER_GONE},
		{NULL, "abcd", BODY_WAIT, ERR_UNAVAILABLE},
		{NULL, "abcd", BODY_STOPPED, ERR_UNAVAILABLE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf got;
		buf_init(&got, 8);
		http_memory_free(&m);
		http_memory_init(&m);
		http_memory_param(&m, "REQUEST_METHOD", "POST");
		http_memory_param(&m, "CONTENT_LENGTH", rows[i].length);
		http_memory_piece(&m, BODY_DATA, rows[i].data);
		http_memory_piece(&m, rows[i].then, NULL);
		begin(HTTP_DRAIN_NONE);
		int rc = http_read_all(&r, &got, 8, &err);
		assert_int_equal(rc, rows[i].code == ERR_NONE ? 0 : -1);
		assert_int_equal(err.code, rows[i].code);
		buf_free(&got);
	}
}

/* --- answers --- */

static void finish(enum http_drain drain, int status, const char *text)
{
	begin(drain);
	if (text)
		http_text(&r, status, text);
	else
		http_status(&r, status);
	http_finish(&r);
}

static void an_answer_has_length_and_security_headers(void **state)
{
	(void)state;
	finish(HTTP_DRAIN_NONE, 200, "hello");
	assert_int_equal(strncmp(buf_str(&m.out), "Status: 200 OK\r\n", 16), 0);
	assert_string_equal(http_memory_header(&m, "Content-Length"), "5");
	assert_string_equal(http_memory_header(&m, "Content-Type"), "text/plain; charset=utf-8");
	assert_string_equal(http_memory_header(&m, "X-Content-Type-Options"), "nosniff");
	assert_string_equal(http_memory_header(&m, "Referrer-Policy"), "no-referrer");
	assert_string_equal(http_memory_header(&m, "Content-Security-Policy"),
		"default-src 'none'; frame-ancestors 'none'");
	assert_null(http_memory_header(&m, "Strict-Transport-Security"));
	assert_string_equal(http_memory_header(&m, "Cache-Control"), "no-store");
	assert_string_equal(http_memory_body(&m), "hello");
	assert_int_equal(m.writes, 1);
}

static void an_empty_201_has_a_length_and_204_has_none(void **state)
{
	(void)state;
	finish(HTTP_DRAIN_NONE, 201, NULL);
	assert_string_equal(http_memory_header(&m, "Content-Length"), "0");
	assert_null(http_memory_header(&m, "Content-Type"));
	http_end(&r);
	buf_reset(&m.out);
	finish(HTTP_DRAIN_NONE, 204, NULL);
	assert_int_equal(strncmp(buf_str(&m.out), "Status: 204 No Content\r\n", 24), 0);
	assert_null(http_memory_header(&m, "Content-Length"));
}

static void a_checksum_mismatch_has_its_reason(void **state)
{
	(void)state;
	finish(HTTP_DRAIN_NONE, 460, "x");
	assert_int_equal(strncmp(buf_str(&m.out), "Status: 460 Checksum Mismatch\r\n", 31), 0);
}

static void head_has_the_length_but_no_body(void **state)
{
	(void)state;
	http_memory_param(&m, "REQUEST_METHOD", "HEAD");
	finish(HTTP_DRAIN_NONE, 404, "hello");
	assert_string_equal(http_memory_header(&m, "Content-Length"), "5");
	assert_string_equal(http_memory_body(&m), "");
}

static void a_large_body_arrives_whole(void **state)
{
	size_t size = 900 * 1000;
	char *text = mem_alloc(size + 1);

	(void)state;
	memset(text, 'x', size);
	text[size] = '\0';
	finish(HTTP_DRAIN_NONE, 200, text);
	assert_string_equal(http_memory_header(&m, "Content-Length"), "900000");
	assert_string_equal(http_memory_body(&m), text);
	free(text);
}

static void a_body_beyond_the_limit_is_a_500(void **state)
{
	size_t size = 2 << 20;
	char *text = mem_alloc(size + 1);

	(void)state;
	memset(text, 'x', size);
	text[size] = '\0';
	finish(HTTP_DRAIN_NONE, 200, text);
	assert_int_equal(http_memory_status(&m), 500);
	free(text);
}

static void no_answer_is_a_500(void **state)
{
	(void)state;
	begin(HTTP_DRAIN_NONE);
	assert_true(http_finish(&r) > 0);
	assert_int_equal(http_memory_status(&m), 500);
}

static void a_header_value_cannot_begin_another_line(void **state)
{
	(void)state;
	begin(HTTP_DRAIN_NONE);
	http_status(&r, 200);
	http_add_header(&r, "Upload-Metadata", "%s", "a\r\nSet-Cookie: x");
	http_add_header(&r, "Location", "%s", "b\nc");
	http_add_header(&r, "Upload-Concat", "%s", "final;/files/\x7f");
	http_add_header(&r, "Upload-Offset", "%d", 7);
	http_add_header_once(&r, "upload-offset", "8");
	http_finish(&r);
	assert_null(http_memory_header(&m, "Upload-Metadata"));
	assert_null(http_memory_header(&m, "Set-Cookie"));
	assert_null(http_memory_header(&m, "Location"));
	assert_null(http_memory_header(&m, "Upload-Concat"));
	assert_string_equal(http_memory_header(&m, "Upload-Offset"), "7");
}

static void a_client_that_has_gone_is_told_to_the_caller(void **state)
{
	(void)state;
	begin(HTTP_DRAIN_NONE);
	http_text(&r, 200, "x");
	m.client_gone = true;
	assert_int_equal(http_finish(&r), -1);
}

static void an_early_answer_takes_what_its_server_needs(void **state)
{
	static const struct {
		enum http_drain drain;
		size_t reads; /* of pieces of 40,000 bytes */
	} rows[] = {{HTTP_DRAIN_NONE, 0}, {HTTP_DRAIN_SOME, 2}, {HTTP_DRAIN_ALL, 5}};
	char *piece = mem_alloc(40001);

	(void)state;
	memset(piece, 'x', 40000);
	piece[40000] = '\0';
	for (size_t i = 0; i < 3; i++) {
		http_memory_free(&m);
		http_memory_init(&m);
		http_memory_param(&m, "REQUEST_METHOD", "PATCH");
		http_memory_param(&m, "CONTENT_LENGTH", "200000");
		for (size_t k = 0; k < 5; k++)
			http_memory_piece(&m, BODY_DATA, piece);
		finish(rows[i].drain, 409, "x");
		assert_int_equal(m.reads, rows[i].reads);
		assert_int_equal(http_memory_status(&m), 409);
		http_end(&r);
	}
	free(piece);
	/* A client that stops sending does not keep the answer back for ever. */
	http_memory_free(&m);
	http_memory_init(&m);
	http_memory_param(&m, "REQUEST_METHOD", "PATCH");
	http_memory_param(&m, "CONTENT_LENGTH", "200000");
	http_memory_piece(&m, BODY_WAIT, NULL);
	finish(HTTP_DRAIN_ALL, 409, "x");
	assert_int_equal(m.reads, 1);
}

static void errors_have_their_status_and_code(void **state)
{
	static const struct {
		enum err_code code;
		int sys_errno;
		int status;
		const char *body; /* begins with */
	} rows[] = {
		{ERR_INVALID, 0, 400, "ERR_INVALID_REQUEST: the sentence\n"},
		{ERR_NOT_FOUND, 0, 404, "ERR_UPLOAD_NOT_FOUND: the sentence\n"},
		{ERR_CONFLICT, 0, 409, "ERR_MISMATCHED_OFFSET: the sentence\n"},
		{ERR_LOCKED, 0, 423, "ERR_UPLOAD_LOCKED: the sentence\n"},
		{ERR_GONE, 0, 410, "ERR_UPLOAD_GONE: the sentence\n"},
		{ERR_TOO_LARGE, 0, 413, "ERR_MAX_SIZE_EXCEEDED: the sentence\n"},
		{ERR_NO_SPACE, 28, 507, "ERR_NO_SPACE: there is no space"},
		{ERR_UNAVAILABLE, 0, 503, "ERR_SERVICE_UNAVAILABLE: the service is not ready"},
		{ERR_PEER_GONE, 0, 423, "ERR_UPLOAD_INTERRUPTED: the sentence\n"},
		{ERR_INTERRUPTED, 0, 423, "ERR_UPLOAD_INTERRUPTED: the sentence\n"},
		{ERR_DENIED, 0, 403, "ERR_FORBIDDEN: the sentence\n"},
		{ERR_UNSUPPORTED, 0, 501, "ERR_NOT_IMPLEMENTED: the sentence\n"},
		{ERR_CORRUPT, 0, 503, "ERR_SERVICE_UNAVAILABLE: "},
		{ERR_IO, 5, 503, "ERR_SERVICE_UNAVAILABLE: "},
		/* A file of ours that cannot be opened is not the client's fault. */
		{ERR_DENIED, 13, 503, "ERR_SERVICE_UNAVAILABLE: "},
		{ERR_NOT_FOUND, 2, 503, "ERR_SERVICE_UNAVAILABLE: "},
		{ERR_EXISTS, 17, 503, "ERR_SERVICE_UNAVAILABLE: "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct err e = {.code = rows[i].code,
			.sys_errno = rows[i].sys_errno,
			.text = "the sentence"};
		buf_reset(&m.out);
		begin(HTTP_DRAIN_NONE);
		http_error(&r, &e);
		http_finish(&r);
		assert_int_equal(http_memory_status(&m), rows[i].status);
		const char *body = http_memory_body(&m);
		assert_int_equal(strncmp(body, rows[i].body, strlen(rows[i].body)), 0);
		assert_non_null(r.code);
		assert_string_equal(r.err->text, "the sentence");
		const char *retry = http_memory_header(&m, "Retry-After");
		assert_int_equal(retry != NULL, rows[i].status == 503);
		http_end(&r);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(path_and_prefix_come_from_path_info_or_script_name),
		TEST(a_body_is_expected_where_one_may_follow),
		TEST(unknown_methods_are_other),
		TEST(headers_are_found_by_their_http_name),
		TEST(a_body_ends_at_its_declared_length),
		TEST(a_short_body_means_the_client_has_gone),
		TEST(a_chunked_body_ends_with_the_stream_unless_it_broke),
		TEST(a_request_without_body_reads_nothing),
		TEST(read_all_tells_why_it_failed),
		TEST(an_answer_has_length_and_security_headers),
		TEST(an_empty_201_has_a_length_and_204_has_none),
		TEST(a_checksum_mismatch_has_its_reason),
		TEST(head_has_the_length_but_no_body),
		TEST(a_large_body_arrives_whole),
		TEST(a_body_beyond_the_limit_is_a_500),
		TEST(no_answer_is_a_500),
		TEST(a_header_value_cannot_begin_another_line),
		TEST(a_client_that_has_gone_is_told_to_the_caller),
		TEST(an_early_answer_takes_what_its_server_needs),
		TEST(errors_have_their_status_and_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
