/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis.h"

#include "backends/redis_cluster.h"
#include "backends/redis_impl.h"
#include "backends/redis_sentinel.h"
#include "backends/redis_tls.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 1024
#define HOPS_MAX 16
#define PAUSE_MIN_MS 4
#define PAUSE_MAX_MS 100
#define REFRESH_EVERY_MS 200

/* One command on its way through nodes and repetitions. */
struct call {
	struct redis *r;
	const char *key;
	size_t key_len;
	const struct redis_arg *args;
	size_t nargs;
	bool repeat;
	int64_t deadline;
	int64_t pause;
	unsigned hops;
	struct redis_node *node; /* to be asked next; NULL: none could be found */
	bool asking;
	bool maybe;    /* a try before may have been carried out */
	bool noscript; /* the reply was NOSCRIPT */
};

struct redis_arg redis_arg_str(const char *s)
{
	return (struct redis_arg){s ? s : "", s ? strlen(s) : 0};
}

struct redis_arg redis_arg_int(char buffer[24], int64_t value)
{
	int n = snprintf(buffer, 24, "%" PRId64, value);
	return (struct redis_arg){buffer, (size_t)n};
}

/* --- nodes --- */

struct redis_node *redis_node_named(
	struct redis *r, const char *host, unsigned port, struct err *err)
{
	struct redis_node *found = NULL;
	pthread_mutex_lock(&r->mutex);
	for (size_t i = 0; i < r->nnodes && !found; i++) {
		const struct redis_conn_how *how = redis_node_how(r->nodes[i]);
		if (how->port == port && str_eq_ci(how->host, host))
			found = r->nodes[i];
	}
	if (!found && r->nnodes < NODES_MAX) {
		struct redis_conn_how how = {
			.host = host,
			.port = port,
			.tls = r->tls,
			.user = r->uri.user,
			.password = r->uri.password,
			.db = r->uri.db,
		};
		found = redis_node_new(&how);
		r->nodes = mem_array(r->nodes, r->nnodes + 1, sizeof(struct redis_node *));
		r->nodes[r->nnodes++] = found;
	}
	pthread_mutex_unlock(&r->mutex);
	if (!found)
		err_set(err, ERR_UNAVAILABLE, __func__, "there are too many nodes of Redis");
	return found;
}

struct redis *redis_open(const char *where, struct err *err)
{
	struct redis *r = mem_zalloc(sizeof(*r));
	pthread_mutex_init(&r->mutex, NULL);
	pthread_cond_init(&r->refreshed, NULL);
	if (redis_uri_parse(where, &r->uri, err) < 0)
		goto fail;
	if (r->uri.tls) {
		r->tls = redis_tls_new(r->uri.ca_file, r->uri.cert_file, r->uri.key_file, err);
		if (!r->tls)
			goto fail;
	}
	if (!r->uri.sentinel) {
		r->first = redis_node_named(r, r->uri.hosts[0].name, r->uri.hosts[0].port, err);
		if (!r->first)
			goto fail;
	}
	return r;

fail:
	redis_close(r);
	return NULL;
}

void redis_close(struct redis *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nnodes; i++)
		redis_node_free(r->nodes[i]);
	free(r->nodes);
	free(r->slots);
	redis_tls_free(r->tls);
	redis_uri_free(&r->uri);
	pthread_cond_destroy(&r->refreshed);
	pthread_mutex_destroy(&r->mutex);
	free(r);
}

const char *redis_prefix(const struct redis *r)
{
	return r->uri.prefix;
}

/* With the mutex held: the first node unless it is down and another is not. */
static struct redis_node *any_node(struct redis *r)
{
	if (!r->slots || !redis_node_is_down(r->first))
		return r->first;
	for (size_t i = 0; i < r->nnodes; i++) {
		if (!redis_node_is_down(r->nodes[i]))
			return r->nodes[i];
	}
	return r->first;
}

struct redis_node *redis_route(
	struct redis *r, const char *key, size_t len, int64_t deadline, struct err *err)
{
	for (int round = 0; round < 2; round++) {
		struct redis_node *n = NULL;
		pthread_mutex_lock(&r->mutex);
		if (r->slots && key)
			n = r->slots[redis_cluster_slot(key, len)];
		if (!n)
			n = any_node(r);
		pthread_mutex_unlock(&r->mutex);
		if (n)
			return n;
		if (round == 0 && redis_refresh(r, NULL, deadline, err) < 0)
			break;
	}
	return NULL;
}

/* For servers without Sentinels: the next host of the connection string. */
static void next_host(struct redis *r, const struct redis_node *bad)
{
	if (r->uri.sentinel || r->uri.nhosts < 2)
		return;
	pthread_mutex_lock(&r->mutex);
	size_t next = (r->host + 1) % r->uri.nhosts;
	bool change = bad && bad == r->first;
	pthread_mutex_unlock(&r->mutex);
	if (!change)
		return;
	struct redis_node *n =
		redis_node_named(r, r->uri.hosts[next].name, r->uri.hosts[next].port, NULL);
	pthread_mutex_lock(&r->mutex);
	if (n && bad == r->first) {
		r->first = n;
		r->host = next;
	}
	pthread_mutex_unlock(&r->mutex);
}

/* With the mutex held, which is let go meanwhile. */
static void ask_again(struct redis *r, int64_t deadline)
{
	struct err why;
	bool cluster = r->slots != NULL;
	r->refreshing = true;
	pthread_mutex_unlock(&r->mutex);
	int rc = cluster ? redis_cluster_refresh(r, deadline, &why)
			 : redis_sentinel_refresh(r, deadline, &why);
	if (rc == 0)
		err_clear(&why);
	pthread_mutex_lock(&r->mutex);
	r->refresh_err = why;
	r->refreshed_at = clock_mono_ms();
	r->refreshing = false;
	pthread_cond_broadcast(&r->refreshed);
}

int redis_refresh(struct redis *r, const struct redis_node *bad, int64_t deadline, struct err *err)
{
	struct timespec until = {deadline / 1000, deadline % 1000 * 1000000};
	int rc = 0;
	next_host(r, bad);
	pthread_mutex_lock(&r->mutex);
	if (!r->slots && !r->uri.sentinel)
		goto done;
	/* Who waited for another thread takes its result. */
	while (r->refreshing && rc == 0) {
		if (pthread_cond_clockwait(&r->refreshed, &r->mutex, CLOCK_MONOTONIC, &until) ==
			ETIMEDOUT)
			rc = err_set(err, ERR_UNAVAILABLE, __func__,
				"it took too long to find the server of Redis");
	}
	if (rc < 0)
		goto done;
	if (r->refreshed_at == 0 || clock_mono_ms() - r->refreshed_at > REFRESH_EVERY_MS)
		ask_again(r, deadline);
	if (r->refresh_err.code != ERR_NONE) {
		rc = -1;
		if (err)
			*err = r->refresh_err;
	}

done:
	pthread_mutex_unlock(&r->mutex);
	return rc;
}

/* --- one try --- */

enum redis_result redis_exchange(struct redis_node *n, bool asking, const struct redis_arg *args,
	size_t nargs, int64_t deadline, redisReply **out, struct err *err)
{
	struct redis_arg ask = redis_arg_str("ASKING");
	redisReply *first = NULL;
	struct redis_conn *c = redis_node_borrow(n, deadline, err);
	enum redis_result result = REDIS_DOWN;
	if (!c)
		return REDIS_DOWN;
	if ((asking && redis_conn_send(c, &ask, 1, deadline, err) < 0) ||
		redis_conn_send(c, args, nargs, deadline, err) < 0)
		goto fail;
	result = REDIS_UNKNOWN;
	if (asking) {
		if (redis_conn_read(c, &first, deadline, err) < 0)
			goto fail;
		freeReplyObject(first);
	}
	if (redis_conn_read(c, out, deadline, err) < 0)
		goto fail;
	redis_node_return(n, c, true);
	return REDIS_DONE;

fail:
	redis_node_return(n, c, false);
	err_prefix(err, "Redis at %s:%u", redis_node_how(n)->host, redis_node_how(n)->port);
	return result;
}

/* --- what follows from it --- */

static enum err_code code_of(const char *text)
{
	static const struct {
		const char *word;
		enum err_code code;
	} codes[] = {
		{"NOAUTH", ERR_DENIED},
		{"WRONGPASS", ERR_DENIED},
		{"NOPERM", ERR_DENIED},
		{"DENIED", ERR_DENIED},
		{"OOM", ERR_NO_SPACE},
		{"MISCONF", ERR_UNAVAILABLE},
		{"NOREPLICAS", ERR_UNAVAILABLE},
	};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (str_starts(text, codes[i].word))
			return codes[i].code;
	}
	return ERR_IO;
}

/* Nothing was done, and that will pass: loading, failing over, resharding, a script that runs. */
static bool is_passing(const char *text)
{
	static const char *const words[] = {
		"LOADING ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ", "READONLY ", "BUSY "};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_starts(text, words[i]))
			return true;
	}
	return false;
}

static void tell(struct err *err, enum err_code code, const struct redis_node *n, const char *text)
{
	char clean[200];
	(void)str_copy(clean, sizeof(clean), text);
	for (char *c = clean; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	err_set(err, code, "redis_command", "Redis at %s:%u answers: %s", redis_node_how(n)->host,
		redis_node_how(n)->port, clean);
}

/* Wait a moment, longer each time. False: then the time would be over. */
static bool pause_before_next(struct call *c)
{
	int64_t ms = c->pause / 2 + (int64_t)random_below((uint64_t)c->pause / 2 + 1);
	c->pause = c->pause * 2 < PAUSE_MAX_MS ? c->pause * 2 : PAUSE_MAX_MS;
	if (clock_mono_ms() + ms >= c->deadline)
		return false;
	clock_sleep_ms(ms);
	c->hops = 0;
	return true;
}

/* Choose the node anew, for what it is worth; ${bad} gave no good answer. */
static void look_elsewhere(struct call *c, const struct redis_node *bad)
{
	struct err err;
	/* Should it fail, what is known so far has to do. */
	if (redis_refresh(c->r, bad, c->deadline, &err) < 0 && !bad)
		return;
	c->node = redis_route(c->r, c->key, c->key_len, c->deadline, &err);
}

/* After an error reply. True: try again. */
static bool after_error(
	struct call *c, const char *text, enum redis_result *result, struct err *err)
{
	struct redis_node *from = c->node;
	bool moved = str_starts(text, "MOVED ");
	*result = REDIS_REFUSED;
	if (moved || str_starts(text, "ASK ")) {
		*result = REDIS_DOWN;
		if (++c->hops > HOPS_MAX || clock_mono_ms() >= c->deadline) {
			tell(err, ERR_UNAVAILABLE, from, "redirected too often");
			return false;
		}
		c->node = redis_cluster_follow(c->r, text, from, err);
		if (!c->node)
			return false;
		c->asking = !moved;
		/* What moved is seldom alone. Whom this reply names is asked in any case. */
		if (moved) {
			struct err ignored;
			(void)redis_refresh(c->r, NULL, c->deadline, &ignored);
		}
		return true;
	}
	if (is_passing(text)) {
		/* Sentinel or DNS may know another master by now. */
		if (str_starts(text, "READONLY "))
			redis_node_forget(from);
		if (pause_before_next(c)) {
			look_elsewhere(c, from);
			if (c->node)
				return true;
		}
		*result = REDIS_DOWN;
		tell(err, ERR_UNAVAILABLE, from, text);
		return false;
	}
	c->noscript = str_starts(text, "NOSCRIPT");
	tell(err, code_of(text), from, text);
	return false;
}

/* After no reply. True: try again. */
static bool after_silence(struct call *c, enum redis_result result, const struct err *err)
{
	const struct redis_node *bad = c->node;
	if (result == REDIS_UNKNOWN) {
		c->maybe = true;
		if (!c->repeat)
			return false;
	}
	/* A reply that is too large will be so again. */
	if (clock_mono_ms() >= c->deadline || (err && err->code == ERR_TOO_LARGE))
		return false;
	look_elsewhere(c, bad);
	/* A connection that broke while it was idle says little about its server. */
	bool fresh =
		c->node != bad || (result == REDIS_DOWN && bad && !redis_node_is_down(c->node));
	if (c->node && fresh && ++c->hops <= HOPS_MAX)
		return true;
	/* Who knows nothing tries on; who knows that nothing was done can tell at once. */
	return c->maybe && c->node && pause_before_next(c);
}

static enum redis_result run(struct call *c, redisReply **out, struct err *err)
{
	enum redis_result result;
	bool again;
	*out = NULL;
	c->pause = PAUSE_MIN_MS;
	c->asking = false;
	c->noscript = false;
	c->node = redis_route(c->r, c->key, c->key_len, c->deadline, err);
	do {
		redisReply *reply = NULL;
		bool asking = c->asking;
		c->asking = false;
		result = c->node ? redis_exchange(c->node, asking, c->args, c->nargs, c->deadline,
					   &reply, err)
				 : REDIS_DOWN;
		if (result == REDIS_DONE && reply->type != REDIS_REPLY_ERROR) {
			*out = reply;
			return REDIS_DONE;
		}
		if (result == REDIS_DONE)
			again = after_error(c, reply->str, &result, err);
		else
			again = after_silence(c, result, err);
		freeReplyObject(reply);
	} while (again);
	return result;
}

static enum redis_result finish(const struct call *c, enum redis_result result)
{
	return c->maybe && result != REDIS_DONE ? REDIS_UNKNOWN : result;
}

enum redis_result redis_command(struct redis *r, const char *key, const struct redis_arg *args,
	size_t n, bool repeat, redisReply **out, struct err *err)
{
	struct call c = {
		.r = r,
		.key = key,
		.key_len = key ? strlen(key) : 0,
		.args = args,
		.nargs = n,
		.repeat = repeat,
		.deadline = clock_mono_ms() + r->uri.timeout_ms,
	};
	return finish(&c, run(&c, out, err));
}

/* --- scripts --- */

void redis_script_hash(struct redis_script *s)
{
	unsigned char sum[DIGEST_MAX];
	struct digest *d = digest_new("sha1");
	digest_update(d, s->text, strlen(s->text));
	(void)digest_final(d, sum);
	str_hex(s->sha1, sum, (sizeof(s->sha1) - 1) / 2);
	digest_free(d);
}

enum redis_result redis_eval(struct redis *r, const struct redis_script *s,
	const struct redis_arg *keys, size_t nkeys, const struct redis_arg *args, size_t nargs,
	bool repeat, redisReply **out, struct err *err)
{
	char count[24];
	struct redis_arg *all = mem_array(NULL, 3 + nkeys + nargs, sizeof(*all));
	all[0] = redis_arg_str("EVALSHA");
	all[1] = redis_arg_str(s->sha1);
	all[2] = redis_arg_int(count, (int64_t)nkeys);
	for (size_t i = 0; i < nkeys; i++)
		all[3 + i] = keys[i];
	for (size_t i = 0; i < nargs; i++)
		all[3 + nkeys + i] = args[i];
	struct call c = {
		.r = r,
		.key = nkeys ? keys[0].data : NULL,
		.key_len = nkeys ? keys[0].len : 0,
		.args = all,
		.nargs = 3 + nkeys + nargs,
		.repeat = repeat,
		.deadline = clock_mono_ms() + r->uri.timeout_ms,
	};
	enum redis_result result = run(&c, out, err);
	if (c.noscript) {
		all[0] = redis_arg_str("EVAL");
		all[1] = redis_arg_str(s->text);
		result = run(&c, out, err);
	}
	free(all);
	if (result == REDIS_REFUSED)
		err_prefix(err, "script %s", s->name);
	return finish(&c, result);
}

int redis_publish(struct redis *r, const char *channel, const char *message, struct err *err)
{
	struct redis_arg args[] = {
		redis_arg_str("PUBLISH"), redis_arg_str(channel), redis_arg_str(message)};
	redisReply *reply;
	if (redis_command(r, NULL, args, 3, true, &reply, err) != REDIS_DONE)
		return -1;
	freeReplyObject(reply);
	return 0;
}
