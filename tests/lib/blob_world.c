/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/blob_world.h"

#include "backends/registry.h"
#include "core/base/mem.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TESTS_MAX 64

struct blob_world_row {
	const char *name;
	/* An empty store for one test, or NULL to skip; ${dir} is an empty directory to use. */
	struct blob_store *(*open)(const char *dir, const char *name, struct err *err);
};

static struct blob_store *open_file(const char *dir, const char *name, struct err *err)
{
	char *path = scratch_path(dir, name);
	struct blob_option opts[] = {{"path", path}, {"durable", "true"}};
	struct blob_store *s = blob_open(registry_find_blob("file"), name, opts, 2, true, err);
	free(path);
	return s;
}

static struct blob_store *open_relaxed(const char *dir, const char *name, struct err *err)
{
	char *path = scratch_path(dir, name);
	struct blob_option opts[] = {{"path", path}, {"durable", "false"}};
	struct blob_store *s = blob_open(registry_find_blob("file"), name, opts, 2, true, err);
	free(path);
	return s;
}

static struct blob_store *open_memory(const char *dir, const char *name, struct err *err)
{
	(void)dir;
	return blob_open(&blob_memory_backend, name, NULL, 0, true, err);
}

static struct blob_store *open_fault(const char *dir, const char *name, struct err *err)
{
	struct blob_store *inner = open_file(dir, name, err);
	return inner ? blob_fault_open(inner) : NULL;
}

static const struct blob_world_row rows[] = {
	{"file", open_file},
	{"file, not durable", open_relaxed},
	{"memory", open_memory},
	{"fault wrapper", open_fault},
};

int blob_world_setup(void **state)
{
	struct blob_world *w = mem_zalloc(sizeof(*w));
	w->row = *state;
	w->dir = scratch_make();
	w->s = w->row->open(w->dir, "one", &w->err);
	w->other = w->row->open(w->dir, "two", &w->err);
	if (!w->s || !w->other)
		print_error("%s: %s\n", w->row->name, w->err.text);
	*state = w;
	return w->s && w->other ? 0 : -1;
}

int blob_world_teardown(void **state)
{
	struct blob_world *w = *state;
	blob_close(w->s);
	blob_close(w->other);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

void blob_world_ok(struct blob_world *w, int rc)
{
	if (rc != 0)
		fail_msg("%s", w->err.text);
}

struct blob_writer *blob_world_begin(
	struct blob_world *w, const char *key, enum blob_mode mode, uint64_t offset)
{
	struct blob_writer *writer = blob_begin(w->s, key, mode, offset, NULL, 0, &w->err);
	if (!writer)
		fail_msg("%s", w->err.text);
	assert_int_equal(blob_offset(writer), offset);
	return writer;
}

void blob_world_append(struct blob_world *w, struct blob_writer *writer, const char *text)
{
	blob_world_ok(w, blob_append(writer, text, strlen(text), &w->err));
}

void blob_world_put(struct blob_world *w, struct blob_store *s, const char *key, const char *text)
{
	struct blob_writer *writer = blob_begin(s, key, BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(writer);
	blob_world_append(w, writer, text);
	blob_world_ok(w, blob_commit(writer, NULL, &w->err));
}

void blob_world_assert_content(
	struct blob_world *w, struct blob_store *s, const char *key, const char *text)
{
	char got[256];
	struct blob_stat st;
	blob_world_ok(w, blob_stat(s, key, &st, &w->err));
	assert_int_equal(st.size, strlen(text));
	ssize_t n = blob_read(s, key, 0, got, sizeof(got), &w->err);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

void blob_world_assert_missing(struct blob_world *w, struct blob_store *s, const char *key)
{
	struct blob_stat st;
	assert_int_equal(blob_stat(s, key, &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
}

static int count_one(void *arg, const char *key, const struct blob_stat *st)
{
	(void)key;
	(void)st;
	++*(int *)arg;
	return 0;
}

int blob_world_count(struct blob_world *w, struct blob_store *s, const char *prefix)
{
	int n = 0;
	blob_world_ok(w, blob_list(s, prefix, count_one, &n, &w->err));
	return n;
}

int blob_world_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	struct CMUnitTest of_row[TESTS_MAX];
	int failed = 0;
	assert_true(n <= TESTS_MAX);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		for (size_t i = 0; i < n; i++) {
			of_row[i] = tests[i];
			of_row[i].initial_state = (void *)&rows[r];
		}
		char group[64];
		snprintf(group, sizeof(group), "%s: %s", name, rows[r].name);
		failed += _cmocka_run_group_tests(group, of_row, n, NULL, NULL);
	}
	return failed > 0;
}
