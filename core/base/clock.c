/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"

#include <errno.h>
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

char *clock_http_date(char out[CLOCK_HTTP_SIZE], int64_t us)
{
	/* Not strftime: day and month names must stay English in any locale. */
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
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
