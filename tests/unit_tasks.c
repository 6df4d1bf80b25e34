/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/tasks.h"

#include "core/base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

/* What the tasks of a test have in common. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int inside, most, entered, ended;
	int wanted; /* `meet` returns once so many have entered */
	bool open;  /* lets `pass_gate` through */
	pthread_t thread;
	sigset_t blocked;
};

static int setup(void **state)
{
	struct shared *s = mem_zalloc(sizeof(*s));
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct shared *s = *state;
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
	free(s);
	return 0;
}

static void enter(struct shared *s)
{
	s->entered++;
	if (++s->inside > s->most)
		s->most = s->inside;
	pthread_cond_broadcast(&s->changed);
}

static void leave(struct shared *s)
{
	s->inside--;
	s->ended++;
	pthread_cond_broadcast(&s->changed);
}

static void meet(void *arg)
{
	struct shared *s = arg;
	pthread_mutex_lock(&s->mutex);
	enter(s);
	while (s->entered < s->wanted)
		pthread_cond_wait(&s->changed, &s->mutex);
	leave(s);
	pthread_mutex_unlock(&s->mutex);
}

static void pass_gate(void *arg)
{
	struct shared *s = arg;
	pthread_mutex_lock(&s->mutex);
	enter(s);
	while (!s->open)
		pthread_cond_wait(&s->changed, &s->mutex);
	leave(s);
	pthread_mutex_unlock(&s->mutex);
}

static void note_thread(void *arg)
{
	struct shared *s = arg;
	pthread_mutex_lock(&s->mutex);
	enter(s);
	s->thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
	leave(s);
	pthread_mutex_unlock(&s->mutex);
}

static void tasks_run_at_once(void **state)
{
	struct shared *s = *state;
	struct tasks *p = tasks_new(4);
	struct task t[4];
	s->wanted = 4;
	for (int i = 0; i < 4; i++) {
		t[i] = (struct task){.fn = meet, .arg = s};
		tasks_start(p, &t[i]);
	}
	for (int i = 3; i >= 0; i--)
		tasks_wait(&t[i]);
	assert_int_equal(s->most, 4);
	tasks_free(p);
}

static void no_more_threads_than_said(void **state)
{
	struct shared *s = *state;
	struct tasks *p = tasks_new(2);
	struct task t[20];
	for (int i = 0; i < 20; i++) {
		t[i] = (struct task){.fn = pass_gate, .arg = s};
		tasks_start(p, &t[i]);
	}
	pthread_mutex_lock(&s->mutex);
	while (s->entered < 2)
		pthread_cond_wait(&s->changed, &s->mutex);
	s->open = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	for (int i = 0; i < 20; i++)
		tasks_wait(&t[i]);
	assert_int_equal(s->ended, 20);
	assert_int_equal(s->most, 2);
	tasks_free(p);
}

static void a_task_can_be_started_again(void **state)
{
	struct shared *s = *state;
	struct tasks *p = tasks_new(3);
	struct task t = {.fn = note_thread, .arg = s};
	for (int i = 1; i <= 100; i++) {
		tasks_start(p, &t);
		tasks_wait(&t);
		assert_int_equal(s->ended, i);
	}
	tasks_free(p);
}

static void free_does_what_was_started(void **state)
{
	struct shared *s = *state;
	struct tasks *p = tasks_new(1);
	struct task t[50];
	for (int i = 0; i < 50; i++) {
		t[i] = (struct task){.fn = note_thread, .arg = s};
		tasks_start(p, &t[i]);
	}
	tasks_free(p);
	assert_int_equal(s->ended, 50);
	tasks_free(tasks_new(5));
	tasks_free(NULL);
}

struct starter {
	struct tasks *p;
	struct shared *s;
};

static void *start_many(void *arg)
{
	struct starter *a = arg;
	struct task t[8];
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++) {
			t[i] = (struct task){.fn = note_thread, .arg = a->s};
			tasks_start(a->p, &t[i]);
		}
		for (int i = 0; i < 8; i++)
			tasks_wait(&t[i]);
	}
	return NULL;
}

static void many_threads_share_a_pool(void **state)
{
	struct shared *s = *state;
	struct starter a = {tasks_new(3), s};
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, start_many, &a), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(s->ended, 4 * 50 * 8);
	assert_true(s->most <= 3);
	tasks_free(a.p);
}

static void signals_are_left_to_other_threads(void **state)
{
	struct shared *s = *state;
	struct tasks *p = tasks_new(1);
	struct task t = {.fn = note_thread, .arg = s};
	tasks_start(p, &t);
	tasks_wait(&t);
	assert_false(pthread_equal(s->thread, pthread_self()));
	assert_true(sigismember(&s->blocked, SIGTERM));
	assert_true(sigismember(&s->blocked, SIGUSR2));
	assert_false(sigismember(&s->blocked, SIGSEGV));
	sigset_t mine;
	pthread_sigmask(SIG_SETMASK, NULL, &mine);
	assert_false(sigismember(&mine, SIGTERM));
	tasks_free(p);
}

static void without_threads_it_is_done_here(void **state)
{
	struct shared *s = *state;
	struct tasks *p = tasks_new(0);
	struct task t = {.fn = note_thread, .arg = s};
	tasks_start(p, &t);
	assert_int_equal(s->ended, 1);
	assert_true(pthread_equal(s->thread, pthread_self()));
	tasks_wait(&t);
	tasks_free(p);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tasks_run_at_once),
		TEST(no_more_threads_than_said),
		TEST(a_task_can_be_started_again),
		TEST(free_does_what_was_started),
		TEST(many_threads_share_a_pool),
		TEST(signals_are_left_to_other_threads),
		TEST(without_threads_it_is_done_here),
	};
#undef TEST
	return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
