/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "tests/lib/http_memory.h"
#include "tests/lib/responder.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* The real program as a CGI program. */

#define WAIT_MS 15000

static struct responder responder;
static struct buf answer, header;

static int setup(void **state)
{
	(void)state;
	buf_init(&answer, 1 << 20);
	buf_init(&header, 1 << 16);
	responder_make(&responder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	responder_remove(&responder);
	buf_free(&answer);
	buf_free(&header);
	return 0;
}

struct run {
	pid_t pid;
	int in;  /* write end of its standard input */
	int out; /* read end of its standard output */
};

/* ${env}: "NAME=value" …, NULL, beside what every CGI program gets. */
static struct run start(const char *method, const char *path, const char *const *env)
{
	char method_var[32], path_var[128];
	const char *all[24] = {"GATEWAY_INTERFACE=CGI/1.1", "SERVER_PROTOCOL=HTTP/1.1",
		"SERVER_PORT=8443", "SERVER_SOFTWARE=Apache/2.4.71", "SCRIPT_NAME=/cgi-bin/dex",
		"HTTP_HOST=h", "HTTP_TUS_RESUMABLE=1.0.0", "QUERY_STRING=--help", method_var,
		path_var};
	size_t n = 10;
	int in[2], out[2];
	struct run run;

	(void)snprintf(method_var, sizeof(method_var), "REQUEST_METHOD=%s", method);
	(void)snprintf(path_var, sizeof(path_var), "PATH_INFO=%s", path);
	for (; env && *env && n < 23; env++)
		all[n++] = *env;
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	run.pid = responder_cgi(&responder, all, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	run.in = in[1];
	run.out = out[0];
	return run;
}

static void give(struct run *run, const char *data)
{
	assert_int_equal(write(run->in, data, strlen(data)), strlen(data));
}

static void close_input(struct run *run)
{
	close(run->in);
	run->in = -1;
}

/* Read the answer to its end; the status, 0 when there is none. The program must end well. */
static int finish(struct run *run, int exit_status)
{
	char piece[4096];
	ssize_t n;

	buf_reset(&answer);
	while ((n = read(run->out, piece, sizeof(piece))) > 0)
		buf_add(&answer, piece, (size_t)n);
	assert_int_equal(n, 0);
	assert_int_equal(responder_wait(run->pid, WAIT_MS), exit_status);
	close(run->out);
	if (run->in >= 0)
		close(run->in);
	return http_memory_status_of(buf_str(&answer));
}

static int request(const char *method, const char *path, const char *const *env)
{
	struct run run = start(method, path, env);

	return finish(&run, 0);
}

static const char *header_of(const char *name)
{
	return http_memory_header_of(buf_str(&answer), name, &header);
}

static void create(char path[64])
{
	static const char *const env[] = {
		"HTTP_UPLOAD_LENGTH=80", "HTTP_UPLOAD_CONCAT=partial", "CONTENT_LENGTH=0", NULL};

	assert_int_equal(request("POST", "/files/", env), 201);
	const char *location = header_of("Location");
	assert_non_null(location);
	assert_int_equal(strncmp(location, "http://h/cgi-bin/dex/files/", 27), 0);
	(void)snprintf(path, 64, "%s", location + 20);
}

static void assert_offset(const char *path, const char *offset)
{
	assert_int_equal(request("HEAD", path, NULL), 200);
	assert_string_equal(header_of("Upload-Offset"), offset);
}

static void requests_are_answered(void **state)
{
	(void)state;
	assert_int_equal(request("GET", "/", NULL), 200);
	assert_non_null(strstr(http_memory_body_of(buf_str(&answer)), "\"system\":\"DEX\""));
	assert_int_equal(request("GET", "/health", NULL), 200);
	assert_int_equal(request("GET", "/nothing", NULL), 404);
	/* Settings are not taken from variables that describe the request. */
	static const char *const no_host[] = {"HTTP_HOST=", NULL};
	assert_int_equal(request("GET", "/", no_host), 200);
}

static void a_body_is_stored(void **state)
{
	static const char *const declared[] = {"CONTENT_LENGTH=10", "HTTP_UPLOAD_OFFSET=0",
		"CONTENT_TYPE=application/offset+octet-stream", NULL};
	static const char *const chunked[] = {"HTTP_TRANSFER_ENCODING=chunked",
		"HTTP_UPLOAD_OFFSET=10", "CONTENT_TYPE=application/offset+octet-stream", NULL};
	char path[64];

	(void)state;
	create(path);
	struct run run = start("PATCH", path, declared);
	give(&run, "01234");
	give(&run, "56789");
	/* The declared length is the end, whether or not the input is closed. */
	assert_int_equal(finish(&run, 0), 204);
	assert_string_equal(header_of("Upload-Offset"), "10");
	run = start("PATCH", path, chunked);
	give(&run, "abcde");
	close_input(&run);
	assert_int_equal(finish(&run, 0), 204);
	assert_string_equal(header_of("Upload-Offset"), "15");
}

static void a_body_that_ends_early_is_kept(void **state)
{
	static const char *const env[] = {"CONTENT_LENGTH=80", "HTTP_UPLOAD_OFFSET=0",
		"CONTENT_TYPE=application/offset+octet-stream", NULL};
	char path[64];

	(void)state;
	create(path);
	struct run run = start("PATCH", path, env);
	give(&run, "0123456");
	close_input(&run);
	assert_int_equal(finish(&run, 0), 423);
	assert_offset(path, "7");
}

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

static void sigterm_means_that_the_client_has_gone(void **state)
{
	static const char *const env[] = {"CONTENT_LENGTH=80", "HTTP_UPLOAD_OFFSET=0",
		"CONTENT_TYPE=application/offset+octet-stream", NULL};
	char path[64];

	(void)state;
	create(path);
	struct run run = start("PATCH", path, env);
	give(&run, "0123456789");
	wait_for_stored(path, 10);
	int64_t began = clock_mono_ms();
	kill(run.pid, SIGTERM);
	(void)finish(&run, 0);
	assert_true(clock_mono_ms() - began < 3000);
	assert_offset(path, "10");
}

static void an_early_answer_comes_after_the_body(void **state)
{
	static const char *const env[] = {
		"CONTENT_LENGTH=1000000", "HTTP_UPLOAD_OFFSET=5", "CONTENT_TYPE=text/plain", NULL};
	static char piece[100001];
	char path[64];

	(void)state;
	create(path);
	memset(piece, 'x', sizeof(piece) - 1);
	struct run run = start("PATCH", path, env);
	for (int i = 0; i < 9; i++)
		give(&run, piece);
	struct pollfd early = {.fd = run.out, .events = POLLIN};
	assert_int_equal(poll(&early, 1, 300), 0);
	give(&run, piece);
	assert_int_equal(finish(&run, 0), 415);
}

static void a_program_that_cannot_start_still_answers(void **state)
{
	static const char *const bad[] = {"DEX_THREADS=many", NULL};
	static const char *const away[] = {"LOCAL_FOLDER_UPLOADS_TUS=/proc/self/nothing", NULL};

	(void)state;
	struct run run = start("GET", "/", bad);
	assert_int_equal(finish(&run, 2), 503);
	assert_null(strstr(buf_str(&answer), "DEX_THREADS"));
	run = start("GET", "/", away);
	assert_int_equal(finish(&run, 2), 503);
	assert_null(strstr(buf_str(&answer), "/proc"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST(a_body_is_stored),
		TEST(a_body_that_ends_early_is_kept),
		TEST(sigterm_means_that_the_client_has_gone),
		TEST(an_early_answer_comes_after_the_body),
		TEST(a_program_that_cannot_start_still_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
