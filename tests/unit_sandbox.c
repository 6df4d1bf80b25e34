/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a confined process can and cannot do. Each case runs in a child: there is no way out of a
 * sandbox. Where the kernel has no Landlock or no seccomp the cases about it are skipped.
 */
#include "core/base/err.h"
#include "core/base/mem.h"
#include "fcgi/sandbox.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char *dir; /* with own/, own/deep/, read/, list/, other/ and a file in each */
	int landlock;
	bool seccomp;
};

static char path_buf[4][512];
static int path_next;

/* Valid until four more calls. */
static const char *at(const struct world *w, const char *name)
{
	char *p = path_buf[path_next++ % 4];
	snprintf(p, sizeof(path_buf[0]), "%s/%s", w->dir, name);
	return p;
}

static bool enter(const struct world *w, bool required)
{
	const struct sandbox_rule rules[] = {
		{at(w, "own"), SANDBOX_WRITE},
		{at(w, "read"), SANDBOX_READ},
		{at(w, "list"), SANDBOX_LIST},
		{"/dev/null", SANDBOX_WRITE},
		{"/there/is/no/such/folder", SANDBOX_WRITE},
	};
	struct sandbox_state state;
	struct err err = {0};
	return sandbox_enter(rules, sizeof(rules) / sizeof(rules[0]), required, &state, &err) == 0;
}

typedef int attempt_fn(const struct world *w); /* 0, or errno */

/* In a confined child: what the attempt comes to. 255: the sandbox could not be entered. */
static int try_confined(const struct world *w, attempt_fn *fn)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(enter(w, false) ? fn(w) : 255);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int result(int rc)
{
	return rc < 0 ? errno : 0;
}

static int open_it(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	int rc = result(fd);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* --- files --- */

static int write_own(const struct world *w)
{
	return open_it(at(w, "own/deep/new"), O_WRONLY | O_CREAT);
}
static int truncate_own(const struct world *w)
{
	return open_it(at(w, "own/file"), O_WRONLY | O_TRUNC);
}
static int rename_own(const struct world *w)
{
	return result(rename(at(w, "own/file"), at(w, "own/deep/moved")));
}
static int remove_own(const struct world *w)
{
	int rc = result(mkdir(at(w, "own/sub"), 0700));
	return rc ? rc : result(rmdir(at(w, "own/sub")));
}
static int read_read(const struct world *w)
{
	return open_it(at(w, "read/file"), O_RDONLY);
}
static int list_read(const struct world *w)
{
	return open_it(at(w, "read"), O_RDONLY | O_DIRECTORY);
}
static int mkdir_list(const struct world *w)
{
	return result(mkdir(at(w, "list/sub"), 0700));
}
static int list_list(const struct world *w)
{
	return open_it(at(w, "list"), O_RDONLY | O_DIRECTORY);
}
static int null_device(const struct world *w)
{
	(void)w;
	return open_it("/dev/null", O_RDWR);
}
static int stat_other(const struct world *w)
{
	struct stat st;
	return result(stat(at(w, "other/file"), &st));
}

static int write_read(const struct world *w)
{
	return open_it(at(w, "read/file"), O_WRONLY);
}
static int make_read(const struct world *w)
{
	return open_it(at(w, "read/new"), O_WRONLY | O_CREAT);
}
static int read_list(const struct world *w)
{
	return open_it(at(w, "list/file"), O_RDONLY);
}
static int read_other(const struct world *w)
{
	return open_it(at(w, "other/file"), O_RDONLY);
}
static int write_other(const struct world *w)
{
	return open_it(at(w, "other/file"), O_WRONLY);
}
static int make_other(const struct world *w)
{
	return open_it(at(w, "other/new"), O_WRONLY | O_CREAT);
}
static int mkdir_other(const struct world *w)
{
	return result(mkdir(at(w, "other/sub"), 0700));
}
static int unlink_other(const struct world *w)
{
	return result(unlink(at(w, "other/file")));
}
static int truncate_other(const struct world *w)
{
	return result(truncate(at(w, "other/file"), 0));
}
static int read_by_dots(const struct world *w)
{
	return open_it(at(w, "own/../other/file"), O_RDONLY);
}
static int read_by_link(const struct world *w)
{
	return open_it(at(w, "own/link"), O_RDONLY);
}
static int write_by_link(const struct world *w)
{
	return open_it(at(w, "own/link"), O_WRONLY);
}
static int symlink_own(const struct world *w)
{
	return result(symlink(at(w, "other"), at(w, "own/made")));
}
static int socket_file(const struct world *w)
{
	return result(mknod(at(w, "own/fifo"), S_IFIFO | 0600, 0));
}
static int read_passwd(const struct world *w)
{
	(void)w;
	return open_it("/etc/passwd", O_RDONLY);
}
static int rename_away(const struct world *w)
{
	return result(rename(at(w, "own/file"), at(w, "other/file2")));
}

static void files_within_are_reached(void **state)
{
	struct world *w = *state;
	static attempt_fn *const fine[] = {write_own, truncate_own, rename_own, remove_own,
		read_read, list_read, list_list, mkdir_list, null_device, stat_other};
	if (w->landlock == 0)
		skip();
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		assert_int_equal(try_confined(w, fine[i]), 0);
}

static void files_outside_are_not(void **state)
{
	struct world *w = *state;
	static attempt_fn *const refused[] = {write_read, make_read, read_list, read_other,
		write_other, make_other, mkdir_other, unlink_other, read_by_dots, read_by_link,
		write_by_link, symlink_own, read_passwd};
	if (w->landlock == 0)
		skip();
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(try_confined(w, refused[i]), EACCES);
	if (w->landlock >= 3)
		assert_int_equal(try_confined(w, truncate_other), EACCES);
	int rc = try_confined(w, rename_away);
	assert_true(rc == EACCES || rc == EXDEV);
	rc = try_confined(w, socket_file);
	assert_true(rc == EACCES || rc == EPERM);
	assert_int_equal(access(at(w, "other/file"), F_OK), 0);
	assert_int_equal(access(at(w, "own/file"), F_OK), 0);
}

/* --- calls --- */

static int run_program(const struct world *w)
{
	char *const argv[] = {(char *)"true", NULL};
	char *const envp[] = {NULL};
	(void)w;
	return result(execve("/bin/true", argv, envp));
}
static int run_by_descriptor(const struct world *w)
{
	char *const argv[] = {(char *)"true", NULL};
	char *const envp[] = {NULL};
	int fd = open("/bin/true", O_PATH | O_CLOEXEC);
	(void)w;
	return fd < 0 ? 99 : result(fexecve(fd, argv, envp));
}
static int new_process(const struct world *w)
{
	(void)w;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int trace(const struct world *w)
{
	(void)w;
	return result((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static int mount_it(const struct world *w)
{
	return result(mount("none", at(w, "own"), "tmpfs", 0, NULL));
}
static int namespace(const struct world *w)
{
	(void)w;
	return result(unshare(CLONE_NEWUSER));
}
static int new_root(const struct world *w)
{
	return result(chroot(at(w, "own")));
}
static int kernel_log(const struct world *w)
{
	(void)w;
	return result((int)syscall(SYS_syslog, 3, NULL, 0));
}
static int become(const struct world *w)
{
	(void)w;
	return result(setuid(65534));
}
static int uring(const struct world *w)
{
	char params[256] = {0};
	(void)w;
	return result((int)syscall(SYS_io_uring_setup, 4, params));
}

static void calls_of_no_use_are_denied(void **state)
{
	struct world *w = *state;
	static attempt_fn *const refused[] = {run_program, run_by_descriptor, new_process, trace,
		mount_it, namespace, new_root, kernel_log, become, uring};
	if (!w->seccomp)
		skip();
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(try_confined(w, refused[i]), EPERM);
}

static void *say_seven(void *arg)
{
	(void)arg;
	return (void *)7;
}

/* What a server lives from goes on. */
static int threads_and_sockets(const struct world *w)
{
	pthread_t t;
	void *said = NULL;
	int pair[2];
	int rc = pthread_create(&t, NULL, say_seven, NULL);
	if (rc == 0)
		rc = pthread_join(t, &said);
	if (rc || said != (void *)7)
		return rc ? rc : 98;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 97;
	(void)w;
	return result(syscall(SYS_getpid) < 0 ? -1 : pipe(pair));
}

/* A thread made later is confined as well. */
static void *open_other(void *arg)
{
	static int rc;
	rc = read_other(arg);
	return &rc;
}
static int thread_reads_other(const struct world *w)
{
	pthread_t t;
	void *said = NULL;
	if (pthread_create(&t, NULL, open_other, (void *)w) || pthread_join(t, &said))
		return 98;
	return *(int *)said;
}

static void threads_live_in_it(void **state)
{
	struct world *w = *state;
	assert_int_equal(try_confined(w, threads_and_sockets), 0);
	if (w->landlock > 0)
		assert_int_equal(try_confined(w, thread_reads_other), EACCES);
}

/* Where one of both is missing, "required" is refused; else it is the same as not. */
static void required_means_both(void **state)
{
	struct world *w = *state;
	int status;
	pid_t pid = fork();
	if (pid == 0)
		_exit(enter(w, true) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), w->landlock > 0 && w->seccomp);
}

/* --- the world --- */

/* What this kernel has: status 100 + version, and 50 more with seccomp. */
static void look(struct world *w)
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sandbox_state s;
		int rc = sandbox_enter(NULL, 0, false, &s, NULL);
		_exit(rc ? 0 : 100 + s.landlock + 50 * s.seccomp);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WEXITSTATUS(status) >= 100);
	w->seccomp = WEXITSTATUS(status) >= 150;
	w->landlock = WEXITSTATUS(status) - (w->seccomp ? 150 : 100);
}

static int set_up(void **state)
{
	static const char *const dirs[] = {"own", "own/deep", "read", "list", "other"};
	static const char *const files[] = {"own/file", "read/file", "list/file", "other/file"};
	struct world *w = mem_zalloc(sizeof(*w));
	w->dir = scratch_make();
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		assert_int_equal(mkdir(at(w, dirs[i]), 0755), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		assert_int_equal(open_it(at(w, files[i]), O_WRONLY | O_CREAT), 0);
	assert_int_equal(symlink(at(w, "other/file"), at(w, "own/link")), 0);
	look(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	scratch_remove(w->dir);
	free(w);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_within_are_reached),
		TEST(files_outside_are_not),
		TEST(calls_of_no_use_are_denied),
		TEST(threads_live_in_it),
		TEST(required_means_both),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
