/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_STATE_WORLD_H
#define DEX_TEST_STATE_WORLD_H

#include "core/base/err.h"
#include "core/store/state.h"

#include <stddef.h>

struct CMUnitTest;

/* The stores that the contract is held against. A further one is a further row in state_world.c. */
struct state_row {
	const char *name;
	const struct state_backend *(*backend)(void);
	/* The store that lives in ${dir}: empty for a new directory, the same one for a known one. */
	struct state *(*open)(const char *dir, struct err *err);
};

struct state_world { /* of one test */
	const struct state_row *row;
	char *dir;
	struct state *s; /* an empty store */
	struct err err;
};

/* For threads and child processes: print what went wrong and end the process with status 1. */
void state_world_die(const char *what, const struct err *err) __attribute__((noreturn));
/* Close the store, or open it (again). A test that forks does so while it is closed. */
void state_world_close(struct state_world *w);
void state_world_open(struct state_world *w);
/* Run ${tests} for every row; the initial state of each is a struct state_world. Exit status. */
int state_world_run(const char *group, const struct CMUnitTest *tests, size_t n);

#endif
