/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/listener.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/thread.h"
#include "core/dex/event.h"
#include "core/metrics.h"
#include "core/store/subscribe.h"
#include "tools/stop.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define RECEIVE_MS 20000 /* the longest that SQS waits */
#define PAUSE_FIRST_MS 500
#define PAUSE_MAX_MS 30000
#define WORK_MS 1000
#define OVERDUE_MS 5000
#define OVERDUE_LOOK_MS 1000
#define OUTAGE_PAUSE_MS 5000

struct task {
	struct source *source;
	struct subscribe_message *message;
};

struct source {
	struct listener *listener;
	struct subscriber *subscriber;
	pthread_t thread;
	size_t in_hand; /* received and not ended, or being received */
};

struct listener {
	struct app *app;
	size_t jobs;
	struct source *sources;
	size_t nsources;
	pthread_mutex_t mutex; /* for what follows, and in_hand */
	pthread_cond_t arrived;
	pthread_cond_t ended;
	struct task *queue; /* in their order, room for all that may be in hand */
	size_t queued;
	int64_t next_look; /* for what is overdue */
};

static void wait_ms(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t ms)
{
	int64_t at = clock_mono_ms() + ms;
	const struct timespec until = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
	(void)pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
}

/* How many messages may be received now: 0 when we are to end. They count as in hand. */
static size_t reserve(struct source *s)
{
	struct listener *l = s->listener;
	size_t batch = subscribe_batch(s->subscriber);
	size_t n = 0;
	pthread_mutex_lock(&l->mutex);
	while (!stop_asked(NULL) && s->in_hand >= l->jobs)
		wait_ms(&l->ended, &l->mutex, WORK_MS);
	if (!stop_asked(NULL)) {
		n = l->jobs - s->in_hand;
		n = n < batch ? n : batch;
	}
	s->in_hand += n;
	pthread_mutex_unlock(&l->mutex);
	return n;
}

static void hand_over(
	struct source *s, struct subscribe_message *const *messages, size_t n, size_t reserved)
{
	struct listener *l = s->listener;
	pthread_mutex_lock(&l->mutex);
	s->in_hand -= reserved - n;
	for (size_t i = 0; i < n; i++)
		l->queue[l->queued++] = (struct task){s, messages[i]};
	pthread_cond_broadcast(&l->arrived);
	pthread_mutex_unlock(&l->mutex);
}

static void *receive(void *arg)
{
	struct source *s = arg;
	struct subscribe_message **messages =
		mem_array(NULL, s->listener->jobs, sizeof(struct subscribe_message *));
	int64_t pause = PAUSE_FIRST_MS;
	size_t room;
	while ((room = reserve(s)) > 0) {
		struct err err = {0};
		int n = subscribe_receive(
			s->subscriber, room, RECEIVE_MS, stop_asked, NULL, messages, &err);
		hand_over(s, messages, n > 0 ? (size_t)n : 0, room);
		if (n >= 0) {
			pause = PAUSE_FIRST_MS;
		} else if (!stop_asked(NULL)) {
			LOG(LOG_LEVEL_WARN, "events cannot be received", log_err(&err));
			stop_sleep(pause);
			pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
		}
	}
	free(messages);
	return NULL;
}

struct listener *listener_start(struct app *a, size_t jobs, struct err *err)
{
	struct listener *l = mem_zalloc(sizeof(*l));
	size_t n = a->subscribers.n;
	l->app = a;
	l->jobs = jobs;
	l->sources = mem_zalloc((n + 1) * sizeof(*l->sources));
	l->queue = mem_array(NULL, n * jobs + 1, sizeof(*l->queue));
	pthread_mutex_init(&l->mutex, NULL);
	pthread_cond_init(&l->arrived, NULL);
	pthread_cond_init(&l->ended, NULL);
	for (size_t i = 0; i < n; i++) {
		struct source *s = &l->sources[i];
		s->listener = l;
		s->subscriber = a->subscribers.items[i];
		if (thread_start(&s->thread, 0, receive, s) != 0) {
			stop_ask();
			listener_join(l);
			err_set(err, ERR_UNAVAILABLE, __func__,
				"no thread can be had that receives events");
			return NULL;
		}
		l->nsources++;
	}
	return l;
}

/* The next message into ${out}, or false after a second. */
static bool take(struct listener *l, struct task *out)
{
	pthread_mutex_lock(&l->mutex);
	if (l->queued == 0 && !stop_asked(NULL))
		wait_ms(&l->arrived, &l->mutex, WORK_MS);
	bool some = l->queued > 0;
	if (some) {
		*out = l->queue[0];
		l->queued--;
		for (size_t i = 0; i < l->queued; i++)
			l->queue[i] = l->queue[i + 1];
	}
	pthread_mutex_unlock(&l->mutex);
	return some;
}

static void ended(const struct task *t)
{
	struct listener *l = t->source->listener;
	pthread_mutex_lock(&l->mutex);
	t->source->in_hand--;
	pthread_cond_broadcast(&l->ended);
	pthread_mutex_unlock(&l->mutex);
}

static void settle(const struct task *t, int rc, const struct err *err)
{
	if (rc < 0)
		LOG(LOG_LEVEL_WARN, "end of a message did not reach the bus, it will come again",
			log_err(err));
	ended(t);
}

static void complete(const struct task *t)
{
	struct err err = {0};
	settle(t, subscribe_complete(t->source->subscriber, t->message, &err), &err);
}

static void abandon(const struct task *t)
{
	struct err err = {0};
	settle(t, subscribe_abandon(t->source->subscriber, t->message, &err), &err);
}

static void refuse(const struct task *t, const struct err *why)
{
	struct subscriber *s = t->source->subscriber;
	struct err err = {0};
	LOG(LOG_LEVEL_WARN, "event refused, it goes to the dead letters",
		log_str("subscriber", subscribe_name(s)), log_str("message", t->message->id),
		log_int("count", t->message->count), log_err(why));
	settle(t, subscribe_dead_letter(s, t->message, why->text, &err), &err);
}

static void count_event(void)
{
	metrics_add(METRIC_EVENTS, "type=\"FileReady\",op=\"subscribe\"", 1);
}

/* ${task}: what the event asked for. */
static enum delivery_outcome deliver(struct listener *l, const struct event_ready *e,
	const char *owner, const struct delivery_progress *progress, enum event_task *task,
	struct err *err)
{
	const struct delivery_filter f = {.upload_id = e->upload_id, .target = e->target};
	err_clear(err);
	*task = event_ready_task(l->app, e, err);
	if (*task == EVENT_DELIVER)
		return delivery_run_one(l->app, &f, owner, progress, err);
	return *task == EVENT_ERROR ? DELIVERY_ERROR : DELIVERY_NOTHING_DUE;
}

static enum delivery_outcome heed(struct listener *l, const struct task *t, const char *owner,
	const struct delivery_progress *progress, struct err *err)
{
	struct event_ready e;
	if (event_ready_parse(t->message->data, t->message->len, &e, err) < 0) {
		refuse(t, err);
		return DELIVERY_NOTHING_DUE;
	}
	count_event();
	enum event_task task;
	enum delivery_outcome o = deliver(l, &e, owner, progress, &task, err);
	/* Given back, the message would come again at once, and use up its tries. */
	while (o == DELIVERY_ERROR && !stop_asked(NULL)) {
		LOG(LOG_LEVEL_ERROR, "state is out of reach", log_err(err));
		stop_sleep(OUTAGE_PAUSE_MS);
		o = deliver(l, &e, owner, progress, &task, err);
	}
	if (o == DELIVERY_ERROR || o == DELIVERY_STOPPED)
		abandon(t);
	else if (task == EVENT_REFUSED)
		refuse(t, err);
	else
		complete(t);
	return o;
}

static bool time_to_look(struct listener *l)
{
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&l->mutex);
	bool yes = now >= l->next_look;
	if (yes)
		l->next_look = now + OVERDUE_LOOK_MS;
	pthread_mutex_unlock(&l->mutex);
	return yes;
}

static enum delivery_outcome deliver_overdue(struct listener *l, const char *owner,
	const struct delivery_progress *progress, struct err *err)
{
	enum delivery_outcome o = delivery_run_overdue(l->app, OVERDUE_MS, owner, progress, err);
	if (o != DELIVERY_NOTHING_DUE && o != DELIVERY_ERROR) {
		/* There may be more. */
		pthread_mutex_lock(&l->mutex);
		l->next_look = 0;
		pthread_mutex_unlock(&l->mutex);
	}
	return o;
}

enum delivery_outcome listener_run_one(struct listener *l, const char *owner,
	const struct delivery_progress *progress, struct err *err)
{
	struct task t;
	if (take(l, &t))
		return heed(l, &t, owner, progress, err);
	if (stop_asked(NULL) || !time_to_look(l))
		return DELIVERY_NOTHING_DUE;
	return deliver_overdue(l, owner, progress, err);
}

void listener_join(struct listener *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->nsources; i++)
		pthread_join(l->sources[i].thread, NULL);
	bool heard = true;
	for (size_t i = 0; i < l->queued; i++) {
		const struct task *t = &l->queue[i];
		/* A bus that is out of reach must not hold up the end: locks run out. */
		if (heard)
			heard = subscribe_abandon(t->source->subscriber, t->message, NULL) == 0;
		else
			subscribe_forget(t->source->subscriber, t->message);
	}
	pthread_cond_destroy(&l->ended);
	pthread_cond_destroy(&l->arrived);
	pthread_mutex_destroy(&l->mutex);
	free(l->queue);
	free(l->sources);
	free(l);
}
