/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/verify.h"

#include "core/app.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/thread.h"
#include "core/store/state.h"
#include "tools/human.h"
#include "tools/progress.h"
#include "tools/stop.h"
#include "tools/verify_check.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 128

struct verify {
	const struct verify_options *o;
	pthread_mutex_t mutex; /* for what follows */
	struct upload_mark page[PAGE];
	int n, next;
	bool last; /* no page after this one */
	bool stopped;
	bool broken;
	struct err err;
	struct verify_tally tally;
};

struct worker {
	struct verify *v;
	size_t number;
	pthread_t thread;
};

/* Each id has a place between 0 and 1 that only it and the seed decide. */
static bool chosen(const struct verify_options *o, const char *id)
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	char text[64 + UUID_SIZE];
	uint64_t place = 0;
	int len = snprintf(text, sizeof(text), "%" PRIu64 " %s", o->seed, id);

	if (o->part >= 1.0)
		return true;
	digest_sha256(text, (size_t)len, sum);
	for (size_t i = 0; i < 6; i++)
		place = place << 8 | sum[i];
	return (double)place < o->part * (double)(UINT64_C(1) << 48);
}

static int next_page(struct verify *v)
{
	struct upload_mark after = {.at = v->o->since};
	if (v->n > 0)
		after = v->page[v->n - 1];
	v->n = state_upload_scan_times(
		v->o->app->state, &after, v->o->until, v->page, PAGE, &v->err);
	v->next = 0;
	v->last = v->n <= 0;
	return v->n < 0 ? -1 : 0;
}

/* The next upload to be checked into ${id}; false at the end. Called with the mutex held. */
static bool take(struct verify *v, char id[UUID_SIZE])
{
	while (!v->broken && !v->stopped && !v->last) {
		if (v->next == v->n && next_page(v) < 0)
			v->broken = true;
		for (; v->next < v->n; v->next++) {
			if (chosen(v->o, v->page[v->next].id)) {
				str_copy(id, UUID_SIZE, v->page[v->next++].id);
				return true;
			}
		}
		v->stopped |= stop_asked(NULL);
	}
	return false;
}

static void tell(void *arg, const struct verify_finding *f)
{
	static const char *const words[VERIFY_VERDICTS] = {
		[VERIFY_DIFFERS] = "differs",
		[VERIFY_MISSING] = "missing",
		[VERIFY_UNREADABLE] = "unreadable",
	};
	struct verify *v = arg;
	LOG(LOG_LEVEL_WARN, "verification", log_str("upload_id", f->upload_id),
		log_str("verdict", words[f->verdict]), log_str("place", f->place),
		log_str("location", f->location), log_str("error", f->text));
	progress_say(v->o->progress, stdout, "%s %s in %s: %s: %s", words[f->verdict], f->upload_id,
		f->place, f->location, f->text);
}

static void add(struct verify_tally *sum, const struct verify_tally *one)
{
	sum->uploads += one->uploads;
	sum->bytes += one->bytes;
	for (int i = 0; i < VERIFY_VERDICTS; i++)
		sum->files[i] += one->files[i];
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct verify *v = w->v;
	struct delivery_progress progress = progress_of(v->o->progress, w->number, stop_asked);
	const struct verify_watcher watcher = {.found = tell, .arg = v, .progress = &progress};
	char id[UUID_SIZE];
	pthread_mutex_lock(&v->mutex);
	while (take(v, id)) {
		struct verify_tally one = {0};
		struct err err = {0};
		pthread_mutex_unlock(&v->mutex);
		int rc = verify_check(v->o->app, id, &watcher, &one, &err);
		pthread_mutex_lock(&v->mutex);
		add(&v->tally, &one);
		v->stopped |= rc == 1;
		if (rc < 0 && !v->broken) {
			v->broken = true;
			v->err = err;
		}
	}
	pthread_mutex_unlock(&v->mutex);
	return NULL;
}

static void summarize(const struct verify *v, const struct verify_options *o)
{
	const struct verify_tally *t = &v->tally;
	uint64_t files = 0;
	char size[HUMAN_SIZE];
	for (int i = 0; i < VERIFY_VERDICTS; i++)
		files += t->files[i];
	progress_say(o->progress, stdout,
		"%schecked %" PRIu64 " files of %" PRIu64 " uploads (%s): %" PRIu64
		" as recorded, %" PRIu64 " not comparable (no recorded SHA-256), %" PRIu64
		" differ, %" PRIu64 " missing, %" PRIu64 " unreadable",
		v->stopped ? "stopped; " : "", files, t->uploads,
		human_bytes(size, (double)t->bytes), t->files[VERIFY_SAME],
		t->files[VERIFY_UNRECORDED], t->files[VERIFY_DIFFERS], t->files[VERIFY_MISSING],
		t->files[VERIFY_UNREADABLE]);
}

static int run_workers(struct verify *v)
{
	struct worker *workers = mem_zalloc(v->o->jobs * sizeof(*workers));
	size_t n = 0;
	for (; n < v->o->jobs; n++) {
		workers[n] = (struct worker){.v = v, .number = n};
		errno = thread_start(&workers[n].thread, 0, work, &workers[n]);
		if (errno != 0)
			break;
	}
	if (n == 0)
		err_errno(&v->err, __func__, "start a thread");
	for (size_t i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
	return n > 0 ? 0 : -1;
}

enum verify_result verify_run(const struct verify_options *o, struct err *err)
{
	struct verify *v = mem_zalloc(sizeof(*v));
	v->o = o;
	pthread_mutex_init(&v->mutex, NULL);
	if (o->upload) {
		str_copy(v->page[0].id, UUID_SIZE, o->upload);
		v->page[0].at = o->until; /* nothing lies behind it */
		v->n = 1;
	}
	if (o->part < 1.0 && !o->quiet)
		progress_say(o->progress, stdout,
			"a sample of %g %% of the uploads; --seed %" PRIu64 " chooses the same",
			o->part * 100.0, o->seed);
	v->broken = run_workers(v) < 0 || v->broken;
	uint64_t bad = v->tally.files[VERIFY_DIFFERS] + v->tally.files[VERIFY_MISSING] +
		       v->tally.files[VERIFY_UNREADABLE];
	if (!o->quiet || bad > 0 || v->stopped || v->broken)
		summarize(v, o);
	enum verify_result result = v->broken    ? VERIFY_BROKEN
				    : bad > 0    ? VERIFY_FOUND
				    : v->stopped ? VERIFY_STOPPED
						 : VERIFY_FINE;
	*err = v->err;
	pthread_mutex_destroy(&v->mutex);
	free(v);
	return result;
}
