/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_REDIS_SERVER_H
#define DEX_TEST_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Real Redis servers on free ports of 127.0.0.1, each in a scratch directory of its own. They die
 * with the test program. What cannot be done aborts it.
 */

struct redis_server {
	char *dir;
	unsigned port;
	unsigned tls_port; /* 0: none */
	pid_t pid;         /* 0: stopped */
	bool sentinel;
};

/* redis-server is installed. */
bool redis_server_present(void);

/* Start one and wait until it answers. ${config}: further lines of its configuration, or NULL. */
void redis_server_start(struct redis_server *s, const char *config);
/* The same that speaks TLS on tls_port too, with the files of redis_server_certificate(${certs}).
 */
void redis_server_start_tls(struct redis_server *s, const char *certs, const char *config);
/* A Sentinel that watches ${master} under the name "dex", alone and quick to decide. */
void redis_server_start_sentinel(struct redis_server *s, const struct redis_server *master);
/* End it at once, as a crash would; nothing is saved that its configuration does not save. */
void redis_server_stop(struct redis_server *s);
/* Start a stopped one on its old port. */
void redis_server_start_again(struct redis_server *s);
void redis_server_remove(struct redis_server *s);

/* ${n} empty servers that form a Cluster of equal shares. */
void redis_server_start_cluster(struct redis_server *servers, size_t n);

/* A connection of the test's own, past the code under test; free with redisFree. */
redisContext *redis_server_connect(const struct redis_server *s);
/*
 * One command, as redisCommand, on a connection of its own; free with freeReplyObject. Sent again
 * where the server hangs up, as it does when its role changes.
 */
redisReply *redis_server_command(const struct redis_server *s, const char *fmt, ...);

/*
 * Make in ${dir}: ca.crt, and server.crt, server.key for localhost and 127.0.0.1, which it signed.
 */
void redis_server_certificate(const char *dir);

#endif
