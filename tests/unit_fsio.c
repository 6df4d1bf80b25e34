/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *dir;
static int root;

static int set_up(void **state)
{
	(void)state;
	dir = scratch_make();
	root = fsio_open_dir(dir, NULL);
	return root < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(root);
	scratch_remove(dir);
	return 0;
}

static bool is_dir(const char *name)
{
	struct stat st;
	return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void write_file(const char *name, const char *text)
{
	char *path = scratch_path(dir, name);
	struct err err = {0};
	assert_int_equal(fsio_replace(path, text, strlen(text), false, &err), 0);
	free(path);
}

static void expect_file(const char *name, const char *text)
{
	char *path = scratch_path(dir, name);
	struct err err = {0};
	struct buf b;
	buf_init(&b, 1 << 20);
	assert_int_equal(fsio_read_file(path, &b, &err), 0);
	assert_string_equal(buf_str(&b), text);
	buf_free(&b);
	free(path);
}

static void mkdirs_makes_what_is_missing(void **state)
{
	(void)state;
	struct err err = {0};
	char *path = scratch_path(dir, "a/b//c/./d/");
	assert_int_equal(fsio_mkdirs(path, true, &err), 0);
	assert_true(is_dir("a/b/c/d"));
	struct stat st;
	assert_int_equal(fstatat(root, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 0027, 0);
	assert_int_equal(fsio_mkdirs(path, false, &err), 0);
	free(path);
	write_file("file", "x");
	path = scratch_path(dir, "file/below");
	assert_int_equal(fsio_mkdirs(path, false, &err), -1);
	free(path);
	assert_int_equal(fsio_mkdirs("", false, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
}

static void mkdirs_at_stays_beneath(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(fsio_mkdirs_at(root, "x/y", true, &err), 0);
	assert_true(is_dir("x/y"));
	assert_int_equal(fsio_mkdirs_at(root, ".", true, &err), 0);
	assert_int_equal(symlinkat("/tmp", root, "link"), 0);
	static const char *const refused[] = {"../out", "x/../../out", "x/..", "/tmp", "link/z"};
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		assert_int_equal(fsio_mkdirs_at(root, refused[i], false, &err), -1);
		assert_int_equal(err.code, ERR_DENIED);
	}
}

/* Run by both ways of opening; asserts would not end a forked child, so it answers the failed row.
 */
static int try_open_beneath(void)
{
	static const struct {
		const char *path;
		int flags;
		enum err_code code;
	} rows[] = {
		{"sub/file", O_RDONLY, ERR_NONE},
		{"sub//./file", O_RDONLY, ERR_NONE},
		{"sub", O_RDONLY | O_DIRECTORY, ERR_NONE},
		{".", O_RDONLY | O_DIRECTORY, ERR_NONE},
		{"sub/new", O_RDWR | O_CREAT, ERR_NONE},
		{"sub/...", O_RDONLY, ERR_NOT_FOUND},
		{"none/file", O_RDONLY, ERR_NOT_FOUND},
		{"", O_RDONLY, ERR_NOT_FOUND},
		{"sub/file", O_RDWR | O_CREAT | O_EXCL, ERR_EXISTS},
		{"sub/../sub/file", O_RDONLY, ERR_DENIED},
		{"..", O_RDONLY, ERR_DENIED},
		{"../file", O_RDONLY, ERR_DENIED},
		{"/etc/passwd", O_RDONLY, ERR_DENIED},
		{"tosub/file", O_RDONLY, ERR_DENIED},
		{"tofile", O_RDONLY, ERR_DENIED},
		{"toroot/etc/passwd", O_RDONLY, ERR_DENIED},
		{"dangling", O_RDWR | O_CREAT, ERR_DENIED},
		{"sub/file/below", O_RDONLY, ERR_IO},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = {0};
		int fd = fsio_open_beneath(root, rows[i].path, rows[i].flags, 0600, &err);
		bool as_told = (fd >= 0) == (rows[i].code == ERR_NONE) && err.code == rows[i].code;
		if (fd >= 0 && fcntl(fd, F_GETFD) != FD_CLOEXEC)
			as_told = false;
		if (fd >= 0)
			close(fd);
		if (!as_told)
			return (int)i + 1;
	}
	return 0;
}

static void make_tree(void)
{
	struct err err = {0};
	assert_int_equal(fsio_mkdirs_at(root, "sub", false, &err), 0);
	write_file("sub/file", "x");
	assert_int_equal(symlinkat("sub", root, "tosub"), 0);
	assert_int_equal(symlinkat("sub/file", root, "tofile"), 0);
	assert_int_equal(symlinkat("/", root, "toroot"), 0);
	assert_int_equal(symlinkat("sub/nothing", root, "dangling"), 0);
}

static void open_beneath_follows_nothing_outwards(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(try_open_beneath(), 0);
}

/* Make openat2 unknown to this process, as on a kernel before 5.6. */
static int forbid_openat2(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 38 /* ENOSYS */),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void open_beneath_is_the_same_without_openat2(void **state)
{
	(void)state;
	make_tree();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(forbid_openat2() != 0 ? 100 : try_open_beneath());
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void replace_leaves_old_or_new_and_no_litter(void **state)
{
	(void)state;
	struct err err = {0};
	char *path = scratch_path(dir, "state.json");
	assert_int_equal(fsio_replace(path, "one", 3, true, &err), 0);
	int reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fsio_replace(path, "second", 6, false, &err), 0);
	expect_file("state.json", "second");
	char old[8] = "";
	assert_int_equal(fsio_pread_full(reader, old, sizeof old, 0, &err), 3);
	assert_string_equal(old, "one");
	close(reader);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0137, 0);
	free(path);
	/* A directory in the way: the temporary file goes again. */
	assert_int_equal(fsio_mkdirs_at(root, "taken/inner", false, &err), 0);
	path = scratch_path(dir, "taken");
	assert_int_equal(fsio_replace(path, "x", 1, false, &err), -1);
	free(path);
	path = scratch_path(dir, "none/file");
	assert_int_equal(fsio_replace(path, "x", 1, false, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	free(path);
	assert_int_equal(unlinkat(root, "state.json", 0), 0);
	assert_int_equal(unlinkat(root, "taken/inner", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(root, "taken", AT_REMOVEDIR), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void the_longest_name_can_be_replaced(void **state)
{
	(void)state;
	struct err err = {0};
	char name[256];
	memset(name, 'n', 255);
	name[255] = '\0';
	char *path = scratch_path(dir, name);
	assert_int_equal(fsio_replace(path, "x", 1, false, &err), 0);
	expect_file(name, "x");
	free(path);
}

static void *append_many(void *arg)
{
	char line[100];
	memset(line, *(const char *)arg, sizeof line);
	char *path = scratch_path(dir, "lines");
	for (int i = 0; i < 100; i++)
		fsio_append_line(path, line, sizeof line, i == 0, NULL);
	free(path);
	return NULL;
}

static void appended_lines_stay_whole(void **state)
{
	(void)state;
	pthread_t threads[3];
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, append_many, (void *)&"abc"[i]), 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	struct buf text;
	buf_init(&text, 1 << 20);
	struct err err = {0};
	char *path = scratch_path(dir, "lines");
	assert_int_equal(fsio_read_file(path, &text, &err), 0);
	free(path);
	assert_int_equal(text.len, 3 * 100 * 101);
	for (size_t i = 0; i < text.len; i += 101) {
		char letter[2] = {text.data[i], '\0'};
		assert_int_equal(strspn(text.data + i, letter), 100);
		assert_int_equal(text.data[i + 100], '\n');
	}
	buf_free(&text);
}

static void half_a_line_is_taken_back(void **state)
{
	(void)state;
	char *path = scratch_path(dir, "lines");
	struct err err = {0};
	assert_int_equal(fsio_append_line(path, "first", 5, true, &err), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* The file may grow by four bytes more: a write that is cut short. */
		struct rlimit limit = {.rlim_cur = 10, .rlim_max = 10};
		if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(100);
		_exit(fsio_append_line(path, "second", 6, false, &err) == -1 &&
					err.code == ERR_NO_SPACE
				? 0
				: 1);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_file("lines", "first\n");
	free(path);
}

static void reading_knows_its_limit(void **state)
{
	(void)state;
	write_file("f", "0123456789");
	char *path = scratch_path(dir, "f");
	struct err err = {0};
	struct buf b;
	buf_init(&b, 10);
	assert_int_equal(fsio_read_file(path, &b, &err), 0);
	assert_int_equal(fsio_read_file(path, &b, &err), 0);
	assert_string_equal(buf_str(&b), "0123456789");
	buf_free(&b);
	buf_init(&b, 9);
	assert_int_equal(fsio_read_file(path, &b, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	buf_free(&b);
	free(path);
	path = scratch_path(dir, "none");
	assert_int_equal(fsio_read_file(path, &b, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	free(path);
}

static void positioned_reads_and_writes(void **state)
{
	(void)state;
	struct err err = {0};
	char *path = scratch_path(dir, "f");
	int fd = fsio_open_or_make(path, O_RDWR, &err);
	assert_true(fd >= 0);
	assert_int_equal(fsio_write_all(fd, "abc", 3, &err), 0);
	assert_int_equal(fsio_pwrite_all(fd, "XY", 2, 5, &err), 0);
	char got[10];
	assert_int_equal(fsio_pread_full(fd, got, sizeof got, 0, &err), 7);
	assert_memory_equal(got, "abc\0\0XY", 7);
	assert_int_equal(fsio_pread_full(fd, got, 2, 1, &err), 2);
	assert_memory_equal(got, "bc", 2);
	assert_int_equal(fsio_pread_full(fd, got, 2, 100, &err), 0);
	assert_int_equal(fsio_sync_data(fd, &err), 0);
	assert_int_equal(fsio_sync_dir(root, &err), 0);
	assert_int_equal(fsio_sync_parent(root, "f", &err), 0);
	assert_int_equal(fsio_sync_parent(AT_FDCWD, path, &err), 0);
	assert_int_equal(fsio_sync_parent(root, "none/f", &err), -1);
	close(fd);
	free(path);
	assert_int_equal(fsio_write_all(-1, "x", 1, &err), -1);
	assert_int_equal(err.code, ERR_IO);
}

struct steps {
	int calls;
	uint64_t last;
	int answer;
};

static int count_steps(void *arg, uint64_t done)
{
	struct steps *s = arg;
	s->calls++;
	assert_true(done > s->last);
	s->last = done;
	return s->answer;
}

static void expect_copy(uint64_t dst_off, uint64_t src_off, uint64_t len)
{
	struct err err = {0};
	char *from = scratch_path(dir, "from");
	char *to = scratch_path(dir, "to");
	int src = fsio_open_or_make(from, O_RDWR, &err);
	int dst = fsio_open_or_make(to, O_RDWR | O_TRUNC, &err);
	struct steps steps = {0};
	assert_int_equal(
		fsio_copy_range(dst, dst_off, src, src_off, len, count_steps, &steps, &err), 0);
	assert_int_equal(steps.last, len);
	char *a = malloc(len + 1);
	char *b = malloc(len + 1);
	assert_int_equal(fsio_pread_full(src, a, len, src_off, &err), len);
	assert_int_equal(fsio_pread_full(dst, b, len + 1, dst_off, &err), len);
	assert_memory_equal(a, b, len);
	free(a);
	free(b);
	close(src);
	close(dst);
	free(from);
	free(to);
}

static void fill_source(size_t len)
{
	char *data = malloc(len);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 31 + (i >> 12));
	char *path = scratch_path(dir, "from");
	struct err err = {0};
	assert_int_equal(fsio_replace(path, data, len, false, &err), 0);
	free(path);
	free(data);
}

static void ranges_are_copied(void **state)
{
	(void)state;
	fill_source(3000000);
	expect_copy(0, 0, 3000000);
	expect_copy(0, 0, 1000);
	expect_copy(0, 4097, 2000000);
	expect_copy(777, 1, 2500000);
}

static void a_source_that_is_too_short_is_corrupt(void **state)
{
	(void)state;
	fill_source(1000);
	struct err err = {0};
	char *from = scratch_path(dir, "from");
	char *to = scratch_path(dir, "to");
	int src = fsio_open_or_make(from, O_RDONLY, &err);
	int dst = fsio_open_or_make(to, O_RDWR, &err);
	assert_int_equal(fsio_copy_range(dst, 0, src, 0, 1001, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	struct steps stop = {.answer = -1};
	assert_int_equal(fsio_copy_range(dst, 0, src, 0, 500, count_steps, &stop, &err), -1);
	assert_int_equal(err.code, ERR_INTERRUPTED);
	assert_int_equal(stop.calls, 1);
	close(src);
	close(dst);
	free(from);
	free(to);
}

static void what_the_kernel_cannot_copy_is_read_and_written(void **state)
{
	(void)state;
	/* Files of /proc have no length, and copy_file_range refuses them or says they are empty.
	 */
	struct err err = {0};
	char *to = scratch_path(dir, "to");
	int src = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	int dst = fsio_open_or_make(to, O_RDWR, &err);
	assert_true(src >= 0);
	char expected[5];
	assert_int_equal(fsio_pread_full(src, expected, sizeof expected, 0, &err), 5);
	struct steps steps = {0};
	assert_int_equal(fsio_copy_range(dst, 3, src, 0, 5, count_steps, &steps, &err), 0);
	assert_int_equal(steps.calls, 1);
	char got[5];
	assert_int_equal(fsio_pread_full(dst, got, sizeof got, 3, &err), 5);
	assert_memory_equal(got, expected, 5);
	struct steps stop = {.answer = -1};
	assert_int_equal(fsio_copy_range(dst, 0, src, 0, 5, count_steps, &stop, &err), -1);
	assert_int_equal(err.code, ERR_INTERRUPTED);
	assert_int_equal(fsio_copy_range(dst, 0, src, 0, 1 << 20, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	close(src);
	close(dst);
	free(to);
}

#define FSIO_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FSIO_TEST(mkdirs_makes_what_is_missing),
		FSIO_TEST(mkdirs_at_stays_beneath),
		FSIO_TEST(open_beneath_follows_nothing_outwards),
		FSIO_TEST(open_beneath_is_the_same_without_openat2),
		FSIO_TEST(replace_leaves_old_or_new_and_no_litter),
		FSIO_TEST(the_longest_name_can_be_replaced),
		FSIO_TEST(appended_lines_stay_whole),
		FSIO_TEST(half_a_line_is_taken_back),
		FSIO_TEST(reading_knows_its_limit),
		FSIO_TEST(positioned_reads_and_writes),
		FSIO_TEST(ranges_are_copied),
		FSIO_TEST(a_source_that_is_too_short_is_corrupt),
		FSIO_TEST(what_the_kernel_cannot_copy_is_read_and_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
