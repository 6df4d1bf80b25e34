/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_impl.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK ((size_t)256 << 10)
/* After so long a silence it is asked whether the connection still is one. */
#define SILENCE_MS 5000
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 5000

struct redis_listener {
	struct redis *r;
	char *channel;
	redis_message_fn *fn;
	void *arg;
	int stop_fd;
	pthread_t thread;
};

/* True: to be stopped. */
static bool stopped(const struct redis_listener *l, int64_t wait_ms)
{
	struct pollfd p = {l->stop_fd, POLLIN, 0};
	return poll(&p, 1, (int)wait_ms) > 0;
}

static int64_t deadline_of(const struct redis_listener *l)
{
	return clock_mono_ms() + l->r->uri.timeout_ms;
}

/* A connection that listens, of ${node}; or NULL. */
static struct redis_conn *subscribe(const struct redis_listener *l, struct redis_node **node)
{
	struct redis_arg args[] = {redis_arg_str("SUBSCRIBE"), redis_arg_str(l->channel)};
	int64_t deadline = deadline_of(l);
	redisReply *reply = NULL;
	struct err err;
	struct redis_node *n = redis_route(l->r, NULL, 0, deadline, &err);
	struct redis_conn *c = n ? redis_node_borrow(n, deadline, &err) : NULL;
	if (!c || redis_conn_send(c, args, 2, deadline, &err) < 0 ||
		redis_conn_read(c, &reply, deadline, &err) < 0)
		goto fail;
	if (reply->type == REDIS_REPLY_ERROR)
		goto fail;
	freeReplyObject(reply);
	*node = n;
	return c;

fail:
	freeReplyObject(reply);
	if (c)
		redis_node_return(n, c, false);
	/* Users hear of it by the commands that fail too; here it is tried again. */
	(void)redis_refresh(l->r, n, deadline_of(l), &err);
	return NULL;
}

static bool is_message(const redisReply *r)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements == 3 &&
	       r->element[0]->type == REDIS_REPLY_STRING &&
	       strcmp(r->element[0]->str, "message") == 0 &&
	       r->element[2]->type == REDIS_REPLY_STRING;
}

/* Until the connection breaks, or we are to stop. */
static void hear(const struct redis_listener *l, struct redis_conn *c)
{
	struct redis_arg ping = redis_arg_str("PING");
	bool asked = false;
	while (!stopped(l, 0)) {
		int64_t wait = asked ? l->r->uri.timeout_ms : SILENCE_MS;
		redisReply *reply;
		if (!redis_conn_wait(c, l->stop_fd, clock_mono_ms() + wait)) {
			if (asked || redis_conn_send(c, &ping, 1, deadline_of(l), NULL) < 0)
				return;
			asked = true;
			continue;
		}
		if (redis_conn_read(c, &reply, deadline_of(l), NULL) < 0)
			return;
		asked = false;
		if (is_message(reply))
			l->fn(l->arg, reply->element[2]->str);
		freeReplyObject(reply);
	}
}

static void *listen_thread(void *arg)
{
	struct redis_listener *l = arg;
	int64_t pause = PAUSE_MIN_MS;
	do {
		struct redis_node *node;
		struct redis_conn *c = subscribe(l, &node);
		if (c) {
			/* What was said before now was not heard. */
			l->fn(l->arg, NULL);
			hear(l, c);
			redis_node_return(node, c, false);
			pause = PAUSE_MIN_MS;
		} else {
			pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
		}
	} while (!stopped(l, pause / 2 + (int64_t)random_below((uint64_t)pause / 2 + 1)));
	return NULL;
}

struct redis_listener *redis_listen(
	struct redis *r, const char *channel, redis_message_fn *fn, void *arg, struct err *err)
{
	struct redis_listener *l = mem_zalloc(sizeof(*l));
	l->r = r;
	l->fn = fn;
	l->arg = arg;
	l->channel = mem_strdup(channel);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0) {
		err_errno(err, __func__, "no eventfd for a thread that listens to Redis");
		goto fail;
	}
	int rc = thread_start(&l->thread, STACK, listen_thread, l);
	if (rc == 0)
		return l;
	errno = rc;
	err_errno(err, __func__, "no thread to listen to Redis");

fail:
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	free(l->channel);
	free(l);
	return NULL;
}

void redis_unlisten(struct redis_listener *l)
{
	if (!l)
		return;
	uint64_t one = 1;
	while (write(l->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(l->thread, NULL);
	close(l->stop_fd);
	free(l->channel);
	free(l);
}
