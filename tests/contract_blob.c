/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What blob.h promises, held against every store in the table of tests/lib/blob_world.c. Copying
 * and listing are in contract_blob_copy.c, what only files can show is in contract_blob_file.c,
 * what needs faults in contract_blob_fault.c.
 */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/store/blob.h"
#include "tests/lib/blob_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void names_its_store(void **state)
{
	struct blob_world *w = *state;
	assert_string_equal(blob_name(w->s), "one");
	assert_non_null(blob_type(w->s));
	blob_world_assert_missing(w, w->s, "nothing/here");
	assert_int_equal(strncmp(w->err.text, "one: ", 5), 0);
	struct buf b;
	buf_init(&b, 4096);
	blob_world_ok(w, blob_location(w->s, "a/b.txt", &b));
	assert_non_null(strstr(buf_str(&b), "a/b.txt"));
	assert_int_equal(blob_location(w->s, "../b", &b), -1);
	buf_free(&b);
	blob_world_ok(w, blob_probe(w->s, false, &w->err));
	blob_world_ok(w, blob_probe(w->s, true, &w->err));
}

static void options_are_checked(void **state)
{
	struct blob_world *w = *state;
	const struct blob_backend *backend = registry_find_blob(blob_type(w->s));
	if (!backend)
		skip();
	struct blob_option unknown[] = {{"no_such_option", "x"}};
	assert_null(blob_open(backend, "x", unknown, 1, false, &w->err));
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_non_null(strstr(w->err.text, "no_such_option"));
	assert_null(blob_open(backend, "x", NULL, 0, false, &w->err));
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void invalid_keys_never_reach_the_store(void **state)
{
	struct blob_world *w = *state;
	const char *bad = "a/../b";
	struct blob_stat st;
	char c;
	struct blob_source src = {w->s, bad, 1};
	assert_null(blob_begin(w->s, bad, BLOB_RESUME, 0, NULL, 0, &w->err));
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_null(blob_begin(w->s, bad, BLOB_STAGE, 0, NULL, 0, &w->err));
	assert_int_equal(blob_stat(w->s, bad, &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_read(w->s, bad, 0, &c, 1, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_del(w->s, bad, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_copy_from(w->s, "a", &src, 1, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_copy_from(w->s, bad, NULL, 0, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_list(w->s, bad, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
}

static void errors_may_be_ignored(void **state)
{
	struct blob_world *w = *state;
	struct blob_stat st;
	char c;
	assert_int_equal(blob_stat(w->s, "missing", &st, NULL), -1);
	assert_int_equal(blob_read(w->s, "missing", 0, &c, 1, NULL), -1);
	assert_null(blob_begin(w->s, "missing", BLOB_RESUME, 5, NULL, 0, NULL));
	assert_int_equal(blob_del(w->s, "missing", NULL, NULL), 0);
	blob_end(NULL);
	blob_close(NULL);
}

static void resume_keeps_bytes_over_many_writers(void **state)
{
	struct blob_world *w = *state;
	const char *key = "up/load/1";
	struct blob_writer *a = blob_world_begin(w, key, BLOB_RESUME, 0);
	assert_string_equal(blob_token(a), "");
	blob_world_append(w, a, "hello");
	blob_world_append(w, a, "");
	blob_world_append(w, a, " w");
	assert_int_equal(blob_offset(a), 7);
	struct blob_world_token seven = blob_world_sync(w, a);
	blob_end(a);

	struct blob_writer *b = blob_world_resume(w, key, 7, &seven);
	assert_string_equal(blob_token(b), seven.text);
	blob_world_append(w, b, "orl");
	struct blob_world_token ten = blob_world_sync(w, b);
	blob_end(b);

	struct blob_writer *c = blob_world_resume(w, key, 10, &ten);
	blob_world_append(w, c, "d");
	(void)blob_world_sync(w, c);
	blob_world_append(w, c, "!");
	blob_world_ok(w, blob_commit(c, NULL, &w->err));
	blob_world_assert_content(w, w->s, key, "hello world!");
}

static void resume_discards_bytes_beyond_its_offset(void **state)
{
	struct blob_world *w = *state;
	struct blob_writer *a = blob_world_begin(w, "k", BLOB_RESUME, 0);
	blob_world_append(w, a, "0123");
	struct blob_world_token four = blob_world_sync(w, a);
	/* Synced, but its token was lost in a crash. */
	blob_world_append(w, a, "456");
	(void)blob_world_sync(w, a);
	blob_world_append(w, a, "789");
	blob_end(a);
	struct blob_writer *b = blob_world_resume(w, "k", 4, &four);
	blob_world_append(w, b, "x");
	blob_end(b);
	b = blob_world_resume(w, "k", 4, &four);
	blob_world_append(w, b, "y");
	blob_world_ok(w, blob_commit(b, NULL, &w->err));
	blob_world_assert_content(w, w->s, "k", "0123y");
	struct blob_writer *c = blob_world_begin(w, "k", BLOB_RESUME, 0);
	blob_world_append(w, c, "z");
	blob_world_ok(w, blob_commit(c, NULL, &w->err));
	blob_world_assert_content(w, w->s, "k", "z");
}

static void resume_shows_what_was_stored(void **state)
{
	struct blob_world *w = *state;
	struct blob_writer *a = blob_world_begin(w, "k", BLOB_RESUME, 0);
	blob_world_append(w, a, "0123456789");
	if (blob_can(w->s, BLOB_CAP_STORED_BY_SYNC)) {
		blob_world_assert_missing(w, w->s, "k");
		blob_world_ok(w, blob_commit(a, NULL, &w->err));
		blob_world_assert_content(w, w->s, "k", "0123456789");
		return;
	}
	blob_world_assert_content(w, w->s, "k", "0123456789");
	blob_end(a);
	struct blob_writer *b = blob_world_begin(w, "k", BLOB_RESUME, 4);
	blob_world_append(w, b, "x");
	blob_end(b);
	blob_world_assert_content(w, w->s, "k", "0123x");
	struct blob_writer *c = blob_world_begin(w, "k", BLOB_RESUME, 2);
	blob_world_ok(w, blob_commit(c, NULL, &w->err));
	blob_world_assert_content(w, w->s, "k", "01");
}

static void resume_with_bytes_missing_is_corrupt(void **state)
{
	struct blob_world *w = *state;
	assert_null(blob_begin(w->s, "k", BLOB_RESUME, 1, NULL, 0, &w->err));
	assert_int_equal(w->err.code, ERR_CORRUPT);
	blob_world_assert_missing(w, w->s, "k");
	struct blob_writer *a = blob_world_begin(w, "k", BLOB_RESUME, 0);
	blob_world_append(w, a, "abc");
	struct blob_world_token three = blob_world_sync(w, a);
	blob_end(a);
	assert_null(blob_begin(w->s, "k", BLOB_RESUME, 4, three.text, 0, &w->err));
	assert_int_equal(w->err.code, ERR_CORRUPT);
	if (blob_can(w->s, BLOB_CAP_STORED_BY_SYNC)) {
		static const char *const wrong[] = {NULL, "", "x"};
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			assert_null(blob_begin(w->s, "k", BLOB_RESUME, 3, wrong[i], 0, &w->err));
			assert_int_equal(w->err.code, ERR_CORRUPT);
		}
	}
	a = blob_world_resume(w, "k", 3, &three);
	blob_world_ok(w, blob_commit(a, NULL, &w->err));
	blob_world_assert_content(w, w->s, "k", "abc");
}

/* Who died between the commit and noting it will do it again. */
static void resume_commits_again_what_was_committed(void **state)
{
	struct blob_world *w = *state;
	struct blob_writer *a = blob_world_begin(w, "k", BLOB_RESUME, 0);
	blob_world_append(w, a, "abc");
	struct blob_world_token three = blob_world_sync(w, a);
	blob_world_ok(w, blob_commit(a, NULL, &w->err));
	blob_world_ok(w, blob_commit(blob_world_resume(w, "k", 3, &three), NULL, &w->err));
	blob_world_assert_content(w, w->s, "k", "abc");
}

static void resume_of_nothing_commits_an_empty_object(void **state)
{
	struct blob_world *w = *state;
	struct blob_writer *a = blob_world_begin(w, "deep/er/empty", BLOB_RESUME, 0);
	blob_world_ok(w, blob_sync(a, &w->err));
	blob_world_ok(w, blob_commit(a, NULL, &w->err));
	blob_world_assert_content(w, w->s, "deep/er/empty", "");
}

static void resume_begins_without_leaving_a_trace(void **state)
{
	struct blob_world *w = *state;
	blob_end(blob_world_begin(w, "p/k", BLOB_RESUME, 0));
	blob_world_assert_missing(w, w->s, "p/k");
	assert_int_equal(blob_world_count(w, w->s, NULL), 0);
}

static void stage_is_invisible_until_commit(void **state)
{
	struct blob_world *w = *state;
	struct blob_writer *a = blob_world_begin(w, "2026/01/f.csv", BLOB_STAGE, 0);
	blob_world_append(w, a, "one ");
	blob_world_append(w, a, "two");
	assert_int_equal(blob_offset(a), 7);
	blob_world_ok(w, blob_sync(a, &w->err));
	blob_world_assert_missing(w, w->s, "2026/01/f.csv");
	assert_int_equal(blob_world_count(w, w->s, ""), 0);
	blob_world_ok(w, blob_commit(a, NULL, &w->err));
	blob_world_assert_content(w, w->s, "2026/01/f.csv", "one two");
	assert_int_equal(blob_world_count(w, w->s, ""), 1);
}

static void stage_accepts_metadata(void **state)
{
	struct blob_world *w = *state;
	const char *const keys[] = {"sender_id", "r\xc3\xa9gion"};
	const char *const values[] = {"x", "\xc3\xa9"};
	struct blob_meta meta = {.keys = keys, .values = values, .n = 2};
	struct blob_writer *a = blob_world_begin(w, "k", BLOB_STAGE, 0);
	blob_world_append(w, a, "x");
	blob_world_ok(w, blob_commit(a, &meta, &w->err));
	blob_world_assert_content(w, w->s, "k", "x");
}

static void stage_ended_leaves_nothing(void **state)
{
	struct blob_world *w = *state;
	uint64_t removed = 99;
	struct blob_writer *a = blob_world_begin(w, "d/k", BLOB_STAGE, 0);
	blob_world_append(w, a, "half");
	blob_end(a);
	blob_end(blob_world_begin(w, "d/k", BLOB_STAGE, 0));
	blob_world_assert_missing(w, w->s, "d/k");
	assert_int_equal(blob_world_count(w, w->s, ""), 0);
	blob_world_ok(w, blob_sweep(w->s, -10000, NULL, NULL, &removed, &w->err));
	assert_int_equal(removed, 0);
}

static void stage_never_replaces(void **state)
{
	struct blob_world *w = *state;
	uint64_t removed = 99;
	blob_world_put(w, w->s, "d/k", "first");
	struct blob_writer *a = blob_world_begin(w, "d/k", BLOB_STAGE, 0);
	blob_world_append(w, a, "second, longer");
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	blob_world_assert_content(w, w->s, "d/k", "first");
	blob_world_ok(w, blob_sweep(w->s, -10000, NULL, NULL, &removed, &w->err));
	assert_int_equal(removed, 0);
}

static void stage_of_nothing_commits_an_empty_object(void **state)
{
	struct blob_world *w = *state;
	blob_world_ok(
		w, blob_commit(blob_world_begin(w, "a/b/empty", BLOB_STAGE, 0), NULL, &w->err));
	blob_world_assert_content(w, w->s, "a/b/empty", "");
}

static void stage_begins_at_zero_only(void **state)
{
	struct blob_world *w = *state;
	assert_null(blob_begin(w->s, "k", BLOB_STAGE, 1, NULL, 0, &w->err));
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_null(blob_begin(w->s, "k", BLOB_STAGE, 0, "token", 0, &w->err));
	assert_int_equal(w->err.code, ERR_INVALID);
}

#define RACERS 8

struct racer {
	struct blob_world *w;
	pthread_barrier_t *start;
	int number;
	int rc;
	enum err_code code;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct err err;
	char text[32];
	snprintf(text, sizeof(text), "racer %d", r->number);
	struct blob_writer *writer = blob_begin(r->w->s, "new/dir/k", BLOB_STAGE, 0, NULL, 0, &err);
	pthread_barrier_wait(r->start);
	if (!writer)
		return NULL;
	r->rc = blob_append(writer, text, strlen(text), &err);
	if (r->rc < 0) {
		blob_end(writer);
		return NULL;
	}
	r->rc = blob_commit(writer, NULL, &err);
	r->code = r->rc < 0 ? err.code : ERR_NONE;
	return NULL;
}

static void stage_lets_one_of_many_win(void **state)
{
	struct blob_world *w = *state;
	pthread_barrier_t start;
	pthread_t threads[RACERS];
	struct racer racers[RACERS];
	int winner = -1;
	pthread_barrier_init(&start, NULL, RACERS);
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){w, &start, i, -1, ERR_NONE};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&start);
	for (int i = 0; i < RACERS; i++) {
		if (racers[i].rc == 0) {
			assert_int_equal(winner, -1);
			winner = i;
		} else {
			assert_int_equal(racers[i].code, ERR_EXISTS);
		}
	}
	assert_int_not_equal(winner, -1);
	char text[32];
	snprintf(text, sizeof(text), "racer %d", winner);
	blob_world_assert_content(w, w->s, "new/dir/k", text);
	assert_int_equal(blob_world_count(w, w->s, ""), 1);
}

static void read_gives_pieces_and_ends_short(void **state)
{
	struct blob_world *w = *state;
	char got[8];
	blob_world_put(w, w->s, "k", "0123456789");
	assert_int_equal(blob_read(w->s, "k", 3, got, 4, &w->err), 4);
	assert_memory_equal(got, "3456", 4);
	assert_int_equal(blob_read(w->s, "k", 8, got, 8, &w->err), 2);
	assert_memory_equal(got, "89", 2);
	assert_int_equal(blob_read(w->s, "k", 10, got, 8, &w->err), 0);
	assert_int_equal(blob_read(w->s, "k", 1000, got, 8, &w->err), 0);
	assert_int_equal(blob_read(w->s, "k", UINT64_MAX, got, 8, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_read(w->s, "none", 0, got, 8, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	assert_int_equal(blob_read(w->s, "k/below", 0, got, 8, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
}

static void a_directory_is_no_object(void **state)
{
	struct blob_world *w = *state;
	char got[8];
	blob_world_put(w, w->s, "dir/k", "x");
	blob_world_assert_missing(w, w->s, "dir");
	assert_int_equal(blob_read(w->s, "dir", 0, got, 8, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	blob_world_ok(w, blob_del(w->s, "dir", NULL, &w->err));
	blob_world_assert_content(w, w->s, "dir/k", "x");
}

static void stat_changes_with_the_content(void **state)
{
	struct blob_world *w = *state;
	struct blob_stat before, after;
	blob_world_put(w, w->s, "k", "abc");
	blob_world_ok(w, blob_stat(w->s, "k", &before, &w->err));
	assert_true(before.mtime > INT64_C(1600000000000000));
	blob_world_ok(w, blob_del(w->s, "k", NULL, &w->err));
	blob_world_put(w, w->s, "spare", "keeps its inode from being used again");
	blob_world_put(w, w->s, "k", "abcd");
	blob_world_ok(w, blob_stat(w->s, "k", &after, &w->err));
	assert_int_equal(after.size, 4);
	if (before.etag[0])
		assert_string_not_equal(before.etag, after.etag);
	blob_world_ok(w, blob_stat(w->s, "k", &before, &w->err));
	assert_string_equal(before.etag, after.etag);
}

static void del_is_repeatable(void **state)
{
	struct blob_world *w = *state;
	blob_world_put(w, w->s, "d/k", "x");
	blob_world_ok(w, blob_del(w->s, "d/k", NULL, &w->err));
	blob_world_assert_missing(w, w->s, "d/k");
	blob_world_ok(w, blob_del(w->s, "d/k", NULL, &w->err));
	blob_world_ok(w, blob_del(w->s, "no/such/dir/k", "", &w->err));
	struct blob_writer *a = blob_world_begin(w, "d/k", BLOB_RESUME, 0);
	blob_world_append(w, a, "again");
	struct blob_world_token token = blob_world_sync(w, a);
	blob_end(a);
	for (int i = 0; i < 2; i++) {
		blob_world_ok(w, blob_del(w->s, "d/k", token.text, &w->err));
		blob_world_assert_missing(w, w->s, "d/k");
	}
}

static void keys_of_all_shapes_can_be_stored(void **state)
{
	struct blob_world *w = *state;
	static const char *const keys[] = {"-", "a b", "...", "..a/.b", "\xc3\xa4/\xe2\x82\xac",
		"%2e%2e", "q?x=1&y#z", "C:\\x", "*", "'\"`$(x)", "~"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		blob_world_put(w, w->s, keys[i], keys[i]);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		blob_world_assert_content(w, w->s, keys[i], keys[i]);
	assert_int_equal(blob_world_count(w, w->s, ""), sizeof(keys) / sizeof(keys[0]));
	/* The longest key there is: every other byte a slash. A service counts our folder too. */
	char longest[BLOB_KEY_MAX + 1];
	size_t len = BLOB_KEY_MAX - (blob_can(w->s, BLOB_CAP_REMOTE) ? 64 : 0);
	for (size_t i = 0; i < len; i++)
		longest[i] = i % 2 ? '/' : 'k';
	longest[len - 1] = 'k';
	longest[len] = '\0';
	blob_world_put(w, w->s, longest, "deep");
	blob_world_assert_content(w, w->s, longest, "deep");
	assert_int_equal(blob_world_count(w, w->s, "k"), 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, blob_world_setup, blob_world_teardown)
static const struct CMUnitTest tests[] = {
	TEST(names_its_store),
	TEST(options_are_checked),
	TEST(invalid_keys_never_reach_the_store),
	TEST(errors_may_be_ignored),
	TEST(resume_keeps_bytes_over_many_writers),
	TEST(resume_discards_bytes_beyond_its_offset),
	TEST(resume_shows_what_was_stored),
	TEST(resume_with_bytes_missing_is_corrupt),
	TEST(resume_commits_again_what_was_committed),
	TEST(resume_of_nothing_commits_an_empty_object),
	TEST(resume_begins_without_leaving_a_trace),
	TEST(stage_is_invisible_until_commit),
	TEST(stage_accepts_metadata),
	TEST(stage_ended_leaves_nothing),
	TEST(stage_never_replaces),
	TEST(stage_of_nothing_commits_an_empty_object),
	TEST(stage_begins_at_zero_only),
	TEST(stage_lets_one_of_many_win),
	TEST(read_gives_pieces_and_ends_short),
	TEST(a_directory_is_no_object),
	TEST(stat_changes_with_the_content),
	TEST(del_is_repeatable),
	TEST(keys_of_all_shapes_can_be_stored),
};
#undef TEST

int main(void)
{
	return blob_world_run("blob", tests, sizeof(tests) / sizeof(tests[0]));
}
