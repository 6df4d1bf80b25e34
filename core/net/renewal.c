/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/renewal.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <pthread.h>
#include <stdlib.h>

#define EARLY_MS (INT64_C(5) * 60 * 1000)
#define PAUSE_MS (INT64_C(5) * 1000)

struct renewal {
	const struct renewal_ops *ops;
	void *arg;
	struct renewal_times times;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t fetched;
	bool fetching;
	unsigned resets; /* a fetch that began before the last reset is thrown away */
	void *value;     /* NULL: none */
	int64_t expires_at;
	bool refused;
	bool tried;         /* next_fetch means something */
	int64_t next_fetch; /* monotonic ms */
	struct err failure; /* of the last fetch; ERR_NONE after one that went well */
};

struct renewal *renewal_new(
	const struct renewal_ops *ops, void *arg, const struct renewal_times *times)
{
	struct renewal *r = mem_zalloc(sizeof *r);
	r->ops = ops;
	r->arg = arg;
	r->times = times ? *times : (struct renewal_times){EARLY_MS, PAUSE_MS};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->fetched, NULL);
	return r;
}

static void drop_value(struct renewal *r)
{
	if (r->value)
		r->ops->drop(r->value);
	r->value = NULL;
}

void renewal_free(struct renewal *r)
{
	if (!r)
		return;
	drop_value(r);
	pthread_cond_destroy(&r->fetched);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool is_valid(const struct renewal *r, int64_t now)
{
	return r->value && (r->expires_at == 0 || now < r->expires_at);
}

static bool is_due(const struct renewal *r, int64_t now)
{
	if (r->refused)
		return true;
	return r->expires_at != 0 && now >= r->expires_at - r->times.early_ms * CLOCK_US_PER_MS;
}

static bool may_fetch(const struct renewal *r)
{
	return !r->tried || clock_mono_ms() >= r->next_fetch;
}

/* The lock is held, but not while fetching. */
static void fetch(struct renewal *r)
{
	unsigned resets = r->resets;
	int64_t expires_at = 0;
	struct err failure = {.code = ERR_NONE};
	r->fetching = true;
	pthread_mutex_unlock(&r->lock);
	void *value = r->ops->fetch(r->arg, &expires_at, &failure);
	pthread_mutex_lock(&r->lock);
	r->fetching = false;
	if (!value && failure.code == ERR_NONE)
		err_set(&failure, ERR_UNAVAILABLE, __func__, "nothing could be fetched");
	if (resets == r->resets) {
		if (value) {
			drop_value(r);
			r->value = value;
			r->expires_at = expires_at;
			value = NULL;
		}
		r->failure = failure;
		/* After a failure too: what was refused may still be good for other requests. */
		r->refused = false;
		r->tried = true;
		r->next_fetch = clock_mono_ms() + r->times.pause_ms;
	}
	if (value)
		r->ops->drop(value);
	pthread_cond_broadcast(&r->fetched);
}

int renewal_get(struct renewal *r, void *out, struct err *err)
{
	int rc = 0;
	bool fetched = false;
	pthread_mutex_lock(&r->lock);
	for (;;) {
		int64_t now = clock_now();
		bool valid = is_valid(r, now);
		if (valid && (fetched || r->fetching || !is_due(r, now) || !may_fetch(r)))
			break;
		if (r->fetching) {
			pthread_cond_wait(&r->fetched, &r->lock);
			continue;
		}
		/* A value that has ended, after a fetch that went well, is fetched at once. */
		if (!valid && r->failure.code != ERR_NONE && (fetched || !may_fetch(r))) {
			if (err)
				*err = r->failure;
			rc = -1;
			break;
		}
		if (!valid && fetched && r->failure.code == ERR_NONE && r->value) {
			rc = err_set(err, ERR_UNAVAILABLE, __func__,
				"what was fetched has ended already; is the clock right?");
			break;
		}
		fetch(r);
		fetched = true;
	}
	if (rc == 0)
		r->ops->copy(r->value, out);
	pthread_mutex_unlock(&r->lock);
	return rc;
}

bool renewal_refused(struct renewal *r)
{
	pthread_mutex_lock(&r->lock);
	bool again = r->value && may_fetch(r);
	r->refused = r->refused || again;
	pthread_mutex_unlock(&r->lock);
	return again;
}

void renewal_reset(struct renewal *r)
{
	pthread_mutex_lock(&r->lock);
	drop_value(r);
	r->refused = false;
	r->tried = false;
	r->failure.code = ERR_NONE;
	r->resets++;
	pthread_mutex_unlock(&r->lock);
}
