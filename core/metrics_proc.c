/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"
#include "core/base/fsio.h"
#include "core/base/str.h"
#include "core/metrics_impl.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Fields of /proc/PID/stat as proc(5) numbers them. */
enum { FIELD_STATE = 3, FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_STARTED = 22, FIELD_RSS = 24 };

struct stat_line {
	char state;
	uint64_t utime, stime, started, rss;
};

static int parse(const char *text, struct stat_line *out)
{
	/* The program's name is in parentheses and may contain anything, also ") ". */
	const char *p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return -1;
	*out = (struct stat_line){0};
	p += 2;
	for (int field = FIELD_STATE; field <= FIELD_RSS; field++) {
		size_t len = strcspn(p, " \n");
		uint64_t *number = NULL;
		if (field == FIELD_STATE)
			out->state = p[0];
		else if (field == FIELD_UTIME)
			number = &out->utime;
		else if (field == FIELD_STIME)
			number = &out->stime;
		else if (field == FIELD_STARTED)
			number = &out->started;
		else if (field == FIELD_RSS)
			number = &out->rss;
		if (number && str_to_u64_n(p, len, UINT64_MAX, number) != 0)
			return -1;
		p += len;
		p += *p == ' ';
	}
	return 0;
}

/* 0, or -1 when it cannot be read. */
static int read_stat(pid_t pid, struct stat_line *out)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
	struct buf text;
	buf_init(&text, 4096);
	int rc = -1;
	if (fsio_read_file(path, &text, NULL) == 0)
		rc = parse(buf_str(&text), out);
	buf_free(&text);
	return rc;
}

static bool is_dead(const struct stat_line *s)
{
	return s->state == 'Z' || s->state == 'X';
}

uint64_t metrics_proc_started(pid_t pid)
{
	struct stat_line s;
	return read_stat(pid, &s) == 0 && !is_dead(&s) ? s.started : 0;
}

bool metrics_proc_alive(pid_t pid, uint64_t started)
{
	struct stat_line s;
	if (read_stat(pid, &s) == 0)
		return !is_dead(&s) && s.started == started;
	/* /proc may hide other users' processes. */
	return kill(pid, 0) == 0 || errno == EPERM;
}

static uint64_t count_fds(pid_t pid)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return 0;
	uint64_t n = 0;
	for (struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* When the system started, in seconds since 1970; 0 when it is not told. */
static uint64_t boot_seconds(void)
{
	struct buf text;
	buf_init(&text, (size_t)1 << 20);
	uint64_t seconds = 0;
	if (fsio_read_file("/proc/stat", &text, NULL) == 0) {
		const char *p = strstr(buf_str(&text), "\nbtime ");
		if (p && str_to_u64_n(p + 7, strcspn(p + 7, "\n"), UINT32_MAX, &seconds) != 0)
			seconds = 0;
	}
	buf_free(&text);
	return seconds;
}

int metrics_proc_stat(pid_t pid, struct metrics_proc_stat *out)
{
	struct stat_line s;
	if (read_stat(pid, &s) != 0)
		return -1;
	long ticks = sysconf(_SC_CLK_TCK);
	long page = sysconf(_SC_PAGESIZE);
	if (ticks <= 0 || page <= 0)
		return -1;
	*out = (struct metrics_proc_stat){
		.started = s.started,
		.cpu_seconds = (double)(s.utime + s.stime) / (double)ticks,
		.start_seconds = (double)boot_seconds() + (double)s.started / (double)ticks,
		.resident_bytes = s.rss * (uint64_t)page,
		.open_fds = count_fds(pid),
	};
	return 0;
}
