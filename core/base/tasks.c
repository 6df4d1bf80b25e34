/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/tasks.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/thread.h"
#include "core/base/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_MS (INT64_C(60) * 1000)
/* Requests to services run here: TLS and name look-ups need more than the least there is. */
#define STACK_SIZE ((size_t)512 << 10)

struct worker {
	struct worker *next; /* in tasks.ended */
	struct tasks *pool;
	pthread_t thread;
};

struct tasks {
	pthread_mutex_t mutex; /* guards all that follows, and `done` of the tasks */
	pthread_cond_t work;   /* a task was queued, or the pool is closing */
	pthread_cond_t ended;  /* a task or a thread has ended */
	struct task *first, **last;
	size_t queued;
	size_t threads, threads_max;
	size_t idle; /* threads that wait for work */
	bool closing;
	struct worker *gone; /* threads that have ended and were not joined yet */
};

struct tasks *tasks_new(size_t threads_max)
{
	pthread_condattr_t attr;
	struct tasks *p = mem_zalloc(sizeof(*p));

	p->threads_max = threads_max;
	p->last = &p->first;
	pthread_mutex_init(&p->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->work, &attr);
	pthread_cond_init(&p->ended, &attr);
	pthread_condattr_destroy(&attr);
	return p;
}

/* Next task, or NULL when the thread shall end. Called with the mutex held. */
static struct task *next_task(struct tasks *p)
{
	int64_t until_ms = clock_mono_ms() + IDLE_MS;
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	int rc = 0;

	p->idle++;
	while (!p->first && !p->closing && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&p->work, &p->mutex, &until);
	p->idle--;
	struct task *t = p->first;
	if (t) {
		p->first = t->next;
		if (!p->first)
			p->last = &p->first;
		p->queued--;
	}
	return t;
}

static void *work(void *arg)
{
	struct worker *self = arg;
	struct tasks *p = self->pool;
	struct task *t;

	pthread_mutex_lock(&p->mutex);
	while ((t = next_task(p)) != NULL) {
		pthread_mutex_unlock(&p->mutex);
		trace_enter(t->trace);
		t->fn(t->arg);
		trace_enter(NULL);
		pthread_mutex_lock(&p->mutex);
		t->done = 1; /* from here on ${t} is its owner's again */
		pthread_cond_broadcast(&p->ended);
	}
	p->threads--;
	self->next = p->gone;
	p->gone = self;
	pthread_cond_broadcast(&p->ended);
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

/* Called with the mutex held: who is in the list let go of it for the last time. */
static void join_gone(struct tasks *p)
{
	while (p->gone) {
		struct worker *w = p->gone;
		p->gone = w->next;
		pthread_join(w->thread, NULL);
		free(w);
	}
}

/* Start one thread, with the mutex held; false when the system has none to give. */
static bool add_thread(struct tasks *p)
{
	struct worker *w = mem_zalloc(sizeof(*w));

	join_gone(p);
	w->pool = p;
	bool made = thread_start(&w->thread, STACK_SIZE, work, w) == 0;
	if (made)
		p->threads++;
	else
		free(w);
	return made;
}

void tasks_start(struct tasks *p, struct task *t)
{
	t->next = NULL;
	t->done = 0;
	t->pool = p;
	t->trace = trace_current();
	pthread_mutex_lock(&p->mutex);
	/* An idle thread that was woken and did not run yet counts for the task that woke it. */
	bool wanted = p->queued >= p->idle && p->threads < p->threads_max;
	bool here = wanted && !add_thread(p);
	if ((here || p->threads_max == 0) && p->threads == 0) {
		pthread_mutex_unlock(&p->mutex);
		t->fn(t->arg);
		pthread_mutex_lock(&p->mutex);
		t->done = 1;
	} else {
		*p->last = t;
		p->last = &t->next;
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->mutex);
}

void tasks_wait(struct task *t)
{
	struct tasks *p = t->pool;

	pthread_mutex_lock(&p->mutex);
	while (!t->done)
		pthread_cond_wait(&p->ended, &p->mutex);
	pthread_mutex_unlock(&p->mutex);
}

void tasks_free(struct tasks *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->mutex);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	while (p->threads > 0)
		pthread_cond_wait(&p->ended, &p->mutex);
	join_gone(p);
	pthread_mutex_unlock(&p->mutex);
	pthread_cond_destroy(&p->ended);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}
