/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "tests/lib/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *dir;
static char *path;
static struct buf text;

static int set_up(void **state)
{
	(void)state;
	dir = scratch_make();
	path = scratch_path(dir, "log");
	buf_init(&text, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_set_common(NULL, NULL);
	int rc = log_open("stderr", LOG_LEVEL_INFO, LOG_LOGFMT, NULL);
	buf_free(&text);
	free(path);
	scratch_remove(dir);
	return rc;
}

static void open_log(enum log_level level, enum log_format format)
{
	struct err err = {0};
	assert_int_equal(log_open(path, level, format, &err), 0);
}

static const char *read_log(void)
{
	struct err err = {0};
	assert_int_equal(fsio_read_file(path, &text, &err), 0);
	return buf_str(&text);
}

/* The line without its time. */
static void expect_line(const char *expected)
{
	const char *line = read_log();
	assert_memory_equal(line, "time=20", 7);
	assert_string_equal(strchr(line, ' ') + 1, expected);
}

static void a_line_carries_its_fields_in_order(void **state)
{
	(void)state;
	log_set_common("dex-upload", "test");
	open_log(LOG_LEVEL_INFO, LOG_LOGFMT);
	LOG(LOG_LEVEL_INFO, "request", log_str("method", "PATCH"), log_int("status", -204),
		log_str("absent", NULL), log_str("path", "/files/a b"));
	expect_line("level=info msg=\"request\" program=dex-upload environment=test method=PATCH "
		    "status=-204 path=\"/files/a b\"\n");
}

static void values_cannot_forge_a_line_or_a_field(void **state)
{
	(void)state;
	open_log(LOG_LEVEL_INFO, LOG_LOGFMT);
	LOG(LOG_LEVEL_WARN, "x\ny", log_str("a", "b\nlevel=error"), log_str("b", "1 c=2"),
		log_str("c", "q\"q\\"), log_str("d", ""), log_str("e", "\t\r\x1b\x7f"),
		log_str("f", "\xff\xc3\xa4\xc2\x9b"), log_str("g", "a=b"));
	expect_line("level=warn msg=\"x\\ny\" a=\"b\\nlevel=error\" b=\"1 c=2\" c=\"q\\\"q\\\\\" "
		    "d=\"\" "
		    "e=\"\\t\\r\\x1b\\x7f\" f=\"\\xff\xc3\xa4\\xc2\\x9b\" g=\"a=b\"\n");
}

/* What ends a line, or turns text around, for some viewers only; its neighbours are shown. */
static void characters_that_mislead_are_escaped(void **state)
{
	static const char odd[] = "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf"
				  "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa";
	(void)state;
	open_log(LOG_LEVEL_INFO, LOG_LOGFMT);
	LOG(LOG_LEVEL_WARN, "m", log_str("a", odd));
	expect_line("level=warn msg=\"m\" a=\"\xe2\x80\xa7\\xe2\\x80\\xa8\\xe2\\x80\\xae"
		    "\xe2\x80\xaf\xe2\x81\xa5\\xe2\\x81\\xa6\\xe2\\x81\\xa9\xe2\x81\xaa\"\n");
	open_log(LOG_LEVEL_INFO, LOG_JSON);
	LOG(LOG_LEVEL_WARN, "m", log_str("a", odd));
	const char *line = strchr(read_log(), '{');
	assert_non_null(line);
	assert_non_null(strstr(line, "\\u2028\\u202e\xe2\x80\xaf\xe2\x81\xa5\\u2066\\u2069"));
	struct err err = {0};
	json_t *value = json_parse(line, strlen(line), &err);
	assert_string_equal(json_get_str(value, "a"), odd);
	json_decref(value);
}

static void json_lines_are_json(void **state)
{
	(void)state;
	log_set_common("dex-deliver", NULL);
	open_log(LOG_LEVEL_INFO, LOG_JSON);
	struct err why = {0};
	err_set(&why, ERR_NO_SPACE, "here", "cannot \"write\"");
	LOG(LOG_LEVEL_ERROR, "x\ny", log_str("a", "q\"\\\t\x01\x7f\xff\xc3\xa4\xc2\x9b"),
		log_int("n", INT64_MIN), log_err(&why));
	const char *line = read_log();
	assert_int_equal(line[strlen(line) - 1], '\n');
	struct err err = {0};
	json_t *value = json_parse(line, strlen(line), &err);
	assert_non_null(value);
	assert_string_equal(json_get_str(value, "level"), "error");
	assert_string_equal(json_get_str(value, "msg"), "x\ny");
	assert_string_equal(json_get_str(value, "program"), "dex-deliver");
	assert_null(json_get_str(value, "environment"));
	assert_string_equal(
		json_get_str(value, "a"), "q\"\\\t\x01\x7f\xef\xbf\xbd\xc3\xa4\xc2\x9b");
	assert_int_equal(json_integer_value(json_object_get(value, "n")), INT64_MIN);
	assert_string_equal(json_get_str(value, "error"), "no space: cannot \"write\"");
	json_decref(value);
}

static void an_error_shows_code_and_text(void **state)
{
	(void)state;
	open_log(LOG_LEVEL_INFO, LOG_LOGFMT);
	struct err why = {0};
	err_set(&why, ERR_NOT_FOUND, "here", "no upload");
	errno = EAGAIN;
	LOG(LOG_LEVEL_ERROR, "failed", log_err(&why));
	assert_int_equal(errno, EAGAIN);
	expect_line("level=error msg=\"failed\" error=\"not found: no upload\"\n");
}

static void lower_levels_are_left_out(void **state)
{
	(void)state;
	open_log(LOG_LEVEL_WARN, LOG_LOGFMT);
	assert_false(log_enabled(LOG_LEVEL_INFO));
	assert_true(log_enabled(LOG_LEVEL_WARN));
	log_write(LOG_LEVEL_DEBUG, "no", NULL);
	log_write(LOG_LEVEL_INFO, "no", NULL);
	log_write(LOG_LEVEL_WARN, "yes", NULL);
	expect_line("level=warn msg=\"yes\"\n");
}

static void a_long_value_is_cut_and_the_rest_kept(void **state)
{
	(void)state;
	char value[9000];
	memset(value, 'v', sizeof value);
	value[sizeof value - 1] = '\0';
	open_log(LOG_LEVEL_INFO, LOG_LOGFMT);
	LOG(LOG_LEVEL_INFO, value, log_str("long", value), log_int("last", 1));
	const char *line = read_log();
	assert_true(strlen(line) < 2500);
	assert_non_null(strstr(line, "vvv\xe2\x80\xa6\" last=1\n"));
}

static void too_many_fields_are_dropped_with_a_mark(void **state)
{
	(void)state;
	char value[1001];
	memset(value, '\x01', sizeof value);
	value[sizeof value - 1] = '\0';
	static const enum log_format formats[] = {LOG_LOGFMT, LOG_JSON};
	for (size_t i = 0; i < 2; i++) {
		open_log(LOG_LEVEL_INFO, formats[i]);
		LOG(LOG_LEVEL_INFO, "m", log_str("a", value), log_str("b", value),
			log_str("c", value), log_str("d", value), log_str("e", value));
	}
	const char *first = read_log();
	const char *second = strchr(first, '\n') + 1;
	assert_true(second - first <= 4096);
	assert_memory_equal(second - 16, " truncated=true\n", 16);
	assert_true(strlen(second) <= 4096);
	struct err err = {0};
	json_t *line = json_parse(second, strlen(second), &err);
	assert_non_null(line);
	assert_true(json_is_true(json_object_get(line, "truncated")));
	assert_non_null(json_object_get(line, "a"));
	json_decref(line);
}

static void reopen_follows_a_rename(void **state)
{
	(void)state;
	char *old = scratch_path(dir, "log.1");
	open_log(LOG_LEVEL_INFO, LOG_LOGFMT);
	log_write(LOG_LEVEL_INFO, "first", NULL);
	assert_int_equal(rename(path, old), 0);
	log_write(LOG_LEVEL_INFO, "second", NULL);
	log_reopen();
	log_write(LOG_LEVEL_INFO, "third", NULL);
	expect_line("level=info msg=\"third\"\n");
	struct err err = {0};
	assert_int_equal(fsio_read_file(old, &text, &err), 0);
	assert_non_null(strstr(buf_str(&text), "second"));
	assert_null(strstr(buf_str(&text), "third"));
	free(old);
}

static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
	(void)state;
	struct err err = {0};
	char *missing = scratch_path(dir, "none/log");
	assert_int_equal(log_open(missing, LOG_LEVEL_INFO, LOG_LOGFMT, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	free(missing);
}

static void *write_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 200; i++) {
		LOG(LOG_LEVEL_INFO, "thread", log_int("i", i));
		if (i % 50 == 0)
			log_reopen();
	}
	return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
	(void)state;
	open_log(LOG_LEVEL_INFO, LOG_JSON);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	int lines = 0;
	for (const char *p = read_log(); *p; lines++) {
		size_t len = strcspn(p, "\n");
		struct err err = {0};
		json_t *line = json_parse(p, len, &err);
		assert_non_null(line);
		json_decref(line);
		p += len + 1;
	}
	assert_int_equal(lines, 800);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_line_carries_its_fields_in_order),
		LOG_TEST(values_cannot_forge_a_line_or_a_field),
		LOG_TEST(characters_that_mislead_are_escaped),
		LOG_TEST(json_lines_are_json),
		LOG_TEST(an_error_shows_code_and_text),
		LOG_TEST(lower_levels_are_left_out),
		LOG_TEST(a_long_value_is_cut_and_the_rest_kept),
		LOG_TEST(too_many_fields_are_dropped_with_a_mark),
		LOG_TEST(reopen_follows_a_rename),
		LOG_TEST(a_file_that_cannot_be_opened_is_an_error),
		LOG_TEST(threads_do_not_mix_their_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
