/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_cluster.h"

#include "backends/redis_impl.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define POLYNOMIAL 0x1021
#define HOST_MAX 253
/* One node that hangs must leave time for the others. */
#define NODE_MS 1000

static unsigned crc16(const char *s, size_t len)
{
	unsigned crc = 0;
	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned)(unsigned char)s[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 0x8000 ? crc << 1 ^ POLYNOMIAL : crc << 1;
		crc &= 0xffff;
	}
	return crc;
}

unsigned redis_cluster_slot(const char *key, size_t len)
{
	const char *open = len > 0 ? memchr(key, '{', len) : NULL;
	const char *close = open ? memchr(open + 1, '}', len - (size_t)(open + 1 - key)) : NULL;
	if (close && close > open + 1) {
		key = open + 1;
		len = (size_t)(close - key);
	}
	return crc16(key, len) % REDIS_CLUSTER_SLOTS;
}

/* With the mutex held. */
static void set_slots(struct redis *r, unsigned from, unsigned to, struct redis_node *n)
{
	if (!r->slots) {
		r->slots = mem_array(NULL, REDIS_CLUSTER_SLOTS, sizeof(struct redis_node *));
		memset(r->slots, 0, REDIS_CLUSTER_SLOTS * sizeof(struct redis_node *));
	}
	for (unsigned i = from; i <= to; i++)
		r->slots[i] = n;
}

/* ${text} of an endpoint as a node; an empty host is the one that was asked. */
static struct redis_node *node_of(struct redis *r, const char *host, size_t len, uint64_t port,
	const struct redis_node *asked, struct err *err)
{
	if (len > HOST_MAX || port == 0 || port > 65535 || str_has_control(host, len)) {
		err_set(err, ERR_UNAVAILABLE, __func__, "the Redis Cluster names a strange node");
		return NULL;
	}
	if (len == 0)
		return redis_node_named(r, redis_node_how(asked)->host, (unsigned)port, err);
	char *name = mem_strndup(host, len);
	struct redis_node *n = redis_node_named(r, name, (unsigned)port, err);
	free(name);
	return n;
}

struct redis_node *redis_cluster_follow(
	struct redis *r, const char *text, const struct redis_node *from, struct err *err)
{
	uint64_t slot;
	uint64_t port;
	bool moved = str_starts(text, "MOVED ");
	const char *number = strchr(text, ' ');
	const char *host = number ? strchr(number + 1, ' ') : NULL;
	/* The last colon: IPv6 addresses have more of them, and no brackets. */
	const char *colon = host ? strrchr(host, ':') : NULL;
	if (!colon ||
		str_to_u64_n(number + 1, (size_t)(host - number - 1), REDIS_CLUSTER_SLOTS - 1,
			&slot) < 0 ||
		str_to_u64(colon + 1, 65535, &port) < 0) {
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the Redis Cluster redirects in a way that is not understood");
		return NULL;
	}
	host++;
	struct redis_node *n = node_of(r, host, (size_t)(colon - host), port, from, err);
	if (n && moved) {
		pthread_mutex_lock(&r->mutex);
		set_slots(r, (unsigned)slot, (unsigned)slot, n);
		pthread_mutex_unlock(&r->mutex);
	}
	return n;
}

static bool is_int(const redisReply *e, long long max)
{
	return e->type == REDIS_REPLY_INTEGER && e->integer >= 0 && e->integer <= max;
}

/* [host, port, …] as a node; one without a name is not to be used. 0, or -1: not understood. */
static int take_node(struct redis *r, const redisReply *e, const struct redis_node *asked,
	struct redis_node **out, struct err *err)
{
	*out = NULL;
	if (e->type != REDIS_REPLY_ARRAY || e->elements < 2 || !is_int(e->element[1], 65535))
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"the Redis Cluster describes a node in a way that is not understood");
	const redisReply *host = e->element[0];
	bool named = host->type == REDIS_REPLY_STRING;
	if ((!named && host->type != REDIS_REPLY_NIL) || (named && strcmp(host->str, "?") == 0))
		return 0;
	*out = node_of(r, named ? host->str : "", named ? host->len : 0,
		(uint64_t)e->element[1]->integer, asked, err);
	return *out ? 0 : -1;
}

/* One entry: first slot, last slot, its master, replicas. */
static int take_entry(
	struct redis *r, const redisReply *e, const struct redis_node *asked, struct err *err)
{
	struct redis_node *master;
	struct redis_node *replica;
	if (e->type != REDIS_REPLY_ARRAY || e->elements < 3 ||
		!is_int(e->element[0], REDIS_CLUSTER_SLOTS - 1) ||
		!is_int(e->element[1], REDIS_CLUSTER_SLOTS - 1))
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"the Redis Cluster describes itself in a way that is not understood");
	if (take_node(r, e->element[2], asked, &master, err) < 0)
		return -1;
	/* Replicas can be asked who is master, should all that were be gone. */
	for (size_t i = 3; i < e->elements; i++) {
		if (take_node(r, e->element[i], asked, &replica, err) < 0)
			return -1;
	}
	if (!master)
		return 0;
	pthread_mutex_lock(&r->mutex);
	set_slots(r, (unsigned)e->element[0]->integer, (unsigned)e->element[1]->integer, master);
	pthread_mutex_unlock(&r->mutex);
	return 0;
}

static int ask_node(struct redis *r, struct redis_node *n, int64_t deadline, struct err *err)
{
	struct redis_arg args[] = {redis_arg_str("CLUSTER"), redis_arg_str("SLOTS")};
	redisReply *reply;
	int64_t limit = clock_mono_ms() + NODE_MS;
	if (redis_exchange(n, false, args, 2, limit < deadline ? limit : deadline, &reply, err) !=
		REDIS_DONE)
		return -1;
	int rc = 0;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
		rc = err_set(err, ERR_UNAVAILABLE, __func__,
			"a node of the Redis Cluster does not know it");
	for (size_t i = 0; rc == 0 && i < reply->elements; i++)
		rc = take_entry(r, reply->element[i], n, err);
	freeReplyObject(reply);
	return rc;
}

int redis_cluster_refresh(struct redis *r, int64_t deadline, struct err *err)
{
	err_set(err, ERR_UNAVAILABLE, __func__, "no node of the Redis Cluster can be reached");
	for (size_t i = 0; clock_mono_ms() < deadline; i++) {
		pthread_mutex_lock(&r->mutex);
		struct redis_node *n = i < r->nnodes ? r->nodes[i] : NULL;
		pthread_mutex_unlock(&r->mutex);
		if (!n)
			break;
		if (ask_node(r, n, deadline, err) == 0)
			return 0;
	}
	return -1;
}
