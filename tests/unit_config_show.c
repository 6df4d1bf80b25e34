/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings table shows of itself: dumps, help, examples; and that it is sound. */
#include "backends/registry.h"
#include "core/base/str.h"
#include "core/config_impl.h"
#include "core/store/blob_impl.h"
#include "core/store/publish_impl.h"
#include "core/store/state_impl.h"
#include "core/store/subscribe_impl.h"
#include "tests/lib/config_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_secrets_are_masked(void **state)
{
	struct config_world *f = *state;
	struct buf dump;
	buf_init(&dump, 1 << 16);
	config_world_env("CSRF_TOKEN", "geheim");
	config_world_env("EDAV_STORAGE_KEY", "geheim");
	config_world_problems(f, NULL, "");
	assert_int_equal(config_dump(f->config, &dump), 0);
	assert_non_null(strstr(dump.data, "\nCSRF_TOKEN=********\n"));
	assert_non_null(strstr(dump.data, "\nDEX_STATE_DB=./uploads/state.db\n"));
	assert_non_null(strstr(dump.data, "\nDEX_TRUSTED_PROXIES=\n"));
	assert_null(strstr(dump.data, "geheim"));
	buf_free(&dump);

	config_world_env("CSRF_TOKEN", "geheim\n");
	config_world_problems(
		f, NULL, "CSRF_TOKEN: expected text without control characters, got ********\n");
	unsetenv("CSRF_TOKEN");
	config_world_env("REDIS_CONNECTION_STRING", "redis://u:geheim@h");
	assert_int_equal(config_world_run(f, NULL), 0);
	buf_init(&dump, 1 << 16);
	assert_int_equal(config_dump(f->config, &dump), 0);
	assert_non_null(strstr(dump.data, "\nREDIS_CONNECTION_STRING=********\n"));
	assert_null(strstr(dump.data, "geheim"));
	buf_free(&dump);
}

static void test_long_values_are_cut(void **state)
{
	struct config_world *f = *state;
	char value[500];
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	config_world_env("ENVIRONMENT", value);
	assert_int_equal(config_world_run(f, NULL), -1);
	assert_true(f->problems.len < 300);
	assert_true(str_ends(f->problems.data, "x…\"\n"));
}

static bool is_one_of(const char *const *names, const char *variable)
{
	while (names && *names && strcmp(*names, variable) != 0)
		names++;
	return names && *names;
}

static bool is_of_a_bus(const char *variable)
{
	for (size_t i = 0; registry_publish[i]; i++) {
		const struct publish_backend *b = registry_publish[i];
		const char *const places[] = {b->reports_env, b->events_env, NULL};
		if ((b->reports_env && is_one_of(places, variable)) ||
			is_one_of(b->settings, variable))
			return true;
	}
	for (size_t i = 0; registry_subscribe[i]; i++) {
		const struct subscribe_backend *b = registry_subscribe[i];
		if (strcmp(b->env, variable) == 0 || is_one_of(b->settings, variable))
			return true;
	}
	return false;
}

/* A variable that some backend names. */
static bool is_option(const char *variable)
{
	if (is_of_a_bus(variable))
		return true;
	for (size_t i = 0; registry_state[i]; i++) {
		if (registry_state[i]->env && strcmp(registry_state[i]->env, variable) == 0)
			return true;
	}
	for (size_t i = 0; registry_blob[i]; i++) {
		const struct blob_option_spec *spec = registry_blob[i]->options;
		for (; spec->key; spec++) {
			if (spec->env && strcmp(spec->env, variable) == 0)
				return true;
		}
	}
	return false;
}

static void test_table_is_consistent(void **state)
{
	(void)state;
	size_t folder = (size_t)(config_table_find("LOCAL_FOLDER_UPLOADS_TUS") - config_table);
	assert_non_null(config_table[0].heading);
	for (size_t i = 0; i < config_table_len; i++) {
		const struct config_row *row = &config_table[i];
		struct config_value v;
		bool number = row->type == CONFIG_UINT || row->type == CONFIG_SIZE ||
			      row->type == CONFIG_DURATION;
		bool places = row->type == CONFIG_DIR || row->type == CONFIG_FILE;
		if (config_table_find(row->name) != row)
			fail_msg("%s is there twice", row->name);
		if (number && row->min >= row->max)
			fail_msg("%s has no limits", row->name);
		if ((row->type == CONFIG_CHOICE) != (row->choices != NULL))
			fail_msg("%s: choices", row->name);
		if (!row->help || !row->help[0] || str_ends(row->help, "."))
			fail_msg("%s: help", row->name);
		if (!row->has_field && !is_option(row->name) && !(row->flags & CONFIG_ENV_ONLY))
			fail_msg("%s is read by nobody", row->name);
		if (row->def && str_starts(row->def, CONFIG_FOLDER) && i < folder)
			fail_msg("%s stands before the upload folder", row->name);
		if (!row->def || places)
			continue;
		if (config_value_parse(row, row->def, &v) < 0)
			fail_msg("%s: bad default", row->name);
		if (strcmp(v.text, row->def) != 0)
			fail_msg("%s: the default is not in normal form", row->name);
		free(v.text);
	}
}

static void test_help_texts_name_every_row(void **state)
{
	struct buf help, markdown, example, man;
	(void)state;
	buf_init(&man, 1 << 18);
	buf_init(&help, 1 << 18);
	buf_init(&markdown, 1 << 18);
	buf_init(&example, 1 << 18);
	assert_int_equal(config_help(&help), 0);
	assert_int_equal(config_markdown(&markdown), 0);
	assert_int_equal(config_dotenv_example(&example), 0);
	assert_int_equal(config_man(&man), 0);
	for (size_t i = 0; i < config_table_len; i++) {
		const struct config_row *row = &config_table[i];
		char text[128];
		if (!strstr(help.data, row->name))
			fail_msg("%s is not in the help", row->name);
		snprintf(text, sizeof(text), "| `%s` | ", row->name);
		if (!strstr(markdown.data, text))
			fail_msg("%s is not in the Markdown table", row->name);
		snprintf(text, sizeof(text), "\n#%s=", row->name);
		if (!strstr(example.data, text) == !(row->flags & CONFIG_ENV_ONLY))
			fail_msg("%s in the example: wrong", row->name);
		snprintf(text, sizeof(text), "\n.It Ev %s\n", row->name);
		if (!strstr(man.data, text))
			fail_msg("%s is not in the manual page", row->name);
		if (row->def && (row->flags & CONFIG_SECRET)) {
			assert_null(strstr(help.data, row->def));
			assert_null(strstr(markdown.data, row->def));
			assert_null(strstr(example.data, row->def));
			assert_null(strstr(man.data, row->def));
		}
	}
	assert_non_null(strstr(help.data, "EDAV_*"));
	/* what a line begins with must not be a macro, a hyphen not a soft one */
	assert_null(strstr(man.data, "\n./"));
	assert_non_null(strstr(man.data, "\\-\\-appconf"));
	buf_free(&man);
	buf_free(&help);
	buf_free(&markdown);
	buf_free(&example);
}

static void test_example_uncommented_gives_the_defaults(void **state)
{
	struct config_world *f = *state;
	struct buf example, want, got;
	buf_init(&example, 1 << 18);
	buf_init(&want, 1 << 18);
	buf_init(&got, 1 << 18);
	assert_int_equal(config_dotenv_example(&example), 0);
	for (char *p = example.data; *p; p++) {
		if (*p == '#' && (p == example.data || p[-1] == '\n') && p[1] >= 'A' && p[1] <= 'Z')
			*p = ' ';
	}
	config_world_file("app.env", example.data);
	config_world_problems(f, "app.env", "");
	assert_non_null(config_lookup(f->config, "DEX_STATE_DB"));
	assert_int_equal(config_dump(f->config, &got), 0);
	config_world_problems(f, NULL, "");
	assert_int_equal(config_dump(f->config, &want), 0);
	assert_string_equal(strchr(got.data, '\n'), strchr(want.data, '\n')); /* but DEX_APPCONF */
	buf_free(&example);
	buf_free(&want);
	buf_free(&got);
}

static void test_output_that_does_not_fit_is_told(void **state)
{
	struct config_world *f = *state;
	struct buf small;
	config_world_problems(f, NULL, "");
	buf_init(&small, 40);
	assert_int_equal(config_help(&small), -1);
	buf_reset(&small);
	assert_int_equal(config_markdown(&small), -1);
	buf_reset(&small);
	assert_int_equal(config_dotenv_example(&small), -1);
	buf_reset(&small);
	assert_int_equal(config_man(&small), -1);
	buf_reset(&small);
	assert_int_equal(config_dump(f->config, &small), -1);
	buf_free(&small);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, config_world_setup, config_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_secrets_are_masked),
		TEST(test_long_values_are_cut),
		TEST(test_table_is_consistent),
		TEST(test_help_texts_name_every_row),
		TEST(test_example_uncommented_gives_the_defaults),
		TEST(test_output_that_does_not_fit_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
