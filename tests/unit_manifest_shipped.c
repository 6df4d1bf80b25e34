/* SPDX-License-Identifier: Apache-2.0 */
/* The configurations and the delivery file that ship. */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "tests/lib/manifest_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
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
	struct manifest_world w;
	manifest_world_open_shipped(&w);
	struct buf problems;
	buf_init(&problems, 4096);
	assert_int_equal(manifest_configs_check_all(w.configs, &problems, NULL), N(streams) + 1);
	assert_string_equal(buf_str(&problems), "");
	buf_free(&problems);
	for (size_t i = 0; i < N(streams); i++) {
		const struct stream *s = &streams[i];
		static const char *const none[] = {NULL};
		struct manifest_check c;
		struct buf m;
		expect_shipped_fields(w.configs, s);
		buf_init(&m, 4096);
		assert_int_equal(buf_printf(&m,
					 "{\"data_stream_id\":\"%s\",\"data_stream_route\":\"%s\","
					 "\"received_filename\":\"name.csv\"%s}",
					 s->id, s->route, s->fine),
			0);
		manifest_world_check(&w, buf_str(&m), &c);
		manifest_world_errors(&c.errors, none, buf_str(&m));
		manifest_check_free(&c);
		buf_reset(&m);
		assert_int_equal(
			buf_printf(&m, "{\"data_stream_id\":\"%s\",\"data_stream_route\":\"%s\"}",
				s->id, s->route),
			0);
		manifest_world_check(&w, buf_str(&m), &c);
		/* The pair itself is present; every other required field is reported. */
		assert_int_equal(c.errors.n, 2 * (s->nrequired - 2));
		manifest_check_free(&c);
		buf_free(&m);
	}
	manifest_world_close(&w);
}

static void test_shipped_v1_example_becomes_v2(void **state)
{
	static const char *const none[] = {NULL};
	(void)state;
	struct manifest_world w;
	manifest_world_open_shipped(&w);
	struct manifest_check c;
	manifest_world_check(&w,
		"{\"meta_destination_id\":\"dextesting\",\"meta_ext_event\":\"testEvent1\","
		"\"meta_ext_source\":\"S\",\"meta_ext_entity\":\"J\",\"meta_ext_filename\":\"n."
		"csv\"}",
		&c);
	static const char *const cased[] = {
		VF, "data_stream_route had disallowed value testEvent1", NULL};
	manifest_world_errors(&c.errors, cased, "v1, letter case");
	manifest_check_free(&c);
	manifest_world_check(&w,
		"{\"meta_destination_id\":\"dextesting\",\"meta_ext_event\":\"testevent1\","
		"\"meta_ext_source\":\"S\",\"meta_ext_entity\":\"J\",\"meta_ext_filename\":\"n."
		"csv\"}",
		&c);
	manifest_world_errors(&c.errors, none, "v1");
	assert_string_equal(json_get_str(c.manifest, "version"), "2.0");
	assert_string_equal(json_get_str(c.manifest, "data_stream_id"), "dextesting");
	assert_string_equal(json_get_str(c.manifest, "data_stream_route"), "testevent1");
	assert_string_equal(json_get_str(c.manifest, "sender_id"), "S");
	assert_string_equal(json_get_str(c.manifest, "jurisdiction"), "J");
	assert_string_equal(json_get_str(c.manifest, "received_filename"), "n.csv");
	manifest_check_free(&c);
	manifest_world_close(&w);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped_configurations),
		cmocka_unit_test(test_shipped_v1_example_becomes_v2),
		cmocka_unit_test(test_shipped_delivery_routes_every_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
