/* SPDX-License-Identifier: Apache-2.0 */
/* What blob.h promises of copies and listings, held against every store. */
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/blob_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void copy_joins_its_sources_in_order(void **state)
{
	struct blob_world *w = *state;
	blob_world_put(w, w->s, "a", "first ");
	blob_world_put(w, w->s, "b", "");
	blob_world_put(w, w->other, "c", "second and more");
	struct blob_source src[] = {{w->s, "a", 6}, {w->s, "b", 0}, {w->other, "c", 6}};
	blob_world_ok(w, blob_copy_from(w->s, "x/all", src, 3, NULL, NULL, NULL, &w->err));
	blob_world_assert_content(w, w->s, "x/all", "first second");
	blob_world_ok(w, blob_copy_from(w->other, "x/one", src, 1, NULL, NULL, NULL, &w->err));
	blob_world_assert_content(w, w->other, "x/one", "first ");
	blob_world_ok(w, blob_copy_from(w->other, "x/none", NULL, 0, NULL, NULL, NULL, &w->err));
	blob_world_assert_content(w, w->other, "x/none", "");
}

static void copy_between_kinds_tells_the_sum(void **state)
{
	struct blob_world *w = *state;
	char sum[65];
	struct blob_store *memory =
		blob_open(&blob_memory_backend, "memory", NULL, 0, true, &w->err);
	blob_world_put(w, memory, "k", "abc");
	struct blob_source src = {memory, "k", 3};
	struct blob_store *fault = blob_fault_open(memory);
	src.store = fault;
	blob_world_ok(w, blob_copy_from(w->s, "k", &src, 1, NULL, NULL, sum, &w->err));
	blob_world_assert_content(w, w->s, "k", "abc");
	assert_string_equal(
		sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	blob_close(fault);
}

static void copy_of_a_short_source_is_corrupt(void **state)
{
	struct blob_world *w = *state;
	char sum[65];
	uint64_t removed;
	blob_world_put(w, w->s, "a", "12345");
	struct blob_source src[] = {{w->s, "a", 5}, {w->s, "a", 6}};
	assert_int_equal(blob_copy_from(w->s, "x", src, 2, NULL, NULL, sum, &w->err), -1);
	assert_int_equal(w->err.code, ERR_CORRUPT);
	assert_string_equal(sum, "");
	blob_world_assert_missing(w, w->s, "x");
	src[1].key = "missing";
	assert_int_equal(blob_copy_from(w->s, "x", src, 2, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	blob_world_assert_missing(w, w->s, "x");
	blob_world_ok(w, blob_sweep(w->s, -10000, NULL, NULL, &removed, &w->err));
	assert_int_equal(removed, 0);
}

static void copy_never_replaces(void **state)
{
	struct blob_world *w = *state;
	blob_world_put(w, w->s, "a", "new");
	blob_world_put(w, w->other, "x", "old one");
	struct blob_source src = {w->s, "a", 3};
	assert_int_equal(blob_copy_from(w->other, "x", &src, 1, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	blob_world_assert_content(w, w->other, "x", "old one");
}

struct watcher {
	int calls;
	int stop_at;
	uint64_t last;
	uint64_t total;
};

static int watch(void *arg, uint64_t done)
{
	struct watcher *p = arg;
	assert_true(done > p->last && done <= p->total);
	p->last = done;
	return ++p->calls == p->stop_at ? -1 : 0;
}

static void copy_reports_and_can_be_stopped(void **state)
{
	struct blob_world *w = *state;
	size_t len = ((size_t)33 << 20) + 17;
	char *data = mem_zalloc(len);
	memset(data, 'x', len);
	struct blob_writer *a = blob_world_begin(w, "big", BLOB_RESUME, 0);
	blob_world_ok(w, blob_append(a, data, len, &w->err));
	blob_world_ok(w, blob_commit(a, NULL, &w->err));
	free(data);
	struct blob_source src[] = {{w->s, "big", len}, {w->s, "big", len}};
	struct watcher seen = {.total = 2 * len};
	struct blob_progress progress = {watch, &seen};
	blob_world_ok(w, blob_copy_from(w->other, "copy", src, 2, NULL, &progress, NULL, &w->err));
	assert_true(seen.calls >= 1);
	struct watcher stop = {.total = 2 * len, .stop_at = 1};
	progress.arg = &stop;
	assert_int_equal(
		blob_copy_from(w->other, "copy2", src, 2, NULL, &progress, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INTERRUPTED);
	assert_int_equal(stop.calls, 1);
	blob_world_assert_missing(w, w->other, "copy2");
	assert_int_equal(blob_world_count(w, w->other, ""), 1);
}

/* More pieces than are read ahead at once, the last one short. */
#define MANY (((size_t)33 << 20) + 17)

static unsigned char *put_many(struct blob_world *w, const char *key)
{
	unsigned char *data = mem_alloc(MANY);
	for (size_t i = 0; i < MANY; i++)
		data[i] = (unsigned char)(i % 251 + (i >> 20));
	struct blob_writer *a = blob_begin(w->s, key, BLOB_STAGE, 0, NULL, MANY, &w->err);
	assert_non_null(a);
	blob_world_ok(w, blob_append(a, data, MANY, &w->err));
	blob_world_ok(w, blob_commit(a, NULL, &w->err));
	return data;
}

static void copy_keeps_the_order_of_many_pieces(void **state)
{
	struct blob_world *w = *state;
	char sum[65], expected[65];
	unsigned char raw[DIGEST_MAX];
	struct blob_store *memory =
		blob_open(&blob_memory_backend, "memory", NULL, 0, true, &w->err);
	unsigned char *data = put_many(w, "big");
	struct digest *d = digest_new("sha256");
	digest_update(d, data, MANY);
	str_hex(expected, raw, digest_final(d, raw));
	digest_free(d);
	struct blob_source src = {w->s, "big", MANY};
	struct blob_store *dst = blob_fault_open(memory);
	blob_world_ok(w, blob_copy_from(dst, "copy", &src, 1, NULL, NULL, sum, &w->err));
	assert_string_equal(sum, expected);
	unsigned char *got = mem_alloc(MANY);
	assert_int_equal(blob_read(dst, "copy", 0, got, MANY, &w->err), MANY);
	assert_memory_equal(got, data, MANY);
	free(got);
	free(data);

	/* One byte too few, and so many that whole pieces are missing. */
	static const size_t missing[] = {1, (size_t)17 << 20};
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		src.size = MANY + missing[i];
		assert_int_equal(
			blob_copy_from(dst, "more", &src, 1, NULL, NULL, sum, &w->err), -1);
		assert_int_equal(w->err.code, ERR_CORRUPT);
		assert_non_null(strstr(w->err.text, "big ends at byte 34603025 of "));
		assert_string_equal(sum, "");
		blob_world_assert_missing(w, dst, "more");
	}
	blob_close(dst);
}

static void copy_of_many_pieces_can_be_stopped(void **state)
{
	struct blob_world *w = *state;
	struct blob_store *dst = blob_open(&blob_memory_backend, "memory", NULL, 0, true, &w->err);
	free(put_many(w, "big"));
	struct blob_source src[] = {{w->s, "big", MANY}, {w->s, "big", MANY}, {w->s, "big", MANY}};
	struct watcher stop = {.total = 3 * MANY, .stop_at = 1};
	struct blob_progress progress = {watch, &stop};
	assert_int_equal(blob_copy_from(dst, "copy", src, 3, NULL, &progress, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INTERRUPTED);
	assert_int_equal(stop.calls, 1);
	assert_true(stop.last < 2 * MANY);
	blob_world_assert_missing(w, dst, "copy");
	blob_close(dst);
}

struct seen {
	char keys[8][64];
	int n;
	int stop_at;
};

static int collect(void *arg, const char *key, const struct blob_stat *st)
{
	struct seen *seen = arg;
	assert_int_equal(st->size, strlen(key));
	assert_true(seen->n < 8);
	snprintf(seen->keys[seen->n++], sizeof(seen->keys[0]), "%s", key);
	return seen->n == seen->stop_at ? -1 : 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void list_takes_whole_segments(void **state)
{
	static const char *const keys[] = {"a/b/1", "a/b/c/2", "a/bc/3", "a/b.d", "z"};
	static const struct {
		const char *prefix;
		const char *joined;
	} cases[] = {
		{"", "a/b.d a/b/1 a/b/c/2 a/bc/3 z "},
		{"a", "a/b.d a/b/1 a/b/c/2 a/bc/3 "},
		{"a/b", "a/b/1 a/b/c/2 "},
		{"a/b.d", "a/b.d "},
		{"a/b/c", "a/b/c/2 "},
		{"a/b/c/d", ""},
		{"z/y", ""},
		{"nothing", ""},
	};
	struct blob_world *w = *state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		blob_world_put(w, w->s, keys[i], keys[i]);
	struct blob_writer *staged = blob_world_begin(w, "a/b/staged", BLOB_STAGE, 0);
	blob_world_append(w, staged, "not yet");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct seen seen = {.stop_at = 0};
		char joined[512] = "";
		size_t len = 0;
		blob_world_ok(w, blob_list(w->s, cases[i].prefix, collect, &seen, &w->err));
		qsort(seen.keys, (size_t)seen.n, sizeof(seen.keys[0]), by_text);
		for (int k = 0; k < seen.n; k++)
			len += (size_t)snprintf(
				joined + len, sizeof(joined) - len, "%s ", seen.keys[k]);
		assert_string_equal(joined, cases[i].joined);
	}
	struct seen two = {.stop_at = 2};
	blob_world_ok(w, blob_list(w->s, "", collect, &two, &w->err));
	assert_int_equal(two.n, 2);
	blob_end(staged);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, blob_world_setup, blob_world_teardown)
static const struct CMUnitTest tests[] = {
	TEST(copy_joins_its_sources_in_order),
	TEST(copy_between_kinds_tells_the_sum),
	TEST(copy_of_a_short_source_is_corrupt),
	TEST(copy_never_replaces),
	TEST(copy_reports_and_can_be_stopped),
	TEST(copy_keeps_the_order_of_many_pieces),
	TEST(copy_of_many_pieces_can_be_stopped),
	TEST(list_takes_whole_segments),
};
#undef TEST

int main(void)
{
	return blob_world_run("blob copy and list", tests, sizeof(tests) / sizeof(tests[0]));
}
