/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/blob_world.h"

#include "backends/registry.h"
#include "core/base/mem.h"
#include "tests/lib/azure_world.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/s3_service.h"
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
	bool (*there)(void); /* NULL: always; where it says no the row is skipped */
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

static struct blob_store *open_by_sync(const char *dir, const char *name, struct err *err)
{
	(void)dir;
	return blob_open(&blob_memory_by_sync_backend, name, NULL, 0, true, err);
}

static struct blob_store *open_fault(const char *dir, const char *name, struct err *err)
{
	struct blob_store *inner = open_file(dir, name, err);
	return inner ? blob_fault_open(inner) : NULL;
}

static struct blob_store *open_s3(const char *dir, const char *name, struct err *err)
{
	(void)dir;
	return s3_service_open(NULL, name, "5MiB", err);
}

static struct blob_store *open_azure(const char *dir, const char *name, struct err *err)
{
	char folder[64];
	(void)dir;
	azure_world_name(folder, name);
	struct azure_world_options o = {.folder = folder, .part_size = "1MiB"};
	return azure_world_open(name, &o, err);
}

static const struct blob_world_row rows[] = {
	{"file", open_file, NULL},
	{"file, not durable", open_relaxed, NULL},
	{"memory", open_memory, NULL},
	{"memory, stored by sync", open_by_sync, NULL},
	{"fault wrapper", open_fault, NULL},
	{"s3", open_s3, s3_service_there},
	{"az-blob", open_azure, azure_world_there},
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

struct blob_writer *blob_world_resume(struct blob_world *w, const char *key, uint64_t offset,
	const struct blob_world_token *token)
{
	struct blob_writer *writer =
		blob_begin(w->s, key, BLOB_RESUME, offset, token->text, 0, &w->err);
	if (!writer)
		fail_msg("%s", w->err.text);
	assert_int_equal(blob_offset(writer), offset);
	return writer;
}

struct blob_world_token blob_world_sync(struct blob_world *w, struct blob_writer *writer)
{
	struct blob_world_token token;
	blob_world_ok(w, blob_sync(writer, &w->err));
	int n = snprintf(token.text, sizeof(token.text), "%s", blob_token(writer));
	assert_true(n >= 0 && (size_t)n < sizeof(token.text));
	return token;
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
		if (rows[r].there && !rows[r].there())
			continue;
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
