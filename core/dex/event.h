/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_EVENT_H
#define DEX_DEX_EVENT_H

#include "core/base/random.h"

#include <stddef.h>

/* FileReady events that come back from a message bus (report.h writes them). */

struct app;
struct err;

#define EVENT_TARGET_SIZE 256

struct event_ready {
	char upload_id[UUID_SIZE];
	char target[EVENT_TARGET_SIZE];
};

/*
 * Read one event: a JSON object whose `type` is FileReady, with `upload_id` and `deliver_target`;
 * what else it has is not looked at. ERR_INVALID tells what is wrong, in printable words.
 */
int event_ready_parse(const char *data, size_t len, struct event_ready *out, struct err *err);

enum event_task {
	EVENT_DELIVER,   /* the delivery is pending */
	EVENT_DONE,      /* it has ended before: a duplicate */
	EVENT_REFUSED,   /* there can be no such delivery: ${err} */
	EVENT_ERROR = -1 /* state store out of reach: ${err} */
};
/*
 * What the event asks for here. The state is the truth: a delivery that has ended is not begun
 * again. One that a finished upload does not have yet is made, where the routing table allows it.
 */
enum event_task event_ready_task(struct app *a, const struct event_ready *e, struct err *err);

#endif
