/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_CLUSTER_H
#define DEX_BACKENDS_REDIS_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Who serves which key of a Cluster
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
 */

#define REDIS_CLUSTER_SLOTS 16384

struct err;
struct redis;
struct redis_node;

/* Hash slot of a key: CRC16 (XMODEM) of what stands between its first braces, if anything does. */
unsigned redis_cluster_slot(const char *key, size_t len);
/* Learn all slots from any node that answers. */
int redis_cluster_refresh(struct redis *r, int64_t deadline, struct err *err);
/*
 * The node that ${text}, "MOVED SLOT HOST:PORT" or "ASK SLOT HOST:PORT" of ${from}, points to; one
 * that moved is remembered. NULL: it makes no sense.
 */
struct redis_node *redis_cluster_follow(
	struct redis *r, const char *text, const struct redis_node *from, struct err *err);

#endif
