/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/manifest.h"
#include "core/dex/manifest_config.h"
#include "core/dex/routing.h"
#include "core/store/blob.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/put_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "6b18cf8a-0d49-4a6e-9d0a-1f2e3d4c5b6a"
#define NOW INT64_C(1767323045123456)
#define NOW_TEXT "2026-01-02T03:04:05.123456Z"
#define VF "validation failure"
#define NO_FILE(name) \
	"open " name ": no such file or directory", VF, "manifest validation config file not found"
#define UNSAFE "invalid_stream_name.json"

#define CONFIG(fields) "{\"metadata_config\":{\"version\":\"2.0\",\"fields\":[" fields "]}}"
#define FIELD(name) "{\"field_name\":\"" name "\",\"required\":true}"
#define OPTIONAL(name, values) "{\"field_name\":\"" name "\",\"allowed_values\":[" values "]}"
#define COMPAT(name, old) \
	"{\"field_name\":\"" name "\",\"required\":true,\"compat_field_name\":\"" old "\"}"
#define V1_CONFIG(compat)                                               \
	"{\"metadata_config\":{\"version\":\"1.0\",\"fields\":[" FIELD( \
		"meta_destination_id") "]},\"compat_config_filename\":" compat "}"

struct fixture {
	struct blob_store *store;
	struct blob_store *front; /* the same, but faulty when asked to be */
	struct manifest_configs *configs;
};

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
}

static int set_up(void **state)
{
	static struct fixture f;
	f.store = blob_open(&blob_memory_backend, "memory", NULL, 0, true, NULL);
	assert_non_null(f.store);
	f.front = blob_fault_open(f.store);
	assert_non_null(f.front);
	f.configs = manifest_configs_new(f.front, lookup, NULL, 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	manifest_configs_free(f->configs);
	blob_close(f->front);
	return 0;
}

static json_t *object(const char *text)
{
	struct err err = {0};
	json_t *o = json_parse(text, strlen(text), &err);
	if (!o)
		fail_msg("%s: %s", text, err.text);
	return o;
}

static void expect_errors(
	const struct manifest_errors *e, const char *const *want, const char *what)
{
	size_t n = 0;
	while (want[n])
		n++;
	for (size_t i = 0; i < n && i < e->n; i++) {
		if (!str_eq(e->items[i], want[i]))
			fail_msg("%s: error %zu is \"%s\", not \"%s\"", what, i, e->items[i],
				want[i]);
	}
	if (n != e->n)
		fail_msg("%s: %zu errors, not %zu; first: %s", what, e->n, n,
			e->n ? e->items[0] : "-");
}

static void check_text(struct fixture *f, const char *manifest, struct manifest_check *out)
{
	json_t *m = object(manifest);
	json_t *before = json_deep_copy(m);
	struct err err = {0};
	if (manifest_check(f->configs, m, ID, NOW, out, &err) < 0)
		fail_msg("%s: %s", manifest, err.text);
	assert_true(json_equal(m, before));
	json_decref(before);
	json_decref(m);
	assert_string_equal(json_get_str(out->manifest, "upload_id"), ID);
	assert_string_equal(json_get_str(out->manifest, "dex_ingest_datetime"), NOW_TEXT);
}

struct row {
	const char *manifest;
	const char *want[8];
};

static void expect_rows(struct fixture *f, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct manifest_check c;
		check_text(f, rows[i].manifest, &c);
		expect_errors(&c.errors, rows[i].want, rows[i].manifest);
		manifest_check_free(&c);
	}
}

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define AB "\"data_stream_id\":\"a\",\"data_stream_route\":\"b\""

static void test_choice_of_the_version(void **state)
{
	static const struct row rows[] = {
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
	struct fixture *f = *state;
	put_text(f->store, "a_b.json", CONFIG(""));
	expect_rows(f, rows, N(rows));
}

static void test_names_of_configurations(void **state)
{
	static const struct row rows[] = {
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
	struct fixture *f = *state;
	put_text(f->store, "a_b.json", CONFIG(""));
	expect_rows(f, rows, N(rows));
}

static void test_over_long_stream_finds_nothing(void **state)
{
	struct fixture *f = *state;
	char id[4001];
	static const char *const want[] = {NO_FILE(UNSAFE), NULL};
	memset(id, 'a', 4000);
	id[4000] = '\0';
	json_t *m = json_pack("{s:s, s:s}", "data_stream_id", id, "data_stream_route", "b");
	struct manifest_check c;
	assert_int_equal(manifest_check(f->configs, m, ID, NOW, &c, NULL), 0);
	expect_errors(&c.errors, want, "long name");
	manifest_check_free(&c);
	json_decref(m);
}

static void test_nul_does_not_shorten_a_value(void **state)
{
	struct fixture *f = *state;
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
	put_text(f->store, "a_b.json", CONFIG(OPTIONAL("f", "\"x\"")));
	for (size_t i = 0; i < N(rows); i++) {
		json_t *m = object("{" AB "}");
		struct manifest_check c;
		assert_int_equal(json_object_set_new(
					 m, rows[i].key, json_stringn(rows[i].value, rows[i].len)),
			0);
		assert_int_equal(manifest_check(f->configs, m, ID, NOW, &c, NULL), 0);
		expect_errors(&c.errors, rows[i].want, rows[i].key);
		manifest_check_free(&c);
		json_decref(m);
	}
}

static void test_fields(void **state)
{
	static const struct row rows[] = {
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
	struct fixture *f = *state;
	put_text(f->store, "a_b.json",
		CONFIG(FIELD("r1") ",{\"field_name\":\"r2\",\"required\":true,"
				   "\"allowed_values\":[\"x\",\"y\"]}," OPTIONAL(
					   "o", "\"1\",\"2\"")));
	expect_rows(f, rows, N(rows));
}

#define BAD(value)                                                        \
	{                                                                 \
		"invalid character found in " value " validation failure" \
	}

static void test_file_names(void **state)
{
	static const struct row rows[] = {
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
	struct fixture *f = *state;
	put_text(f->store, "a_b.json", CONFIG(""));
	expect_rows(f, rows, N(rows));
	char name[257];
	memset(name, 'n', 256);
	name[256] = '\0';
	for (size_t len = 255; len <= 256; len++) {
		json_t *m = object("{" AB "}");
		struct manifest_check c;
		assert_int_equal(json_object_set_new(m, "filename", json_stringn(name, len)), 0);
		assert_int_equal(manifest_check(f->configs, m, ID, NOW, &c, NULL), 0);
		assert_int_equal(c.errors.n, len == 255 ? 0 : 1);
		manifest_check_free(&c);
		json_decref(m);
	}
}

static void test_client_cannot_choose_id_or_time(void **state)
{
	struct fixture *f = *state;
	struct manifest_check c;
	put_text(f->store, "a_b.json", CONFIG(FIELD("upload_id")));
	check_text(f, "{\"upload_id\":\"mine\"," AB ",\"dex_ingest_datetime\":\"then\"}", &c);
	assert_int_equal(c.errors.n, 0);
	assert_int_equal(json_object_size(c.manifest), 4);
	assert_null(c.hydrated);
	manifest_check_free(&c);
}

/* Each file asks for a field of its own name, so the answer tells which one was used. */
static void expect_used(struct fixture *f, const char *manifest, const char *file)
{
	struct manifest_check c;
	char want[80];
	check_text(f, manifest, &c);
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
	struct fixture *f = *state;
	put_text(f->store, "a-b.json", CONFIG(FIELD("flat-dash")));
	expect_used(f, v2, "flat-dash");
	expect_used(f, v1, "flat-dash");
	put_text(f->store, "a_b.json", CONFIG(FIELD("flat_underscore")));
	expect_used(f, v2, "flat_underscore");
	expect_used(f, v1, "flat-dash");
	put_text(f->store, "v1/a-b.json", CONFIG(FIELD("v1-dash")));
	expect_used(f, v2, "v1-dash");
	expect_used(f, v1, "v1-dash");
	put_text(f->store, "v2/a-b.json", CONFIG(FIELD("v2-dash")));
	expect_used(f, v2, "v2-dash");
	put_text(f->store, "v2/a_b.json", CONFIG(FIELD("v2_underscore")));
	expect_used(f, v2, "v2_underscore");
	expect_used(f, v1, "v1-dash");
	put_text(f->store, "v1/a-b.json", NULL);
	put_text(f->store, "a-b.json", NULL);
	expect_used(f, v1, NULL);
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
	struct fixture *f = *state;
	struct manifest_check c;
	put_text(f->store, "v1/a-b.json", V1_CONFIG("\"a_b.json\""));
	put_text(f->store, "v2/a_b.json", V2_FIELDS);
	check_text(f, V1_MANIFEST, &c);
	expect_errors(&c.errors, want, "hydrated");
	json_t *hydrated = object("{\"sender_id\":\"S\",\"data_stream_id\":\"a\","
				  "\"data_stream_route\":\"b\",\"received_filename\":\"n.csv\"}");
	assert_true(json_equal(c.hydrated, hydrated));
	json_t *manifest = object(
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
	struct fixture *f = *state;
	for (size_t i = 0; i < N(rows); i++) {
		char config[400];
		size_t used = strlen(V1_CONFIG(""));
		struct manifest_check c;
		struct buf text;
		buf_init(&text, sizeof(config));
		assert_int_equal(buf_add(&text, V1_CONFIG(""), used - 1), 0);
		assert_int_equal(buf_add_str(&text, rows[i].compat), 0);
		assert_int_equal(buf_add_char(&text, '}'), 0);
		put_text(f->store, "v1/a-b.json", buf_str(&text));
		put_text(f->store, rows[i].file, V2_FIELDS);
		check_text(f, V1_MANIFEST, &c);
		if (!c.hydrated)
			fail_msg("%s did not find %s", rows[i].compat, rows[i].file);
		manifest_check_free(&c);
		put_text(f->store, rows[i].file, NULL);
		buf_free(&text);
	}
}

static void test_v1_without_its_v2_file(void **state)
{
	static const struct row missing[] = {{V1_MANIFEST, {NO_FILE("a_b.json")}}};
	static const struct row escaping[] = {{V1_MANIFEST, {NO_FILE(UNSAFE)}}};
	static const struct row none[] = {{V1_MANIFEST, {NULL}},
		{"{\"version\":\"1.0\",\"meta_destination_id\":\"a\",\"meta_ext_event\":\"b\"}",
			{NULL}}};
	struct fixture *f = *state;
	/* Flat: with the other separator the name is that of the v1 file itself. */
	put_text(f->store, "a-b.json", V1_CONFIG("\"a_b.json\""));
	expect_rows(f, missing, N(missing));
	put_text(f->store, "a-b.json", V1_CONFIG("\"../a_b.json\""));
	expect_rows(f, escaping, N(escaping));
	put_text(f->store, "a-b.json", V1_CONFIG("null"));
	expect_rows(f, none, N(none));
}

static void test_store_out_of_reach_is_no_rejection(void **state)
{
	static const enum blob_fault_op ops[] = {BLOB_FAULT_LIST, BLOB_FAULT_STAT, BLOB_FAULT_READ};
	struct fixture *f = *state;
	put_text(f->store, "v2/a_b.json", CONFIG(""));
	for (size_t i = 0; i < N(ops); i++) {
		struct blob_fault_plan plan = {.code = ERR_IO};
		struct err err = {0};
		struct manifest_check c;
		json_t *m = object("{" AB "}");
		plan.nth[ops[i]] = 1;
		blob_fault_set(f->front, &plan);
		assert_int_equal(manifest_check(f->configs, m, ID, NOW, &c, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		json_decref(m);
		manifest_configs_free(f->configs);
		f->configs = manifest_configs_new(f->front, lookup, NULL, 0);
	}
	put_text(f->store, "v2/a_b.json", "{ broken");
	struct err err = {0};
	struct manifest_check c;
	json_t *m = object("{" AB "}");
	assert_int_equal(manifest_check(f->configs, m, ID, NOW, &c, &err), -1);
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
		json_t *m = object(rows[i].manifest);
		assert_string_equal(manifest_filename(m), rows[i].filename);
		assert_string_equal(manifest_stream_id(m), rows[i].id);
		assert_string_equal(manifest_stream_route(m), rows[i].route);
		json_decref(m);
	}
	assert_string_equal(manifest_filename(NULL), "");
	assert_string_equal(manifest_stream_id(NULL), "");
}

/* ---- what ships ---- */

static struct manifest_configs *open_shipped(struct blob_store **store)
{
	const struct blob_option opt = {"path", "upload-configs"};
	struct err err = {0};
	*store = blob_open(registry_find_blob("file"), "configs", &opt, 1, false, &err);
	if (!*store)
		fail_msg("upload-configs: %s", err.text);
	return manifest_configs_new(*store, lookup, NULL, 0);
}

struct stream {
	const char *id, *route;
	size_t nfields, nrequired;
	const char *target;
	const char *path; /* of file "name.csv" */
	const char *fine; /* further members of an accepted manifest */
};

#define DAY "2026/01/02/"
#define IZGW(period, more)                                                               \
	",\"sender_id\":\"IZGW\",\"data_producer_id\":\"AKA\",\"jurisdiction\":\"NIH\"," \
	"\"meta_ext_objectkey\":\"k\",\"meta_ext_submissionperiod\":\"" period "\","     \
	"\"meta_ext_sourceversion\":\"V2024-09-04\",\"meta_username\":\"u\"" more

static const struct stream streams[] = {
	{"covid-all-monthly-vaccination", "csv", 10, 10, "ncird", DAY "name.csv", IZGW("1", "")},
	{"dextesting", "testevent1", 6, 6, "edav", DAY "name_" ID ".csv",
		",\"sender_id\":\"s\",\"data_producer_id\":\"p\",\"jurisdiction\":\"j\""},
	{"ehdi", "csv", 6, 6, "ehdi", DAY "name.csv",
		",\"sender_id\":\"NE-PHA\",\"data_producer_id\":\"MI-PHA\",\"jurisdiction\":"
		"\"LA\""},
	{"eicr", "fhir", 8, 6, "eicr", DAY "name.csv",
		",\"sender_id\":\"APHL\",\"meta_ext_objectkey\":\"k\",\"meta_ext_file_timestamp\":"
		"\"t\""},
	{"generic-immunization", "csv", 11, 11, "ncird", DAY "name.csv",
		IZGW("2", ",\"meta_ext_file_timestamp\":\"t\"")},
	{"influenza-vaccination", "csv", 10, 10, "ncird", DAY "name.csv", IZGW("3", "")},
	{"pulsenet", "localsequencefile", 6, 6, "edav", "pulsenet/localsequencefile/name.csv",
		",\"sender_id\":\"PulseNet-App\",\"data_producer_id\":\"p\",\"jurisdiction\":"
		"\"j\""},
	{"routine-immunization", "other", 10, 10, "ncird", DAY "name.csv", IZGW("4", "")},
	{"rsv-prevention", "csv", 10, 10, "ncird", DAY "name.csv", IZGW("5", "")},
};

static void expect_shipped_fields(struct manifest_configs *configs, const struct stream *s)
{
	char name[100];
	struct err err = {0};
	struct buf b;
	buf_init(&b, sizeof(name) - 1);
	assert_int_equal(buf_printf(&b, "v2/%s_%s.json", s->id, s->route), 0);
	const struct manifest_config *mc = manifest_configs_get(configs, buf_str(&b), &err);
	if (!mc)
		fail_msg("%s: %s", buf_str(&b), err.text);
	buf_free(&b);
	size_t required = 0;
	for (size_t i = 0; i < mc->nfields; i++) {
		required += mc->fields[i].required;
		assert_true(strlen(mc->fields[i].description) > 20);
	}
	assert_int_equal(mc->nfields, s->nfields);
	assert_int_equal(required, s->nrequired);
	manifest_config_unref(mc);
}

static void test_shipped_configurations(void **state)
{
	(void)state;
	struct blob_store *store;
	struct manifest_configs *configs = open_shipped(&store);
	struct fixture f = {.configs = configs};
	struct buf problems;
	buf_init(&problems, 4096);
	assert_int_equal(manifest_configs_check_all(configs, &problems, NULL), N(streams) + 1);
	assert_string_equal(buf_str(&problems), "");
	buf_free(&problems);
	for (size_t i = 0; i < N(streams); i++) {
		const struct stream *s = &streams[i];
		static const char *const none[] = {NULL};
		struct manifest_check c;
		struct buf m;
		expect_shipped_fields(configs, s);
		buf_init(&m, 4096);
		assert_int_equal(buf_printf(&m,
					 "{\"data_stream_id\":\"%s\",\"data_stream_route\":\"%s\","
					 "\"received_filename\":\"name.csv\"%s}",
					 s->id, s->route, s->fine),
			0);
		check_text(&f, buf_str(&m), &c);
		expect_errors(&c.errors, none, buf_str(&m));
		manifest_check_free(&c);
		buf_reset(&m);
		assert_int_equal(
			buf_printf(&m, "{\"data_stream_id\":\"%s\",\"data_stream_route\":\"%s\"}",
				s->id, s->route),
			0);
		check_text(&f, buf_str(&m), &c);
		/* The pair itself is present; every other required field is reported. */
		assert_int_equal(c.errors.n, 2 * (s->nrequired - 2));
		manifest_check_free(&c);
		buf_free(&m);
	}
	manifest_configs_free(configs);
	blob_close(store);
}

static void test_shipped_v1_example_becomes_v2(void **state)
{
	static const char *const none[] = {NULL};
	(void)state;
	struct blob_store *store;
	struct manifest_configs *configs = open_shipped(&store);
	struct fixture f = {.configs = configs};
	struct manifest_check c;
	check_text(&f,
		"{\"meta_destination_id\":\"dextesting\",\"meta_ext_event\":\"testEvent1\","
		"\"meta_ext_source\":\"S\",\"meta_ext_entity\":\"J\",\"meta_ext_filename\":\"n."
		"csv\"}",
		&c);
	static const char *const cased[] = {
		VF, "data_stream_route had disallowed value testEvent1", NULL};
	expect_errors(&c.errors, cased, "v1, letter case");
	manifest_check_free(&c);
	check_text(&f,
		"{\"meta_destination_id\":\"dextesting\",\"meta_ext_event\":\"testevent1\","
		"\"meta_ext_source\":\"S\",\"meta_ext_entity\":\"J\",\"meta_ext_filename\":\"n."
		"csv\"}",
		&c);
	expect_errors(&c.errors, none, "v1");
	assert_string_equal(json_get_str(c.manifest, "version"), "2.0");
	assert_string_equal(json_get_str(c.manifest, "data_stream_id"), "dextesting");
	assert_string_equal(json_get_str(c.manifest, "data_stream_route"), "testevent1");
	assert_string_equal(json_get_str(c.manifest, "sender_id"), "S");
	assert_string_equal(json_get_str(c.manifest, "jurisdiction"), "J");
	assert_string_equal(json_get_str(c.manifest, "received_filename"), "n.csv");
	manifest_check_free(&c);
	manifest_configs_free(configs);
	blob_close(store);
}

static void test_shipped_delivery_routes_every_stream(void **state)
{
	(void)state;
	struct err err = {0};
	struct routing *r = routing_load("deploy/delivery.yml", registry_blob, lookup, NULL, &err);
	if (!r)
		fail_msg("%s", err.text);
	assert_int_equal(r->ngroups, N(streams));
	assert_int_equal(r->ntargets, 4);
	for (size_t i = 0; i < N(streams); i++) {
		const struct stream *s = &streams[i];
		const struct routing_group *g = routing_find_group(r, s->id, s->route);
		assert_non_null(g);
		assert_int_equal(g->nentries, 1);
		const struct routing_entry *e = routing_entry_of(g, s->target);
		assert_non_null(e);
		assert_true(str_starts(e->target->options[0].value, "./uploads/"));
		assert_string_equal(e->target->options[0].value + strlen("./uploads/"), s->target);
		struct path_template_values v = {.ingest_time = NOW,
			.upload_id = ID,
			.filename = "name.csv",
			.data_stream_id = s->id,
			.data_stream_route = s->route};
		struct buf path;
		buf_init(&path, 1024);
		assert_int_equal(path_template_expand(e->path_template, &v, &path, &err), 0);
		assert_string_equal(buf_str(&path), s->path);
		buf_free(&path);
	}
	routing_free(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
	struct fixture *f = *state;
	put_text(f->store, "v2/a_b.json", CONFIG(FIELD("x")));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct manifest_config *mc;
		struct manifest_errors errors;
		int found =
			manifest_find(f->configs, rows[i].id, rows[i].route, &mc, &errors, NULL);
		assert_int_equal(found, rows[i].found);
		expect_errors(&errors, rows[i].want, rows[i].route);
		manifest_errors_free(&errors);
		if (found)
			assert_string_equal(mc->fields[0].name, "x");
		else
			assert_null(mc);
		manifest_config_unref(mc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_choice_of_the_version),
		TEST(test_names_of_configurations),
		TEST(test_over_long_stream_finds_nothing),
		TEST(test_nul_does_not_shorten_a_value),
		TEST(test_fields),
		TEST(test_file_names),
		TEST(test_client_cannot_choose_id_or_time),
		TEST(test_order_of_places),
		TEST(test_hydration),
		TEST(test_compat_file_is_looked_for_with_both_separators),
		TEST(test_v1_without_its_v2_file),
		TEST(test_find_tells_what_a_check_would),
		TEST(test_store_out_of_reach_is_no_rejection),
		cmocka_unit_test(test_accessors),
		cmocka_unit_test(test_shipped_configurations),
		cmocka_unit_test(test_shipped_v1_example_becomes_v2),
		cmocka_unit_test(test_shipped_delivery_routes_every_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
