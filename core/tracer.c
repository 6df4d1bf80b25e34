/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tracer.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/thread.h"
#include "core/net/http.h"
#include "core/net/uri.h"
#include "core/version.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MAX 2048
#define BATCH_MAX 512
#define GATHER_MS 5000
#define SEND_MS 5000
#define CONNECT_MS 2000
#define STACK (size_t)(256 * 1024)
#define BODY_MAX (size_t)(4 * 1024 * 1024)
#define COMPLAIN_MS 60000
#define HEADER_MAX 4096

struct tracer {
	struct net_http *http;
	char *url;
	char *headers;
	json_t *resource;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	/* under the mutex */
	json_t *queue[QUEUE_MAX];
	size_t n;
	size_t dropped; /* since the last complaint */
	bool running, closing;
	int64_t end_by; /* clock_mono_ms() when nothing is sent any more, once closing */
	/* of the thread alone */
	int64_t complained;
};

/* --- building --- */

/* A member of an OTLP list of attributes (common.proto: KeyValue, AnyValue). */
static void add_attribute(json_t *list, const struct log_field *f)
{
	char number[24];
	const char *type = "stringValue";
	const char *value = f->str;

	if (f->kind == LOG_F_INT) {
		/* Proto3's JSON writes 64-bit integers as strings. */
		(void)snprintf(number, sizeof(number), "%" PRId64, f->num);
		type = "intValue";
		value = number;
	}
	/* NULL where a value is not UTF-8: such an attribute is left out. */
	json_t *text = value ? json_string(value) : NULL;
	if (text)
		json_array_append_new(
			list, json_pack("{s:s, s:{s:o}}", "key", f->key, "value", type, text));
}

static json_t *attributes_of(const struct log_field *fields)
{
	json_t *list = json_array();

	for (; fields && fields->key; fields++)
		add_attribute(list, fields);
	return list;
}

static json_t *resource_of(const struct tracer_options *o)
{
	char host[256] = "";

	(void)gethostname(host, sizeof(host) - 1);
	const struct log_field fields[] = {
		log_str("service.name", o->service),
		log_str("service.version", version_release()),
		log_str("deployment.environment", o->environment),
		log_str("host.name", host),
		log_int("process.pid", getpid()),
		{.key = 0},
	};
	return json_pack("{s:o}", "attributes", attributes_of(fields));
}

static void set_id(json_t *span, const char *name, const unsigned char *id, size_t n)
{
	char hex[2 * TRACE_ID_BYTES + 1];

	str_hex(hex, id, n);
	json_object_set_new(span, name, json_string(hex));
}

static void set_time(json_t *span, const char *name, int64_t us)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64 "000", us);
	json_object_set_new(span, name, json_string(text));
}

static json_t *span_json(const struct trace_span *s, enum trace_kind kind, const char *name,
	const struct log_field *attributes, const char *failure)
{
	enum { STATUS_ERROR = 2 };
	json_t *span = json_object();

	set_id(span, "traceId", s->context.trace_id, TRACE_ID_BYTES);
	set_id(span, "spanId", s->context.span_id, TRACE_SPAN_BYTES);
	if (s->has_parent)
		set_id(span, "parentSpanId", s->parent, TRACE_SPAN_BYTES);
	if (s->context.state[0])
		json_object_set_new(span, "traceState", json_string(s->context.state));
	json_object_set_new(span, "name", json_string(name));
	json_object_set_new(span, "kind", json_integer(kind));
	set_time(span, "startTimeUnixNano", s->start);
	/* The wall clock may have been set back meanwhile. */
	int64_t end = clock_now();
	set_time(span, "endTimeUnixNano", end > s->start ? end : s->start);
	json_object_set_new(span, "attributes", attributes_of(attributes));
	if (failure) {
		json_t *text = json_string(failure);
		json_object_set_new(span, "status",
			json_pack("{s:i, s:o}", "code", STATUS_ERROR, "message",
				text ? text : json_string("")));
	}
	return span;
}

/* --- sending --- */

/* "name=value,name=value", values percent-encoded (the specification's form of baggage). */
static void set_headers(struct net_request *r, const char *list)
{
	struct buf pair, value;

	buf_init_secret(&pair, HEADER_MAX);
	buf_init_secret(&value, HEADER_MAX);
	net_headers_set(&r->headers, "Content-Type", "application/json");
	while (*list) {
		size_t len = strcspn(list, ",");
		buf_reset(&pair);
		buf_reset(&value);
		if (buf_add(&pair, list, len) == 0) {
			char *eq = strchr(pair.data, '=');
			if (eq && uri_decode(&value, eq + 1, strlen(eq + 1)) == 0) {
				*eq = '\0';
				net_headers_set(&r->headers, pair.data, buf_str(&value));
			}
		}
		list += len + (list[len] == ',');
	}
	buf_free(&value);
	buf_free(&pair);
}

/* ${batch} is taken over. */
static int send_batch(struct tracer *t, json_t *batch, int64_t deadline_ms, struct err *err)
{
	json_t *all = json_pack("{s:[{s:O, s:[{s:{s:s, s:s}, s:o}]}]}", "resourceSpans", "resource",
		t->resource, "scopeSpans", "scope", "name", "dex-upload", "version",
		version_release(), "spans", batch);
	struct net_request r;
	struct net_response a;
	struct buf body;

	buf_init(&body, BODY_MAX);
	net_request_init(&r, "POST", t->url);
	net_response_init(&a, 0);
	set_headers(&r, t->headers);
	int rc = json_write(&body, all);
	if (rc < 0)
		err_set(err, ERR_TOO_LARGE, __func__, "the spans of a batch are too large");
	r.body = body.data;
	r.body_len = body.len;
	/* A collector knows a span that comes twice by its id. */
	r.idempotent = true;
	r.deadline_ms = deadline_ms;
	if (rc == 0)
		rc = net_http_send(t->http, &r, &a, err);
	if (rc == 0 && a.status / 100 != 2)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "the collector answered %d", a.status);
	net_response_free(&a);
	net_request_free(&r);
	buf_free(&body);
	json_decref(all);
	return rc;
}

/* One line a minute says what got lost, and why. */
static void complain(struct tracer *t, size_t lost, const struct err *err)
{
	pthread_mutex_lock(&t->mutex);
	t->dropped += lost;
	size_t dropped = t->dropped;
	bool now = dropped > 0 &&
		   (t->complained == 0 || clock_mono_ms() - t->complained >= COMPLAIN_MS);
	if (now)
		t->dropped = 0;
	pthread_mutex_unlock(&t->mutex);
	if (!now)
		return;
	t->complained = clock_mono_ms();
	LOG(LOG_LEVEL_WARN, "spans were dropped", log_int("spans", (int64_t)dropped),
		log_str("cause", err->code != ERR_NONE ? err->text : "too many waited"));
}

/* With the mutex held: wait until a batch is whole, or its first span has waited long enough. */
static void gather(struct tracer *t)
{
	while (t->n == 0 && !t->closing)
		pthread_cond_wait(&t->wake, &t->mutex);
	struct timespec until;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += GATHER_MS / 1000;
	while (t->n < BATCH_MAX && !t->closing &&
		pthread_cond_timedwait(&t->wake, &t->mutex, &until) == 0)
		;
}

/* With the mutex held: the oldest spans. */
static json_t *take_batch(struct tracer *t, size_t *taken)
{
	json_t *batch = json_array();

	*taken = t->n < BATCH_MAX ? t->n : BATCH_MAX;
	for (size_t i = 0; i < *taken; i++)
		json_array_append_new(batch, t->queue[i]);
	t->n -= *taken;
	memmove(t->queue, t->queue + *taken, t->n * sizeof(json_t *));
	return batch;
}

static void *work(void *arg)
{
	struct tracer *t = arg;

	pthread_mutex_lock(&t->mutex);
	for (;;) {
		gather(t);
		if (t->n == 0)
			break;
		int64_t deadline = clock_mono_ms() + SEND_MS;
		if (t->closing && t->end_by < deadline)
			deadline = t->end_by;
		size_t n;
		json_t *batch = take_batch(t, &n);
		pthread_mutex_unlock(&t->mutex);
		struct err err = {0};
		int rc = send_batch(t, batch, deadline, &err);
		complain(t, rc < 0 ? n : 0, &err);
		pthread_mutex_lock(&t->mutex);
	}
	pthread_mutex_unlock(&t->mutex);
	return NULL;
}

static void enqueue(struct tracer *t, json_t *span)
{
	pthread_mutex_lock(&t->mutex);
	/* With the first span, so that a program that makes none has no thread. */
	if (!t->running)
		t->running = thread_start(&t->thread, STACK, work, t) == 0;
	if (t->running && t->n < QUEUE_MAX) {
		t->queue[t->n++] = span;
		span = NULL;
		if (t->n == 1 || t->n == BATCH_MAX)
			pthread_cond_signal(&t->wake);
	} else {
		t->dropped++;
	}
	pthread_mutex_unlock(&t->mutex);
	json_decref(span);
}

/* --- the module --- */

struct tracer *tracer_new(const struct tracer_options *o)
{
	struct tracer *t = mem_zalloc(sizeof(*t));
	size_t len = strlen(o->endpoint);
	pthread_condattr_t attr;

	while (len > 0 && o->endpoint[len - 1] == '/')
		len--;
	struct buf url;
	buf_init(&url, len + sizeof("/v1/traces"));
	buf_printf(&url, "%.*s/v1/traces", (int)len, o->endpoint);
	t->url = mem_strdup(buf_str(&url));
	buf_free(&url);
	t->headers = mem_strdup(o->headers ? o->headers : "");
	t->resource = resource_of(o);
	t->http = net_http_new(&(struct net_http_options){
		.ca_file = o->ca_file,
		.proxy = o->proxy,
		.connect_ms = CONNECT_MS,
	});
	pthread_mutex_init(&t->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	return t;
}

void tracer_free(struct tracer *t, int64_t wait_ms)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->mutex);
	t->closing = true;
	t->end_by = clock_mono_ms() + wait_ms;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->mutex);
	if (t->running)
		pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->mutex);
	net_http_free(t->http);
	json_decref(t->resource);
	mem_free_secret(t->headers);
	free(t->url);
	free(t);
}

void tracer_begin(struct tracer *t, struct trace_span *s, const struct trace_origin *from)
{
	*s = (struct trace_span){.start = clock_now()};
	s->has_parent = trace_parse(&s->context, from->parent, from->state) == 0;
	s->known = s->has_parent || t;
	if (s->has_parent)
		memcpy(s->parent, s->context.span_id, sizeof(s->parent));
	if (t && s->has_parent)
		trace_child(&s->context, &s->context);
	else if (t)
		trace_new(&s->context, from->upload_id);
	s->before = trace_enter(s->known ? &s->context : NULL);
}

void tracer_end(struct tracer *t, struct trace_span *s, enum trace_kind kind, const char *name,
	const struct log_field *attributes, const char *failure)
{
	trace_enter(s->before);
	if (t && s->context.sampled)
		enqueue(t, span_json(s, kind, name, attributes, failure));
}
