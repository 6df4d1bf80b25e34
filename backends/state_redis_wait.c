/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A message may get lost: so late is then seen what it told. */
#define LOOK_MS 3000

struct state_redis_waiter {
	struct state_redis_waiter *next;
	int fd;
};

static int min_of(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	int64_t *min = arg;
	int64_t at;
	(void)bucket;
	if (state_redis_call_array(r, 0, err))
		return -1;
	if (r->elements == 0)
		return 0;
	if (state_redis_call_number(r->element[0], INT64_MAX, true, &at, err))
		return -1;
	if (at < *min)
		*min = at;
	return 0;
}

/* Until when nothing is due, as far as is known now: milliseconds, at most ${most}. */
static int until_due(struct state_redis *s, int64_t most, int64_t *out, struct err *err)
{
	struct state_redis_args a = {0};
	int64_t due = INT64_MAX;
	state_redis_call_str(&a, "+inf");
	state_redis_call_str(&a, "");
	if (state_redis_call_all(s, SCRIPT_ALL_DUE, &a, min_of, &due, err))
		return -1;
	int64_t us = due == INT64_MAX ? INT64_MAX : due - clock_now();
	int64_t ms = us <= 0 ? 0 : (us - 1) / CLOCK_US_PER_MS + 1;
	*out = ms < most ? ms : most;
	return 0;
}

static void wake_waiters(void *arg, const char *message)
{
	struct state_redis *s = arg;
	(void)message; /* NULL, when some may be lost, is as good a reason to look */
	pthread_mutex_lock(&s->lock);
	for (struct state_redis_waiter *w = s->waiters; w; w = w->next) {
		const uint64_t one = 1;
		/* It fails only where the counter is high: that one wakes anyway. */
		ssize_t n = write(w->fd, &one, sizeof(one));
		(void)n;
	}
	pthread_mutex_unlock(&s->lock);
}

/* The thread that listens is made for the first who waits: most processes never do. */
static int start(struct state_redis *s, struct state_redis_waiter *w, struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&s->lock);
	if (!s->listener)
		s->listener = redis_listen(s->r, s->channel, wake_waiters, s, err);
	if (s->listener) {
		w->next = s->waiters;
		s->waiters = w;
	} else {
		rc = -1;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static void leave(struct state_redis *s, struct state_redis_waiter *w)
{
	pthread_mutex_lock(&s->lock);
	for (struct state_redis_waiter **p = &s->waiters; *p; p = &(*p)->next) {
		if (*p == w) {
			*p = w->next;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

/* 1: something may be due or we were told to stop; 0: look again; -1. */
static int sleep_once(const struct state_redis_waiter *w, int64_t ms, int stop_fd, struct err *err)
{
	struct pollfd fds[] = {{.fd = w->fd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
	int n = poll(fds, 2, ms > INT_MAX ? INT_MAX : (int)ms);
	if (n < 0 && errno != EINTR)
		return err_errno(err, __func__, "cannot wait for deliveries");
	/* A signal ends it early: the caller may have been told to stop. */
	if (n < 0 || fds[1].revents)
		return 1;
	if (fds[0].revents) {
		uint64_t count;
		ssize_t got = read(w->fd, &count, sizeof(count));
		(void)got; /* nothing to be read means no more than one look too many */
	}
	return 0;
}

int state_redis_wait(struct state *st, int64_t timeout_ms, int stop_fd, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	int64_t start_ms = clock_mono_ms();
	int rc = 0;

	struct state_redis_waiter w = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (w.fd < 0)
		return err_errno(err, __func__, "cannot watch for deliveries");
	/* Listened before the look, so that what is queued in between is seen. */
	if (start(s, &w, err)) {
		close(w.fd);
		return -1;
	}
	while (rc == 0) {
		int64_t left = timeout_ms - (clock_mono_ms() - start_ms);
		int64_t ms;
		if (until_due(s, left, &ms, err)) {
			rc = -1;
			break;
		}
		if (ms <= 0)
			break;
		rc = sleep_once(&w, ms < LOOK_MS ? ms : LOOK_MS, stop_fd, err);
	}
	leave(s, &w);
	close(w.fd);
	return rc < 0 ? -1 : 0;
}

void state_redis_wait_wake(struct state_redis *s)
{
	struct err err = {0};
	/* The change itself is done: others look now and then too. */
	if (redis_publish(s->r, s->channel, "1", &err))
		LOG(LOG_LEVEL_DEBUG, "nobody was woken", log_err(&err));
}

void state_redis_wait_stop(struct state_redis *s)
{
	redis_unlisten(s->listener);
	s->listener = NULL;
}
