/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_CONN_H
#define DEX_BACKENDS_REDIS_CONN_H

#include "backends/redis.h"

#include <stdbool.h>

/*
 * One connection to a Redis server, for one thread at a time. Deadlines are of clock_mono_ms; the
 * look-up of a host name alone may take longer. Failures are ERR_UNAVAILABLE but where told.
 */

struct redis_conn;
struct redis_tls;

struct redis_conn_how { /* borrowed */
	const char *host;
	unsigned port;
	struct redis_tls *tls; /* NULL: plain */
	const char *user;      /* NULL: default */
	const char *password;  /* NULL: no AUTH */
	bool when_asked;       /* AUTH only where the server wants it */
	unsigned db;
};

/* Connect, authenticate, select. Also ERR_DENIED, ERR_INVALID (no such database). */
struct redis_conn *redis_conn_open(
	const struct redis_conn_how *how, int64_t deadline, struct err *err);
void redis_conn_close(struct redis_conn *c); /* NULL is fine */

/* -1: the server has not got the whole command, and will not. The connection is of no more use. */
int redis_conn_send(struct redis_conn *c, const struct redis_arg *args, size_t n, int64_t deadline,
	struct err *err);
/* The next reply, freed by the caller. -1: the connection is of no more use. */
int redis_conn_read(struct redis_conn *c, redisReply **out, int64_t deadline, struct err *err);
/* Nothing has come that nobody asked for, an end of the connection for instance. */
bool redis_conn_is_quiet(const struct redis_conn *c);
/*
 * Wait until redis_conn_read would get something, ${stop_fd} is readable (-1: none) or the deadline
 * has come: 1, 0, 0.
 */
int redis_conn_wait(struct redis_conn *c, int stop_fd, int64_t deadline);

#endif
