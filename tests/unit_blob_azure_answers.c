/* SPDX-License-Identifier: Apache-2.0 */
/* What the Azure store makes of answers that a test server seldom or never gives. */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "tests/lib/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "c2VjcmV0LWtleQ=="

struct step { /* the answer to one request; the last one is given to all that follow */
	const char *method;
	const char *query; /* part of it, NULL: any */
	int status;
	const char *code;   /* x-ms-error-code */
	const char *fields; /* "Name: value\n…" */
	const char *body;
	bool lost;      /* the connection is reset instead of an answer */
	bool same_list; /* the body is the list of blocks that was last committed */
	bool same_md5;  /* Content-MD5 of the body that was last put, written just now */
};

struct world {
	struct http_server *server;
	struct blob_store *s;
	struct err err;
	const struct step *steps;
	size_t nsteps, at;
	const char *wrong; /* a request came that was not the step's */
	struct buf list;   /* last body of a Put Block List */
	char md5[64];      /* of the last other body */
};

static void add_fields(struct http_server_answer *a, const char *fields)
{
	char *copy = mem_strdup(fields);
	for (char *line = copy; *line;) {
		size_t len = strcspn(line, "\n");
		char *next = line[len] ? line + len + 1 : line + len;
		line[len] = '\0';
		char *value = strstr(line, ": ");
		assert_non_null(value);
		*value = '\0';
		net_headers_set(&a->headers, line, value + 2);
		line = next;
	}
	free(copy);
}

/* The blocks of a Put Block List as those of a Get Block List. */
static void answer_list(const struct world *w, struct http_server_answer *a)
{
	buf_add_str(&a->body, "<BlockList><CommittedBlocks>");
	for (const char *p = buf_str(&w->list); (p = strstr(p, "<Latest>"));) {
		p += strlen("<Latest>");
		buf_printf(&a->body, "<Block><Name>%.*s</Name><Size>5</Size></Block>",
			(int)strcspn(p, "<"), p);
	}
	buf_add_str(&a->body, "</CommittedBlocks></BlockList>");
}

static void keep_body(struct world *w, const struct http_server_request *q)
{
	unsigned char sum[DIGEST_MAX];
	struct buf text;
	if (strstr(q->query, "comp=blocklist")) {
		buf_reset(&w->list);
		buf_add(&w->list, buf_str(&q->body), q->body.len);
		return;
	}
	buf_init(&text, sizeof(w->md5) - 1);
	struct digest *d = digest_new("md5");
	digest_update(d, buf_str(&q->body), q->body.len);
	str_base64_encode(&text, sum, digest_final(d, sum));
	digest_free(d);
	str_copy(w->md5, sizeof(w->md5), buf_str(&text));
	buf_free(&text);
}

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;
	const struct step *step = &w->steps[w->at];
	char date[CLOCK_HTTP_SIZE];
	if (w->at + 1 < w->nsteps)
		w->at++;
	if (!str_eq(q->method, step->method) || (step->query && !strstr(q->query, step->query)))
		w->wrong = step->method;
	if (str_eq(q->method, "PUT"))
		keep_body(w, q);
	a->status = step->status;
	if (step->lost) {
		a->fault = HTTP_SERVER_RESET;
		a->fault_after = -1;
	}
	net_headers_set(&a->headers, "Date", clock_http_date(date, clock_now()));
	if (step->code)
		net_headers_set(&a->headers, "x-ms-error-code", step->code);
	if (step->fields)
		add_fields(a, step->fields);
	if (step->body)
		buf_add_str(&a->body, step->body);
	if (step->same_list)
		answer_list(w, a);
	if (step->same_md5) {
		net_headers_set(&a->headers, "Content-MD5", w->md5);
		net_headers_set(&a->headers, "Last-Modified", date);
	}
}

static void script(struct world *w, const struct step *steps, size_t n)
{
	http_server_set(w->server, NULL, NULL);
	w->steps = steps;
	w->nsteps = n;
	w->at = 0;
	http_server_set(w->server, answer, w);
}
#define SCRIPT(w, ...)                                                   \
	do {                                                             \
		static const struct step steps_[] = {__VA_ARGS__};       \
		script((w), steps_, sizeof(steps_) / sizeof(steps_[0])); \
	} while (0)

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	char endpoint[128];
	buf_init(&w->list, 4096);
	w->server = http_server_start(NULL, NULL);
	snprintf(endpoint, sizeof(endpoint), "%s/account", http_server_url(w->server));
	struct blob_option opts[] = {
		{"endpoint", endpoint},
		{"storage_account", "account"},
		{"storage_key", SECRET},
		{"container_name", "container"},
		{"part_size", "64KiB"},
		{"request_timeout", "3s"},
	};
	w->s = blob_open(registry_find_blob("az-blob"), "azure", opts, 6, false, &w->err);
	if (!w->s)
		print_error("%s\n", w->err.text);
	*state = w;
	return w->s ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_close(w->s);
	http_server_stop(w->server);
	buf_free(&w->list);
	if (w->wrong)
		print_error("a request came where %s was due\n", w->wrong);
	int rc = w->wrong ? -1 : 0;
	free(w);
	return rc;
}

static void ok(struct world *w, int rc)
{
	if (rc != 0)
		fail_msg("%s", w->err.text);
}

static const struct http_server_request *sent(struct world *w, size_t back)
{
	return http_server_request(w->server, http_server_count(w->server) - 1 - back);
}

static void answers_become_errors(void **state)
{
	struct world *w = *state;
	static const struct {
		struct step step;
		enum err_code code;
	} rows[] = {
		{{.method = "HEAD", .status = 404, .code = "BlobNotFound"}, ERR_NOT_FOUND},
		{{.method = "HEAD", .status = 404}, ERR_NOT_FOUND},
		{{.method = "HEAD", .status = 404, .code = "ContainerNotFound"}, ERR_UNAVAILABLE},
		{{.method = "HEAD", .status = 403, .code = "AuthenticationFailed"}, ERR_DENIED},
		{{.method = "HEAD", .status = 401, .code = "NoAuthenticationInformation"},
			ERR_DENIED},
		{{.method = "HEAD", .status = 400, .code = "InvalidUri"}, ERR_INVALID},
		{{.method = "HEAD", .status = 409, .code = "ContainerBeingDeleted"},
			ERR_UNAVAILABLE},
		{{.method = "HEAD", .status = 413, .code = "RequestBodyTooLarge"}, ERR_TOO_LARGE},
		{{.method = "HEAD", .status = 501, .code = "APINotImplemented"}, ERR_UNSUPPORTED},
		{{.method = "HEAD", .status = 302}, ERR_IO},
		{{.method = "HEAD", .status = 505}, ERR_UNAVAILABLE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blob_stat st;
		script(w, &rows[i].step, 1);
		assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
		assert_int_equal(w->err.code, rows[i].code);
		assert_null(strstr(w->err.text, SECRET));
	}
}

static void the_service_s_words_are_passed_on(void **state)
{
	struct world *w = *state;
	char c;
	SCRIPT(w, {.method = "GET",
			  .status = 403,
			  .body = "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><Error>"
				  "<Code>AuthenticationFailed</Code><Message>Not you.\nRequestId:7"
				  "</Message><AuthenticationErrorDetail>signature</"
				  "AuthenticationErrorDetail></Error>"});
	assert_int_equal(blob_read(w->s, "k", 0, &c, 1, &w->err), -1);
	assert_string_equal(w->err.text, "azure: read k: AuthenticationFailed (403): Not you.");
}

static void short_answers_are_asked_for_again(void **state)
{
	struct world *w = *state;
	char got[16];
	SCRIPT(w,
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 2-6/100",
			.body = "he"},
		{.method = "GET", .status = 503, .code = "ServerBusy"},
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 2-6/100",
			.body = "hello"});
	assert_int_equal(blob_read(w->s, "k", 2, got, 5, &w->err), 5);
	assert_memory_equal(got, "hello", 5);
	assert_string_equal(net_headers_get(&sent(w, 0)->headers, "x-ms-range"), "bytes=2-6");
	/* The end of the object. */
	SCRIPT(w, {.method = "GET",
			  .status = 206,
			  .fields = "Content-Range: bytes 2-3/4",
			  .body = "he"});
	assert_int_equal(blob_read(w->s, "k", 2, got, 5, &w->err), 2);
}

static void answers_that_were_not_asked_for_are_refused(void **state)
{
	struct world *w = *state;
	char got[5];
	static const struct step bad[] = {
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 3-7/100",
			.body = "hello"},
		{.method = "GET", .status = 206, .body = "hello"},
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 2-6/*",
			.body = "hello"},
		{.method = "GET", .status = 200, .body = "hello"},
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 2-6/100",
			.body = "hello, and more"},
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 2-6/100",
			.body = "he"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		script(w, &bad[i], 1);
		assert_int_equal(blob_read(w->s, "k", 2, got, 5, &w->err), -1);
	}
}

#define GONE_ON                                                            \
	{                                                                  \
		.method = "PUT", .query = "comp=blocklist", .status = 412, \
		.code = "ConditionNotMet"                                  \
	}

static struct blob_writer *begin_anew(struct world *w)
{
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_RESUME, 0, NULL, 0, &w->err);
	if (!a)
		fail_msg("%s", w->err.text);
	ok(w, blob_append(a, "hello", 5, &w->err));
	return a;
}

static void a_commit_whose_answer_was_lost_is_recognised(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.method = "GET", .query = "blocklist", .status = 404, .code = "BlobNotFound"},
		{.method = "PUT", .query = "comp=block&", .status = 201},
		{.method = "PUT", .query = "comp=blocklist", .lost = true}, GONE_ON,
		{.method = "GET",
			.query = "blocklist",
			.status = 200,
			.fields = "ETag: \"0x1\"\nx-ms-blob-content-length: 5",
			.same_list = true});
	struct blob_writer *a = begin_anew(w);
	ok(w, blob_sync(a, &w->err));
	assert_string_equal(blob_token(a), "1 0x1 1 5 5 65536");
	blob_end(a);
}

static void a_commit_of_others_is_not_taken_for_ours(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.method = "GET", .query = "blocklist", .status = 404, .code = "BlobNotFound"},
		{.method = "PUT", .query = "comp=block&", .status = 201},
		{.method = "PUT", .query = "comp=blocklist", .lost = true}, GONE_ON,
		{.method = "GET",
			.query = "blocklist",
			.status = 200,
			.fields = "ETag: \"0x1\"\nx-ms-blob-content-length: 5",
			.body = "<BlockList><CommittedBlocks><Block><Name>b3RoZXI=</Name>"
				"<Size>5</Size></Block></CommittedBlocks></BlockList>"});
	struct blob_writer *a = begin_anew(w);
	assert_int_equal(blob_sync(a, &w->err), -1);
	assert_int_equal(w->err.code, ERR_CONFLICT);
	assert_string_equal(blob_token(a), "");
	blob_end(a);
}

static void a_put_whose_answer_was_lost_is_recognised(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {.method = "PUT", .lost = true},
		{.method = "PUT", .status = 409, .code = "BlobAlreadyExists"},
		{.method = "HEAD", .status = 200, .body = "hello", .same_md5 = true});
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_STAGE, 0, NULL, 0, &w->err);
	ok(w, blob_append(a, "hello", 5, &w->err));
	ok(w, blob_commit(a, NULL, &w->err));

	/* The same bytes, but from long ago: somebody else's. */
	SCRIPT(w, {.method = "PUT", .lost = true},
		{.method = "PUT", .status = 409, .code = "BlobAlreadyExists"},
		{.method = "HEAD",
			.status = 200,
			.body = "hello",
			.fields = "Content-MD5: XUFAKrxLKna5cZ2REBfFkg==\n"
				  "Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT"});
	a = blob_begin(w->s, "k", BLOB_STAGE, 0, NULL, 0, &w->err);
	ok(w, blob_append(a, "hello", 5, &w->err));
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	assert_string_equal(sent(w, 0)->method, "HEAD");

	/* Nothing was lost: nobody need look. */
	SCRIPT(w, {.method = "PUT", .status = 409, .code = "BlobAlreadyExists"});
	a = blob_begin(w->s, "k", BLOB_STAGE, 0, NULL, 0, &w->err);
	ok(w, blob_append(a, "hello", 5, &w->err));
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
}

#define PENDING                                                            \
	{                                                                  \
		.method = "PUT", .status = 202,                            \
		.fields = "x-ms-copy-id: an id\nx-ms-copy-status: pending" \
	}

static void a_copy_that_takes_its_time_is_waited_for(void **state)
{
	struct world *w = *state;
	SCRIPT(w, PENDING,
		{.method = "HEAD",
			.status = 200,
			.fields = "x-ms-copy-status: pending\nx-ms-copy-progress: 0/5"},
		{.method = "HEAD",
			.status = 200,
			.fields = "x-ms-copy-status: success",
			.body = "hello"});
	struct blob_source src = {w->s, "from", 5};
	ok(w, blob_copy_from(w->s, "k", &src, 1, NULL, NULL, NULL, &w->err));
	assert_int_equal(http_server_count(w->server), 4);
	const struct http_server_request *put = http_server_request(w->server, 0);
	assert_string_equal(net_headers_get(&put->headers, "If-None-Match"), "*");
	assert_non_null(strstr(
		net_headers_get(&put->headers, "x-ms-copy-source"), "/account/container/from"));
}

static int stop(void *arg, uint64_t done)
{
	assert_int_equal(done, 0);
	++*(int *)arg;
	return -1;
}

static void a_copy_that_ends_early_is_taken_away(void **state)
{
	struct world *w = *state;
	int calls = 0;
	struct blob_progress progress = {stop, &calls};
	struct blob_source src = {w->s, "from", 5};
	SCRIPT(w, PENDING, {.method = "HEAD", .status = 200, .fields = "x-ms-copy-status: pending"},
		{.method = "PUT", .query = "comp=copy&copyid=an%20id", .status = 204},
		{.method = "DELETE", .status = 202});
	assert_int_equal(blob_copy_from(w->s, "k", &src, 1, NULL, &progress, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INTERRUPTED);
	assert_int_equal(calls, 1);
	assert_string_equal(net_headers_get(&sent(w, 1)->headers, "x-ms-copy-action"), "abort");
	assert_string_equal(sent(w, 0)->method, "DELETE");

	SCRIPT(w, PENDING, {.method = "HEAD", .status = 200, .fields = "x-ms-copy-status: failed"},
		{.method = "PUT", .query = "comp=copy&copyid=an%20id", .status = 409},
		{.method = "DELETE", .status = 202});
	assert_int_equal(blob_copy_from(w->s, "k", &src, 1, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_string_equal(sent(w, 0)->method, "DELETE");
}

static void what_the_service_cannot_copy_goes_through_us(void **state)
{
	struct world *w = *state;
	struct blob_source src = {w->s, "from", 5};
	SCRIPT(w, {.method = "PUT", .status = 403, .code = "CannotVerifyCopySource"},
		{.method = "GET",
			.status = 206,
			.fields = "Content-Range: bytes 0-4/5",
			.body = "hello"},
		{.method = "PUT", .status = 201},
		{.method = "HEAD", .status = 200, .body = "hello"});
	ok(w, blob_copy_from(w->s, "k", &src, 1, NULL, NULL, NULL, &w->err));
	assert_string_equal(buf_str(&sent(w, 1)->body), "hello");
}

static void a_busy_service_is_unavailable_in_time(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	SCRIPT(w, {.method = "HEAD",
			  .status = 503,
			  .code = "ServerBusy",
			  .fields = "Retry-After: 30"});
	int64_t begun = clock_mono_ms();
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "ServerBusy (503)"));
	assert_true(clock_mono_ms() - begun < 10000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(answers_become_errors),
		TEST(the_service_s_words_are_passed_on),
		TEST(short_answers_are_asked_for_again),
		TEST(answers_that_were_not_asked_for_are_refused),
		TEST(a_commit_whose_answer_was_lost_is_recognised),
		TEST(a_commit_of_others_is_not_taken_for_ours),
		TEST(a_put_whose_answer_was_lost_is_recognised),
		TEST(a_copy_that_takes_its_time_is_waited_for),
		TEST(a_copy_that_ends_early_is_taken_away),
		TEST(what_the_service_cannot_copy_goes_through_us),
		TEST(a_busy_service_is_unavailable_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
