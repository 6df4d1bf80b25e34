/* SPDX-License-Identifier: Apache-2.0 */
/* What only a file store can show: links, dead processes, full disks, the names in its directories.
 */
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/store/blob.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char *dir; /* holds the root and things outside of it */
	char *root;
	struct blob_store *s;
	struct err err;
};

static struct blob_store *open_store(struct world *w, const char *path, bool create)
{
	struct blob_option opts[] = {{"path", path}};
	return blob_open(registry_find_blob("file"), "files", opts, 1, create, &w->err);
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->dir = scratch_make();
	w->root = scratch_path(w->dir, "made/root");
	w->s = open_store(w, w->root, true);
	*state = w;
	return w->s ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_close(w->s);
	free(w->root);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

static bool exists(struct world *w, const char *name)
{
	struct stat st;
	char *path = scratch_path(w->root, name);
	int rc = lstat(path, &st);
	free(path);
	return rc == 0;
}

static void write_outside(struct world *w, const char *name, const char *text)
{
	char *path = scratch_path(w->dir, name);
	assert_int_equal(fsio_replace(path, text, strlen(text), false, &w->err), 0);
	free(path);
}

static void make_link(struct world *w, const char *to, const char *name)
{
	char *path = scratch_path(w->root, name);
	assert_int_equal(symlink(to, path), 0);
	free(path);
}

static int put(struct world *w, enum blob_mode mode, const char *key, const char *text)
{
	struct blob_writer *a = blob_begin(w->s, key, mode, 0, NULL, 0, &w->err);
	if (!a)
		return -1;
	if (blob_append(a, text, strlen(text), &w->err) < 0) {
		blob_end(a);
		return -1;
	}
	return blob_commit(a, NULL, &w->err);
}

static void root_is_made_on_demand(void **state)
{
	struct world *w = *state;
	char *path = scratch_path(w->dir, "no/such/root");
	struct buf where;
	assert_null(open_store(w, path, false));
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	struct blob_store *s = open_store(w, path, true);
	assert_non_null(s);
	blob_close(s);
	s = open_store(w, path, false);
	assert_non_null(s);
	buf_init(&where, 4096);
	assert_int_equal(blob_location(s, "a/b", &where), 0);
	assert_int_equal(strncmp(buf_str(&where), path, strlen(path)), 0);
	assert_string_equal(buf_str(&where) + strlen(path), "/a/b");
	buf_free(&where);
	blob_close(s);
	free(path);
}

static void options_are_understood(void **state)
{
	struct world *w = *state;
	struct blob_option opts[] = {{"path", w->root}, {"durable", "perhaps"}};
	assert_null(blob_open(registry_find_blob("file"), "x", opts, 2, false, &w->err));
	assert_non_null(strstr(w->err.text, "durable"));
	opts[0].value = "";
	opts[1].value = "true";
	assert_null(blob_open(registry_find_blob("file"), "x", opts, 2, false, &w->err));
	assert_non_null(strstr(w->err.text, "path"));
	assert_true(blob_can(w->s, BLOB_CAP_ADOPT));
	assert_true(blob_can(w->s, BLOB_CAP_FAST_COPY));
	assert_null(registry_find_blob("no such type"));
}

static void begin_at_zero_makes_nothing(void **state)
{
	struct world *w = *state;
	struct blob_writer *a = blob_begin(w->s, "d/k", BLOB_RESUME, 0, NULL, 0, &w->err);
	struct blob_writer *b = blob_begin(w->s, "e/k", BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_non_null(b);
	assert_false(exists(w, "d"));
	assert_false(exists(w, "e"));
	assert_int_equal(blob_append(a, "x", 1, &w->err), 0);
	assert_true(exists(w, "d/k"));
	blob_end(a);
	blob_end(b);
}

static void files_are_not_for_everybody(void **state)
{
	struct world *w = *state;
	struct stat st;
	mode_t old = umask(0);
	assert_int_equal(put(w, BLOB_STAGE, "d/k", "x"), 0);
	umask(old);
	char *path = scratch_path(w->root, "d");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	free(path);
	path = scratch_path(w->root, "d/k");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	free(path);
}

static void links_are_not_followed(void **state)
{
	static const char *const keys[] = {
		"outer/secret", "file", "inner/k", "outer/new", "dangling"};
	struct world *w = *state;
	struct blob_stat st;
	char c;
	write_outside(w, "secret", "untouched");
	make_link(w, "../..", "outer");
	make_link(w, "../../secret", "file");
	make_link(w, "../../made_by_us", "dangling");
	assert_int_equal(put(w, BLOB_STAGE, "real/k", "x"), 0);
	make_link(w, "real", "inner");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *key = keys[i];
		struct blob_source src = {w->s, key, 1};
		assert_int_equal(blob_stat(w->s, key, &st, &w->err), -1);
		assert_int_equal(blob_read(w->s, key, 0, &c, 1, &w->err), -1);
		assert_int_equal(w->err.code, ERR_DENIED);
		assert_int_equal(put(w, BLOB_RESUME, key, "overwritten"), -1);
		assert_int_equal(w->err.code, ERR_DENIED);
		assert_null(blob_begin(w->s, key, BLOB_RESUME, 1, NULL, 0, &w->err));
		assert_int_equal(put(w, BLOB_STAGE, key, "overwritten"), -1);
		assert_int_equal(
			blob_copy_from(w->s, "copy", &src, 1, NULL, NULL, NULL, &w->err), -1);
	}
	assert_int_equal(blob_del(w->s, "outer/secret", NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	struct buf text;
	buf_init(&text, 100);
	char *path = scratch_path(w->dir, "secret");
	assert_int_equal(fsio_read_file(path, &text, &w->err), 0);
	assert_string_equal(buf_str(&text), "untouched");
	buf_free(&text);
	free(path);
	path = scratch_path(w->dir, "made_by_us");
	assert_int_equal(access(path, F_OK), -1);
	free(path);
	path = scratch_path(w->dir, "new");
	assert_int_equal(access(path, F_OK), -1);
	free(path);
}

static int collect(void *arg, const char *key, const struct blob_stat *st)
{
	(void)st;
	char *all = arg;
	size_t len = strlen(all);
	snprintf(all + len, 256 - len, "%s ", key);
	return 0;
}

static void list_passes_over_what_is_no_object(void **state)
{
	struct world *w = *state;
	char all[256] = "";
	write_outside(w, "secret", "x");
	make_link(w, "../..", "outer");
	make_link(w, "../../secret", "file");
	char *fifo = scratch_path(w->root, "fifo");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	free(fifo);
	assert_int_equal(put(w, BLOB_STAGE, "d/k", "x"), 0);
	struct blob_writer *a = blob_begin(w->s, "d/staged", BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "x", 1, &w->err), 0);
	assert_int_equal(blob_list(w->s, "", collect, all, &w->err), 0);
	assert_string_equal(all, "d/k ");
	blob_end(a);
	struct blob_stat st;
	assert_int_equal(blob_stat(w->s, "fifo", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	char c;
	assert_int_equal(blob_read(w->s, "fifo", 0, &c, 1, &w->err), -1);
	assert_int_equal(put(w, BLOB_RESUME, "fifo", "x"), -1);
}

static void names_beyond_the_limits_are_refused(void **state)
{
	struct world *w = *state;
	char key[300];
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(put(w, BLOB_RESUME, key, "x"), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	const char *reserved = "d/.dex-0123456789abcdef0123456789abcdef.part";
	assert_int_equal(put(w, BLOB_STAGE, reserved, "x"), -1);
	assert_int_equal(w->err.code, ERR_INVALID);
	assert_int_equal(blob_copy_from(w->s, reserved, NULL, 0, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(put(w, BLOB_STAGE, "d/.dex-mine.part", "x"), 0);
}

static void a_file_in_the_way_is_an_error(void **state)
{
	struct world *w = *state;
	assert_int_equal(put(w, BLOB_STAGE, "a", "x"), 0);
	assert_int_equal(put(w, BLOB_STAGE, "a/b", "x"), -1);
	assert_int_equal(put(w, BLOB_RESUME, "a/b", "x"), -1);
	assert_int_equal(put(w, BLOB_STAGE, "d/b", "x"), 0);
	assert_int_equal(put(w, BLOB_RESUME, "d", "x"), -1);
	assert_int_equal(put(w, BLOB_STAGE, "d", "x"), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
}

/* Runs ${work} in a child up to the point where it is killed as by kill -9. */
static void killed_after(struct world *w, void (*work)(struct world *w))
{
	int ready[2];
	char c;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		work(w);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void stage_and_wait(struct world *w)
{
	struct blob_writer *a = blob_begin(w->s, "d/k", BLOB_STAGE, 0, NULL, 0, &w->err);
	if (!a || blob_append(a, "half", 4, &w->err) < 0 || blob_sync(a, &w->err) < 0)
		_exit(2);
}

static void killed_before_commit_shows_nothing(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	uint64_t removed = 99;
	char all[256] = "";
	killed_after(w, stage_and_wait);
	assert_int_equal(blob_stat(w->s, "d/k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	assert_int_equal(blob_list(w->s, "", collect, all, &w->err), 0);
	assert_string_equal(all, "");
	assert_int_equal(put(w, BLOB_STAGE, "d/k", "whole"), 0);
	assert_int_equal(blob_sweep(w->s, 3600 * 1000, NULL, NULL, &removed, &w->err), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(blob_sweep(w->s, -10000, NULL, NULL, &removed, &w->err), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(blob_sweep(w->s, -10000, NULL, NULL, &removed, &w->err), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(blob_stat(w->s, "d/k", &st, &w->err), 0);
	assert_int_equal(st.size, 5);
}

static void append_and_wait(struct world *w)
{
	struct blob_writer *a = blob_begin(w->s, "u/k", BLOB_RESUME, 0, NULL, 0, &w->err);
	if (!a || blob_append(a, "0123456", 7, &w->err) < 0)
		_exit(2);
}

static void killed_while_appending_can_be_resumed(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	char got[16];
	killed_after(w, append_and_wait);
	assert_int_equal(blob_stat(w->s, "u/k", &st, &w->err), 0);
	assert_int_equal(st.size, 7);
	struct blob_writer *a = blob_begin(w->s, "u/k", BLOB_RESUME, 7, NULL, 0, &w->err);
	assert_non_null(a);
	assert_int_equal(blob_append(a, "789", 3, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	assert_int_equal(blob_read(w->s, "u/k", 0, got, sizeof(got), &w->err), 10);
	assert_memory_equal(got, "0123456789", 10);
}

#ifdef DEX_TESTING
static void crash_at(struct world *w, const char *point)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("DEX_CRASH_AT", point, 1);
		_exit(put(w, BLOB_STAGE, "d/k", "whole") < 0 ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void commit_is_all_or_nothing(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	crash_at(w, "blob_file.before_rename");
	assert_int_equal(blob_stat(w->s, "d/k", &st, &w->err), -1);
	crash_at(w, "blob_file.after_rename");
	assert_int_equal(blob_stat(w->s, "d/k", &st, &w->err), 0);
	assert_int_equal(st.size, 5);
}
#endif

static void full_disk_tells_how_far_it_came(void **state)
{
	struct world *w = *state;
	struct rlimit old, low;
	struct blob_stat st;
	size_t len = 100000;
	char *data = mem_zalloc(len);
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 150000;
	struct blob_writer *a = blob_begin(w->s, "u/k", BLOB_RESUME, 0, NULL, 0, &w->err);
	struct blob_writer *b = blob_begin(w->s, "d/k", BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(a);
	assert_non_null(b);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	int first = blob_append(a, data, len, &w->err);
	int second = blob_append(a, data, len, &w->err);
	uint64_t offset = blob_offset(a);
	int staged = blob_append(b, data, len, &w->err);
	staged += blob_append(b, data, len, &w->err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, handler);
	assert_int_equal(first, 0);
	assert_int_equal(second, -1);
	assert_int_equal(offset, 150000);
	assert_int_equal(staged, -1);
	blob_end(b);
	assert_false(exists(w, "d/k"));
	assert_int_equal(blob_append(a, data, 50000, &w->err), 0);
	assert_int_equal(blob_commit(a, NULL, &w->err), 0);
	assert_int_equal(blob_stat(w->s, "u/k", &st, &w->err), 0);
	assert_int_equal(st.size, 200000);
	free(data);
}

static void copy_takes_no_more_than_was_said(void **state)
{
	struct world *w = *state;
	struct blob_stat st;
	struct blob_source src = {w->s, "a", 4};
	assert_int_equal(put(w, BLOB_RESUME, "a", "0123456789"), 0);
	assert_int_equal(blob_copy_from(w->s, "b", &src, 1, NULL, NULL, NULL, &w->err), 0);
	assert_int_equal(blob_stat(w->s, "b", &st, &w->err), 0);
	assert_int_equal(st.size, 4);
}

static void probe_sees_a_root_that_went_away(void **state)
{
	struct world *w = *state;
	assert_int_equal(blob_probe(w->s, true, &w->err), 0);
	assert_int_equal(rmdir(w->root), 0);
	assert_int_equal(blob_probe(w->s, false, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(root_is_made_on_demand),
		TEST(options_are_understood),
		TEST(begin_at_zero_makes_nothing),
		TEST(files_are_not_for_everybody),
		TEST(links_are_not_followed),
		TEST(list_passes_over_what_is_no_object),
		TEST(names_beyond_the_limits_are_refused),
		TEST(a_file_in_the_way_is_an_error),
		TEST(killed_before_commit_shows_nothing),
		TEST(killed_while_appending_can_be_resumed),
#ifdef DEX_TESTING
		TEST(commit_is_all_or_nothing),
#endif
		TEST(full_disk_tells_how_far_it_came),
		TEST(copy_takes_no_more_than_was_said),
		TEST(probe_sees_a_root_that_went_away),
	};
#undef TEST
	return cmocka_run_group_tests_name("blob: files only", tests, NULL, NULL);
}
