/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_METRICS_IMPL_H
#define DEX_METRICS_IMPL_H

#include "core/metrics.h"

#include <stdatomic.h>
#include <sys/types.h>

/*
 * The shared file behind core/metrics.h, for metrics*.c alone.
 *
 * Keys are written under the file's lock and become visible by `ready`; they never change or go
 * away afterwards (those of a process slot: while its process lives). Values are plain atomics, so
 * that counting needs no lock. A change of anything below, or of the order of enum metric, needs
 * another METRICS_LAYOUT.
 */
#define METRICS_MAGIC UINT64_C(0x314354454d584544) /* "DEXMETC1" */
#define METRICS_LAYOUT 1U
#define METRICS_LABELS_MAX 480
#define METRICS_COUNTERS 4096
#define METRICS_HISTOGRAMS 128
#define METRICS_PROCESSES 64
#define METRICS_GAUGES 32
#define METRICS_BUCKETS 20

struct metrics_key {
	_Atomic uint32_t ready;
	uint32_t metric;
	char labels[METRICS_LABELS_MAX + 8];
};

struct metrics_counter {
	struct metrics_key key;
	_Atomic uint64_t value;
};

struct metrics_gauge {
	struct metrics_key key;
	_Atomic int64_t value;
};

struct metrics_histogram {
	struct metrics_key key;
	_Atomic uint64_t buckets[METRICS_BUCKETS + 1]; /* each alone, not cumulative; last: +Inf */
	_Atomic uint64_t sum;                          /* the bits of a double */
};

struct metrics_process {
	int32_t pid; /* 0: free */
	uint32_t responder;
	uint64_t started; /* clock ticks after boot: tells a reused pid */
	struct metrics_gauge gauges[METRICS_GAUGES];
};

struct metrics_header {
	uint64_t magic;
	uint32_t layout;
	uint32_t metrics; /* METRIC_COUNT_OF_ALL */
	uint64_t size;    /* of struct metrics_table */
};

struct metrics_table {
	struct metrics_header header;
	uint64_t deaths; /* responders that died and were not yet followed by a start */
	uint32_t series[METRIC_COUNT_OF_ALL]; /* without those of "other" */
	struct metrics_counter counters[METRICS_COUNTERS];
	struct metrics_histogram histograms[METRICS_HISTOGRAMS];
	struct metrics_process processes[METRICS_PROCESSES];
};

enum metrics_type { METRICS_T_COUNTER, METRICS_T_GAUGE, METRICS_T_HISTOGRAM };

struct metrics_info {
	const char *name;
	const char *help;
	enum metrics_type type;
	bool labelled;
	uint32_t series_max; /* with that of "other" */
};

/* The row of ${m}. */
const struct metrics_info *metrics_info(enum metric m);
/* Upper bound of bucket ${i} < METRICS_BUCKETS. */
double metrics_bound(size_t i);

/* metrics_page.c: the page, called under the lock. -1 on overflow of ${out}. */
int metrics_page_write(struct buf *out, struct metrics_table *t);

/* metrics_proc.c: what /proc tells about a process. */
struct metrics_proc_stat {
	uint64_t started; /* clock ticks after boot */
	double cpu_seconds;
	double start_seconds; /* since 1970 */
	uint64_t resident_bytes;
	uint64_t open_fds;
};

/* Start time in ticks; 0 when there is no such process (or only its zombie). */
uint64_t metrics_proc_started(pid_t pid);
/* Whether process ${pid} lives and is the one that started then. */
bool metrics_proc_alive(pid_t pid, uint64_t started);
int metrics_proc_stat(pid_t pid, struct metrics_proc_stat *out);

#endif
