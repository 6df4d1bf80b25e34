/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/state_world.h"

#include "backends/registry.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static const struct state_backend *sqlite(void)
{
	return registry_find_state("sqlite");
}

static struct state *open_sqlite(const char *dir, bool durable, struct err *err)
{
	char *path = scratch_path(dir, "state.db");
	struct state *s = state_open(sqlite(), path, durable, err);
	free(path);
	return s;
}

static struct state *open_durable(const char *dir, struct err *err)
{
	return open_sqlite(dir, true, err);
}

static struct state *open_relaxed(const char *dir, struct err *err)
{
	return open_sqlite(dir, false, err);
}

static const struct state_row rows[] = {
	{"sqlite, durable", sqlite, open_durable},
	{"sqlite", sqlite, open_relaxed},
};

void state_world_die(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
	fflush(NULL);
	_exit(1);
}

void state_world_close(struct state_world *w)
{
	state_close(w->s);
	w->s = NULL;
}

void state_world_open(struct state_world *w)
{
	w->s = w->row->open(w->dir, &w->err);
	if (!w->s)
		state_world_die("cannot open the store", &w->err);
}

static int setup(void **state)
{
	struct state_world *w = calloc(1, sizeof(*w));
	if (!w)
		return -1;
	w->row = *state;
	w->dir = scratch_make();
	state_world_open(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct state_world *w = *state;
	state_world_close(w);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

int state_world_run(const char *group, const struct CMUnitTest *tests, size_t n)
{
	int failed = 0;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct CMUnitTest *of_row = calloc(n, sizeof(*of_row));
		char name[64];
		if (!of_row)
			return 1;
		for (size_t i = 0; i < n; i++)
			of_row[i] = (struct CMUnitTest){
				tests[i].name, tests[i].test_func, setup, teardown, (void *)&rows[r]};
		snprintf(name, sizeof(name), "%s: %s", group, rows[r].name);
		failed += _cmocka_run_group_tests(name, of_row, n, NULL, NULL);
		free(of_row);
	}
	return failed > 0;
}
