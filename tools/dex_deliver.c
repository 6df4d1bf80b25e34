/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dex-deliver: deliveries, late reports and events, house-keeping. Run by cron for one sweep, or as
 * a service with --watch.
 */
#include "backends/registry.h"
#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/dex/sweep.h"
#include "core/store/publish.h"
#include "core/store/state.h"
#include "core/tus/upload.h"
#include "tools/list.h"
#include "tools/listener.h"
#include "tools/migrate.h"
#include "tools/options.h"
#include "tools/parked.h"
#include "tools/pool.h"
#include "tools/progress.h"
#include "tools/queue.h"
#include "tools/recover.h"
#include "tools/report.h"
#include "tools/stop.h"
#include "tools/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBLEMS_MAX ((size_t)1 << 18)
#define LOOK_MS 5000
#define LOOK_BUS_MS 1000
#define SWEEP_MS 60000
#define DAY_US (86400 * CLOCK_US_PER_S)
#define SEED_MAX UINT64_C(1000000000) /* short enough to be typed */

enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_OUTAGE = 3,
	STATUS_FOUND = 4,   /* by --verify */
	STATUS_STOPPED = 5, /* --verify, before its end */
};

/* What one invocation is about. */
struct call {
	const struct options *o;
	struct app *app;
	const struct delivery_filter *filter; /* NULL: everything */
	struct progress *progress;
	size_t jobs;
};

static enum status complain(enum status status, const struct err *err)
{
	fprintf(stderr, "dex-deliver: %s\n", err->text);
	return status;
}

static void print_problems(const struct buf *problems)
{
	const char *line = buf_str(problems);
	while (*line) {
		int len = (int)strcspn(line, "\n");
		fprintf(stderr, "dex-deliver: %.*s\n", len, line);
		line += len + (line[len] == '\n');
	}
}

/* An upload whose bytes are all there is completed by whoever takes it. */
static int settle(struct app *a, const char *id, struct err *err)
{
	struct upload_hold hold = {0};
	if (upload_take(a, id, &hold, err) < 0)
		return -1;
	upload_let_go(&hold);
	return 0;
}

static void say_sweep(const struct call *c, const struct sweep_result *r)
{
	if (c->o->quiet || r->expired + r->retired + r->removed + r->stray + r->purged == 0)
		return;
	progress_say(c->progress, stdout,
		"kept house: %zu expired, %zu retired, data of %zu removed, %zu stray files "
		"removed, "
		"%zu forgotten",
		r->expired, r->retired, r->removed, r->stray, r->purged);
}

static int keep_house(const struct call *c, struct err *err)
{
	struct sweep_result r;
	if (sweep_run(c->app, settle, stop_asked, NULL, &r, err) < 0)
		return -1;
	if (!c->o->watch || c->o->verbose)
		say_sweep(c, &r);
	return 0;
}

static int send_late(const struct call *c, struct err *err)
{
	size_t sent = 0;
	size_t failed = 0;
	int rc =
		notify_flush(&c->app->notify, c->app->state, stop_asked, NULL, &sent, &failed, err);
	if (failed > 0 && !c->o->watch)
		progress_say(c->progress, stderr,
			"%zu reports or events could not be sent, later again", failed);
	return rc;
}

/* One sweep: until nothing is due. */
static enum status run_once(const struct call *c)
{
	struct err err = {0};
	struct pool_result result;
	const struct pool_options po = {
		.app = c->app,
		.filter = c->filter,
		.progress = c->progress,
		.jobs = c->jobs,
		.limit = c->o->limit,
	};
	struct pool *pool = pool_start(&po, &err);
	if (!pool)
		return complain(STATUS_OUTAGE, &err);
	pool_join(pool, &result);
	if (result.broken)
		return complain(STATUS_OUTAGE, &result.err);
	if (send_late(c, &err) < 0)
		return complain(STATUS_OUTAGE, &err);
	/* Who asks for certain deliveries does not expect other uploads to go. */
	if (!c->filter && keep_house(c, &err) < 0)
		return complain(STATUS_OUTAGE, &err);
	return result.failed > 0 ? STATUS_FAILED : STATUS_OK;
}

/* What is written at once only has to be looked after; a bus gets its messages from here. */
static int64_t look_pause(const struct app *a)
{
	for (size_t i = 0; i < a->notify.n; i++) {
		if (!publish_is_local(a->notify.sinks[i].publisher))
			return LOOK_BUS_MS;
	}
	return LOOK_MS;
}

static void look_after(const struct call *c, bool sweep)
{
	struct err err = {0};
	struct state_counts counts;
	int rc = state_counts(c->app->state, clock_now(), &counts, &err);
	if (rc == 0 && counts.late_messages > 0)
		rc = send_late(c, &err);
	if (rc == 0 && sweep && !c->filter)
		rc = keep_house(c, &err);
	if (rc < 0)
		LOG(LOG_LEVEL_ERROR, "house-keeping failed", log_err(&err));
}

static enum status watch(const struct call *c)
{
	struct err err = {0};
	struct pool_result result;
	struct pool_options po = {
		.app = c->app,
		.filter = c->filter,
		.progress = c->progress,
		.jobs = c->jobs,
		.watch = true,
	};
	/* Who asks for certain deliveries is not there for all that the buses ask for. */
	if (c->app->subscribers.n > 0 && !c->filter) {
		po.listener = listener_start(c->app, c->jobs, &err);
		if (!po.listener)
			return complain(STATUS_OUTAGE, &err);
	}
	struct pool *pool = pool_start(&po, &err);
	if (!pool) {
		stop_ask();
		listener_join(po.listener);
		return complain(STATUS_OUTAGE, &err);
	}
	LOG(LOG_LEVEL_INFO, "watching for deliveries", log_int("jobs", (int64_t)c->jobs),
		log_int("subscribers", (int64_t)c->app->subscribers.n));
	int64_t next_sweep = clock_mono_ms();
	while (!stop_asked(NULL)) {
		int64_t now = clock_mono_ms();
		bool sweep = now >= next_sweep;
		if (sweep)
			next_sweep = now + SWEEP_MS;
		look_after(c, sweep);
		stop_sleep(look_pause(c->app));
	}
	pool_join(pool, &result);
	listener_join(po.listener);
	LOG(LOG_LEVEL_INFO, "stopped", log_int("delivered", (int64_t)result.delivered),
		log_int("failed", (int64_t)result.failed));
	return STATUS_OK;
}

static enum status verify(const struct call *c)
{
	const struct options *o = c->o;
	struct err err = {0};
	struct verify_options v = {
		.app = c->app,
		.upload = o->upload,
		.since = o->since,
		.until = o->until ? o->until : clock_now(),
		.part = o->sample > 0.0 ? o->sample : 1.0,
		.seed = o->seed,
		.jobs = c->jobs,
		.quiet = o->quiet,
		.progress = c->progress,
	};
	if (!o->seeded)
		v.seed = random_below(SEED_MAX);
	switch (verify_run(&v, &err)) {
	case VERIFY_FINE:
		return STATUS_OK;
	case VERIFY_FOUND:
		return STATUS_FOUND;
	case VERIFY_STOPPED:
		return STATUS_STOPPED;
	default:
		return complain(STATUS_OUTAGE, &err);
	}
}

static enum status report(const struct call *c)
{
	const struct options *o = c->o;
	struct err err = {0};
	int64_t until = o->until ? o->until : clock_now();
	int64_t since = o->since ? o->since : until - DAY_US;
	enum report_form form = o->csv ? REPORT_CSV : o->json ? REPORT_JSON : REPORT_TABLE;
	if (report_print(c->app, since, until, form, &err) < 0)
		return complain(STATUS_OUTAGE, &err);
	return STATUS_OK;
}

static enum status dispatch(const struct call *c)
{
	struct err err = {0};
	const struct options *o = c->o;
	size_t refused = 0;
	if (o->list)
		return list_print(c->app, c->filter, o->limit, o->json, &err) < 0
			       ? complain(STATUS_OUTAGE, &err)
			       : STATUS_OK;
	if (o->verify)
		return verify(c);
	if (o->report)
		return report(c);
	if (o->recover)
		return recover_uploads(c->app, o->dry_run, &err) < 0 ? complain(STATUS_OUTAGE, &err)
								     : STATUS_OK;
	if (o->drop_parked)
		return parked_do(c->app, PARKED_DROP, o->upload, o->dry_run, o->quiet, &err) < 0
			       ? complain(STATUS_OUTAGE, &err)
			       : STATUS_OK;
	/* A message has a sink, not a target. */
	if (o->retry && !o->target &&
		parked_do(c->app, PARKED_SEND_AGAIN, o->upload, o->dry_run, o->quiet, &err) < 0)
		return complain(STATUS_OUTAGE, &err);
	if (o->dry_run)
		return queue_dry_run(c->app, c->filter, o->retry, o->limit, &err) < 0
			       ? complain(STATUS_OUTAGE, &err)
			       : STATUS_OK;
	if (o->expire)
		return keep_house(c, &err) < 0 ? complain(STATUS_OUTAGE, &err) : STATUS_OK;
	if (o->retry && queue_retry(c->app, c->filter, &refused, &err) < 0)
		return complain(STATUS_OUTAGE, &err);
	enum status status = o->watch ? watch(c) : run_once(c);
	return status == STATUS_OK && refused > 0 ? STATUS_FAILED : status;
}

/* --upload and --target name something that exists. */
static enum status check_names(const struct options *o, struct app *a)
{
	struct err err = {0};
	struct upload u = {0};
	/* A target that is gone may still have failed deliveries to look at. */
	if (o->target && !o->list && !routing_find_target(a->routing, o->target)) {
		fprintf(stderr, "dex-deliver: --target: no target is called \"%s\" in %s\n",
			o->target, a->config->delivery_file);
		return STATUS_USAGE;
	}
	if (!o->upload)
		return STATUS_OK;
	enum state_result res = state_upload_get(a->state, o->upload, &u, &err);
	upload_free(&u);
	if (res == STATE_ERROR)
		return complain(STATUS_OUTAGE, &err);
	if (res == STATE_OK)
		return STATUS_OK;
	fprintf(stderr, "dex-deliver: --upload: there is no upload %s\n", o->upload);
	return STATUS_USAGE;
}

static enum status run(const struct options *o, struct app *a)
{
	const struct delivery_filter filter = {.upload_id = o->upload, .target = o->target};
	bool bar = isatty(STDERR_FILENO) && !o->quiet;
	enum progress_lines lines = o->quiet ? PROGRESS_LINES_FAILURES : PROGRESS_LINES_ALL;
	/* A service is read through its log, which tells the same. */
	if (o->watch && !isatty(STDOUT_FILENO))
		lines = PROGRESS_LINES_NONE;
	struct call c = {
		.o = o,
		.app = a,
		.filter = o->upload || o->target ? &filter : NULL,
		.jobs = o->jobs > 0 ? o->jobs : (size_t)a->config->listener_workers,
	};
	enum status status = check_names(o, a);
	if (status != STATUS_OK)
		return status;
	c.progress = progress_new(c.jobs, bar, lines);
	status = dispatch(&c);
	progress_free(c.progress);
	return status;
}

static int open_log(const struct options *o, const struct config *c, struct err *err)
{
	enum log_level level = c->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	/* On a terminal or in a mail the plain lines tell it; the log is for what they do not. */
	if (str_eq(c->log_dest, "stderr") && !o->verbose && !(o->watch && !isatty(STDOUT_FILENO)))
		level = LOG_LEVEL_ERROR;
	enum log_format format = str_eq(c->log_format, "json") ? LOG_JSON : LOG_LOGFMT;
	if (log_open(c->log_dest, level, format, err) < 0)
		return -1;
	log_set_common("dex-deliver", c->environment);
	return 0;
}

/* Why nothing could be opened: faults of the configuration all at once, or what is out of reach. */
static enum status explain(
	const struct config *c, const struct app_backends *backends, const struct err *err)
{
	if (err->code != ERR_INVALID && err->code != ERR_NOT_FOUND)
		return complain(STATUS_OUTAGE, err);
	struct buf problems;
	buf_init(&problems, PROBLEMS_MAX);
	if (app_check(c, backends, &problems, NULL) > 0)
		print_problems(&problems);
	else
		complain(STATUS_USAGE, err);
	buf_free(&problems);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	static const struct app_backends backends = {
		.blob = registry_blob,
		.lock = registry_lock,
		.publish = registry_publish,
		.state = registry_state,
		.subscribe = registry_subscribe,
	};
	struct options o;
	struct app app;
	struct err err = {0};
	struct buf problems;
	struct config *config = NULL;
	enum status status = STATUS_USAGE;

	switch (options_parse(argc, argv, &o)) {
	case OPTIONS_RUN:
		break;
	case OPTIONS_DONE:
		return STATUS_OK;
	default:
		return STATUS_USAGE;
	}
	buf_init(&problems, PROBLEMS_MAX);
	if (config_load(o.config ? o.config : getenv("DEX_APPCONF"), &config, &problems) < 0) {
		print_problems(&problems);
		goto out;
	}
	if (open_log(&o, config, &err) < 0) {
		complain(STATUS_USAGE, &err);
		goto out;
	}
	if (stop_listen(&err) < 0) {
		status = complain(STATUS_OUTAGE, &err);
		goto out;
	}
	if (o.migrate_from) {
		status = STATUS_OK;
		if (migrate_state(
			    config, &backends, o.migrate_from, o.migrate_to, o.dry_run, &err) < 0)
			status = complain(err.code == ERR_INVALID || err.code == ERR_NOT_FOUND ||
							  err.code == ERR_EXISTS
						  ? STATUS_USAGE
						  : STATUS_OUTAGE,
				&err);
		goto out;
	}
	if (app_open(&app, config, &backends, false, &err) < 0) {
		status = explain(config, &backends, &err);
		goto out;
	}
	status = run(&o, &app);
	app_close(&app);
out:
	config_free(config);
	buf_free(&problems);
	return (int)status;
}
