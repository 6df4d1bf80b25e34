/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_REDIS_WATCH_H
#define DEX_TEST_REDIS_WATCH_H

#include "tests/lib/redis_server.h"

/*
 * What clients ask a real server: each is one round trip. What scripts do inside it does not count,
 * nor does what belongs to no request: greeting, subscribing, and looking after leases.
 */

struct redis_watch;

struct redis_watch *redis_watch_start(const struct redis_server *s);
/* How many commands came since the start or the last call; ${names} (may be NULL) gets their names.
 */
int redis_watch_count(struct redis_watch *w, char *names, size_t size);
void redis_watch_stop(struct redis_watch *w);

#endif
