/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_STOP_H
#define DEX_TOOLS_STOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The wish to end. SIGTERM and SIGINT ask everybody to finish within seconds; a second one, or time
 * running out, ends the process at once, which loses nothing: leases run out. SIGHUP reopens the
 * log.
 */

struct err;

/* Begin to listen. Call before other threads start, for they inherit the blocked signals. */
int stop_listen(struct err *err);
/* We are to end. ${arg} is not used; the form is that of a stop callback. */
bool stop_asked(void *arg);
/* Ask it ourselves. */
void stop_ask(void);
/* Becomes readable, for good, when we are to end. */
int stop_fd(void);
/* Sleep at most so long; wakes up when we are to end. */
void stop_sleep(int64_t ms);

#endif
