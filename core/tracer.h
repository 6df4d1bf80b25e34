/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TRACER_H
#define DEX_TRACER_H

#include "core/base/log.h"
#include "core/base/trace.h"

#include <stdint.h>

/*
 * Spans of requests and deliveries for an OpenTelemetry collector: OTLP/HTTP with JSON, POST
 * {endpoint}/v1/traces (https://opentelemetry.io/docs/specs/otlp/). They are gathered in memory
 * and sent by a thread of their own, up to 512 together, five seconds after the first at the
 * latest. Work never waits for it: where the collector is slow or away and 2,048 spans wait, new
 * ones are dropped, and a line in the log says how many.
 */

struct tracer;

struct tracer_options {
	const char *endpoint;    /* "http://localhost:4318" */
	const char *headers;     /* "name=value,name=value", values percent-encoded; may be "" */
	const char *service;     /* service.name */
	const char *environment; /* deployment.environment */
	const char *ca_file;     /* as in struct net_http_options */
	const char *proxy;
};
struct tracer *tracer_new(const struct tracer_options *o); /* strings are copied */
/* What is left is sent first, for ${wait_ms} at most. NULL is fine. */
void tracer_free(struct tracer *t, int64_t wait_ms);

/* Values of OTLP's Span.SpanKind. */
enum trace_kind { TRACE_SERVER = 2, TRACE_CONSUMER = 5 };

struct trace_span {
	struct trace_context context;       /* of this thread while the span lasts */
	const struct trace_context *before; /* of this thread before it */
	unsigned char parent[TRACE_SPAN_BYTES];
	bool has_parent, known;
	int64_t start; /* wall clock, microseconds */
};

/* Where a span belongs; members may be NULL. */
struct trace_origin {
	const char *parent, *state; /* traceparent and tracestate as they came */
	const char *upload_id;      /* where there is no parent: see trace_new */
};

/*
 * Begin a span. ${t} may be NULL: then the context of the parent, if there is one, is that of the
 * thread meanwhile, and nothing is sent.
 */
void tracer_begin(struct tracer *t, struct trace_span *s, const struct trace_origin *from);
/*
 * End it: the thread has its old context again. ${attributes} ends with a zero key; those without
 * a value are left out. ${failure}: NULL, or what went wrong.
 */
void tracer_end(struct tracer *t, struct trace_span *s, enum trace_kind kind, const char *name,
	const struct log_field *attributes, const char *failure);

#endif
