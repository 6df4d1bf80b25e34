/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports and events to a queue or topic of Azure Service Bus
 * (https://learn.microsoft.com/rest/api/servicebus/send-message-to-queue, send-message-batch). A
 * message carries the upload's id as session and partition key, which keep its order in a queue
 * with sessions or partitions, and an id of its own that is the same when it is sent again: a queue
 * with duplicate detection keeps it once.
 */
#include "backends/service_bus.h"

#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/store/publish_impl.h"

#include <stdlib.h>
#include <string.h>

/* Nothing is repeated here: the outbox does that, and a sweep is not to wait for a dead bus. */
#define SEND_MS 5000
/* The standard tier takes 256 KB with the head of the message, the premium tier 1 MB over HTTPS. */
#define STANDARD_MAX ((size_t)256 * 1000)
#define PREMIUM_MAX ((size_t)1 << 20)
#define BROKER_MAX 1024
#define BATCH_MAX ((size_t)200 * 1000) /* room for what the service adds to each message */

struct bus_publisher {
	struct publisher base;
	struct service_bus bus;
};

static void bus_close(struct publisher *base)
{
	struct bus_publisher *p = (struct bus_publisher *)base;

	service_bus_close(&p->bus);
	free(p);
}

static struct publisher *bus_open(const struct publish_place *place, struct err *err)
{
	struct bus_publisher *p = mem_zalloc(sizeof(*p));
	const char *entity = service_bus_entity(place->setting, place->arg,
		place->events ? "PUBLISHER_QUEUE" : "REPORTER_QUEUE",
		place->events ? "PUBLISHER_TOPIC" : "REPORTER_TOPIC", err);

	if (err->code == ERR_NONE && service_bus_open(&p->bus, place->where, entity, NULL,
					     place->setting, place->arg, err) == 0)
		return &p->base;
	bus_close(&p->base);
	return NULL;
}

/* The same for a message that is sent again, another one for every other. */
static void message_id(const struct publish_message *m, char out[DIGEST_SHA256_HEX])
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	(void)buf_printf(&b, "%s\n%s\n", m->upload_id, m->name);
	(void)buf_add(&b, m->data, m->len);
	digest_sha256_hex(b.data, b.len, out);
	buf_free(&b);
}

static void add_broker_properties(const struct publish_message *m, struct buf *out)
{
	char id[DIGEST_SHA256_HEX];

	message_id(m, id);
	/* Ids and names were checked: none of them needs escapes. */
	(void)buf_printf(out,
		"{\"MessageId\":\"%s\",\"SessionId\":\"%s\",\"PartitionKey\":\"%s\","
		"\"Label\":\"%s\",\"ContentType\":\"application/json\"}",
		id, m->upload_id, m->upload_id, m->name);
}

static void set_fields(struct service_bus_call *c, const struct publish_message *m)
{
	struct buf broker;

	buf_init(&broker, BROKER_MAX);
	add_broker_properties(m, &broker);
	net_headers_set(&c->r.headers, "Content-Type", "application/json");
	net_headers_set(&c->r.headers, "BrokerProperties", buf_str(&broker));
	/* Properties that subscriptions can filter by; texts of them stand in quotes. */
	net_headers_set(&c->r.headers, "disposition", m->replace ? "\"replace\"" : "\"add\"");
	buf_free(&broker);
}

static int bus_send(
	struct publisher *base, const struct publish_message *m, bool repeat, struct err *err)
{
	struct bus_publisher *p = (struct bus_publisher *)base;
	struct service_bus_call c;
	(void)repeat; /* a queue cannot be asked for what it was sent */

	if (m->len > PREMIUM_MAX)
		return err_set(err, ERR_TOO_LARGE, __func__,
			"%zu bytes are more than a message may have (%zu)", m->len, PREMIUM_MAX);
	service_bus_call_init(&c, &p->bus, "POST", "/messages", SEND_MS);
	set_fields(&c, m);
	c.r.body = m->data;
	c.r.body_len = m->len;
	int rc = service_bus_call_run(&c, err);
	/* 403 is a quota that is used up, and a message that is too large. */
	if (rc < 0 && c.a.status == 403 && m->len > STANDARD_MAX)
		err->code = ERR_TOO_LARGE;
	service_bus_call_free(&c);
	return rc;
}

/* One row of a batch, whose text is a JSON string there. */
static int add_row(struct buf *out, const struct publish_message *m)
{
	(void)buf_add_str(out, out->len > 0 ? ",{\"Body\":" : "[{\"Body\":");
	(void)json_write_string(out, m->data, m->len);
	(void)buf_add_str(out, ",\"BrokerProperties\":");
	add_broker_properties(m, out);
	return buf_printf(out, ",\"UserProperties\":{\"disposition\":\"%s\"}}",
		m->replace ? "replace" : "add");
}

/* All of one upload: messages with several partition keys may not stand in one batch. */
static int bus_send_many(struct publisher *base, const struct publish_message *m, size_t n,
	size_t *sent, struct err *err)
{
	struct bus_publisher *p = (struct bus_publisher *)base;
	struct service_bus_call c;
	struct buf body;
	size_t rows = 0;

	buf_init(&body, BATCH_MAX);
	for (size_t whole = 0; rows < n; rows++, whole = body.len) {
		if (add_row(&body, &m[rows]) == 0)
			continue;
		body.len = whole;
		break;
	}
	body.overflow = false;
	if (rows == 0 || buf_add_char(&body, ']') < 0) {
		buf_free(&body);
		return err_set(err, ERR_TOO_LARGE, __func__, "a message is too large for a batch");
	}
	service_bus_call_init(&c, &p->bus, "POST", "/messages", SEND_MS);
	net_headers_set(&c.r.headers, "Content-Type", "application/vnd.microsoft.servicebus.json");
	c.r.body = body.data;
	c.r.body_len = body.len;
	int rc = service_bus_call_run(&c, err);
	*sent = rows;
	service_bus_call_free(&c);
	buf_free(&body);
	return rc;
}

static int bus_probe(struct publisher *base, struct err *err)
{
	return service_bus_probe(&((struct bus_publisher *)base)->bus, err);
}

static const char *const bus_settings[] = {
	"REPORTER_QUEUE",
	"REPORTER_TOPIC",
	"PUBLISHER_QUEUE",
	"PUBLISHER_TOPIC",
	NULL,
};

const struct publish_backend publish_service_bus_backend = {
	.type = "service-bus",
	.reports_env = "REPORTER_CONNECTION_STRING",
	.events_env = "PUBLISHER_CONNECTION_STRING",
	.settings = bus_settings,
	.open = bus_open,
	.close = bus_close,
	.send = bus_send,
	.send_many = bus_send_many,
	.probe = bus_probe,
};
