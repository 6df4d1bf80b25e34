/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_CLOCK_H
#define DEX_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/*
 * Time. The only file that asks the system for it. Wall-clock times are `int64_t` microseconds
 * since 1970-01-01 UTC (0 = "never"/unset); durations are milliseconds; the monotonic clock is for
 * timeouts only.
 */

#define CLOCK_RFC3339_SIZE 28 /* 2026-01-02T03:04:05.123456Z + NUL */
#define CLOCK_HTTP_SIZE 30    /* Fri, 02 Jan 2026 03:04:05 GMT + NUL (RFC 9110 IMF-fixdate) */
#define CLOCK_US_PER_S INT64_C(1000000)
#define CLOCK_US_PER_MS INT64_C(1000)

struct clock_civil {
	int year, month, day, hour, minute, second; /* UTC; month 1-12 */
};

int64_t clock_now(void);     /* wall clock, microseconds */
int64_t clock_mono_ms(void); /* monotonic, milliseconds */
void clock_sleep_ms(int64_t ms);

char *clock_rfc3339(char out[CLOCK_RFC3339_SIZE], int64_t us);
char *clock_http_date(char out[CLOCK_HTTP_SIZE], int64_t us);
void clock_civil(int64_t us, struct clock_civil *out);

/*
 * The time that ${text} names, years 1970 to 9999; the whole string must match. 0 or -1.
 * clock_parse_http_date: IMF-fixdate, "Fri, 02 Jan 2026 03:04:05 GMT"; the name of the day is not
 * compared. clock_parse_rfc3339: UTC alone, "2026-01-02T03:04:05Z", with one to nine digits of a
 * fraction or none.
 */
int clock_parse_http_date(const char *text, int64_t *us_out);
int clock_parse_rfc3339(const char *text, int64_t *us_out);

#endif
