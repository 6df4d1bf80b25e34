/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void objects_are_written_back_in_order(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"{}", "{}"},
		{" { \"z\" : 1, \"a\" : [true, null, 1.5, \"x\"] }\n",
			"{\"z\":1,\"a\":[true,null,1.5,\"x\"]}"},
		{"{\"a\":\"\\u00e4\\n\\\"\"}", "{\"a\":\"\xc3\xa4\\n\\\"\"}"},
		{"{\"a\":{\"a\":\"[[[[{{\\\"[[\"}}", "{\"a\":{\"a\":\"[[[[{{\\\"[[\"}}"},
		{"{\"n\":9223372036854775807}", "{\"n\":9223372036854775807}"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = {0};
		json_t *value = json_parse(rows[i].in, strlen(rows[i].in), &err);
		assert_non_null(value);
		struct buf out;
		buf_init(&out, 1000);
		assert_int_equal(json_write(&out, value), 0);
		assert_string_equal(buf_str(&out), rows[i].out);
		buf_free(&out);
		json_decref(value);
	}
}

static void what_is_no_strict_object_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		const char *text; /* what the error must contain */
	} rows[] = {
		{"", "line 1 column 0: "},
		{"[]", "not an object"},
		{"\"x\"", "line 1 column"},
		{"{\"a\":1} x", "line 1 column"},
		{"{\n  \"a\": 1,\n  \"a\": 2\n}", "line 3 column 5: duplicate object key"},
		{"{\"a\":1,}", "line 1 column"},
		{"{'a':1}", "line 1 column"},
		{"{\"a\":\"\xff\"}", "line 1 column"},
		{"{\"a\":\"\\ud800\"}", "line 1 column"},
		{"{\"a\":\"\\u0000\"}", "line 1 column"},
		{"{\"a\":\"\n\"}", "line 1 column"},
		{"{\"a\":9223372036854775808}", "line 1 column"},
		{"{\"a\":1e999}", "line 1 column"},
		{"{\"a\":01}", "line 1 column"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = {0};
		assert_null(json_parse(rows[i].in, strlen(rows[i].in), &err));
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.text, rows[i].text));
		assert_null(strchr(err.text, '\n'));
	}
}

static void only_len_bytes_are_read(void **state)
{
	(void)state;
	struct err err = {0};
	json_t *value = json_parse("{}garbage", 2, &err);
	assert_non_null(value);
	json_decref(value);
	assert_null(json_parse("{}", 1, &err));
	assert_null(json_parse("{}\0", 3, &err));
}

/* {"a":{"a":…[ ]…}} with ${depth} levels. */
static json_t *parse_nested(size_t depth, struct err *err)
{
	struct buf text;
	buf_init(&text, 10000);
	for (size_t i = 0; i < depth; i++)
		buf_add_str(&text, "{\"a\":");
	buf_add_str(&text, "0");
	for (size_t i = 0; i < depth; i++)
		buf_add_str(&text, "}");
	json_t *value = json_parse(buf_str(&text), text.len, err);
	buf_free(&text);
	return value;
}

static void depth_is_limited_to_64(void **state)
{
	(void)state;
	struct err err = {0};
	json_t *value = parse_nested(64, &err);
	assert_non_null(value);
	json_decref(value);
	assert_null(parse_nested(65, &err));
	assert_string_equal(err.text, "nested more than 64 levels deep");
	/* Many values side by side are not deep. */
	struct buf text;
	buf_init(&text, 10000);
	buf_add_str(&text, "{\"a\":[0");
	for (int i = 0; i < 500; i++)
		buf_add_str(&text, ",[{}]");
	buf_add_str(&text, "]}");
	value = json_parse(buf_str(&text), text.len, &err);
	assert_non_null(value);
	json_decref(value);
	buf_free(&text);
}

static void a_full_buffer_keeps_what_it_had(void **state)
{
	(void)state;
	json_t *value = json_pack("{s:s}", "key", "a rather long value");
	struct buf out;
	buf_init(&out, 16);
	buf_add_str(&out, "before");
	assert_int_equal(json_write(&out, value), -1);
	assert_string_equal(buf_str(&out), "before");
	assert_true(out.overflow);
	buf_free(&out);
	json_decref(value);
}

static void get_str_answers_strings_only(void **state)
{
	(void)state;
	struct err err = {0};
	const char *text = "{\"s\":\"x\",\"n\":1,\"z\":null}";
	json_t *value = json_parse(text, strlen(text), &err);
	assert_string_equal(json_get_str(value, "s"), "x");
	assert_null(json_get_str(value, "n"));
	assert_null(json_get_str(value, "z"));
	assert_null(json_get_str(value, "absent"));
	assert_null(json_get_str(NULL, "s"));
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_written_back_in_order),
		cmocka_unit_test(what_is_no_strict_object_is_refused),
		cmocka_unit_test(only_len_bytes_are_read),
		cmocka_unit_test(depth_is_limited_to_64),
		cmocka_unit_test(a_full_buffer_keeps_what_it_had),
		cmocka_unit_test(get_str_answers_strings_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
