/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/intake.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/dex/delivery.h"
#include "core/dex/manifest.h"
#include "core/dex/report.h"
#include "core/metrics.h"

#include <stdlib.h>
#include <string.h>

#define REPORT_MAX (256 << 10) /* a manifest is 7 KiB at most; escaping may widen it sixfold */

static void add_report(struct notify_batch *b, enum report_action action, const char *upload_id,
	bool keep, struct buf *json)
{
	notify_batch_add(b, NOTIFY_REPORT, upload_id, report_action_name(action),
		report_replaces(action), keep, json);
}

/* upload_manifest_count, by the labels of METRICS_LABELS_FROM_MANIFEST. */
static void count_manifest(const struct app *a, const json_t *manifest)
{
	struct buf labels;
	const char *p = a->config->metrics_labels;

	buf_init(&labels, 1024);
	while (p && *p) {
		char name[64];
		size_t len = strcspn(p, ",");
		if (len > 0 && len < sizeof(name)) {
			memcpy(name, p, len);
			name[len] = '\0';
			const char *value = json_get_str(manifest, name);
			metrics_label(&labels, name, value ? value : "");
		}
		p += len;
		p += strspn(p, ", ");
	}
	metrics_add(METRIC_MANIFEST_COUNT, buf_str(&labels), 1);
	buf_free(&labels);
}

/* The body of the 400 answer: the id it would have had, and what is wrong. */
static json_t *rejection_body(const char *id, const struct manifest_errors *errors)
{
	json_t *list = json_array();

	for (size_t i = 0; i < errors->n; i++)
		json_array_append_new(list, json_string(errors->items[i]));
	return json_pack("{s:s, s:o}", "upload_id", id, "validation_errors", list);
}

static json_t *joined_issue(const struct manifest_errors *errors)
{
	struct buf text;

	buf_init(&text, REPORT_MAX);
	for (size_t i = 0; i < errors->n; i++) {
		if (i > 0)
			buf_add_char(&text, '\n');
		buf_add_str(&text, errors->items[i]);
	}
	json_t *issues = report_issue("ERROR", buf_str(&text));
	buf_free(&text);
	return issues;
}

static void report_check(
	const struct manifest_check *check, const char *id, int64_t start, struct notify_batch *b)
{
	json_t *issues = check->errors.n > 0 ? joined_issue(&check->errors) : NULL;
	struct report_head head = {
		.upload_id = id,
		.manifest = check->manifest,
		.start = start,
		.end = clock_now(),
	};
	const char *ingest = json_get_str(check->manifest, "dex_ingest_datetime");
	struct buf json;

	buf_init(&json, REPORT_MAX);
	report_metadata_transform(&json, &head, ingest ? ingest : "", NULL);
	add_report(b, REPORT_METADATA_TRANSFORM, id, false, &json);
	if (check->hydrated) {
		report_metadata_transform(&json, &head, ingest ? ingest : "", check->hydrated);
		add_report(b, REPORT_METADATA_TRANSFORM, id, false, &json);
	}
	head.failure = issues != NULL;
	head.issues = issues;
	report_metadata_verify(&json, &head);
	add_report(b, REPORT_METADATA_VERIFY, id, false, &json);
	buf_free(&json);
	json_decref(issues);
}

/* The manifest of ${u} as JSON, and a report head about it. The caller decrefs the manifest. */
static json_t *head_of(const struct upload *u, int64_t now, struct report_head *head)
{
	struct err err = {0};
	json_t *manifest = u->manifest ? json_parse(u->manifest, strlen(u->manifest), &err) : NULL;

	if (u->manifest && !manifest)
		LOG(LOG_LEVEL_ERROR, "stored manifest cannot be read", log_str("upload_id", u->id),
			log_err(&err));
	*head = (struct report_head){
		.upload_id = u->id,
		.manifest = manifest,
		.start = now,
		.end = now,
	};
	return manifest;
}

static void add_status(
	const struct upload *u, const struct report_head *head, bool keep, struct notify_batch *b)
{
	struct buf json;

	buf_init(&json, REPORT_MAX);
	report_upload_status(
		&json, head, u->offset, u->length == UPLOAD_LENGTH_UNKNOWN ? 0 : u->length);
	add_report(b, REPORT_UPLOAD_STATUS, u->id, keep, &json);
	buf_free(&json);
}

/* Goes out with the creation's transaction: the upload exists when these are sent. */
static void report_start(const struct upload *u, const json_t *manifest, struct notify_batch *b)
{
	struct report_head head = {
		.upload_id = u->id,
		.manifest = manifest,
		.start = u->created_at,
		.end = clock_now(),
	};
	struct buf json;

	buf_init(&json, REPORT_MAX);
	report_upload_started(&json, &head);
	add_report(b, REPORT_UPLOAD_STARTED, u->id, false, &json);
	buf_free(&json);
	/* An upload that is complete at birth says so itself. */
	if (u->length != 0 && u->kind != UPLOAD_FINAL)
		add_status(u, &head, false, b);
}

static int intake_check(struct app *a, const json_t *metadata, struct upload *u,
	struct notify_batch *b, json_t **rejection, struct err *err)
{
	struct manifest_check check = {0};
	struct buf text;
	int rc = -1;

	if (manifest_check(a->manifests, metadata, u->id, u->created_at, &check, err) < 0)
		return -1;
	buf_init(&text, REPORT_MAX);
	count_manifest(a, check.manifest);
	report_check(&check, u->id, u->created_at, b);
	if (check.errors.n > 0) {
		*rejection = rejection_body(u->id, &check.errors);
		err_set(err, ERR_INVALID, __func__, "the sender manifest was refused: %.200s",
			check.errors.items[check.errors.n - 1]);
		goto out;
	}
	if (json_write(&text, check.manifest) < 0) {
		err_set(err, ERR_TOO_LARGE, __func__, "the manifest is too large");
		goto out;
	}
	u->manifest = buf_take(&text);
	report_start(u, check.manifest, b);
	rc = 0;
out:
	buf_free(&text);
	manifest_check_free(&check);
	return rc;
}

static void intake_progress(struct app *a, const struct upload *u, struct notify_batch *b)
{
	struct report_head head;
	json_t *manifest = head_of(u, u->touched_at, &head);

	(void)a;
	add_status(u, &head, false, b);
	json_decref(manifest);
}

static size_t intake_complete(struct app *a, const struct upload *u, int64_t now,
	const char **targets, struct notify_batch *b)
{
	struct report_head head;
	json_t *manifest = head_of(u, now, &head);
	struct buf json;
	/* What is damaged cannot be routed; head_of has told so. */
	size_t n = 0;
	if (manifest || !u->manifest)
		n = delivery_targets(a, u, manifest, targets, HOOKS_TARGETS_MAX);

	buf_init(&json, REPORT_MAX);
	add_status(u, &head, true, b);
	report_upload_completed(&json, &head);
	add_report(b, REPORT_UPLOAD_COMPLETED, u->id, true, &json);
	for (size_t i = 0; i < n; i++)
		delivery_event(a, u, manifest, targets[i], b);
	buf_free(&json);
	json_decref(manifest);
	return n;
}

void intake_ended(
	struct app *a, const struct upload *u, const char *why, int64_t now, struct notify_batch *b)
{
	struct report_head head;
	json_t *manifest = head_of(u, now, &head);
	json_t *issues = report_issue("ERROR", why);

	(void)a;
	head.failure = true;
	head.issues = issues;
	add_status(u, &head, true, b);
	json_decref(issues);
	json_decref(manifest);
}

const struct upload_hooks intake_hooks = {
	.check = intake_check,
	.progress = intake_progress,
	.complete = intake_complete,
	.ended = intake_ended,
};
