/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/crc32c.h"
#include "core/base/digest.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_sum(const char *name, const void *data, size_t len, size_t step, const char *hex)
{
	struct digest *d = digest_new(name);
	assert_non_null(d);
	for (size_t i = 0; i < len; i += step)
		digest_update(d, (const char *)data + i, len - i < step ? len - i : step);
	unsigned char sum[DIGEST_MAX];
	size_t n = digest_final(d, sum);
	digest_free(d);
	assert_int_equal(n, digest_size(name));
	char text[2 * DIGEST_MAX + 1];
	str_hex(text, sum, n);
	assert_string_equal(text, hex);
}

static void sums_of_abc_and_of_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *abc;
		const char *nothing;
	} rows[] = {
		{"md5", "900150983cd24fb0d6963f7d28e17f72", "d41d8cd98f00b204e9800998ecf8427e"},
		{"sha1", "a9993e364706816aba3e25717850c26c9cd0d89d",
			"da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{"sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
			"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"sha512",
			"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
			"cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
			"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
		{"crc32c", "364b3fb7", "00000000"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		expect_sum(rows[i].name, "abc", 3, 3, rows[i].abc);
		expect_sum(rows[i].name, "abc", 3, 1, rows[i].abc);
		expect_sum(rows[i].name, "", 0, 1, rows[i].nothing);
	}
}

/* RFC 3720 appendix B.4 lists the bytes least significant first. */
static void crc32c_matches_rfc_3720_both_ways(void **state)
{
	(void)state;
	unsigned char zeros[32];
	unsigned char ones[32];
	unsigned char up[32];
	unsigned char down[32];
	memset(zeros, 0, sizeof zeros);
	memset(ones, 0xff, sizeof ones);
	for (unsigned char i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = (unsigned char)(31 - i);
	}
	static const unsigned char read_command[48] = {0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
	const struct {
		const void *data;
		size_t len;
		uint32_t crc;
	} rows[] = {
		{zeros, 32, 0x8a9136aa},
		{ones, 32, 0x62a8ab43},
		{up, 32, 0x46dd794e},
		{down, 32, 0x113fdb5c},
		{read_command, 48, 0xd9963a56},
		{"123456789", 9, 0xe3069283},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(crc32c_table(0, rows[i].data, rows[i].len), rows[i].crc);
		assert_int_equal(crc32c_update(0, rows[i].data, rows[i].len), rows[i].crc);
	}
	expect_sum("crc32c", up, 32, 32, "46dd794e");
}

static void crc32c_does_not_depend_on_how_a_text_is_cut(void **state)
{
	(void)state;
	unsigned char data[257];
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 37);
	uint32_t whole = crc32c_table(0, data, sizeof data);
	for (size_t cut = 0; cut <= sizeof data; cut++) {
		uint32_t crc = crc32c_update(0, data, cut);
		assert_int_equal(crc32c_update(crc, data + cut, sizeof data - cut), whole);
		crc = crc32c_table(0, data, cut);
		assert_int_equal(crc32c_table(crc, data + cut, sizeof data - cut), whole);
	}
}

static void every_listed_name_works_and_no_other(void **state)
{
	(void)state;
	assert_string_equal(digest_names(), "sha1,md5,sha256,sha512,crc32c");
	static const struct {
		const char *name;
		size_t size;
	} rows[] = {{"sha1", 20}, {"md5", 16}, {"sha256", 32}, {"sha512", 64}, {"crc32c", 4}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(digest_size(rows[i].name), rows[i].size);
		struct digest *d = digest_new(rows[i].name);
		assert_non_null(d);
		digest_free(d);
	}
	static const char *const unknown[] = {"", "SHA1", "sha1,md5", "sha384", "crc32"};
	for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
		assert_null(digest_new(unknown[i]));
		assert_int_equal(digest_size(unknown[i]), 0);
	}
	digest_free(NULL);
}

/* Test cases 1, 2 and 6 of RFC 4231, and a key of no bytes. */
static void sha256_and_its_hmac_at_once(void **state)
{
	(void)state;
	unsigned char sum[DIGEST_SHA256_SIZE];
	char hex[2 * DIGEST_SHA256_SIZE + 1];
	digest_sha256("abc", 3, sum);
	str_hex(hex, sum, sizeof sum);
	assert_string_equal(
		hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256(NULL, 0, sum);
	str_hex(hex, sum, sizeof sum);
	assert_string_equal(
		hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	unsigned char b20[20];
	unsigned char a131[131];
	memset(b20, 0x0b, sizeof b20);
	memset(a131, 0xaa, sizeof a131);
	const struct {
		const void *key;
		size_t key_len;
		const char *data;
		const char *hex;
	} rows[] = {
		{b20, sizeof b20, "Hi There",
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Jefe", 4, "what do ya want for nothing?",
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{a131, sizeof a131, "Test Using Larger Than Block-Size Key - Hash Key First",
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{NULL, 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		digest_hmac_sha256(
			rows[i].key, rows[i].key_len, rows[i].data, strlen(rows[i].data), sum);
		str_hex(hex, sum, sizeof sum);
		assert_string_equal(hex, rows[i].hex);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_abc_and_of_nothing),
		cmocka_unit_test(crc32c_matches_rfc_3720_both_ways),
		cmocka_unit_test(crc32c_does_not_depend_on_how_a_text_is_cut),
		cmocka_unit_test(every_listed_name_works_and_no_other),
		cmocka_unit_test(sha256_and_its_hmac_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
