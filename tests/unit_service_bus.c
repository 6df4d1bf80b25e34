/* SPDX-License-Identifier: Apache-2.0 */
/* Azure Service Bus: signatures and connection strings, what is sent, what is made of answers. */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/azure_bus.h"
#include "core/store/publish.h"
#include "core/store/subscribe.h"
#include "tests/lib/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "2b1c4f0e-9a55-4a11-8d3e-0f6f6f1c2d3e"
#define KEY "c2VjcmV0IGtleQ=="
#define NAMED "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=" KEY
#define LOCATION \
	"http://elsewhere.example.org/queue/messages/7/0f6f6f1c-2d3e-4a11-8d3e-2b1c4f0e9a55"

static void test_signature(void **state)
{
	/* Made by another implementation of the same description. */
	static const char want[] =
		"SharedAccessSignature sr=https%3A%2F%2Fns.servicebus.windows.net%2Freports"
		"&sig=Ctj59TwS1ekFopy0ynDu9y2Nk%2B0Zx5IL6TDPHzq4rko%3D"
		"&se=1767323045&skn=RootManageSharedAccessKey";
	struct buf out;
	(void)state;
	buf_init(&out, 1024);
	assert_int_equal(azure_bus_signature("https://ns.servicebus.windows.net/reports",
				 "RootManageSharedAccessKey", KEY, 1767323045, &out),
		0);
	assert_string_equal(out.data, want);
	buf_free(&out);
	buf_init(&out, 64);
	assert_int_equal(azure_bus_signature("https://h/q", "k", KEY, 1, &out), -1);
	buf_free(&out);
}

static void test_connection_strings(void **state)
{
	static const struct {
		const char *text;
		const char *entity;
		const char *url;   /* of what is made */
		const char *error; /* or part of why nothing is */
	} rows[] = {
		{"Endpoint=sb://NS.servicebus.windows.net/;" NAMED, "q",
			"https://ns.servicebus.windows.net/q", NULL},
		{"endpoint=sb://ns.example.org;" NAMED ";EntityPath=a/b c;TransportType=Amqp", NULL,
			"https://ns.example.org/a/b%20c", NULL},
		{"Endpoint=sb://ns.example.org;" NAMED ";EntityPath=Q", "q",
			"https://ns.example.org/q", NULL},
		{"Endpoint=https://ns.example.org:8443/;" NAMED, "q",
			"https://ns.example.org:8443/q", NULL},
		{"Endpoint=sb://localhost:5300;" NAMED ";UseDevelopmentEmulator=true;", "q",
			"http://localhost:5300/q", NULL},
		{"Endpoint=sb://localhost;" NAMED ";UseDevelopmentEmulator=false;", "q",
			"https://localhost/q", NULL},
		{"Endpoint=sb://h;SharedAccessSignature=SharedAccessSignature "
		 "sr=a&sig=b&se=1&skn=c",
			"q", "https://h/q", NULL},
		{"Endpoint=sb://ns.example.org;" NAMED ";UseDevelopmentEmulator=true", "q", NULL,
			"must be an sb or https URL"},
		{"Endpoint=http://ns.example.org;" NAMED, "q", NULL, "must be an sb or https URL"},
		{"Endpoint=sb://h;" NAMED ";UseDevelopmentEmulator=maybe", "q", NULL,
			"UseDevelopmentEmulator"},
		{"Endpoint=sb://h/path;" NAMED, "q", NULL, "has a path"},
		{"Endpoint=amqps://h;" NAMED, "q", NULL, "Endpoint"},
		{NAMED, "q", NULL, "no Endpoint"},
		{"Endpoint=sb://h;SharedAccessKey=" KEY, "q", NULL, "no SharedAccessKeyName"},
		{"Endpoint=sb://h;SharedAccessKeyName=k", "q", NULL, "no SharedAccessKey"},
		{"Endpoint=sb://h;SharedAccessSignature=sig=b", "q", NULL, "SharedAccessSignature"},
		{"Endpoint=sb://h;" NAMED, NULL, NULL, "neither a queue nor a topic"},
		{"Endpoint=sb://h;" NAMED ";EntityPath=other", "q", NULL, "another queue or topic"},
		{"Endpoint=sb://h;" NAMED, "a/../b", NULL, "no name of a queue"},
		{"Endpoint=sb://h;" NAMED, "a?b", NULL, "no name of a queue"},
		{"Endpoint=sb://h;" NAMED ";" NAMED, "q", NULL, "twice"},
		{"Endpoint=sb://h;" KEY, "q", NULL, "no SharedAccessKey"},
		{"", "q", NULL, "no Endpoint"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct azure_bus *b = azure_bus_new(rows[i].text, rows[i].entity, &err);
		if (rows[i].url) {
			if (!b)
				fail_msg("%s: %s", rows[i].text, err.text);
			assert_string_equal(azure_bus_url(b), rows[i].url);
		} else {
			assert_null(b);
			assert_int_equal(err.code, ERR_INVALID);
			assert_null(strstr(err.text, KEY));
			if (!strstr(err.text, rows[i].error))
				fail_msg("%s: %s", rows[i].text, err.text);
		}
		azure_bus_free(b);
	}
}

static const char *sign_at(struct azure_bus *b, struct net_request *r, int64_t seconds)
{
	struct err err;
	assert_int_equal(azure_bus_sign(b, r, seconds * CLOCK_US_PER_S, &err), 0);
	return net_headers_get(&r->headers, "Authorization");
}

static void test_signatures_are_kept(void **state)
{
	struct err err;
	struct net_request r;
	(void)state;
	struct azure_bus *b = azure_bus_new("Endpoint=sb://h;" NAMED, "q", &err);
	assert_non_null(b);
	net_request_init(&r, "POST", "https://h/q/messages");
	assert_non_null(strstr(sign_at(b, &r, 1000000), "&se=1003600&"));
	assert_non_null(strstr(sign_at(b, &r, 1003299), "&se=1003600&"));
	assert_non_null(strstr(sign_at(b, &r, 1003300), "&se=1006900&"));
	/* The clock was set back. */
	assert_non_null(strstr(sign_at(b, &r, 1000000), "&se=1003600&"));
	net_request_free(&r);
	azure_bus_free(b);
}

/* --- with a service that answers as it is told --- */

struct world {
	struct http_server *server;
	int status;
	const char *body;
	const char *location;
	const char *until; /* LockedUntilUtc */
	char date[CLOCK_HTTP_SIZE];
	char until_text[CLOCK_HTTP_SIZE];
	char *where;
	struct err err;
};

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;
	char broker[256];
	a->status = w->status;
	(void)buf_add_str(&a->body, w->body);
	if (!str_starts(q->target, "/queue/messages/head"))
		return;
	(void)snprintf(broker, sizeof(broker),
		"{\"DeliveryCount\":3,\"MessageId\":\"m1\",\"LockedUntilUtc\":\"%s\"}", w->until);
	net_headers_set(&a->headers, "BrokerProperties", broker);
	net_headers_set(&a->headers, "Date", w->date);
	if (w->location)
		net_headers_set(&a->headers, "Location", w->location);
}

static const char *setting(void *arg, const char *variable)
{
	(void)arg;
	return str_eq(variable, "SUBSCRIBER_QUEUE") || str_eq(variable, "REPORTER_QUEUE") ? "queue"
											  : NULL;
}

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct buf where;
	w->status = 201;
	w->body = "";
	w->location = LOCATION;
	clock_http_date(w->date, clock_now());
	w->until = clock_http_date(w->until_text, clock_now() + 2 * CLOCK_US_PER_S);
	w->server = http_server_start(answer, w);
	buf_init(&where, 512);
	(void)buf_printf(&where, "Endpoint=%s;" NAMED, http_server_url(w->server));
	w->where = buf_take(&where);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	http_server_stop(w->server);
	free(w->where);
	free(w);
	return 0;
}

static struct publisher *open_publisher(struct world *w)
{
	const struct publish_place place = {.where = w->where, .setting = setting};
	struct publisher *p =
		publish_open(registry_find_publish("service-bus"), "reports", &place, &w->err);
	assert_non_null(p);
	return p;
}

static int send_text(struct world *w, struct publisher *p, const char *text)
{
	const struct publish_message m = {.upload_id = ID,
		.name = "upload-status",
		.data = text,
		.len = strlen(text),
		.replace = true};
	err_clear(&w->err);
	return publish_send(p, &m, true, &w->err);
}

static json_t *broker_of(struct world *w, size_t i)
{
	const char *text =
		net_headers_get(&http_server_request(w->server, i)->headers, "BrokerProperties");
	json_t *broker = json_parse(text, strlen(text), &w->err);
	assert_non_null(broker);
	return broker;
}

static void test_what_is_sent(void **state)
{
	struct world *w = *state;
	struct publisher *p = open_publisher(w);
	for (int i = 0; i < 2; i++)
		assert_int_equal(send_text(w, p, "{\"n\":1}"), 0);
	assert_int_equal(send_text(w, p, "{\"n\":2}"), 0);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(q->method, "POST");
	assert_string_equal(q->target, "/queue/messages");
	assert_memory_equal(q->body.data, "{\"n\":1}", 7);
	assert_string_equal(net_headers_get(&q->headers, "Content-Type"), "application/json");
	assert_string_equal(net_headers_get(&q->headers, "disposition"), "\"replace\"");
	assert_true(str_starts(
		net_headers_get(&q->headers, "Authorization"), "SharedAccessSignature sr=http%3A"));
	json_t *first = broker_of(w, 0), *again = broker_of(w, 1), *other = broker_of(w, 2);
	assert_string_equal(json_get_str(first, "SessionId"), ID);
	assert_string_equal(json_get_str(first, "PartitionKey"), ID);
	assert_string_equal(json_get_str(first, "Label"), "upload-status");
	assert_string_equal(json_get_str(first, "MessageId"), json_get_str(again, "MessageId"));
	assert_string_not_equal(json_get_str(first, "MessageId"), json_get_str(other, "MessageId"));
	assert_true(strlen(json_get_str(first, "MessageId")) <= 128);
	json_decref(first);
	json_decref(again);
	json_decref(other);
	publish_close(p);
}

static void test_what_is_sent_together(void **state)
{
	struct world *w = *state;
	struct publisher *p = open_publisher(w);
	char *large = mem_zalloc(150001);
	size_t sent = 0;
	memset(large, 'x', 150000);
	const struct publish_message m[] = {
		{.upload_id = ID, .name = "one", .data = "{\"n\":\"\\\"\"}", .len = 10},
		{.upload_id = ID, .name = "two", .data = large, .len = 150000, .replace = true},
		{.upload_id = ID, .name = "three", .data = large, .len = 150000},
	};
	assert_true(publish_can_batch(p));
	assert_int_equal(publish_send_many(p, m, 3, &sent, &w->err), 0);
	assert_int_equal(sent, 2); /* no more fit */
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(net_headers_get(&q->headers, "Content-Type"),
		"application/vnd.microsoft.servicebus.json");
	json_t *rows = json_loadb(q->body.data, q->body.len, 0, NULL);
	assert_int_equal(json_array_size(rows), 2);
	for (size_t i = 0; i < 2; i++) {
		const json_t *row = json_array_get(rows, i);
		const json_t *broker = json_object_get(row, "BrokerProperties");
		assert_string_equal(json_get_str(row, "Body"), m[i].data);
		assert_string_equal(json_get_str(broker, "SessionId"), ID);
		assert_string_equal(json_get_str(broker, "Label"), m[i].name);
		assert_string_equal(
			json_get_str(json_object_get(row, "UserProperties"), "disposition"),
			i == 1 ? "replace" : "add");
	}
	/* The same id as when it goes alone. */
	assert_int_equal(publish_send(p, &m[0], true, &w->err), 0);
	json_t *alone = broker_of(w, 1);
	assert_string_equal(json_get_str(alone, "MessageId"),
		json_get_str(
			json_object_get(json_array_get(rows, 0), "BrokerProperties"), "MessageId"));
	json_decref(alone);
	json_decref(rows);
	w->status = 400;
	assert_int_equal(publish_send_many(p, m, 3, &sent, &w->err), -1);
	assert_true(publish_refused(&w->err));
	free(large);
	publish_close(p);
}

static void test_refused_or_later(void **state)
{
	static const struct {
		int status;
		size_t size; /* of the message */
		enum err_code code;
		bool for_good;
	} rows[] = {
		{400, 10, ERR_INVALID, true},
		{413, 10, ERR_TOO_LARGE, true},
		{403, 300000, ERR_TOO_LARGE, true},
		{403, 10, ERR_DENIED, false}, /* the queue is full */
		{401, 10, ERR_DENIED, false},
		{404, 10, ERR_NOT_FOUND, false},
		{410, 10, ERR_NOT_FOUND, false},
		{418, 10, ERR_IO, false},
	};
	struct world *w = *state;
	struct publisher *p = open_publisher(w);
	w->body = "<Error><Code>4xx</Code><Detail>Words of the service. TrackingId:1_G2, "
		  "Timestamp:2026-01-02T03:04:05</Detail></Error>";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = mem_zalloc(rows[i].size + 1);
		memset(text, 'x', rows[i].size);
		w->status = rows[i].status;
		assert_int_equal(send_text(w, p, text), -1);
		assert_int_equal(w->err.code, rows[i].code);
		assert_int_equal(publish_refused(&w->err), rows[i].for_good);
		assert_non_null(strstr(w->err.text, "Words of the service"));
		assert_null(strstr(w->err.text, "TrackingId"));
		free(text);
	}
	size_t asked = http_server_count(w->server);
	char *huge = mem_zalloc(((size_t)1 << 20) + 2);
	memset(huge, 'x', ((size_t)1 << 20) + 1);
	assert_int_equal(send_text(w, p, huge), -1);
	assert_int_equal(w->err.code, ERR_TOO_LARGE);
	assert_int_equal(http_server_count(w->server), asked);
	free(huge);
	publish_close(p);
}

static struct subscriber *open_subscriber(struct world *w)
{
	const struct subscribe_place place = {.where = w->where, .setting = setting};
	struct subscriber *s =
		subscribe_open(registry_find_subscribe("service-bus"), "bus", &place, &w->err);
	assert_non_null(s);
	return s;
}

static void assert_request(struct world *w, size_t i, const char *method)
{
	const struct http_server_request *q = http_server_request(w->server, i);
	assert_string_equal(q->method, method);
	assert_string_equal(q->target, "/queue/messages/7/0f6f6f1c-2d3e-4a11-8d3e-2b1c4f0e9a55");
	assert_int_equal(q->body.len, 0);
}

static void test_messages_end(void **state)
{
	struct world *w = *state;
	struct subscriber *s = open_subscriber(w);
	struct subscribe_message *m;
	w->body = "some text";
	assert_int_equal(subscribe_receive(s, 1, 7000, NULL, NULL, &m, &w->err), 1);
	assert_string_equal(m->data, "some text");
	assert_int_equal(m->len, 9);
	assert_string_equal(m->id, "m1");
	assert_int_equal(m->count, 3);
	assert_string_equal(
		http_server_request(w->server, 0)->target, "/queue/messages/head?timeout=7");
	/* What answers has no say in where our signature goes. */
	assert_int_equal(subscribe_complete(s, m, &w->err), 0);
	assert_request(w, 1, "DELETE");
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), 1);
	assert_int_equal(subscribe_abandon(s, m, &w->err), 0);
	assert_request(w, 3, "PUT");
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), 1);
	assert_int_equal(subscribe_dead_letter(s, m, "why", &w->err), 0);
	assert_request(w, 5, "PUT");
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), 1);
	subscribe_forget(s, m);
	assert_int_equal(http_server_count(w->server), 7);
	w->status = 204;
	w->body = "";
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), 0);
	subscribe_close(s);
}

static void test_odd_answers(void **state)
{
	static const char *const locations[] = {NULL, "", "http://h/queue/messages/7",
		"http://h/queue/messages/7/a?b", "http://h/queue/messages/7/../../x",
		"http://h/queue"};
	struct world *w = *state;
	struct subscriber *s = open_subscriber(w);
	struct subscribe_message *m;
	for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++) {
		w->location = locations[i];
		assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), -1);
		assert_int_equal(w->err.code, ERR_IO);
	}
	w->location = LOCATION;
	w->until = "\\\"";
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), 1);
	subscribe_forget(s, m);
	w->until = "\"";
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), -1);
	static const struct {
		int status;
		enum err_code code;
	} rows[] = {{401, ERR_DENIED}, {410, ERR_NOT_FOUND}, {429, ERR_UNAVAILABLE},
		{500, ERR_UNAVAILABLE}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w->status = rows[i].status;
		assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), -1);
		assert_int_equal(w->err.code, rows[i].code);
	}
	subscribe_close(s);
}

static size_t renewals(struct world *w)
{
	size_t n = 0;
	for (size_t i = 0; i < http_server_count(w->server); i++) {
		const struct http_server_request *q = http_server_request(w->server, i);
		n += str_eq(q->method, "POST") && !strstr(q->target, "head");
	}
	return n;
}

/* Locks of two seconds are renewed each second, as long as the message is in hand. */
static void test_locks_are_renewed(void **state)
{
	struct world *w = *state;
	struct subscriber *s = open_subscriber(w);
	struct subscribe_message *m;
	assert_int_equal(subscribe_receive(s, 1, 0, NULL, NULL, &m, &w->err), 1);
	int64_t until = clock_mono_ms() + 20000;
	while (renewals(w) < 2 && clock_mono_ms() < until)
		clock_sleep_ms(20);
	assert_true(renewals(w) >= 2);
	assert_int_equal(subscribe_complete(s, m, &w->err), 0);
	size_t last = http_server_count(w->server) - 1;
	assert_request(w, last, "DELETE");
	subscribe_close(s);
	assert_int_equal(http_server_count(w->server), last + 1);
}

static bool yes(void *arg)
{
	(void)arg;
	return true;
}

static void test_stop(void **state)
{
	struct world *w = *state;
	struct subscriber *s = open_subscriber(w);
	struct subscribe_message *m;
	assert_int_equal(subscribe_receive(s, 1, 20000, yes, NULL, &m, &w->err), -1);
	assert_int_equal(w->err.code, ERR_INTERRUPTED);
	subscribe_close(s);
}

static void test_probe(void **state)
{
	struct world *w = *state;
	struct subscriber *s = open_subscriber(w);
	w->status = 200;
	assert_int_equal(subscribe_probe(s, &w->err), 0);
	assert_string_equal(http_server_request(w->server, 0)->method, "GET");
	w->status = 401;
	w->body = "<Error><Detail>40103: Invalid authorization token signature</Detail></Error>";
	assert_int_equal(subscribe_probe(s, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	w->body = "<Error><Detail>Authorization failed for specified action: "
		  "Manage,EntityRead.</Detail></Error>";
	assert_int_equal(subscribe_probe(s, &w->err), 0);
	w->status = 404;
	assert_int_equal(subscribe_probe(s, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	subscribe_close(s);
}

#define WITH_SERVICE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_connection_strings),
		cmocka_unit_test(test_signatures_are_kept),
		WITH_SERVICE(test_what_is_sent),
		WITH_SERVICE(test_what_is_sent_together),
		WITH_SERVICE(test_refused_or_later),
		WITH_SERVICE(test_messages_end),
		WITH_SERVICE(test_odd_answers),
		WITH_SERVICE(test_locks_are_renewed),
		WITH_SERVICE(test_stop),
		WITH_SERVICE(test_probe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
