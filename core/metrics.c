/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/str.h"
#include "core/metrics_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPEED_TARGETS 50

static const struct metrics_info infos[] = {
	[METRIC_HTTP_REQUESTS] = {"http_requests_total", "HTTP requests answered.",
		METRICS_T_COUNTER, true, 400},
	[METRIC_CONNECTIONS_OPEN] = {"dex_server_connections_open", "HTTP requests in progress.",
		METRICS_T_GAUGE, false, 0},
	[METRIC_MANIFEST_COUNT] = {"upload_manifest_count",
		"Uploads created, by values of their manifests.", METRICS_T_COUNTER, true, 1000},
	[METRIC_TUS_REQUESTS] = {"tusd_requests_total", "tus requests, by HTTP method.",
		METRICS_T_COUNTER, true, 50},
	[METRIC_TUS_ERRORS] = {"tusd_errors_total", "tus requests answered with an error.",
		METRICS_T_COUNTER, true, 400},
	[METRIC_BYTES_RECEIVED] = {"tusd_bytes_received", "Bytes of uploads received.",
		METRICS_T_COUNTER, false, 1},
	[METRIC_UPLOADS_CREATED] = {"tusd_uploads_created", "Uploads created.", METRICS_T_COUNTER,
		false, 1},
	[METRIC_UPLOADS_FINISHED] = {"tusd_uploads_finished", "Uploads finished.",
		METRICS_T_COUNTER, false, 1},
	[METRIC_UPLOADS_TERMINATED] = {"tusd_uploads_terminated", "Uploads terminated.",
		METRICS_T_COUNTER, false, 1},
	[METRIC_UPLOAD_SPEED] = {"dex_server_upload_speed_bytes_per_second",
		"Speed of finished uploads.", METRICS_T_HISTOGRAM, false, 1},
	[METRIC_DELIVERY_SPEED] = {"dex_server_delivery_speed_bytes_per_second",
		"Speed of finished deliveries.", METRICS_T_HISTOGRAM, true, SPEED_TARGETS},
	[METRIC_ACTIVE_DELIVERIES] = {"dex_server_active_deliveries", "Deliveries in progress.",
		METRICS_T_GAUGE, true, 0},
	[METRIC_DELIVERIES] = {"dex_server_deliveries_total", "Deliveries, by target and result.",
		METRICS_T_COUNTER, true, 400},
	[METRIC_EVENTS] = {"dex_server_events_total", "Events published and received.",
		METRICS_T_COUNTER, true, 200},
	[METRIC_THREADS_BUSY] = {"dex_responder_threads_busy",
		"Threads of the responders that work on a request.", METRICS_T_GAUGE, false, 0},
	[METRIC_RESPONDER_RESTARTS] = {"dex_responder_restarts_total",
		"Responders started after one had died.", METRICS_T_COUNTER, false, 1},
};
_Static_assert(sizeof infos / sizeof infos[0] == METRIC_COUNT_OF_ALL, "a metric lacks its row");

/*
 * Set up by metrics_open. The mapping stays when metrics_close gives the rest back, because another
 * thread may be in the middle of counting.
 */
static struct {
	pthread_mutex_t mutex; /* with flock(fd): the file's lock, for threads and processes */
	int fd;
	struct metrics_table *_Atomic table;
	struct metrics_process *_Atomic self;
} shared = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

const struct metrics_info *metrics_info(enum metric m)
{
	return &infos[m];
}

double metrics_bound(size_t i)
{
	double bound = 10;
	while (i-- > 0)
		bound *= 2.5;
	return bound;
}

static int lock_file(int fd)
{
	int rc;
	do {
		rc = flock(fd, LOCK_EX);
	} while (rc != 0 && errno == EINTR);
	return rc;
}

/* The kernel lets go of the file's lock when its holder dies. False: not open, nothing is locked.
 */
static bool lock(void)
{
	pthread_mutex_lock(&shared.mutex);
	if (shared.fd >= 0 && lock_file(shared.fd) == 0)
		return true;
	pthread_mutex_unlock(&shared.mutex);
	return false;
}

static void unlock(void)
{
	flock(shared.fd, LOCK_UN);
	pthread_mutex_unlock(&shared.mutex);
}

static const struct metrics_header our_header = {
	.magic = METRICS_MAGIC,
	.layout = METRICS_LAYOUT,
	.metrics = METRIC_COUNT_OF_ALL,
	.size = sizeof(struct metrics_table),
};

enum look { LOOK_FAILED = -1, LOOK_READY, LOOK_AGAIN };

/* Bring the locked file to our layout; LOOK_AGAIN when ${path} names another file by now. */
static enum look prepare(int fd, const char *path, struct err *err)
{
	struct stat opened;
	struct stat named;
	if (fstat(fd, &opened) != 0) {
		err_errno(err, "metrics_open", "cannot look at %s", path);
		return LOOK_FAILED;
	}
	if (stat(path, &named) != 0 || named.st_ino != opened.st_ino ||
		named.st_dev != opened.st_dev)
		return LOOK_AGAIN;
	struct metrics_header header = {0};
	if (fsio_pread_full(fd, &header, sizeof header, 0, err) < 0)
		return LOOK_FAILED;
	if ((uint64_t)opened.st_size == our_header.size &&
		memcmp(&header, &our_header, sizeof header) == 0)
		return LOOK_READY;
	if (opened.st_size != 0) {
		/* Others may have the old file mapped: it must not shrink under them, so a new one.
		 */
		return fsio_replace(path, "", 0, false, err) == 0 ? LOOK_AGAIN : LOOK_FAILED;
	}
	/* Space is taken now: writing to a mapping of a full disk would be a SIGBUS. */
	do {
		errno = posix_fallocate(fd, 0, (off_t)our_header.size);
	} while (errno == EINTR);
	if (errno != 0) {
		err_errno(err, "metrics_open", "cannot make %s", path);
		return LOOK_FAILED;
	}
	if (fsio_pwrite_all(fd, &our_header, sizeof our_header, 0, err) != 0)
		return LOOK_FAILED;
	return LOOK_READY;
}

/* Open and lock the file, in our layout. Returns fd or -1. */
static int open_file(const char *path, struct err *err)
{
	for (int tries = 0; tries < 10; tries++) {
		int fd = fsio_open_or_make(path, O_RDWR, err);
		if (fd < 0)
			return -1;
		enum look look = LOOK_FAILED;
		if (lock_file(fd) != 0)
			err_errno(err, "metrics_open", "cannot lock %s", path);
		else
			look = prepare(fd, path, err);
		if (look == LOOK_READY)
			return fd;
		close(fd);
		if (look == LOOK_FAILED)
			return -1;
	}
	return err_set(err, ERR_UNAVAILABLE, "metrics_open", "%s is replaced all the time", path);
}

/* Clear the slots of the dead and take one; NULL when all are taken (gauges are then not counted).
 */
static struct metrics_process *take_process_slot(struct metrics_table *t, bool responder)
{
	struct metrics_process *mine = NULL;
	for (size_t i = 0; i < METRICS_PROCESSES; i++) {
		struct metrics_process *p = &t->processes[i];
		if (p->pid != 0 && !metrics_proc_alive(p->pid, p->started)) {
			if (p->responder)
				t->deaths++;
			p->pid = 0;
		}
		if (p->pid == 0 && !mine)
			mine = p;
	}
	if (!mine)
		return NULL;
	memset(mine, 0, sizeof *mine);
	mine->started = metrics_proc_started(getpid());
	mine->responder = responder;
	mine->pid = getpid();
	return mine;
}

int metrics_open(const char *path, bool responder, struct err *err)
{
	metrics_close();
	int fd = open_file(path, err);
	if (fd < 0)
		return -1;
	struct metrics_table *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (t == MAP_FAILED) {
		err_errno(err, __func__, "cannot map %s", path);
		close(fd);
		return -1;
	}
	struct metrics_process *self = take_process_slot(t, responder);
	bool restarted = responder && t->deaths > 0;
	if (restarted)
		t->deaths--;
	flock(fd, LOCK_UN);
	pthread_mutex_lock(&shared.mutex);
	shared.fd = fd;
	pthread_mutex_unlock(&shared.mutex);
	atomic_store(&shared.table, t);
	atomic_store(&shared.self, self);
	if (restarted)
		metrics_add(METRIC_RESPONDER_RESTARTS, "", 1);
	return 0;
}

void metrics_close(void)
{
	if (!lock())
		return;
	struct metrics_process *self = atomic_exchange(&shared.self, NULL);
	atomic_store(&shared.table, NULL);
	/* After a fork the slot is still the parent's, and closing alone would leave its file
	 * locked. */
	if (self && self->pid == getpid())
		self->pid = 0;
	flock(shared.fd, LOCK_UN);
	close(shared.fd);
	shared.fd = -1;
	pthread_mutex_unlock(&shared.mutex);
}

int metrics_label(struct buf *out, const char *name, const char *value)
{
	int rc = out->len > 0 ? buf_add_char(out, ',') : 0;
	rc |= buf_add_str(out, name);
	rc |= buf_add_str(out, "=\"");
	size_t left = strlen(value);
	while (left > 0) {
		size_t n = str_utf8_char(value, left);
		if (n == 0)
			rc |= buf_add_str(out, "\xef\xbf\xbd");
		else if (*value == '\n')
			rc |= buf_add_str(out, "\\n");
		else if (*value == '"' || *value == '\\')
			rc |= buf_printf(out, "\\%c", *value);
		else
			rc |= buf_add(out, value, n);
		value += n ? n : 1;
		left -= n ? n : 1;
	}
	rc |= buf_add_char(out, '"');
	return rc;
}

/* ${labels} with every value "other"; without any labels where even that is too long. */
static void make_other(const char *labels, char out[METRICS_LABELS_MAX + 1])
{
	static const char other[] = "\"other\"";
	size_t used = 0;
	for (const char *p = labels; *p;) {
		size_t name = strcspn(p, "\"");
		if (used + name + sizeof other > METRICS_LABELS_MAX) {
			used = 0;
			break;
		}
		memcpy(out + used, p, name);
		memcpy(out + used + name, other, sizeof other - 1);
		used += name + sizeof other - 1;
		p += name + (p[name] == '"');
		while (*p && *p != '"')
			p += p[0] == '\\' && p[1] ? 2 : 1;
		p += *p == '"';
	}
	out[used] = '\0';
}

/* An array of entries that begin with a struct metrics_key: an open hash table. */
struct region {
	char *base;
	size_t stride;
	size_t count;
};

static struct region counters_of(struct metrics_table *t)
{
	return (struct region){(char *)t->counters, sizeof t->counters[0], METRICS_COUNTERS};
}

static struct region histograms_of(struct metrics_table *t)
{
	return (struct region){(char *)t->histograms, sizeof t->histograms[0], METRICS_HISTOGRAMS};
}

static struct region gauges_of(struct metrics_process *p)
{
	return (struct region){(char *)p->gauges, sizeof p->gauges[0], METRICS_GAUGES};
}

/* FNV-1a: short, and good enough for labels that only our own process chooses. */
static uint32_t hash(enum metric m, const char *labels)
{
	uint32_t h = (UINT32_C(2166136261) ^ (uint32_t)m) * UINT32_C(16777619);
	for (; *labels; labels++)
		h = (h ^ (unsigned char)*labels) * UINT32_C(16777619);
	return h;
}

/* The entry of this key, or the free one where it would go, or NULL when all are taken. */
static struct metrics_key *probe(const struct region *r, enum metric m, const char *labels)
{
	size_t start = hash(m, labels) % r->count;
	for (size_t i = 0; i < r->count; i++) {
		void *entry = r->base + (start + i) % r->count * r->stride;
		struct metrics_key *key = entry;
		if (!atomic_load_explicit(&key->ready, memory_order_acquire))
			return key;
		if (key->metric == (uint32_t)m && strcmp(key->labels, labels) == 0)
			return key;
	}
	return NULL;
}

static bool is_ready(struct metrics_key *key)
{
	return key && atomic_load_explicit(&key->ready, memory_order_acquire);
}

/* With the file locked: the entry of this key, made when the metric may have one series more. */
static struct metrics_key *add_key(
	struct metrics_table *t, const struct region *r, enum metric m, const char *labels)
{
	struct metrics_key *key = probe(r, m, labels);
	if (!key || is_ready(key))
		return key;
	const struct metrics_info *info = metrics_info(m);
	char other[METRICS_LABELS_MAX + 1];
	make_other(labels, other);
	bool is_other = strcmp(labels, other) == 0;
	bool limited = info->type != METRICS_T_GAUGE && !is_other;
	if (limited && t->series[m] + 1 >= info->series_max)
		return add_key(t, r, m, other);
	if (limited)
		t->series[m]++;
	key->metric = (uint32_t)m;
	str_copy(key->labels, sizeof key->labels, labels);
	atomic_store_explicit(&key->ready, 1, memory_order_release);
	return key;
}

/* NULL: there is no room; the change is not counted. */
static struct metrics_key *find(
	struct metrics_table *t, const struct region *r, enum metric m, const char *labels)
{
	char other[METRICS_LABELS_MAX + 1];
	if (strlen(labels) > METRICS_LABELS_MAX) {
		make_other(labels, other);
		labels = other;
	}
	struct metrics_key *key = probe(r, m, labels);
	if (!key || is_ready(key))
		return key;
	if (!lock())
		return NULL;
	key = add_key(t, r, m, labels);
	unlock();
	return key;
}

void metrics_add(enum metric m, const char *labels, uint64_t n)
{
	struct metrics_table *t = atomic_load(&shared.table);
	if (!t)
		return;
	struct region r = counters_of(t);
	struct metrics_counter *c = (void *)find(t, &r, m, labels);
	if (c)
		atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

void metrics_gauge(enum metric m, const char *labels, int64_t delta)
{
	struct metrics_table *t = atomic_load(&shared.table);
	struct metrics_process *self = atomic_load(&shared.self);
	if (!t || !self)
		return;
	struct region r = gauges_of(self);
	struct metrics_gauge *g = (void *)find(t, &r, m, labels);
	if (g)
		atomic_fetch_add_explicit(&g->value, delta, memory_order_relaxed);
}

static void add_double(_Atomic uint64_t *bits, double value)
{
	uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);
	uint64_t new;
	do {
		double sum;
		memcpy(&sum, &old, sizeof sum);
		sum += value;
		memcpy(&new, &sum, sizeof new);
	} while (!atomic_compare_exchange_weak_explicit(
		bits, &old, new, memory_order_relaxed, memory_order_relaxed));
}

void metrics_observe(enum metric m, const char *labels, double value)
{
	struct metrics_table *t = atomic_load(&shared.table);
	if (!t || value != value)
		return;
	struct region r = histograms_of(t);
	struct metrics_histogram *h = (void *)find(t, &r, m, labels);
	if (!h)
		return;
	size_t bucket = 0;
	while (bucket < METRICS_BUCKETS && value > metrics_bound(bucket))
		bucket++;
	atomic_fetch_add_explicit(&h->buckets[bucket], 1, memory_order_relaxed);
	add_double(&h->sum, value);
}

int metrics_render(struct buf *out)
{
	struct metrics_table *t = atomic_load(&shared.table);
	if (!t || !lock())
		return 0;
	int rc = metrics_page_write(out, t);
	unlock();
	return rc;
}
