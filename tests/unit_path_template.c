/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/path_template.h"
#include "core/store/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "6b18cf8a-0d49-4a6e-9d0a-1f2e3d4c5b6a"
#define INGEST INT64_C(1767323045123456) /* 2026-01-02T03:04:05.123456Z */

static int expand(const char *template, const char *filename, struct buf *out, struct err *err)
{
	struct path_template *t = path_template_compile(template, err);
	assert_non_null(t);
	struct path_template_values v = {
		.ingest_time = INGEST,
		.upload_id = ID,
		.filename = filename,
		.data_stream_id = "dextesting",
		.data_stream_route = "testevent1",
	};
	int rc = path_template_expand(t, &v, out, err);
	path_template_free(t);
	return rc;
}

static void test_expands(void **state)
{
	static const struct {
		const char *template, *filename, *want;
	} rows[] = {
		{PATH_TEMPLATE_DEFAULT, "a.csv", "2026/01/02/a.csv"},
		{"{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}_{{.UploadId}}", "a.csv",
			"2026/01/02/a_" ID ".csv"},
		{"{{.DataStreamID}}/{{.DataStreamRoute}}/{{.Filename}}", "a.csv",
			"dextesting/testevent1/a.csv"},
		{"{{ .Hour }}/{{\t.Filename }}", "a.csv", "03/a.csv"},
		{"{{.Prefix}}{{.Filename}}{{.Suffix}}", "a.csv", "a.csv"},
		{"plain", "a.csv", "plain.csv"},
		{"x}}y/{{.Filename}}", "a", "x}}y/a"},
		{"{{.Filename}}", "archive.tar.gz", "archive.tar.gz"},
		{"{{.Filename}}-x", "archive.tar.gz", "archive.tar-x.gz"},
		{"{{.Filename}}-x", "noext", "noext-x"},
		{"{{.Filename}}-x", ".hidden", ".hidden-x"},
		{"{{.Filename}}-x", "ends.", "ends-x."},
		{"{{.Filename}}", "caf\xC3\xA9 1.csv", "caf\xC3\xA9 1.csv"},
		{"{{.Filename}}", "{{.Year}}.csv", "{{.Year}}.csv"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		struct err err = {0};
		buf_init(&out, 2048);
		assert_int_equal(expand(rows[i].template, rows[i].filename, &out, &err), 0);
		assert_string_equal(buf_str(&out), rows[i].want);
		assert_true(blob_key_valid(buf_str(&out)));
		buf_free(&out);
	}
}

static void test_never_leaves_the_target(void **state)
{
	static const struct {
		const char *template, *filename;
	} rows[] = {
		{"/{{.Filename}}", "a.csv"},
		{"../{{.Filename}}", "a.csv"},
		{"x/../../{{.Filename}}", "a.csv"},
		{"./{{.Filename}}", "a.csv"},
		{"x//{{.Filename}}", "a.csv"},
		{"{{.Filename}}/", "a"},
		{"{{.Filename}}", ""},
		{"{{.Filename}}", ".."},
		{"{{.Filename}}", "."},
		{"{{.Prefix}}/{{.Filename}}", "a.csv"},
		{"{{.Filename}}", "../a.csv"},
		{"{{.Filename}}", "sub/a.csv"},
		{"{{.Filename}}", "a\nb.csv"},
		{"a\tb/{{.Filename}}", "a.csv"},
		{"{{.Filename}}", "a\xFF.csv"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		struct err err = {0};
		buf_init(&out, 2048);
		assert_int_equal(expand(rows[i].template, rows[i].filename, &out, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_true(err.text[0] != '\0');
		assert_int_equal(out.len, 0);
		buf_free(&out);
	}
}

static void test_compile_refuses(void **state)
{
	static const struct {
		const char *template, *part; /* what the error must name */
	} rows[] = {
		{"a/{{.Yeer}}", "\".Yeer\" in column 3"},
		{"{{Year}}", "\"Year\" in column 1"},
		{"{{.year}}", "\".year\""},
		{"{{}}", "\"\" in column 1"},
		{"{{.Year", "column 1"},
		{"{{.Year}/{{.Month}}", "column 1"},
		{"", "1 to 1024 bytes"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		assert_null(path_template_compile(rows[i].template, &err));
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.text, rows[i].part));
	}
	char longest[1026];
	struct err err = {0};
	memset(longest, 'a', sizeof(longest));
	longest[1025] = '\0';
	assert_null(path_template_compile(longest, &err));
	longest[1024] = '\0';
	struct path_template *t = path_template_compile(longest, &err);
	assert_non_null(t);
	path_template_free(t);
	path_template_free(NULL);
}

/* A name that the check accepts must not make a path that no file system takes. */
static void test_long_names_are_cut_to_a_segment(void **state)
{
	(void)state;
	char name[256];
	memset(name, 'n', 255);
	memcpy(name + 251, ".csv", 5);
	/* A two-byte character lies across the place of the cut. */
	memcpy(name + 213, "\xC3\xA9", 2);
	struct buf out;
	struct err err = {0};
	buf_init(&out, 2048);
	assert_int_equal(expand("d/{{.Filename}}_{{.UploadId}}", name, &out, &err), 0);
	assert_true(str_ends(buf_str(&out), "_" ID ".csv"));
	assert_true(strlen(strchr(buf_str(&out), '/') + 1) <= 255);
	assert_true(blob_key_valid(buf_str(&out)));
	buf_reset(&out);
	assert_int_equal(expand("{{.Filename}}", name, &out, &err), 0);
	assert_string_equal(buf_str(&out), name);
	char path[300] = "d/";
	memcpy(path + 2, name, 256);
	buf_reset(&out);
	assert_int_equal(path_template_with_id(path, ID, &out), 0);
	assert_true(str_ends(buf_str(&out), "_" ID ".csv"));
	assert_true(out.len <= 2 + 255);
	assert_true(blob_key_valid(buf_str(&out)));
	/* Nor may what only looks like an extension. */
	path[3] = '.';
	memset(path + 4, 'x', 253);
	path[257] = '\0';
	buf_reset(&out);
	assert_int_equal(path_template_with_id(path, ID, &out), 0);
	assert_int_equal(out.len, 2 + 255);
	assert_true(str_ends(buf_str(&out), "_" ID));
	buf_free(&out);
}

static void test_result_longer_than_a_key(void **state)
{
	(void)state;
	char template[1025];
	for (size_t i = 0; i < 1024; i++)
		template[i] = i % 100 == 99 ? '/' : 'a';
	memcpy(template + 1012, "{{.Filename}}", 13);
	template[1024] = '\0';
	template[1023] = 'x';
	memcpy(template + 1010, "{{.Filename}}x", 15);
	struct buf out;
	struct err err = {0};
	buf_init(&out, 4096);
	assert_int_equal(expand(template, "a-name-of-some-length.csv", &out, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	buf_free(&out);
}

static void test_with_id(void **state)
{
	static const struct {
		const char *path, *want;
	} rows[] = {
		{"a/b.csv", "a/b_" ID ".csv"},
		{"b.csv", "b_" ID ".csv"},
		{"a.d/b", "a.d/b_" ID},
		{"a/.hidden", "a/.hidden_" ID},
		{"a/b.tar.gz", "a/b.tar_" ID ".gz"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		buf_init(&out, 2048);
		assert_int_equal(path_template_with_id(rows[i].path, ID, &out), 0);
		assert_string_equal(buf_str(&out), rows[i].want);
		buf_free(&out);
	}
	struct buf tiny;
	buf_init(&tiny, 8);
	assert_int_equal(path_template_with_id("a/b.csv", ID, &tiny), -1);
	buf_free(&tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expands),
		cmocka_unit_test(test_never_leaves_the_target),
		cmocka_unit_test(test_compile_refuses),
		cmocka_unit_test(test_long_names_are_cut_to_a_segment),
		cmocka_unit_test(test_result_longer_than_a_key),
		cmocka_unit_test(test_with_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
