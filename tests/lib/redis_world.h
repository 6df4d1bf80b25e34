/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_REDIS_WORLD_H
#define DEX_TEST_REDIS_WORLD_H

#include "backends/redis.h"
#include "core/base/err.h"
#include "tests/lib/redis_server.h"

#include <pthread.h>
#include <stdbool.h>

/* What tests of the connections to Redis share: real servers, and a connection of the product's. */

#define REDIS_WORLD_LONG_MS 60000 /* nothing that works takes so long */
#define REDIS_WORLD_SERVERS 3

struct redis_world { /* of one test; what is not started is removed all the same */
	struct redis_server servers[REDIS_WORLD_SERVERS];
	struct redis_server sentinel;
	char *certs;
	struct redis *r;
	struct err err;
};

/* cmocka set-up and teardown; *state is the world. */
int redis_world_setup(void **state);
int redis_world_teardown(void **state);

/* Open (instead of what was open) the connection string. */
void redis_world_open(struct redis_world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Start the first server and open it. */
void redis_world_open_plain(struct redis_world *w);
/* A command of up to three words; ${key} and ${value} may be NULL. As redis_command. */
enum redis_result redis_world_command(struct redis_world *w, bool repeat, redisReply **out,
	const char *name, const char *key, const char *value);
void redis_world_set(struct redis_world *w, const char *key, const char *value);
/* ${value} NULL: there is none. */
void redis_world_assert_value(struct redis_world *w, const char *key, const char *value);
/* A read fails like this. */
void redis_world_assert_fails(struct redis_world *w, enum redis_result result, enum err_code code);

/* The reply is OK; it is freed. */
void redis_world_accepted(redisReply *reply);
/* Until INFO replication has these words. */
void redis_world_await_role(const struct redis_server *s, const char *role);

struct redis_world_heard { /* by redis_world_hear, which is for redis_listen */
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	int gaps;
	int messages;
	char last[16];
};
void redis_world_hear(void *arg, const char *message);
/* Until the counter, one of ${h}, is ${n}. */
void redis_world_await_heard(struct redis_world_heard *h, const int *counter, int n);

#endif
