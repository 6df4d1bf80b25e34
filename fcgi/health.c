/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/health.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/store/blob.h"
#include "core/store/publish.h"
#include "core/store/state.h"
#include "core/store/subscribe.h"
#include "fcgi/authorize.h"
#include "fcgi/health_uri.h"
#include "fcgi/routes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * The services are asked side by side, each in a thread of its own, and the answers are kept for a
 * while: /health neither hangs nor lets a caller load what is behind it. A probe that does not come
 * back is counted DOWN and left alone; the next one of that service starts only when it has ended.
 */

#define PROBE_MS 2000
#define KEEP_MS 5000
#define NOTES_MAX 1024
#define NO_ISSUE "None reported"
#define PROBE_STACK (size_t)(256 * 1024)

enum kind {
	PROBE_STORAGE,
	PROBE_STATE,
	PROBE_TARGET,
	PROBE_PUBLISHER,
	PROBE_SUBSCRIBER,
	PROBE_AUTH,
	PROBE_STATUS_API
};

struct probe {
	struct app *app;
	enum kind kind;
	size_t index;
	char name[128];
	bool running;
	bool up;
	char issue[NOTES_MAX];
};

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t ended; /* a probe, or a round of them */
	struct probe *probes; /* made with the first request */
	size_t n;
	bool round;       /* a request is asking the services */
	int64_t asked_ms; /* when the last round began; 0: never */
} health = {.mutex = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

/* ${notes}: what is to be known of a service that is up, as lines. */
static int ask(const struct probe *p, struct buf *notes, struct err *err)
{
	struct blob_store *target;

	switch (p->kind) {
	case PROBE_STORAGE:
		return blob_probe(p->app->uploads, true, err);
	case PROBE_STATE:
		return state_probe(p->app->state, err) < 0 ||
				       state_warnings(p->app->state, notes, err) < 0
			       ? -1
			       : 0;
	case PROBE_TARGET:
		target = app_target(p->app, p->index, err);
		return target ? blob_probe(target, true, err) : -1;
	case PROBE_PUBLISHER:
		return publish_probe(p->app->notify.sinks[p->index].publisher, err);
	case PROBE_SUBSCRIBER:
		return subscribe_probe(p->app->subscribers.items[p->index], err);
	case PROBE_AUTH:
		return auth_probe(p->app->auth, err);
	case PROBE_STATUS_API:
		return health_uri_ask(p->app->config, err);
	}
	return -1;
}

static void take_notes(struct probe *p, struct buf *notes)
{
	notes->len -= notes->data[notes->len - 1] == '\n';
	notes->data[notes->len] = '\0';
	for (size_t i = 0; i < notes->len; i++) {
		if (notes->data[i] == '\n')
			notes->data[i] = ';';
	}
	str_copy(p->issue, sizeof(p->issue), buf_str(notes));
}

static void *run_probe(void *arg)
{
	struct probe *p = arg;
	struct err err = {0};
	struct buf notes;

	buf_init(&notes, NOTES_MAX);
	int rc = ask(p, &notes, &err);

	if (rc < 0)
		LOG(LOG_LEVEL_WARN, "a service is down", log_str("service", p->name),
			log_err(&err));
	pthread_mutex_lock(&health.mutex);
	p->up = rc == 0;
	/* The page is open to all: what kind of failure, not the paths and addresses in its text.
	 */
	str_copy(p->issue, sizeof(p->issue), rc == 0 ? NO_ISSUE : err_code_name(err.code));
	if (rc == 0 && notes.len > 0)
		take_notes(p, &notes);
	p->running = false;
	pthread_cond_broadcast(&health.ended);
	pthread_mutex_unlock(&health.mutex);
	buf_free(&notes);
	return NULL;
}

static void add_probe(struct app *app, enum kind kind, size_t index, const char *name)
{
	struct probe *p;

	health.probes = mem_array(health.probes, health.n + 1, sizeof(*health.probes));
	p = &health.probes[health.n++];
	*p = (struct probe){.app = app, .kind = kind, .index = index};
	str_copy(p->name, sizeof(p->name), name);
}

static void make_probes(struct app *app)
{
	char name[128];

	(void)snprintf(name, sizeof(name), "storage (%s)", blob_type(app->uploads));
	add_probe(app, PROBE_STORAGE, 0, name);
	(void)snprintf(name, sizeof(name), "state (%s)", state_type(app->state));
	add_probe(app, PROBE_STATE, 0, name);
	for (size_t i = 0; app->routing && i < app->routing->ntargets; i++) {
		(void)snprintf(name, sizeof(name), "target %s", app->routing->targets[i].name);
		add_probe(app, PROBE_TARGET, i, name);
	}
	for (size_t i = 0; i < app->notify.n; i++) {
		if (app->notify.sinks[i].retired)
			continue;
		(void)snprintf(name, sizeof(name), "publisher %s",
			publish_name(app->notify.sinks[i].publisher));
		add_probe(app, PROBE_PUBLISHER, i, name);
	}
	for (size_t i = 0; i < app->subscribers.n; i++) {
		(void)snprintf(name, sizeof(name), "subscriber %s",
			subscribe_name(app->subscribers.items[i]));
		add_probe(app, PROBE_SUBSCRIBER, i, name);
	}
	if (app->auth)
		add_probe(app, PROBE_AUTH, 0, "OAuth issuer");
	if (*app->config->status_api_health_uri)
		add_probe(app, PROBE_STATUS_API, 0, "Processing Status API");
}

static void start_probe(struct probe *p, const pthread_attr_t *attr)
{
	pthread_t thread;

	if (p->running)
		return;
	p->up = false;
	str_copy(p->issue, sizeof(p->issue), "no answer in time");
	p->running = true;
	if (pthread_create(&thread, attr, run_probe, p) != 0) {
		p->running = false;
		str_copy(p->issue, sizeof(p->issue), "could not be asked: out of threads");
	}
}

static bool any_running(void)
{
	for (size_t i = 0; i < health.n; i++) {
		if (health.probes[i].running)
			return true;
	}
	return false;
}

/* Wait for a broadcast until ${deadline_ms} of the monotonic clock; false when the time is over. */
static bool wait_until(int64_t deadline_ms)
{
	struct timespec until = {
		.tv_sec = deadline_ms / 1000,
		.tv_nsec = deadline_ms % 1000 * 1000000,
	};

	return pthread_cond_clockwait(&health.ended, &health.mutex, CLOCK_MONOTONIC, &until) !=
	       ETIMEDOUT;
}

/* Ask every service once. Called with the mutex held. */
static void ask_round(struct app *app)
{
	int64_t deadline = clock_mono_ms() + PROBE_MS;
	pthread_attr_t attr;

	health.round = true;
	if (health.n == 0)
		make_probes(app);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, PROBE_STACK);
	for (size_t i = 0; i < health.n; i++)
		start_probe(&health.probes[i], &attr);
	pthread_attr_destroy(&attr);
	while (any_running() && wait_until(deadline))
		;
	health.asked_ms = clock_mono_ms();
	health.round = false;
	pthread_cond_broadcast(&health.ended);
}

/* ${insider}: may see what is wrong. */
static json_t *describe(bool insider)
{
	json_t *services = json_array();
	bool all_up = true;

	for (size_t i = 0; i < health.n; i++) {
		const struct probe *p = &health.probes[i];
		bool up = p->up && !p->running;
		const char *issue = p->issue;
		if (!insider)
			issue = up ? NO_ISSUE : "shown to callers with a token";
		all_up = all_up && up;
		json_array_append_new(
			services, json_pack("{s:s, s:s, s:s}", "service", p->name, "status",
					  up ? "UP" : "DOWN", "health_issue", issue));
	}
	return json_pack("{s:s, s:o}", "status", all_up ? "UP" : "DEGRADED", "services", services);
}

void health_get(struct http_request *r)
{
	json_t *body;
	bool insider = authorize_insider(r);

	pthread_mutex_lock(&health.mutex);
	while (health.round)
		pthread_cond_wait(&health.ended, &health.mutex);
	if (health.asked_ms == 0 || clock_mono_ms() - health.asked_ms >= KEEP_MS)
		ask_round(r->app);
	body = describe(insider);
	pthread_mutex_unlock(&health.mutex);
	http_json(r, 200, body);
	json_decref(body);
}

bool health_close(void)
{
	pthread_mutex_lock(&health.mutex);
	int64_t deadline = clock_mono_ms() + PROBE_MS;
	while (any_running() && wait_until(deadline))
		;
	bool idle = !any_running();
	if (idle) {
		free(health.probes);
		health.probes = NULL;
		health.n = 0;
		health.asked_ms = 0;
	}
	pthread_mutex_unlock(&health.mutex);
	return idle;
}
