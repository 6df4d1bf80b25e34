/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/config_world.h"

#include "core/base/mem.h"
#include "tests/lib/scratch.h"

#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void config_world_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

int config_world_setup(void **state)
{
	struct config_world *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");
	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "%.40s/unit_config.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chdir(f->dir), 0);
	assert_int_equal(mkdir("upload-configs", 0700), 0);
	assert_int_equal(mkdir("deploy", 0700), 0);
	config_world_file("deploy/delivery.yml", "version: 1.0\n");
	assert_int_equal(clearenv(), 0);
	assert_int_equal(setenv("TMPDIR", tmp ? tmp : "/tmp", 1), 0);
	buf_init(&f->problems, 1 << 16);
	*state = f;
	return 0;
}

int config_world_teardown(void **state)
{
	struct config_world *f = *state;
	assert_int_equal(chdir("/"), 0);
	scratch_remove(mem_strdup(f->dir));
	config_free(f->config);
	buf_free(&f->problems);
	free(f);
	return 0;
}

void config_world_env(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

int config_world_run(struct config_world *f, const char *dotenv)
{
	config_free(f->config);
	f->config = NULL;
	buf_reset(&f->problems);
	int rc = config_load(dotenv, &f->config, &f->problems);
	assert_int_equal(rc == 0, f->problems.len == 0);
	assert_int_equal(rc == 0, f->config != NULL);
	return rc;
}

void config_world_problems(struct config_world *f, const char *dotenv, const char *problems)
{
	(void)config_world_run(f, dotenv);
	assert_string_equal(buf_str(&f->problems), problems);
}

void config_world_refused(
	struct config_world *f, const char *name, const char *value, const char *start)
{
	config_world_env(name, value);
	if (config_world_run(f, NULL) == 0)
		fail_msg("%s=%s was accepted", name, value);
	if (!str_starts(buf_str(&f->problems), start))
		fail_msg("%s=%s: %s", name, value, buf_str(&f->problems));
	unsetenv(name);
}

void config_world_accepted(struct config_world *f, const char *name, const char *value)
{
	config_world_env(name, value);
	config_world_problems(f, NULL, "");
	unsetenv(name);
}
