/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_BLOB_WORLD_H
#define DEX_TEST_BLOB_WORLD_H

#include "core/base/err.h"
#include "core/store/blob.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What the contract tests of blob stores stand on: the table of the stores, two empty stores of a
 * kind for each test, and the steps that tests have in common, which fail the test when they go
 * wrong.
 */
struct CMUnitTest;
struct blob_world_row;

struct blob_world {
	const struct blob_world_row *row;
	char *dir;
	struct blob_store *s;     /* called "one" */
	struct blob_store *other; /* "two", of the same kind */
	struct err err;
};

/* Run the ${n} tests (at most 64), with blob_world_setup and _teardown, over every kind of store.
 */
int blob_world_run(const char *name, const struct CMUnitTest *tests, size_t n);
int blob_world_setup(void **state);
int blob_world_teardown(void **state);

/* ${rc} is 0, else the text of the error is shown. */
void blob_world_ok(struct blob_world *w, int rc);
/* blob_begin in the first store. */
struct blob_writer *blob_world_begin(
	struct blob_world *w, const char *key, enum blob_mode mode, uint64_t offset);
/* blob_sync, and a copy of the token as `state` would keep it. */
struct blob_world_token {
	char text[4096];
};
struct blob_world_token blob_world_sync(struct blob_world *w, struct blob_writer *writer);
/* blob_begin of a BLOB_RESUME object in the first store. */
struct blob_writer *blob_world_resume(struct blob_world *w, const char *key, uint64_t offset,
	const struct blob_world_token *token);
void blob_world_append(struct blob_world *w, struct blob_writer *writer, const char *text);
/* A whole object by BLOB_STAGE. */
void blob_world_put(struct blob_world *w, struct blob_store *s, const char *key, const char *text);
void blob_world_assert_content(
	struct blob_world *w, struct blob_store *s, const char *key, const char *text);
void blob_world_assert_missing(struct blob_world *w, struct blob_store *s, const char *key);
/* Objects below ${prefix}. */
int blob_world_count(struct blob_world *w, struct blob_store *s, const char *prefix);

#endif
