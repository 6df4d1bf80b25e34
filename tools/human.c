/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/human.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdio.h>

char *human_bytes(char out[HUMAN_SIZE], double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t u = 0;
	while (bytes >= 1024.0 && u + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024.0;
		u++;
	}
	snprintf(out, HUMAN_SIZE, u == 0 ? "%.0f %s" : "%.1f %s", bytes, units[u]);
	return out;
}

char *human_seconds(char out[HUMAN_SIZE], double seconds)
{
	/* Beyond a hundred days nobody reads it as a time any more. */
	long s = seconds < 8640000.0 ? (long)seconds : 8640000;
	if (s >= 3600)
		snprintf(out, HUMAN_SIZE, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(out, HUMAN_SIZE, "%ld:%02ld", s / 60, s % 60);
	return out;
}

char *human_time(char out[HUMAN_SIZE], int64_t us)
{
	char full[CLOCK_RFC3339_SIZE];
	if (us == 0) {
		str_copy(out, HUMAN_SIZE, "-");
		return out;
	}
	snprintf(out, HUMAN_SIZE, "%.19sZ", clock_rfc3339(full, us));
	return out;
}
