/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/str.h"
#include "core/dex/report.h"
#include "core/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "6b18cf8a-0d49-4a6e-9d0a-1f2e3d4c5b6a"
#define START INT64_C(1767323045123456)
#define START_TEXT "2026-01-02T03:04:05.123456Z"
#define END (START + 1000000)
#define END_TEXT "2026-01-02T03:04:06.123456Z"
#define INGEST "2026-01-01T00:00:00.000000Z"

static const char manifest_text[] =
	"{\"data_stream_id\":\"dextesting\",\"data_stream_route\":\"testevent1\",\"sender_id\":"
	"\"S\","
	"\"data_producer_id\":\"P\",\"jurisdiction\":\"J\",\"received_filename\":\"a "
	"\\\"b\\\".csv\","
	"\"dex_ingest_datetime\":\"" INGEST "\",\"upload_id\":\"" ID "\"}";

struct fixture {
	json_t *manifest;
	struct buf out;
	struct report_head head;
};

static int set_up(void **state)
{
	static struct fixture f;
	f.manifest = json_parse(manifest_text, strlen(manifest_text), NULL);
	assert_non_null(f.manifest);
	buf_init(&f.out, 1 << 16);
	f.head = (struct report_head){
		.upload_id = ID, .manifest = f.manifest, .start = START, .end = END};
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	json_decref(f->manifest);
	buf_free(&f->out);
	return 0;
}

#define ENVELOPE(disposition)                                                                \
	"{\"report_schema_version\":\"1.0.0\",\"upload_id\":\"" ID "\",\"sender_id\":\"S\"," \
	"\"data_stream_id\":\"dextesting\",\"data_stream_route\":\"testevent1\","            \
	"\"jurisdiction\":\"J\",\"dex_ingest_datetime\":\"" INGEST                           \
	"\",\"data_producer_id\":\"P\","                                                     \
	"\"content_type\":\"application/json\",\"disposition_type\":\"" disposition "\","    \
	"\"stage_info\":{\"service\":\"UPLOAD API\",\"action\":\""
#define TIMES \
	"\"start_processing_time\":\"" START_TEXT "\",\"end_processing_time\":\"" END_TEXT "\"}"

/* The report must be, byte for byte: envelope, stage and ${content} (without its first members). */
static void expect(struct fixture *f, enum report_action a, const char *status, const char *issues,
	const char *content)
{
	const char *name = report_action_name(a);
	struct buf want;
	buf_init(&want, 1 << 16);
	assert_int_equal(buf_printf(&want,
				 "%s%s\",\"version\":\"%s\",\"status\":\"%s\",\"issues\":%s," TIMES
				 ",\"content\":{\"content_schema_name\":\"%s\",\"content_schema_"
				 "version\":\"1.0.0\",%s}}",
				 report_replaces(a) ? ENVELOPE("replace") : ENVELOPE("add"), name,
				 version_full(), status, issues, name, content),
		0);
	assert_string_equal(buf_str(&f->out), buf_str(&want));
	buf_free(&want);
	json_t *parsed = json_parse(buf_str(&f->out), f->out.len, NULL);
	assert_non_null(parsed);
	json_decref(parsed);
}

static void test_metadata_transform(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(report_metadata_transform(&f->out, &f->head, INGEST, NULL), 0);
	expect(f, REPORT_METADATA_TRANSFORM, "SUCCESS", "null",
		"\"transforms\":[{\"action\":\"update\",\"field\":\"ID\",\"value\":\"" ID "\"},"
		"{\"action\":\"append\",\"field\":\"dex_ingest_datetime\",\"value\":\"" INGEST
		"\"},"
		"{\"action\":\"append\",\"field\":\"upload_id\",\"value\":\"" ID "\"}]");
}

static void test_metadata_transform_of_a_hydrated_manifest(void **state)
{
	struct fixture *f = *state;
	json_t *hydrated = json_pack("{s:s, s:s}", "sender_id", "S", "jurisdiction", "a\"b");
	assert_int_equal(report_metadata_transform(&f->out, &f->head, INGEST, hydrated), 0);
	expect(f, REPORT_METADATA_TRANSFORM, "SUCCESS", "null",
		"\"transforms\":[{\"action\":\"append\",\"field\":\"sender_id\",\"value\":\"S\"},"
		"{\"action\":\"append\",\"field\":\"jurisdiction\",\"value\":\"a\\\"b\"}]");
	json_decref(hydrated);
}

static void test_metadata_verify(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(report_metadata_verify(&f->out, &f->head), 0);
	struct buf content;
	buf_init(&content, 4096);
	assert_int_equal(buf_printf(&content, "\"filename\":\"a \\\"b\\\".csv\",\"metadata\":%s",
				 manifest_text),
		0);
	expect(f, REPORT_METADATA_VERIFY, "SUCCESS", "null", buf_str(&content));
	buf_free(&content);
}

static void test_failure_carries_its_issues(void **state)
{
	struct fixture *f = *state;
	json_t *issues = report_issue("ERROR", "validation failure\nfield x was missing");
	f->head.failure = true;
	f->head.issues = issues;
	assert_int_equal(report_upload_status(&f->out, &f->head, 5, 10), 0);
	expect(f, REPORT_UPLOAD_STATUS, "FAILURE",
		"[{\"level\":\"ERROR\",\"message\":\"validation failure\\nfield x was missing\"}]",
		"\"filename\":\"a \\\"b\\\".csv\",\"tguid\":\"" ID "\",\"offset\":5,\"size\":10");
	json_decref(issues);
}

static void test_issue_text_that_is_not_utf8(void **state)
{
	(void)state;
	json_t *issues = report_issue("WARNING", "bad \xFF byte");
	assert_int_equal(json_array_size(issues), 1);
	assert_string_equal(json_get_str(json_array_get(issues, 0), "level"), "WARNING");
	assert_non_null(json_get_str(json_array_get(issues, 0), "message"));
	json_decref(issues);
}

static void test_started_and_completed(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(report_upload_started(&f->out, &f->head), 0);
	expect(f, REPORT_UPLOAD_STARTED, "SUCCESS", "null", "\"status\":\"SUCCESS\"");
	buf_reset(&f->out);
	assert_int_equal(report_upload_completed(&f->out, &f->head), 0);
	expect(f, REPORT_UPLOAD_COMPLETED, "SUCCESS", "null", "\"status\":\"SUCCESS\"");
}

static void test_size_is_zero_while_deferred(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(report_upload_status(&f->out, &f->head, 7, -1), 0);
	expect(f, REPORT_UPLOAD_STATUS, "SUCCESS", "null",
		"\"filename\":\"a \\\"b\\\".csv\",\"tguid\":\"" ID "\",\"offset\":7,\"size\":0");
}

static void test_blob_file_copy(void **state)
{
	struct fixture *f = *state;
	struct report_copy c = {.source_url = "/u/x",
		.destination_url = "/t/x",
		.destination_name = "edav",
		.sha256 = "",
		.size = -1};
	assert_int_equal(report_blob_file_copy(&f->out, &f->head, &c), 0);
	expect(f, REPORT_BLOB_FILE_COPY, "SUCCESS", "null",
		"\"file_source_blob_url\":\"/u/x\",\"file_destination_blob_url\":\"/t/x\","
		"\"destination_name\":\"edav\"");
	c.sha256 = "00ff";
	c.size = 0;
	buf_reset(&f->out);
	assert_int_equal(report_blob_file_copy(&f->out, &f->head, &c), 0);
	expect(f, REPORT_BLOB_FILE_COPY, "SUCCESS", "null",
		"\"file_source_blob_url\":\"/u/x\",\"file_destination_blob_url\":\"/t/x\","
		"\"destination_name\":\"edav\",\"sha256\":\"00ff\",\"size\":0");
	f->head.failure = true;
	c.sha256 = "";
	c.size = -1;
	buf_reset(&f->out);
	assert_int_equal(report_blob_file_copy(&f->out, &f->head, &c), 0);
	expect(f, REPORT_BLOB_FILE_COPY, "FAILURE", "null",
		"\"file_source_blob_url\":\"/u/x\",\"file_destination_blob_url\":\"\","
		"\"destination_name\":\"edav\"");
}

static const char *text_of(const json_t *report, const char *key)
{
	const char *s = json_get_str(report, key);
	assert_non_null(s);
	return s;
}

static void test_without_a_manifest_times_are_still_real(void **state)
{
	struct fixture *f = *state;
	f->head.manifest = NULL;
	assert_int_equal(report_metadata_verify(&f->out, &f->head), 0);
	json_t *r = json_parse(buf_str(&f->out), f->out.len, NULL);
	assert_non_null(r);
	assert_string_equal(text_of(r, "dex_ingest_datetime"), START_TEXT);
	assert_string_equal(text_of(r, "sender_id"), "");
	assert_string_equal(text_of(r, "data_stream_id"), "");
	const json_t *content = json_object_get(r, "content");
	assert_string_equal(text_of(content, "filename"), "");
	assert_true(json_is_object(json_object_get(content, "metadata")));
	json_decref(r);
}

static void test_v1_manifest_names_its_stream(void **state)
{
	struct fixture *f = *state;
	json_t *v1 = json_pack("{s:s, s:s}", "meta_destination_id", "d", "meta_ext_event", "e");
	f->head.manifest = v1;
	assert_int_equal(report_upload_started(&f->out, &f->head), 0);
	json_t *r = json_parse(buf_str(&f->out), f->out.len, NULL);
	assert_non_null(r);
	assert_string_equal(text_of(r, "data_stream_id"), "d");
	assert_string_equal(text_of(r, "data_stream_route"), "e");
	json_decref(r);
	json_decref(v1);
}

static void test_hostile_values_stay_strings(void **state)
{
	static const char *const values[] = {"\"},{\"x\":\"", "a\\", "line\nbreak\r\t\b\f",
		"\x01\x1f\x7f", "caf\xC3\xA9 \xF0\x9F\x98\x80", "</script>"};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		assert_int_equal(
			json_object_set_new(f->manifest, "sender_id", json_string(values[i])), 0);
		buf_reset(&f->out);
		assert_int_equal(report_metadata_verify(&f->out, &f->head), 0);
		assert_null(strchr(buf_str(&f->out), '\n'));
		json_t *r = json_parse(buf_str(&f->out), f->out.len, NULL);
		assert_non_null(r);
		assert_string_equal(text_of(r, "sender_id"), values[i]);
		assert_string_equal(
			text_of(json_object_get(json_object_get(r, "content"), "metadata"),
				"sender_id"),
			values[i]);
		json_decref(r);
	}
}

static void test_strings_that_are_not_utf8_become_so(void **state)
{
	static const struct {
		const char *in;
		size_t len;
		const char *want;
	} rows[] = {
		{"a\xFFz", 3, "\"a\xEF\xBF\xBDz\""},
		{"\xC3\xA9\xC3", 3, "\"\xC3\xA9\xEF\xBF\xBD\""},
		{"\x80\"", 2, "\"\xEF\xBF\xBD\\\"\""},
		{"\0", 1, "\"\\u0000\""},
		{"\x1f", 1, "\"\\u001f\""},
		{"", 0, "\"\""},
	};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&f->out);
		assert_int_equal(json_write_string(&f->out, rows[i].in, rows[i].len), 0);
		assert_string_equal(buf_str(&f->out), rows[i].want);
	}
}

static void test_event(void **state)
{
	struct fixture *f = *state;
	struct event_file_ready e = {.event_id = "11111111-2222-4333-8444-555555555555",
		.upload_id = ID,
		.src_url = "/u/x",
		.path = "2026/01/02/a.csv",
		.target = "edav",
		.retry_count = 2,
		.manifest = f->manifest};
	assert_int_equal(report_event_file_ready(&f->out, &e), 0);
	struct buf want;
	buf_init(&want, 4096);
	assert_int_equal(
		buf_printf(&want,
			"{\"id\":\"11111111-2222-4333-8444-555555555555\",\"type\":\"FileReady\","
			"\"retry_count\":2,\"upload_id\":\"" ID "\",\"src_url\":\"/u/x\","
			"\"path\":\"2026/01/02/"
			"a.csv\",\"deliver_target\":\"edav\",\"Metadata\":%s}",
			manifest_text),
		0);
	assert_string_equal(buf_str(&f->out), buf_str(&want));
	buf_free(&want);
}

static void test_overflow_is_an_error_of_every_builder(void **state)
{
	struct fixture *f = *state;
	struct report_copy c = {"a", "b", "c", "", -1};
	struct event_file_ready e = {"i", ID, "s", "p", "t", 0, f->manifest};
	struct buf tiny;
	buf_init(&tiny, 40);
	assert_int_equal(report_metadata_transform(&tiny, &f->head, INGEST, NULL), -1);
	buf_reset(&tiny);
	assert_int_equal(report_metadata_verify(&tiny, &f->head), -1);
	buf_reset(&tiny);
	assert_int_equal(report_upload_started(&tiny, &f->head), -1);
	buf_reset(&tiny);
	assert_int_equal(report_upload_status(&tiny, &f->head, 1, 2), -1);
	buf_reset(&tiny);
	assert_int_equal(report_upload_completed(&tiny, &f->head), -1);
	buf_reset(&tiny);
	assert_int_equal(report_blob_file_copy(&tiny, &f->head, &c), -1);
	buf_reset(&tiny);
	assert_int_equal(report_event_file_ready(&tiny, &e), -1);
	buf_free(&tiny);
}

static void test_only_status_replaces(void **state)
{
	(void)state;
	for (enum report_action a = REPORT_METADATA_TRANSFORM; a <= REPORT_BLOB_FILE_COPY; a++)
		assert_int_equal(
			report_replaces(a), str_eq(report_action_name(a), "upload-status"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_metadata_transform),
		TEST(test_metadata_transform_of_a_hydrated_manifest),
		TEST(test_metadata_verify),
		TEST(test_failure_carries_its_issues),
		TEST(test_issue_text_that_is_not_utf8),
		TEST(test_started_and_completed),
		TEST(test_size_is_zero_while_deferred),
		TEST(test_blob_file_copy),
		TEST(test_without_a_manifest_times_are_still_real),
		TEST(test_v1_manifest_names_its_stream),
		TEST(test_hostile_values_stay_strings),
		TEST(test_strings_that_are_not_utf8_become_so),
		TEST(test_event),
		TEST(test_overflow_is_an_error_of_every_builder),
		TEST(test_only_status_replaces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
