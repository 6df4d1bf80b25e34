/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_DELIVERY_LEASE_H
#define DEX_DEX_DELIVERY_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Keeps the lease of a running delivery alive: a thread of its own renews it at half its life, so
 * that neither a slow target nor a long pause between two progress calls lets it run out.
 */

struct delivery_lease;
struct err;
struct state;

/* Start to renew the lease that ${owner} (a string that outlives this) holds. NULL + ${err}. */
struct delivery_lease *delivery_lease_keep(
	struct state *s, int64_t id, const char *owner, int64_t lease_ms, struct err *err);
/* It belongs to another worker now, or nothing could be renewed for its whole life. Cheap. */
bool delivery_lease_lost(const struct delivery_lease *l);
/* Ask the state store now: 1 still ours, 0 lost, -1 when it fails. */
int delivery_lease_check(struct delivery_lease *l, struct err *err);
/* Stop renewing (the lease itself stays). NULL is fine. */
void delivery_lease_drop(struct delivery_lease *l);

#endif
