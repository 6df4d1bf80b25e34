/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state.h promises to threads and processes that use one store at the same time, and to those
 * that come after one that was killed.
 */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "tests/lib/scratch.h"
#include "tests/lib/state_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 8

/* --- threads --- */

struct team {
	struct state_world *w;
	pthread_barrier_t start;
	pthread_mutex_t lock;
	char id[UUID_SIZE];
	int rounds;
	int wins[256]; /* per offset, delivery or message */
};

static void run_team(struct team *t, void *(*fn)(void *))
{
	pthread_t threads[THREADS];
	pthread_barrier_init(&t->start, NULL, THREADS);
	pthread_mutex_init(&t->lock, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, t), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_mutex_destroy(&t->lock);
	pthread_barrier_destroy(&t->start);
}

static void won(struct team *t, size_t what)
{
	pthread_mutex_lock(&t->lock);
	if (what < sizeof(t->wins) / sizeof(t->wins[0]))
		t->wins[what]++;
	pthread_mutex_unlock(&t->lock);
}

static void *advance_all(void *arg)
{
	struct team *t = arg;
	struct err err = {0};
	for (int i = 0; i < t->rounds; i++) {
		pthread_barrier_wait(&t->start);
		struct upload_change c = state_world_change(t->id, i, i + 1);
		enum state_result r = state_upload_advance(t->w->s, &c, &err);
		if (r == STATE_OK)
			won(t, (size_t)i);
		else if (r != STATE_CONFLICT)
			state_world_die("cannot advance", &err);
		/* What one has written all see. */
		struct upload u;
		pthread_barrier_wait(&t->start);
		if (state_upload_get(t->w->s, t->id, &u, &err) != STATE_OK || u.offset != i + 1)
			state_world_die("not the new offset", &err);
		upload_free(&u);
	}
	return NULL;
}

static void one_of_many_moves_the_offset(void **state)
{
	struct team t = {.w = *state, .rounds = 200};
	struct upload u;
	state_world_upload(t.w, &u, 1000);
	str_copy(t.id, sizeof(t.id), u.id);
	run_team(&t, advance_all);
	for (int i = 0; i < t.rounds; i++)
		assert_int_equal(t.wins[i], 1);
}

static void *lease_all(void *arg)
{
	struct team *t = arg;
	struct err err = {0};
	struct delivery d;
	enum state_result r;
	char owner[32];
	snprintf(owner, sizeof(owner), "%p", (void *)&d);
	pthread_barrier_wait(&t->start);
	while ((r = state_delivery_lease(t->w->s, NULL, owner, NOW + 9, 1000, &d, &err)) ==
		STATE_OK) {
		won(t, (size_t)(d.target[0] - 'a') * 26 + (size_t)(d.target[1] - 'a'));
		struct delivery_end e = {
			.id = d.id, .owner = owner, .status = DELIVERY_DONE, .now = NOW + 9};
		if (state_delivery_end(t->w->s, &e, NULL, &err) != STATE_OK)
			state_world_die("cannot end", &err);
		delivery_free(&d);
	}
	if (r != STATE_NOT_FOUND)
		state_world_die("cannot lease", &err);
	return NULL;
}

static void a_delivery_is_leased_to_one(void **state)
{
	struct team t = {.w = *state};
	enum { DELIVERIES = 120 };
	char ids[2][UUID_SIZE];
	struct upload u;
	state_world_upload(t.w, &u, 0);
	state_world_ok(t.w, (int)state_world_complete_for(t.w, &u, NULL, 0));
	for (int i = 0; i < DELIVERIES; i++) {
		char target[3] = {(char)('a' + i / 26), (char)('a' + i % 26), '\0'};
		state_world_ok(t.w, (int)state_delivery_queue(
					    t.w->s, u.id, target, NOW + i % 7, NULL, &t.w->err));
	}
	run_team(&t, lease_all);
	for (int i = 0; i < DELIVERIES; i++)
		assert_int_equal(t.wins[i], 1);
	assert_int_equal(state_world_counts(t.w).pending_deliveries, 0);
	assert_int_equal(state_upload_scan_delivered(t.w->s, NOW + 9, ids, 2, &t.w->err), 1);
}

struct batch {
	struct team *t;
	int64_t ids[8];
	size_t n;
	int last; /* number in the name of the last one */
};

static int see_in_order(void *arg, const struct outbox_message *m)
{
	struct batch *b = arg;
	uint64_t number;
	if (str_to_u64(m->name, 255, &number) || (int)number <= b->last)
		state_world_die("out of order", NULL);
	b->last = (int)number;
	b->ids[b->n++] = m->id;
	won(b->t, (size_t)number);
	return 0;
}

static void *take_all(void *arg)
{
	struct team *t = arg;
	struct err err = {0};
	bool idle = false;
	pthread_barrier_wait(&t->start);
	while (!idle) {
		struct batch b = {.t = t, .last = -1};
		if (state_outbox_take(t->w->s, "bus", NOW, 1000, 8, see_in_order, &b, &err) ||
			state_outbox_sent(t->w->s, b.ids, b.n, &err))
			state_world_die("cannot take", &err);
		struct state_counts c;
		if (state_counts(t->w->s, NOW, &c, &err))
			state_world_die("cannot count", &err);
		idle = b.n == 0 && c.late_messages == 0;
	}
	return NULL;
}

static void a_message_is_taken_by_one(void **state)
{
	struct team t = {.w = *state};
	enum { MESSAGES = 200 };
	char ids[10][UUID_SIZE];
	for (int i = 0; i < 10; i++)
		random_uuid(ids[i]);
	for (int i = 0; i < MESSAGES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		state_world_add_message(t.w, ids[i % 10], "bus", name, NOW);
	}
	run_team(&t, take_all);
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(t.wins[i], 1);
}

static void *elect(void *arg)
{
	struct team *t = arg;
	struct err err = {0};
	for (int i = 0; i < t->rounds; i++) {
		pthread_barrier_wait(&t->start);
		enum state_result r =
			state_kv_add(t->w->s, "leader", "me", 2, NOW + i, NOW + i + 1, &err);
		if (r == STATE_OK)
			won(t, (size_t)i);
		else if (r != STATE_CONFLICT)
			state_world_die("cannot add", &err);
	}
	return NULL;
}

static void one_of_many_is_elected(void **state)
{
	struct team t = {.w = *state, .rounds = 50};
	run_team(&t, elect);
	for (int i = 0; i < t.rounds; i++)
		assert_int_equal(t.wins[i], 1);
}

/* --- processes --- */

/* What a child tells through its pipe: this upload has that offset for sure. */
struct acknowledged {
	char id[UUID_SIZE];
	int64_t offset;
};

static void tell(int fd, const struct acknowledged *a)
{
	if (write(fd, a, sizeof(*a)) != (ssize_t)sizeof(*a))
		state_world_die("cannot tell", NULL);
}

/* Uploads in ${steps} bytes, ${count} of them or (0) for ever; all is told through ${fd}. */
static void work(struct state_world *w, int fd, int count, int steps)
{
	const char *target = "a";
	struct err err = {0};
	state_world_open(w);
	for (int i = 0; count == 0 || i < count; i++) {
		struct upload u = {.length = steps, .created_at = NOW};
		random_uuid(u.id);
		struct acknowledged a = {.offset = 0};
		str_copy(a.id, sizeof(a.id), u.id);
		if (state_upload_create(w->s, &u, NULL, NULL, &err))
			state_world_die("cannot create", &err);
		tell(fd, &a);
		while (a.offset < steps) {
			struct upload_change c = state_world_change(u.id, a.offset, a.offset + 1);
			c.now = clock_now();
			enum state_result r;
			if (++a.offset < steps)
				r = state_upload_advance(w->s, &c, &err);
			else
				r = state_upload_complete(w->s, &c, &target, 1, NULL, &err);
			if (r != STATE_OK)
				state_world_die("cannot advance", &err);
			tell(fd, &a);
		}
	}
	state_world_close(w);
	_exit(0);
}

static pid_t start_worker(struct state_world *w, int *fd_out, int count, int steps)
{
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		work(w, fds[1], count, steps);
	}
	close(fds[1]);
	*fd_out = fds[0];
	return pid;
}

/* Read up to ${max} acknowledgements (short reads are an end) into ${out}. */
static size_t listen_to(int fd, struct acknowledged *out, size_t max)
{
	size_t size = max * sizeof(*out);
	size_t got = 0;
	while (got < size) {
		ssize_t n = read(fd, (char *)out + got, size - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	return got / sizeof(*out);
}

static void assert_kept(struct state_world *w, const struct acknowledged *a)
{
	struct upload u;
	state_world_ok(w, (int)state_upload_get(w->s, a->id, &u, &w->err));
	assert_true(u.offset >= a->offset);
	if (u.offset == u.length) {
		assert_int_equal(u.status, UPLOAD_COMPLETE);
		assert_int_equal(state_world_deliveries(w, a->id).n, 1);
	} else {
		assert_int_equal(u.status, UPLOAD_OPEN);
		assert_int_equal(state_world_deliveries(w, a->id).n, 0);
	}
	upload_free(&u);
}

static void a_killed_process_loses_nothing_acknowledged(void **state)
{
	struct state_world *w = *state;
	enum { MOST = 4096 };
	struct acknowledged *all = calloc(MOST, sizeof(*all));
	assert_non_null(all);
	state_world_close(w);
	for (size_t round = 0; round < 4; round++) {
		int fd;
		int status;
		pid_t pid = start_worker(w, &fd, 0, 3);
		size_t n = listen_to(fd, all, 40 + 33 * round);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		n += listen_to(fd, all + n, MOST - n); /* what it had said before it died */
		close(fd);
		assert_true(n >= 40);

		state_world_open(w);
		for (size_t i = 0; i < n; i++)
			assert_kept(w, &all[i]);
		struct upload u;
		state_world_complete(w, &u, "a"); /* and it can be written to */
		state_world_close(w);
	}
	free(all);
	state_world_open(w);
}

static void processes_that_write_at_once_lose_nothing(void **state)
{
	struct state_world *w = *state;
	enum { PROCESSES = 3, UPLOADS = 60, STEPS = 3, MOST = UPLOADS * (STEPS + 1) };
	struct acknowledged *all = calloc(MOST, sizeof(*all));
	pid_t pids[PROCESSES];
	int fds[PROCESSES];
	assert_non_null(all);
	state_world_close(w);
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start_worker(w, &fds[i], UPLOADS, STEPS);
	state_world_open(w);
	for (int i = 0; i < PROCESSES; i++) {
		int status;
		size_t n = listen_to(fds[i], all, MOST);
		close(fds[i]);
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
		assert_int_equal(n, MOST);
		for (size_t k = 0; k < n; k++)
			assert_kept(w, &all[k]);
	}
	free(all);
	struct state_counts c = state_world_counts(w);
	assert_int_equal(c.open_uploads, 0);
	assert_int_equal(c.pending_deliveries, PROCESSES * UPLOADS);
}

static void many_processes_may_make_the_store(void **state)
{
	struct state_world *w = *state;
	enum { PROCESSES = 6 };
	pid_t pids[PROCESSES];
	struct acknowledged ack;
	int fds[PROCESSES];
	state_world_close(w);
	scratch_remove(w->dir);
	w->dir = scratch_make();
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start_worker(w, &fds[i], 1, 0);
	for (int i = 0; i < PROCESSES; i++) {
		int status;
		assert_int_equal(listen_to(fds[i], &ack, 1), 1);
		close(fds[i]);
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	state_world_open(w);
	assert_int_equal(state_world_counts(w).open_uploads, PROCESSES);
}

static void wait_sees_what_another_process_queues(void **state)
{
	struct state_world *w = *state;
	enum { LATE_MS = 20000 };
	struct acknowledged acks[2];
	int fd;
	int status;
	state_world_close(w);
	pid_t pid = start_worker(w, &fd, 1, 1);
	state_world_open(w);
	int64_t start = clock_mono_ms();
	state_world_ok(w, state_wait(w->s, LATE_MS, -1, &w->err));
	assert_true(clock_mono_ms() - start < LATE_MS / 2);
	assert_int_equal(listen_to(fd, acks, 2), 2);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(fn)                          \
	{                                 \
#fn, fn, NULL, NULL, NULL \
	}
static const struct CMUnitTest tests[] = {
	TEST(one_of_many_moves_the_offset),
	TEST(a_delivery_is_leased_to_one),
	TEST(a_message_is_taken_by_one),
	TEST(one_of_many_is_elected),
	TEST(a_killed_process_loses_nothing_acknowledged),
	TEST(processes_that_write_at_once_lose_nothing),
	TEST(many_processes_may_make_the_store),
	TEST(wait_sees_what_another_process_queues),
};
#undef TEST

int main(void)
{
	return state_world_run("shared state", tests, sizeof(tests) / sizeof(tests[0]));
}
