/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/blob_fault.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/store/blob_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct fault_store {
	struct blob_store base;
	struct blob_backend backend;
	struct blob_store *inner;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t called; /* a read was */
	struct blob_fault_plan plan;
	unsigned calls[BLOB_FAULT_OPS];
	uint64_t bytes;
	unsigned reading, reading_most;
};

struct fault_writer {
	struct blob_writer base;
	struct blob_writer *inner;
};

static struct fault_store *of(const struct blob_store *base)
{
	return (struct fault_store *)base;
}

static int dead(const struct fault_store *s, struct err *err)
{
	if (s->plan.dead_after == 0 || s->bytes < s->plan.dead_after)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, __func__, "injected: the store is dead");
}

static int check_locked(struct fault_store *s, enum blob_fault_op op, struct err *err)
{
	unsigned call = ++s->calls[op];
	if (dead(s, err) < 0)
		return -1;
	if (call != s->plan.nth[op])
		return 0;
	enum err_code code = s->plan.code == ERR_NONE ? ERR_IO : s->plan.code;
	return err_set(err, code, __func__, "injected: call %u fails", call);
}

/* Counts the call; -1 when it is to fail. */
static int check(const struct blob_store *base, enum blob_fault_op op, struct err *err)
{
	struct fault_store *s = of(base);
	pthread_mutex_lock(&s->mutex);
	int rc = check_locked(s, op, err);
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

/* How many of ${len} bytes an append may store; fewer than all: ${err} says why the rest fails. */
static size_t allowed(struct fault_store *s, size_t len, struct err *err)
{
	size_t take = len;
	pthread_mutex_lock(&s->mutex);
	if (check_locked(s, BLOB_FAULT_APPEND, err) < 0) {
		bool alive = s->plan.dead_after == 0 || s->bytes < s->plan.dead_after;
		take = alive && s->plan.short_write < len ? s->plan.short_write : 0;
	} else if (s->plan.space > 0 && len > s->plan.space - s->bytes) {
		err_set(err, ERR_NO_SPACE, __func__, "injected: no space left");
		take = (size_t)(s->plan.space - s->bytes);
	} else if (s->plan.dead_after > 0 && len > s->plan.dead_after - s->bytes) {
		err_set(err, ERR_UNAVAILABLE, __func__, "injected: the store dies");
		take = (size_t)(s->plan.dead_after - s->bytes);
	}
	s->bytes += take;
	pthread_mutex_unlock(&s->mutex);
	return take;
}

static void fault_close(struct blob_store *base)
{
	struct fault_store *s = of(base);
	blob_close(s->inner);
	pthread_cond_destroy(&s->called);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static int fault_location(const struct blob_store *base, const char *key, struct buf *out)
{
	return blob_location(of(base)->inner, key, out);
}

static struct blob_writer *fault_begin(struct blob_store *base, const char *key,
	enum blob_mode mode, uint64_t offset, const char *token, uint64_t size_hint,
	struct err *err)
{
	if (check(base, BLOB_FAULT_BEGIN, err) < 0)
		return NULL;
	struct blob_writer *inner =
		blob_begin(of(base)->inner, key, mode, offset, token, size_hint, err);
	if (!inner)
		return NULL;
	struct fault_writer *w = mem_zalloc(sizeof(*w));
	w->inner = inner;
	return &w->base;
}

static int fault_append(struct blob_writer *base, const void *data, size_t len, struct err *err)
{
	struct fault_writer *w = (struct fault_writer *)base;
	size_t take = allowed(of(base->store), len, err);
	int rc = 0;
	if (take == len)
		rc = blob_append(w->inner, data, len, err);
	else if (take > 0 && blob_append(w->inner, data, take, NULL) < 0)
		abort(); /* the store behind must not have troubles of its own */
	base->offset = blob_offset(w->inner);
	return take == len ? rc : -1;
}

static int fault_sync(struct blob_writer *base, struct err *err)
{
	if (check(base->store, BLOB_FAULT_SYNC, err) < 0)
		return -1;
	return blob_sync(((struct fault_writer *)base)->inner, err);
}

static const char *fault_token(const struct blob_writer *base)
{
	return blob_token(((const struct fault_writer *)base)->inner);
}

static void fault_end(struct blob_writer *base)
{
	struct fault_writer *w = (struct fault_writer *)base;
	blob_end(w->inner);
	free(w);
}

static int fault_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err)
{
	struct fault_writer *w = (struct fault_writer *)base;
	if (check(base->store, BLOB_FAULT_COMMIT, err) < 0) {
		fault_end(base);
		return -1;
	}
	int rc = blob_commit(w->inner, meta, err);
	free(w);
	return rc;
}

static int fault_stat(
	struct blob_store *base, const char *key, struct blob_stat *out, struct err *err)
{
	if (check(base, BLOB_FAULT_STAT, err) < 0)
		return -1;
	return blob_stat(of(base)->inner, key, out, err);
}

/* Called with the mutex held. */
static int wait_for_others(struct fault_store *s, struct err *err)
{
	struct timespec until;
	int64_t until_us = clock_now() + 60 * CLOCK_US_PER_S;
	int rc = 0;
	until.tv_sec = (time_t)(until_us / CLOCK_US_PER_S);
	until.tv_nsec = 0;
	while (s->calls[BLOB_FAULT_READ] < s->plan.together && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&s->called, &s->mutex, &until);
	if (rc != ETIMEDOUT)
		return 0;
	return err_set(err, ERR_IO, __func__, "%u reads together, no more came", s->reading);
}

static ssize_t fault_read(struct blob_store *base, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	struct fault_store *s = of(base);
	pthread_mutex_lock(&s->mutex);
	if (++s->reading > s->reading_most)
		s->reading_most = s->reading;
	ssize_t n = check_locked(s, BLOB_FAULT_READ, err);
	pthread_cond_broadcast(&s->called);
	if (wait_for_others(s, err) < 0)
		n = -1;
	pthread_mutex_unlock(&s->mutex);
	if (n == 0)
		n = blob_read(s->inner, key, offset, data, len, err);
	pthread_mutex_lock(&s->mutex);
	s->reading--;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

static int fault_del(struct blob_store *base, const char *key, const char *token, struct err *err)
{
	if (check(base, BLOB_FAULT_DEL, err) < 0)
		return -1;
	return blob_del(of(base)->inner, key, token, err);
}

static int fault_list(
	struct blob_store *base, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	if (check(base, BLOB_FAULT_LIST, err) < 0)
		return -1;
	return blob_list(of(base)->inner, prefix, fn, arg, err);
}

static int fault_sweep(struct blob_store *base, int64_t age_ms, blob_in_use_fn *in_use, void *arg,
	uint64_t *removed_out, struct err *err)
{
	if (check(base, BLOB_FAULT_SWEEP, err) < 0)
		return -1;
	return blob_sweep(of(base)->inner, age_ms, in_use, arg, removed_out, err);
}

static int fault_probe(struct blob_store *base, bool writable, struct err *err)
{
	if (check(base, BLOB_FAULT_PROBE, err) < 0)
		return -1;
	return blob_probe(of(base)->inner, writable, err);
}

struct blob_store *blob_fault_open(struct blob_store *inner)
{
	static const struct blob_backend slots = {
		.close = fault_close,
		.location = fault_location,
		.begin = fault_begin,
		.append = fault_append,
		.sync = fault_sync,
		.token = fault_token,
		.commit = fault_commit,
		.end = fault_end,
		.stat = fault_stat,
		.read = fault_read,
		.del = fault_del,
		.list = fault_list,
		.sweep = fault_sweep,
		.probe = fault_probe,
	};
	struct fault_store *s = mem_zalloc(sizeof(*s));
	s->inner = inner;
	s->base.name = mem_strdup(blob_name(inner));
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->called, NULL);
	/* It can what the store behind it can, but for copies past it. */
	s->backend = slots;
	s->backend.type = inner->backend->type;
	s->backend.caps = inner->backend->caps & ~(unsigned)BLOB_CAP_FAST_COPY;
	s->base.backend = &s->backend;
	return &s->base;
}

void blob_fault_set(struct blob_store *base, const struct blob_fault_plan *plan)
{
	struct fault_store *s = of(base);
	pthread_mutex_lock(&s->mutex);
	s->plan = plan ? *plan : (struct blob_fault_plan){0};
	for (int i = 0; i < BLOB_FAULT_OPS; i++)
		s->calls[i] = 0;
	s->bytes = 0;
	s->reading_most = 0;
	pthread_mutex_unlock(&s->mutex);
}

unsigned blob_fault_calls(struct blob_store *base, enum blob_fault_op op)
{
	struct fault_store *s = of(base);
	pthread_mutex_lock(&s->mutex);
	unsigned n = s->calls[op];
	pthread_mutex_unlock(&s->mutex);
	return n;
}

unsigned blob_fault_reads_at_once(struct blob_store *base)
{
	struct fault_store *s = of(base);
	pthread_mutex_lock(&s->mutex);
	unsigned n = s->reading_most;
	pthread_mutex_unlock(&s->mutex);
	return n;
}
