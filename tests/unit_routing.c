/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/store/blob_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Two types with option tables of their own; nothing is ever opened here. */
static const struct blob_option_spec disk_options[] = {
	{"path", NULL, BLOB_OPT_REQUIRED, ""}, {"durable", NULL, 0, ""}, {NULL, NULL, 0, NULL}};
static const struct blob_option_spec bucket_options[] = {{"endpoint", NULL, BLOB_OPT_REQUIRED, ""},
	{"secret", NULL, BLOB_OPT_SECRET, ""}, {NULL, NULL, 0, NULL}};
static const struct blob_backend disk = {.type = "disk", .options = disk_options};
static const struct blob_backend bucket = {.type = "bucket", .options = bucket_options};
static const struct blob_backend *const backends[] = {&disk, &bucket, NULL};

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	if (str_eq(name, "DIR"))
		return "/from/env";
	return str_eq(name, "EMPTY") ? "" : NULL;
}

static struct routing *parse(const char *text, struct err *err)
{
	return routing_parse("d.yml", text, strlen(text), backends, lookup, NULL, err);
}

static struct routing *parse_good(const char *text)
{
	struct err err = {0};
	struct routing *r = parse(text, &err);
	if (!r)
		fail_msg("%s\n%s", err.text, text);
	return r;
}

#define T "targets: {one: {type: disk, path: /p}, two: {name: two, type: bucket, endpoint: E}}\n"
#define GROUP(id, route, targets)                                   \
	"  - data_stream_id: " id "\n    data_stream_route: " route \
	"\n    delivery_targets: [" targets "]\n"

static void test_routing_groups(void **state)
{
	(void)state;
	struct routing *r = parse_good("version: 1.0\n" T "routing_groups:\n" GROUP(
		"A-Stream", "CSV", "{name: one, path_template: '{{.UploadId}}'}, {name: two}")
			GROUP("b", "x", ""));
	assert_int_equal(r->ntargets, 2);
	assert_int_equal(r->ngroups, 2);
	const struct routing_target *one = routing_find_target(r, "one");
	assert_non_null(one);
	assert_ptr_equal(one->backend, &disk);
	assert_int_equal(one->noptions, 1);
	assert_string_equal(one->options[0].key, "path");
	assert_string_equal(one->options[0].value, "/p");
	assert_int_equal(one->line, 2);
	assert_null(routing_find_target(r, "One"));
	const struct routing_group *g = routing_find_group(r, "a-stream", "csv");
	assert_non_null(g);
	assert_ptr_equal(g, routing_find_group(r, "A-STREAM", "Csv"));
	assert_string_equal(g->data_stream_id, "a-stream");
	assert_string_equal(g->data_stream_route, "csv");
	assert_int_equal(g->nentries, 2);
	assert_ptr_equal(g->entries[0].target, one);
	assert_non_null(g->entries[0].path_template);
	assert_non_null(g->entries[1].path_template);
	assert_ptr_equal(routing_entry_of(g, "two"), &g->entries[1]);
	assert_null(routing_entry_of(g, "three"));
	assert_int_equal(routing_find_group(r, "b", "x")->nentries, 0);
	assert_null(routing_find_group(r, "a-stream", "x"));
	assert_null(routing_find_group(r, "", ""));
	routing_free(r);
	routing_free(NULL);
}

static void test_programs_with_inline_targets(void **state)
{
	(void)state;
	struct routing *r = parse_good("programs:\n" GROUP(
		"a", "x", "{name: one, type: disk, path: /p, path_template: t}") GROUP("b", "x",
		"{name: one, type: disk, path: /p}, {name: two, type: bucket, "
		"endpoint: e}"));
	assert_int_equal(r->ntargets, 2);
	assert_int_equal(r->ngroups, 2);
	const struct routing_group *a = routing_find_group(r, "a", "x");
	const struct routing_group *b = routing_find_group(r, "b", "x");
	assert_ptr_equal(a->entries[0].target, b->entries[0].target);
	assert_ptr_equal(b->entries[1].target->backend, &bucket);
	routing_free(r);
}

static void test_variables(void **state)
{
	(void)state;
	struct routing *r =
		parse_good("# $UNSET and ${BROKEN in a comment are nobody's settings\n"
			   "targets:\n"
			   "  a: {type: disk, path: $DIR/x} # costs 5$, it's $UNSET\n"
			   "  b: {type: disk, path: '${UNSET:-./up}#$$no-comment'}\t# ${\n"
			   "  c: {type: disk, path: \"say \\\"#\\\" # $DIR\", durable: ${EMPTY}}\n"
			   "  d: {type: disk, path: it's#$DIR}\r\n");
	static const char *const want[] = {
		"/from/env/x", "./up#$no-comment", "say \"#\" # /from/env", "it's#/from/env"};
	assert_int_equal(r->ntargets, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(r->targets[i].noptions, 1);
		assert_string_equal(r->targets[i].options[0].value, want[i]);
		assert_int_equal(r->targets[i].line, i + 3);
	}
	routing_free(r);
}

static void test_errors_name_line_and_key(void **state)
{
	static const struct {
		const char *text, *where, *part;
	} rows[] = {
		{"", "d.yml:1: ", ""},
		{"- a\n", "d.yml:1: ", "the file must be a map"},
		{"version: 2.0\n", "d.yml:1: ", "\"version\" must be 1.0"},
		{"version: [1.0]\n", "d.yml:1: ", "\"version\" must be 1.0"},
		{"version: 1.0\ntarget: {}\n", "d.yml:2: ", "unknown key \"target\""},
		{"a: 1\na: 2\n", "d.yml:2: ", "a"},
		{"targets:\n  - one\n", "d.yml:2: ", "\"targets\" must be a map"},
		{"targets:\n  one: disk\n", "d.yml:2: ", "a target must be a map"},
		{"targets:\n  one: {path: /p}\n", "d.yml:2: ", "target \"one\" has no \"type\""},
		{"targets:\n  one: {type: tape}\n", "d.yml:2: ",
			"unknown type \"tape\" of target \"one\", known: disk, bucket"},
		{"targets:\n  one: {type: []}\n", "d.yml:2: ", "\"type\" must be a text"},
		{"targets:\n  one:\n    type: disk\n    path: /p\n    pth: /q\n",
			"d.yml:5: ", "unknown key \"pth\" in target \"one\""},
		{"targets:\n  one: {type: disk}\n",
			"d.yml:2: ", "target \"one\" of type disk needs \"path\""},
		{"targets:\n  one: {type: disk, path: $EMPTY}\n", "d.yml:2: ", "needs \"path\""},
		{"targets:\n  one: {type: disk, path: {}}\n",
			"d.yml:2: ", "\"path\" must be a text"},
		{"targets:\n  one: {type: disk, path: /p, path_template: x}\n",
			"d.yml:2: ", "unknown key \"path_template\""},
		{"targets:\n  one: {type: disk, path: /p}\n  one: {type: disk, path: /p}\n",
			"d.yml:3: ", "one"},
		{"targets:\n  one: {name: uno, type: disk, path: /p}\n",
			"d.yml:2: ", "target \"one\" is called \"uno\" here"},
		{"targets:\n  one: {type: disk,\n path: $UNSET}\n", "d.yml:3: ", "UNSET"},
		{"targets: {one: {type: disk\n", "d.yml:", ""},
		{T "routing_groups: {}\n", "d.yml:2: ", "\"routing_groups\" must be a list"},
		{T "routing_groups:\n  - x\n", "d.yml:3: ", "must be a map"},
		{T "routing_groups:\n" GROUP("a", "b", "{name: nobody}"),
			"d.yml:5: ", "target \"nobody\" is not defined"},
		{T "routing_groups:\n" GROUP("a", "b", "{path_template: x}"),
			"d.yml:5: ", "\"name\" is missing"},
		{T "routing_groups:\n" GROUP("a", "b", "one"), "d.yml:5: ", "must be a map"},
		{T "routing_groups:\n" GROUP("a", "b", "{name: one, pathtemplate: x}"),
			"d.yml:5: ", "unknown key \"pathtemplate\""},
		{T "routing_groups:\n" GROUP("a", "b", "{name: one}, {name: one}"),
			"d.yml:5: ", "\"one\" appears twice"},
		{T "routing_groups:\n" GROUP("a", "b", "{name: one, path_template: '{{.Yeer}}'}"),
			"d.yml:5: ", "\".Yeer\" in column 1"},
		{T "routing_groups:\n" GROUP("a", "b", "{name: one, path_template: []}"),
			"d.yml:5: ", "\"path_template\" must be a text"},
		{T "routing_groups:\n" GROUP("a", "b", "") GROUP("A", "B", ""),
			"d.yml:6: ", "appears twice"},
		{T "routing_groups:\n" GROUP("a", "b", "") "programs:\n" GROUP("a", "b", ""),
			"d.yml:7: ", "appears twice"},
		{T "routing_groups:\n  - data_stream_id: a\n    delivery_targets: []\n",
			"d.yml:3: ", "\"data_stream_route\" is missing"},
		{T "routing_groups:\n  - data_stream_id: a\n    data_stream_route: b\n",
			"d.yml:3: ", "\"delivery_targets\" is missing"},
		{T "routing_groups:\n  - data_stream_id: a\n    data_stream_route: b\n"
		   "    delivery_targets:\n",
			"d.yml:5: ", "\"delivery_targets\" must be a list"},
		{T "routing_groups:\n  - data_stream_id: ''\n    data_stream_route: b\n",
			"d.yml:3: ", "\"data_stream_id\" must have 1 to"},
		{T "routing_groups:\n" GROUP("a", "b", "") "    priority: 1\n",
			"d.yml:6: ", "unknown key \"priority\""},
		{"programs:\n" GROUP("a", "b", "{name: one, type: disk, path: /p}")
				GROUP("b", "b", "{name: one, type: disk, path: /q}"),
			"d.yml:7: ", "target \"one\" is defined differently in line 4"},
		{"programs:\n" GROUP("a", "b", "{name: one, type: disk, path: /p}")
				GROUP("b", "b", "{name: one, type: disk, path: /p, durable: no}"),
			"d.yml:7: ", "defined differently"},
		{"programs:\n" GROUP("a", "b", "{name: one, type: disk, path: /p, x: 1}"),
			"d.yml:4: ", "unknown key \"x\" in target \"one\""},
		{"programs:\n" GROUP("a", "b", "{type: disk, path: /p}"),
			"d.yml:4: ", "\"name\" is missing"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct routing *r = parse(rows[i].text, &err);
		if (r || !str_starts(err.text, rows[i].where) || !strstr(err.text, rows[i].part))
			fail_msg("row %zu: \"%s\" is not \"%s… %s\"", i,
				r ? "(accepted)" : err.text, rows[i].where, rows[i].part);
	}
}

static void test_errors_show_no_option_value(void **state)
{
	static const char *const texts[] = {
		"targets:\n  a: {type: bucket, endpoint: E, secret: TOPSECRET, oops: 1}\n",
		"targets:\n  a: {type: bucket, secret: TOPSECRET}\n",
		"programs:\n" GROUP(
			"a", "b", "{name: a, type: bucket, endpoint: E, secret: TOPSECRET}")
			GROUP("b", "b", "{name: a, type: bucket, endpoint: E, secret: TOPSECRET2}"),
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct err err = {0};
		assert_null(parse(texts[i], &err));
		assert_null(strstr(err.text, "TOPSECRET"));
	}
}

static void test_long_values_leave_the_line_in_the_error(void **state)
{
	(void)state;
	static char text[3000] = "targets:\n  one: {type: disk, ";
	struct err err = {0};
	size_t used = strlen(text);
	memset(text + used, 'k', 2000);
	memcpy(text + used + 2000, ": 1}\n", 6);
	assert_null(parse(text, &err));
	assert_true(str_starts(err.text, "d.yml:2: "));
}

static void test_of_manifest(void **state)
{
	static const struct {
		const char *manifest, *route; /* of the group, NULL: none */
	} rows[] = {
		{"{\"data_stream_id\":\"A\",\"data_stream_route\":\"Two\"}", "two"},
		{"{\"meta_destination_id\":\"a\",\"meta_ext_event\":\"ONE\"}", "one"},
		{"{\"data_stream_id\":\"a\",\"data_stream_route\":\"two\","
		 "\"meta_destination_id\":\"a\",\"meta_ext_event\":\"one\"}",
			"two"},
		{"{\"data_stream_id\":\"a\",\"data_stream_route\":\"none\","
		 "\"meta_destination_id\":\"a\",\"meta_ext_event\":\"one\"}",
			"one"},
		{"{\"data_stream_id\":\"a\",\"meta_ext_event\":\"one\"}", NULL},
		{"{}", NULL},
	};
	(void)state;
	struct routing *r = parse_good(
		T "routing_groups:\n" GROUP("a", "one", "{name: one}") GROUP("a", "two", ""));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *m = json_parse(rows[i].manifest, strlen(rows[i].manifest), NULL);
		const struct routing_group *g = routing_of_manifest(r, m);
		assert_int_equal(g != NULL, rows[i].route != NULL);
		if (g)
			assert_string_equal(g->data_stream_route, rows[i].route);
		json_decref(m);
	}
	assert_null(routing_of_manifest(r, NULL));
	routing_free(r);
}

static void test_file_that_is_not_there(void **state)
{
	(void)state;
	struct err err = {0};
	assert_null(routing_load("/nonexistent/delivery.yml", backends, lookup, NULL, &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "/nonexistent/delivery.yml"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routing_groups),
		cmocka_unit_test(test_programs_with_inline_targets),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_errors_name_line_and_key),
		cmocka_unit_test(test_errors_show_no_option_value),
		cmocka_unit_test(test_long_values_leave_the_line_in_the_error),
		cmocka_unit_test(test_of_manifest),
		cmocka_unit_test(test_file_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
