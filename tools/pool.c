/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/pool.h"

#include "core/app.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/dex/delivery.h"
#include "core/store/state.h"
#include "tools/listener.h"
#include "tools/progress.h"
#include "tools/stop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_MS 60000
#define FILTERED_WAIT_MS 500
#define OUTAGE_PAUSE_MS 5000

struct worker {
	struct pool *pool;
	size_t number;
	pthread_t thread;
};

struct pool {
	const struct pool_options *o;
	struct worker *workers;
	size_t nworkers;
	pthread_mutex_t mutex; /* for what follows */
	size_t begun;
	struct pool_result result;
};

/* May another delivery be begun? */
static bool begin(struct pool *p)
{
	pthread_mutex_lock(&p->mutex);
	bool may = !p->result.broken && (p->o->limit == 0 || p->begun < p->o->limit);
	p->begun += may;
	pthread_mutex_unlock(&p->mutex);
	return may && !stop_asked(NULL);
}

static void count(struct pool *p, enum delivery_outcome o, const struct err *err)
{
	pthread_mutex_lock(&p->mutex);
	p->result.delivered += o == DELIVERY_OK;
	p->result.failed += o == DELIVERY_RETRIED || o == DELIVERY_GIVEN_UP;
	if (o == DELIVERY_ERROR && !p->o->watch && !p->result.broken) {
		p->result.broken = true;
		p->result.err = *err;
	}
	pthread_mutex_unlock(&p->mutex);
}

static void outage(const struct err *err)
{
	LOG(LOG_LEVEL_ERROR, "state is out of reach", log_err(err));
	stop_sleep(OUTAGE_PAUSE_MS);
}

static void wait_for_work(const struct pool_options *o)
{
	struct err err = {0};
	/* What others are to deliver would wake us again and again. */
	if (o->filter)
		stop_sleep(FILTERED_WAIT_MS);
	else if (state_wait(o->app->state, WAIT_MS, stop_fd(), &err) < 0)
		outage(&err);
}

/* Unique among all workers of all hosts, and a person can tell whose it is. */
static void name_worker(char *out, size_t size, size_t number)
{
	char host[64] = "host";
	char id[UUID_SIZE];
	(void)gethostname(host, sizeof(host) - 1);
	random_uuid(id);
	snprintf(out, size, "%s/%ld/%zu/%.8s", host, (long)getpid(), number, id);
}

static enum delivery_outcome run_one(const struct worker *w, const char *owner,
	const struct delivery_progress *progress, struct err *err)
{
	const struct pool_options *o = w->pool->o;
	if (o->listener)
		return listener_run_one(o->listener, owner, progress, err);
	return delivery_run_one(o->app, o->filter, owner, progress, err);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	struct delivery_progress progress = progress_of(p->o->progress, w->number, stop_asked);
	char owner[160];
	name_worker(owner, sizeof(owner), w->number);
	while (begin(p)) {
		struct err err = {0};
		enum delivery_outcome o = run_one(w, owner, &progress, &err);
		count(p, o, &err);
		if (o == DELIVERY_NOTHING_DUE && !p->o->watch)
			break;
		/* A listener has waited already. */
		if (o == DELIVERY_NOTHING_DUE && !p->o->listener)
			wait_for_work(p->o);
		else if (o == DELIVERY_ERROR && p->o->watch)
			outage(&err);
	}
	return NULL;
}

struct pool *pool_start(const struct pool_options *o, struct err *err)
{
	struct pool *p = mem_zalloc(sizeof(*p));
	p->o = o;
	p->workers = mem_zalloc(o->jobs * sizeof(*p->workers));
	pthread_mutex_init(&p->mutex, NULL);
	for (size_t i = 0; i < o->jobs; i++) {
		struct worker *w = &p->workers[i];
		w->pool = p;
		w->number = i;
		errno = pthread_create(&w->thread, NULL, work, w);
		if (errno != 0)
			break;
		p->nworkers++;
	}
	if (p->nworkers > 0)
		return p;
	err_errno(err, __func__, "start a thread");
	pthread_mutex_destroy(&p->mutex);
	free(p->workers);
	free(p);
	return NULL;
}

void pool_join(struct pool *p, struct pool_result *out)
{
	for (size_t i = 0; i < p->nworkers; i++)
		pthread_join(p->workers[i].thread, NULL);
	*out = p->result;
	pthread_mutex_destroy(&p->mutex);
	free(p->workers);
	free(p);
}
