/* SPDX-License-Identifier: Apache-2.0 */
/* The S3 store against a server in this program, which answers what a real one rarely does. */
#include "backends/blob_s3_list.h"
#include "backends/blob_s3_multipart.h"
#include "backends/blob_s3_object.h"
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "tests/lib/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ERROR(code) \
	"<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>why</Message></Error>"

struct answer {
	int status;
	const char *body;
	const char *field, *value; /* NULL: none */
	enum http_server_fault fault;
	ssize_t fault_after;
};

struct world {
	struct http_server *server;
	struct blob_store *s;
	struct blob_s3_store *s3;    /* the same */
	const struct answer *script; /* the last one is given for ever */
	size_t nscript, at;
	int64_t modified; /* Last-Modified of every answer; 0: none */
	struct err err;
};

#define SCRIPT(w, ...)                                                                        \
	((w)->script = (const struct answer[]){__VA_ARGS__},                                  \
		(w)->nscript =                                                                \
			sizeof((const struct answer[]){__VA_ARGS__}) / sizeof(struct answer), \
		(w)->at = 0)

static void follow_script(
	void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;
	(void)q;
	if (w->nscript == 0)
		return;
	const struct answer *s = &w->script[w->at];
	w->at += w->at + 1 < w->nscript;
	a->status = s->status;
	a->fault = s->fault;
	a->fault_after = s->fault_after;
	if (w->modified) {
		char date[CLOCK_HTTP_SIZE];
		net_headers_add(&a->headers, "Last-Modified", clock_http_date(date, w->modified));
	}
	if (s->field)
		net_headers_add(&a->headers, s->field, s->value);
	if (s->body)
		(void)buf_add_str(&a->body, s->body);
}

static void open_store(struct world *w, const char *session, const char *timeout)
{
	struct blob_option opts[] = {
		{"endpoint", http_server_url(w->server)},
		{"bucket_name", "bucket"},
		{"folder", "in"},
		{"access_key_id", "AKID"},
		{"secret_access_key", "very-secret"},
		{"session_token", session},
		{"request_timeout", timeout},
	};
	blob_close(w->s);
	w->s = blob_open(registry_find_blob("s3"), "s3", opts, 7, true, &w->err);
	assert_non_null(w->s);
	w->s3 = (struct blob_s3_store *)w->s;
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->server = http_server_start(follow_script, w);
	open_store(w, "", "20s");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_close(w->s);
	http_server_stop(w->server);
	free(w);
	return 0;
}

static const char *sent(struct world *w, size_t i, const char *field)
{
	assert_true(i < http_server_count(w->server));
	return net_headers_get(&http_server_request(w->server, i)->headers, field);
}

static int put(struct world *w, const char *key, const char *text, bool fresh)
{
	return blob_s3_object_put(w->s3, key, text, strlen(text), NULL, fresh, &w->err);
}

static void requests_are_signed_with_their_body(void **state)
{
	struct world *w = *state;
	assert_int_equal(put(w, "a b", "abc", true), 0);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(q->target, "/bucket/in/a%20b");
	assert_string_equal(sent(w, 0, "x-amz-content-sha256"),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(sent(w, 0, "if-none-match"), "*");
	assert_non_null(strstr(sent(w, 0, "authorization"), "Credential=AKID/"));
	assert_null(sent(w, 0, "x-amz-security-token"));
}

static void a_wrong_clock_is_set_by_the_answer(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	static const struct answer refusals[] = {
		{403, ERROR("RequestTimeTooSkewed"), "Date", NULL, HTTP_SERVER_FINE, 0},
		{403, NULL, "Date", NULL, HTTP_SERVER_FINE, 0}, /* as to a HEAD */
	};
	for (size_t i = 0; i < 2; i++) {
		char there[CLOCK_HTTP_SIZE], stamp[17];
		struct clock_civil c;
		open_store(w, "", "20s");
		clock_http_date(there, clock_now() + 400 * 86400 * CLOCK_US_PER_S);
		struct answer refused = refusals[i];
		refused.value = there;
		size_t before = http_server_count(w->server);
		SCRIPT(w, refused, {200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0});
		assert_int_equal(blob_stat(w->s, "k", &st, &w->err), 0);
		assert_int_equal(http_server_count(w->server), before + 2);
		clock_civil(clock_now() + 400 * 86400 * CLOCK_US_PER_S, &c);
		snprintf(stamp, sizeof(stamp), "%04d%02d%02dT", c.year, c.month, c.day);
		assert_false(str_starts(sent(w, before, "x-amz-date"), stamp));
		assert_true(str_starts(sent(w, before + 1, "x-amz-date"), stamp));
		/* From then on. */
		assert_int_equal(blob_stat(w->s, "k", &st, &w->err), 0);
		assert_int_equal(http_server_count(w->server), before + 3);
		assert_true(str_starts(sent(w, before + 2, "x-amz-date"), stamp));
	}
}

/* It may be seconds that make the difference. */
static void a_service_that_says_so_is_believed(void **state)
{
	struct world *w = *state;
	char now[CLOCK_HTTP_SIZE];
	clock_http_date(now, clock_now());
	SCRIPT(w, {403, ERROR("RequestTimeTooSkewed"), "Date", now, HTTP_SERVER_FINE, 0},
		{200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(put(w, "k", "x", false), 0);
	SCRIPT(w, {403, ERROR("RequestTimeTooSkewed"), "Date", now, HTTP_SERVER_FINE, 0});
	assert_int_equal(put(w, "k", "x", false), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_int_equal(http_server_count(w->server), 4);
}

static void a_right_clock_is_left_alone(void **state)
{
	struct world *w = *state;
	char now[CLOCK_HTTP_SIZE];
	clock_http_date(now, clock_now());
	SCRIPT(w, {403, ERROR("AccessDenied"), "Date", now, HTTP_SERVER_FINE, 0});
	assert_int_equal(put(w, "k", "x", false), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_int_equal(http_server_count(w->server), 1);
}

static void keys_that_have_ended_are_fetched_once_more(void **state)
{
	struct world *w = *state;
	open_store(w, "session-secret", "20s");
	SCRIPT(w, {400, ERROR("ExpiredToken"), NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(put(w, "k", "x", false), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_int_equal(http_server_count(w->server), 2);
	assert_string_equal(sent(w, 1, "x-amz-security-token"), "session-secret");
	assert_non_null(strstr(w->err.text, "ExpiredToken: why"));
	assert_null(strstr(w->err.text, "secret"));
}

static void failures_have_their_codes(void **state)
{
	struct world *w = *state;
	static const struct {
		int status;
		const char *body;
		enum err_code code;
	} rows[] = {
		{404, ERROR("NoSuchKey"), ERR_NOT_FOUND},
		{404, ERROR("NoSuchBucket"), ERR_UNAVAILABLE},
		{404, ERROR("NoSuchUpload"), ERR_GONE},
		{403, ERROR("AccessDenied"), ERR_DENIED},
		{403, ERROR("SignatureDoesNotMatch"), ERR_DENIED},
		{401, NULL, ERR_DENIED},
		{400, ERROR("InvalidRequest"), ERR_INVALID},
		{400, ERROR("EntityTooLarge"), ERR_TOO_LARGE},
		{413, NULL, ERR_TOO_LARGE},
		{400, ERROR("InvalidPart"), ERR_CORRUPT},
		{412, ERROR("PreconditionFailed"), ERR_EXISTS},
		{403, ERROR("QuotaExceeded"), ERR_NO_SPACE},
		{507, NULL, ERR_NO_SPACE},
		{501, ERROR("NotImplemented"), ERR_UNSUPPORTED},
		{503, ERROR("SlowDown"), ERR_UNAVAILABLE},
		{500, "not XML", ERR_UNAVAILABLE},
		{301, ERROR("PermanentRedirect"), ERR_INVALID},
		{200, ERROR("InternalError"), ERR_UNAVAILABLE},
		{200, "<Error><broken", ERR_UNAVAILABLE},
		{400, "<Error><Code>a\nb\x7f</Code></Error>", ERR_INVALID},
	};
	open_store(w, "", "200ms");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SCRIPT(w, {rows[i].status, rows[i].body, NULL, NULL, HTTP_SERVER_FINE, 0});
		assert_int_equal(put(w, "k", "x", false), -1);
		assert_int_equal(w->err.code, rows[i].code);
		assert_int_equal(strncmp(w->err.text, "k: ", 3), 0);
		assert_false(str_has_control(w->err.text, strlen(w->err.text)));
		assert_null(strstr(w->err.text, "Signature="));
	}
}

static void a_missing_bucket_is_told_from_a_missing_key(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	SCRIPT(w, {404, NULL, NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "\"bucket\""));
	assert_string_equal(http_server_request(w->server, 1)->target, "/bucket");
	SCRIPT(w, {404, NULL, NULL, NULL, HTTP_SERVER_FINE, 0},
		{200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0},
		{404, NULL, NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	assert_int_equal(http_server_count(w->server), 4);
	/* It is not looked for again. */
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	assert_int_equal(http_server_count(w->server), 5);
}

#define REFUSED                                                                   \
	{                                                                         \
		412, ERROR("PreconditionFailed"), NULL, NULL, HTTP_SERVER_FINE, 0 \
	}
#define LOST                                                \
	{                                                   \
		200, "x", NULL, NULL, HTTP_SERVER_RESET, -1 \
	}

/* The request went through and its answer was lost: the second one finds the object there. */
static void a_lost_answer_is_no_conflict(void **state)
{
	struct world *w = *state;
	static const struct answer ours = {
		200, "abc", "ETag", "\"900150983cd24fb0d6963f7d28e17f72\"", HTTP_SERVER_FINE, 0};
	static const struct answer others = {
		200, "abd", "ETag", "\"4911e516e5aa21d327512e0c8b197616\"", HTTP_SERVER_FINE, 0};
	SCRIPT(w, LOST, REFUSED, ours);
	assert_int_equal(put(w, "k", "abc", true), 0);
	assert_int_equal(http_server_count(w->server), 3);
	/* On a connection that was used before the client's library repeats it unseen. */
	w->modified = clock_now();
	SCRIPT(w, LOST, REFUSED, ours);
	assert_int_equal(put(w, "k", "abc", true), 0);
	SCRIPT(w, LOST, REFUSED, others);
	assert_int_equal(put(w, "k", "abc", true), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	/* It was there before, and is the same by chance. */
	w->modified = clock_now() - 3600 * CLOCK_US_PER_S;
	SCRIPT(w, REFUSED, ours);
	assert_int_equal(put(w, "k", "abc", true), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	SCRIPT(w, REFUSED, {404, NULL, NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(put(w, "k", "abc", true), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
}

static void services_without_conditions_are_remembered(void **state)
{
	struct world *w = *state;
	static const int refusals[] = {501, 400};
	for (size_t i = 0; i < 2; i++) {
		size_t before = http_server_count(w->server);
		open_store(w, "", "20s");
		SCRIPT(w, {refusals[i], ERROR("NotImplemented"), NULL, NULL, HTTP_SERVER_FINE, 0},
			{404, NULL, NULL, NULL, HTTP_SERVER_FINE, 0}, /* HEAD */
			{200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0}, /* of the bucket */
			{200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0},
			{404, NULL, NULL, NULL, HTTP_SERVER_FINE, 0}, /* HEAD */
			{200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0},
			{200, NULL, NULL, NULL, HTTP_SERVER_FINE, 0}); /* HEAD: it is there */
		assert_int_equal(put(w, "k", "abc", true), 0);
		assert_int_equal(http_server_count(w->server), before + 4);
		assert_null(sent(w, before + 3, "if-none-match"));
		assert_int_equal(put(w, "k", "abc", true), 0);
		assert_int_equal(http_server_count(w->server), before + 6);
		assert_null(sent(w, before + 5, "if-none-match"));
		assert_int_equal(put(w, "k", "abc", true), -1);
		assert_int_equal(w->err.code, ERR_EXISTS);
		assert_int_equal(http_server_count(w->server), before + 7);
	}
}

static void reads_that_break_off_begin_anew(void **state)
{
	struct world *w = *state;
	char got[8];
	SCRIPT(w, {206, "cdefgh", "Content-Range", "bytes 2-7/100", HTTP_SERVER_CUT, 3},
		{206, "cdefgh", "Content-Range", "bytes 2-7/100", HTTP_SERVER_RESET, 5},
		{206, "CDEFGH", "Content-Range", "bytes 2-7/100", HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_read(w->s, "k", 2, got, 6, &w->err), 6);
	assert_memory_equal(got, "CDEFGH", 6);
	assert_string_equal(sent(w, 2, "range"), "bytes=2-7");
	/* The end of the object; beyond it; a service that knows no ranges. */
	SCRIPT(w, {206, "xyz", "Content-Range", "bytes 2-4/5", HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_read(w->s, "k", 2, got, 6, &w->err), 3);
	SCRIPT(w, {416, ERROR("InvalidRange"), NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_read(w->s, "k", 200, got, 6, &w->err), 0);
	SCRIPT(w, {200, "xyz", NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_read(w->s, "k", 0, got, 6, &w->err), 3);
}

static void reads_of_something_else_fail(void **state)
{
	struct world *w = *state;
	char got[8];
	static const struct answer rows[] = {
		{206, "abcdef", "Content-Range", "bytes 0-5/100", HTTP_SERVER_FINE, 0},
		{206, "abc", "Content-Range", "bytes 2-4/100", HTTP_SERVER_FINE, 0},
		{206, "abc", "Content-Range", "bytes 2-7/100", HTTP_SERVER_FINE, 0},
		{206, "abcdef", "Content-Range", "bytes 2-7/*", HTTP_SERVER_FINE, 0},
		{206, "abcdef", "Content-Range", "2-7/100", HTTP_SERVER_FINE, 0},
		{206, "abcdef", NULL, NULL, HTTP_SERVER_FINE, 0},
		{206, "abcdefgh", "Content-Range", "bytes 2-9/100", HTTP_SERVER_FINE, 0},
		{200, "abcdef", NULL, NULL, HTTP_SERVER_FINE, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w->script = &rows[i];
		w->nscript = 1;
		w->at = 0;
		assert_int_equal(blob_read(w->s, "k", 2, got, 6, &w->err), -1);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	}
}

static int count_one(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	int *n = arg;
	(void)err;
	assert_string_equal(item->key, *n == 0 ? "a b+c" : "\xc3\xa9/\x01");
	assert_int_equal(item->size, *n == 0 ? 7 : 8);
	assert_string_equal(item->etag, "e");
	assert_int_equal(item->time, INT64_C(1255369830500000));
	++*n;
	return 0;
}

#define ENTRY(key, size)                                                                    \
	"<Contents><Key>" key "</Key><LastModified>2009-10-12T17:50:30.500Z</LastModified>" \
	"<ETag>&quot;e&quot;</ETag><Size>" size "</Size></Contents>"
#define LIST(text)                                                                         \
	"<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/\">" \
	"<EncodingType>url</EncodingType>" text "</ListBucketResult>"

static void listings_go_on_page_after_page(void **state)
{
	struct world *w = *state;
	int n = 0;
	SCRIPT(w,
		{200,
			LIST("<IsTruncated>true</IsTruncated>" ENTRY("in/a+b%2Bc", "7") ENTRY(
				"elsewhere",
				"1") "<NextContinuationToken>to+ken=</NextContinuationToken>"),
			NULL, NULL, HTTP_SERVER_FINE, 0},
		{200, LIST("<IsTruncated>false</IsTruncated>" ENTRY("in/%C3%A9/%01", "8")), NULL,
			NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(blob_s3_list_objects(w->s3, "x/y", count_one, &n, &w->err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(http_server_count(w->server), 2);
	const char *query = http_server_request(w->server, 1)->query;
	assert_non_null(strstr(query, "prefix=in%2Fx%2Fy"));
	assert_non_null(strstr(query, "continuation-token=to%2Bken%3D"));
}

static void listings_that_make_no_sense_fail(void **state)
{
	struct world *w = *state;
	static const char *const rows[] = {
		"",
		"<ListBucketResult>",
		"<html></html>",
		LIST("<IsTruncated>true</IsTruncated>"),
		LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>x</"
		     "NextContinuationToken>"),
		LIST(ENTRY("in/k", "-1")),
		LIST(ENTRY("in/k", "99999999999999999999")),
		LIST(ENTRY("in/%zz", "1")),
		LIST(ENTRY("in/%00", "1")),
		"<!DOCTYPE x><ListBucketResult></ListBucketResult>",
	};
	int n = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SCRIPT(w, {200, rows[i], NULL, NULL, HTTP_SERVER_FINE, 0});
		assert_int_equal(blob_s3_list_objects(w->s3, "", count_one, &n, &w->err), -1);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	}
	assert_int_equal(n, 0);
}

static void strange_upload_ids_are_refused(void **state)
{
	struct world *w = *state;
	char upload[BLOB_S3_TOKEN_UPLOAD_MAX + 1];
	static const char *const ids[] = {"", "a b", "-", "\xc3\xa9"};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char body[256];
		snprintf(body, sizeof(body),
			"<InitiateMultipartUploadResult><UploadId>%s</UploadId>"
			"</InitiateMultipartUploadResult>",
			ids[i]);
		SCRIPT(w, {200, body, NULL, NULL, HTTP_SERVER_FINE, 0});
		assert_int_equal(blob_s3_multipart_create(w->s3, "k", NULL, upload, &w->err), -1);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_string_equal(upload, "");
	}
}

static int complete(struct world *w, bool fresh)
{
	struct blob_s3_etags e = {0};
	blob_s3_multipart_add_etag(&e, "900150983cd24fb0d6963f7d28e17f72");
	blob_s3_multipart_add_etag(&e, "4911e516e5aa21d327512e0c8b197616");
	int rc = blob_s3_multipart_complete(w->s3, "k", "u", &e, 3, fresh, &w->err);
	blob_s3_multipart_free_etags(&e);
	return rc;
}

static void completions_are_looked_at_twice(void **state)
{
	struct world *w = *state;
	/* An error that comes as a success, and may pass. */
	SCRIPT(w, {200, ERROR("InternalError"), NULL, NULL, HTTP_SERVER_FINE, 0},
		{200, "<CompleteMultipartUploadResult/>", NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(complete(w, true), 0);
	assert_int_equal(http_server_count(w->server), 2);
	assert_non_null(strstr(buf_str(&http_server_request(w->server, 0)->body),
		"<Part><PartNumber>2</PartNumber><ETag>\"4911e516e5aa21d327512e0c8b197616\""));
	SCRIPT(w, {200, ERROR("InvalidPart"), NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(complete(w, false), -1);
	assert_int_equal(w->err.code, ERR_CORRUPT);
	/* It was done before. */
	SCRIPT(w, {404, ERROR("NoSuchUpload"), NULL, NULL, HTTP_SERVER_FINE, 0},
		{200, "abc", NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(complete(w, false), 0);
	SCRIPT(w, {404, ERROR("NoSuchUpload"), NULL, NULL, HTTP_SERVER_FINE, 0},
		{200, "abcd", NULL, NULL, HTTP_SERVER_FINE, 0});
	assert_int_equal(complete(w, false), -1);
	assert_int_equal(w->err.code, ERR_GONE);
	/* A delivery takes an object for its own only by its ETag. */
	w->modified = clock_now();
	SCRIPT(w, LOST, REFUSED,
		{200, "abc", "ETag", "\"dcafbe7237243e388c786f1b0e688790-2\"", HTTP_SERVER_FINE,
			0});
	assert_int_equal(complete(w, true), 0);
	SCRIPT(w, {404, ERROR("NoSuchUpload"), NULL, NULL, HTTP_SERVER_FINE, 0},
		{200, "abc", "ETag", "\"900150983cd24fb0d6963f7d28e17f72-2\"", HTTP_SERVER_FINE,
			0});
	assert_int_equal(complete(w, true), -1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(requests_are_signed_with_their_body),
		TEST(a_wrong_clock_is_set_by_the_answer),
		TEST(a_service_that_says_so_is_believed),
		TEST(a_right_clock_is_left_alone),
		TEST(keys_that_have_ended_are_fetched_once_more),
		TEST(failures_have_their_codes),
		TEST(a_missing_bucket_is_told_from_a_missing_key),
		TEST(a_lost_answer_is_no_conflict),
		TEST(services_without_conditions_are_remembered),
		TEST(reads_that_break_off_begin_anew),
		TEST(reads_of_something_else_fail),
		TEST(listings_go_on_page_after_page),
		TEST(listings_that_make_no_sense_fail),
		TEST(strange_upload_ids_are_refused),
		TEST(completions_are_looked_at_twice),
	};
#undef TEST
	return cmocka_run_group_tests_name("blob_s3_request", tests, NULL, NULL);
}
