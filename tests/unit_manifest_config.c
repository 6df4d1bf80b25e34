/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/manifest_config.h"
#include "core/store/blob.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/put_text.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define ONE_FIELD(name) "{\"metadata_config\":{\"fields\":[{\"field_name\":\"" name "\"}]}}"

/* ---- parser ---- */

static struct manifest_config *parse(const char *text, struct err *err)
{
	return manifest_config_parse("x.json", text, strlen(text), err);
}

static void test_parses_every_member(void **state)
{
	(void)state;
	struct err err = {0};
	struct manifest_config *mc = parse(
		"{\"metadata_config\":{\"version\":\"1.0\",\"fields\":["
		"{\"field_name\":\"a\",\"required\":true,\"description\":\"What a is.\","
		"\"allowed_values\":[\"x\",\"y\"],\"compat_field_name\":\"old_a\"},"
		"{\"field_name\":\"b\",\"required\":null,\"description\":null,\"allowed_values\":"
		"null,"
		"\"compat_field_name\":null},"
		"{\"field_name\":\"c\",\"allowed_values\":[],\"later_addition\":5}]},"
		"\"copy_config\":{\"filename_suffix\":\"upload_id\",\"folder_structure\":null,"
		"\"path_template\":\"{{.Nonsense}}\",\"targets\":[\"edav\"]},"
		"\"compat_config_filename\":\"x_y.json\",\"later_addition\":{}}",
		&err);
	assert_non_null(mc);
	assert_string_equal(mc->name, "x.json");
	assert_string_equal(mc->version, "1.0");
	assert_string_equal(mc->compat_config, "x_y.json");
	assert_int_equal(mc->nfields, 3);
	assert_string_equal(mc->fields[0].name, "a");
	assert_true(mc->fields[0].required);
	assert_string_equal(mc->fields[0].description, "What a is.");
	assert_string_equal(mc->fields[0].allowed[0], "x");
	assert_string_equal(mc->fields[0].allowed[1], "y");
	assert_null(mc->fields[0].allowed[2]);
	assert_string_equal(mc->fields[0].compat_name, "old_a");
	assert_false(mc->fields[1].required);
	assert_string_equal(mc->fields[1].description, "");
	assert_null(mc->fields[1].allowed);
	assert_null(mc->fields[1].compat_name);
	assert_null(mc->fields[2].allowed);
	manifest_config_unref(mc);
	manifest_config_unref(NULL);
}

static void test_version_defaults_to_2(void **state)
{
	(void)state;
	struct manifest_config *mc = parse(ONE_FIELD("a"), NULL);
	assert_non_null(mc);
	assert_string_equal(mc->version, "2.0");
	assert_null(mc->compat_config);
	manifest_config_unref(mc);
}

static void test_refuses_what_is_no_configuration(void **state)
{
	static const struct {
		const char *text, *part; /* what the error must name */
	} rows[] = {
		{"", "x.json: line "},
		{"[]", "not an object"},
		{"{\"a\":1,\"a\":2}", "x.json: line 1"},
		{"{}", "metadata_config: must be an object"},
		{"{\"metadata_config\":[]}", "metadata_config: must be an object"},
		{"{\"metadata_config\":{}}", "fields: must be a list"},
		{"{\"metadata_config\":{\"version\":2,\"fields\":[]}}",
			"version: must be a string"},
		{"{\"metadata_config\":{\"version\":\"3.0\",\"fields\":[]}}", "version: must be"},
		{"{\"metadata_config\":{\"fields\":[5]}}", "field 1: must be an object"},
		{"{\"metadata_config\":{\"fields\":[{}]}}", "field 1: field_name is missing"},
		{"{\"metadata_config\":{\"fields\":[{\"field_name\":\"\"}]}}",
			"field_name is missing"},
		{"{\"metadata_config\":{\"fields\":[{\"field_name\":\"a\",\"required\":\"yes\"}]}}",
			"field 1: required"},
		{"{\"metadata_config\":{\"fields\":[{\"field_name\":\"a\",\"description\":[]}]}}",
			"field 1: description"},
		{"{\"metadata_config\":{\"fields\":[{\"field_name\":\"a\",\"allowed_values\":\"x\"}"
		 "]}}",
			"field 1: allowed_values: must be a list"},
		{"{\"metadata_config\":{\"fields\":[{\"field_name\":\"a\",\"allowed_values\":[1]}]}"
		 "}",
			"field 1: allowed_values: element 1"},
		{"{\"metadata_config\":{\"fields\":[{\"field_name\":\"a\"},{\"field_name\":\"a\"}]}"
		 "}",
			"field 2: \"a\" appears twice"},
		{"{\"metadata_config\":{\"fields\":[]},\"copy_config\":5}", "copy_config: must be"},
		{"{\"metadata_config\":{\"fields\":[]},\"copy_config\":{\"targets\":\"edav\"}}",
			"copy_config: targets"},
		{"{\"metadata_config\":{\"fields\":[]},\"copy_config\":{\"targets\":[1]}}",
			"targets: element 1"},
		{"{\"metadata_config\":{\"fields\":[]},\"copy_config\":{\"folder_structure\":1}}",
			"copy_config: folder_structure"},
		{"{\"metadata_config\":{\"fields\":[]},\"compat_config_filename\":7}",
			"compat_config_filename: must be a string"},
		{"{\"metadata_config\":{\"fields\":[]},\"compat_config_filename\":\"\"}",
			"compat_config_filename"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		assert_null(parse(rows[i].text, &err));
		assert_true(str_starts(err.text, "x.json: "));
		if (!strstr(err.text, rows[i].part))
			fail_msg("row %zu: \"%s\" does not name \"%s\"", i, err.text, rows[i].part);
	}
}

/* A configuration with ${nfields} fields of ${nallowed} values each. */
static struct manifest_config *parse_big(size_t nfields, size_t nallowed, struct err *err)
{
	struct buf b;
	buf_init(&b, 4 << 20);
	assert_int_equal(buf_add_str(&b, "{\"metadata_config\":{\"fields\":["), 0);
	for (size_t i = 0; i < nfields; i++) {
		assert_int_equal(buf_printf(&b, "%s{\"field_name\":\"f%zu\",\"allowed_values\":[",
					 i ? "," : "", i),
			0);
		for (size_t j = 0; j < nallowed; j++)
			assert_int_equal(buf_printf(&b, "%s\"%zu\"", j ? "," : "", j), 0);
		assert_int_equal(buf_add_str(&b, "]}"), 0);
	}
	assert_int_equal(buf_add_str(&b, "]}}"), 0);
	struct manifest_config *mc = manifest_config_parse("x.json", buf_str(&b), b.len, err);
	buf_free(&b);
	return mc;
}

static void test_limits(void **state)
{
	static const struct {
		size_t nfields, nallowed;
		bool fine;
	} rows[] = {
		{1000, 10, true},
		{1001, 0, false},
		{1, 10000, true},
		{1, 10001, false},
		{2, 5001, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct manifest_config *mc = parse_big(rows[i].nfields, rows[i].nallowed, &err);
		assert_int_equal(mc != NULL, rows[i].fine);
		assert_int_equal(err.code, rows[i].fine ? ERR_NONE : ERR_TOO_LARGE);
		manifest_config_unref(mc);
	}
	static char big[(1 << 20) + 1];
	struct err err = {0};
	memset(big, ' ', sizeof(big));
	memcpy(big, ONE_FIELD("a"), sizeof(ONE_FIELD("a")) - 1);
	assert_null(manifest_config_parse("x.json", big, sizeof(big), &err));
	assert_int_equal(err.code, ERR_TOO_LARGE);
	struct manifest_config *mc = manifest_config_parse("x.json", big, sizeof(big) - 1, &err);
	assert_non_null(mc);
	manifest_config_unref(mc);
}

/* ---- cache ---- */

struct fixture {
	struct blob_store *memory;
	struct blob_store *store; /* a faulty one in front of it */
	struct manifest_configs *configs;
};

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	return str_eq(name, "FIELD") ? "from_env" : NULL;
}

static int set_up(void **state)
{
	static struct fixture f;
	f.memory = blob_open(&blob_memory_backend, "memory", NULL, 0, true, NULL);
	assert_non_null(f.memory);
	f.store = blob_fault_open(f.memory);
	assert_non_null(f.store);
	f.configs = manifest_configs_new(f.store, lookup, NULL, 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	manifest_configs_free(f->configs);
	blob_close(f->store);
	return 0;
}

/* Use an interval in which nothing is looked at twice. */
static void use_long_interval(struct fixture *f)
{
	manifest_configs_free(f->configs);
	f->configs = manifest_configs_new(f->store, lookup, NULL, 3600 * 1000);
}

static void expect_field(struct fixture *f, const char *name, const char *field)
{
	struct err err = {0};
	const struct manifest_config *mc = manifest_configs_get(f->configs, name, &err);
	assert_non_null(mc);
	assert_int_equal(mc->nfields, 1);
	assert_string_equal(mc->fields[0].name, field);
	manifest_config_unref(mc);
}

static void expect_error(struct fixture *f, const char *name, enum err_code code)
{
	struct err err = {0};
	assert_null(manifest_configs_get(f->configs, name, &err));
	assert_int_equal(err.code, code);
}

static void test_change_is_seen(void **state)
{
	struct fixture *f = *state;
	expect_error(f, "v2/a_b.json", ERR_NOT_FOUND);
	put_text(f->memory, "v2/a_b.json", ONE_FIELD("one"));
	expect_field(f, "v2/a_b.json", "one");
	put_text(f->memory, "v2/a_b.json", ONE_FIELD("two"));
	expect_field(f, "v2/a_b.json", "two");
	put_text(f->memory, "v2/a_b.json", NULL);
	expect_error(f, "v2/a_b.json", ERR_NOT_FOUND);
}

static void test_unchanged_file_is_read_once(void **state)
{
	struct fixture *f = *state;
	put_text(f->memory, "a_b.json", ONE_FIELD("one"));
	blob_fault_set(f->store, NULL);
	for (int i = 0; i < 5; i++)
		expect_field(f, "a_b.json", "one");
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_STAT), 5);
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_READ), 1);
}

static void test_within_the_interval_nobody_looks(void **state)
{
	struct fixture *f = *state;
	use_long_interval(f);
	put_text(f->memory, "a_b.json", ONE_FIELD("one"));
	blob_fault_set(f->store, NULL);
	for (int i = 0; i < 5; i++) {
		expect_field(f, "a_b.json", "one");
		expect_error(f, "missing.json", ERR_NOT_FOUND);
	}
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_STAT), 2);
	put_text(f->memory, "a_b.json", ONE_FIELD("two"));
	expect_field(f, "a_b.json", "one");
}

static void test_last_good_version_stays_in_force(void **state)
{
	struct fixture *f = *state;
	put_text(f->memory, "a_b.json", ONE_FIELD("good"));
	expect_field(f, "a_b.json", "good");
	put_text(f->memory, "a_b.json", "{ broken");
	blob_fault_set(f->store, NULL);
	for (int i = 0; i < 3; i++)
		expect_field(f, "a_b.json", "good");
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_READ), 1);
	put_text(f->memory, "a_b.json", ONE_FIELD("mended"));
	expect_field(f, "a_b.json", "mended");
}

static void test_broken_from_the_start_is_not_missing(void **state)
{
	struct fixture *f = *state;
	put_text(f->memory, "a_b.json", "{ broken");
	blob_fault_set(f->store, NULL);
	expect_error(f, "a_b.json", ERR_CORRUPT);
	expect_error(f, "a_b.json", ERR_CORRUPT);
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_READ), 1);
	put_text(f->memory, "a_b.json", ONE_FIELD("mended"));
	expect_field(f, "a_b.json", "mended");
}

static void test_broken_version_is_logged_once(void **state)
{
	struct fixture *f = *state;
	FILE *log = tmpfile();
	assert_non_null(log);
	int saved = dup(STDERR_FILENO);
	put_text(f->memory, "a_b.json", ONE_FIELD("good"));
	expect_field(f, "a_b.json", "good");
	assert_true(dup2(fileno(log), STDERR_FILENO) >= 0);
	for (int version = 0; version < 2; version++) {
		put_text(f->memory, "a_b.json", "{ broken");
		for (int i = 0; i < 3; i++)
			expect_field(f, "a_b.json", "good");
	}
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	char line[1024];
	int lines = 0;
	rewind(log);
	while (fgets(line, sizeof(line), log)) {
		lines++;
		assert_non_null(strstr(line, "a_b.json: line 1"));
		assert_non_null(strstr(line, "last good"));
	}
	assert_int_equal(lines, 2);
	fclose(log);
}

static void test_store_out_of_reach(void **state)
{
	struct fixture *f = *state;
	struct blob_fault_plan stat_fails = {
		.nth = {[BLOB_FAULT_STAT] = 1}, .code = ERR_UNAVAILABLE};
	struct blob_fault_plan read_fails = {
		.nth = {[BLOB_FAULT_READ] = 1}, .code = ERR_UNAVAILABLE};
	put_text(f->memory, "a_b.json", ONE_FIELD("one"));
	blob_fault_set(f->store, &stat_fails);
	expect_error(f, "a_b.json", ERR_UNAVAILABLE);
	blob_fault_set(f->store, &read_fails);
	expect_error(f, "a_b.json", ERR_UNAVAILABLE);
	expect_field(f, "a_b.json", "one");
	put_text(f->memory, "a_b.json", ONE_FIELD("two"));
	blob_fault_set(f->store, &stat_fails);
	expect_field(f, "a_b.json", "one");
	blob_fault_set(f->store, &read_fails);
	expect_field(f, "a_b.json", "one");
	expect_field(f, "a_b.json", "two");
}

static void test_variables_are_replaced(void **state)
{
	struct fixture *f = *state;
	put_text(f->memory, "a.json", ONE_FIELD("$FIELD"));
	expect_field(f, "a.json", "from_env");
	put_text(f->memory, "a.json", ONE_FIELD("${OTHER:-fallback}"));
	expect_field(f, "a.json", "fallback");
	put_text(f->memory, "b.json", "\n" ONE_FIELD("$OTHER"));
	struct err err = {0};
	assert_null(manifest_configs_get(f->configs, "b.json", &err));
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.text, "b.json"));
	assert_non_null(strstr(err.text, "line 2"));
	assert_non_null(strstr(err.text, "OTHER"));
}

static void test_oversized_file_is_not_read(void **state)
{
	struct fixture *f = *state;
	static char big[(1 << 20) + 2];
	memset(big, ' ', sizeof(big) - 1);
	put_text(f->memory, "a.json", big);
	blob_fault_set(f->store, NULL);
	expect_error(f, "a.json", ERR_CORRUPT);
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_READ), 0);
}

static void test_names_that_lead_elsewhere(void **state)
{
	static const char *const names[] = {
		"", "../a.json", "/etc/passwd", "v2/../../a.json", "a\nb.json", "v2//a.json"};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct err err = {0};
		assert_null(manifest_configs_get(f->configs, names[i], &err));
		assert_int_equal(err.code, ERR_NOT_FOUND);
		assert_true(*names[i] == '\0' || !strstr(err.text, names[i]));
	}
}

/* Strangers choose names; those without a file must not push out those that have one. */
static void test_unknown_names_do_not_displace_known_ones(void **state)
{
	struct fixture *f = *state;
	use_long_interval(f);
	put_text(f->memory, "a_b.json", ONE_FIELD("one"));
	expect_field(f, "a_b.json", "one");
	for (int i = 0; i < 2000; i++) {
		char name[40];
		snprintf(name, sizeof(name), "stranger_%d.json", i);
		expect_error(f, name, ERR_NOT_FOUND);
	}
	blob_fault_set(f->store, NULL);
	expect_field(f, "a_b.json", "one");
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_STAT), 0);
}

static void test_more_files_than_entries(void **state)
{
	struct fixture *f = *state;
	use_long_interval(f);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 300; i++) {
			char name[40];
			snprintf(name, sizeof(name), "s_%d.json", i);
			if (round == 0)
				put_text(f->memory, name, ONE_FIELD("x"));
			expect_field(f, name, "x");
		}
	}
	expect_error(f, "missing.json", ERR_NOT_FOUND);
}

static void test_reference_outlives_the_cache_entry(void **state)
{
	struct fixture *f = *state;
	put_text(f->memory, "a.json", ONE_FIELD("old"));
	const struct manifest_config *mc = manifest_configs_get(f->configs, "a.json", NULL);
	assert_non_null(mc);
	put_text(f->memory, "a.json", ONE_FIELD("new"));
	expect_field(f, "a.json", "new");
	assert_string_equal(mc->fields[0].name, "old");
	manifest_config_unref(mc);
}

static void test_versioned(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 0);
	put_text(f->memory, "v3/a.json", ONE_FIELD("x"));
	put_text(f->memory, "v2.json", ONE_FIELD("x"));
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 0);
	put_text(f->memory, "v1/a.json", ONE_FIELD("x"));
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 1);
	put_text(f->memory, "v2/a.json", ONE_FIELD("x"));
	put_text(f->memory, "v1/a.json", NULL);
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 1);
	struct blob_fault_plan fails = {.nth = {[BLOB_FAULT_LIST] = 1}, .code = ERR_UNAVAILABLE};
	blob_fault_set(f->store, &fails);
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 1);
	use_long_interval(f);
	blob_fault_set(f->store, &fails);
	assert_int_equal(manifest_configs_versioned(f->configs, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	blob_fault_set(f->store, NULL);
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 1);
	assert_int_equal(manifest_configs_versioned(f->configs, &err), 1);
	assert_int_equal(blob_fault_calls(f->store, BLOB_FAULT_LIST), 1);
}

static void test_check_all_names_every_broken_file(void **state)
{
	struct fixture *f = *state;
	struct buf problems;
	buf_init(&problems, 4096);
	put_text(f->memory, "v2/good.json", ONE_FIELD("x"));
	put_text(f->memory, "v1/good.json", ONE_FIELD("x"));
	put_text(f->memory, "flat.json", ONE_FIELD("x"));
	put_text(f->memory, "README.md", "not looked at");
	put_text(f->memory, "v2/deeper/not.json", "not looked at");
	put_text(f->memory, "v2/bad.json", "{");
	put_text(f->memory, "v1/unset.json", ONE_FIELD("$UNSET"));
	assert_int_equal(manifest_configs_check_all(f->configs, &problems, NULL), 3);
	assert_true(str_starts(buf_str(&problems), "v1/unset.json: "));
	assert_non_null(strstr(buf_str(&problems), "\nv2/bad.json: "));
	assert_null(strstr(buf_str(&problems), "deeper"));
	struct blob_fault_plan fails = {.nth = {[BLOB_FAULT_LIST] = 1}, .code = ERR_UNAVAILABLE};
	struct err err = {0};
	blob_fault_set(f->store, &fails);
	assert_int_equal(manifest_configs_check_all(f->configs, &problems, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	buf_free(&problems);
}

/* A configuration with one allowed value for each of the two keys. */
#define PAIR(id, route)                                                           \
	"{\"metadata_config\":{\"fields\":[{\"field_name\":\"data_stream_id\","   \
	"\"allowed_values\":[\"" id "\"]},{\"field_name\":\"data_stream_route\"," \
	"\"allowed_values\":[\"" route "\"]}]}}"

/* The known streams as "id/route " … */
static void check_streams(struct fixture *f, const char *expected)
{
	struct manifest_streams streams;
	struct buf text;
	buf_init(&text, 4096);
	assert_int_equal(manifest_configs_streams(f->configs, &streams, NULL), 0);
	for (size_t i = 0; i < streams.n; i++)
		assert_int_equal(
			buf_printf(&text, "%s/%s ", streams.items[i].id, streams.items[i].route),
			0);
	assert_string_equal(buf_str(&text), expected);
	manifest_streams_free(&streams);
	buf_free(&text);
}

static void test_streams_are_listed(void **state)
{
	struct fixture *f = *state;
	check_streams(f, "");
	put_text(f->memory, "v2/b_csv.json", PAIR("B", "CSV"));
	put_text(f->memory, "v2/a_b_c.json", PAIR("a", "b_c"));
	put_text(f->memory, "v2/a_b-d.json", PAIR("a_b", "d"));
	put_text(f->memory, "v2/some_name_json.json", ONE_FIELD("x"));
	put_text(f->memory, "v2/other_file.json", PAIR("not", "this"));
	put_text(f->memory, "v2/plain.json", ONE_FIELD("x"));
	put_text(f->memory, "v2/broken_one.json", "{");
	put_text(f->memory, "v1/old-one.json", PAIR("old", "one"));
	put_text(f->memory, "flat_one.json", PAIR("flat", "one"));
	check_streams(f, "B/CSV a/b_c a_b/d flat/one other/file some_name/json ");
}

static void test_the_list_of_streams_survives_its_place(void **state)
{
	struct fixture *f = *state;
	struct blob_fault_plan fails = {.nth = {[BLOB_FAULT_LIST] = 1}, .code = ERR_UNAVAILABLE};
	struct manifest_streams streams;
	struct err err = {0};
	put_text(f->memory, "v2/a_b.json", PAIR("a", "b"));
	blob_fault_set(f->store, &fails);
	assert_int_equal(manifest_configs_streams(f->configs, &streams, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(streams.n, 0);
	manifest_streams_free(&streams);
	blob_fault_set(f->store, NULL);
	check_streams(f, "a/b ");
	blob_fault_set(f->store, &fails);
	check_streams(f, "a/b ");
}

struct reader {
	struct manifest_configs *configs;
	int id;
	int bad;
};

static void *read_many(void *arg)
{
	struct reader *r = arg;
	for (int i = 0; i < 400; i++) {
		char name[40];
		snprintf(name, sizeof(name), "thread_%d_%d.json", r->id, i);
		const struct manifest_config *mc =
			manifest_configs_get(r->configs, "shared.json", NULL);
		if (!mc || (strcmp(mc->fields[0].name, "even") != 0 &&
				   strcmp(mc->fields[0].name, "odd") != 0))
			r->bad++;
		manifest_config_unref(mc);
		if (manifest_configs_get(r->configs, name, NULL))
			r->bad++;
		if (manifest_configs_versioned(r->configs, NULL) < 0)
			r->bad++;
	}
	return NULL;
}

/* Run under TSan this shows races; here it shows use after free and torn answers. */
static void test_many_threads_while_a_file_changes(void **state)
{
	struct fixture *f = *state;
	struct manifest_configs *eager = manifest_configs_new(f->memory, lookup, NULL, 0);
	struct manifest_configs *calm = manifest_configs_new(f->memory, lookup, NULL, 1);
	pthread_t threads[6];
	struct reader readers[6];
	put_text(f->memory, "shared.json", ONE_FIELD("even"));
	put_text(f->memory, "v2/x.json", ONE_FIELD("x"));
	for (int i = 0; i < 6; i++) {
		readers[i] = (struct reader){i % 2 ? eager : calm, i, 0};
		expect_field(f, "shared.json", "even");
		const struct manifest_config *warm =
			manifest_configs_get(readers[i].configs, "shared.json", NULL);
		assert_non_null(warm);
		manifest_config_unref(warm);
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, &readers[i]), 0);
	}
	/* Broken in between, so that the last good one is what readers get. */
	for (int i = 0; i < 50; i++) {
		struct blob_writer *w;
		const char *text = i % 4 == 1 ? "{" : i % 2 ? ONE_FIELD("odd") : ONE_FIELD("even");
		w = blob_begin(f->memory, "shared.json", BLOB_RESUME, 0, NULL, 0, NULL);
		assert_non_null(w);
		assert_int_equal(blob_append(w, text, strlen(text), NULL), 0);
		assert_int_equal(blob_commit(w, NULL, NULL), 0);
	}
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].bad, 0);
	}
	manifest_configs_free(eager);
	manifest_configs_free(calm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parses_every_member),
		cmocka_unit_test(test_version_defaults_to_2),
		cmocka_unit_test(test_refuses_what_is_no_configuration),
		cmocka_unit_test(test_limits),
		TEST(test_change_is_seen),
		TEST(test_unchanged_file_is_read_once),
		TEST(test_within_the_interval_nobody_looks),
		TEST(test_last_good_version_stays_in_force),
		TEST(test_broken_from_the_start_is_not_missing),
		TEST(test_broken_version_is_logged_once),
		TEST(test_store_out_of_reach),
		TEST(test_variables_are_replaced),
		TEST(test_oversized_file_is_not_read),
		TEST(test_names_that_lead_elsewhere),
		TEST(test_unknown_names_do_not_displace_known_ones),
		TEST(test_more_files_than_entries),
		TEST(test_reference_outlives_the_cache_entry),
		TEST(test_versioned),
		TEST(test_check_all_names_every_broken_file),
		TEST(test_streams_are_listed),
		TEST(test_the_list_of_streams_survives_its_place),
		TEST(test_many_threads_while_a_file_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
