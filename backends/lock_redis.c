/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks for processes on many hosts, in Redis, beside the uploads of the state store there. Keys of
 * upload ID, with B = PREFIX:{DIGIT}: of its bucket ("dex:{a}:", redis_bucket.h):
 *
 *   Block:ID   random token of the holder; expires with the lease
 *   Bfence:ID  counter of the holders, the fencing token; lives on for FENCE_MS
 *   Bwant:ID   token of the holder that is asked to let go
 *
 * One thread renews the leases of all locks that this process holds. A request is also published;
 * since messages may get lost, the same thread looks for requests. Another thread declares a lock
 * lost while its lease still runs, should no renewal come through: it waits for nothing but the
 * time.
 */
#include "backends/lock_redis.h"

#include "backends/redis.h"
#include "backends/redis_bucket.h"
#include "backends/state_redis_row.h"
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
/* A server that stood still carries out what it was sent long before: so long it is told again. */
#define ENDING_MS 60000
#define WANT_MS 2000
#define POLL_MS 1000
#define ROUND_MAX 256 /* locks in one call */
#define STACK ((size_t)256 << 10)
#define TOKEN_BYTES 16
#define TOKEN_SIZE (2 * TOKEN_BYTES + 1)

struct redis_lock {
	struct lock base;
	struct redis_lock *next;
	bool released;      /* in Redis it is free already */
	bool ending;        /* the other way round: nobody has it, but Redis may not know */
	int64_t renewed_at; /* monotonic, from before the renewal was sent */
	char id[UUID_SIZE];
	char token[TOKEN_SIZE];
};

/*
 * KEYS are those of redis_bucket_keys.
 *
 * ARGV: 1 id 2 token 3 lease 4 life of the counter, names of the row's members or none. Answers 0
 * where another holds it, else 1, the fencing token and those members (nil where they cannot be
 * read). A counter that is new begins with the time, above all that a lost one can have reached.
 */
static const char acquire_text[] =
	"local b,id,token,call=KEYS[1],ARGV[1],ARGV[2],redis.call\n"
	"local lock,counter=b..'lock:'..id,b..'fence:'..id\n"
	"local held=call('GET',lock)\n"
	"if held and held~=token then return {0} end\n"
	"local row=#ARGV>4 and redis.pcall('HMGET',b..'u:'..id,unpack(ARGV,5))\n"
	"if row and row.err then row=false end\n"
	"call('SET',lock,token,'PX',ARGV[3])\n"
	"if held then return {1,tonumber(call('GET',counter) or '-1'),row} end\n"
	"call('DEL',b..'want:'..id)\n"
	"local fence=call('INCR',counter)\n"
	"if fence==1 then\n"
	" local now=call('TIME')\n"
	" fence=now[1]*1000+math.floor(now[2]/1000)\n"
	" call('SET',counter,string.format('%.0f',fence))\n"
	"end\n"
	"call('PEXPIRE',counter,ARGV[4])\n"
	"return {1,fence,row}\n";

/* ARGV: 1 id 2 token */
static const char release_text[] = "local lock=KEYS[1]..'lock:'..ARGV[1]\n"
				   "if redis.call('GET',lock)~=ARGV[2] then return 0 end\n"
				   "redis.call('DEL',lock,KEYS[1]..'want:'..ARGV[1])\n"
				   "return 1\n";

/* ARGV: 1 id 2 life of the request 3 channel */
static const char request_text[] = "local held=redis.call('GET',KEYS[1]..'lock:'..ARGV[1])\n"
				   "if not held then return 0 end\n"
				   "redis.call('SET',KEYS[1]..'want:'..ARGV[1],held,'PX',ARGV[2])\n"
				   "redis.pcall('PUBLISH',ARGV[3],ARGV[1]..' '..held)\n"
				   "return 1\n";

/*
 * ARGV: 1 lease (0: only look), id and token of each lock. For each: 0 not ours any more, 1 ours,
 * 2 ours and wanted.
 */
static const char renew_text[] =
	"local out={}\n"
	"for i=2,#ARGV,2 do\n"
	" local id,token,state=ARGV[i],ARGV[i+1],0\n"
	" local lock=KEYS[1]..'lock:'..id\n"
	" if redis.call('GET',lock)==token then\n"
	"  state=1\n"
	"  if ARGV[1]~='0' then redis.call('PEXPIRE',lock,ARGV[1]) end\n"
	"  if redis.call('GET',KEYS[1]..'want:'..id)==token then state=2 end\n"
	" end\n"
	" out[#out+1]=state\n"
	"end\n"
	"return out\n";

enum { ACQUIRE, RELEASE, REQUEST, RENEW, SCRIPTS };

static const struct redis_script scripts[SCRIPTS] = {
	[ACQUIRE] = {.name = "lock", .text = acquire_text},
	[RELEASE] = {.name = "unlock", .text = release_text},
	[REQUEST] = {.name = "lock request", .text = request_text},
	[RENEW] = {.name = "lock renewal", .text = renew_text},
};

struct redis_service {
	struct lock_service base;
	struct redis *r;
	struct redis_script scripts[SCRIPTS];
	struct redis_buckets buckets;
	char *channel;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t renewer_wakes;
	pthread_cond_t guard_wakes;
	struct redis_lock *held[REDIS_BUCKETS];
	size_t nheld;
	bool started;
	bool stop;
	bool look;          /* requests may have been missed */
	int64_t guard_next; /* when the guard wakes by itself */
	pthread_t renewer;
	pthread_t guard;
	struct redis_listener *listener;
};

/* Run one on a bucket; each does the same thing when it is run again with the same token. */
static enum redis_result run(struct redis_service *svc, unsigned script, unsigned bucket,
	const struct redis_arg *args, size_t n, redisReply **reply, struct err *err)
{
	struct redis_arg keys[2];
	redis_bucket_keys(&svc->buckets, bucket, keys);
	return redis_eval(svc->r, &svc->scripts[script], keys, 2, args, n, true, reply, err);
}

/* --- the table of what is held --- */

/* With the mutex held: the lock that has this token, or NULL. */
static struct redis_lock *find(struct redis_service *svc, const char *id, const char *token)
{
	struct redis_lock *l = svc->held[redis_bucket_of(id)];
	while (l && (strcmp(l->id, id) != 0 || strcmp(l->token, token) != 0))
		l = l->next;
	return l;
}

/* With the mutex held. What is lost stays so. */
static void mark(struct redis_lock *l, enum lock_state state)
{
	if (!l->ending && l->base.state < (int)state)
		lock_base_set(&l->base, state);
}

static void insert(struct redis_service *svc, struct redis_lock *l)
{
	pthread_mutex_lock(&svc->mutex);
	struct redis_lock **bucket = &svc->held[redis_bucket_of(l->id)];
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
	struct redis_lock **at = &svc->held[redis_bucket_of(l->id)];
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
		if (l->base.state == LOCK_LOST || l->ending)
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

static int ask_about(
	struct redis_service *svc, unsigned bucket, const struct round *round, struct err *err)
{
	struct redis_arg args[1 + 2 * ROUND_MAX];
	char lease[24];
	redisReply *reply;
	int64_t began = clock_mono_ms();
	args[0] = redis_arg_int(lease, round->renew ? LEASE_MS : 0);
	for (size_t i = 0; i < round->n; i++) {
		args[1 + 2 * i] = redis_arg_str(round->ids[i]);
		args[2 + 2 * i] = redis_arg_str(round->tokens[i]);
	}
	if (run(svc, RENEW, bucket, args, 1 + 2 * round->n, &reply, err) != REDIS_DONE)
		return -1;
	take_states(svc, round, reply, began);
	freeReplyObject(reply);
	return 0;
}

static int renew_all(struct redis_service *svc, struct round *round, struct err *err)
{
	int rc = 0;
	for (unsigned bucket = 0; bucket < REDIS_BUCKETS; bucket++) {
		for (size_t skip = 0;; skip += ROUND_MAX) {
			copy_locks(svc, bucket, skip, round);
			if (round->n > 0 && ask_about(svc, bucket, round, err) < 0)
				rc = -1;
			if (round->n < ROUND_MAX)
				break;
		}
	}
	return rc;
}

static int let_go(struct redis_service *svc, const struct redis_lock *l)
{
	struct redis_arg args[] = {redis_arg_str(l->id), redis_arg_str(l->token)};
	redisReply *reply;
	struct err err;
	if (run(svc, RELEASE, redis_bucket_of(l->id), args, 2, &reply, &err) != REDIS_DONE)
		return -1;
	freeReplyObject(reply);
	return 0;
}

/* Nobody has the lock any more; where Redis may think so, it is told later. */
static void discard(struct redis_service *svc, struct redis_lock *l)
{
	if (l->ending)
		insert(svc, l);
	else
		free(l);
}

/* Locks that Redis could not be told of: again, for as long as that can matter. */
static void let_go_again(struct redis_service *svc)
{
	struct redis_lock *ending = NULL;
	bool reached = true;
	pthread_mutex_lock(&svc->mutex);
	for (unsigned bucket = 0; bucket < REDIS_BUCKETS; bucket++) {
		struct redis_lock **at = &svc->held[bucket];
		for (struct redis_lock *l; (l = *at);) {
			if (!l->ending) {
				at = &l->next;
				continue;
			}
			*at = l->next;
			svc->nheld--;
			l->next = ending;
			ending = l;
		}
	}
	pthread_mutex_unlock(&svc->mutex);
	for (struct redis_lock *l; (l = ending);) {
		ending = l->next;
		bool over = clock_mono_ms() - l->renewed_at >= ENDING_MS;
		/* What is out of reach for one is so for all; others wait for us. */
		if (!over && reached)
			reached = let_go(svc, l) == 0;
		l->ending = !over && !reached;
		discard(svc, l);
	}
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
		/* Most locks are gone by then, without a question about them. */
		int64_t next = clock_mono_ms() + POLL_MS;
		while (!svc->stop && !svc->look && clock_mono_ms() < next)
			wait_until(&svc->renewer_wakes, &svc->mutex, next);
		svc->look = false;
		pthread_mutex_unlock(&svc->mutex);
		let_go_again(svc);
		int rc = renew_all(svc, round, &err);
		if (rc < 0 && !failing)
			LOG(LOG_LEVEL_WARN, "locks: cannot be renewed", log_err(&err));
		failing = rc < 0;
		pthread_mutex_lock(&svc->mutex);
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
	for (unsigned bucket = 0; bucket < REDIS_BUCKETS; bucket++) {
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
	for (size_t i = 0; i < SCRIPTS; i++) {
		svc->scripts[i] = scripts[i];
		redis_script_hash(&svc->scripts[i]);
	}
	if (redis_buckets_init(&svc->buckets, redis_prefix(r), err) < 0) {
		redis_buckets_free(&svc->buckets);
		redis_close(r);
		free(svc);
		return NULL;
	}
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
	/* Those that Redis was not told of. */
	for (unsigned bucket = 0; bucket < REDIS_BUCKETS; bucket++) {
		for (struct redis_lock *l; (l = svc->held[bucket]);) {
			svc->held[bucket] = l->next;
			free(l);
		}
	}
	redis_close(svc->r);
	redis_buckets_free(&svc->buckets);
	pthread_cond_destroy(&svc->renewer_wakes);
	pthread_cond_destroy(&svc->guard_wakes);
	pthread_mutex_destroy(&svc->mutex);
	free(svc->channel);
	free(svc);
}

/* What the script answers to who has the lock now. */
static int read_answer(
	struct redis_lock *l, const redisReply *answer, struct lock_row *row, struct err *err)
{
	if (answer->elements < 3 || answer->element[1]->type != REDIS_REPLY_INTEGER ||
		answer->element[1]->integer <= 0)
		return err_set(err, ERR_IO, __func__, "Redis gave no number for a lock");
	l->base.fence = (uint64_t)answer->element[1]->integer;
	if (row && answer->element[2]->type == REDIS_REPLY_ARRAY) {
		/* A row that is damaged is for the state to tell of. */
		enum state_result r =
			state_redis_row_read(answer->element[2], l->id, &row->upload, NULL);
		row->read = r != STATE_ERROR;
		row->found = r == STATE_OK;
	}
	return 0;
}

/* One try under the token of ${l}. */
static enum lock_result take(
	struct redis_service *svc, struct redis_lock *l, struct lock_row *row, struct err *err)
{
	char lease[24], keep[24];
	struct redis_arg args[4 + ROW_COUNT] = {redis_arg_str(l->id), redis_arg_str(l->token),
		redis_arg_int(lease, LEASE_MS), redis_arg_int(keep, FENCE_MS)};
	size_t n = 4;
	redisReply *reply;
	for (size_t i = 0; row && i < ROW_COUNT; i++)
		args[n++] = redis_arg_str(state_redis_row_members[i]);
	l->renewed_at = clock_mono_ms();
	enum redis_result asked = run(svc, ACQUIRE, redis_bucket_of(l->id), args, n, &reply, err);
	if (asked != REDIS_DONE) {
		/* It may be ours by now, or become so, and nobody would know. */
		l->ending = asked == REDIS_UNKNOWN;
		return LOCK_ERROR;
	}
	enum lock_result result = LOCK_OK;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
		result = LOCK_BUSY;
	else if (read_answer(l, reply, row, err) < 0)
		result = LOCK_ERROR;
	freeReplyObject(reply);
	return result;
}

static enum lock_result lock_redis_try_acquire(struct lock_service *base, const char *id,
	struct lock_row *row, struct lock **out, struct err *err)
{
	struct redis_service *svc = (struct redis_service *)base;
	unsigned char token[TOKEN_BYTES];
	if (start(svc, err) < 0)
		return LOCK_ERROR;
	struct redis_lock *l = mem_zalloc(sizeof(*l));
	(void)str_copy(l->id, sizeof(l->id), id);
	random_bytes(token, sizeof(token));
	str_hex(l->token, token, sizeof(token));
	enum lock_result result = take(svc, l, row, err);
	if (result != LOCK_OK) {
		discard(svc, l);
		return result;
	}
	uint64_t fence = l->base.fence;
	if (lock_base_init(&l->base, base, err) < 0) {
		l->ending = let_go(svc, l) < 0;
		discard(svc, l);
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
	char ms[24];
	struct redis_arg args[] = {
		redis_arg_str(id), redis_arg_int(ms, WANT_MS), redis_arg_str(svc->channel)};
	redisReply *reply;
	if (run(svc, REQUEST, redis_bucket_of(id), args, 3, &reply, err) != REDIS_DONE)
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
	/* One that is lost may belong to another by now; the script looks. */
	bool told = l->released || let_go(svc, l) == 0;
	take_out(svc, l);
	lock_base_end(base);
	l->ending = !told;
	discard(svc, l);
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

const char *lock_redis_token(const struct lock *base)
{
	if (!base || base->svc->backend != &lock_redis_backend)
		return NULL;
	return ((const struct redis_lock *)base)->token;
}

void lock_redis_released(struct lock *base)
{
	((struct redis_lock *)base)->released = true;
}
