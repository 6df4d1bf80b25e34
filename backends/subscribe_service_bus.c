/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events from a queue of Azure Service Bus, or from a subscription of a topic, in the peek-lock
 * mode of its REST interface
 * (https://learn.microsoft.com/rest/api/servicebus/peek-lock-message-non-destructive-read): one
 * message a request. A queue with sessions cannot be received from that way.
 *
 * The interface can unlock a message and delete it, but has no operation that moves it to the dead
 * letters (the same page lists its operations). So a message nobody can make anything of is
 * unlocked until the queue's MaxDeliveryCount moves it there, and the reason stands in our log.
 */
#include "backends/service_bus.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/subscribe_impl.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 10000 /* for an answer, beyond what the service was asked to wait */
#define LOCK_CALL_MS 5000
#define END_MS 5000
#define ABANDON_MS 2000
#define LOCK_DEFAULT_MS 30000
#define LOCK_MAX_MS 300000 /* the longest that a queue can be set to */
#define BATCH_MAX 1000

struct bus_subscriber {
	struct subscriber base;
	struct service_bus bus;
};

struct bus_message {
	struct subscribe_held base;
	char *data;
	char *id;
	char *suffix; /* "/messages/ID/TOKEN", encoded */
};

static void bus_close(struct subscriber *base)
{
	struct bus_subscriber *s = (struct bus_subscriber *)base;

	service_bus_close(&s->bus);
	free(s);
}

static const char *look_up(const struct subscribe_place *place, const char *variable)
{
	const char *value = place->setting ? place->setting(place->arg, variable) : NULL;

	return value && *value ? value : NULL;
}

static int open_bus(struct bus_subscriber *s, const struct subscribe_place *place, struct err *err)
{
	const char *subscription = look_up(place, "SUBSCRIBER_SUBSCRIPTION");
	const char *topic = look_up(place, "SUBSCRIBER_TOPIC");
	const char *queue = look_up(place, "SUBSCRIBER_QUEUE");
	const char *batch = look_up(place, "SUBSCRIBER_MAX_MESSAGES");
	uint64_t max = 1;

	const char *entity = service_bus_entity(
		place->setting, place->arg, "SUBSCRIBER_QUEUE", "SUBSCRIBER_TOPIC", err);
	if (err->code != ERR_NONE)
		return -1;
	if (topic && !subscription)
		return err_set(err, ERR_INVALID, __func__,
			"SUBSCRIBER_SUBSCRIPTION must be set where SUBSCRIBER_TOPIC is: a topic "
			"itself cannot be received from");
	if (queue && subscription)
		return err_set(err, ERR_INVALID, __func__,
			"only one of SUBSCRIBER_QUEUE and SUBSCRIBER_SUBSCRIPTION can be set");
	if (batch && str_to_u64(batch, BATCH_MAX, &max) < 0)
		return err_set(err, ERR_INVALID, __func__, "SUBSCRIBER_MAX_MESSAGES is no number");
	s->base.batch = (size_t)max;
	return service_bus_open(
		&s->bus, place->where, entity, subscription, place->setting, place->arg, err);
}

static struct subscriber *bus_open(const struct subscribe_place *place, struct err *err)
{
	struct bus_subscriber *s = mem_zalloc(sizeof(*s));

	if (open_bus(s, place, err) == 0)
		return &s->base;
	bus_close(&s->base);
	return NULL;
}

static void bus_drop(struct subscribe_held *base)
{
	struct bus_message *m = (struct bus_message *)base;

	free(m->data);
	free(m->id);
	free(m->suffix);
	free(m);
}

/* By the service's clock, not ours: from its Date to its LockedUntilUtc. */
static int64_t lock_left_ms(const struct net_response *a, const char *until)
{
	const char *date = net_headers_get(&a->headers, "Date");
	int64_t from, to;

	if (!until || !date || clock_parse_http_date(date, &from) < 0 ||
		clock_parse_http_date(until, &to) < 0 || to <= from)
		return LOCK_DEFAULT_MS;
	int64_t ms = (to - from) / CLOCK_US_PER_MS;
	return ms < LOCK_MAX_MS ? ms : LOCK_MAX_MS;
}

/*
 * "Location: https://…/messages/ID/TOKEN" is where it is unlocked, deleted and renewed. Its host is
 * not used: what answers us has no say in where our signature is sent.
 */
static char *suffix_of(const struct net_response *a)
{
	static const char mark[] = "/messages/";
	const char *location = net_headers_get(&a->headers, "Location");
	const char *found = NULL;

	for (const char *p = location ? strstr(location, mark) : NULL; p; p = strstr(p + 1, mark))
		found = p;
	if (!found || strpbrk(found, "?# \"<>\\") || strstr(found, "/..") ||
		!strchr(found + strlen(mark), '/'))
		return NULL;
	return mem_strdup(found);
}

static struct bus_message *make_message(struct net_response *a, struct err *err)
{
	const char *text = net_headers_get(&a->headers, "BrokerProperties");
	json_t *broker = text ? json_parse(text, strlen(text), err) : NULL;
	char *suffix = suffix_of(a);

	if (!broker || !suffix || a->truncated) {
		err_set(err, ERR_IO, __func__, "the service gave a message without %s",
			a->truncated ? "end"
			: suffix     ? "BrokerProperties"
				     : "Location");
		json_decref(broker);
		free(suffix);
		return NULL;
	}
	struct bus_message *m = mem_zalloc(sizeof(*m));
	const char *id = json_get_str(broker, "MessageId");
	json_int_t count = json_integer_value(json_object_get(broker, "DeliveryCount"));
	m->suffix = suffix;
	m->id = mem_strdup(id ? id : "");
	m->base.m.len = a->body.len;
	m->data = buf_take(&a->body);
	m->base.m.data = m->data;
	m->base.m.id = m->id;
	m->base.m.count = count > 0 && count < 1000000 ? (unsigned)count : 0;
	m->base.lock_ms = lock_left_ms(a, json_get_str(broker, "LockedUntilUtc"));
	m->base.locked_until = clock_mono_ms() + m->base.lock_ms;
	json_decref(broker);
	return m;
}

/* 1: a message, 0: there is none, -1. */
static int receive_one(struct bus_subscriber *s, int64_t wait_ms, bool (*stop)(void *arg),
	void *arg, struct subscribe_held **out, struct err *err)
{
	struct service_bus_call c;
	struct buf suffix;

	buf_init(&suffix, 64);
	(void)buf_printf(&suffix, "/messages/head?timeout=%lld", (long long)(wait_ms / 1000));
	service_bus_call_init(&c, &s->bus, "POST", buf_str(&suffix), wait_ms + PATIENCE_MS);
	c.r.stop = stop;
	c.r.stop_arg = arg;
	int rc = service_bus_call_run(&c, err);
	if (rc == 0 && c.a.status != 204) {
		struct bus_message *m = make_message(&c.a, err);
		if (m)
			*out = &m->base;
		rc = m ? 1 : -1;
	}
	service_bus_call_free(&c);
	buf_free(&suffix);
	return rc;
}

static int bus_receive(struct subscriber *base, size_t max, int64_t wait_ms,
	bool (*stop)(void *arg), void *arg, struct subscribe_held **out, struct err *err)
{
	struct bus_subscriber *s = (struct bus_subscriber *)base;
	size_t n = 0;

	while (n < max) {
		struct err ignored = {0};
		/* What came before a failure is not to wait for its end. */
		int rc = receive_one(
			s, n == 0 ? wait_ms : 0, stop, arg, &out[n], n == 0 ? err : &ignored);
		if (rc < 0 && n == 0)
			return -1;
		if (rc <= 0)
			break;
		n++;
	}
	return (int)n;
}

static int call_lock(struct subscriber *base, const struct subscribe_held *held, const char *method,
	int64_t ms, struct err *err)
{
	struct bus_subscriber *s = (struct bus_subscriber *)base;
	struct service_bus_call c;

	service_bus_call_init(&c, &s->bus, method, ((const struct bus_message *)held)->suffix, ms);
	c.r.idempotent = true;
	int rc = service_bus_call_run(&c, err);
	/* The lock ran out; or the answer to a try before was lost, and there is nothing to do. */
	if (rc < 0 && err->code == ERR_NOT_FOUND)
		err->code = ERR_GONE;
	service_bus_call_free(&c);
	return rc;
}

static int bus_renew(struct subscriber *s, struct subscribe_held *held, struct err *err)
{
	int64_t asked = clock_mono_ms();

	if (call_lock(s, held, "POST", LOCK_CALL_MS, err) < 0)
		return -1;
	held->locked_until = asked + held->lock_ms;
	return 0;
}

static int bus_complete(struct subscriber *s, struct subscribe_held *held, struct err *err)
{
	return call_lock(s, held, "DELETE", END_MS, err);
}

static int bus_abandon(struct subscriber *s, struct subscribe_held *held, struct err *err)
{
	return call_lock(s, held, "PUT", ABANDON_MS, err);
}

static int bus_dead_letter(
	struct subscriber *s, struct subscribe_held *held, const char *reason, struct err *err)
{
	(void)reason;
	return call_lock(s, held, "PUT", END_MS, err);
}

static int bus_probe(struct subscriber *base, struct err *err)
{
	return service_bus_probe(&((struct bus_subscriber *)base)->bus, err);
}

static const char *const bus_settings[] = {
	"SUBSCRIBER_QUEUE",
	"SUBSCRIBER_TOPIC",
	"SUBSCRIBER_SUBSCRIPTION",
	"SUBSCRIBER_MAX_MESSAGES",
	NULL,
};

const struct subscribe_backend subscribe_service_bus_backend = {
	.type = "service-bus",
	.env = "SUBSCRIBER_CONNECTION_STRING",
	.settings = bus_settings,
	.open = bus_open,
	.close = bus_close,
	.receive = bus_receive,
	.renew = bus_renew,
	.complete = bus_complete,
	.abandon = bus_abandon,
	.dead_letter = bus_dead_letter,
	.drop = bus_drop,
	.probe = bus_probe,
};
