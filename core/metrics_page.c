/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/mem.h"
#include "core/metrics_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int head(struct buf *out, const char *name, const char *help, const char *type)
{
	return buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* NAME or NAME{LABELS}, and the space before the value. */
static int name_and_labels(struct buf *out, const char *name, const char *labels)
{
	return *labels ? buf_printf(out, "%s{%s} ", name, labels) : buf_printf(out, "%s ", name);
}

static bool is_of(const struct metrics_key *key, enum metric m)
{
	return atomic_load_explicit(&key->ready, memory_order_acquire) &&
	       key->metric == (uint32_t)m;
}

static int counters(struct buf *out, struct metrics_table *t, enum metric m)
{
	const struct metrics_info *info = metrics_info(m);
	int rc = head(out, info->name, info->help, "counter");
	bool any = false;
	for (size_t i = 0; i < METRICS_COUNTERS; i++) {
		struct metrics_counter *c = &t->counters[i];
		if (!is_of(&c->key, m))
			continue;
		any = true;
		rc |= name_and_labels(out, info->name, c->key.labels);
		rc |= buf_printf(out, "%llu\n",
			(unsigned long long)atomic_load_explicit(&c->value, memory_order_relaxed));
	}
	if (!any && !info->labelled)
		rc |= buf_printf(out, "%s 0\n", info->name);
	return rc;
}

/* A decimal that reads back as the same number, with no more digits than that takes. */
static int number(struct buf *out, double value)
{
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	return buf_add_str(out, text);
}

/* ${h}: NULL for a histogram in which nothing was counted. */
static int one_histogram(struct buf *out, const char *name, struct metrics_histogram *h)
{
	const char *labels = h ? h->key.labels : "";
	uint64_t total = 0;
	int rc = 0;
	for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
		if (h)
			total += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
		rc |= buf_printf(out, "%s_bucket{%s%sle=\"", name, labels, *labels ? "," : "");
		if (i < METRICS_BUCKETS)
			rc |= number(out, metrics_bound(i));
		else
			rc |= buf_add_str(out, "+Inf");
		rc |= buf_printf(out, "\"} %llu\n", (unsigned long long)total);
	}
	double sum = 0;
	if (h) {
		uint64_t bits = atomic_load_explicit(&h->sum, memory_order_relaxed);
		memcpy(&sum, &bits, sizeof sum);
	}
	rc |= buf_printf(out, "%s_sum", name);
	rc |= name_and_labels(out, "", labels);
	rc |= number(out, sum);
	rc |= buf_printf(out, "\n%s_count", name);
	rc |= name_and_labels(out, "", labels);
	rc |= buf_printf(out, "%llu\n", (unsigned long long)total);
	return rc;
}

static int histograms(struct buf *out, struct metrics_table *t, enum metric m)
{
	const struct metrics_info *info = metrics_info(m);
	int rc = head(out, info->name, info->help, "histogram");
	bool any = false;
	for (size_t i = 0; i < METRICS_HISTOGRAMS; i++) {
		struct metrics_histogram *h = &t->histograms[i];
		if (!is_of(&h->key, m))
			continue;
		any = true;
		rc |= one_histogram(out, info->name, h);
	}
	if (!any && !info->labelled)
		rc |= one_histogram(out, info->name, NULL);
	return rc;
}

struct sum {
	const char *labels;
	int64_t value;
};

/* The living processes' values together, by labels. Returns how many sums there are in *${sums}. */
static size_t gather(struct metrics_table *t, const bool *alive, enum metric m, struct sum **sums)
{
	size_t n = 0;
	for (size_t p = 0; p < METRICS_PROCESSES; p++) {
		for (size_t i = 0; alive[p] && i < METRICS_GAUGES; i++) {
			struct metrics_gauge *g = &t->processes[p].gauges[i];
			if (!is_of(&g->key, m))
				continue;
			size_t at = 0;
			while (at < n && strcmp((*sums)[at].labels, g->key.labels) != 0)
				at++;
			if (at == n) {
				*sums = mem_array(*sums, ++n, sizeof **sums);
				(*sums)[at] = (struct sum){.labels = g->key.labels};
			}
			(*sums)[at].value += atomic_load_explicit(&g->value, memory_order_relaxed);
		}
	}
	return n;
}

static int gauges(struct buf *out, struct metrics_table *t, const bool *alive, enum metric m)
{
	const struct metrics_info *info = metrics_info(m);
	int rc = head(out, info->name, info->help, "gauge");
	struct sum *sums = NULL;
	size_t n = gather(t, alive, m, &sums);
	for (size_t i = 0; i < n; i++) {
		rc |= name_and_labels(out, info->name, sums[i].labels);
		rc |= buf_printf(out, "%lld\n", (long long)sums[i].value);
	}
	if (n == 0 && !info->labelled)
		rc |= buf_printf(out, "%s 0\n", info->name);
	free(sums);
	return rc;
}

static int responders(struct buf *out, const struct metrics_table *t, const bool *alive)
{
	struct metrics_proc_stat all = {0};
	int n = 0;
	for (size_t i = 0; i < METRICS_PROCESSES; i++) {
		struct metrics_proc_stat one;
		if (!alive[i] || !t->processes[i].responder)
			continue;
		n++;
		if (metrics_proc_stat(t->processes[i].pid, &one) != 0)
			continue;
		all.cpu_seconds += one.cpu_seconds;
		all.resident_bytes += one.resident_bytes;
		all.open_fds += one.open_fds;
		if (all.start_seconds == 0 || one.start_seconds < all.start_seconds)
			all.start_seconds = one.start_seconds;
	}
	int rc = head(out, "dex_responder_processes", "Living responder processes.", "gauge");
	rc |= buf_printf(out, "dex_responder_processes %d\n", n);
	rc |= head(out, "process_cpu_seconds_total",
		"User and system CPU time of the living responders in seconds.", "counter");
	rc |= buf_printf(out, "process_cpu_seconds_total %.2f\n", all.cpu_seconds);
	rc |= head(out, "process_resident_memory_bytes",
		"Resident memory of the living responders in bytes.", "gauge");
	rc |= buf_printf(out, "process_resident_memory_bytes %llu\n",
		(unsigned long long)all.resident_bytes);
	rc |= head(out, "process_open_fds", "Open file descriptors of the living responders.",
		"gauge");
	rc |= buf_printf(out, "process_open_fds %llu\n", (unsigned long long)all.open_fds);
	rc |= head(out, "process_start_time_seconds",
		"Start of the oldest living responder in seconds since 1970; 0 without one.",
		"gauge");
	rc |= buf_printf(out, "process_start_time_seconds %.2f\n", all.start_seconds);
	return rc;
}

int metrics_page_write(struct buf *out, struct metrics_table *t)
{
	bool alive[METRICS_PROCESSES];
	for (size_t i = 0; i < METRICS_PROCESSES; i++) {
		const struct metrics_process *p = &t->processes[i];
		alive[i] = p->pid != 0 && metrics_proc_alive(p->pid, p->started);
	}
	int rc = 0;
	for (enum metric m = 0; m < METRIC_COUNT_OF_ALL; m++) {
		switch (metrics_info(m)->type) {
		case METRICS_T_COUNTER:
			rc |= counters(out, t, m);
			break;
		case METRICS_T_GAUGE:
			rc |= gauges(out, t, alive, m);
			break;
		case METRICS_T_HISTOGRAM:
			rc |= histograms(out, t, m);
			break;
		}
	}
	rc |= responders(out, t, alive);
	return rc;
}
