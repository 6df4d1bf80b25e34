/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lock.h promises, held against every lock service: a further one is a further row of `rows`.
 * Tests that fork do so before they open a service, for services have threads.
 */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/store/lock.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
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

#define LONG_MS 10000 /* nothing that works takes so long */

struct row {
	const char *name;
	struct lock_service *(*open)(const char *dir, struct err *err);
	bool files; /* keeps files in ${dir} */
};

static struct lock_service *open_file(const char *dir, struct err *err)
{
	char *where = scratch_path(dir, "run/locks");
	struct lock_service *svc = lock_open(registry_find_lock("file"), where, err);
	free(where);
	return svc;
}

static struct redis_server server;

/* Keys of a test begin with the name of its directory, of which there is one at a time. */
static struct lock_service *open_redis(const char *dir, struct err *err)
{
	char where[512];
	const char *uri = getenv("DEX_TEST_REDIS");
	const char *name = strrchr(dir, '/') + 1;
	if (uri)
		(void)snprintf(where, sizeof(where), "%s%cprefix=%s", uri,
			strchr(uri, '?') ? '&' : '?', name);
	else
		(void)snprintf(
			where, sizeof(where), "redis://127.0.0.1:%u?prefix=%s", server.port, name);
	return lock_open(registry_find_lock("redis"), where, err);
}

static const struct row rows[] = {
	{"file", open_file, true},
	{"redis", open_redis, false},
};

struct world {
	const struct row *row;
	char *dir;
	struct lock_service *svc;
	struct err err;
	char id[UUID_SIZE];
};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->row = *state;
	w->dir = scratch_make();
	random_uuid(w->id);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	lock_close(w->svc);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

static void open_service(struct world *w)
{
	w->svc = w->row->open(w->dir, &w->err);
	if (!w->svc)
		fail_msg("%s", w->err.text);
}

static struct lock *take(struct world *w, const char *id, int64_t wait_ms)
{
	struct lock *l;
	if (lock_acquire(w->svc, id, wait_ms, NULL, &l, &w->err) != LOCK_OK)
		fail_msg("%s", w->err.text);
	assert_non_null(l);
	return l;
}

static void assert_busy(struct world *w, const char *id, int64_t wait_ms)
{
	struct lock *l;
	assert_int_equal(lock_acquire(w->svc, id, wait_ms, NULL, &l, &w->err), LOCK_BUSY);
	assert_int_equal(w->err.code, ERR_LOCKED);
	assert_null(l);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	return poll(&p, 1, timeout_ms) == 1;
}

/* A process that holds the lock until it is told or asked to let go. */
struct holder {
	pid_t pid;
	int to;
	int from;
};

static void hold(struct world *w, int in, int out)
{
	struct lock *l;
	w->svc = w->row->open(w->dir, &w->err);
	if (!w->svc || lock_acquire(w->svc, w->id, 0, NULL, &l, &w->err) != LOCK_OK ||
		write(out, "h", 1) != 1)
		_exit(2);
	struct pollfd fds[] = {{in, POLLIN, 0}, {lock_fd(l), POLLIN, 0}};
	while (poll(fds, 2, -1) < 0)
		;
	if (fds[1].revents && lock_renew(l) != LOCK_WANTED)
		_exit(3);
	const char *said = fds[1].revents ? "w" : "r";
	lock_release(l);
	lock_close(w->svc);
	_exit(write(out, said, 1) == 1 ? 0 : 4);
}

static struct holder start_holder(struct world *w)
{
	int to[2], from[2];
	char c = '?';
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	assert_int_equal(pipe2(from, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(to[1]);
		close(from[0]);
		hold(w, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	assert_int_equal(read(from[0], &c, 1), 1);
	assert_int_equal(c, 'h');
	return (struct holder){pid, to[1], from[0]};
}

static char end_holder(struct holder *h)
{
	char c = '?';
	close(h->to);
	if (read(h->from, &c, 1) != 1)
		c = '-';
	close(h->from);
	assert_int_equal(waitpid(h->pid, NULL, 0), h->pid);
	return c;
}

/* A thread that waits for the lock and then releases it at once. */
struct waiter {
	struct world *w;
	pthread_t thread;
	int64_t wait_ms;
	enum lock_result result;
	enum lock_state state_later; /* 100 ms after it got the lock */
};

static void *wait_for(void *arg)
{
	struct waiter *waiter = arg;
	struct lock *l;
	struct err err;
	waiter->result =
		lock_acquire(waiter->w->svc, waiter->w->id, waiter->wait_ms, NULL, &l, &err);
	if (waiter->result == LOCK_OK) {
		bool woken = readable(lock_fd(l), 100);
		waiter->state_later = woken ? LOCK_WANTED : lock_renew(l);
		lock_release(l);
	}
	return NULL;
}

static void start_waiter(struct waiter *waiter, struct world *w, int64_t wait_ms)
{
	*waiter = (struct waiter){.w = w, .wait_ms = wait_ms, .result = LOCK_ERROR};
	assert_int_equal(pthread_create(&waiter->thread, NULL, wait_for, waiter), 0);
}

static void one_holder_per_id(void **state)
{
	struct world *w = *state;
	char other[UUID_SIZE];
	random_uuid(other);
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	struct lock *b = take(w, other, 0);
	assert_int_equal(lock_renew(a), LOCK_KEPT);
	assert_busy(w, w->id, 0);
	uint64_t fence = lock_fence(a);
	lock_release(a);
	a = take(w, w->id, 0);
	assert_true(fence == 0 ? lock_fence(a) == 0 : lock_fence(a) > fence);
	assert_busy(w, other, 0);
	lock_release(a);
	lock_release(b);
	lock_release(NULL);
	lock_close(NULL);
}

static void row_is_read_with_the_lock_or_not_at_all(void **state)
{
	struct world *w = *state;
	struct lock_row row = {0};
	struct lock *a, *b;
	open_service(w);
	assert_int_equal(lock_acquire(w->svc, w->id, 0, &row, &a, &w->err), LOCK_OK);
	/* There is none, if it was looked for. */
	assert_false(row.found);
	row.read = false;
	assert_int_equal(lock_acquire(w->svc, w->id, 0, &row, &b, &w->err), LOCK_BUSY);
	assert_false(row.read);
	lock_release(a);
}

static void only_upload_ids_are_locked(void **state)
{
	static const char *const ids[] = {"", "x", "../../etc/passwd", "lock",
		"00000000-0000-4000-8000-00000000000/", "00000000-0000-4000-8000-0000000000000"};
	struct world *w = *state;
	struct lock *l;
	open_service(w);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(lock_acquire(w->svc, ids[i], 0, NULL, &l, &w->err), LOCK_ERROR);
		assert_int_equal(w->err.code, ERR_INVALID);
		assert_null(l);
	}
}

static void not_waiting_does_not_disturb(void **state)
{
	struct world *w = *state;
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	for (int i = 0; i < 10; i++)
		assert_busy(w, w->id, 0);
	assert_false(readable(lock_fd(a), 100));
	assert_int_equal(lock_renew(a), LOCK_KEPT);
	lock_release(a);
}

static void waiting_ends_in_time(void **state)
{
	struct world *w = *state;
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	int64_t start = clock_mono_ms();
	assert_busy(w, w->id, 200);
	int64_t took = clock_mono_ms() - start;
	assert_true(took >= 199 && took < LONG_MS);
	lock_release(a);
}

static void holder_in_this_process_is_woken(void **state)
{
	struct world *w = *state;
	struct waiter waiter;
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	assert_false(readable(lock_fd(a), 0));
	start_waiter(&waiter, w, LONG_MS);
	assert_true(readable(lock_fd(a), 1000));
	assert_int_equal(lock_renew(a), LOCK_WANTED);
	lock_release(a);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(waiter.result, LOCK_OK);
}

static void holder_in_another_process_is_woken(void **state)
{
	struct world *w = *state;
	struct holder h = start_holder(w);
	open_service(w);
	assert_busy(w, w->id, 0);
	int64_t start = clock_mono_ms();
	struct lock *a = take(w, w->id, LONG_MS);
	assert_true(clock_mono_ms() - start < 1000);
	assert_int_equal(end_holder(&h), 'w');
	lock_release(a);
}

static void release_in_another_process_frees(void **state)
{
	struct world *w = *state;
	struct holder h = start_holder(w);
	open_service(w);
	assert_busy(w, w->id, 0);
	assert_int_equal(end_holder(&h), 'r');
	lock_release(take(w, w->id, 0));
}

static void killed_holder_frees_at_once(void **state)
{
	struct world *w = *state;
	struct holder h = start_holder(w);
	open_service(w);
	assert_busy(w, w->id, 0);
	assert_int_equal(kill(h.pid, SIGKILL), 0);
	assert_int_equal(end_holder(&h), '-');
	lock_release(take(w, w->id, w->row->files ? 0 : LONG_MS));
}

/* The request that made the first holder yield must not make the second one yield too. */
static void winner_is_left_in_peace(void **state)
{
	struct world *w = *state;
	struct waiter waiter;
	open_service(w);
	for (int i = 0; i < 5; i++) {
		struct lock *a = take(w, w->id, 0);
		start_waiter(&waiter, w, LONG_MS);
		assert_true(readable(lock_fd(a), LONG_MS));
		lock_release(a);
		pthread_join(waiter.thread, NULL);
		assert_int_equal(waiter.result, LOCK_OK);
		assert_int_equal(waiter.state_later, LOCK_KEPT);
	}
}

static void waiter_that_gave_up_is_forgotten(void **state)
{
	struct world *w = *state;
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	assert_busy(w, w->id, 20);
	assert_true(readable(lock_fd(a), 1000));
	lock_release(a);
	a = take(w, w->id, 0);
	assert_false(readable(lock_fd(a), 100));
	assert_int_equal(lock_renew(a), LOCK_KEPT);
	lock_release(a);
}

/* Who takes the lock in between is asked as well. */
static void waiter_asks_again(void **state)
{
	struct world *w = *state;
	struct waiter first, second;
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	start_waiter(&first, w, LONG_MS);
	start_waiter(&second, w, LONG_MS);
	assert_true(readable(lock_fd(a), 1000));
	lock_release(a);
	pthread_join(first.thread, NULL);
	pthread_join(second.thread, NULL);
	assert_int_equal(first.result, LOCK_OK);
	assert_int_equal(second.result, LOCK_OK);
	a = take(w, w->id, 0);
	start_waiter(&first, w, LONG_MS);
	assert_true(readable(lock_fd(a), 1000));
	lock_release(a);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.result, LOCK_OK);
}

#define MANY 1000

static void many_locks_at_once(void **state)
{
	struct world *w = *state;
	static char ids[MANY][UUID_SIZE];
	static struct lock *held[MANY];
	struct rlimit old, high;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	high = old;
	high.rlim_cur = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &high), 0);
	if (high.rlim_cur < 2 * MANY + 100)
		skip();
	open_service(w);
	for (int i = 0; i < MANY; i++) {
		random_uuid(ids[i]);
		held[i] = take(w, ids[i], 0);
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(lock_renew(held[i]), LOCK_KEPT);
		assert_busy(w, ids[i], 0);
	}
	for (int i = 0; i < MANY; i++)
		lock_release(held[i]);
	for (int i = 0; i < MANY; i += 100)
		lock_release(take(w, ids[i], 0));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

#define THREADS 8
#define ROUNDS 200
#define IDS 2

struct stress {
	struct lock_service *svc;
	char ids[IDS][UUID_SIZE];
	_Atomic int inside[IDS];
	int counts[IDS]; /* plain: only the lock keeps the threads apart */
	_Atomic int failures;
};

static void *contend(void *arg)
{
	struct stress *s = arg;
	struct err err;
	for (int i = 0; i < ROUNDS; i++) {
		int k = i % IDS;
		struct lock *l;
		if (lock_acquire(s->svc, s->ids[k], 60000, NULL, &l, &err) != LOCK_OK) {
			s->failures++;
			continue;
		}
		if (++s->inside[k] != 1)
			s->failures++;
		s->counts[k]++;
		s->inside[k]--;
		lock_release(l);
	}
	return NULL;
}

static void holders_exclude_each_other(void **state)
{
	struct world *w = *state;
	pthread_t threads[THREADS];
	struct stress *s = mem_zalloc(sizeof(*s));
	open_service(w);
	s->svc = w->svc;
	for (int k = 0; k < IDS; k++)
		random_uuid(s->ids[k]);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, contend, s), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s->failures, 0);
	for (int k = 0; k < IDS; k++)
		assert_int_equal(s->counts[k], THREADS * ROUNDS / IDS);
	free(s);
}

static int files_in(const char *dir)
{
	int n = 0;
	DIR *d = opendir(dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void files_do_not_pile_up(void **state)
{
	struct world *w = *state;
	struct waiter waiter;
	if (!w->row->files)
		skip();
	char *wanted = scratch_path(w->dir, "run/locks/wanted");
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	start_waiter(&waiter, w, LONG_MS);
	assert_true(readable(lock_fd(a), 1000));
	lock_release(a);
	pthread_join(waiter.thread, NULL);
	assert_int_equal(files_in(wanted), 0);
	a = take(w, w->id, 0);
	assert_busy(w, w->id, 20);
	assert_true(readable(lock_fd(a), 1000));
	assert_int_equal(files_in(wanted), 1);
	lock_release(a);
	assert_int_equal(files_in(wanted), 0);
	free(wanted);
}

static void request_left_behind_is_removed(void **state)
{
	struct world *w = *state;
	if (!w->row->files)
		skip();
	open_service(w);
	char *wanted = scratch_path(w->dir, "run/locks/wanted");
	char *path = scratch_path(wanted, w->id);
	assert_int_equal(fsio_replace(path, "", 0, false, &w->err), 0);
	struct lock *a = take(w, w->id, 0);
	assert_int_equal(files_in(wanted), 0);
	assert_false(readable(lock_fd(a), 100));
	assert_int_equal(lock_renew(a), LOCK_KEPT);
	lock_release(a);
	free(path);
	free(wanted);
}

static void old_requests_are_swept(void **state)
{
	struct world *w = *state;
	char other[UUID_SIZE];
	struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	if (!w->row->files)
		skip();
	/* A waiter that dies leaves its request; so does this one, which asks nobody. */
	open_service(w);
	struct lock *a = take(w, w->id, 0);
	assert_busy(w, w->id, 20);
	char *wanted = scratch_path(w->dir, "run/locks/wanted");
	char *path = scratch_path(wanted, w->id);
	char *left = scratch_path(w->dir, "left");
	assert_int_equal(rename(path, left), 0);
	assert_int_equal(utimensat(AT_FDCWD, left, old, 0), 0);
	lock_release(a);
	lock_close(w->svc);
	open_service(w);
	assert_int_equal(rename(left, path), 0);
	random_uuid(other);
	lock_release(take(w, other, 0));
	int64_t until = clock_mono_ms() + LONG_MS;
	while (access(path, F_OK) == 0 && clock_mono_ms() < until)
		clock_sleep_ms(1);
	assert_int_equal(access(path, F_OK), -1);
	free(left);
	free(path);
	free(wanted);
}

static void lack_of_descriptors_is_told_and_passes(void **state)
{
	struct world *w = *state;
	struct rlimit old, low;
	struct lock *l;
	if (!w->row->files)
		skip();
	open_service(w);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	int next = dup(0);
	assert_true(next >= 0);
	close(next);
	low = old;
	low.rlim_cur = (rlim_t)next + 1; /* one more, for the eventfd */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	enum lock_result r = lock_acquire(w->svc, w->id, 0, NULL, &l, &w->err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, LOCK_ERROR);
	assert_non_null(strstr(w->err.text, "fs.inotify.max_user_instances"));
	lock_release(take(w, w->id, 0));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
static const struct CMUnitTest tests[] = {
	TEST(one_holder_per_id),
	TEST(row_is_read_with_the_lock_or_not_at_all),
	TEST(only_upload_ids_are_locked),
	TEST(not_waiting_does_not_disturb),
	TEST(waiting_ends_in_time),
	TEST(holder_in_this_process_is_woken),
	TEST(holder_in_another_process_is_woken),
	TEST(release_in_another_process_frees),
	TEST(killed_holder_frees_at_once),
	TEST(winner_is_left_in_peace),
	TEST(waiter_that_gave_up_is_forgotten),
	TEST(waiter_asks_again),
	TEST(many_locks_at_once),
	TEST(holders_exclude_each_other),
	TEST(files_do_not_pile_up),
	TEST(request_left_behind_is_removed),
	TEST(old_requests_are_swept),
	TEST(lack_of_descriptors_is_told_and_passes),
};
#undef TEST

int main(void)
{
	int failed = 0;
	/* DEX_TEST_REDIS: the URI, without a prefix, of one that runs already. */
	if (!getenv("DEX_TEST_REDIS"))
		redis_server_start(&server, NULL);
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct CMUnitTest of_row[sizeof(tests) / sizeof(tests[0])];
		for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			of_row[i] = tests[i];
			of_row[i].initial_state = (void *)&rows[r];
		}
		char group[64];
		snprintf(group, sizeof(group), "lock: %s", rows[r].name);
		failed += _cmocka_run_group_tests(
			group, of_row, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
	}
	redis_server_remove(&server);
	return failed > 0;
}
