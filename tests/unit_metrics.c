/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/metrics.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *dir;
static char *path;
static struct buf page;

static int set_up(void **state)
{
	(void)state;
	dir = scratch_make();
	path = scratch_path(dir, "metrics");
	buf_init(&page, 4 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	metrics_close();
	buf_free(&page);
	free(path);
	scratch_remove(dir);
	return 0;
}

static void open_metrics(bool responder)
{
	struct err err = {0};
	assert_int_equal(metrics_open(path, responder, &err), 0);
}

static void render(void)
{
	buf_reset(&page);
	assert_int_equal(metrics_render(&page), 0);
}

/* Whether the page has exactly this line. */
static bool has_line(const char *line)
{
	size_t len = strlen(line);
	for (const char *p = buf_str(&page); *p;) {
		size_t n = strcspn(p, "\n");
		if (n == len && memcmp(p, line, n) == 0)
			return true;
		p += n + 1;
	}
	return false;
}

static void expect_line(const char *line)
{
	if (!has_line(line)) {
		print_error("missing: %s\n", line);
		fail();
	}
}

static size_t count_lines(const char *prefix)
{
	size_t count = 0;
	for (const char *p = buf_str(&page); *p; p += strcspn(p, "\n") + 1)
		count += strncmp(p, prefix, strlen(prefix)) == 0;
	return count;
}

/* Run ${work} in a child that has the file open; it ends without metrics_close if ${die}. */
static void in_child(bool responder, void (*work)(void), bool die)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = {0};
		if (metrics_open(path, responder, &err) != 0)
			_exit(1);
		if (work)
			work();
		if (!die)
			metrics_close();
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void nothing_happens_before_it_is_open(void **state)
{
	(void)state;
	metrics_close();
	metrics_add(METRIC_UPLOADS_CREATED, "", 1);
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", 1);
	metrics_observe(METRIC_UPLOAD_SPEED, "", 1);
	render();
	assert_string_equal(buf_str(&page), "");
	struct err err = {0};
	char *missing = scratch_path(dir, "none/metrics");
	assert_int_equal(metrics_open(missing, true, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	free(missing);
	metrics_add(METRIC_UPLOADS_CREATED, "", 1);
}

static void a_fresh_page_shows_zeros_and_every_type(void **state)
{
	(void)state;
	open_metrics(true);
	render();
	static const char *const lines[] = {
		"# TYPE http_requests_total counter",
		"# TYPE dex_server_connections_open gauge",
		"dex_server_connections_open 0",
		"# TYPE upload_manifest_count counter",
		"# TYPE tusd_requests_total counter",
		"# TYPE tusd_errors_total counter",
		"# TYPE tusd_bytes_received counter",
		"tusd_bytes_received 0",
		"tusd_uploads_created 0",
		"tusd_uploads_finished 0",
		"tusd_uploads_terminated 0",
		"# TYPE dex_server_upload_speed_bytes_per_second histogram",
		"dex_server_upload_speed_bytes_per_second_bucket{le=\"+Inf\"} 0",
		"dex_server_upload_speed_bytes_per_second_sum 0",
		"dex_server_upload_speed_bytes_per_second_count 0",
		"# TYPE dex_server_delivery_speed_bytes_per_second histogram",
		"# TYPE dex_server_active_deliveries gauge",
		"# TYPE dex_server_deliveries_total counter",
		"# TYPE dex_server_events_total counter",
		"dex_responder_processes 1",
		"dex_responder_threads_busy 0",
		"dex_responder_restarts_total 0",
		"# TYPE process_cpu_seconds_total counter",
		"# TYPE process_resident_memory_bytes gauge",
		"# TYPE process_open_fds gauge",
		"# TYPE process_start_time_seconds gauge",
	};
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		expect_line(lines[i]);
	assert_int_equal(count_lines("# HELP"), count_lines("# TYPE"));
	const char *resident = strstr(buf_str(&page), "\nprocess_resident_memory_bytes ");
	assert_non_null(resident);
	assert_true(strtod(resident + 31, NULL) > 100000);
	const char *fds = strstr(buf_str(&page), "\nprocess_open_fds ");
	assert_true(strtod(fds + 18, NULL) >= 3);
	const char *start = strstr(buf_str(&page), "\nprocess_start_time_seconds ");
	assert_true(strtod(start + 28, NULL) > 1577836800);
}

static void counters_add_up_across_restarts(void **state)
{
	(void)state;
	open_metrics(false);
	metrics_add(METRIC_BYTES_RECEIVED, "", 5000000000);
	metrics_add(METRIC_TUS_REQUESTS, "method=\"PATCH\"", 2);
	metrics_add(METRIC_TUS_REQUESTS, "method=\"HEAD\"", 1);
	metrics_close();
	metrics_add(METRIC_BYTES_RECEIVED, "", 1);
	open_metrics(false);
	metrics_add(METRIC_BYTES_RECEIVED, "", 7);
	metrics_add(METRIC_TUS_REQUESTS, "method=\"PATCH\"", 1);
	render();
	expect_line("tusd_bytes_received 5000000007");
	expect_line("tusd_requests_total{method=\"PATCH\"} 3");
	expect_line("tusd_requests_total{method=\"HEAD\"} 1");
	assert_int_equal(count_lines("tusd_requests_total{"), 2);
}

static void label_values_are_escaped_and_made_valid(void **state)
{
	(void)state;
	struct buf labels;
	buf_init(&labels, 200);
	assert_int_equal(metrics_label(&labels, "a", "q\"b\\n\nl\xc3\xa4"), 0);
	assert_int_equal(metrics_label(&labels, "b", "\xffx\xc3"), 0);
	assert_int_equal(metrics_label(&labels, "c", ""), 0);
	assert_string_equal(buf_str(&labels),
		"a=\"q\\\"b\\\\n\\nl\xc3\xa4\",b=\"\xef\xbf\xbdx\xef\xbf\xbd\",c=\"\"");
	buf_free(&labels);
	buf_init(&labels, 5);
	assert_int_equal(metrics_label(&labels, "name", "value"), -1);
	buf_free(&labels);
}

static void too_long_labels_become_other(void **state)
{
	(void)state;
	struct buf labels;
	char value[500];
	memset(value, '"', sizeof value);
	value[sizeof value - 1] = '\0';
	buf_init(&labels, 10000);
	metrics_label(&labels, "stream", value);
	metrics_label(&labels, "sender", "x");
	open_metrics(false);
	metrics_add(METRIC_MANIFEST_COUNT, buf_str(&labels), 1);
	render();
	expect_line("upload_manifest_count{stream=\"other\",sender=\"other\"} 1");
	assert_int_equal(count_lines("upload_manifest_count{"), 1);
	buf_free(&labels);
}

static void series_are_limited_to_a_thousand(void **state)
{
	(void)state;
	open_metrics(false);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 1200; i++) {
			char labels[64];
			snprintf(labels, sizeof labels, "stream=\"s%d\",sender=\"x\"", i);
			metrics_add(METRIC_MANIFEST_COUNT, labels, 1);
		}
	}
	metrics_add(METRIC_TUS_REQUESTS, "method=\"PATCH\"", 1);
	render();
	assert_int_equal(count_lines("upload_manifest_count{"), 1000);
	expect_line("upload_manifest_count{stream=\"s0\",sender=\"x\"} 2");
	expect_line("upload_manifest_count{stream=\"s998\",sender=\"x\"} 2");
	expect_line("upload_manifest_count{stream=\"other\",sender=\"other\"} 402");
	expect_line("tusd_requests_total{method=\"PATCH\"} 1");
}

static void histograms_count_into_their_buckets(void **state)
{
	(void)state;
	open_metrics(false);
	metrics_observe(METRIC_UPLOAD_SPEED, "", 10);
	metrics_observe(METRIC_UPLOAD_SPEED, "", 10.5);
	metrics_observe(METRIC_UPLOAD_SPEED, "", 1e12);
	metrics_observe(METRIC_DELIVERY_SPEED, "target=\"edav\"", 60);
	render();
#define NAME "dex_server_upload_speed_bytes_per_second"
	expect_line(NAME "_bucket{le=\"10\"} 1");
	expect_line(NAME "_bucket{le=\"25\"} 2");
	expect_line(NAME "_bucket{le=\"62.5\"} 2");
	expect_line(NAME "_bucket{le=\"+Inf\"} 3");
	expect_line(NAME "_count 3");
	expect_line(NAME "_sum 1000000000020.5");
	assert_int_equal(count_lines(NAME "_bucket"), 21);
#undef NAME
	expect_line(
		"dex_server_delivery_speed_bytes_per_second_bucket{target=\"edav\",le=\"25\"} 0");
	expect_line(
		"dex_server_delivery_speed_bytes_per_second_bucket{target=\"edav\",le=\"62.5\"} 1");
	expect_line("dex_server_delivery_speed_bytes_per_second_sum{target=\"edav\"} 60");
	expect_line("dex_server_delivery_speed_bytes_per_second_count{target=\"edav\"} 1");
}

static void raise_gauges(void)
{
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", 5);
	metrics_gauge(METRIC_ACTIVE_DELIVERIES, "target=\"edav\"", 2);
	metrics_add(METRIC_UPLOADS_CREATED, "", 1);
}

static void gauges_of_the_dead_do_not_count(void **state)
{
	(void)state;
	open_metrics(true);
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", 3);
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", -1);
	metrics_gauge(METRIC_ACTIVE_DELIVERIES, "target=\"edav\"", 1);
	in_child(true, raise_gauges, true);
	in_child(true, raise_gauges, false);
	render();
	expect_line("dex_server_connections_open 2");
	expect_line("dex_server_active_deliveries{target=\"edav\"} 1");
	expect_line("tusd_uploads_created 2");
	expect_line("dex_responder_processes 1");
}

/* A child that stays in the middle of its work until its end of the pipe is closed. */
static pid_t start_worker(int *keep_alive)
{
	int to_child[2];
	int from_child[2];
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err = {0};
		char byte = 'r';
		close(to_child[1]);
		if (metrics_open(path, true, &err) != 0)
			_exit(1);
		raise_gauges();
		if (write(from_child[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	char byte;
	close(from_child[1]);
	assert_int_equal(read(from_child[0], &byte, 1), 1);
	close(from_child[0]);
	close(to_child[0]);
	*keep_alive = to_child[1];
	return pid;
}

static void gauges_of_living_processes_are_summed(void **state)
{
	(void)state;
	open_metrics(false);
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", 1);
	metrics_gauge(METRIC_ACTIVE_DELIVERIES, "target=\"ncird\"", 4);
	int keep_alive;
	pid_t pid = start_worker(&keep_alive);
	render();
	expect_line("dex_server_connections_open 6");
	expect_line("dex_server_active_deliveries{target=\"edav\"} 2");
	expect_line("dex_server_active_deliveries{target=\"ncird\"} 4");
	expect_line("dex_responder_processes 1");
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* Dead but not yet waited for is dead. */
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	render();
	expect_line("dex_server_connections_open 1");
	expect_line("dex_responder_processes 0");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(keep_alive);
}

static void restarts_are_starts_after_a_death(void **state)
{
	(void)state;
	in_child(true, NULL, false);
	in_child(true, NULL, false);
	in_child(false, NULL, true);
	open_metrics(true);
	render();
	expect_line("dex_responder_restarts_total 0");
	in_child(true, NULL, true);
	/* Whoever clears the dead one's slot, the next responder is the restart. */
	in_child(false, NULL, false);
	render();
	expect_line("dex_responder_restarts_total 0");
	in_child(true, NULL, false);
	in_child(true, NULL, false);
	render();
	expect_line("dex_responder_restarts_total 1");
}

static void more_processes_than_slots_still_count(void **state)
{
	(void)state;
	int keep_alive[70];
	pid_t pids[70];
	for (size_t i = 0; i < 70; i++)
		pids[i] = start_worker(&keep_alive[i]);
	open_metrics(false);
	metrics_gauge(METRIC_CONNECTIONS_OPEN, "", 1);
	render();
	expect_line("dex_responder_processes 64");
	expect_line("tusd_uploads_created 70");
	for (size_t i = 0; i < 70; i++)
		kill(pids[i], SIGKILL);
	for (size_t i = 0; i < 70; i++) {
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
		close(keep_alive[i]);
	}
}

static void a_file_of_another_layout_is_replaced(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(fsio_replace(path, "something else", 14, false, &err), 0);
	open_metrics(false);
	metrics_add(METRIC_UPLOADS_CREATED, "", 1);
	render();
	expect_line("tusd_uploads_created 1");
	metrics_close();
	/* The same length with another version in the header. */
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(fsio_pwrite_all(fd, "\xff\xff", 2, 8, &err), 0);
	struct stat before;
	assert_int_equal(fstat(fd, &before), 0);
	open_metrics(false);
	render();
	expect_line("tusd_uploads_created 0");
	/* Who still has the old file mapped does not see it shrink. */
	struct stat after;
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	close(fd);
}

static void *count_many(void *arg)
{
	const int *number = arg;
	for (int i = 0; i < 2000; i++) {
		char labels[48];
		snprintf(labels, sizeof labels, "code=\"%d\",method=\"%d\"", i % 50, *number % 2);
		metrics_add(METRIC_HTTP_REQUESTS, labels, 1);
		metrics_gauge(METRIC_THREADS_BUSY, "", 1);
		metrics_observe(METRIC_UPLOAD_SPEED, "", 2);
		metrics_gauge(METRIC_THREADS_BUSY, "", -1);
		if (i % 500 == 0) {
			struct buf out;
			buf_init(&out, 1 << 20);
			assert_int_equal(metrics_render(&out), 0);
			buf_free(&out);
		}
	}
	return NULL;
}

static void threads_lose_no_count(void **state)
{
	(void)state;
	open_metrics(true);
	pthread_t threads[4];
	int numbers[4] = {0, 1, 2, 3};
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, &numbers[i]), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	render();
	assert_int_equal(count_lines("http_requests_total{"), 100);
	expect_line("http_requests_total{code=\"49\",method=\"1\"} 80");
	expect_line("dex_server_upload_speed_bytes_per_second_count 8000");
	expect_line("dex_server_upload_speed_bytes_per_second_sum 16000");
	expect_line("dex_responder_threads_busy 0");
}

static void processes_that_start_together_share_one_table(void **state)
{
	(void)state;
	pid_t pids[8];
	for (size_t i = 0; i < 8; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct err err = {0};
			if (metrics_open(path, false, &err) != 0)
				_exit(1);
			for (int k = 0; k < 100; k++) {
				char labels[32];
				snprintf(labels, sizeof labels, "method=\"M%d\"", k % 40);
				metrics_add(METRIC_TUS_REQUESTS, labels, 1);
			}
			metrics_close();
			_exit(0);
		}
	}
	for (size_t i = 0; i < 8; i++) {
		int status = 0;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	open_metrics(false);
	render();
	assert_int_equal(count_lines("tusd_requests_total{"), 40);
	expect_line("tusd_requests_total{method=\"M0\"} 24");
	expect_line("tusd_requests_total{method=\"M39\"} 16");
}

#define METRICS_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		METRICS_TEST(nothing_happens_before_it_is_open),
		METRICS_TEST(a_fresh_page_shows_zeros_and_every_type),
		METRICS_TEST(counters_add_up_across_restarts),
		METRICS_TEST(label_values_are_escaped_and_made_valid),
		METRICS_TEST(too_long_labels_become_other),
		METRICS_TEST(series_are_limited_to_a_thousand),
		METRICS_TEST(histograms_count_into_their_buckets),
		METRICS_TEST(gauges_of_the_dead_do_not_count),
		METRICS_TEST(gauges_of_living_processes_are_summed),
		METRICS_TEST(restarts_are_starts_after_a_death),
		METRICS_TEST(more_processes_than_slots_still_count),
		METRICS_TEST(a_file_of_another_layout_is_replaced),
		METRICS_TEST(threads_lose_no_count),
		METRICS_TEST(processes_that_start_together_share_one_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
