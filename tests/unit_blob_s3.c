/* SPDX-License-Identifier: Apache-2.0 */
/* The S3 store without a service: resume tokens, metadata, sizes of parts, options. */
#include "backends/blob_s3_meta.h"
#include "backends/blob_s3_size.h"
#include "backends/blob_s3_token.h"
#include "backends/registry.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/net/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)
#define ZEROS "00000000000000000000000000000000"
#define ONES "11111111111111111111111111111111"
#define ABC "abcdefabcdefabcdefabcdefabcdefab"

static void tokens_are_read_back(void **state)
{
	(void)state;
	static const char *const tokens[] = {
		"1 - 0 0 " ZEROS " - 0 -",
		"1 - 0 0 " ZEROS " " ABC " 17 -",
		"1 - 0 0 " ZEROS " " ABC " 17 " ONES,
		"1 Up.lo_ad-id~= 1 5242880 " ABC " - 0 " ONES,
		"1 x 10000 9223372036854775806 " ABC " " ONES " 1 -",
		"1 whole 0",
		"1 whole 123456789",
	};
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		struct blob_s3_token t;
		char text[BLOB_S3_TOKEN_MAX];
		assert_int_equal(blob_s3_token_parse(tokens[i], &t), 0);
		blob_s3_token_write(&t, text);
		assert_string_equal(text, tokens[i]);
	}
}

static void the_longest_token_fits(void **state)
{
	(void)state;
	struct blob_s3_token t, back;
	char text[BLOB_S3_TOKEN_MAX];
	blob_s3_token_init(&t);
	memset(t.upload, 'u', BLOB_S3_TOKEN_UPLOAD_MAX);
	t.parts = BLOB_S3_TOKEN_PARTS_MAX;
	t.bytes = 4611686018427387904;
	t.tail_len = 4611686018427387903;
	(void)str_copy(t.tail, sizeof(t.tail), ABC);
	(void)str_copy(t.old_tail, sizeof(t.old_tail), ONES);
	blob_s3_token_write(&t, text);
	assert_true(strlen(text) < BLOB_S3_TOKEN_MAX - 1);
	assert_int_equal(blob_s3_token_parse(text, &back), 0);
	assert_memory_equal(&t, &back, sizeof(t));
}

static void malformed_tokens_are_refused(void **state)
{
	(void)state;
	static const char *const tokens[] = {
		"",
		" ",
		"1",
		"2 whole 5",
		"1 whole",
		"1 whole -1",
		"1 whole 05",
		"1 whole 5 ",
		"1 whole 9223372036854775808",
		"2 - 0 0 " ZEROS " - 0 -",
		"1 - 0 0 " ZEROS " - 0",
		"1 - 0 0 " ZEROS " - 0 - -",
		"1  - 0 0 " ZEROS " - 0 -",
		"1 - 0 0 " ZEROS " - 0 -\n",
		/* parts without an upload, an upload without parts or bytes */
		"1 - 1 5 " ZEROS " - 0 -",
		"1 u 0 0 " ZEROS " - 0 -",
		"1 u 1 0 " ZEROS " - 0 -",
		"1 u 0 5 " ZEROS " - 0 -",
		"1 u 10001 5 " ZEROS " - 0 -",
		/* a tail without bytes, bytes without a tail, too many of them */
		"1 - 0 0 " ZEROS " " ABC " 0 -",
		"1 - 0 0 " ZEROS " - 5 -",
		"1 u 1 9223372036854775807 " ABC " " ONES " 1 -",
		/* names that could lead elsewhere */
		"1 - 0 0 " ZEROS " ../../../../../../../../../x/y/z 5 -",
		"1 - 0 0 " ZEROS " ABCDEFABCDEFABCDEFABCDEFABCDEFAB 5 -",
		"1 - 0 0 0000 - 0 -",
		"1 u\x01 1 5 " ZEROS " - 0 -",
		"1 \xc3\xa9 1 5 " ZEROS " - 0 -",
	};
	struct blob_s3_token t;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		assert_int_equal(blob_s3_token_parse(tokens[i], &t), -1);
	char longest[2 * BLOB_S3_TOKEN_MAX];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(blob_s3_token_parse(longest, &t), -1);
	int len = snprintf(longest, sizeof(longest), "1 ");
	memset(longest + len, 'u', BLOB_S3_TOKEN_UPLOAD_MAX + 1);
	snprintf(longest + len + BLOB_S3_TOKEN_UPLOAD_MAX + 1, 128, " 1 5 " ZEROS " - 0 -");
	assert_int_equal(blob_s3_token_parse(longest, &t), -1);
}

static void the_chain_depends_on_every_part(void **state)
{
	(void)state;
	struct blob_s3_token t;
	char a[BLOB_S3_TOKEN_NAME], b[BLOB_S3_TOKEN_NAME];
	blob_s3_token_init(&t);
	assert_string_equal(t.chain, ZEROS);
	(void)str_copy(a, sizeof(a), t.chain);
	blob_s3_token_chain(a, 1, 5242880, "5f363e0e58a95f06cbe9bbc662c5dfb6");
	/* printf '%s' "$ZEROS 1 5242880 5f363e0e58a95f06cbe9bbc662c5dfb6" | sha256sum */
	assert_string_equal(a, "e37c7c4ddc1fdd1fef7f33091d669538");
	(void)str_copy(b, sizeof(b), t.chain);
	blob_s3_token_chain(b, 1, 5242881, "5f363e0e58a95f06cbe9bbc662c5dfb6");
	assert_string_not_equal(a, b);
	(void)str_copy(b, sizeof(b), t.chain);
	blob_s3_token_chain(b, 2, 5242880, "5f363e0e58a95f06cbe9bbc662c5dfb6");
	assert_string_not_equal(a, b);
	(void)str_copy(b, sizeof(b), ONES);
	blob_s3_token_chain(b, 1, 5242880, "5f363e0e58a95f06cbe9bbc662c5dfb6");
	assert_string_not_equal(a, b);
}

static void metadata_become_fields(void **state)
{
	(void)state;
	static const struct {
		const char *key, *value, *field, *sent;
	} rows[] = {
		{"sender_id", "x", "x-amz-meta-sender_id", "x"},
		{"Data-Stream.ID", "a b", "x-amz-meta-data-stream.id", "a b"},
		{"r\xc3\xa9gion", "\xc3\xa9t\xc3\xa9", "x-amz-meta-r%c3%a9gion", "%C3%A9t%C3%A9"},
		{"a b:c%", "100%", "x-amz-meta-a%20b%3ac%25", "100%25"},
		{"spaces", "  two   ", "x-amz-meta-spaces", "%20%20two %20%20"},
		{"lines", "a\r\nb\tc", "x-amz-meta-lines", "a%0D%0Ab%09c"},
		{"empty", "", "x-amz-meta-empty", ""},
		{"marks", "\"'\\~!", "x-amz-meta-marks", "\"'\\~!"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf left_out, back;
		struct net_headers h;
		struct blob_meta meta = {.keys = &rows[i].key,
			.values = &rows[i].value,
			.n = 1,
			.left_out = &left_out};
		buf_init(&left_out, 100);
		buf_init(&back, 100);
		net_headers_init(&h);
		blob_s3_meta_headers(&meta, &h);
		assert_int_equal(h.n, 1);
		assert_string_equal(h.items[0].name, rows[i].field);
		assert_string_equal(h.items[0].value, rows[i].sent);
		assert_int_equal(uri_decode(&back, h.items[0].value, strlen(h.items[0].value)), 0);
		assert_string_equal(buf_str(&back), rows[i].value);
		buf_reset(&back);
		const char *name = h.items[0].name + strlen("x-amz-meta-");
		assert_int_equal(uri_decode(&back, name, strlen(name)), 0);
		assert_true(str_eq_ci(buf_str(&back), rows[i].key));
		assert_int_equal(left_out.len, 0);
		net_headers_free(&h);
		buf_free(&left_out);
		buf_free(&back);
	}
}

static void metadata_that_do_not_fit_are_listed(void **state)
{
	(void)state;
	static char big[1501], bigger[600];
	memset(big, 'b', sizeof(big) - 1);
	memset(bigger, 'c', sizeof(bigger) - 1);
	const char *const keys[] = {"one", "two", "ONE", "three", "", "four"};
	const char *const values[] = {big, bigger, "again", "3", "no name", "4"};
	struct buf left_out;
	struct net_headers h;
	struct blob_meta meta = {.keys = keys, .values = values, .n = 6, .left_out = &left_out};
	buf_init(&left_out, 1000);
	net_headers_init(&h);
	blob_s3_meta_headers(&meta, &h);
	assert_int_equal(h.n, 3);
	assert_string_equal(buf_str(&left_out), "two, ONE, ");
	assert_string_equal(net_headers_get(&h, "x-amz-meta-three"), "3");
	net_headers_free(&h);
	/* Exactly two kilobytes do fit. */
	char rest[BLOB_S3_META_MAX];
	memset(rest, 'r', sizeof(rest));
	rest[BLOB_S3_META_MAX - 3] = '\0';
	const char *key = "key", *value = rest;
	struct blob_meta whole = {.keys = &key, .values = &value, .n = 1};
	net_headers_init(&h);
	blob_s3_meta_headers(&whole, &h);
	assert_int_equal(h.n, 1);
	net_headers_free(&h);
	rest[BLOB_S3_META_MAX - 3] = 'r';
	rest[BLOB_S3_META_MAX - 2] = '\0';
	blob_s3_meta_headers(&whole, &h);
	assert_int_equal(h.n, 0);
	blob_s3_meta_headers(NULL, &h);
	assert_int_equal(h.n, 0);
	buf_reset(&left_out);
	meta.n = 2;
	blob_s3_meta_leave_out(&meta);
	assert_string_equal(buf_str(&left_out), "one, two");
	buf_free(&left_out);
	net_headers_free(&h);
}

static void ten_thousand_parts_are_enough(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {1, 8 * MIB, 9000 * 8 * MIB, 9000 * 8 * MIB + 1,
		(uint64_t)1 << 40, (uint64_t)5 << 40};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t until;
		uint64_t part = blob_s3_size_of_part(8 * MIB, 0, 0, sizes[i], &until);
		assert_int_equal(until, 10000);
		assert_int_equal(part % MIB, 0);
		assert_true(part >= 8 * MIB && part <= 5120 * MIB);
		assert_true((sizes[i] + part - 1) / part <= 9000);
	}
	/* Of unknown size: they grow. */
	uint64_t bytes = 0;
	for (uint32_t sent = 0; sent < 10000;) {
		uint32_t until;
		uint64_t part = blob_s3_size_of_part(16 * MIB, sent, bytes, 0, &until);
		assert_true(until > sent && until <= 10000);
		bytes += (until - sent) * part;
		sent = until;
	}
	assert_true(bytes >= (uint64_t)5 << 40);
}

/* A sender so slow that every sync finds just enough for a part. */
static void syncs_do_not_use_up_the_parts(void **state)
{
	(void)state;
	uint64_t size = (uint64_t)1 << 40, bytes = 0;
	uint32_t sent = 0;
	while (bytes < size) {
		assert_true(sent < 10000);
		bytes += blob_s3_size_of_synced(sent, bytes, size);
		sent++;
	}
	assert_int_equal(blob_s3_size_of_synced(0, 0, 0), 5 * MIB);
	assert_int_equal(blob_s3_size_of_synced(10, 50 * MIB, 100 * MIB), 5 * MIB);
	assert_true(blob_s3_size_of_synced(9999, bytes, 0) > 100 * MIB);
	assert_true(blob_s3_size_of_synced(10000, 0, size) > 0);
	assert_int_equal(blob_s3_size_in_flight(8 * MIB, 3), 3);
	assert_int_equal(blob_s3_size_in_flight(128 * MIB, 3), 2);
	assert_int_equal(blob_s3_size_in_flight(5120 * MIB, 16), 1);
}

static struct blob_store *open_with(const char *key, const char *value, struct err *err)
{
	struct blob_option opts[] = {{"endpoint", "http://127.0.0.1:1/s3/"}, {"bucket_name", "b+1"},
		{"access_key_id", "a:b"}, {"secret_access_key", "s"}, {key, value}};
	if (strcmp(key, "endpoint") == 0)
		opts[0] = opts[4];
	if (strcmp(key, "bucket_name") == 0)
		opts[1] = opts[4];
	return blob_open(registry_find_blob("s3"), "x", opts, 5, true, err);
}

static void options_are_held_against_their_bounds(void **state)
{
	(void)state;
	static const struct {
		const char *key, *good, *bad;
	} rows[] = {
		{"part_size", "5MiB", "5MB"},
		{"part_size", "5GiB", "6GiB"},
		{"part_size", "", "many"},
		{"parts_in_flight", "16", "17"},
		{"parts_in_flight", "1", "0"},
		{"request_timeout", "10s", "0"},
		{"request_timeout", "24h", "25h"},
		{"folder", "a/b/", "a//b"},
		{"folder", "/", "../b"},
		{"endpoint", "https://s3.example", "s3.example"},
		{"endpoint", "https://s3.example/x", "https://s3.example/?x=y"},
		{"bucket_name", "bucket", "a/b"},
		{"bucket_name", "a.b-c", ".."},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct blob_store *s = open_with(rows[i].key, rows[i].good, &err);
		assert_non_null(s);
		blob_close(s);
		assert_null(open_with(rows[i].key, rows[i].bad, &err));
		assert_int_equal(err.code, ERR_INVALID);
		assert_non_null(strstr(err.text, rows[i].key));
	}
}

static void the_location_is_a_url(void **state)
{
	(void)state;
	static const struct {
		const char *folder, *location;
	} rows[] = {
		{"", "http://127.0.0.1:1/s3/b%2B1/a%20b/%C3%A9%2B%3D.txt"},
		{"in box", "http://127.0.0.1:1/s3/b%2B1/in%20box/a%20b/%C3%A9%2B%3D.txt"},
		{"/a/b//", "http://127.0.0.1:1/s3/b%2B1/a/b/a%20b/%C3%A9%2B%3D.txt"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct buf b;
		struct blob_store *s = open_with("folder", rows[i].folder, &err);
		buf_init(&b, 1000);
		assert_non_null(s);
		assert_int_equal(blob_location(s, "a b/\xc3\xa9+=.txt", &b), 0);
		assert_string_equal(buf_str(&b), rows[i].location);
		buf_free(&b);
		blob_close(s);
	}
}

static void a_service_that_is_away_is_unavailable(void **state)
{
	(void)state;
	struct err err = {0};
	struct blob_stat st;
	struct blob_store *s = open_with("request_timeout", "300ms", &err);
	assert_non_null(s);
	assert_int_equal(blob_probe(s, true, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_int_equal(blob_stat(s, "k", &st, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	struct blob_writer *w = blob_begin(s, "k", BLOB_STAGE, 0, NULL, 0, &err);
	assert_non_null(w);
	assert_int_equal(blob_append(w, "x", 1, &err), 0);
	assert_int_equal(blob_commit(w, NULL, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	blob_close(s);
}

static void what_s3_cannot_hold_is_refused_at_once(void **state)
{
	(void)state;
	struct err err = {0};
	struct blob_store *s = open_with("request_timeout", "300ms", &err);
	uint64_t most = (uint64_t)5 << 40;
	assert_null(blob_begin(s, "k", BLOB_STAGE, 0, NULL, most + 1, &err));
	assert_int_equal(err.code, ERR_TOO_LARGE);
	struct blob_writer *w = blob_begin(s, "k", BLOB_STAGE, 0, NULL, most, &err);
	assert_non_null(w);
	blob_end(w);
	blob_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_read_back),
		cmocka_unit_test(the_longest_token_fits),
		cmocka_unit_test(malformed_tokens_are_refused),
		cmocka_unit_test(the_chain_depends_on_every_part),
		cmocka_unit_test(metadata_become_fields),
		cmocka_unit_test(metadata_that_do_not_fit_are_listed),
		cmocka_unit_test(ten_thousand_parts_are_enough),
		cmocka_unit_test(syncs_do_not_use_up_the_parts),
		cmocka_unit_test(options_are_held_against_their_bounds),
		cmocka_unit_test(the_location_is_a_url),
		cmocka_unit_test(a_service_that_is_away_is_unavailable),
		cmocka_unit_test(what_s3_cannot_hold_is_refused_at_once),
	};
	return cmocka_run_group_tests_name("blob_s3", tests, NULL, NULL);
}
