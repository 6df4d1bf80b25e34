/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/routes.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "tests/lib/http_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* What is answered before any storage is asked: the app has none. */

#define ID "0b5f5b0c-3c5b-4c1e-8b7e-2f6a3d1c9e10"

static struct config config = {.tus_path = "/files/",
	.info_path = "/info/",
	.cors_origins = "*",
	.server_protocol = "http",
	.server_hostname = "h",
	.server_port = 80,
	.threads = 8};
static struct app app = {.config = &config};
static struct http_memory m;

static int setup(void **state)
{
	(void)state;
	http_memory_init(&m);
	config.cors_origins = "*";
	config.tus_path = "/files/";
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http_memory_free(&m);
	return 0;
}

static int serve(const char *method, const char *path)
{
	buf_reset(&m.out);
	http_memory_param(&m, "REQUEST_METHOD", method);
	http_memory_param(&m, "SCRIPT_NAME", path);
	http_memory_param(&m, "CONTENT_LENGTH", "0");
	http_serve(&app, &http_memory_io, &m, HTTP_DRAIN_NONE);
	return http_memory_status(&m);
}

static void check_header(const char *name, const char *value)
{
	const char *got = http_memory_header(&m, name);

	if (value) {
		assert_non_null(got);
		assert_string_equal(got, value);
	} else {
		assert_null(got);
	}
}

static void paths_and_methods_are_answered_by_table(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
		const char *allow;
	} rows[] = {
		{"GET", "/", 200, NULL},
		{"HEAD", "/", 200, NULL},
		{"POST", "/", 405, "GET, HEAD, OPTIONS"},
		{"PUT", "/", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/", 204, "GET, HEAD, OPTIONS"},
		{"GET", "/version", 200, NULL},
		{"DELETE", "/version", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/version/", 404, NULL},
		{"GET", "/nothing", 404, NULL},
		{"GET", "/filesx", 404, NULL},
		{"GET", "//", 404, NULL},
		{"PUT", "/health", 405, "GET, HEAD, OPTIONS"},
		{"PUT", "/metrics", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/info/", 404, NULL},
		{"GET", "/info/nothing", 404, NULL},
		{"GET", "/info/" ID "/", 404, NULL},
		{"GET", "/info/../../etc/passwd", 404, NULL},
		{"POST", "/info/" ID, 405, "GET, HEAD, OPTIONS"},
		{"GET", "/route/" ID, 400, "POST, OPTIONS"},
		{"PUT", "/route/" ID, 400, "POST, OPTIONS"},
		{"POST", "/route/nothing", 404, NULL},
		{"GET", "/files", 405, "POST, OPTIONS"},
		{"GET", "/files/", 405, "POST, OPTIONS"},
		{"PATCH", "/files/", 405, "POST, OPTIONS"},
		{"GET", "/files/" ID, 405, "HEAD, PATCH, DELETE, OPTIONS"},
		{"POST", "/files/" ID, 405, "HEAD, PATCH, DELETE, OPTIONS"},
		{"PATCH", "/files/0B5F5B0C-3C5B-4C1E-8B7E-2F6A3D1C9E10", 404, NULL},
		{"HEAD", "/files/..%2f" ID, 404, NULL},
		{"HEAD", "/files/a/" ID, 404, NULL},
		{"OPTIONS", "/files", 204, NULL},
		{"OPTIONS", "/files/", 204, NULL},
		{"OPTIONS", "/files/" ID, 204, NULL},
		{"OPTIONS", "/files/no-upload", 204, NULL},
	};

	(void)state;
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int status = serve(rows[i].method, rows[i].path);
		if (status != rows[i].status)
			fail_msg("%s %s: %d", rows[i].method, rows[i].path, status);
		check_header("Allow", rows[i].allow);
		bool tus = strncmp(rows[i].path, "/files", 6) == 0 && rows[i].path[6] != 'x';
		bool options = strcmp(rows[i].method, "OPTIONS") == 0;
		check_header("Tus-Resumable", tus && !options ? "1.0.0" : NULL);
		check_header("Tus-Version", tus && options ? "1.0.0" : NULL);
	}
}

static void a_wrong_tus_version_is_refused_before_anything_else(void **state)
{
	static const char *const versions[] = {
		NULL, "", "0.2.2", "2.0.0", "foo", "1.0.0 ", "1.0.0,1.0.0"};
	static const char *const requests[][2] = {{"POST", "/files/"}, {"POST", "/files"},
		{"HEAD", "/files/" ID}, {"PATCH", "/files/" ID}, {"DELETE", "/files/" ID}};

	(void)state;
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		http_memory_param(&m, "HTTP_TUS_RESUMABLE", versions[i]);
		for (size_t k = 0; k < sizeof(requests) / sizeof(requests[0]); k++) {
			assert_int_equal(serve(requests[k][0], requests[k][1]), 412);
			check_header("Tus-Version", "1.0.0");
			check_header("Tus-Resumable", "1.0.0");
		}
		assert_int_equal(serve("OPTIONS", "/files/"), 204);
	}
	assert_int_equal(serve("GET", "/"), 200);
}

static void the_override_decides_the_method_of_tus_paths(void **state)
{
	static const struct {
		const char *method, *override, *path;
		int status;
	} rows[] = {
		{"POST", "OPTIONS", "/files/", 204},
		{"GET", "OPTIONS", "/files/" ID, 204},
		{"OPTIONS", "PATCH", "/files/", 405},
		{"POST", "PUT", "/files/", 405},
		{"POST", "nonsense", "/files/", 405},
		{"POST", "patch", "/files/" ID, 405},
		{"GET", "POST", "/", 200},
	};

	(void)state;
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		http_memory_param(&m, "HTTP_X_HTTP_METHOD_OVERRIDE", rows[i].override);
		assert_int_equal(serve(rows[i].method, rows[i].path), rows[i].status);
	}
	/* A version is still asked for: the overridden method is not OPTIONS. */
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", NULL);
	http_memory_param(&m, "HTTP_X_HTTP_METHOD_OVERRIDE", "PATCH");
	assert_int_equal(serve("OPTIONS", "/files/" ID), 412);
}

static void a_mounted_program_finds_its_paths(void **state)
{
	(void)state;
	http_memory_param(&m, "PATH_INFO", "/version");
	assert_int_equal(serve("GET", "/cgi-bin/dex"), 200);
	http_memory_param(&m, "PATH_INFO", "/files/");
	assert_int_equal(serve("OPTIONS", "/cgi-bin/dex"), 204);
	check_header("Tus-Version", "1.0.0");
}

static void the_root_may_be_the_tus_end_point(void **state)
{
	(void)state;
	config.tus_path = "/";
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	assert_int_equal(serve("GET", "/version"), 200);
	check_header("Tus-Resumable", NULL);
	assert_int_equal(serve("POST", "/" ID), 405);
	check_header("Tus-Resumable", "1.0.0");
}

static void every_origin_may_read_by_default(void **state)
{
	(void)state;
	http_memory_param(&m, "HTTP_ORIGIN", "https://page.example");
	assert_int_equal(serve("GET", "/nothing"), 404);
	check_header("Access-Control-Allow-Origin", "*");
	assert_non_null(
		strstr(http_memory_header(&m, "Access-Control-Expose-Headers"), "Location"));
	check_header("Access-Control-Allow-Credentials", NULL);
	check_header("Vary", NULL);
}

static void only_listed_origins_may_read(void **state)
{
	static const struct {
		const char *origin;
		bool allowed;
	} rows[] = {
		{"https://a.example", true},
		{"https://B.example:81", true},
		{"https://b.example", false},
		{"https://a.example.evil.org", false},
		{"https://a.exampl", false},
		{"null", false},
		{NULL, false},
	};

	(void)state;
	config.cors_origins = "https://a.example, https://b.example:81";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		http_memory_param(&m, "HTTP_ORIGIN", rows[i].origin);
		serve("GET", "/");
		check_header(
			"Access-Control-Allow-Origin", rows[i].allowed ? rows[i].origin : NULL);
		check_header("Vary", "Origin");
	}
}

static void preflight_needs_no_version_and_no_upload(void **state)
{
	static const char *const wanted[] = {"Authorization", "Content-Type", "Tus-Resumable",
		"Upload-Length", "Upload-Offset", "Upload-Metadata", "Upload-Checksum",
		"Upload-Concat", "Upload-Defer-Length", "X-HTTP-Method-Override",
		"X-Requested-With", "X-Request-ID", "traceparent"};

	(void)state;
	http_memory_param(&m, "HTTP_ORIGIN", "https://page.example");
	http_memory_param(&m, "HTTP_ACCESS_CONTROL_REQUEST_METHOD", "PATCH");
	assert_int_equal(serve("OPTIONS", "/files/" ID), 204);
	check_header("Access-Control-Allow-Methods", "HEAD, POST, PATCH, DELETE, OPTIONS");
	check_header("Access-Control-Max-Age", "86400");
	const char *headers = http_memory_header(&m, "Access-Control-Allow-Headers");
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		assert_non_null(strstr(headers, wanted[i]));
	assert_int_equal(serve("OPTIONS", "/info/" ID), 204);
	check_header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
	config.cors_origins = "https://other.example";
	assert_int_equal(serve("OPTIONS", "/files/" ID), 204);
	check_header("Access-Control-Allow-Methods", NULL);
}

static void errors_on_tus_paths_name_their_code(void **state)
{
	(void)state;
	http_memory_param(&m, "HTTP_TUS_RESUMABLE", "1.0.0");
	assert_int_equal(serve("DELETE", "/files/x"), 404);
	assert_string_equal(
		http_memory_body(&m), "ERR_UPLOAD_NOT_FOUND: there is no such upload\n");
	assert_int_equal(serve("HEAD", "/files/x"), 404);
	assert_string_equal(http_memory_body(&m), "");
	check_header("Upload-Offset", NULL);
}

static void the_web_server_alone_asks_for_pages(void **state)
{
	(void)state;
	http_memory_param(&m, "DEX_UI", "1");
	assert_int_equal(serve("GET", "/version"), 404);
	check_header("Content-Type", "text/html; charset=utf-8");
	check_header("Access-Control-Allow-Origin", NULL);
	assert_int_equal(serve("PUT", "/manifest"), 405);
	check_header("Allow", "GET, HEAD, OPTIONS");
	assert_int_equal(serve("OPTIONS", "/upload"), 204);
	check_header("Allow", "POST, OPTIONS");
	assert_int_equal(serve("GET", "/status/nothing"), 303);
	check_header("Location", "/");
	http_memory_param(&m, "DEX_UI", "0");
	assert_int_equal(serve("GET", "/version"), 200);
	http_memory_param(&m, "DEX_UI", NULL);
	http_memory_param(&m, "HTTP_DEX_UI", "1");
	assert_int_equal(serve("GET", "/version"), 200);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(paths_and_methods_are_answered_by_table),
		TEST(a_wrong_tus_version_is_refused_before_anything_else),
		TEST(the_override_decides_the_method_of_tus_paths),
		TEST(a_mounted_program_finds_its_paths),
		TEST(the_root_may_be_the_tus_end_point),
		TEST(every_origin_may_read_by_default),
		TEST(only_listed_origins_may_read),
		TEST(preflight_needs_no_version_and_no_upload),
		TEST(the_web_server_alone_asks_for_pages),
		TEST(errors_on_tus_paths_name_their_code),
	};
	struct err err;

	/* One line per request is of no use among the results. */
	if (log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
