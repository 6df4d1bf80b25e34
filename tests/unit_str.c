/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t max;
		int rc;
		uint64_t value;
	} rows[] = {
		{"0", 0, 0, 0},
		{"007", 10, 0, 7},
		{"10", 10, 0, 10},
		{"11", 10, -1, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -1, 0},
		{"99999999999999999999999", UINT64_MAX, -1, 0},
		{"9223372036854775808", INT64_MAX, -1, 0},
		{"", UINT64_MAX, -1, 0},
		{"-1", UINT64_MAX, -1, 0},
		{"+1", UINT64_MAX, -1, 0},
		{" 1", UINT64_MAX, -1, 0},
		{"1 ", UINT64_MAX, -1, 0},
		{"1.0", UINT64_MAX, -1, 0},
		{"0x10", UINT64_MAX, -1, 0},
		{"1e3", UINT64_MAX, -1, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t value = 77;
		assert_int_equal(str_to_u64(rows[i].text, rows[i].max, &value), rows[i].rc);
		assert_int_equal(value, rows[i].rc == 0 ? rows[i].value : 77);
	}
	uint64_t value = 0;
	assert_int_equal(str_to_u64_n("123456", 3, 1000, &value), 0);
	assert_int_equal(value, 123);
	assert_int_equal(str_to_u64_n("123", 0, 1000, &value), -1);
	assert_int_equal(str_to_u64_n("1\0"
				      "2",
				 3, 1000, &value),
		-1);
}

static void booleans(void **state)
{
	(void)state;
	static const char *const yes[] = {"true", "TRUE", "yes", "Yes", "on", "1"};
	static const char *const no[] = {"false", "no", "NO", "off", "0"};
	static const char *const neither[] = {"", "2", "t", "truefalse", " true", "y"};
	bool value;
	for (size_t i = 0; i < COUNT(yes); i++) {
		value = false;
		assert_int_equal(str_to_bool(yes[i], &value), 0);
		assert_true(value);
	}
	for (size_t i = 0; i < COUNT(no); i++) {
		value = true;
		assert_int_equal(str_to_bool(no[i], &value), 0);
		assert_false(value);
	}
	for (size_t i = 0; i < COUNT(neither); i++)
		assert_int_equal(str_to_bool(neither[i], &value), -1);
}

static void durations(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int rc;
		int64_t ms;
	} rows[] = {
		{"0", 0, 0},
		{"0s", 0, 0},
		{"250ms", 0, 250},
		{"90s", 0, 90000},
		{"15m", 0, 900000},
		{"24h", 0, 86400000},
		{"7d", 0, 604800000},
		{"106751991167d", 0, INT64_C(9223372036828800000)},
		{"106751991168d", -1, 0},
		{"9999999999999999999999d", -1, 0},
		{"", -1, 0},
		{"5", -1, 0},
		{"s", -1, 0},
		{"5 s", -1, 0},
		{"5S", -1, 0},
		{"1h30m", -1, 0},
		{"-5s", -1, 0},
		{"1.5h", -1, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		int64_t ms = -7;
		assert_int_equal(str_to_duration_ms(rows[i].text, &ms), rows[i].rc);
		assert_int_equal(ms, rows[i].rc == 0 ? rows[i].ms : -7);
	}
}

static void sizes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} rows[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"64KiB", 0, 65536},
		{"64MiB", 0, UINT64_C(67108864)},
		{"5GiB", 0, UINT64_C(5368709120)},
		{"1TiB", 0, UINT64_C(1099511627776)},
		{"2KB", 0, 2000},
		{"2MB", 0, 2000000},
		{"2GB", 0, 2000000000},
		{"2TB", 0, UINT64_C(2000000000000)},
		{"16777215TiB", 0, UINT64_C(18446742974197923840)},
		{"16777216TiB", -1, 0},
		{"", -1, 0},
		{"KiB", -1, 0},
		{"64 MiB", -1, 0},
		{"64mib", -1, 0},
		{"64M", -1, 0},
		{"-1", -1, 0},
		{"1.5GiB", -1, 0},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t bytes = 7;
		assert_int_equal(str_to_size(rows[i].text, &bytes), rows[i].rc);
		assert_int_equal(bytes, rows[i].rc == 0 ? rows[i].bytes : 7);
	}
}

static void comparisons(void **state)
{
	(void)state;
	assert_true(str_starts("abc", "ab"));
	assert_true(str_starts("abc", ""));
	assert_false(str_starts("ab", "abc"));
	assert_true(str_ends("abc", "bc"));
	assert_true(str_ends("abc", ""));
	assert_false(str_ends("c", "bc"));
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_false(str_eq("", NULL));
	assert_true(str_eq("a", "a"));
	assert_false(str_eq("a", "A"));
	assert_true(str_eq_ci("Upload-Length", "upload-lengtH"));
	assert_false(str_eq_ci("abc", "abcd"));
	assert_false(str_eq_ci("abcd", "abc"));
	assert_false(str_eq_ci(NULL, "a"));
	assert_true(str_eq_ci(NULL, NULL));
	/* '[' and '{' differ by the case bit, but are no letters. */
	assert_false(str_eq_ci("[", "{"));
	char mixed[] = "AbZ[1\xc3\x84";
	str_lower(mixed);
	assert_string_equal(mixed, "abz[1\xc3\x84");
}

static void copy_truncates(void **state)
{
	(void)state;
	char out[4] = "xxx";
	assert_true(str_copy(out, sizeof out, "abc"));
	assert_string_equal(out, "abc");
	assert_false(str_copy(out, sizeof out, "defg"));
	assert_string_equal(out, "def");
	assert_false(str_copy(out, 1, "g"));
	assert_string_equal(out, "");
	assert_false(str_copy(out, 0, "g"));
}

static void utf8(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
		bool valid;
	} rows[] = {
		{"", 0, true},
		{"abc", 3, true},
		{"a\0b", 3, true},
		{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, true},
		{"\xf4\x8f\xbf\xbf", 4, true},
		{"\xed\x9f\xbf\xee\x80\x80", 6, true},
		{"\xc0\x80", 2, false},
		{"\xc1\xbf", 2, false},
		{"\xe0\x9f\xbf", 3, false},
		{"\xf0\x8f\xbf\xbf", 4, false},
		{"\xed\xa0\x80", 3, false},
		{"\xf4\x90\x80\x80", 4, false},
		{"\xf5\x80\x80\x80", 4, false},
		{"\x80", 1, false},
		{"\xff", 1, false},
		{"\xc3", 1, false},
		{"\xe2\x82", 2, false},
		{"\xe2\x82z", 3, false},
		{"\xf0\x9f\x98", 3, false},
	};
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(str_is_utf8(rows[i].text, rows[i].len), rows[i].valid);
	assert_int_equal(str_utf8_char("\xe2\x82\xac!", 4), 3);
	assert_int_equal(str_utf8_char("", 0), 0);
}

static void control_characters(void **state)
{
	(void)state;
	assert_false(str_has_control("", 0));
	assert_false(str_has_control("a b~\xc3\xa4", 6));
	assert_true(str_has_control("a\nb", 3));
	assert_true(str_has_control("a\0b", 3));
	assert_true(str_has_control("\x7f", 1));
	assert_true(str_has_control("\x1f", 1));
}

static void uuids(void **state)
{
	(void)state;
	assert_true(str_is_uuid("0190a5c4-1e2f-4abc-8def-0123456789ab"));
	static const char *const wrong[] = {
		"",
		"0190a5c4-1e2f-4abc-8def-0123456789a",
		"0190a5c4-1e2f-4abc-8def-0123456789abc",
		"0190A5C4-1e2f-4abc-8def-0123456789ab",
		"0190a5c4x1e2f-4abc-8def-0123456789ab",
		"0190a5c4-1e2f-4abc-8def-0123456789ag",
		"0190a5c4-1e2f-4abc-8def/0123456789ab",
		"../../../../../../../../etc/passwd..",
		"0190a5c41e2f4abc8def0123456789ab----",
	};
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_false(str_is_uuid(wrong[i]));
}

static void make_printable(void **state)
{
	(void)state;
	char text[] = "a b\tc\x7f\xc3\xbc~";
	str_make_printable(text, '?');
	assert_string_equal(text, "a?b?c???~");
}

static void base64_both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *plain;
		const char *coded;
	} rows[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xfe", "+//+"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b;
		buf_init(&b, 100);
		assert_int_equal(str_base64_encode(&b, rows[i].plain, strlen(rows[i].plain)), 0);
		assert_string_equal(buf_str(&b), rows[i].coded);
		unsigned char out[16];
		ssize_t n = str_base64_decode(rows[i].coded, strlen(rows[i].coded), out);
		assert_int_equal(n, strlen(rows[i].plain));
		assert_memory_equal(out, rows[i].plain, (size_t)n);
		buf_free(&b);
	}
}

static void base64_is_strict(void **state)
{
	(void)state;
	static const char *const wrong[] = {"Zg",
		"Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9v\n", "Zm9\n",
		"Zm9-", "Zm9_", "=m9v", "Z=9v", "Zm=v", "Zm9v====", "Zg==\n"};
	unsigned char out[64];
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(str_base64_decode(wrong[i], strlen(wrong[i]), out), -1);
	assert_int_equal(str_base64_decode("Zm\0v", 4, out), -1);
}

static void base64url_is_made_and_read(void **state)
{
	(void)state;
	static const struct {
		const char *plain, *coded;
	} rows[] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"\xfb\xff\xbe", "-_--"},
		{"\xff\xef", "_-8"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b;
		unsigned char out[16];
		buf_init(&b, 64);
		assert_int_equal(str_base64url_encode(&b, rows[i].plain, strlen(rows[i].plain)), 0);
		assert_string_equal(buf_str(&b), rows[i].coded);
		ssize_t n = str_base64url_decode(buf_str(&b), b.len, out);
		assert_int_equal(n, strlen(rows[i].plain));
		assert_memory_equal(out, rows[i].plain, (size_t)n);
		buf_free(&b);
	}
}

static void base64url_is_strict(void **state)
{
	static const struct {
		const char *coded, *plain;
	} rows[] = {{"", ""}, {"Zg", "f"}, {"Zm8", "fo"}, {"Zm9v", "foo"}, {"Zm9vYg", "foob"},
		{"-_-_", "\xfb\xff\xbf"}};
	static const char *const wrong[] = {"Z", "Zm9vY", "Zg==", "Zm8=", "Zh", "Zm9", "+/+/",
		"Zm 9", "Zm9v\n", "Zm9v ", "Z=", "\xc3\xa4"};
	unsigned char out[16];
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ssize_t n = str_base64url_decode(rows[i].coded, strlen(rows[i].coded), out);
		assert_int_equal(n, strlen(rows[i].plain));
		assert_memory_equal(out, rows[i].plain, (size_t)n);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (str_base64url_decode(wrong[i], strlen(wrong[i]), out) != -1)
			fail_msg("\"%s\" was accepted", wrong[i]);
	}
	assert_int_equal(str_base64url_decode("Zm\0v", 4, out), -1);
}

static void hex_digits(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		const char *const digits = "0123456789abcdef";
		const char *const upper = "0123456789ABCDEF";
		const char *at = c ? strchr(digits, c) : NULL;
		const char *up = c ? strchr(upper, c) : NULL;
		int want = at ? (int)(at - digits) : up ? (int)(up - upper) : -1;
		assert_int_equal(str_hex_digit((char)c), want);
	}
}

static void hex_and_percent(void **state)
{
	(void)state;
	char hex[9];
	str_hex(hex, "\x00\x7f\xab\xff", 4);
	assert_string_equal(hex, "007fabff");
	struct buf b;
	buf_init(&b, 100);
	assert_int_equal(str_percent_encode(&b, "aZ09-._~/ %\xc3\xa4", "/"), 0);
	assert_string_equal(buf_str(&b), "aZ09-._~/%20%25%C3%A4");
	buf_reset(&b);
	assert_int_equal(str_percent_encode(&b, "a/b", ""), 0);
	assert_string_equal(buf_str(&b), "a%2Fb");
	buf_free(&b);
	buf_init(&b, 4);
	assert_int_equal(str_percent_encode(&b, "ab c", ""), -1);
	buf_free(&b);
}

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	if (strcmp(name, "HOME") == 0)
		return "/home/me";
	if (strcmp(name, "_x1") == 0)
		return "one";
	if (strcmp(name, "DOLLAR") == 0)
		return "$HOME";
	return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void expansion(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		const char *out;
	} rows[] = {
		{"", ""},
		{"plain } { text", "plain } { text"},
		{"$HOME/x", "/home/me/x"},
		{"$_x1$_x1.", "oneone."},
		{"${HOME}x", "/home/mex"},
		{"${NONE:-a b}", "a b"},
		{"${NONE:-}", ""},
		{"${EMPTY:-d}", "d"},
		{"[$EMPTY]", "[]"},
		{"$$HOME $$$$", "$HOME $$"},
		{"$DOLLAR", "$HOME"},
		{"${NONE:-$HOME}", "$HOME"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b;
		struct err err = {0};
		buf_init(&b, 100);
		assert_int_equal(
			str_expand(&b, rows[i].in, strlen(rows[i].in), lookup, NULL, &err), 0);
		assert_string_equal(buf_str(&b), rows[i].out);
		buf_free(&b);
	}
}

static void expansion_errors_name_variable_and_line(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		const char *text;
	} rows[] = {
		{"a\nb $NONE", "line 2: variable NONE is not set and has no default"},
		{"${NONE}", "line 1: variable NONE is not set and has no default"},
		{"\n\n${HOME", "line 3: malformed reference to variable HOME"},
		{"${HOME-x}", "line 1: malformed reference to variable HOME"},
		{"${HOME:x}", "line 1: malformed reference to variable HOME"},
		{"${HOME:", "line 1: malformed reference to variable HOME"},
		{"${NONE:-a\n}", "line 1: malformed reference to variable NONE"},
		{"a$", "line 1: '$' must be followed by a name, by {NAME} or by another '$'"},
		{"$1", "line 1: '$' must be followed by a name, by {NAME} or by another '$'"},
		{"${}", "line 1: '$' must be followed by a name, by {NAME} or by another '$'"},
		{"${", "line 1: '$' must be followed by a name, by {NAME} or by another '$'"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct buf b;
		struct err err = {0};
		buf_init(&b, 100);
		assert_int_equal(
			str_expand(&b, rows[i].in, strlen(rows[i].in), lookup, NULL, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(err.text, rows[i].text);
		buf_free(&b);
	}
}

static void expansion_is_limited(void **state)
{
	(void)state;
	struct buf b;
	struct err err = {0};
	buf_init(&b, 9);
	assert_int_equal(str_expand(&b, "$HOME$HOME", 10, lookup, NULL, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	buf_reset(&b);
	char long_name[300];
	memset(long_name, 'A', sizeof long_name);
	long_name[0] = '$';
	assert_int_equal(str_expand(&b, long_name, sizeof long_name, lookup, NULL, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(booleans),
		cmocka_unit_test(durations),
		cmocka_unit_test(sizes),
		cmocka_unit_test(comparisons),
		cmocka_unit_test(copy_truncates),
		cmocka_unit_test(utf8),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(uuids),
		cmocka_unit_test(make_printable),
		cmocka_unit_test(base64_both_ways),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(base64url_is_made_and_read),
		cmocka_unit_test(base64url_is_strict),
		cmocka_unit_test(hex_digits),
		cmocka_unit_test(hex_and_percent),
		cmocka_unit_test(expansion),
		cmocka_unit_test(expansion_errors_name_variable_and_line),
		cmocka_unit_test(expansion_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
