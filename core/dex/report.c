/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/report.h"

#include "core/base/clock.h"
#include "core/dex/manifest.h"
#include "core/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Most reports fit; the allocation is still one of the cheap small ones. */
#define REPORT_TYPICAL 1000

static const struct {
	const char *name;
	bool replaces;
} actions[] = {
	[REPORT_METADATA_TRANSFORM] = {"metadata-transform", false},
	[REPORT_METADATA_VERIFY] = {"metadata-verify", false},
	[REPORT_UPLOAD_STARTED] = {"upload-started", false},
	[REPORT_UPLOAD_STATUS] = {"upload-status", true},
	[REPORT_UPLOAD_COMPLETED] = {"upload-completed", false},
	[REPORT_BLOB_FILE_COPY] = {"blob-file-copy", false},
};

const char *report_action_name(enum report_action a)
{
	return actions[a].name;
}

bool report_replaces(enum report_action a)
{
	return actions[a].replaces;
}

/* Overflow is sticky in the buffer: every builder looks at it once, at its end. */
static int done(const struct buf *out)
{
	return out->overflow ? -1 : 0;
}

/* `,"key":` or, right behind an opening bracket, `"key":`. Keys are ours and need no escaping. */
static void key(struct buf *out, const char *name)
{
	if (out->len > 0 && out->data[out->len - 1] != '{')
		(void)buf_add_char(out, ',');
	(void)buf_add_char(out, '"');
	(void)buf_add_str(out, name);
	(void)buf_add(out, "\":", 2);
}

static void str(struct buf *out, const char *name, const char *value)
{
	key(out, name);
	(void)json_write_string(out, value, strlen(value));
}

static void num(struct buf *out, const char *name, int64_t value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	key(out, name);
	(void)buf_add_str(out, text);
}

static void value(struct buf *out, const char *name, const json_t *v)
{
	key(out, name);
	if (v)
		(void)json_write(out, v);
	else
		(void)buf_add_str(out, "null");
}

static void time_str(struct buf *out, const char *name, int64_t us)
{
	char text[CLOCK_RFC3339_SIZE];
	str(out, name, clock_rfc3339(text, us));
}

static const char *member(const json_t *manifest, const char *name)
{
	const char *s = json_get_str(manifest, name);
	return s ? s : "";
}

/* A manifest as an object, also where there is none. */
static void metadata(struct buf *out, const char *name, const json_t *manifest)
{
	if (manifest) {
		value(out, name, manifest);
	} else {
		key(out, name);
		(void)buf_add(out, "{}", 2);
	}
}

static void stage_info(struct buf *out, enum report_action a, const struct report_head *h)
{
	key(out, "stage_info");
	(void)buf_add_char(out, '{');
	str(out, "service", "UPLOAD API");
	str(out, "action", actions[a].name);
	str(out, "version", version_full());
	str(out, "status", h->failure ? "FAILURE" : "SUCCESS");
	value(out, "issues", json_array_size(h->issues) > 0 ? h->issues : NULL);
	time_str(out, "start_processing_time", h->start);
	time_str(out, "end_processing_time", h->end);
	(void)buf_add_char(out, '}');
}

/* Everything up to and into `content`; close_report ends it. */
static void open_report(struct buf *out, enum report_action a, const struct report_head *h)
{
	/* The report's readers refuse an empty time. */
	char start[CLOCK_RFC3339_SIZE];
	const char *ingest = member(h->manifest, "dex_ingest_datetime");
	if (!*ingest)
		ingest = clock_rfc3339(start, h->start);
	(void)buf_reserve(out, REPORT_TYPICAL);
	(void)buf_add_char(out, '{');
	str(out, "report_schema_version", "1.0.0");
	str(out, "upload_id", h->upload_id);
	str(out, "sender_id", member(h->manifest, "sender_id"));
	str(out, "data_stream_id", manifest_stream_id(h->manifest));
	str(out, "data_stream_route", manifest_stream_route(h->manifest));
	str(out, "jurisdiction", member(h->manifest, "jurisdiction"));
	str(out, "dex_ingest_datetime", ingest);
	str(out, "data_producer_id", member(h->manifest, "data_producer_id"));
	str(out, "content_type", "application/json");
	str(out, "disposition_type", actions[a].replaces ? "replace" : "add");
	stage_info(out, a, h);
	key(out, "content");
	(void)buf_add_char(out, '{');
	str(out, "content_schema_name", actions[a].name);
	str(out, "content_schema_version", "1.0.0");
}

static int close_report(struct buf *out)
{
	(void)buf_add(out, "}}", 2);
	return done(out);
}

static void transform(
	struct buf *out, const char *action, const char *field, const char *text, size_t len)
{
	if (out->len > 0 && out->data[out->len - 1] == '}')
		(void)buf_add_char(out, ',');
	(void)buf_add_char(out, '{');
	str(out, "action", action);
	key(out, "field");
	(void)json_write_string(out, field, strlen(field));
	key(out, "value");
	(void)json_write_string(out, text, len);
	(void)buf_add_char(out, '}');
}

int report_metadata_transform(struct buf *out, const struct report_head *h, const char *ingest_time,
	const json_t *hydrated)
{
	open_report(out, REPORT_METADATA_TRANSFORM, h);
	key(out, "transforms");
	(void)buf_add_char(out, '[');
	if (hydrated) {
		const char *field;
		json_t *v;
		/* jansson's iterator takes no const, but changes nothing. */
		json_object_foreach ((json_t *)(uintptr_t)hydrated, field, v)
			transform(
				out, "append", field, json_string_value(v), json_string_length(v));
	} else {
		size_t len = strlen(h->upload_id);
		transform(out, "update", "ID", h->upload_id, len);
		transform(out, "append", "dex_ingest_datetime", ingest_time, strlen(ingest_time));
		transform(out, "append", "upload_id", h->upload_id, len);
	}
	(void)buf_add_char(out, ']');
	return close_report(out);
}

int report_metadata_verify(struct buf *out, const struct report_head *h)
{
	open_report(out, REPORT_METADATA_VERIFY, h);
	str(out, "filename", manifest_filename(h->manifest));
	metadata(out, "metadata", h->manifest);
	return close_report(out);
}

int report_upload_started(struct buf *out, const struct report_head *h)
{
	open_report(out, REPORT_UPLOAD_STARTED, h);
	str(out, "status", "SUCCESS");
	return close_report(out);
}

int report_upload_status(struct buf *out, const struct report_head *h, int64_t offset, int64_t size)
{
	open_report(out, REPORT_UPLOAD_STATUS, h);
	str(out, "filename", manifest_filename(h->manifest));
	str(out, "tguid", h->upload_id);
	num(out, "offset", offset);
	num(out, "size", size > 0 ? size : 0);
	return close_report(out);
}

int report_upload_completed(struct buf *out, const struct report_head *h)
{
	open_report(out, REPORT_UPLOAD_COMPLETED, h);
	str(out, "status", "SUCCESS");
	return close_report(out);
}

int report_blob_file_copy(struct buf *out, const struct report_head *h, const struct report_copy *c)
{
	open_report(out, REPORT_BLOB_FILE_COPY, h);
	str(out, "file_source_blob_url", c->source_url);
	str(out, "file_destination_blob_url", h->failure ? "" : c->destination_url);
	str(out, "destination_name", c->destination_name);
	if (*c->sha256)
		str(out, "sha256", c->sha256);
	if (c->size >= 0)
		num(out, "size", c->size);
	return close_report(out);
}

int report_event_file_ready(struct buf *out, const struct event_file_ready *e)
{
	(void)buf_add_char(out, '{');
	str(out, "id", e->event_id);
	str(out, "type", "FileReady");
	num(out, "retry_count", e->retry_count);
	str(out, "upload_id", e->upload_id);
	str(out, "src_url", e->src_url);
	str(out, "path", e->path);
	str(out, "deliver_target", e->target);
	metadata(out, "Metadata", e->manifest);
	(void)buf_add_char(out, '}');
	return done(out);
}

json_t *report_issue(const char *level, const char *message)
{
	/* A message may quote bytes from anywhere; jansson takes only UTF-8. */
	json_t *text = json_string(message);
	if (!text)
		text = json_string("(a message that is not UTF-8)");
	return json_pack("[{s:s, s:o}]", "level", level, "message", text);
}
