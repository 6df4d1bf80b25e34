/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_REPORT_H
#define DEX_DEX_REPORT_H

#include "core/base/buf.h"
#include "core/base/json.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Builders of reports and events: one function per action, each gives the JSON text of one object,
 * members in the order of the Processing Status API's schema. Pure: time and version are arguments.
 */

enum report_action {
	REPORT_METADATA_TRANSFORM,
	REPORT_METADATA_VERIFY,
	REPORT_UPLOAD_STARTED,
	REPORT_UPLOAD_STATUS,
	REPORT_UPLOAD_COMPLETED,
	REPORT_BLOB_FILE_COPY,
};
/* "metadata-transform" …: stage_info.action, content_schema_name and the local file's suffix. */
const char *report_action_name(enum report_action a);
/* disposition_type is "replace": only the newest counts. */
bool report_replaces(enum report_action a);

struct report_head {
	const char *upload_id;
	const json_t *manifest; /* identity members come from it; may be NULL */
	int64_t start;          /* start_processing_time */
	int64_t end;            /* end_processing_time */
	bool failure;           /* status FAILURE */
	const json_t *issues;   /* array of {"level","message"} or NULL */
};

/* All append compact JSON to ${out}; -1 only on overflow of ${out}. */
/* ${hydrated}: object of filled fields for the second transform report of a v1 manifest, else NULL.
 */
int report_metadata_transform(struct buf *out, const struct report_head *h, const char *ingest_time,
	const json_t *hydrated);
int report_metadata_verify(struct buf *out, const struct report_head *h);
int report_upload_started(struct buf *out, const struct report_head *h);
int report_upload_status(
	struct buf *out, const struct report_head *h, int64_t offset, int64_t size);
int report_upload_completed(struct buf *out, const struct report_head *h);
struct report_copy {
	const char *source_url;
	const char *destination_url; /* "" on failure */
	const char *destination_name;
	const char *sha256; /* hex, "" when unknown */
	int64_t size;       /* -1 when unknown */
};
int report_blob_file_copy(
	struct buf *out, const struct report_head *h, const struct report_copy *c);

struct event_file_ready {
	const char *event_id;
	const char *upload_id;
	const char *src_url;
	const char *path; /* resolved path template; "" when it cannot be resolved */
	const char *target;
	int retry_count;
	const json_t *manifest;
};
int report_event_file_ready(struct buf *out, const struct event_file_ready *e);

/* A one-element issues array; the caller decrefs it. ${level}: "ERROR" or "WARNING". */
json_t *report_issue(const char *level, const char *message);

#endif
