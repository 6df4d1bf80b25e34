/* SPDX-License-Identifier: Apache-2.0 */
/* Which configuration a manifest is held against, and how one of version 1 becomes one of
 * version 2. */
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "tests/lib/manifest_world.h"
#include "tests/lib/put_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define COMPAT(name, old) \
	"{\"field_name\":\"" name "\",\"required\":true,\"compat_field_name\":\"" old "\"}"
#define V1_CONFIG(compat)                                               \
	"{\"metadata_config\":{\"version\":\"1.0\",\"fields\":[" FIELD( \
		"meta_destination_id") "]},\"compat_config_filename\":" compat "}"

static void test_choice_of_the_version(void **state)
{
	static const struct manifest_world_row rows[] = {
		{"{" AB "}", {NULL}},
		{"{\"version\":\"2.0\"," AB "}", {NULL}},
		{"{\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"}", {NO_FILE("a-b.json")}},
		{"{\"version\":\"1.0\",\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"," AB
		 "}",
			{NO_FILE("a-b.json")}},
		{"{\"meta_destination_id\":\"x\",\"meta_ext_event\":\"y\"," AB "}", {NULL}},
		{"{\"version\":\"2.0\",\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"}",
			{VF, "field data_stream_id was missing", VF,
				"field data_stream_route was missing"}},
		{"{\"version\":\"3.0\"," AB "}", {"unsupported version 3.0 validation failure"}},
		{"{\"version\":\"2\"," AB "}", {"unsupported version 2 validation failure"}},
		{"{\"version\":\"\"," AB "}", {"unsupported version  validation failure"}},
		{"{}", {VF, "field data_stream_id was missing", VF,
			       "field data_stream_route was missing"}},
		{"{\"data_stream_id\":\"a\"}", {VF, "field data_stream_route was missing"}},
		{"{\"data_stream_route\":\"b\"}", {VF, "field data_stream_id was missing"}},
		{"{\"version\":\"1.0\"}", {VF, "field meta_destination_id was missing", VF,
						  "field meta_ext_event was missing"}},
		{"{\"meta_destination_id\":\"a\"}", {VF, "field meta_ext_event was missing"}},
	};
	struct manifest_world *w = *state;
	put_text(w->store, "a_b.json", CONFIG(""));
	manifest_world_rows(w, rows, N(rows));
}

static void test_names_of_configurations(void **state)
{
	static const struct manifest_world_row rows[] = {
		{"{\"data_stream_id\":\"A\",\"data_stream_route\":\"B\"}", {NULL}},
		{"{\"data_stream_id\":\"X\",\"data_stream_route\":\"Y\"}", {NO_FILE("x_y.json")}},
		{"{\"data_stream_id\":\"\",\"data_stream_route\":\"\"}", {NO_FILE("_.json")}},
		{"{\"data_stream_id\":\"../a\",\"data_stream_route\":\"b\"}", {NO_FILE(UNSAFE)}},
		{"{\"data_stream_id\":\"a\",\"data_stream_route\":\"..\"}", {NO_FILE(UNSAFE)}},
		{"{\"data_stream_id\":\"/etc/passwd\",\"data_stream_route\":\"b\"}",
			{NO_FILE(UNSAFE)}},
		{"{\"data_stream_id\":\"v2/a\",\"data_stream_route\":\"b\"}", {NO_FILE(UNSAFE)}},
		{"{\"data_stream_id\":\"a\\\\b\",\"data_stream_route\":\"b\"}", {NO_FILE(UNSAFE)}},
		{"{\"data_stream_id\":\"a\\n\",\"data_stream_route\":\"b\"}", {NO_FILE(UNSAFE)}},
		{"{\"meta_destination_id\":\"../a\",\"meta_ext_event\":\"b\"}", {NO_FILE(UNSAFE)}},
	};
	struct manifest_world *w = *state;
	put_text(w->store, "a_b.json", CONFIG(""));
	manifest_world_rows(w, rows, N(rows));
}

/* Each file asks for a field of its own name, so the answer tells which one was used. */
static void expect_used(struct manifest_world *w, const char *manifest, const char *file)
{
	struct manifest_check c;
	char want[80];
	manifest_world_check(w, manifest, &c);
	assert_int_equal(c.errors.n, file ? 2 : 3);
	if (file) {
		(void)str_copy(want, sizeof(want), "field ");
		(void)str_copy(want + 6, sizeof(want) - 6, file);
		assert_true(str_starts(c.errors.items[1], want));
	} else {
		assert_string_equal(c.errors.items[2], "manifest validation config file not found");
	}
	manifest_check_free(&c);
}

static void test_order_of_places(void **state)
{
	static const char v2[] = "{" AB "}";
	static const char v1[] = "{\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"}";
	struct manifest_world *w = *state;
	put_text(w->store, "a-b.json", CONFIG(FIELD("flat-dash")));
	expect_used(w, v2, "flat-dash");
	expect_used(w, v1, "flat-dash");
	put_text(w->store, "a_b.json", CONFIG(FIELD("flat_underscore")));
	expect_used(w, v2, "flat_underscore");
	expect_used(w, v1, "flat-dash");
	put_text(w->store, "v1/a-b.json", CONFIG(FIELD("v1-dash")));
	expect_used(w, v2, "v1-dash");
	expect_used(w, v1, "v1-dash");
	put_text(w->store, "v2/a-b.json", CONFIG(FIELD("v2-dash")));
	expect_used(w, v2, "v2-dash");
	put_text(w->store, "v2/a_b.json", CONFIG(FIELD("v2_underscore")));
	expect_used(w, v2, "v2_underscore");
	expect_used(w, v1, "v1-dash");
	put_text(w->store, "v1/a-b.json", NULL);
	put_text(w->store, "a-b.json", NULL);
	expect_used(w, v1, NULL);
}

#define V1_MANIFEST                                                                    \
	"{\"version\":\"1.0\",\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"," \
	"\"meta_ext_source\":\"S\",\"meta_ext_filename\":\"n.csv\",\"sender_id\":\"overwritten\"}"
#define V2_FIELDS                                                                        \
	CONFIG(COMPAT("sender_id", "meta_ext_source") "," COMPAT(                        \
		"data_stream_id", "meta_destination_id") "," COMPAT("data_stream_route", \
		"meta_ext_event") "," COMPAT("jurisdiction",                             \
		"meta_ext_entity") ",{\"field_name\":\"received_filename\","             \
				   "\"compat_field_name\":\"meta_ext_filename\"}")

static void test_hydration(void **state)
{
	static const char *const want[] = {VF, "field jurisdiction was missing", NULL};
	struct manifest_world *w = *state;
	struct manifest_check c;
	put_text(w->store, "v1/a-b.json", V1_CONFIG("\"a_b.json\""));
	put_text(w->store, "v2/a_b.json", V2_FIELDS);
	manifest_world_check(w, V1_MANIFEST, &c);
	manifest_world_errors(&c.errors, want, "hydrated");
	json_t *hydrated = manifest_world_object(
		"{\"sender_id\":\"S\",\"data_stream_id\":\"a\","
		"\"data_stream_route\":\"b\",\"received_filename\":\"n.csv\"}");
	assert_true(json_equal(c.hydrated, hydrated));
	json_t *manifest = manifest_world_object(
		"{\"version\":\"2.0\",\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\","
		"\"meta_ext_source\":\"S\",\"meta_ext_filename\":\"n.csv\",\"sender_id\":\"S\","
		"\"data_stream_id\":\"a\",\"data_stream_route\":\"b\",\"received_filename\":\"n."
		"csv\","
		"\"upload_id\":\"" ID "\",\"dex_ingest_datetime\":\"" NOW_TEXT "\"}");
	assert_true(json_equal(c.manifest, manifest));
	json_decref(hydrated);
	json_decref(manifest);
	manifest_check_free(&c);
}

static void test_compat_file_is_looked_for_with_both_separators(void **state)
{
	static const struct {
		const char *compat, *file;
	} rows[] = {
		{"\"a_b.json\"", "v2/a_b.json"},
		{"\"a-b.json\"", "v2/a_b.json"},
		{"\"a_b.json\"", "v2/a-b.json"},
		{"\"a-b.json\"", "a_b.json"},
		{"\"v2/a-b.json\"", "v2/a_b.json"},
		{"\"A_B.json\"", "v2/a_b.json"},
		{"\"two-words-a-b.json\"", "v2/two-words_a-b.json"},
	};
	struct manifest_world *w = *state;
	for (size_t i = 0; i < N(rows); i++) {
		char config[400];
		size_t used = strlen(V1_CONFIG(""));
		struct manifest_check c;
		struct buf text;
		buf_init(&text, sizeof(config));
		assert_int_equal(buf_add(&text, V1_CONFIG(""), used - 1), 0);
		assert_int_equal(buf_add_str(&text, rows[i].compat), 0);
		assert_int_equal(buf_add_char(&text, '}'), 0);
		put_text(w->store, "v1/a-b.json", buf_str(&text));
		put_text(w->store, rows[i].file, V2_FIELDS);
		manifest_world_check(w, V1_MANIFEST, &c);
		if (!c.hydrated)
			fail_msg("%s did not find %s", rows[i].compat, rows[i].file);
		manifest_check_free(&c);
		put_text(w->store, rows[i].file, NULL);
		buf_free(&text);
	}
}

static void test_v1_without_its_v2_file(void **state)
{
	static const struct manifest_world_row missing[] = {{V1_MANIFEST, {NO_FILE("a_b.json")}}};
	static const struct manifest_world_row escaping[] = {{V1_MANIFEST, {NO_FILE(UNSAFE)}}};
	static const struct manifest_world_row none[] = {{V1_MANIFEST, {NULL}},
		{"{\"version\":\"1.0\",\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"}",
			{NULL}}};
	struct manifest_world *w = *state;
	/* Flat: with the other separator the name is that of the v1 file itself. */
	put_text(w->store, "a-b.json", V1_CONFIG("\"a_b.json\""));
	manifest_world_rows(w, missing, N(missing));
	put_text(w->store, "a-b.json", V1_CONFIG("\"../a_b.json\""));
	manifest_world_rows(w, escaping, N(escaping));
	put_text(w->store, "a-b.json", V1_CONFIG("null"));
	manifest_world_rows(w, none, N(none));
}

static void test_find_tells_what_a_check_would(void **state)
{
	static const struct {
		const char *id, *route;
		int found;
		const char *want[6];
	} rows[] = {
		{"A", "B", 1, {NULL}},
		{"a", "c", 0, {NO_FILE("a_c.json"), NULL}},
		{NULL, "b", 0, {VF, "field data_stream_id was missing", NULL}},
		{"a", "", 0, {VF, "field data_stream_route was missing", NULL}},
		{"..", "/etc/passwd", 0, {NO_FILE(UNSAFE), NULL}},
		{"a\xff", "b", 0, {NO_FILE(UNSAFE), NULL}},
	};
	struct manifest_world *w = *state;
	put_text(w->store, "v2/a_b.json", CONFIG(FIELD("x")));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct manifest_config *mc;
		struct manifest_errors errors;
		int found =
			manifest_find(w->configs, rows[i].id, rows[i].route, &mc, &errors, NULL);
		assert_int_equal(found, rows[i].found);
		manifest_world_errors(&errors, rows[i].want, rows[i].route);
		manifest_errors_free(&errors);
		if (found)
			assert_string_equal(mc->fields[0].name, "x");
		else
			assert_null(mc);
		manifest_config_unref(mc);
	}
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, manifest_world_setup, manifest_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_choice_of_the_version),
		TEST(test_names_of_configurations),
		TEST(test_order_of_places),
		TEST(test_hydration),
		TEST(test_compat_file_is_looked_for_with_both_separators),
		TEST(test_v1_without_its_v2_file),
		TEST(test_find_tells_what_a_check_would),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
