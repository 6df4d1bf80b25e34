/* SPDX-License-Identifier: Apache-2.0 */
/* What blob.h promises when the store fails in the middle, over each kind of store behind the
 * faults. */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/store/blob.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PIECE ((size_t)8 << 20) /* blob_copy_from reads so much at once of what is remote */

struct world {
	char *dir;
	struct blob_store *s; /* fails on demand */
	struct blob_store *source;
	struct err err;
};

static const char *const kinds[] = {"memory", "memory, stored by sync", "file"};

static int setup(void **state)
{
	const char *kind = *state;
	struct world *w = mem_zalloc(sizeof(*w));
	w->dir = scratch_make();
	struct blob_option opts[] = {{"path", w->dir}};
	struct blob_store *inner =
		strcmp(kind, "file") == 0
			? blob_open(registry_find_blob("file"), "store", opts, 1, false, &w->err)
		: strcmp(kind, "memory") == 0
			? blob_open(&blob_memory_backend, "store", NULL, 0, false, &w->err)
			: blob_open(&blob_memory_by_sync_backend, "store", NULL, 0, false, &w->err);
	assert_non_null(inner);
	w->s = blob_fault_open(inner);
	w->source = blob_open(&blob_memory_backend, "source", NULL, 0, false, &w->err);
	assert_non_null(w->source);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_close(w->s);
	blob_close(w->source);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

/* blob_sync, and a copy of the token for a later writer. */
static void sync_token(struct world *w, struct blob_writer *a, char token[64])
{
	assert_int_equal(blob_sync(a, &w->err), 0);
	assert_true(strlen(blob_token(a)) < 64);
	snprintf(token, 64, "%s", blob_token(a));
}

static void assert_nothing_stays(struct world *w)
{
	struct blob_stat st;
	uint64_t removed = 99;
	blob_fault_set(w->s, NULL);
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	assert_int_equal(blob_sweep(w->s, -10000, NULL, NULL, &removed, &w->err), 0);
	assert_int_equal(removed, 0);
}

static void short_write_tells_how_far_it_came(void **state)
{
	struct world *w = *state;
	char got[16];
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_APPEND] = 2}, .short_write = 3};
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_RESUME, 0, NULL, 0, &w->err);
	assert_non_null(a);
	blob_fault_set(w->s, &plan);
	assert_int_equal(blob_append(a, "01234", 5, &w->err), 0);
	assert_int_equal(blob_append(a, "56789", 5, &w->err), -1);
	assert_int_equal(w->err.code, ERR_IO);
	assert_int_equal(blob_offset(a), 8);
	assert_int_equal(blob_sync(a, &w->err), 0);
	assert_int_equal(blob_append(a, "89", 2, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	assert_int_equal(blob_read(w->s, "k", 0, got, sizeof(got), &w->err), 10);
	assert_memory_equal(got, "0123456789", 10);
	assert_int_equal(blob_fault_calls(w->s, BLOB_FAULT_APPEND), 3);
}

static void full_store_keeps_what_fitted(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	char token[64];
	struct blob_fault_plan plan = {.space = 7};
	blob_fault_set(w->s, &plan);
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_RESUME, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "01234", 5, &w->err), 0);
	assert_int_equal(blob_append(a, "56789", 5, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NO_SPACE);
	assert_int_equal(blob_offset(a), 7);
	sync_token(w, a, token);
	blob_end(a);
	if (!blob_can(w->s, BLOB_CAP_STORED_BY_SYNC)) {
		assert_int_equal(blob_stat(w->s, "k", &st, &w->err), 0);
		assert_int_equal(st.size, 7);
	}
	blob_fault_set(w->s, NULL);
	a = blob_begin(w->s, "k", BLOB_RESUME, 7, token, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "789", 3, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), 0);
	assert_int_equal(st.size, 10);
}

static void failed_commit_of_an_upload_keeps_its_bytes(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	char token[64];
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_COMMIT] = 1}};
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_RESUME, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "01234", 5, &w->err), 0);
	sync_token(w, a, token);
	blob_fault_set(w->s, &plan);
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	a = blob_begin(w->s, "k", BLOB_RESUME, 5, token, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), 0);
	assert_int_equal(st.size, 5);
}

static void failed_commit_of_a_target_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_COMMIT] = 1}, .code = ERR_UNAVAILABLE};
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "01234", 5, &w->err), 0);
	blob_fault_set(w->s, &plan);
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_nothing_stays(w);
}

static void copy_that_fails_leaves_nothing(void **state)
{
	static const struct {
		struct blob_fault_plan plan;
		enum err_code code;
	} cases[] = {
		{{.nth = {[BLOB_FAULT_BEGIN] = 1}}, ERR_IO},
		{{.nth = {[BLOB_FAULT_APPEND] = 1}, .code = ERR_DENIED}, ERR_DENIED},
		{{.nth = {[BLOB_FAULT_APPEND] = 3}, .short_write = 10}, ERR_IO},
		{{.nth = {[BLOB_FAULT_COMMIT] = 1}}, ERR_IO},
		{{.space = PIECE + 1}, ERR_NO_SPACE},
		{{.space = 1}, ERR_NO_SPACE},
		{{.dead_after = 1}, ERR_UNAVAILABLE},
		{{.dead_after = 2 * PIECE}, ERR_UNAVAILABLE},
		{{.dead_after = 2 * PIECE + 5}, ERR_UNAVAILABLE},
	};
	struct world *w = *state;
	const size_t len = 2 * PIECE + 5;
	char *data = mem_zalloc(len);
	struct blob_writer *a = blob_begin(w->source, "s", BLOB_STAGE, 0, NULL, len, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, data, len, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	free(data);
	struct blob_source src = {w->source, "s", len};
	char sum[65];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		blob_fault_set(w->s, &cases[i].plan);
		assert_int_equal(blob_copy_from(w->s, "k", &src, 1, NULL, NULL, sum, &w->err), -1);
		assert_int_equal(w->err.code, cases[i].code);
		assert_string_equal(sum, "");
		assert_nothing_stays(w);
	}
	assert_int_equal(blob_copy_from(w->s, "k", &src, 1, NULL, NULL, sum, &w->err), 0);
	assert_int_equal(strlen(sum), 64);
}

static void copy_from_a_failing_source_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_READ] = 2}, .code = ERR_UNAVAILABLE};
	struct blob_writer *a = blob_begin(w->s, "s", BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "0123456789", 10, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	struct blob_source src[] = {{w->s, "s", 10}, {w->s, "s", 10}};
	blob_fault_set(w->s, &plan);
	assert_int_equal(blob_copy_from(w->s, "k", src, 2, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_nothing_stays(w);
}

static void copy_that_fails_while_it_reads_ahead_leaves_nothing(void **state)
{
	struct world *w = *state;
	const size_t len = 5 * PIECE + 5;
	bool remote = blob_can(w->s, BLOB_CAP_REMOTE);
	char *data = mem_zalloc(len);
	struct blob_writer *a = blob_begin(w->s, "s", BLOB_STAGE, 0, NULL, len, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, data, len, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	free(data);
	struct blob_source src = {w->s, "s", len};
	struct blob_stat st;
	/* The first, one that is read together with others, the last. */
	for (unsigned nth = 1; nth <= 6; nth += nth == 1 ? 2 : 3) {
		struct blob_fault_plan plan = {
			.nth = {[BLOB_FAULT_READ] = nth},
			.code = ERR_UNAVAILABLE,
			.together = remote ? 4 : 0,
		};
		blob_fault_set(w->s, &plan);
		assert_int_equal(
			blob_copy_from(w->source, "k", &src, 1, NULL, NULL, NULL, &w->err), -1);
		assert_int_equal(w->err.code, ERR_UNAVAILABLE);
		assert_int_equal(blob_stat(w->source, "k", &st, &w->err), -1);
		assert_int_equal(w->err.code, ERR_NOT_FOUND);
		assert_int_equal(blob_fault_reads_at_once(w->s), remote ? 4 : 1);
	}
	blob_fault_set(w->s, NULL);
	assert_int_equal(blob_copy_from(w->source, "k", &src, 1, NULL, NULL, NULL, &w->err), 0);
	if (remote)
		assert_int_equal(blob_fault_calls(w->s, BLOB_FAULT_READ), 6);
	/* A single piece is not read ahead. */
	blob_fault_set(w->s, NULL);
	src.size = PIECE;
	assert_int_equal(blob_copy_from(w->source, "k2", &src, 1, NULL, NULL, NULL, &w->err), 0);
	if (remote)
		assert_int_equal(blob_fault_calls(w->s, BLOB_FAULT_READ), 1);
}

/* Some consumers take a file away the moment they see it. */
static void copy_that_vanishes_after_commit_was_delivered(void **state)
{
	struct world *w = *state;
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_STAT] = 1}, .code = ERR_NOT_FOUND};
	blob_fault_set(w->s, &plan);
	assert_int_equal(blob_copy_from(w->s, "k", NULL, 0, NULL, NULL, NULL, &w->err), 0);
	plan.code = ERR_UNAVAILABLE;
	blob_fault_set(w->s, &plan);
	assert_int_equal(blob_copy_from(w->s, "k2", NULL, 0, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
}

static void every_call_can_fail(void **state)
{
	struct world *w = *state;
	struct blob_fault_plan plan = {.nth = {0}};
	struct blob_stat st;
	char c;
	for (int i = 0; i < BLOB_FAULT_OPS; i++)
		plan.nth[i] = 1;
	struct blob_writer *a = blob_begin(w->s, "k", BLOB_RESUME, 0, NULL, 0, &w->err);
	assert_non_null(a);
	blob_fault_set(w->s, &plan);
	assert_null(blob_begin(w->s, "k", BLOB_RESUME, 0, NULL, 0, &w->err));
	assert_int_equal(blob_append(a, "x", 1, &w->err), -1);
	assert_int_equal(blob_offset(a), 0);
	assert_int_equal(blob_sync(a, &w->err), -1);
	assert_int_equal(blob_stat(w->s, "k", &st, &w->err), -1);
	assert_int_equal(blob_read(w->s, "k", 0, &c, 1, &w->err), -1);
	assert_int_equal(blob_del(w->s, "k", NULL, &w->err), -1);
	assert_int_equal(blob_list(w->s, "", NULL, NULL, &w->err), -1);
	assert_int_equal(blob_sweep(w->s, 0, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(blob_probe(w->s, true, &w->err), -1);
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_IO);
	assert_nothing_stays(w);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(short_write_tells_how_far_it_came),
	TEST(full_store_keeps_what_fitted),
	TEST(failed_commit_of_an_upload_keeps_its_bytes),
	TEST(failed_commit_of_a_target_leaves_nothing),
	TEST(copy_that_fails_leaves_nothing),
	TEST(copy_from_a_failing_source_leaves_nothing),
	TEST(copy_that_fails_while_it_reads_ahead_leaves_nothing),
	TEST(copy_that_vanishes_after_commit_was_delivered),
	TEST(every_call_can_fail),
};
#undef TEST

int main(void)
{
	int failed = 0;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct CMUnitTest of_kind[sizeof(tests) / sizeof(tests[0])];
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			of_kind[i] = tests[i];
			of_kind[i].initial_state = (void *)kinds[k];
		}
		char group[64];
		snprintf(group, sizeof(group), "blob with faults: %s", kinds[k]);
		failed += _cmocka_run_group_tests(
			group, of_kind, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
	}
	return failed > 0;
}
