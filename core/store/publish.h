/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_PUBLISH_H
#define DEX_STORE_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A sink for reports or events: bytes go to a topic. Formats are made elsewhere
 * (core/dex/report.h). Sending is at least once; a repeated message is the same bytes with the same
 * key.
 */

struct publish_backend;
struct publisher;
struct err;

struct publish_message {
	const char *upload_id; /* messages of one upload keep their order */
	const char *name;      /* action or event type: "upload-status", "FileReady" */
	const char *data;      /* one JSON object, no newline */
	size_t len;
	bool replace; /* disposition "replace": only the newest counts */
};

/* Value of a variable, NULL or "" for none. */
typedef const char *publish_setting_fn(void *arg, const char *variable);

struct publish_place {
	const char *where;           /* folder, ARN or connection string of the sink */
	bool events;                 /* what it is for: events, else reports */
	publish_setting_fn *setting; /* further settings of the backend; NULL: there are none */
	void *arg;
};

/*
 * The place and the settings are copied. ${name} is used in logs, /health and metrics, and in the
 * rows of the outbox. Makes no connection.
 */
struct publisher *publish_open(const struct publish_backend *backend, const char *name,
	const struct publish_place *place, struct err *err);
void publish_close(struct publisher *p); /* NULL is fine */
const char *publish_name(const struct publisher *p);
/* True where sending is a cheap local write, done at once by whoever causes the message. */
bool publish_is_local(const struct publisher *p);
/*
 * Send one message. ${repeat}: it may have been sent before, and must then survive a crash after
 * return: a local sink looks whether it is there already and syncs it to disk.
 *
 * -1 with ERR_INVALID or ERR_TOO_LARGE: the sink is there and will never take this very message
 * (answers such as 400 and 413). -1 with any other code: not now. That is also the code of what a
 * person has to mend, rights (401, 403) or a queue that is missing (404): it is no fault of the
 * message, which is tried for as long as it takes.
 */
int publish_send(
	struct publisher *p, const struct publish_message *m, bool repeat, struct err *err);
/*
 * Send the first ${sent} of ${n} messages of one upload at once, in their order; the sink decides
 * how many, one at least. -1 as publish_send, of all that it tried together: which of them was
 * refused is found by sending them singly. Only for sinks of which publish_can_batch is true.
 */
bool publish_can_batch(const struct publisher *p);
int publish_send_many(struct publisher *p, const struct publish_message *m, size_t n, size_t *sent,
	struct err *err);
/* Whether ${err} of publish_send says that the message will never be taken. */
bool publish_refused(const struct err *err);
int publish_probe(struct publisher *p, struct err *err);

#endif
