/* SPDX-License-Identifier: Apache-2.0 */
/* Where state and locks are kept, and that no error tells the secret in it. */
#include "core/app_state.h"

#include "backends/registry.h"
#include "core/base/err.h"
#include "core/store/lock.h"
#include "core/store/state.h"
#include "tests/lib/config_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct app_backends backends = {
	.blob = registry_blob,
	.lock = registry_lock,
	.publish = registry_publish,
	.state = registry_state,
	.subscribe = registry_subscribe,
};

static void test_files_where_nothing_else_is_said(void **state)
{
	struct config_world *f = *state;
	struct state *s = NULL;
	struct lock_service *l = NULL;
	struct err err = {0};

	assert_int_equal(config_world_run(f, NULL), 0);
	assert_int_equal(app_state_open(f->config, &backends, &s, &l, &err), 0);
	assert_string_equal(state_type(s), "sqlite");
	assert_false(app_state_is_apart(f->config, &backends));
	lock_close(l);
	state_close(s);
	assert_int_equal(access("uploads/state.db", F_OK), 0);
}

static void test_the_variable_selects(void **state)
{
	struct config_world *f = *state;
	struct state *s = NULL;
	struct lock_service *l = NULL;
	struct err err = {0};

	/* Opening makes no connection. */
	config_world_env("REDIS_CONNECTION_STRING", "redis://:geheim@127.0.0.1:1/?timeout=100ms");
	assert_int_equal(config_world_run(f, NULL), 0);
	assert_int_equal(app_state_open(f->config, &backends, &s, &l, &err), 0);
	assert_string_equal(state_type(s), "redis");
	assert_true(app_state_is_apart(f->config, &backends));
	lock_close(l);
	state_close(s);
	assert_int_equal(access("uploads/state.db", F_OK), -1);
}

static void test_no_error_tells_the_secret(void **state)
{
	static const char *const bad[] = {
		"geheim",
		"http://:geheim@h",
		"redis://u:geheim@h:0",
		"redis://u:geheim@h:1/x",
		"redis://u:geheim@h:1/?no=1",
		"redis+sentinel://u:geheim@h:1",
	};
	struct config_world *f = *state;
	struct buf problems;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct state *s = NULL;
		struct lock_service *l = NULL;
		struct err err = {0};
		config_world_env("REDIS_CONNECTION_STRING", bad[i]);
		assert_int_equal(config_world_run(f, NULL), 0);
		assert_int_equal(app_state_open(f->config, &backends, &s, &l, &err), -1);
		assert_null(s);
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.text, "REDIS_CONNECTION_STRING"));
		assert_null(strstr(err.text, "geheim"));
		assert_null(app_state_open_named(f->config, &backends, "redis", &err));
		assert_null(strstr(err.text, "geheim"));
		buf_init(&problems, 4096);
		app_state_check(f->config, &backends, &problems, NULL);
		assert_non_null(strstr(buf_str(&problems), "REDIS_CONNECTION_STRING: "));
		assert_null(strstr(buf_str(&problems), "geheim"));
		buf_free(&problems);
	}
}

static void test_who_does_not_answer_is_warned_of(void **state)
{
	struct config_world *f = *state;
	struct buf problems, warnings;

	config_world_env("REDIS_CONNECTION_STRING", "redis://:geheim@127.0.0.1:1/?timeout=100ms");
	assert_int_equal(config_world_run(f, NULL), 0);
	buf_init(&problems, 4096);
	buf_init(&warnings, 4096);
	app_state_check(f->config, &backends, &problems, &warnings);
	assert_string_equal(buf_str(&problems), "");
	assert_non_null(strstr(buf_str(&warnings), "REDIS_CONNECTION_STRING: state (redis): "));
	assert_null(strstr(buf_str(&warnings), "geheim"));
	buf_free(&warnings);
	buf_free(&problems);
}

static void test_places_by_name(void **state)
{
	static const char *const bad[] = {
		"", "sqlite", "sqlite:", "redis:", "redis://:geheim@h", "x", "sqli:y"};
	struct config_world *f = *state;
	struct err err = {0};

	assert_int_equal(config_world_run(f, NULL), 0);
	struct state *s = app_state_open_named(f->config, &backends, "sqlite:a/b.db", &err);
	assert_non_null(s);
	state_close(s);
	assert_int_equal(access("a/b.db", F_OK), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err_clear(&err);
		assert_null(app_state_open_named(f->config, &backends, bad[i], &err));
		assert_int_equal(err.code, ERR_INVALID);
		assert_null(strstr(err.text, "geheim"));
	}
	err_clear(&err);
	assert_null(app_state_open_named(f->config, &backends, "redis", &err));
	assert_string_equal(err.text, "REDIS_CONNECTION_STRING: it is not set");
}

#define IN_WORLD(f) cmocka_unit_test_setup_teardown(f, config_world_setup, config_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(test_files_where_nothing_else_is_said),
		IN_WORLD(test_the_variable_selects),
		IN_WORLD(test_no_error_tells_the_secret),
		IN_WORLD(test_who_does_not_answer_is_warned_of),
		IN_WORLD(test_places_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
