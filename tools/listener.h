/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_LISTENER_H
#define DEX_TOOLS_LISTENER_H

#include "core/dex/delivery.h"

#include <stddef.h>

/*
 * Deliveries that the message buses ask for: a thread for each subscriber receives FileReady
 * events, the workers of a pool heed them. The state stays the truth. An event is complete once the
 * state has taken note of what came of it: the delivery is done, given up, or waits there for its
 * next try, whose pause a message that were given back would not keep. So a lost message, a bus
 * that is down and a watcher that dies cost seconds: what has been due for OVERDUE_MS is delivered
 * without being asked.
 */

struct app;
struct err;
struct listener;

/* ${jobs}: so many messages of each subscriber are in hand at most. NULL + ${err}: no threads. */
struct listener *listener_start(struct app *a, size_t jobs, struct err *err);
/*
 * Heed one message, or deliver what is overdue; waits for either up to a second, less when we are
 * to end. Outcome as of delivery_run_one; DELIVERY_NOTHING_DUE also for a message that asked for
 * nothing new.
 */
enum delivery_outcome listener_run_one(struct listener *l, const char *owner,
	const struct delivery_progress *progress, struct err *err);
/* After stop_ask, when no worker runs any more: gives back what is in hand. NULL is fine. */
void listener_join(struct listener *l);

#endif
