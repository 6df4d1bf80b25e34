/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/tus/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void number_is_strict(void **state)
{
	static const struct {
		const char *in;
		int rc;
		int64_t value;
	} rows[] = {
		{"0", 0, 0},
		{"42", 0, 42},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -1, 0},
		{"-1", -1, 0},
		{"+1", -1, 0},
		{"1.5", -1, 0},
		{"abc", -1, 0},
		{"", -1, 0},
		{" 1", -1, 0},
		{"1 ", -1, 0},
		{"0x10", -1, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		int64_t out = -5;
		assert_int_equal(
			headers_number("Upload-Offset", rows[i].in, &out, &err), rows[i].rc);
		assert_int_equal(out, rows[i].rc == 0 ? rows[i].value : -5);
	}
}

static void defer_length_is_only_1(void **state)
{
	static const char *const bad[] = {"0", "2", "true", "", "01", "1 "};
	struct err err = {0};

	(void)state;
	assert_int_equal(headers_defer_length("1", &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(headers_defer_length(bad[i], &err), -1);
}

static void metadata_keeps_order_and_values(void **state)
{
	struct err err = {0};
	json_t *m = headers_metadata("filename dGVzdC5jc3Y=,empty,also_empty , umlaut w7w=", &err);

	(void)state;
	assert_non_null(m);
	char *text = json_dumps(m, JSON_COMPACT);
	assert_string_equal(text, "{\"filename\":\"test.csv\",\"empty\":\"\",\"also_empty\":\"\","
				  "\"umlaut\":\"\xc3\xbc\"}");
	free(text);
	json_decref(m);
}

static void metadata_absent_is_empty(void **state)
{
	struct err err = {0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		json_t *m = headers_metadata(i ? "" : NULL, &err);
		assert_int_equal(json_object_size(m), 0);
		json_decref(m);
	}
}

static void metadata_names_the_bad_pair(void **state)
{
	static const struct {
		const char *in;
		const char *says;
	} rows[] = {
		{"a YQ==,,b YQ==", "pair 2"},
		{"a YQ==,", "pair 2"},
		{"a YQ==,a YQ==", "twice"},
		{"a not!base64", "not Base64"},
		{"a YQ", "not Base64"},
		{"a YR==", "not Base64"},
		{"a YQ== YQ==", "not Base64"},
		{"a\x01 YQ==", "no valid key"},
		{"\xc3\xbc YQ==", "no valid key"},
		{"a AA==", "not UTF-8"},
		{"a /w==", "not UTF-8"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		assert_null(headers_metadata(rows[i].in, &err));
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.text, rows[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].in, err.text,
				rows[i].says);
	}
}

static void metadata_is_bounded(void **state)
{
	struct err err = {0};
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (int i = 0; i < TUS_METADATA_KEYS_MAX; i++)
		buf_printf(&b, "%sk%d YQ==", i ? "," : "", i);
	json_t *m = headers_metadata(buf_str(&b), &err);
	assert_int_equal(json_object_size(m), TUS_METADATA_KEYS_MAX);
	json_decref(m);
	buf_add_str(&b, ",one YQ==");
	assert_null(headers_metadata(buf_str(&b), &err));
	buf_reset(&b);
	buf_add_str(&b, "k ");
	while (b.len <= TUS_METADATA_MAX)
		buf_add_str(&b, "YWFh");
	assert_null(headers_metadata(buf_str(&b), &err));
	buf_free(&b);
}

static void checksum_needs_known_algorithm_and_length(void **state)
{
	static const struct {
		const char *in;
		int rc;
	} rows[] = {
		{"sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", 0},
		{"md5 XUFAKrxLKna5cZ2REBfFkg==", 0},
		{"crc32c 4waSgw==", 0},
		{"sha1", -1},
		{"sha1 ", -1},
		{"sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=", -1},
		{"SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", -1},
		{"foo Kq5sNclPz7QV2+lfQIuc6R7oRu0=", -1},
		{"md5 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", -1},
		{"sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0", -1},
		{"averyveryverylongname YQ==", -1},
		{"", -1},
		{" YQ==", -1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct headers_checksum c;
		if (headers_checksum(rows[i].in, &c, &err) != rows[i].rc)
			fail_msg("row %zu: %s", i, rows[i].in);
	}
}

#define ID_A "11111111-2222-4333-8444-555555555555"
#define ID_B "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

static void concat_reads_parts_in_order(void **state)
{
	static const char *const good[] = {
		"final;/files/" ID_A " /files/" ID_B,
		"final; /files/" ID_A " /files/" ID_B,
		"final;http://h:80/files/" ID_A " https://x/cgi-bin/dex/files/" ID_B,
	};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = {0};
		struct headers_concat c;
		assert_int_equal(headers_concat(good[i], "/files/", &c, &err), 0);
		assert_int_equal(c.kind, CONCAT_FINAL);
		assert_int_equal(c.nparts, 2);
		assert_string_equal(c.parts[0], ID_A);
		assert_string_equal(c.parts[1], ID_B);
		headers_concat_free(&c);
	}
}

static void concat_refuses_what_is_not_ours(void **state)
{
	static const struct {
		const char *in;
		enum err_code code;
	} rows[] = {
		{"final;", ERR_INVALID},
		{"final", ERR_INVALID},
		{"partial;", ERR_INVALID},
		{"Partial", ERR_INVALID},
		{"", ERR_INVALID},
		{"final;/other/" ID_A, ERR_NOT_FOUND},
		{"final;/files/../files/" ID_A, ERR_NOT_FOUND},
		{"final;/files/../../etc/passwd", ERR_NOT_FOUND},
		{"final;/files/" ID_A "/", ERR_NOT_FOUND},
		{"final;/files/AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee", ERR_NOT_FOUND},
		{"final;x", ERR_NOT_FOUND},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct headers_concat c;
		assert_int_equal(headers_concat(rows[i].in, "/files/", &c, &err), -1);
		if (err.code != rows[i].code)
			fail_msg("%s: %s", rows[i].in, err.text);
		assert_null(c.parts);
	}
}

static void concat_is_bounded(void **state)
{
	struct err err = {0};
	struct headers_concat c;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_add_str(&b, "final;");
	for (int i = 0; i < TUS_PARTS_MAX; i++)
		buf_add_str(&b, "/files/" ID_A " ");
	assert_int_equal(headers_concat(buf_str(&b), "/files/", &c, &err), 0);
	assert_int_equal(c.nparts, TUS_PARTS_MAX);
	headers_concat_free(&c);
	buf_add_str(&b, "/files/" ID_A);
	assert_int_equal(headers_concat(buf_str(&b), "/files/", &c, &err), -1);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_is_strict),
		cmocka_unit_test(defer_length_is_only_1),
		cmocka_unit_test(metadata_keeps_order_and_values),
		cmocka_unit_test(metadata_absent_is_empty),
		cmocka_unit_test(metadata_names_the_bad_pair),
		cmocka_unit_test(metadata_is_bounded),
		cmocka_unit_test(checksum_needs_known_algorithm_and_length),
		cmocka_unit_test(concat_reads_parts_in_order),
		cmocka_unit_test(concat_refuses_what_is_not_ours),
		cmocka_unit_test(concat_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
