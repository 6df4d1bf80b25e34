/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* The years 0000 to 9999, which is what four digits can show. */
#define CIVIL_MIN_S INT64_C(-62167219200)
#define CIVIL_MAX_S INT64_C(253402300799)

int64_t clock_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * CLOCK_US_PER_S + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void clock_sleep_ms(int64_t ms)
{
	if (ms <= 0)
		return;
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue;
}

/* Whole seconds and the microseconds above them; times before 1970 round down too. */
static struct tm split(int64_t us, int64_t *fraction)
{
	int64_t s = us / CLOCK_US_PER_S;
	*fraction = us % CLOCK_US_PER_S;
	if (*fraction < 0) {
		*fraction += CLOCK_US_PER_S;
		s--;
	}
	if (s < CIVIL_MIN_S)
		s = CIVIL_MIN_S;
	if (s > CIVIL_MAX_S)
		s = CIVIL_MAX_S;
	time_t t = (time_t)s;
	struct tm tm;
	gmtime_r(&t, &tm);
	return tm;
}

static char *put_digits(char *p, int64_t value, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		p[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return p + width;
}

static char *put_time(char *p, const struct tm *tm)
{
	p = put_digits(p, tm->tm_hour, 2);
	*p++ = ':';
	p = put_digits(p, tm->tm_min, 2);
	*p++ = ':';
	return put_digits(p, tm->tm_sec, 2);
}

char *clock_rfc3339(char out[CLOCK_RFC3339_SIZE], int64_t us)
{
	int64_t fraction;
	struct tm tm = split(us, &fraction);
	char *p = put_digits(out, tm.tm_year + 1900, 4);
	*p++ = '-';
	p = put_digits(p, tm.tm_mon + 1, 2);
	*p++ = '-';
	p = put_digits(p, tm.tm_mday, 2);
	*p++ = 'T';
	p = put_time(p, &tm);
	*p++ = '.';
	p = put_digits(p, fraction, 6);
	*p++ = 'Z';
	*p = '\0';
	return out;
}

/* Not strftime: day and month names must stay English in any locale. */
static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

char *clock_http_date(char out[CLOCK_HTTP_SIZE], int64_t us)
{
	int64_t fraction;
	struct tm tm = split(us, &fraction);
	char *p = out;
	memcpy(p, days + 3 * tm.tm_wday, 3);
	p += 3;
	*p++ = ',';
	*p++ = ' ';
	p = put_digits(p, tm.tm_mday, 2);
	*p++ = ' ';
	memcpy(p, months + 3 * tm.tm_mon, 3);
	p[3] = ' ';
	p = put_digits(p + 4, tm.tm_year + 1900, 4);
	*p++ = ' ';
	p = put_time(p, &tm);
	memcpy(p, " GMT", 5);
	return out;
}

void clock_civil(int64_t us, struct clock_civil *out)
{
	int64_t fraction;
	struct tm tm = split(us, &fraction);
	*out = (struct clock_civil){
		.year = tm.tm_year + 1900,
		.month = tm.tm_mon + 1,
		.day = tm.tm_mday,
		.hour = tm.tm_hour,
		.minute = tm.tm_min,
		.second = tm.tm_sec,
	};
}

static bool leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Microseconds since 1970 of a civil time in UTC; a leap second counts as the next minute's first.
 */
static int from_civil(const struct clock_civil *c, int64_t *us_out)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (c->year < 1970 || c->month < 1 || c->month > 12 || c->hour > 23 || c->minute > 59 ||
		c->second > 60)
		return -1;
	int length = lengths[c->month - 1] + (c->month == 2 && leap(c->year));
	if (c->day < 1 || c->day > length)
		return -1;
	int64_t y = c->year - 1;
	int64_t n = 365 * y + y / 4 - y / 100 + y / 400 - 719162;
	for (int m = 1; m < c->month; m++)
		n += lengths[m - 1] + (m == 2 && leap(c->year));
	n += c->day - 1;
	*us_out = (((n * 24 + c->hour) * 60 + c->minute) * 60 + c->second) * CLOCK_US_PER_S;
	return 0;
}

/* Exactly ${width} digits at *${p}, which moves behind them. */
static int get_digits(const char **p, int width, int *out)
{
	*out = 0;
	for (int i = 0; i < width; i++, ++*p) {
		if (**p < '0' || **p > '9')
			return -1;
		*out = *out * 10 + (**p - '0');
	}
	return 0;
}

static int get_char(const char **p, char c)
{
	if (**p != c)
		return -1;
	++*p;
	return 0;
}

static int get_time(const char **p, struct clock_civil *c)
{
	if (get_digits(p, 2, &c->hour) < 0 || get_char(p, ':') < 0 ||
		get_digits(p, 2, &c->minute) < 0 || get_char(p, ':') < 0)
		return -1;
	return get_digits(p, 2, &c->second);
}

/* Place of a three-letter name at *${p} in ${names}, from 0; -1 for none. */
static int get_name(const char **p, const char *names)
{
	for (int i = 0; names[3 * i]; i++) {
		if (strncmp(*p, names + 3 * i, 3) == 0) {
			*p += 3;
			return i;
		}
	}
	return -1;
}

int clock_parse_http_date(const char *text, int64_t *us_out)
{
	struct clock_civil c = {0};
	const char *p = text;
	if (get_name(&p, days) < 0 || get_char(&p, ',') < 0 || get_char(&p, ' ') < 0 ||
		get_digits(&p, 2, &c.day) < 0 || get_char(&p, ' ') < 0)
		return -1;
	c.month = get_name(&p, months) + 1;
	if (get_char(&p, ' ') < 0 || get_digits(&p, 4, &c.year) < 0 || get_char(&p, ' ') < 0 ||
		get_time(&p, &c) < 0 || strcmp(p, " GMT") != 0)
		return -1;
	return from_civil(&c, us_out);
}

int clock_parse_rfc3339(const char *text, int64_t *us_out)
{
	struct clock_civil c = {0};
	const char *p = text;
	int64_t fraction = 0;
	if (get_digits(&p, 4, &c.year) < 0 || get_char(&p, '-') < 0 ||
		get_digits(&p, 2, &c.month) < 0 || get_char(&p, '-') < 0 ||
		get_digits(&p, 2, &c.day) < 0 || get_char(&p, 'T') < 0 || get_time(&p, &c) < 0)
		return -1;
	if (*p == '.') {
		int64_t unit = CLOCK_US_PER_S / 10;
		const char *digits = ++p;
		for (; *p >= '0' && *p <= '9'; p++, unit /= 10)
			fraction += (*p - '0') * unit;
		if (p == digits || p - digits > 9)
			return -1;
	}
	if (strcmp(p, "Z") != 0 || from_civil(&c, us_out) < 0)
		return -1;
	*us_out += fraction;
	return 0;
}
