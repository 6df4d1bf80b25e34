/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void times_are_written_as_the_rfcs_ask(void **state)
{
	(void)state;
	static const struct {
		int64_t us;
		const char *rfc3339;
		const char *http;
	} rows[] = {
		{0, "1970-01-01T00:00:00.000000Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
		{-1, "1969-12-31T23:59:59.999999Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
		{INT64_C(784111777000000), "1994-11-06T08:49:37.000000Z",
			"Sun, 06 Nov 1994 08:49:37 GMT"},
		{INT64_C(1767323045123456), "2026-01-02T03:04:05.123456Z",
			"Fri, 02 Jan 2026 03:04:05 GMT"},
		{INT64_C(1709164800000001), "2024-02-29T00:00:00.000001Z",
			"Thu, 29 Feb 2024 00:00:00 GMT"},
		{INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z",
			"Fri, 31 Dec 9999 23:59:59 GMT"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char rfc3339[CLOCK_RFC3339_SIZE];
		char http[CLOCK_HTTP_SIZE];
		assert_string_equal(clock_rfc3339(rfc3339, rows[i].us), rows[i].rfc3339);
		assert_string_equal(clock_http_date(http, rows[i].us), rows[i].http);
	}
}

static void written_times_are_read_back(void **state)
{
	(void)state;
	static const int64_t times[] = {0, INT64_C(784111777000000), INT64_C(1709164800000000),
		INT64_C(1767323045000000), INT64_C(4102444799000000), INT64_C(253402300799000000)};
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		char rfc3339[CLOCK_RFC3339_SIZE];
		char http[CLOCK_HTTP_SIZE];
		int64_t got = -1;
		assert_int_equal(clock_parse_http_date(clock_http_date(http, times[i]), &got), 0);
		assert_true(got == times[i]);
		assert_int_equal(
			clock_parse_rfc3339(clock_rfc3339(rfc3339, times[i] + 123456), &got), 0);
		assert_true(got == times[i] + 123456);
	}
	int64_t got = -1;
	assert_int_equal(clock_parse_rfc3339("2009-10-12T17:50:30Z", &got), 0);
	assert_true(got == INT64_C(1255369830000000));
	assert_int_equal(clock_parse_rfc3339("2009-10-12T17:50:30.5Z", &got), 0);
	assert_true(got == INT64_C(1255369830500000));
}

static void wrong_dates_are_refused(void **state)
{
	(void)state;
	static const char *const http[] = {"", "Fri, 02 Jan 2026 03:04:05", "Fri",
		"Fri, 30 Feb 2024 03:04:05 GMT", "Fri, 02 Foo 2026 03:04:05 GMT",
		"Fri, 02 Jan 2026 24:04:05 GMT", "Fri, 02 Jan 1969 03:04:05 GMT",
		"Fri, 02 Jan 2026 03:04:05 GMTx", "Fri,  2 Jan 2026 03:04:05 GMT"};
	static const char *const rfc3339[] = {"", "2026-01-02", "2026-13-02T03:04:05Z",
		"2026-01-02T03:04:05", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05.1234567890Z",
		"2025-02-29T03:04:05Z", "2026-01-02T03:04:05+01:00", "2026-01-02 03:04:05Z"};
	int64_t us;
	for (size_t i = 0; i < sizeof http / sizeof http[0]; i++)
		assert_int_equal(clock_parse_http_date(http[i], &us), -1);
	for (size_t i = 0; i < sizeof rfc3339 / sizeof rfc3339[0]; i++)
		assert_int_equal(clock_parse_rfc3339(rfc3339[i], &us), -1);
}

static void absurd_times_stay_within_the_buffer(void **state)
{
	(void)state;
	static const int64_t rows[] = {INT64_MIN, INT64_MAX, INT64_C(253402300800000000)};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char rfc3339[CLOCK_RFC3339_SIZE];
		char http[CLOCK_HTTP_SIZE];
		assert_int_equal(strlen(clock_rfc3339(rfc3339, rows[i])), CLOCK_RFC3339_SIZE - 1);
		assert_int_equal(strlen(clock_http_date(http, rows[i])), CLOCK_HTTP_SIZE - 1);
	}
}

static void civil_takes_a_time_apart(void **state)
{
	(void)state;
	struct clock_civil c;
	clock_civil(INT64_C(1767323045123456), &c);
	assert_int_equal(c.year, 2026);
	assert_int_equal(c.month, 1);
	assert_int_equal(c.day, 2);
	assert_int_equal(c.hour, 3);
	assert_int_equal(c.minute, 4);
	assert_int_equal(c.second, 5);
}

static void clocks_run(void **state)
{
	(void)state;
	/* After 2020 and before 2100: the unit is microseconds. */
	assert_true(clock_now() > INT64_C(1577836800000000));
	assert_true(clock_now() < INT64_C(4102444800000000));
	int64_t before = clock_mono_ms();
	clock_sleep_ms(-5);
	clock_sleep_ms(0);
	clock_sleep_ms(12);
	assert_true(clock_mono_ms() - before >= 11);
}

static void uuids_are_random_and_of_version_four(void **state)
{
	(void)state;
	char a[UUID_SIZE];
	char b[UUID_SIZE];
	for (int i = 0; i < 200; i++) {
		random_uuid(a);
		random_uuid(b);
		assert_true(str_is_uuid(a));
		assert_int_equal(a[14], '4');
		assert_non_null(strchr("89ab", a[19]));
		assert_string_not_equal(a, b);
	}
}

static void random_numbers_reach_every_value_below_n(void **state)
{
	(void)state;
	bool seen[7] = {false};
	for (int i = 0; i < 2000; i++) {
		uint64_t value = random_below(7);
		assert_true(value < 7);
		seen[value] = true;
	}
	for (size_t i = 0; i < 7; i++)
		assert_true(seen[i]);
	assert_int_equal(random_below(1), 0);
	assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_written_as_the_rfcs_ask),
		cmocka_unit_test(written_times_are_read_back),
		cmocka_unit_test(wrong_dates_are_refused),
		cmocka_unit_test(absurd_times_stay_within_the_buffer),
		cmocka_unit_test(civil_takes_a_time_apart),
		cmocka_unit_test(clocks_run),
		cmocka_unit_test(uuids_are_random_and_of_version_four),
		cmocka_unit_test(random_numbers_reach_every_value_below_n),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
