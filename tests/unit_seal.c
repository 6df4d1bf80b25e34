/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/seal.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static size_t from_hex(const char *hex, unsigned char *out)
{
	size_t n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned char)(str_hex_digit(hex[2 * i]) * 16 +
					 str_hex_digit(hex[2 * i + 1]));
	return n;
}

/* RFC 5869 appendix A.3: neither salt nor info. */
static void keys_are_derived_by_hkdf(void **state)
{
	(void)state;
	struct seal_key key, other;
	char secret[23], hex[2 * SEAL_KEY_SIZE + 1];
	memset(secret, 0x0b, 22);
	secret[22] = '\0';
	seal_key_derive(secret, "", &key);
	str_hex(hex, key.bytes, sizeof key.bytes);
	assert_string_equal(
		hex, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
	seal_key_derive(secret, "x", &other);
	assert_memory_not_equal(key.bytes, other.bytes, sizeof key.bytes);
}

/* McGrew and Viega, The Galois/Counter Mode of Operation, test case 16. */
static void a_known_value_is_opened(void **state)
{
	(void)state;
	struct seal_key key;
	unsigned char sealed[128], place[32], plain[64];
	struct buf out;
	from_hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key.bytes);
	size_t len = from_hex("cafebabefacedbaddecaf888"
			      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
			      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
			      "76fc6ece0f4e1768cddf8853bb2d551b",
		sealed);
	place[from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2", place)] = '\0';
	size_t n = from_hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
			    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
		plain);
	buf_init(&out, 128);
	assert_int_equal(seal_open(&key, (const char *)place, sealed, len, &out), 0);
	assert_int_equal(out.len, n);
	assert_memory_equal(out.data, plain, n);
	buf_free(&out);
}

static void what_was_sealed_is_opened(void **state)
{
	(void)state;
	struct seal_key key;
	struct buf a, b, plain;
	seal_key_derive("a secret of thirty-two bytes, at least", "test", &key);
	for (size_t len = 0; len < 100; len += 33) {
		char text[100];
		memset(text, 'x', sizeof text);
		buf_init(&a, 256);
		buf_init(&b, 256);
		buf_init(&plain, 256);
		assert_int_equal(seal_close(&key, "here", text, len, &a), 0);
		assert_int_equal(seal_close(&key, "here", text, len, &b), 0);
		assert_int_equal(a.len, len + SEAL_OVERHEAD);
		assert_memory_not_equal(a.data, b.data, a.len);
		assert_int_equal(seal_open(&key, "here", a.data, a.len, &plain), 0);
		assert_int_equal(plain.len, len);
		if (len > 0)
			assert_memory_equal(plain.data, text, len);
		buf_free(&a);
		buf_free(&b);
		buf_free(&plain);
	}
}

static void what_was_changed_is_refused(void **state)
{
	(void)state;
	struct seal_key key, other;
	struct buf sealed, plain;
	seal_key_derive("a secret of thirty-two bytes, at least", "test", &key);
	seal_key_derive("a secret of thirty-two bytes, at least", "other", &other);
	buf_init(&sealed, 256);
	buf_init(&plain, 256);
	assert_int_equal(seal_close(&key, "here", "text", 4, &sealed), 0);
	for (size_t i = 0; i < sealed.len * 8; i++) {
		char bit = (char)(1 << (i % 8));
		sealed.data[i / 8] ^= bit;
		assert_int_equal(seal_open(&key, "here", sealed.data, sealed.len, &plain), -1);
		sealed.data[i / 8] ^= bit;
	}
	for (size_t len = 0; len < sealed.len; len++)
		assert_int_equal(seal_open(&key, "here", sealed.data, len, &plain), -1);
	assert_int_equal(seal_open(&key, "there", sealed.data, sealed.len, &plain), -1);
	assert_int_equal(seal_open(&other, "here", sealed.data, sealed.len, &plain), -1);
	assert_int_equal(plain.len, 0);
	assert_int_equal(seal_open(&key, "here", sealed.data, sealed.len, &plain), 0);
	buf_free(&sealed);
	buf_free(&plain);
}

static void an_overflow_leaves_nothing(void **state)
{
	(void)state;
	struct seal_key key;
	struct buf sealed, small;
	seal_key_derive("a secret of thirty-two bytes, at least", "test", &key);
	buf_init(&sealed, 64);
	buf_init(&small, 3);
	assert_int_equal(seal_close(&key, "here", "text", 4, &small), -1);
	assert_int_equal(small.len, 0);
	assert_int_equal(seal_close(&key, "here", "text", 4, &sealed), 0);
	assert_int_equal(seal_open(&key, "here", sealed.data, sealed.len, &small), -1);
	assert_int_equal(small.len, 0);
	buf_free(&sealed);
	buf_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_derived_by_hkdf),
		cmocka_unit_test(a_known_value_is_opened),
		cmocka_unit_test(what_was_sealed_is_opened),
		cmocka_unit_test(what_was_changed_is_refused),
		cmocka_unit_test(an_overflow_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
