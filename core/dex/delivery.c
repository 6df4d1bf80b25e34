/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/delivery.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/dex/delivery_copy.h"
#include "core/dex/delivery_lease.h"
#include "core/dex/delivery_plan.h"
#include "core/dex/manifest.h"
#include "core/dex/report.h"
#include "core/dex/routing.h"
#include "core/metrics.h"
#include "core/store/blob.h"
#include "core/tracer.h"

#include <string.h>

#define MESSAGE_MAX ((size_t)1 << 20)
#define LOCATION_MAX 4096
#define PAUSE_MAX_MS INT64_C(3600000)

/* One try of one delivery. */
struct run {
	struct app *app;
	const char *owner;
	const struct delivery_progress *progress;
	struct delivery d;
	struct upload u;
	struct delivery_plan plan;
	int64_t start;
	bool hopeless;       /* no repetition can help */
	struct buf location; /* of the delivered file */
	struct buf left_out; /* metadata keys that did not travel along */
	char sha256[BLOB_SHA256_SIZE];
	struct err cause; /* of a failure */
};

static void count(const struct run *r, const char *result)
{
	struct buf labels;
	buf_init(&labels, 480);
	(void)metrics_label(&labels, "target", r->d.target);
	(void)metrics_label(&labels, "result", result);
	metrics_add(METRIC_DELIVERIES, buf_str(&labels), 1);
	buf_free(&labels);
}

static void count_active(const struct run *r, int64_t delta)
{
	struct buf labels;
	buf_init(&labels, 480);
	(void)metrics_label(&labels, "target", r->d.target);
	metrics_gauge(METRIC_ACTIVE_DELIVERIES, buf_str(&labels), delta);
	buf_free(&labels);
}

static void count_speed(const struct run *r, int64_t ms)
{
	struct buf labels;
	buf_init(&labels, 480);
	(void)metrics_label(&labels, "target", r->d.target);
	metrics_observe(METRIC_DELIVERY_SPEED, buf_str(&labels),
		(double)r->u.length * 1000.0 / (double)(ms > 0 ? ms : 1));
	buf_free(&labels);
}

/* The failed tries so far: an array that the caller decrefs. */
static json_t *past_issues(const struct run *r)
{
	json_t *list = NULL;
	if (r->d.issues) {
		/* Our parser wants an object at the top. */
		struct buf text;
		struct err err = {0};
		buf_init(&text, MESSAGE_MAX);
		(void)buf_printf(&text, "{\"issues\":%s}", r->d.issues);
		json_t *wrapped = json_parse(buf_str(&text), text.len, &err);
		list = json_incref(json_object_get(wrapped, "issues"));
		json_decref(wrapped);
		buf_free(&text);
	}
	if (!json_is_array(list)) {
		json_decref(list);
		list = json_array();
	}
	return list;
}

static json_t *as_warnings(const json_t *issues)
{
	json_t *list = json_array();
	size_t i;
	json_t *issue;
	json_array_foreach (issues, i, issue) {
		const char *message = json_get_str(issue, "message");
		json_t *one = report_issue("WARNING", message ? message : "");
		json_array_extend(list, one);
		json_decref(one);
	}
	return list;
}

static void add_report(
	struct run *r, const json_t *issues, bool failure, int64_t now, struct notify_batch *b)
{
	struct buf json, source;
	buf_init(&json, MESSAGE_MAX);
	buf_init(&source, LOCATION_MAX);
	(void)delivery_plan_source(r->app, r->d.upload_id, &source);
	struct report_head head = {
		.upload_id = r->d.upload_id,
		.manifest = r->plan.manifest,
		.start = r->start,
		.end = now,
		.failure = failure,
		.issues = issues,
	};
	struct report_copy copy = {
		.source_url = buf_str(&source),
		.destination_url = buf_str(&r->location),
		.destination_name = r->d.target,
		.sha256 = r->sha256,
		.size = r->u.id[0] ? r->u.length : -1,
	};
	if (report_blob_file_copy(&json, &head, &copy) == 0)
		notify_batch_add(b, NOTIFY_REPORT, r->d.upload_id,
			report_action_name(REPORT_BLOB_FILE_COPY),
			report_replaces(REPORT_BLOB_FILE_COPY), true, &json);
	else
		LOG(LOG_LEVEL_ERROR, "report is too large", log_str("upload_id", r->d.upload_id));
	buf_free(&json);
	buf_free(&source);
}

/* Record how it ended, with its report; DELIVERY_ERROR when the state store is out of reach. */
static enum delivery_outcome record(struct run *r, struct delivery_end *end, const json_t *issues,
	enum delivery_outcome outcome, struct err *err)
{
	struct buf text;
	struct notify_batch b;
	end->id = r->d.id;
	end->owner = r->owner;
	buf_init(&text, MESSAGE_MAX);
	notify_batch_init(&b, &r->app->notify);
	if (json_array_size(issues) > 0 && json_write(&text, issues) == 0)
		end->issues = buf_str(&text);
	if (end->status != DELIVERY_PENDING)
		add_report(r, issues, end->status == DELIVERY_FAILED, end->now, &b);
	struct outbox_list rows = notify_batch_rows(&b, end->now);
	switch (state_delivery_end(r->app->state, end, &rows, err)) {
	case STATE_OK:
		crash_point("delivery-ended");
		notify_batch_send_local(&b);
		break;
	case STATE_ERROR:
		outcome = DELIVERY_ERROR;
		break;
	default:
		LOG(LOG_LEVEL_WARN, "delivery was taken over", log_str("upload_id", r->d.upload_id),
			log_str("target", r->d.target));
		outcome = DELIVERY_STOPPED;
	}
	notify_batch_free(&b);
	buf_free(&text);
	return outcome;
}

static enum delivery_outcome record_success(struct run *r, struct err *err)
{
	struct delivery_end end = {
		.status = DELIVERY_DONE,
		.location = buf_str(&r->location),
		.sha256 = r->sha256[0] ? r->sha256 : NULL,
		.now = clock_now(),
	};
	json_t *past = past_issues(r);
	json_t *warnings = as_warnings(past);
	if (r->left_out.len > 0) {
		struct buf text;
		buf_init(&text, MESSAGE_MAX);
		(void)buf_printf(&text, "metadata that the target could not take: %s",
			buf_str(&r->left_out));
		json_t *warning = report_issue("WARNING", buf_str(&text));
		json_array_extend(warnings, warning);
		json_decref(warning);
		buf_free(&text);
	}
	enum delivery_outcome outcome = record(r, &end, warnings, DELIVERY_OK, err);
	json_decref(warnings);
	json_decref(past);
	if (outcome == DELIVERY_OK) {
		count(r, "completed");
		LOG(LOG_LEVEL_INFO, "delivered", log_str("upload_id", r->d.upload_id),
			log_str("target", r->d.target), log_str("location", buf_str(&r->location)),
			log_int("size", r->u.length));
	}
	return outcome;
}

/* Doubled with every failed try, a fifth more or less so that a crowd does not come back at once.
 */
static int64_t pause_ms(const struct run *r)
{
	int64_t ms = r->app->config->retry_delay_ms;
	for (int i = 0; i < r->d.attempt && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	ms = ms - ms / 5 + (int64_t)random_below((uint64_t)(ms / 5 * 2 + 1));
	return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static enum delivery_outcome record_failure(struct run *r, struct err *err)
{
	bool again = !r->hopeless && (uint64_t)r->d.attempt < r->app->config->max_retry;
	int64_t now = clock_now();
	struct delivery_end end = {
		.status = again ? DELIVERY_PENDING : DELIVERY_FAILED,
		.due_at = again ? now + pause_ms(r) * CLOCK_US_PER_MS : now,
		.count_attempt = true,
		.now = now,
	};
	json_t *issues = past_issues(r);
	json_t *issue = report_issue("ERROR", r->cause.text);
	json_array_extend(issues, issue);
	enum delivery_outcome outcome =
		record(r, &end, issues, again ? DELIVERY_RETRIED : DELIVERY_GIVEN_UP, err);
	json_decref(issue);
	json_decref(issues);
	if (outcome == DELIVERY_RETRIED || outcome == DELIVERY_GIVEN_UP) {
		count(r, "failed");
		LOG(LOG_LEVEL_WARN, again ? "delivery put off" : "delivery given up",
			log_str("upload_id", r->d.upload_id), log_str("target", r->d.target),
			log_int("attempt", r->d.attempt + 1), log_err(&r->cause));
	}
	return outcome;
}

/* Somebody else may take it at once. */
static enum delivery_outcome give_back(struct run *r, struct err *err)
{
	struct delivery_end end = {
		.status = DELIVERY_PENDING,
		.due_at = r->d.due_at,
		.now = clock_now(),
	};
	json_t *issues = past_issues(r);
	enum delivery_outcome outcome = record(r, &end, issues, DELIVERY_STOPPED, err);
	json_decref(issues);
	return outcome;
}

static enum delivery_copy_result copy(
	struct run *r, struct blob_store *target, struct delivery_lease *lease, struct err *err)
{
	struct delivery_copy c = {
		.app = r->app,
		.delivery = &r->d,
		.upload = &r->u,
		.plan = &r->plan,
		.target = target,
		.lease = lease,
		.progress = r->progress,
	};
	struct err detail = {0};
	buf_init(&c.key, BLOB_KEY_MAX);
	buf_init(&c.left_out, LOCATION_MAX);
	int64_t began = clock_mono_ms();
	enum delivery_copy_result result = delivery_copy_run(&c, &detail);
	if (result == DELIVERY_COPY_DONE) {
		crash_point("delivery-copied");
		if (c.moved && r->u.length > 0)
			count_speed(r, clock_mono_ms() - began);
		memcpy(r->sha256, c.sha256, sizeof(r->sha256));
		if (blob_location(target, buf_str(&c.key), &r->location) < 0)
			(void)buf_add_str(&r->location, buf_str(&c.key));
		(void)buf_add_str(&r->left_out, buf_str(&c.left_out));
	} else if (result == DELIVERY_COPY_FAILED) {
		r->cause = detail;
	} else {
		*err = detail;
	}
	buf_free(&c.key);
	buf_free(&c.left_out);
	return result;
}

/* Upload, target and name, or a cause why there can be no delivery. 0, -1 (cause), -2 (state). */
static int prepare(struct run *r, struct err *err)
{
	enum state_result res = state_upload_get(r->app->state, r->d.upload_id, &r->u, err);
	if (res == STATE_ERROR)
		return -2;
	if (res != STATE_OK || r->u.status != UPLOAD_COMPLETE) {
		r->hopeless = true;
		r->plan.manifest =
			res == STATE_OK ? delivery_plan_manifest(&r->u, &r->cause) : NULL;
		return err_set(
			&r->cause, ERR_GONE, __func__, "the data of the upload are no longer kept");
	}
	if (delivery_plan_make(r->app, &r->u, r->d.target, &r->plan, &r->cause) == 0)
		return 0;
	r->hopeless = r->cause.code == ERR_INVALID;
	return -1;
}

static enum delivery_outcome deliver(struct run *r, struct err *err)
{
	int rc = prepare(r, err);
	if (rc == -2)
		return DELIVERY_ERROR;
	if (rc < 0)
		return record_failure(r, err);
	if (r->progress && r->progress->started)
		r->progress->started(r->progress->arg, r->d.upload_id, r->d.target, r->u.length);
	struct blob_store *target = app_target(r->app, r->plan.target, &r->cause);
	if (!target)
		return record_failure(r, err);
	struct delivery_lease *lease = delivery_lease_keep(
		r->app->state, r->d.id, r->owner, r->app->config->delivery_lease_ms, &r->cause);
	if (!lease)
		return record_failure(r, err);
	enum delivery_copy_result result = copy(r, target, lease, err);
	delivery_lease_drop(lease);
	switch (result) {
	case DELIVERY_COPY_DONE:
		return record_success(r, err);
	case DELIVERY_COPY_FAILED:
		return record_failure(r, err);
	case DELIVERY_COPY_STOPPED:
		return give_back(r, err);
	case DELIVERY_COPY_LOST:
		LOG(LOG_LEVEL_WARN, "delivery was taken over", log_str("upload_id", r->d.upload_id),
			log_str("target", r->d.target));
		return DELIVERY_STOPPED;
	default:
		return DELIVERY_ERROR;
	}
}

static void end_span(struct run *r, struct trace_span *span, enum delivery_outcome outcome,
	const struct err *err)
{
	const char *failure = NULL;

	if (outcome == DELIVERY_ERROR)
		failure = err->text;
	else if (outcome == DELIVERY_RETRIED || outcome == DELIVERY_GIVEN_UP)
		failure = r->cause.text;

	tracer_end(r->app->tracer, span, TRACE_CONSUMER, "deliver",
		(const struct log_field[]){
			log_str("dex.upload_id", r->d.upload_id),
			log_str("dex.target", r->d.target),
			log_int("dex.attempt", r->d.attempt + 1),
			log_int("dex.size", r->u.length),
			{.key = 0},
		},
		failure);
}

static enum delivery_outcome run_one(struct app *a, const struct delivery_filter *f,
	int64_t overdue_ms, const char *owner, const struct delivery_progress *progress,
	struct err *err)
{
	struct run r = {.app = a, .owner = owner, .progress = progress, .start = clock_now()};
	struct trace_span span;
	/* What was due then; the lease ends as it would otherwise. */
	switch (state_delivery_lease(a->state, f, owner, r.start - overdue_ms * CLOCK_US_PER_MS,
		a->config->delivery_lease_ms + overdue_ms, &r.d, err)) {
	case STATE_OK:
		break;
	case STATE_ERROR:
		return DELIVERY_ERROR;
	default:
		return DELIVERY_NOTHING_DUE;
	}
	crash_point("delivery-leased");
	buf_init(&r.location, LOCATION_MAX);
	buf_init(&r.left_out, LOCATION_MAX);
	count(&r, "started");
	count_active(&r, 1);
	tracer_begin(a->tracer, &span, &(struct trace_origin){.upload_id = r.d.upload_id});
	enum delivery_outcome outcome = deliver(&r, err);
	end_span(&r, &span, outcome, err);
	count_active(&r, -1);
	if (progress && progress->ended) {
		const char *text = r.cause.text;
		if (outcome == DELIVERY_OK)
			text = buf_str(&r.location);
		else if (outcome == DELIVERY_ERROR)
			text = err->text;
		progress->ended(progress->arg, r.d.upload_id, r.d.target, outcome, text);
	}
	buf_free(&r.location);
	buf_free(&r.left_out);
	delivery_plan_free(&r.plan);
	upload_free(&r.u);
	delivery_free(&r.d);
	return outcome;
}

enum delivery_outcome delivery_run_one(struct app *a, const struct delivery_filter *f,
	const char *owner, const struct delivery_progress *progress, struct err *err)
{
	return run_one(a, f, 0, owner, progress, err);
}

enum delivery_outcome delivery_run_overdue(struct app *a, int64_t overdue_ms, const char *owner,
	const struct delivery_progress *progress, struct err *err)
{
	return run_one(a, NULL, overdue_ms, owner, progress, err);
}

size_t delivery_targets(struct app *a, const struct upload *u, const json_t *manifest,
	const char **targets, size_t max)
{
	size_t n = 0;
	const struct routing_group *g = routing_of_manifest(a->routing, manifest);
	if (!g)
		LOG(LOG_LEVEL_WARN, "no routing group, upload is delivered nowhere",
			log_str("upload_id", u->id),
			log_str("data_stream_id", manifest_stream_id(manifest)),
			log_str("data_stream_route", manifest_stream_route(manifest)));
	for (size_t i = 0; g && i < g->nentries && n < max; i++)
		targets[n++] = g->entries[i].target->name;
	return n;
}

void delivery_event(struct app *a, const struct upload *u, json_t *manifest, const char *target,
	struct notify_batch *b)
{
	struct delivery_plan plan;
	struct err err = {0};
	struct buf json, source;
	char id[UUID_SIZE];
	buf_init(&json, MESSAGE_MAX);
	buf_init(&source, LOCATION_MAX);
	random_uuid(id);
	/* Where it fails the delivery itself will say so; the event goes out without a path. */
	bool planned = delivery_plan_from(a, u, manifest, target, &plan, &err) == 0;
	(void)delivery_plan_source(a, u->id, &source);
	struct event_file_ready e = {
		.event_id = id,
		.upload_id = u->id,
		.src_url = buf_str(&source),
		.path = planned ? buf_str(&plan.key) : "",
		.target = target,
		.manifest = plan.manifest,
	};
	if (report_event_file_ready(&json, &e) == 0)
		notify_batch_add(b, NOTIFY_EVENT, u->id, "FileReady", false, true, &json);
	else
		LOG(LOG_LEVEL_ERROR, "event is too large", log_str("upload_id", u->id));
	delivery_plan_free(&plan);
	buf_free(&source);
	buf_free(&json);
}

struct pending {
	const char *target;
	bool found;
};

static int find_pending(void *arg, const struct delivery *d)
{
	struct pending *p = arg;
	if (!str_eq(d->target, p->target))
		return 0;
	p->found = d->status == DELIVERY_PENDING;
	return -1;
}

/* The target exists and belongs to the stream. The manifest (the caller decrefs it) or NULL. */
static json_t *check_route(
	struct app *a, const struct upload *u, const char *target, struct err *err)
{
	if (!routing_find_target(a->routing, target)) {
		err_set(err, ERR_NOT_FOUND, __func__, "no target is called \"%s\"", target);
		return NULL;
	}
	json_t *manifest = delivery_plan_manifest(u, err);
	if (!manifest)
		return NULL;
	const struct routing_group *g = routing_of_manifest(a->routing, manifest);
	if (g && routing_entry_of(g, target))
		return manifest;
	err_set(err, ERR_NOT_FOUND, __func__,
		"target \"%s\" is not in the routing group of stream %s, %s", target,
		manifest_stream_id(manifest), manifest_stream_route(manifest));
	json_decref(manifest);
	return NULL;
}

enum state_result delivery_queue(
	struct app *a, const struct upload *u, const char *target, struct err *err)
{
	json_t *manifest = check_route(a, u, target, err);
	enum state_result res = STATE_OK;
	if (!manifest)
		return err->code == ERR_NOT_FOUND ? STATE_NOT_FOUND : STATE_ERROR;
	if (u->status != UPLOAD_COMPLETE) {
		err_set(err, ERR_CONFLICT, __func__,
			"the upload is not finished, or no longer kept");
		res = STATE_CONFLICT;
		goto out;
	}
	struct pending p = {.target = target};
	if (state_delivery_of_upload(a->state, u->id, find_pending, &p, err) < 0) {
		res = STATE_ERROR;
		goto out;
	}
	if (p.found)
		goto out;
	struct notify_batch b;
	int64_t now = clock_now();
	notify_batch_init(&b, &a->notify);
	delivery_event(a, u, manifest, target, &b);
	struct outbox_list rows = notify_batch_rows(&b, now);
	res = state_delivery_queue(a->state, u->id, target, now, &rows, err);
	if (res == STATE_OK)
		notify_batch_send_local(&b);
	else if (res == STATE_NOT_FOUND)
		err_set(err, ERR_NOT_FOUND, __func__, "no such upload");
	else if (res == STATE_CONFLICT)
		err_set(err, ERR_CONFLICT, __func__,
			"the upload is not finished, or no longer kept");
	notify_batch_free(&b);
out:
	json_decref(manifest);
	return res;
}
