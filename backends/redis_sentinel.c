/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_sentinel.h"

#include "backends/redis_impl.h"
#include "core/base/clock.h"
#include "core/base/str.h"

#include <string.h>

/* One Sentinel that hangs must leave time for the others. */
#define SENTINEL_MS 500

static struct redis_node *take_answer(struct redis *r, const redisReply *a, struct err *err)
{
	uint64_t port;
	if (a->type == REDIS_REPLY_NIL) {
		err_set(err, ERR_UNAVAILABLE, __func__, "the Sentinel knows no server named \"%s\"",
			r->uri.master);
		return NULL;
	}
	if (a->type == REDIS_REPLY_ERROR) {
		err_set(err, ERR_UNAVAILABLE, __func__, "the Sentinel refuses to tell: %.100s",
			a->str);
		return NULL;
	}
	if (a->type != REDIS_REPLY_ARRAY || a->elements != 2 ||
		a->element[0]->type != REDIS_REPLY_STRING ||
		a->element[1]->type != REDIS_REPLY_STRING || a->element[0]->len == 0 ||
		str_has_control(a->element[0]->str, a->element[0]->len) ||
		str_to_u64(a->element[1]->str, 65535, &port) < 0 || port == 0) {
		err_set(err, ERR_UNAVAILABLE, __func__, "the Sentinel's answer is not understood");
		return NULL;
	}
	return redis_node_named(r, a->element[0]->str, (unsigned)port, err);
}

static struct redis_node *ask_sentinel(
	struct redis *r, size_t which, int64_t deadline, struct err *err)
{
	struct redis_conn_how how = {
		.host = r->uri.hosts[which].name,
		.port = r->uri.hosts[which].port,
		.tls = r->tls,
		.user = r->uri.user,
		.password = r->uri.password,
		.when_asked = true,
	};
	struct redis_arg args[] = {redis_arg_str("SENTINEL"),
		redis_arg_str("GET-MASTER-ADDR-BY-NAME"), redis_arg_str(r->uri.master)};
	redisReply *reply;
	struct redis_node *n = NULL;
	struct redis_conn *c = redis_conn_open(&how, deadline, err);
	if (c && redis_conn_send(c, args, 3, deadline, err) == 0 &&
		redis_conn_read(c, &reply, deadline, err) == 0) {
		n = take_answer(r, reply, err);
		freeReplyObject(reply);
	}
	redis_conn_close(c);
	return n;
}

/* Sentinels may name one that is a master no more, or not yet. */
static int check_role(struct redis_node *n, int64_t deadline, struct err *err)
{
	struct redis_arg role = redis_arg_str("ROLE");
	redisReply *reply;
	if (redis_exchange(n, false, &role, 1, deadline, &reply, err) != REDIS_DONE)
		return -1;
	int rc = 0;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
		reply->element[0]->type == REDIS_REPLY_STRING &&
		strcmp(reply->element[0]->str, "master") != 0)
		rc = err_set(err, ERR_UNAVAILABLE, __func__,
			"Redis at %s:%u: a replica so far, which Sentinel takes for the master",
			redis_node_how(n)->host, redis_node_how(n)->port);
	freeReplyObject(reply);
	/* It may be a connection from before. */
	if (rc < 0)
		redis_node_forget(n);
	return rc;
}

int redis_sentinel_refresh(struct redis *r, int64_t deadline, struct err *err)
{
	err_set(err, ERR_UNAVAILABLE, __func__, "no Sentinel can be reached");
	for (size_t i = 0; i < r->uri.nhosts; i++) {
		int64_t now = clock_mono_ms();
		if (now >= deadline)
			break;
		int64_t limit = now + SENTINEL_MS < deadline ? now + SENTINEL_MS : deadline;
		struct redis_node *n = ask_sentinel(r, i, limit, err);
		if (!n || check_role(n, deadline, err) < 0)
			continue;
		pthread_mutex_lock(&r->mutex);
		struct redis_node *old = r->first;
		r->first = n;
		pthread_mutex_unlock(&r->mutex);
		if (old && old != n)
			redis_node_forget(old);
		return 0;
	}
	return -1;
}
