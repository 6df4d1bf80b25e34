/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_METRICS_H
#define DEX_METRICS_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Counters of all processes of one host together, in a small memory-mapped file: they survive the
 * restart of a responder, and dex-deliver adds to the same ones. A crash in the middle of a change
 * can lose that one change, never harm the table. Names, types and help texts stand in one table in
 * metrics.c; the label text is built by the caller with metrics_label.
 */

struct err;

enum metric {
	METRIC_HTTP_REQUESTS,    /* http_requests_total{code,method} */
	METRIC_CONNECTIONS_OPEN, /* dex_server_connections_open, gauge per process */
	METRIC_MANIFEST_COUNT,   /* upload_manifest_count{…} */
	METRIC_TUS_REQUESTS,     /* tusd_requests_total{method} */
	METRIC_TUS_ERRORS,       /* tusd_errors_total{status,code} */
	METRIC_BYTES_RECEIVED,
	METRIC_UPLOADS_CREATED,
	METRIC_UPLOADS_FINISHED,
	METRIC_UPLOADS_TERMINATED,
	METRIC_UPLOAD_SPEED,       /* histogram */
	METRIC_DELIVERY_SPEED,     /* histogram{target} */
	METRIC_ACTIVE_DELIVERIES,  /* gauge{target}, per process */
	METRIC_DELIVERIES,         /* dex_server_deliveries_total{target,result} */
	METRIC_EVENTS,             /* dex_server_events_total{type,op} */
	METRIC_THREADS_BUSY,       /* dex_responder_threads_busy, gauge per process */
	METRIC_RESPONDER_RESTARTS, /* dex_responder_restarts_total, counted by metrics_open */
	METRIC_COUNT_OF_ALL,
};

/*
 * Map ${path}, made when missing; a file of another layout is replaced. This process takes a slot
 * for its gauges; slots of dead processes are cleared, so that a crash cannot make a gauge drift.
 * ${responder}: counts in dex_responder_processes. Until it is opened (or when it fails) the calls
 * below do nothing.
 */
int metrics_open(const char *path, bool responder, struct err *err);
/* Give the slot back. Calls that other threads still make do no harm. */
void metrics_close(void);

/*
 * Append `name="value"` to the label text ${out} (a ',' between pairs), the value made valid UTF-8
 * and escaped for the Prometheus text format 0.0.4.
 */
int metrics_label(struct buf *out, const char *name, const char *value);
/*
 * Add to a counter. ${labels}: "" or what metrics_label built. Where it is longer than 480 bytes or
 * the metric has its most series already (1,000 for upload_manifest_count), every value becomes
 * "other".
 */
void metrics_add(enum metric m, const char *labels, uint64_t n);
/* Move a gauge of this process by ${delta}. */
void metrics_gauge(enum metric m, const char *labels, int64_t delta);
/* Count ${value} in a histogram: 20 buckets from 10, each 2.5 times the one before. */
void metrics_observe(enum metric m, const char *labels, double value);
/*
 * Append the whole page in Prometheus text format: counters, gauges summed over living processes,
 * process_* of the living responders together.
 */
int metrics_render(struct buf *out);

#endif
