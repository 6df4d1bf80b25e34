/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_node.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 5000
/* A connection that was idle for so long is asked whether it still is one. */
#define IDLE_MS 30000

struct idle {
	struct redis_conn *conn;
	int64_t since;
};

struct redis_node {
	struct redis_conn_how how;
	char *host;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t freed;
	struct idle idle[REDIS_NODE_MAX]; /* used from its end, so that few stay in use */
	size_t nidle;
	size_t count; /* borrowed and idle */
	bool trying;  /* a thread connects to a node that was down */
	unsigned failures;
	int64_t failed_at;
	int64_t pause_until;
	struct err last;
};

struct redis_node *redis_node_new(const struct redis_conn_how *how)
{
	struct redis_node *n = mem_zalloc(sizeof(*n));
	n->how = *how;
	n->host = mem_strdup(how->host);
	n->how.host = n->host;
	pthread_mutex_init(&n->mutex, NULL);
	pthread_cond_init(&n->freed, NULL);
	return n;
}

void redis_node_free(struct redis_node *n)
{
	redis_node_forget(n);
	pthread_cond_destroy(&n->freed);
	pthread_mutex_destroy(&n->mutex);
	free(n->host);
	free(n);
}

const struct redis_conn_how *redis_node_how(const struct redis_node *n)
{
	return &n->how;
}

static bool still_answers(struct redis_conn *c, int64_t deadline)
{
	struct redis_arg ping = redis_arg_str("PING");
	redisReply *reply;
	if (redis_conn_send(c, &ping, 1, deadline, NULL) < 0 ||
		redis_conn_read(c, &reply, deadline, NULL) < 0)
		return false;
	freeReplyObject(reply);
	return true;
}

/* A connection that was idle and still is good; NULL: there is none. */
static struct redis_conn *take_idle(struct redis_node *n, int64_t deadline)
{
	while (n->nidle > 0) {
		struct idle i = n->idle[--n->nidle];
		int64_t now = clock_mono_ms();
		bool good = redis_conn_is_quiet(i.conn);
		if (good && now - i.since > IDLE_MS) {
			pthread_mutex_unlock(&n->mutex);
			/* Half of the time must be left for another one. */
			good = still_answers(i.conn, now + (deadline - now) / 2);
			pthread_mutex_lock(&n->mutex);
		}
		if (good)
			return i.conn;
		redis_conn_close(i.conn);
		n->count--;
	}
	return NULL;
}

static void note_failure(struct redis_node *n, int64_t began, const struct err *err)
{
	int64_t now = clock_mono_ms();
	/* Threads that began together have found out one thing, not many. */
	if (began < n->failed_at)
		return;
	int64_t pause = PAUSE_MAX_MS;
	if (n->failures < 7)
		pause = PAUSE_MIN_MS << n->failures;
	if (pause > PAUSE_MAX_MS)
		pause = PAUSE_MAX_MS;
	n->failures++;
	n->failed_at = now;
	n->pause_until = now + pause / 2 + (int64_t)random_below((uint64_t)pause / 2 + 1);
	n->last = *err;
}

/* With the mutex held, which is let go meanwhile. */
static struct redis_conn *make(struct redis_node *n, int64_t deadline, struct err *err)
{
	struct err why = {0};
	int64_t began = clock_mono_ms();
	bool was_down = n->failures > 0;
	n->count++;
	if (was_down)
		n->trying = true;
	pthread_mutex_unlock(&n->mutex);
	struct redis_conn *c = redis_conn_open(&n->how, deadline, &why);
	pthread_mutex_lock(&n->mutex);
	if (was_down)
		n->trying = false;
	if (c) {
		n->failures = 0;
		return c;
	}
	n->count--;
	note_failure(n, began, &why);
	pthread_cond_broadcast(&n->freed);
	if (err)
		*err = why;
	return NULL;
}

struct redis_conn *redis_node_borrow(struct redis_node *n, int64_t deadline, struct err *err)
{
	struct redis_conn *c = NULL;
	struct timespec until = {deadline / 1000, deadline % 1000 * 1000000};
	pthread_mutex_lock(&n->mutex);
	for (;;) {
		c = take_idle(n, deadline);
		if (c)
			break;
		if (n->failures > 0 && (n->trying || clock_mono_ms() < n->pause_until)) {
			if (err)
				*err = n->last;
			break;
		}
		if (n->count < REDIS_NODE_MAX) {
			c = make(n, deadline, err);
			break;
		}
		if (pthread_cond_clockwait(&n->freed, &n->mutex, CLOCK_MONOTONIC, &until) ==
			ETIMEDOUT) {
			err_set(err, ERR_UNAVAILABLE, __func__,
				"Redis at %s:%u: all connections are in use", n->how.host,
				n->how.port);
			break;
		}
	}
	pthread_mutex_unlock(&n->mutex);
	return c;
}

static void close_idle(struct redis_node *n)
{
	while (n->nidle > 0) {
		redis_conn_close(n->idle[--n->nidle].conn);
		n->count--;
	}
}

void redis_node_return(struct redis_node *n, struct redis_conn *c, bool good)
{
	pthread_mutex_lock(&n->mutex);
	if (good) {
		n->idle[n->nidle++] = (struct idle){c, clock_mono_ms()};
	} else {
		redis_conn_close(c);
		n->count--;
		close_idle(n);
	}
	pthread_cond_broadcast(&n->freed);
	pthread_mutex_unlock(&n->mutex);
}

void redis_node_forget(struct redis_node *n)
{
	pthread_mutex_lock(&n->mutex);
	close_idle(n);
	pthread_cond_broadcast(&n->freed);
	pthread_mutex_unlock(&n->mutex);
}

bool redis_node_is_down(struct redis_node *n)
{
	pthread_mutex_lock(&n->mutex);
	bool down = n->failures > 0;
	pthread_mutex_unlock(&n->mutex);
	return down;
}
