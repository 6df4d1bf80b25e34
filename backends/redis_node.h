/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_NODE_H
#define DEX_BACKENDS_REDIS_NODE_H

#include "backends/redis_conn.h"

/*
 * The connections to one server, at most REDIS_NODE_MAX: threads borrow one for a command. While
 * the server is out of reach one thread at a time tries it, with growing pauses; the others fail at
 * once.
 */

#define REDIS_NODE_MAX 64

struct redis_node;

/* ${how} is kept; its host is copied. */
struct redis_node *redis_node_new(const struct redis_conn_how *how);
void redis_node_free(struct redis_node *n); /* all connections were given back */
const struct redis_conn_how *redis_node_how(const struct redis_node *n);

/* NULL: out of reach; ERR_UNAVAILABLE or what redis_conn_open says. */
struct redis_conn *redis_node_borrow(struct redis_node *n, int64_t deadline, struct err *err);
/* ${good} false: it broke or is out of step, and the idle ones may be too: they are closed. */
void redis_node_return(struct redis_node *n, struct redis_conn *c, bool good);
/* Close the idle connections, so that the next ones look up the host name again. */
void redis_node_forget(struct redis_node *n);
/* Its last connection failed. */
bool redis_node_is_down(struct redis_node *n);

#endif
