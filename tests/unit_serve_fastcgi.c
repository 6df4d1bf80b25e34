/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/json.h"
#include "tests/lib/fcgi_client.h"
#include "tests/lib/http_memory.h"
#include "tests/lib/responder.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The real program under a raw FastCGI client: how records are cut must never matter. */

#define ANSWER_MS 15000
#define UPLOAD_SIZE 80

static struct responder responder;
static struct buf out, answer, header;

static int setup(void **state)
{
	(void)state;
	buf_init(&out, 1 << 20);
	buf_init(&answer, 1 << 20);
	buf_init(&header, 1 << 16);
	responder_make(&responder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	responder_remove(&responder);
	buf_free(&out);
	buf_free(&answer);
	buf_free(&header);
	return 0;
}

static const char *header_of(const char *name)
{
	return http_memory_header_of(buf_str(&answer), name, &header);
}

/* Connect and begin a request: what it takes is in ${out}, nothing is sent yet. */
static int begin(const char *method, const char *path, const char *length, const char *offset)
{
	const char *params[] = {"REQUEST_METHOD", method, "SCRIPT_NAME", path, "CONTENT_LENGTH",
		length, "HTTP_UPLOAD_OFFSET", offset, "HTTP_TUS_RESUMABLE", "1.0.0", "CONTENT_TYPE",
		"application/offset+octet-stream", "SERVER_SOFTWARE", "nginx/1.22.1", NULL};
	int fd = fcgi_client_connect(responder.socket);

	assert_true(fd >= 0);
	fcgi_client_begin(&out, params);
	return fd;
}

static int finish(int fd)
{
	buf_reset(&answer);
	if (out.len > 0)
		assert_int_equal(fcgi_client_send(fd, &out), 0);
	assert_int_equal(fcgi_client_answer(fd, &answer, ANSWER_MS), 0);
	close(fd);
	return http_memory_status_of(buf_str(&answer));
}

static int get(const char *method, const char *path)
{
	int fd = begin(method, path, "", "");

	fcgi_client_stdin(&out, "", 0, 0);
	return finish(fd);
}

/* systemd hands over a socket that does not block, and with it the state of all who share it. */
static void a_listening_socket_that_does_not_block_is_waited_on(void **state)
{
	struct buf log;

	(void)state;
	assert_int_equal(fcntl(responder.listener, F_SETFL, O_NONBLOCK), 0);
	responder_start(&responder, NULL);
	assert_int_equal(get("GET", "/"), 200);
	assert_true(responder_stop(&responder) >= 0);
	char *path = scratch_path(responder.dir, "log");
	buf_init(&log, 1 << 20);
	assert_int_equal(fsio_read_file(path, &log, NULL), 0);
	assert_null(strstr(buf_str(&log), "no connection could be accepted"));
	buf_free(&log);
	free(path);
}

/* A partial upload (it needs no manifest); its path. */
static void create(char path[64])
{
	char length[8];
	(void)snprintf(length, sizeof(length), "%d", UPLOAD_SIZE);
	const char *params[] = {"REQUEST_METHOD", "POST", "SCRIPT_NAME", "/files/",
		"CONTENT_LENGTH", "0", "HTTP_UPLOAD_LENGTH", length, "HTTP_UPLOAD_CONCAT",
		"partial", "HTTP_TUS_RESUMABLE", "1.0.0", "HTTP_HOST", "h", NULL};
	int fd = fcgi_client_connect(responder.socket);

	assert_true(fd >= 0);
	fcgi_client_begin(&out, params);
	fcgi_client_stdin(&out, "", 0, 0);
	assert_int_equal(finish(fd), 201);
	const char *location = header_of("Location");
	assert_non_null(location);
	assert_int_equal(strncmp(location, "http://h/files/", 15), 0);
	(void)snprintf(path, 64, "%s", location + 8);
}

static void assert_offset(const char *path, const char *offset)
{
	assert_int_equal(get("HEAD", path), 200);
	assert_string_equal(header_of("Upload-Offset"), offset);
}

/* ${n} bytes, each in a record of its own, paddings of all kinds. */
static void add_tiny_records(size_t n)
{
	for (size_t i = 0; i < n; i++)
		fcgi_client_stdin(&out, "x", 1, (unsigned char)(i * 37 % 256));
}

static void requests_are_answered(void **state)
{
	(void)state;
	responder_start(&responder, NULL);
	assert_int_equal(get("GET", "/"), 200);
	json_t *body = json_loads(http_memory_body_of(buf_str(&answer)), 0, NULL);
	assert_string_equal(json_get_str(body, "system"), "DEX");
	json_decref(body);
	assert_int_equal(get("HEAD", "/"), 200);
	assert_string_equal(http_memory_body_of(buf_str(&answer)), "");
	assert_int_equal(get("GET", "/nothing"), 404);
	assert_true(responder_stop(&responder) >= 0);
}

static void tiny_records_packed_together_are_read_whole(void **state)
{
	char path[64];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	int fd = begin("PATCH", path, "80", "0");
	add_tiny_records(UPLOAD_SIZE);
	fcgi_client_stdin(&out, "", 0, 0);
	assert_int_equal(finish(fd), 204);
	assert_string_equal(header_of("Upload-Offset"), "80");
	assert_true(responder_stop(&responder) >= 0);
}

static void a_chunked_body_ends_with_its_empty_record(void **state)
{
	char path[64];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	/* All in one piece, and then silence: the end must be found behind the records. */
	int fd = begin("PATCH", path, "", "0");
	add_tiny_records(10);
	fcgi_client_stdin(&out, "", 0, 7);
	int64_t start = clock_mono_ms();
	assert_int_equal(finish(fd), 204);
	assert_string_equal(header_of("Upload-Offset"), "10");
	assert_true(clock_mono_ms() - start < 5000);
	assert_true(responder_stop(&responder) >= 0);
}

static void records_cut_anywhere_are_read_whole(void **state)
{
	char path[64];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	int fd = begin("PATCH", path, "80", "0");
	add_tiny_records(5);
	fcgi_client_stdin(&out,
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"ABCDE",
		75, 3);
	fcgi_client_stdin(&out, "", 0, 0);
	size_t len = out.len;
	char *bytes = buf_take(&out);
	for (size_t i = 0; i < len; i++) {
		buf_add(&out, bytes + i, 1);
		assert_int_equal(fcgi_client_send(fd, &out), 0);
	}
	free(bytes);
	assert_int_equal(finish(fd), 204);
	assert_string_equal(header_of("Upload-Offset"), "80");
	assert_true(responder_stop(&responder) >= 0);
}

/* Wait until ${n} bytes of the upload lie in storage: its PATCH has got there. */
static void wait_for_stored(const char *path, off_t n)
{
	const char *id = path + strlen("/files/");
	char name[128];
	struct stat st = {.st_size = 0};

	(void)snprintf(name, sizeof(name), "uploads/tus-prefix/%.2s/%s", id, id);
	char *file = scratch_path(responder.dir, name);
	for (int i = 0; i < 1000 && (stat(file, &st) < 0 || st.st_size < n); i++)
		clock_sleep_ms(10);
	assert_int_equal(st.st_size, n);
	free(file);
}

/* Send what is in ${out} as a PATCH that then falls silent; a HEAD must get through with all of it.
 */
static void check_silent(const char *path, int fd, int offset)
{
	char text[8];

	(void)snprintf(text, sizeof(text), "%d", offset);
	assert_int_equal(fcgi_client_send(fd, &out), 0);
	wait_for_stored(path, offset);
	int64_t start = clock_mono_ms();
	assert_offset(path, text);
	assert_true(clock_mono_ms() - start < 3000);
	assert_int_equal(finish(fd), 423);
}

static void a_silent_body_yields_to_a_newcomer(void **state)
{
	char path[64];
	static const unsigned char half_header[] = {1, 5, 0, 1};
	static const unsigned char only_header[] = {1, 5, 0, 1, 0, 9, 0, 0};

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	int fd = begin("PATCH", path, "80", "0");
	add_tiny_records(20);
	check_silent(path, fd, 20);
	/* In the middle of a record's header, and between it and its content. */
	fd = begin("PATCH", path, "60", "20");
	add_tiny_records(10);
	buf_add(&out, half_header, sizeof(half_header));
	check_silent(path, fd, 30);
	fd = begin("PATCH", path, "50", "30");
	add_tiny_records(5);
	buf_add(&out, only_header, sizeof(only_header));
	check_silent(path, fd, 35);
	assert_true(responder_stop(&responder) >= 0);
}

static void what_came_before_an_abort_is_kept(void **state)
{
	char path[64];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	int fd = begin("PATCH", path, "80", "0");
	add_tiny_records(10);
	fcgi_client_abort(&out);
	assert_int_equal(finish(fd), 423);
	assert_offset(path, "10");
	fd = begin("PATCH", path, "70", "10");
	add_tiny_records(10);
	assert_int_equal(fcgi_client_send(fd, &out), 0);
	close(fd);
	wait_for_stored(path, 20);
	assert_offset(path, "20");
	/* The end of the stream before the declared length is no end of the body. */
	fd = begin("PATCH", path, "60", "20");
	add_tiny_records(10);
	fcgi_client_stdin(&out, "", 0, 0);
	assert_int_equal(finish(fd), 423);
	assert_offset(path, "30");
	assert_true(responder_stop(&responder) >= 0);
}

static void sigterm_stores_running_bodies_and_ends(void **state)
{
	char path[64];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	int fd = begin("PATCH", path, "80", "0");
	add_tiny_records(25);
	assert_int_equal(fcgi_client_send(fd, &out), 0);
	wait_for_stored(path, 25);
	long ms = responder_stop(&responder);
	assert_true(ms >= 0 && ms < 10000);
	assert_int_equal(finish(fd), 503);
	assert_non_null(header_of("Retry-After"));
	responder_start(&responder, NULL);
	assert_offset(path, "25");
	assert_true(responder_stop(&responder) >= 0);
}

static void a_process_that_stops_leaves_the_socket_to_others(void **state)
{
	struct responder first;

	(void)state;
	responder_start(&responder, NULL);
	assert_int_equal(get("GET", "/"), 200);
	first = responder;
	responder.pid = responder_spawn(&responder, NULL);
	assert_true(responder_stop(&first) >= 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(get("GET", "/"), 200);
	assert_true(responder_stop(&responder) >= 0);
}

static void too_many_bodies_are_sent_away_and_the_rest_is_served(void **state)
{
	static const char *const env[] = {"DEX_THREADS=4", NULL};
	char paths[3][64];
	int fds[2];

	(void)state;
	responder_start(&responder, env);
	for (size_t i = 0; i < 3; i++)
		create(paths[i]);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = begin("PATCH", paths[i], "80", "0");
		add_tiny_records(1);
		assert_int_equal(fcgi_client_send(fds[i], &out), 0);
		wait_for_stored(paths[i], 1);
	}
	int fd = begin("PATCH", paths[2], "80", "0");
	assert_int_equal(finish(fd), 503);
	assert_string_equal(header_of("Retry-After"), "5");
	assert_int_equal(strncmp(http_memory_body_of(buf_str(&answer)), "ERR_TOO_BUSY: ", 14), 0);
	assert_int_equal(get("GET", "/"), 200);
	/* A place is free again with the end of a body. */
	fcgi_client_abort(&out);
	assert_int_equal(finish(fds[0]), 423);
	fd = begin("PATCH", paths[2], "80", "0");
	add_tiny_records(UPLOAD_SIZE);
	assert_int_equal(finish(fd), 204);
	close(fds[1]);
	assert_true(responder_stop(&responder) >= 0);
}

static void an_early_answer_waits_for_64_kib_behind_apache_only(void **state)
{
	char path[64];
	static char kib[1024];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	int fd = begin("PATCH", path, "10", "5");
	assert_int_equal(finish(fd), 409);
	assert_string_equal(header_of("Upload-Offset"), "0");
	const char *params[] = {"REQUEST_METHOD", "PATCH", "SCRIPT_NAME", path,
		"HTTP_UPLOAD_OFFSET", "5", "HTTP_TUS_RESUMABLE", "1.0.0", "CONTENT_TYPE",
		"text/plain", "SERVER_SOFTWARE", "Apache/2.4.71 (Debian)", NULL};
	fd = fcgi_client_connect(responder.socket);
	fcgi_client_begin(&out, params);
	for (int i = 0; i < 63; i++)
		fcgi_client_stdin(&out, kib, sizeof(kib), 0);
	assert_int_equal(fcgi_client_send(fd, &out), 0);
	buf_reset(&answer);
	assert_int_equal(fcgi_client_answer(fd, &answer, 300), -1);
	fcgi_client_stdin(&out, kib, sizeof(kib), 0);
	assert_int_equal(finish(fd), 415);
	assert_true(responder_stop(&responder) >= 0);
}

static int post_route(const char *path, const char *body)
{
	char length[24];
	(void)snprintf(length, sizeof(length), "%zu", strlen(body));
	int fd = begin("POST", path, length, "");

	if (*body)
		fcgi_client_stdin(&out, body, strlen(body), 0);
	fcgi_client_stdin(&out, "", 0, 0);
	return finish(fd);
}

static void info_and_route_tell_about_an_upload(void **state)
{
	static const struct {
		const char *body;
		int status;
	} rows[] = {
		{"", 400},
		{"not json", 400},
		{"[]", 400},
		{"{}", 400},
		{"{\"target\":5}", 400},
		{"{\"target\":\"here\",\"source\":\"elsewhere\"}", 400},
		{"{\"target\":\"here\",\"source\":null}", 400},
		{"{\"target\":\"here\",\"source\":\"upload\"}", 409},
		{"{\"target\":\"here\"}", 409},
	};
	char upload[64], path[128];

	(void)state;
	responder_start(&responder, NULL);
	create(upload);
	const char *id = upload + strlen("/files/");
	(void)snprintf(path, sizeof(path), "/info/%s", id);
	assert_int_equal(get("GET", path), 200);
	json_t *info = json_loads(http_memory_body_of(buf_str(&answer)), 0, NULL);
	assert_string_equal(
		json_get_str(json_object_get(info, "upload_status"), "status"), "Initiated");
	assert_string_equal(json_get_str(json_object_get(info, "manifest"), "upload_id"), id);
	assert_true(json_is_null(json_object_get(info, "file_info")));
	assert_true(json_is_null(json_object_get(info, "deliveries")));
	json_decref(info);

	int fd = begin("PATCH", upload, "10", "0");
	add_tiny_records(10);
	assert_int_equal(finish(fd), 204);
	assert_int_equal(get("GET", path), 200);
	info = json_loads(http_memory_body_of(buf_str(&answer)), 0, NULL);
	assert_string_equal(
		json_get_str(json_object_get(info, "upload_status"), "status"), "In Progress");
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(info, "file_info"), "size_bytes")),
		10);
	json_decref(info);

	(void)snprintf(path, sizeof(path), "/route/%s", id);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(post_route(path, rows[i].body), rows[i].status);
	assert_int_equal(get("GET", path), 400);
	assert_int_equal(
		post_route("/route/0b5f5b0c-3c5b-4c1e-8b7e-2f6a3d1c9e10", "{\"target\":\"here\"}"),
		404);
	assert_int_equal(get("GET", "/info/0b5f5b0c-3c5b-4c1e-8b7e-2f6a3d1c9e10"), 404);

	assert_int_equal(get("DELETE", upload), 204);
	(void)snprintf(path, sizeof(path), "/info/%s", id);
	assert_int_equal(get("GET", path), 404);
	assert_int_equal(get("HEAD", upload), 410);
	assert_true(responder_stop(&responder) >= 0);
}

static void health_names_every_service(void **state)
{
	static const char *const wanted[] = {"storage (file)", "state (sqlite)", "target here",
		"publisher reports", "publisher events"};

	(void)state;
	responder_start(&responder, NULL);
	assert_int_equal(get("GET", "/health"), 200);
	json_t *health = json_loads(http_memory_body_of(buf_str(&answer)), 0, NULL);
	assert_string_equal(json_get_str(health, "status"), "UP");
	json_t *services = json_object_get(health, "services");
	assert_int_equal(json_array_size(services), sizeof(wanted) / sizeof(wanted[0]));
	for (size_t i = 0; i < json_array_size(services); i++) {
		const json_t *service = json_array_get(services, i);
		assert_string_equal(json_get_str(service, "service"), wanted[i]);
		assert_string_equal(json_get_str(service, "status"), "UP");
		assert_string_equal(json_get_str(service, "health_issue"), "None reported");
	}
	json_decref(health);
	/* Answers are kept a few seconds: a service that goes now is not noticed at once. */
	char *uploads = scratch_path(responder.dir, "uploads/tus-prefix");
	rmdir(uploads);
	free(uploads);
	assert_int_equal(get("GET", "/health"), 200);
	assert_non_null(strstr(buf_str(&answer), "\"status\":\"UP\",\"services\""));
	assert_true(responder_stop(&responder) >= 0);
}

static void metrics_count_requests(void **state)
{
	char path[64];

	(void)state;
	responder_start(&responder, NULL);
	create(path);
	assert_int_equal(get("GET", "/nothing"), 404);
	assert_int_equal(get("DELETE", "/files/x"), 404);
	assert_int_equal(get("GET", "/metrics"), 200);
	assert_string_equal(header_of("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
	const char *page = http_memory_body_of(buf_str(&answer));
	assert_non_null(strstr(page, "\nhttp_requests_total{code=\"404\",method=\"GET\"} 1\n"));
	assert_non_null(strstr(page, "\ntusd_requests_total{method=\"POST\"} 1\n"));
	assert_non_null(strstr(
		page, "\ntusd_errors_total{status=\"404\",code=\"ERR_UPLOAD_NOT_FOUND\"} 1\n"));
	assert_non_null(strstr(page, "\ndex_server_connections_open 1\n"));
	assert_non_null(strstr(page, "\ndex_server_active_uploads 1\n"));
	assert_non_null(strstr(page, "\ndex_server_queue_messages{queue=\"deliveries\"} 0\n"));
	assert_true(responder_stop(&responder) >= 0);
}

static void sigquit_ends_it_as_well(void **state)
{
	(void)state;
	responder_start(&responder, NULL);
	assert_int_equal(get("GET", "/"), 200);
	kill(responder.pid, SIGQUIT);
	assert_int_equal(responder_wait(responder.pid, 15000), 0);
	responder.pid = 0;
}

static void sighup_opens_the_log_anew(void **state)
{
	struct stat st;
	char *log = scratch_path(responder.dir, "log");
	char *old = scratch_path(responder.dir, "log.1");

	(void)state;
	responder_start(&responder, NULL);
	assert_int_equal(get("GET", "/"), 200);
	assert_int_equal(rename(log, old), 0);
	kill(responder.pid, SIGHUP);
	for (int i = 0; i < 100 && stat(log, &st) < 0; i++)
		clock_sleep_ms(50);
	assert_int_equal(stat(log, &st), 0);
	assert_true(responder_stop(&responder) >= 0);
	free(log);
	free(old);
}

static void without_a_listening_socket_it_says_so(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	char text[64] = {0};
	struct responder r = responder;
	r.listener = fds[0];
	/* Its standard error goes to ours; what counts is the status. */
	int saved = dup(STDERR_FILENO);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	pid_t pid = responder_spawn(&r, NULL);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(responder_wait(pid, 10000), 2);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "standard input is no listening socket"));
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST(a_listening_socket_that_does_not_block_is_waited_on),
		TEST(tiny_records_packed_together_are_read_whole),
		TEST(a_chunked_body_ends_with_its_empty_record),
		TEST(records_cut_anywhere_are_read_whole),
		TEST(a_silent_body_yields_to_a_newcomer),
		TEST(what_came_before_an_abort_is_kept),
		TEST(sigterm_stores_running_bodies_and_ends),
		TEST(a_process_that_stops_leaves_the_socket_to_others),
		TEST(too_many_bodies_are_sent_away_and_the_rest_is_served),
		TEST(an_early_answer_waits_for_64_kib_behind_apache_only),
		TEST(info_and_route_tell_about_an_upload),
		TEST(health_names_every_service),
		TEST(metrics_count_requests),
		TEST(sigquit_ends_it_as_well),
		TEST(sighup_opens_the_log_anew),
		TEST(without_a_listening_socket_it_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
