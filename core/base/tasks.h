/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_TASKS_H
#define DEX_BASE_TASKS_H

#include <stddef.h>

/*
 * Threads that do what would keep a caller waiting: parts of an object on their way, pieces read
 * ahead. Threads are started as they are needed, up to a number, and end after a minute without
 * work. A task must not wait for another task of its pool.
 */

struct tasks;
struct trace_context;
struct task { /* the caller's, must live until task_wait has returned */
	void (*fn)(void *arg);
	void *arg;
	/* the pool's own */
	struct task *next;
	int done;
	struct tasks *pool;
	const struct trace_context *trace; /* of the thread that started it, see trace.h */
};

struct tasks *tasks_new(size_t threads_max);
void tasks_free(struct tasks *p); /* waits for what runs; NULL is fine */
/*
 * Run ${t} as soon as a thread is free. Where no thread can be made and none runs it is done here
 * and now.
 */
void tasks_start(struct tasks *p, struct task *t);
/* Wait until ${t}, which was started, has ended. */
void tasks_wait(struct task *t);

#endif
