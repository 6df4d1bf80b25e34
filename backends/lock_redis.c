/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks for processes on many hosts, in Redis. The keys of upload ab12… share one hash slot:
 *
 *   dex:{ab}:lock:ID   random token of the holder; expires with the lease
 *   dex:{ab}:fence:ID  counter of the holders, the fencing token; lives on for FENCE_MS
 *   dex:{ab}:want:ID   token of the holder that is asked to let go
 *
 * One thread renews the leases of all locks that this process holds. A request is also published;
 * since messages may get lost, the same thread looks for requests. Another thread declares a lock
 * lost while its lease still runs, should no renewal come through: it waits for nothing but the
 * time.
 */
#include "backends/redis.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/base/thread.h"
#include "core/store/lock_impl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_MS 8000
/* So long before its lease ends a lock counts as lost: clocks differ, and writes take time. */
#define MARGIN_MS 1000
#define FENCE_MS (INT64_C(30) * 24 * 3600 * 1000)
#define WANT_MS 2000
#define POLL_MS 1000
#define BUCKETS 256
#define ROUND_MAX 256 /* locks in one call */
#define STACK ((size_t)256 << 10)
#define TOKEN_BYTES 16
#define TOKEN_SIZE (2 * TOKEN_BYTES + 1)
#define KEY_SIZE 160

struct redis_lock {
	struct lock base;
	struct redis_lock *next;
	int64_t renewed_at; /* monotonic, from before the renewal was sent */
	char id[UUID_SIZE];
	char token[TOKEN_SIZE];
};

struct redis_service {
	struct lock_service base;
	struct redis *r;
	char *channel;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t renewer_wakes;
	pthread_cond_t guard_wakes;
	struct redis_lock *held[BUCKETS];
	size_t nheld;
	bool started;
	bool stop;
	bool look;          /* requests may have been missed */
	int64_t guard_next; /* when the guard wakes by itself */
	pthread_t renewer;
	pthread_t guard;
	struct redis_listener *listener;
};

/* A counter that is new begins with the time, above all that a lost one can have reached. */
static const struct redis_script acquire_script = {"lock",
	"local held = redis.call('GET', KEYS[1])\n"
	"if held and held ~= ARGV[1] then return 0 end\n"
	"redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
	"if held then return tonumber(redis.call('GET', KEYS[2])) end\n"
	"redis.call('DEL', KEYS[3])\n"
	"local fence = redis.call('INCR', KEYS[2])\n"
	"if fence == 1 then\n"
	"  local now = redis.call('TIME')\n"
	"  fence = now[1] * 1000 + math.floor(now[2] / 1000)\n"
	"  redis.call('SET', KEYS[2], string.format('%.0f', fence))\n"
	"end\n"
	"redis.call('PEXPIRE', KEYS[2], ARGV[3])\n"
	"return fence\n"};

static const struct redis_script release_script = {"unlock",
	"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
	"redis.call('DEL', KEYS[1], KEYS[2])\n"
	"return 1\n"};

static const struct redis_script request_script = {"lock request",
	"local held = redis.call('GET', KEYS[1])\n"
	"if not held then return 0 end\n"
	"redis.call('SET', KEYS[2], held, 'PX', ARGV[1])\n"
	"redis.pcall('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. held)\n"
	"return 1\n"};

/* For each lock: 0 not ours any more, 1 ours, 2 ours and wanted. ARGV[1] 0: only look. */
static const struct redis_script renew_script = {"lock renewal",
	"local out = {}\n"
	"for i = 1, #KEYS / 2 do\n"
	"  local token, state = ARGV[i + 1], 0\n"
	"  if redis.call('GET', KEYS[2 * i - 1]) == token then\n"
	"    state = 1\n"
	"    if ARGV[1] ~= '0' then\n"
	"      redis.call('PEXPIRE', KEYS[2 * i - 1], ARGV[1])\n"
	"    end\n"
	"    if redis.call('GET', KEYS[2 * i]) == token then state = 2 end\n"
	"  end\n"
	"  out[i] = state\n"
	"end\n"
	"return out\n"};

/* --- keys and the table of what is held --- */

static struct redis_arg key_of(
	const struct redis_service *svc, char buffer[KEY_SIZE], const char *kind, const char *id)
{
	int n = snprintf(buffer, KEY_SIZE, "%s:{%.2s}:%s:%s", redis_prefix(svc->r), id, kind, id);
	return (struct redis_arg){buffer, (size_t)n};
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* Locks of one bucket are of one hash slot. */
static unsigned bucket_of(const char *id)
{
	return hex_digit(id[0]) * 16 + hex_digit(id[1]);
}

/* With the mutex held: the lock that has this token, or NULL. */
static struct redis_lock *find(struct redis_service *svc, const char *id, const char *token)
{
	struct redis_lock *l = svc->held[bucket_of(id)];
	while (l && (strcmp(l->id, id) != 0 || strcmp(l->token, token) != 0))
		l = l->next;
	return l;
}

/* With the mutex held. What is lost stays so. */
static void mark(struct redis_lock *l, enum lock_state state)
{
	if (l->base.state < (int)state)
		lock_base_set(&l->base, state);
}

static void insert(struct redis_service *svc, struct redis_lock *l)
{
	pthread_mutex_lock(&svc->mutex);
	struct redis_lock **bucket = &svc->held[bucket_of(l->id)];
	l->next = *bucket;
	*bucket = l;
	if (svc->nheld++ == 0)
		pthread_cond_signal(&svc->renewer_wakes);
	/* Its first reply may have been long in coming. */
	if (svc->nheld == 1 || l->renewed_at + LEASE_MS - MARGIN_MS < svc->guard_next)
		pthread_cond_signal(&svc->guard_wakes);
	pthread_mutex_unlock(&svc->mutex);
}

static void take_out(struct redis_service *svc, struct redis_lock *l)
{
	pthread_mutex_lock(&svc->mutex);
	struct redis_lock **at = &svc->held[bucket_of(l->id)];
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	svc->nheld--;
	pthread_mutex_unlock(&svc->mutex);
}

static void wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms)
{
	struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
	/* Whether it was the time or a signal is seen by looking. */
	(void)pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
}

/* --- renewal --- */

struct round { /* some locks of one bucket, copied: they may be released meanwhile */
	size_t n;
	bool renew;
	char ids[ROUND_MAX][UUID_SIZE];
	char tokens[ROUND_MAX][TOKEN_SIZE];
	char keys[2 * ROUND_MAX][KEY_SIZE];
};

/*
 * Copy up to ROUND_MAX locks of ${bucket}, after ${skip} others. With more of them in a bucket, one
 * that is taken or released in between may make another be missed until the next time.
 */
static void copy_locks(struct redis_service *svc, unsigned bucket, size_t skip, struct round *round)
{
	int64_t now = clock_mono_ms();
	round->n = 0;
	round->renew = false;
	pthread_mutex_lock(&svc->mutex);
	for (struct redis_lock *l = svc->held[bucket]; l && round->n < ROUND_MAX; l = l->next) {
		/* What is lost is kept from others no longer than it takes to say so. */
		if (l->base.state == LOCK_LOST)
			continue;
		if (skip > 0) {
			skip--;
			continue;
		}
		memcpy(round->ids[round->n], l->id, sizeof(l->id));
		memcpy(round->tokens[round->n++], l->token, sizeof(l->token));
		if (now - l->renewed_at >= LEASE_MS / 2)
			round->renew = true;
	}
	pthread_mutex_unlock(&svc->mutex);
}

static void take_states(struct redis_service *svc, const struct round *round,
	const redisReply *reply, int64_t began)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != round->n)
		return;
	pthread_mutex_lock(&svc->mutex);
	for (size_t i = 0; i < round->n; i++) {
		struct redis_lock *l = find(svc, round->ids[i], round->tokens[i]);
		if (!l || reply->element[i]->type != REDIS_REPLY_INTEGER)
			continue;
		long long state = reply->element[i]->integer;
		if (state == 0)
			mark(l, LOCK_LOST);
		else if (round->renew)
			l->renewed_at = began;
		if (state == 2)
			mark(l, LOCK_WANTED);
	}
	pthread_mutex_unlock(&svc->mutex);
}

static int ask_about(struct redis_service *svc, struct round *round, struct err *err)
{
	struct redis_arg keys[2 * ROUND_MAX];
	struct redis_arg args[1 + ROUND_MAX];
	char lease[24];
	redisReply *reply;
	int64_t began = clock_mono_ms();
	args[0] = redis_arg_int(lease, round->renew ? LEASE_MS : 0);
	for (size_t i = 0; i < round->n; i++) {
		keys[2 * i] = key_of(svc, round->keys[2 * i], "lock", round->ids[i]);
		keys[2 * i + 1] = key_of(svc, round->keys[2 * i + 1], "want", round->ids[i]);
		args[1 + i] = redis_arg_str(round->tokens[i]);
	}
	if (redis_eval(svc->r, &renew_script, keys, 2 * round->n, args, 1 + round->n, true, &reply,
		    err) != REDIS_DONE)
		return -1;
	take_states(svc, round, reply, began);
	freeReplyObject(reply);
	return 0;
}

static int renew_all(struct redis_service *svc, struct round *round, struct err *err)
{
	int rc = 0;
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		for (size_t skip = 0;; skip += ROUND_MAX) {
			copy_locks(svc, bucket, skip, round);
			if (round->n > 0 && ask_about(svc, round, err) < 0)
				rc = -1;
			if (round->n < ROUND_MAX)
				break;
		}
	}
	return rc;
}

static void *renew_thread(void *arg)
{
	struct redis_service *svc = arg;
	struct round *round = mem_alloc(sizeof(*round));
	struct err err;
	bool failing = false;
	pthread_mutex_lock(&svc->mutex);
	while (!svc->stop) {
		if (svc->nheld == 0) {
			pthread_cond_wait(&svc->renewer_wakes, &svc->mutex);
			continue;
		}
		svc->look = false;
		int64_t next = clock_mono_ms() + POLL_MS;
		pthread_mutex_unlock(&svc->mutex);
		int rc = renew_all(svc, round, &err);
		if (rc < 0 && !failing)
			LOG(LOG_LEVEL_WARN, "locks: cannot be renewed", log_err(&err));
		failing = rc < 0;
		pthread_mutex_lock(&svc->mutex);
		while (!svc->stop && !svc->look && clock_mono_ms() < next)
			wait_until(&svc->renewer_wakes, &svc->mutex, next);
	}
	pthread_mutex_unlock(&svc->mutex);
	free(round);
	return NULL;
}

/* With the mutex held: the end of what has run out, and when to look again. */
static int64_t end_leases(struct redis_service *svc)
{
	int64_t now = clock_mono_ms();
	int64_t next = now + LEASE_MS - MARGIN_MS;
	for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
		for (struct redis_lock *l = svc->held[bucket]; l; l = l->next) {
			int64_t end = l->renewed_at + LEASE_MS - MARGIN_MS;
			if (end <= now)
				mark(l, LOCK_LOST);
			else if (end < next)
				next = end;
		}
	}
	svc->guard_next = next;
	return next;
}

static void *guard_thread(void *arg)
{
	struct redis_service *svc = arg;
	pthread_mutex_lock(&svc->mutex);
	while (!svc->stop) {
		if (svc->nheld == 0)
			pthread_cond_wait(&svc->guard_wakes, &svc->mutex);
		else
			wait_until(&svc->guard_wakes, &svc->mutex, end_leases(svc));
	}
	pthread_mutex_unlock(&svc->mutex);
	return NULL;
}

/* "ID TOKEN": only the holder of that token is meant, whoever holds the lock by now. */
static void hear(void *arg, const char *message)
{
	struct redis_service *svc = arg;
	char id[UUID_SIZE];
	pthread_mutex_lock(&svc->mutex);
	if (!message) {
		svc->look = true;
		pthread_cond_signal(&svc->renewer_wakes);
	} else if (strlen(message) == UUID_SIZE + TOKEN_SIZE - 1 && message[UUID_SIZE - 1] == ' ') {
		memcpy(id, message, UUID_SIZE - 1);
		id[UUID_SIZE - 1] = '\0';
		struct redis_lock *l = str_is_uuid(id) ? find(svc, id, message + UUID_SIZE) : NULL;
		if (l)
			mark(l, LOCK_WANTED);
	}
	pthread_mutex_unlock(&svc->mutex);
}

/* --- the service --- */

static struct lock_service *lock_redis_open(const char *where, struct err *err)
{
	struct redis *r = redis_open(where, err);
	if (!r)
		return NULL;
	struct redis_service *svc = mem_zalloc(sizeof(*svc));
	svc->r = r;
	size_t size = strlen(redis_prefix(r)) + sizeof(":locks");
	svc->channel = mem_alloc(size);
	(void)snprintf(svc->channel, size, "%s:locks", redis_prefix(r));
	pthread_mutex_init(&svc->mutex, NULL);
	pthread_cond_init(&svc->renewer_wakes, NULL);
	pthread_cond_init(&svc->guard_wakes, NULL);
	return &svc->base;
}

static int start_thread(
	pthread_t *thread, void *(*fn)(void *), struct redis_service *svc, struct err *err)
{
	int rc = thread_start(thread, STACK, fn, svc);
	if (rc == 0)
		return 0;
	errno = rc;
	return err_errno(err, __func__, "no thread to keep the locks");
}

/* With the mutex held, which is let go meanwhile. */
static void stop_thread(struct redis_service *svc, pthread_t thread)
{
	svc->stop = true;
	pthread_cond_broadcast(&svc->renewer_wakes);
	pthread_cond_broadcast(&svc->guard_wakes);
	pthread_mutex_unlock(&svc->mutex);
	pthread_join(thread, NULL);
	pthread_mutex_lock(&svc->mutex);
}

/* With the first lock: a process that locks nothing has no threads. */
static int start(struct redis_service *svc, struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&svc->mutex);
	if (svc->started)
		goto done;
	rc = -1;
	if (start_thread(&svc->guard, guard_thread, svc, err) < 0)
		goto done;
	if (start_thread(&svc->renewer, renew_thread, svc, err) < 0) {
		stop_thread(svc, svc->guard);
		goto again;
	}
	svc->listener = redis_listen(svc->r, svc->channel, hear, svc, err);
	if (!svc->listener) {
		stop_thread(svc, svc->guard);
		stop_thread(svc, svc->renewer);
		goto again;
	}
	svc->started = true;
	rc = 0;
	goto done;

again:
	svc->stop = false;
done:
	pthread_mutex_unlock(&svc->mutex);
	return rc;
}

static void lock_redis_close(struct lock_service *base)
{
	struct redis_service *svc = (struct redis_service *)base;
	if (svc->started) {
		redis_unlisten(svc->listener);
		pthread_mutex_lock(&svc->mutex);
		stop_thread(svc, svc->guard);
		stop_thread(svc, svc->renewer);
		pthread_mutex_unlock(&svc->mutex);
	}
	redis_close(svc->r);
	pthread_cond_destroy(&svc->renewer_wakes);
	pthread_cond_destroy(&svc->guard_wakes);
	pthread_mutex_destroy(&svc->mutex);
	free(svc->channel);
	free(svc);
}

static void let_go(struct redis_service *svc, const struct redis_lock *l)
{
	char lock[KEY_SIZE], want[KEY_SIZE];
	struct redis_arg keys[] = {
		key_of(svc, lock, "lock", l->id), key_of(svc, want, "want", l->id)};
	struct redis_arg token = redis_arg_str(l->token);
	redisReply *reply;
	struct err err;
	/* Should it fail, the lease ends soon. */
	if (redis_eval(svc->r, &release_script, keys, 2, &token, 1, true, &reply, &err) ==
		REDIS_DONE)
		freeReplyObject(reply);
}

/* One try under the token of ${l}. */
static enum lock_result take(struct redis_service *svc, struct redis_lock *l, struct err *err)
{
	char lock[KEY_SIZE], fence[KEY_SIZE], want[KEY_SIZE], lease[24], keep[24];
	struct redis_arg keys[] = {key_of(svc, lock, "lock", l->id),
		key_of(svc, fence, "fence", l->id), key_of(svc, want, "want", l->id)};
	struct redis_arg args[] = {redis_arg_str(l->token), redis_arg_int(lease, LEASE_MS),
		redis_arg_int(keep, FENCE_MS)};
	redisReply *reply;
	l->renewed_at = clock_mono_ms();
	/* With the same token the script does the same thing when it is run again. */
	if (redis_eval(svc->r, &acquire_script, keys, 3, args, 3, true, &reply, err) != REDIS_DONE)
		return LOCK_ERROR;
	long long number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
	freeReplyObject(reply);
	if (number == 0)
		return LOCK_BUSY;
	if (number < 0) {
		err_set(err, ERR_IO, __func__, "Redis gave no number for a lock");
		return LOCK_ERROR;
	}
	l->base.fence = (uint64_t)number;
	return LOCK_OK;
}

static enum lock_result lock_redis_try_acquire(
	struct lock_service *base, const char *id, struct lock **out, struct err *err)
{
	struct redis_service *svc = (struct redis_service *)base;
	unsigned char token[TOKEN_BYTES];
	if (start(svc, err) < 0)
		return LOCK_ERROR;
	struct redis_lock *l = mem_zalloc(sizeof(*l));
	(void)str_copy(l->id, sizeof(l->id), id);
	random_bytes(token, sizeof(token));
	str_hex(l->token, token, sizeof(token));
	enum lock_result result = take(svc, l, err);
	if (result != LOCK_OK) {
		free(l);
		return result;
	}
	uint64_t fence = l->base.fence;
	if (lock_base_init(&l->base, base, err) < 0) {
		let_go(svc, l);
		free(l);
		return LOCK_ERROR;
	}
	l->base.fence = fence;
	insert(svc, l);
	*out = &l->base;
	return LOCK_OK;
}

static int lock_redis_request(struct lock_service *base, const char *id, struct err *err)
{
	struct redis_service *svc = (struct redis_service *)base;
	char lock[KEY_SIZE], want[KEY_SIZE], ms[24];
	struct redis_arg keys[] = {key_of(svc, lock, "lock", id), key_of(svc, want, "want", id)};
	struct redis_arg args[] = {
		redis_arg_int(ms, WANT_MS), redis_arg_str(svc->channel), redis_arg_str(id)};
	redisReply *reply;
	if (redis_eval(svc->r, &request_script, keys, 2, args, 3, true, &reply, err) != REDIS_DONE)
		return -1;
	freeReplyObject(reply);
	return 0;
}

static void lock_redis_look(struct lock *base)
{
	struct redis_lock *l = (struct redis_lock *)base;
	struct redis_service *svc = (struct redis_service *)base->svc;
	pthread_mutex_lock(&svc->mutex);
	if (clock_mono_ms() >= l->renewed_at + LEASE_MS - MARGIN_MS)
		mark(l, LOCK_LOST);
	pthread_mutex_unlock(&svc->mutex);
}

static void lock_redis_release(struct lock *base)
{
	struct redis_lock *l = (struct redis_lock *)base;
	struct redis_service *svc = (struct redis_service *)base->svc;
	take_out(svc, l);
	/* One that is lost may belong to another by now; the script looks. */
	let_go(svc, l);
	lock_base_end(base);
	free(l);
}

const struct lock_backend lock_redis_backend = {
	.name = "redis",
	.env = "REDIS_CONNECTION_STRING",
	.open = lock_redis_open,
	.close = lock_redis_close,
	.try_acquire = lock_redis_try_acquire,
	.request = lock_redis_request,
	.release = lock_redis_release,
	.look = lock_redis_look,
};
