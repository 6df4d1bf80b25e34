/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_SUBSCRIBE_H
#define DEX_STORE_SUBSCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A queue of a message bus. A message that was received is locked: nobody else gets it while we
 * have it in hand. It ends with one of complete, abandon and dead_letter; until then its lock is
 * renewed by a thread of the subscriber, at half its life. A message whose lock was lost, or whose
 * end did not reach the bus, comes again: whoever heeds messages must not mind duplicates.
 */

struct err;
struct subscribe_backend;
struct subscriber;

/* Value of a variable, NULL or "" for none. */
typedef const char *subscribe_setting_fn(void *arg, const char *variable);

struct subscribe_place {
	const char *where;             /* value of the backend's variable: connection string, ARN */
	subscribe_setting_fn *setting; /* further settings of the backend; NULL: there are none */
	void *arg;
};

struct subscribe_message {
	const char *data; /* NUL-terminated, too */
	size_t len;
	const char *id; /* of the bus, for logs */
	unsigned count; /* how often it was received, this time included; 0: not told */
};

/*
 * The place and its settings are copied. ${name} is used in logs and /health. Makes no connection.
 * ERR_INVALID names the variable at fault where it is not the one of ${place}->where.
 */
struct subscriber *subscribe_open(const struct subscribe_backend *backend, const char *name,
	const struct subscribe_place *place, struct err *err);
/* No message may be in hand. NULL is fine. */
void subscribe_close(struct subscriber *s);
const char *subscribe_name(const struct subscriber *s);
/* How many messages the settings let one call receive. */
size_t subscribe_batch(const struct subscriber *s);

/*
 * Receive up to ${max} messages into ${out}, waiting up to ${wait_ms} for the first one. ${stop}
 * (may be NULL) is asked about once a second whether to give that up. The number of messages, 0 for
 * none; -1: ERR_UNAVAILABLE, ERR_DENIED, ERR_NOT_FOUND … may all be mended while we run.
 */
int subscribe_receive(struct subscriber *s, size_t max, int64_t wait_ms, bool (*stop)(void *arg),
	void *arg, struct subscribe_message **out, struct err *err);
/* What the message asked for is done: the bus forgets it. Frees ${m}, also where it fails. */
int subscribe_complete(struct subscriber *s, struct subscribe_message *m, struct err *err);
/* It may be received again at once, by anybody. Frees ${m}. */
int subscribe_abandon(struct subscriber *s, struct subscribe_message *m, struct err *err);
/*
 * Nobody can make anything of it: it goes to the dead letters, with ${reason} where the bus keeps
 * one. A bus without that operation is left to move it by its own rules. Frees ${m}.
 */
int subscribe_dead_letter(
	struct subscriber *s, struct subscribe_message *m, const char *reason, struct err *err);
/* Nobody is told: its lock runs out some time. Frees ${m}. */
void subscribe_forget(struct subscriber *s, struct subscribe_message *m);
/* The bus answers and would let us receive; takes no message. */
int subscribe_probe(struct subscriber *s, struct err *err);

#endif
