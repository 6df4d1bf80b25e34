/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_STATE_WORLD_H
#define DEX_TEST_STATE_WORLD_H

#include "core/base/err.h"
#include "core/store/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct CMUnitTest;

/* The stores that the contract is held against. A further one is a further row in state_world.c. */
struct state_row {
	const char *name;
	const struct state_backend *(*backend)(void);
	/* The store that lives in ${dir}: empty for a new directory, the same one for a known one.
	 */
	struct state *(*open)(const char *dir, struct err *err);
	/* Around all tests of the row, where the store needs a server; may be NULL. false: there is
	 * none on this machine. */
	bool (*start)(void);
	void (*stop)(void);
};

struct state_world { /* of one test */
	const struct state_row *row;
	char *dir;
	struct state *s; /* an empty store */
	struct err err;
};

/* For threads and child processes: print what went wrong and end the process with status 1. */
void state_world_die(const char *what, const struct err *err) __attribute__((noreturn));
/* Close the store, or open it (again). A test that forks does so while it is closed. */
void state_world_close(struct state_world *w);
void state_world_open(struct state_world *w);
/* Run ${tests} for every row; the initial state of each is a struct state_world. Exit status. */
int state_world_run(const char *group, const struct CMUnitTest *tests, size_t n);

/* --- short cuts; each fails the test when the store fails --- */

#define SECOND INT64_C(1000000)
#define NOW INT64_C(1800000000000000) /* of tests whose result does not depend on the real time */

struct seen_deliveries {
	int n;
	int stop_at; /* 0: never */
	char targets[256];
	struct delivery last;
	char sha256[65];  /* of the last one, "-" for NULL */
	char text[3][64]; /* lease owner, location, issues of the last one; "-" for NULL */
};

struct seen_messages {
	char names[256];
	int64_t ids[96];
	int n;
	int attempt; /* of the last */
};

void state_world_ok(struct state_world *w, int rc); /* ${rc} must be 0 */
/* Create an upload; ${u} gets its id. */
void state_world_upload(struct state_world *w, struct upload *u, int64_t length);
/* A change at NOW + 1 without length, token and fence. */
struct upload_change state_world_change(const char *id, int64_t from, int64_t to);
enum state_result state_world_complete_for(
	struct state_world *w, const struct upload *u, const char *const *targets, size_t n);
/* Create an upload of 10 bytes and complete it with one pending delivery. */
void state_world_complete(struct state_world *w, struct upload *u, const char *target);
enum upload_status state_world_status(struct state_world *w, const char *id);
struct state_counts state_world_counts(struct state_world *w);

/* Lease for a second what has been due longest; its id, or 0 when nothing is due. */
int64_t state_world_lease(
	struct state_world *w, const struct delivery_filter *f, const char *owner, int64_t now);
/* End the lease of "me"; another try is due five seconds later. */
enum state_result state_world_end(
	struct state_world *w, int64_t id, enum delivery_status status, int64_t now);
/* Lease the pending delivery of ${u} that is due and end it. */
void state_world_finish(
	struct state_world *w, const struct upload *u, enum delivery_status status, int64_t now);
int state_world_see_delivery(void *seen, const struct delivery *d);
struct seen_deliveries state_world_deliveries(struct state_world *w, const char *id);

struct outbox_message state_world_message(
	const char *upload_id, const char *sink, const char *name);
void state_world_add_message(struct state_world *w, const char *upload_id, const char *sink,
	const char *name, int64_t due_at);
/* Take for a second. */
struct seen_messages state_world_take(
	struct state_world *w, const char *sink, int64_t now, int max);
void state_world_sent(struct state_world *w, const struct seen_messages *seen);
/* Parked messages; ${upload_id} NULL: of all. */
struct seen_messages state_world_parked(struct state_world *w, const char *upload_id);

#endif
