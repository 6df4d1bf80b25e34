/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/subscribe.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/thread.h"
#include "core/store/subscribe_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define IDLE_MS 3600000
#define RETRY_MS 1000 /* after a renewal that failed on the way */

/* The messages in hand, and the thread that renews their locks. */
struct subscribe_keeper {
	struct subscriber *s;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* the list, a renewal has ended, or we are to end */
	struct subscribe_held *held;
	bool started;
	bool end;
	pthread_t thread;
};

static void wait_until(struct subscribe_keeper *k, int64_t at_ms)
{
	const struct timespec until = {
		.tv_sec = at_ms / 1000,
		.tv_nsec = at_ms % 1000 * 1000000,
	};
	(void)pthread_cond_clockwait(&k->changed, &k->mutex, CLOCK_MONOTONIC, &until);
}

/* The one whose renewal comes first, or NULL. */
static struct subscribe_held *next_due(const struct subscribe_keeper *k)
{
	struct subscribe_held *first = NULL;
	for (struct subscribe_held *h = k->held; h; h = h->next) {
		if (h->renew_at > 0 && (!first || h->renew_at < first->renew_at))
			first = h;
	}
	return first;
}

static void plan(struct subscribe_held *h)
{
	h->renew_at = h->locked_until > 0 ? h->locked_until - h->lock_ms / 2 : 0;
}

/* Called with the mutex held, which is let go meanwhile: ${h} stays, see take_back. */
static void renew(struct subscribe_keeper *k, struct subscribe_held *h)
{
	struct err err = {0};
	h->renewing = true;
	pthread_mutex_unlock(&k->mutex);
	int rc = k->s->backend->renew(k->s, h, &err);
	pthread_mutex_lock(&k->mutex);
	h->renewing = false;
	int64_t now = clock_mono_ms();
	if (rc == 0) {
		plan(h);
	} else if (err.code != ERR_GONE && now + RETRY_MS < h->locked_until) {
		h->renew_at = now + RETRY_MS;
	} else {
		h->renew_at = 0;
		LOG(LOG_LEVEL_WARN, "lock of a message was lost, it will come again",
			log_str("subscriber", k->s->name), log_str("message", h->m.id),
			log_err(&err));
	}
	pthread_cond_broadcast(&k->changed);
}

static void *keep(void *arg)
{
	struct subscribe_keeper *k = arg;
	pthread_mutex_lock(&k->mutex);
	while (!k->end) {
		struct subscribe_held *h = next_due(k);
		int64_t now = clock_mono_ms();
		if (h && h->renew_at <= now)
			renew(k, h);
		else
			wait_until(k, h ? h->renew_at : now + IDLE_MS);
	}
	pthread_mutex_unlock(&k->mutex);
	return NULL;
}

struct subscriber *subscribe_open(const struct subscribe_backend *backend, const char *name,
	const struct subscribe_place *place, struct err *err)
{
	struct subscriber *s = backend->open(place, err);
	if (!s) {
		err_prefix(err, "%s", name);
		return NULL;
	}
	s->backend = backend;
	s->name = mem_strdup(name);
	s->batch = s->batch > 0 ? s->batch : 1;
	s->keeper = mem_zalloc(sizeof(*s->keeper));
	s->keeper->s = s;
	pthread_mutex_init(&s->keeper->mutex, NULL);
	pthread_cond_init(&s->keeper->changed, NULL);
	return s;
}

void subscribe_close(struct subscriber *s)
{
	if (!s)
		return;
	struct subscribe_keeper *k = s->keeper;
	char *name = s->name;
	if (k->started) {
		pthread_mutex_lock(&k->mutex);
		k->end = true;
		pthread_cond_broadcast(&k->changed);
		pthread_mutex_unlock(&k->mutex);
		pthread_join(k->thread, NULL);
	}
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->mutex);
	s->backend->close(s);
	free(k);
	free(name);
}

const char *subscribe_name(const struct subscriber *s)
{
	return s->name;
}

size_t subscribe_batch(const struct subscriber *s)
{
	return s->batch;
}

static int fail(const struct subscriber *s, struct err *err)
{
	return err_prefix(err, "%s", s->name);
}

/* With the first receive: who only asks whether the bus is there needs no thread. */
static int start_keeper(struct subscribe_keeper *k, struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&k->mutex);
	if (!k->started) {
		rc = thread_start(&k->thread, 0, keep, k);
		k->started = rc == 0;
	}
	pthread_mutex_unlock(&k->mutex);
	return rc == 0 ? 0
		       : err_set(err, ERR_UNAVAILABLE, __func__,
				 "no thread can be had that renews locks");
}

static void hold(struct subscribe_keeper *k, struct subscribe_held *h)
{
	pthread_mutex_lock(&k->mutex);
	plan(h);
	h->next = k->held;
	k->held = h;
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->mutex);
}

int subscribe_receive(struct subscriber *s, size_t max, int64_t wait_ms, bool (*stop)(void *arg),
	void *arg, struct subscribe_message **out, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (start_keeper(s->keeper, err) < 0)
		return fail(s, err);
	if (max > s->batch)
		max = s->batch;
	struct subscribe_held **held = mem_array(NULL, max + 1, sizeof(struct subscribe_held *));
	int n = s->backend->receive(s, max, wait_ms, stop, arg, held, err);
	for (int i = 0; i < n; i++) {
		hold(s->keeper, held[i]);
		out[i] = &held[i]->m;
		LOG(LOG_LEVEL_DEBUG, "message received", log_str("subscriber", s->name),
			log_str("message", held[i]->m.id), log_int("count", held[i]->m.count));
	}
	free(held);
	return n < 0 ? fail(s, err) : n;
}

/* Out of the keeper's hands: from now on nobody else looks at it. */
static struct subscribe_held *take_back(struct subscribe_keeper *k, struct subscribe_message *m)
{
	struct subscribe_held *h = (struct subscribe_held *)m;
	pthread_mutex_lock(&k->mutex);
	while (h->renewing)
		wait_until(k, clock_mono_ms() + IDLE_MS);
	struct subscribe_held **p = &k->held;
	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	pthread_mutex_unlock(&k->mutex);
	return h;
}

static int end(
	struct subscriber *s, struct subscribe_held *h, const char *how, int rc, struct err *err)
{
	if (rc < 0)
		fail(s, err);
	LOG(LOG_LEVEL_DEBUG, "message ended", log_str("subscriber", s->name),
		log_str("message", h->m.id), log_str("how", how),
		rc < 0 ? log_err(err) : log_str("error", NULL));
	s->backend->drop(h);
	return rc;
}

int subscribe_complete(struct subscriber *s, struct subscribe_message *m, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	struct subscribe_held *h = take_back(s->keeper, m);
	return end(s, h, "complete", s->backend->complete(s, h, err), err);
}

int subscribe_abandon(struct subscriber *s, struct subscribe_message *m, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	struct subscribe_held *h = take_back(s->keeper, m);
	return end(s, h, "abandon", s->backend->abandon(s, h, err), err);
}

int subscribe_dead_letter(
	struct subscriber *s, struct subscribe_message *m, const char *reason, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	struct subscribe_held *h = take_back(s->keeper, m);
	return end(s, h, "dead letter", s->backend->dead_letter(s, h, reason, err), err);
}

void subscribe_forget(struct subscriber *s, struct subscribe_message *m)
{
	s->backend->drop(take_back(s->keeper, m));
}

int subscribe_probe(struct subscriber *s, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	int rc = s->backend->probe(s, err);
	return rc < 0 ? fail(s, err) : rc;
}
