/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/metrics.h"
#include "core/tracer.h"
#include "fcgi/http.h"
#include "fcgi/routes.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_ID_MAX 64

/* The client's or the web server's name for this request where it is harmless, else one of ours. */
static void find_request_id(struct http_request *r, char out[REQUEST_ID_MAX + 1])
{
	const char *given = http_header(r, "X-Request-ID");
	unsigned char random[6];

	if (given && strlen(given) <= REQUEST_ID_MAX) {
		bool sane = true;
		for (const char *c = given; *c; c++)
			sane = sane && (isalnum((unsigned char)*c) || strchr("-_.:+/=", *c));
		if (sane) {
			str_copy(out, REQUEST_ID_MAX + 1, given);
			return;
		}
	}
	random_bytes(random, sizeof(random));
	str_hex(out, random, sizeof(random));
}

static void count(const struct http_request *r)
{
	struct buf labels;
	char status[8];

	(void)snprintf(status, sizeof(status), "%d", r->status);
	buf_init(&labels, 256);
	metrics_label(&labels, "code", status);
	metrics_label(&labels, "method", r->method_name);
	metrics_add(METRIC_HTTP_REQUESTS, buf_str(&labels), 1);
	if (r->flags & ROUTE_TUS) {
		buf_reset(&labels);
		metrics_label(&labels, "method", r->method_name);
		metrics_add(METRIC_TUS_REQUESTS, buf_str(&labels), 1);
		if (r->code) {
			buf_reset(&labels);
			metrics_label(&labels, "status", status);
			metrics_label(&labels, "code", r->code);
			metrics_add(METRIC_TUS_ERRORS, buf_str(&labels), 1);
		}
	}
	buf_free(&labels);
}

static enum log_level level_of(const struct http_request *r)
{
	if (r->status >= 500)
		return r->status == 503 ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
	return r->flags & ROUTE_QUIET ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
}

static void log_request(
	struct http_request *r, const char *request_id, int64_t sent, int64_t duration_ms)
{
	enum log_level level = level_of(r);
	/* An error that was overcome is not this request's. */
	struct log_field failure = log_str("error", NULL);

	if (!log_enabled(level))
		return;
	if (r->code && r->err->code != ERR_NONE)
		failure = log_err(r->err);
	LOG(level, "request", log_str("request_id", request_id), log_str("method", r->method_name),
		log_str("path", r->path), log_int("status", r->status),
		log_int("bytes_in", (int64_t)r->body_read),
		log_int("bytes_out", sent > 0 ? sent : 0), log_int("duration_ms", duration_ms),
		log_str("upload_id", r->upload_id[0] ? r->upload_id : NULL),
		log_str("remote", http_param(r, "REMOTE_ADDR")), log_str("code", r->code),
		log_str("peer", sent < 0 ? "gone" : NULL), failure);
}

static void begin_span(struct http_request *r, struct trace_span *span)
{
	const char *last = strrchr(r->path, '/');

	tracer_begin(r->app->tracer, span,
		&(struct trace_origin){
			.parent = http_header(r, "traceparent"),
			.state = http_header(r, "tracestate"),
			.upload_id = last && str_is_uuid(last + 1) ? last + 1 : NULL,
		});
}

/* Names and attributes as the semantic conventions for HTTP servers have them; no path: it may be
 * anything. */
static void end_span(struct http_request *r, struct trace_span *span)
{
	char route[128] = "";
	char name[sizeof(route) + sizeof(r->method_name)];

	if (!span->known)
		return;
	if (r->route)
		(void)snprintf(route, sizeof(route), "%s%s", r->route, r->id ? "{id}" : "");
	(void)snprintf(name, sizeof(name), "%s%s%s", r->method_name, route[0] ? " " : "", route);
	tracer_end(r->app->tracer, span, TRACE_SERVER, name,
		(const struct log_field[]){
			log_str("http.request.method", r->method_name),
			log_str("http.route", route[0] ? route : NULL),
			log_int("http.response.status_code", r->status),
			log_int("http.request.body.size", (int64_t)r->body_read),
			log_str("client.address", http_param(r, "REMOTE_ADDR")),
			log_str("error.type", r->code),
			log_str("dex.upload_id", r->upload_id[0] ? r->upload_id : NULL),
			{.key = 0},
		},
		/* A client's mistake is no failure of the server's. */
		r->status >= 500 ? r->err->text : NULL);
}

void http_serve(struct app *app, const struct http_io *io, void *io_arg, enum http_drain drain)
{
	struct http_request r;
	struct err err = {0};
	char request_id[REQUEST_ID_MAX + 1];
	struct trace_span span;
	int64_t start = clock_mono_ms();

	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", 1);
	metrics_gauge(METRIC_THREADS_BUSY, "", 1);
	http_begin(&r, app, io, io_arg, drain, &err);
	find_request_id(&r, request_id);
	begin_span(&r, &span);
	routes_dispatch(&r);
	int64_t sent = http_finish(&r);
	count(&r);
	log_request(&r, request_id, sent, clock_mono_ms() - start);
	end_span(&r, &span);
	http_end(&r);
	metrics_gauge(METRIC_THREADS_BUSY, "", -1);
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", -1);
}
