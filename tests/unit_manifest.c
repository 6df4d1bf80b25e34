/* SPDX-License-Identifier: Apache-2.0 */
/* What a manifest has to hold, and what is said of one that does not. */
#include "core/base/err.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/manifest_world.h"
#include "tests/lib/put_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define OPTIONAL(name, values) "{\"field_name\":\"" name "\",\"allowed_values\":[" values "]}"

static void test_over_long_stream_finds_nothing(void **state)
{
	struct manifest_world *w = *state;
	char id[4001];
	static const char *const want[] = {NO_FILE(UNSAFE), NULL};
	memset(id, 'a', 4000);
	id[4000] = '\0';
	json_t *m = json_pack("{s:s, s:s}", "data_stream_id", id, "data_stream_route", "b");
	struct manifest_check c;
	assert_int_equal(manifest_check(w->configs, m, ID, NOW, &c, NULL), 0);
	manifest_world_errors(&c.errors, want, "long name");
	manifest_check_free(&c);
	json_decref(m);
}

static void test_nul_does_not_shorten_a_value(void **state)
{
	struct manifest_world *w = *state;
	static const struct {
		const char *key, *value;
		size_t len;
		const char *want[4];
	} rows[] = {
		{"data_stream_id", "a\0x", 3, {NO_FILE(UNSAFE)}},
		{"version", "2.0\0", 4, {"unsupported version 2.0\\u0000 validation failure"}},
		{"f", "x\0", 2, {VF, "f had disallowed value x\\u0000"}},
		{"filename", "n\0.csv", 6,
			{"invalid character found in n\\u0000.csv validation failure"}},
	};
	put_text(w->store, "a_b.json", CONFIG(OPTIONAL("f", "\"x\"")));
	for (size_t i = 0; i < N(rows); i++) {
		json_t *m = manifest_world_object("{" AB "}");
		struct manifest_check c;
		assert_int_equal(json_object_set_new(
					 m, rows[i].key, json_stringn(rows[i].value, rows[i].len)),
			0);
		assert_int_equal(manifest_check(w->configs, m, ID, NOW, &c, NULL), 0);
		manifest_world_errors(&c.errors, rows[i].want, rows[i].key);
		manifest_check_free(&c);
		json_decref(m);
	}
}

static void test_fields(void **state)
{
	static const struct manifest_world_row rows[] = {
		{"{" AB ",\"r1\":\"\",\"r2\":\"x\"}", {NULL}},
		{"{" AB "}", {VF, "field r1 was missing", VF, "field r2 was missing"}},
		{"{" AB ",\"r2\":\"x\"}", {VF, "field r1 was missing"}},
		{"{" AB ",\"r1\":\"1\",\"r2\":\"X\"}", {VF, "r2 had disallowed value X"}},
		{"{" AB ",\"r1\":\"1\",\"r2\":\"\"}", {VF, "r2 had disallowed value "}},
		{"{" AB ",\"r1\":\"1\",\"r2\":\"y\",\"o\":\"2\"}", {NULL}},
		{"{" AB ",\"r1\":\"1\",\"r2\":\"y\",\"o\":\"3\"}",
			{VF, "o had disallowed value 3"}},
		{"{" AB ",\"r2\":\"z\",\"o\":\"a\\nb\",\"filename\":\"x/y\"}",
			{VF, "field r1 was missing", VF, "r2 had disallowed value z", VF,
				"o had disallowed value a\nb",
				"invalid character found in x/y validation failure"}},
	};
	struct manifest_world *w = *state;
	put_text(w->store, "a_b.json",
		CONFIG(FIELD("r1") ",{\"field_name\":\"r2\",\"required\":true,"
				   "\"allowed_values\":[\"x\",\"y\"]}," OPTIONAL(
					   "o", "\"1\",\"2\"")));
	manifest_world_rows(w, rows, N(rows));
}

#define BAD(value)                                                        \
	{                                                                 \
		"invalid character found in " value " validation failure" \
	}

static void test_file_names(void **state)
{
	static const struct manifest_world_row rows[] = {
		{"{" AB ",\"filename\":\"a b.csv\"}", {NULL}},
		{"{" AB ",\"filename\":\"..a\",\"original_filename\":\"a..\"}", {NULL}},
		{"{" AB ",\"filename\":\"\"}", {NULL}},
		{"{" AB ",\"filename\":\"a/b\"}", BAD("a/b")},
		{"{" AB ",\"original_filename\":\"/b\"}", BAD("/b")},
		{"{" AB ",\"meta_ext_filename\":\"../b\"}", BAD("../b")},
		{"{" AB ",\"received_filename\":\"b/\"}", BAD("b/")},
		{"{" AB ",\"filename\":\".\"}", BAD(".")},
		{"{" AB ",\"filename\":\"..\"}", BAD("..")},
		{"{" AB ",\"filename\":\"a\\\\b\"}", BAD("a\\b")},
		{"{" AB ",\"filename\":\"a\\u0001b\"}", BAD("a\001b")},
		{"{" AB ",\"filename\":\"a\\u007fb\"}", BAD("a\177b")},
		{"{" AB
		 ",\"filename\":\"ok\",\"received_filename\":\"x/\",\"original_filename\":\"/\"}",
			{"invalid character found in / validation failure",
				"invalid character found in x/ validation failure"}},
		{"{" AB ",\"other\":\"a/b\"}", {NULL}},
		{"{\"filename\":\"a/b\",\"version\":\"9\"}",
			{"unsupported version 9 validation failure",
				"invalid character found in a/b validation failure"}},
	};
	struct manifest_world *w = *state;
	put_text(w->store, "a_b.json", CONFIG(""));
	manifest_world_rows(w, rows, N(rows));
	char name[257];
	memset(name, 'n', 256);
	name[256] = '\0';
	for (size_t len = 255; len <= 256; len++) {
		json_t *m = manifest_world_object("{" AB "}");
		struct manifest_check c;
		assert_int_equal(json_object_set_new(m, "filename", json_stringn(name, len)), 0);
		assert_int_equal(manifest_check(w->configs, m, ID, NOW, &c, NULL), 0);
		assert_int_equal(c.errors.n, len == 255 ? 0 : 1);
		manifest_check_free(&c);
		json_decref(m);
	}
}

static void test_client_cannot_choose_id_or_time(void **state)
{
	struct manifest_world *w = *state;
	struct manifest_check c;
	put_text(w->store, "a_b.json", CONFIG(FIELD("upload_id")));
	manifest_world_check(
		w, "{\"upload_id\":\"mine\"," AB ",\"dex_ingest_datetime\":\"then\"}", &c);
	assert_int_equal(c.errors.n, 0);
	assert_int_equal(json_object_size(c.manifest), 4);
	assert_null(c.hydrated);
	manifest_check_free(&c);
}

static void test_store_out_of_reach_is_no_rejection(void **state)
{
	static const enum blob_fault_op ops[] = {BLOB_FAULT_LIST, BLOB_FAULT_STAT, BLOB_FAULT_READ};
	struct manifest_world *w = *state;
	put_text(w->store, "v2/a_b.json", CONFIG(""));
	for (size_t i = 0; i < N(ops); i++) {
		struct blob_fault_plan plan = {.code = ERR_IO};
		struct err err = {0};
		struct manifest_check c;
		json_t *m = manifest_world_object("{" AB "}");
		plan.nth[ops[i]] = 1;
		blob_fault_set(w->front, &plan);
		assert_int_equal(manifest_check(w->configs, m, ID, NOW, &c, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		json_decref(m);
		manifest_world_anew(w);
	}
	put_text(w->store, "v2/a_b.json", "{ broken");
	struct err err = {0};
	struct manifest_check c;
	json_t *m = manifest_world_object("{" AB "}");
	assert_int_equal(manifest_check(w->configs, m, ID, NOW, &c, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	json_decref(m);
}

static void test_accessors(void **state)
{
	static const struct {
		const char *manifest, *filename, *id, *route;
	} rows[] = {
		{"{}", "", "", ""},
		{"{\"received_filename\":\"r\",\"meta_ext_filename\":\"m\"," AB "}", "m", "a", "b"},
		{"{\"received_filename\":\"r\",\"original_filename\":\"o\",\"filename\":\"f\"}",
			"f", "", ""},
		{"{\"received_filename\":\"r\",\"meta_destination_id\":\"d\",\"meta_ext_event\":"
		 "\"e\"}",
			"r", "d", "e"},
		{"{\"data_stream_route\":\"b\",\"meta_destination_id\":\"d\",\"meta_ext_event\":"
		 "\"e\"}",
			"", "", "b"},
	};
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		json_t *m = manifest_world_object(rows[i].manifest);
		assert_string_equal(manifest_filename(m), rows[i].filename);
		assert_string_equal(manifest_stream_id(m), rows[i].id);
		assert_string_equal(manifest_stream_route(m), rows[i].route);
		json_decref(m);
	}
	assert_string_equal(manifest_filename(NULL), "");
	assert_string_equal(manifest_stream_id(NULL), "");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, manifest_world_setup, manifest_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_over_long_stream_finds_nothing),
		TEST(test_nul_does_not_shorten_a_value),
		TEST(test_fields),
		TEST(test_file_names),
		TEST(test_client_cannot_choose_id_or_time),
		TEST(test_store_out_of_reach_is_no_rejection),
		cmocka_unit_test(test_accessors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
