/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/notify.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/metrics.h"
#include "core/store/publish.h"

#include <stdlib.h>
#include <string.h>

#define TAKE_MAX 64
#define LEASE_MS INT64_C(120000)
/* A local message is written at once; the sweep only has to look after it when that was lost. */
#define LOCAL_GRACE_US (60 * CLOCK_US_PER_S)
#define PAUSE_FIRST_MS INT64_C(5000)
#define PAUSE_MAX_MS INT64_C(60000)
/* So many failures in a row mean that the sink is down: the rest waits for the next flush. */
#define FAILURES_MAX 3

struct notify_item {
	enum notify_kind kind;
	struct publisher *publisher;
	char upload_id[UUID_SIZE];
	const char *name;
	char *data;
	size_t len;
	bool replace;
	bool keep;
};

void notify_close(struct notify *n)
{
	for (size_t i = 0; i < n->n; i++)
		publish_close(n->sinks[i].publisher);
	n->n = 0;
}

struct publisher *notify_find(const struct notify *n, const char *name)
{
	for (size_t i = 0; i < n->n; i++) {
		if (str_eq(publish_name(n->sinks[i].publisher), name))
			return n->sinks[i].publisher;
	}
	return NULL;
}

void notify_batch_init(struct notify_batch *b, const struct notify *n)
{
	*b = (struct notify_batch){.notify = n};
}

void notify_batch_free(struct notify_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->items[i].data);
	free(b->items);
	free(b->rows);
	*b = (struct notify_batch){.notify = b->notify};
}

void notify_batch_add(struct notify_batch *b, enum notify_kind kind, const char *upload_id,
	const char *name, bool replace, bool keep, struct buf *json)
{
	size_t len = json->len;
	char *data = buf_take(json);
	const char *first = NULL; /* the same once an item owns it */
	for (size_t i = 0; i < b->notify->n; i++) {
		const struct notify_sink *sink = &b->notify->sinks[i];
		if (sink->kind != kind || sink->retired)
			continue;
		if (b->n == b->cap) {
			b->cap = b->cap ? 2 * b->cap : 8;
			b->items = mem_array(b->items, b->cap, sizeof(*b->items));
		}
		struct notify_item *item = &b->items[b->n++];
		*item = (struct notify_item){
			.kind = kind,
			.publisher = sink->publisher,
			.name = name,
			.data = data ? data : mem_strndup(first, len),
			.len = len,
			.replace = replace,
			.keep = keep,
		};
		str_copy(item->upload_id, sizeof(item->upload_id), upload_id);
		if (data)
			first = data;
		data = NULL;
	}
	free(data);
}

struct outbox_list notify_batch_rows(struct notify_batch *b, int64_t now)
{
	struct outbox_list list = {0};
	free(b->rows);
	b->rows = mem_array(NULL, b->n ? b->n : 1, sizeof(*b->rows));
	for (size_t i = 0; i < b->n; i++) {
		const struct notify_item *item = &b->items[i];
		bool local = publish_is_local(item->publisher);
		if (local && !item->keep)
			continue;
		struct outbox_message *row = &b->rows[list.n++];
		*row = (struct outbox_message){
			.sink = publish_name(item->publisher),
			.name = item->name,
			.replace = item->replace,
			.data = item->data,
			.due_at = local ? now + LOCAL_GRACE_US : now,
		};
		str_copy(row->upload_id, sizeof(row->upload_id), item->upload_id);
	}
	list.items = b->rows;
	return list;
}

static void count_event(const char *type)
{
	struct buf labels;
	buf_init(&labels, 200);
	if (metrics_label(&labels, "type", type) == 0 &&
		metrics_label(&labels, "op", "publish") == 0)
		metrics_add(METRIC_EVENTS, buf_str(&labels), 1);
	buf_free(&labels);
}

void notify_batch_send_local(struct notify_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct notify_item *item = &b->items[i];
		if (!publish_is_local(item->publisher))
			continue;
		struct publish_message m = {
			.upload_id = item->upload_id,
			.name = item->name,
			.data = item->data,
			.len = item->len,
			.replace = item->replace,
		};
		struct err err = {0};
		if (publish_send(item->publisher, &m, false, &err) < 0)
			LOG(LOG_LEVEL_WARN, "message not written",
				log_str("upload_id", item->upload_id), log_str("name", item->name),
				log_err(&err));
		else if (item->kind == NOTIFY_EVENT)
			count_event(item->name);
	}
}

/* Messages taken from the outbox, in their order. */
struct taken {
	struct outbox_message items[TAKE_MAX]; /* `data` and `name` owned */
	size_t n;
};

static int keep_message(void *arg, const struct outbox_message *m)
{
	struct taken *t = arg;
	if (t->n == TAKE_MAX)
		return -1;
	struct outbox_message *copy = &t->items[t->n++];
	*copy = *m;
	copy->sink = NULL;
	copy->name = mem_strdup(m->name);
	copy->data = mem_strdup(m->data);
	return 0;
}

static void forget_messages(struct taken *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free((void *)(uintptr_t)t->items[i].name);
		free((void *)(uintptr_t)t->items[i].data);
	}
	t->n = 0;
}

static int64_t pause_us(int attempt)
{
	int64_t ms = PAUSE_FIRST_MS;
	for (int i = 0; i < attempt && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	return (ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS) * CLOCK_US_PER_MS;
}

struct flush {
	struct state *state;
	uint64_t max_retry;
	bool (*stop)(void *arg);
	void *arg;
	int in_a_row; /* failures of the present sink that say it is down */
	size_t sent;
	size_t failed;
};

/* An earlier message of the same upload failed in this batch: it has to go first. */
static bool must_wait(const struct taken *t, size_t i, const bool *failed)
{
	for (size_t k = 0; k < i; k++) {
		if (failed[k] && str_eq(t->items[k].upload_id, t->items[i].upload_id))
			return true;
	}
	return false;
}

/* Refused once more than it is worth. */
static bool hopeless(const struct flush *f, const struct outbox_message *m, const struct err *cause)
{
	return publish_refused(cause) && (uint64_t)m->attempt >= f->max_retry;
}

static int set_aside(struct flush *f, const struct publisher *p, const struct outbox_message *m,
	const struct err *cause, struct err *err)
{
	bool park = hopeless(f, m, cause);
	f->failed++;
	LOG(park ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, park ? "message parked" : "message put off",
		log_str("upload_id", m->upload_id), log_str("sink", publish_name(p)),
		log_str("name", m->name), log_int("attempt", m->attempt + 1), log_err(cause));
	if (park)
		return state_outbox_park(f->state, m->id, cause->text, clock_now(), err);
	return state_outbox_retry(f->state, m->id, clock_now() + pause_us(m->attempt), err);
}

/* What was not come to is due again, not when its lease is over. */
static int give_back(struct flush *f, const struct taken *t, const bool *done, struct err *err)
{
	int64_t due = clock_now() + PAUSE_FIRST_MS * CLOCK_US_PER_MS;
	for (size_t i = 0; i < t->n; i++) {
		if (!done[i] && state_outbox_retry(f->state, t->items[i].id, due, err) < 0)
			return -1;
	}
	return 0;
}

/* What happens to the messages that were taken. */
struct round {
	const struct notify_sink *sink;
	const struct taken *t;
	bool failed[TAKE_MAX];
	bool done[TAKE_MAX]; /* sent, or set aside */
	int64_t sent[TAKE_MAX];
	size_t nsent;
};

static void note_sent(struct flush *f, struct round *r, size_t i)
{
	const struct outbox_message *m = &r->t->items[i];
	r->done[i] = true;
	r->sent[r->nsent++] = m->id;
	f->in_a_row = 0;
	/* A local one was counted when it was written. */
	if (r->sink->kind == NOTIFY_EVENT && !publish_is_local(r->sink->publisher))
		count_event(m->name);
}

static struct publish_message message_of(const struct outbox_message *m)
{
	return (struct publish_message){
		.upload_id = m->upload_id,
		.name = m->name,
		.data = m->data,
		.len = strlen(m->data),
		.replace = m->replace,
	};
}

/* Number ${i} together with others of its upload. 1: sent, 0: it has to go alone, -1: not now. */
static int send_together(struct flush *f, struct round *r, size_t i, struct err *cause)
{
	struct publish_message messages[TAKE_MAX];
	size_t which[TAKE_MAX] = {0};
	size_t n = 0;
	size_t sent = 0;
	for (size_t k = i; k < r->t->n; k++) {
		if (r->done[k] || !str_eq(r->t->items[k].upload_id, r->t->items[i].upload_id))
			continue;
		messages[n] = message_of(&r->t->items[k]);
		which[n++] = k;
	}
	if (n < 2)
		return 0;
	if (publish_send_many(r->sink->publisher, messages, n, &sent, cause) < 0)
		return publish_refused(cause) ? 0 : -1;
	for (size_t k = 0; k < sent; k++)
		note_sent(f, r, which[k]);
	return sent > 0;
}

static int send_one(struct flush *f, struct round *r, size_t i, struct err *cause)
{
	int rc = publish_can_batch(r->sink->publisher) ? send_together(f, r, i, cause) : 0;
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	const struct publish_message m = message_of(&r->t->items[i]);
	err_clear(cause);
	if (publish_send(r->sink->publisher, &m, true, cause) < 0)
		return -1;
	note_sent(f, r, i);
	return 0;
}

/* Send what was taken. 1: go on with this sink, 0: enough for now, -1: the state store failed. */
static int send_taken(
	struct flush *f, const struct notify_sink *sink, const struct taken *t, struct err *err)
{
	struct round r = {.sink = sink, .t = t};
	int rc = 1;
	int64_t began = clock_mono_ms();
	for (size_t i = 0; rc == 1 && i < t->n; i++) {
		/* Beyond its lease another sweep would send the rest at the same time. */
		if (clock_mono_ms() - began > LEASE_MS / 2 || (f->stop && f->stop(f->arg))) {
			rc = 0;
			break;
		}
		struct err cause = {0};
		if (r.done[i] || must_wait(t, i, r.failed) || send_one(f, &r, i, &cause) == 0)
			continue;
		r.done[i] = true;
		r.failed[i] = !hopeless(f, &t->items[i], &cause); /* those behind a parked one go */
		if (set_aside(f, sink->publisher, &t->items[i], &cause, err) < 0)
			rc = -1;
		else if (publish_refused(&cause))
			f->in_a_row = 0; /* it is not down */
		else if (++f->in_a_row == FAILURES_MAX)
			rc = 0;
	}
	if (rc >= 0 && give_back(f, t, r.done, err) < 0)
		rc = -1;
	struct err late = {0};
	if (r.nsent > 0 && state_outbox_sent(f->state, r.sent, r.nsent, &late) < 0) {
		*err = late;
		return -1;
	}
	f->sent += r.nsent;
	return rc;
}

static int flush_sink(struct flush *f, const struct notify_sink *sink, struct err *err)
{
	struct taken *t = mem_zalloc(sizeof(*t));
	int rc = 1;
	f->in_a_row = 0;
	/* One at first: of a sink that is down, few messages are kept from another sweep. */
	int max = publish_is_local(sink->publisher) ? TAKE_MAX : 1;
	while (rc == 1 && !(f->stop && f->stop(f->arg))) {
		if (state_outbox_take(f->state, publish_name(sink->publisher), clock_now(),
			    LEASE_MS, max, keep_message, t, err) < 0)
			rc = -1;
		else if (t->n == 0)
			rc = 0;
		else
			rc = send_taken(f, sink, t, err);
		if (f->in_a_row == 0)
			max = TAKE_MAX;
		forget_messages(t);
	}
	free(t);
	return rc < 0 ? -1 : 0;
}

int notify_flush(const struct notify *n, struct state *state, bool (*stop)(void *arg), void *arg,
	size_t *sent, size_t *failed, struct err *err)
{
	struct flush f = {.state = state, .max_retry = n->max_retry, .stop = stop, .arg = arg};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n->n; i++)
		rc = flush_sink(&f, &n->sinks[i], err);
	*sent = f.sent;
	*failed = f.failed;
	return rc;
}
