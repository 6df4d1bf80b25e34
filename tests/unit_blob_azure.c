/* SPDX-License-Identifier: Apache-2.0 */
/* What the Azure store makes of blocks, tokens and metadata without a service. */
#include "backends/blob_azure_blocks.h"
#include "backends/blob_azure_meta.h"
#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void tokens_are_read_as_they_were_written(void **state)
{
	(void)state;
	struct blob_azure_token t = {
		"0x8DC1234567890AB", 50000, INT64_MAX, BLOB_AZURE_BLOCK_MAX, BLOB_AZURE_BLOCK_MAX};
	struct blob_azure_token got;
	char text[BLOB_AZURE_TOKEN_SIZE];
	blob_azure_token_write(text, &t);
	assert_string_equal(
		text, "1 0x8DC1234567890AB 50000 9223372036854775807 4194304000 4194304000");
	assert_int_equal(blob_azure_token_read(text, &got), 0);
	assert_memory_equal(&t, &got, sizeof(t));
	/* The longest one still fits. */
	memset(t.etag, 'e', sizeof(t.etag) - 1);
	blob_azure_token_write(text, &t);
	assert_int_equal(blob_azure_token_read(text, &got), 0);
	assert_string_equal(got.etag, t.etag);
	assert_true(sizeof(text) < 256);
}

static void malformed_tokens_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "1", "1 ", "1 e", "1 e 1 2 3", "1 e 1 2 3 4 ",
		"1 e 1 2 3 4 5", "2 e 1 2 3 4", "1  1 2 3 4", "1 e 1 2 3 -4", "1 e 1 2  4",
		"1 e 50001 2 3 4", "1 e 1 9223372036854775808 3 4", "1 e 1 2 4194304001 4",
		"1 e x 2 3 4", "x"};
	struct blob_azure_token t;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (blob_azure_token_read(bad[i], &t) != -1)
			fail_msg("\"%s\" was taken", bad[i]);
	}
	char longer[120] = "1 ";
	memset(longer + 2, 'e', BLOB_AZURE_ETAG_SIZE);
	memcpy(longer + 2 + BLOB_AZURE_ETAG_SIZE, " 1 2 3 4", 9);
	assert_int_equal(blob_azure_token_read(longer, &t), -1);
}

static void block_ids_differ_and_are_of_one_length(void **state)
{
	(void)state;
	static const uint32_t numbers[] = {0, 0, 1, 255, 65536, 49999, UINT32_MAX};
	char ids[sizeof(numbers) / sizeof(numbers[0])][BLOB_AZURE_ID_SIZE];
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		unsigned char raw[16];
		blob_azure_block_id(ids[i], numbers[i]);
		assert_int_equal(strlen(ids[i]), 16);
		assert_int_equal(str_base64_decode(ids[i], 16, raw), 12);
		assert_int_equal((uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 |
					 (uint32_t)raw[2] << 8 | raw[3],
			numbers[i]);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(ids[i], ids[k]);
	}
}

static void blocks_count_their_bytes(void **state)
{
	(void)state;
	struct blob_azure_blocks b;
	blob_azure_blocks_init(&b);
	for (uint32_t i = 0; i < 100; i++)
		blob_azure_blocks_add(&b, "id", i);
	assert_int_equal(b.n, 100);
	assert_int_equal(b.bytes, 4950);
	blob_azure_blocks_cut(&b, 99);
	assert_int_equal(b.bytes, 4851);
	blob_azure_blocks_cut(&b, 99);
	assert_int_equal(b.n, 99);
	blob_azure_blocks_cut(&b, 0);
	assert_int_equal(b.bytes, 0);
	blob_azure_blocks_free(&b);
	blob_azure_blocks_free(&b);
}

static void metadata_names_become_identifiers(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		const char *name;
	} rows[] = {
		{"sender_id", "sender_id"},
		{"sender-id", "sender_x2D_id"},
		{"r\xc3\xa9gion", "r_xC3__xA9_gion"},
		{"2nd", "_x32_nd"},
		{"a2", "a2"},
		{"_", "_"},
		{"a b.c", "a_x20_b_x2E_c"},
		{"a_x2D_b", "a_x5F_x2D_b"},
		/* Were its '_' left as it is, it would read like "A" and "x2D_". */
		{"_x41-", "_x5F_x41_x2D_"},
		{"_X41_", "_X41_"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf name;
		buf_init(&name, 64);
		assert_int_equal(blob_azure_meta_name(&name, rows[i].key), 0);
		assert_string_equal(buf_str(&name), rows[i].name);
		buf_free(&name);
	}
	struct buf small;
	buf_init(&small, 4);
	assert_int_equal(blob_azure_meta_name(&small, ""), -1);
	assert_int_equal(blob_azure_meta_name(&small, "abcde"), -1);
	assert_int_equal(blob_azure_meta_value(&small, "abcde"), -1);
	buf_free(&small);
}

static void metadata_values_become_printable(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		const char *text;
	} rows[] = {
		{"x", "x"},
		{"a b", "a b"},
		{" a  b ", "%20a %20b%20"},
		{"100%", "100%25"},
		{"\xc3\xa9\r\n", "%C3%A9%0D%0A"},
		{"\"',;:=~\x7f", "\"',;:=~%7F"},
		{" ", "%20"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text;
		buf_init(&text, 64);
		assert_int_equal(blob_azure_meta_value(&text, rows[i].value), 0);
		assert_string_equal(buf_str(&text), rows[i].text);
		buf_free(&text);
	}
}

static void metadata_that_does_not_fit_is_named(void **state)
{
	(void)state;
	char *big = mem_zalloc(8192);
	memset(big, 'v', 8189);
	const char *const keys[] = {"", "empty", "big", "aaa", "a", "A", "b", "c"};
	const char *const values[] = {"x", "", big, "1", "2", "3", "4", "5"};
	struct buf left_out;
	struct net_headers h;
	buf_init(&left_out, 256);
	net_headers_init(&h);
	struct blob_meta meta = {.keys = keys, .values = values, .n = 8, .left_out = &left_out};
	/* "big" takes all 8 KiB. */
	blob_azure_meta_headers(&h, &meta);
	assert_int_equal(h.n, 1);
	assert_string_equal(buf_str(&left_out), "empty, aaa, a, A, b, c");
	net_headers_free(&h);

	/* "big" is one byte too long; "A" is "a" to the service. */
	buf_reset(&left_out);
	memset(big, 'v', 8190);
	blob_azure_meta_headers(&h, &meta);
	assert_string_equal(buf_str(&left_out), "empty, big, A");
	assert_int_equal(h.n, 4);
	assert_string_equal(net_headers_get(&h, "x-ms-meta-a"), "2");
	net_headers_free(&h);

	meta.left_out = NULL;
	blob_azure_meta_headers(&h, &meta);
	blob_azure_meta_headers(&h, NULL);
	assert_int_equal(h.n, 4);
	net_headers_free(&h);
	buf_free(&left_out);
	free(big);
}

static void options_are_checked(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		const char *value;
		const char *named;
	} bad[] = {
		{"container_name", "", "container_name"},
		{"container_name", "ab", "container_name"},
		{"container_name", "UPPER", "container_name"},
		{"container_name", "a/b", "container_name"},
		{"folder", "a//b", "folder"},
		{"folder", "..", "folder"},
		{"part_size", "63KiB", "part_size"},
		{"part_size", "5GiB", "part_size"},
		{"part_size", "many", "part_size"},
		{"parts_in_flight", "0", "parts_in_flight"},
		{"parts_in_flight", "17", "parts_in_flight"},
		{"request_timeout", "0", "request_timeout"},
		{"request_timeout", "25h", "request_timeout"},
		{"request_timeout", "soon", "request_timeout"},
		{"storage_key", "not base64!", "key"},
		{"storage_key", "", ""},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct blob_option opts[] = {
			{"container_name", "container"},
			{"storage_account", "account"},
			{"storage_key", "c2VjcmV0"},
			{bad[i].key, bad[i].value},
		};
		struct err err;
		/* The first of a name counts. */
		for (size_t k = 0; k < 3; k++) {
			if (str_eq(opts[k].key, bad[i].key))
				opts[k].value = bad[i].value;
		}
		assert_null(
			blob_open(registry_find_blob("az-blob"), "store", opts, 4, false, &err));
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.text, bad[i].named))
			fail_msg("\"%s\" does not name %s", err.text, bad[i].named);
		assert_null(strstr(err.text, "not base64!"));
	}
}

static void locations_are_urls(void **state)
{
	(void)state;
	static const struct {
		const char *folder;
		const char *endpoint;
		const char *url;
	} rows[] = {
		{"", "", "https://account.blob.core.windows.net/container/a%20b/%C3%A9%2B%25"},
		{"/in/side/", "http://127.0.0.1:10000/account/",
			"http://127.0.0.1:10000/account/container/in/side/a%20b/%C3%A9%2B%25"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blob_option opts[] = {
			{"container_name", "container"},
			{"storage_account", "account"},
			{"storage_key", "sv=2021-12-02&sig=c2VjcmV0"},
			{"folder", rows[i].folder},
			{"endpoint", rows[i].endpoint},
		};
		struct err err;
		struct buf url;
		struct blob_store *s =
			blob_open(registry_find_blob("az-blob"), "store", opts, 5, false, &err);
		if (!s)
			fail_msg("%s", err.text);
		assert_true(blob_can(s, BLOB_CAP_STORED_BY_SYNC));
		assert_false(blob_can(s, BLOB_CAP_ADOPT));
		buf_init(&url, 1024);
		assert_int_equal(blob_location(s, "a b/\xc3\xa9+%", &url), 0);
		assert_string_equal(buf_str(&url), rows[i].url);
		buf_free(&url);
		blob_close(s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_read_as_they_were_written),
		cmocka_unit_test(malformed_tokens_are_refused),
		cmocka_unit_test(block_ids_differ_and_are_of_one_length),
		cmocka_unit_test(blocks_count_their_bytes),
		cmocka_unit_test(metadata_names_become_identifiers),
		cmocka_unit_test(metadata_values_become_printable),
		cmocka_unit_test(metadata_that_does_not_fit_is_named),
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(locations_are_urls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
