/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/progress.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "tools/human.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_CELLS 20
#define DRAW_EVERY_MS 100
#define LINE_BYTES 512

struct job {
	struct progress *progress;
	bool (*stop)(void *arg);
	bool active;
	char upload_id[UUID_SIZE];
	char target[64];
	int64_t size;
	int64_t done;
	int64_t since_ms;
};

struct progress {
	pthread_mutex_t mutex;
	bool bar;
	enum progress_lines lines;
	bool drawn;
	int64_t drawn_ms;
	struct job *jobs;
	size_t njobs;
};

struct progress *progress_new(size_t jobs, bool bar, enum progress_lines lines)
{
	struct progress *p = mem_zalloc(sizeof(*p));
	pthread_mutex_init(&p->mutex, NULL);
	p->bar = bar;
	p->lines = lines;
	p->jobs = mem_zalloc(jobs * sizeof(*p->jobs));
	p->njobs = jobs;
	return p;
}

static void clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}

void progress_free(struct progress *p)
{
	if (!p)
		return;
	clear(p);
	pthread_mutex_destroy(&p->mutex);
	free(p->jobs);
	free(p);
}

/* All copies that run, as one. */
struct sum {
	size_t n;
	double size;
	double done;
	double rate; /* bytes a second */
	const struct job *one;
};

static struct sum sum_up(const struct progress *p, int64_t now)
{
	struct sum s = {0};
	for (size_t i = 0; i < p->njobs; i++) {
		const struct job *j = &p->jobs[i];
		if (!j->active)
			continue;
		int64_t ms = now - j->since_ms;
		s.n++;
		s.one = j;
		s.size += (double)j->size;
		s.done += (double)j->done;
		s.rate += ms > 0 ? (double)j->done * 1000.0 / (double)ms : 0.0;
	}
	return s;
}

static size_t width(void)
{
	struct winsize ws;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0 ? ws.ws_col : 80;
}

static void draw(struct progress *p, int64_t now)
{
	struct sum s = sum_up(p, now);
	clear(p);
	if (s.n == 0)
		return;
	double part = s.size > 0 ? s.done / s.size : 1.0;
	int cells = (int)(part * BAR_CELLS);
	char rate[HUMAN_SIZE], left[HUMAN_SIZE], line[LINE_BYTES];
	human_bytes(rate, s.rate);
	str_copy(left, sizeof(left), "-:--");
	if (s.rate > 0)
		human_seconds(left, (s.size - s.done) / s.rate);
	char what[128];
	if (s.n == 1)
		snprintf(what, sizeof(what), "%s to %s", s.one->upload_id, s.one->target);
	else
		snprintf(what, sizeof(what), "%zu deliveries", s.n);
	snprintf(line, sizeof(line), "[%.*s%*s] %3d%%  %s/s  %s left  %s", cells,
		"####################", BAR_CELLS - cells, "", (int)(part * 100.0), rate, left,
		what);
	/* A wrapped line could not be cleared. */
	fprintf(stderr, "\r%.*s\033[K", (int)width() - 1, line);
	p->drawn = true;
	p->drawn_ms = now;
}

static void started(void *arg, const char *upload_id, const char *target, int64_t size)
{
	struct job *j = arg;
	struct progress *p = j->progress;
	pthread_mutex_lock(&p->mutex);
	j->active = true;
	str_copy(j->upload_id, sizeof(j->upload_id), upload_id);
	str_copy(j->target, sizeof(j->target), target);
	j->size = size;
	j->done = 0;
	j->since_ms = clock_mono_ms();
	if (p->bar)
		draw(p, j->since_ms);
	pthread_mutex_unlock(&p->mutex);
}

static void moved(void *arg, int64_t done, int64_t size)
{
	struct job *j = arg;
	struct progress *p = j->progress;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&p->mutex);
	j->done = done;
	j->size = size;
	if (p->bar && now - p->drawn_ms >= DRAW_EVERY_MS)
		draw(p, now);
	pthread_mutex_unlock(&p->mutex);
}

static void say_end(struct progress *p, const struct job *j, const char *upload_id,
	const char *target, enum delivery_outcome o, const char *text)
{
	char size[HUMAN_SIZE];
	if (o == DELIVERY_OK && p->lines == PROGRESS_LINES_ALL) {
		printf("delivered %s to %s: %s (%s)\n", upload_id, target, text,
			human_bytes(size, (double)j->size));
		fflush(stdout);
	}
	if (p->lines == PROGRESS_LINES_NONE)
		return;
	if (o == DELIVERY_RETRIED)
		fprintf(stderr, "failed %s to %s, will be tried again: %s\n", upload_id, target,
			text);
	else if (o == DELIVERY_GIVEN_UP)
		fprintf(stderr, "failed %s to %s, given up: %s\n", upload_id, target, text);
}

static void ended(void *arg, const char *upload_id, const char *target, enum delivery_outcome o,
	const char *text)
{
	struct job *j = arg;
	struct progress *p = j->progress;
	pthread_mutex_lock(&p->mutex);
	j->active = false;
	clear(p);
	say_end(p, j, upload_id, target, o, text);
	if (p->bar)
		draw(p, clock_mono_ms());
	pthread_mutex_unlock(&p->mutex);
}

static bool job_stop(void *arg)
{
	const struct job *j = arg;
	return j->stop(NULL);
}

struct delivery_progress progress_of(struct progress *p, size_t job, bool (*stop)(void *arg))
{
	struct job *j = &p->jobs[job];
	j->progress = p;
	j->stop = stop;
	return (struct delivery_progress){
		.started = started,
		.moved = moved,
		.ended = ended,
		.stop = job_stop,
		.arg = j,
	};
}

void progress_say(struct progress *p, FILE *to, const char *fmt, ...)
{
	va_list ap;
	pthread_mutex_lock(&p->mutex);
	clear(p);
	va_start(ap, fmt);
	vfprintf(to, fmt, ap);
	va_end(ap);
	fputc('\n', to);
	fflush(to);
	if (p->bar)
		draw(p, clock_mono_ms());
	pthread_mutex_unlock(&p->mutex);
}
