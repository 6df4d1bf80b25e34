/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_IMPL_H
#define DEX_BACKENDS_REDIS_IMPL_H

#include "backends/redis.h"
#include "backends/redis_node.h"
#include "backends/redis_uri.h"
#include "core/base/err.h"

#include <pthread.h>

/* What the files of redis.h share. */

struct redis {
	struct redis_uri uri;
	struct redis_tls *tls;
	pthread_mutex_t mutex; /* guards what follows; never held for long */
	bool refreshing;       /* a thread finds out who serves what */
	pthread_cond_t refreshed;
	int64_t refreshed_at;      /* 0: never */
	struct err refresh_err;    /* of the last time */
	struct redis_node **nodes; /* all that were ever heard of */
	size_t nnodes;
	struct redis_node *first;  /* asked unless a slot says otherwise; NULL: Sentinels know */
	size_t host;               /* ${first} is that of the connection string */
	struct redis_node **slots; /* of a Cluster, by hash slot, NULL where unknown; NULL: no
				      Cluster */
};

/* The node of that name, made when it is new. NULL: there are too many. */
struct redis_node *redis_node_named(
	struct redis *r, const char *host, unsigned port, struct err *err);
/* Send one command to ${n} and read its reply, an error perhaps: REDIS_DONE, _DOWN, _UNKNOWN. */
enum redis_result redis_exchange(struct redis_node *n, bool asking, const struct redis_arg *args,
	size_t nargs, int64_t deadline, redisReply **out, struct err *err);
/* The node for ${key}, or any for NULL. */
struct redis_node *redis_route(
	struct redis *r, const char *key, size_t len, int64_t deadline, struct err *err);
/*
 * Ask the Sentinels or the Cluster again, or take the next host of the connection string; ${bad}
 * (NULL is fine) is what did not answer. Not more often than is good for them.
 */
int redis_refresh(struct redis *r, const struct redis_node *bad, int64_t deadline, struct err *err);

#endif
