/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/log.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/str.h"
#include "core/base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* A line stays within PIPE_BUF, so that one write to a pipe is never mixed with another's. */
#define LINE_MAX_BYTES 4000
/* One long value must not push the other fields off the line. */
#define VALUE_MAX_BYTES 1024
#define CUT_MARK "\xe2\x80\xa6"
#define DROPPED_LOGFMT " truncated=true"
#define DROPPED_JSON ",\"truncated\":true"
/* What must still fit behind the last field: the longer mark, '}' and the newline. */
#define TAIL_BYTES (sizeof DROPPED_JSON + 2)

/* Set up before threads start; afterwards only what fd refers to changes, atomically by dup3. */
static struct {
	int fd;
	bool to_syslog;
	enum log_level level;
	enum log_format format;
	char path[1024]; /* "" unless the sink is a file */
	char program[64];
	char environment[64];
} sink = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO};

struct line {
	size_t len;
	bool full;
	char data[LINE_MAX_BYTES];
};

int log_open(const char *dest, enum log_level level, enum log_format format, struct err *err)
{
	int fd = STDERR_FILENO;
	bool to_syslog = str_eq(dest, "syslog");
	bool to_file = !to_syslog && !str_eq(dest, "stderr");
	if (to_file) {
		if (strlen(dest) >= sizeof sink.path)
			return err_set(err, ERR_INVALID, __func__, "log file name is too long");
		fd = fsio_open_or_make(dest, O_WRONLY | O_APPEND, err);
		if (fd < 0)
			return -1;
	}
	if (to_syslog)
		openlog(NULL, LOG_PID, LOG_DAEMON);
	if (sink.path[0])
		close(sink.fd);
	sink.fd = fd;
	sink.to_syslog = to_syslog;
	sink.level = level;
	sink.format = format;
	str_copy(sink.path, sizeof sink.path, to_file ? dest : "");
	return 0;
}

void log_reopen(void)
{
	if (!sink.path[0])
		return;
	struct err err = {0};
	int fd = fsio_open_or_make(sink.path, O_WRONLY | O_APPEND, &err);
	if (fd < 0) {
		/* The old file is still open: better there than nowhere. */
		LOG(LOG_LEVEL_ERROR, "cannot reopen the log", log_err(&err));
		return;
	}
	/* Writers in other threads see the old file or the new one, never a closed descriptor. */
	if (dup3(fd, sink.fd, O_CLOEXEC) < 0)
		LOG(LOG_LEVEL_ERROR, "cannot reopen the log", log_int("errno", errno));
	close(fd);
}

void log_set_common(const char *program, const char *environment)
{
	str_copy(sink.program, sizeof sink.program, program ? program : "");
	str_copy(sink.environment, sizeof sink.environment, environment ? environment : "");
}

bool log_enabled(enum log_level level)
{
	return level >= sink.level;
}

struct log_field log_str(const char *key, const char *value)
{
	return (struct log_field){.key = key, .kind = LOG_F_STR, .str = value};
}

struct log_field log_int(const char *key, int64_t value)
{
	return (struct log_field){.key = key, .kind = LOG_F_INT, .num = value};
}

struct log_field log_err(const struct err *err)
{
	return (struct log_field){
		.key = "error", .kind = LOG_F_ERR, .str = err->text, .num = (int64_t)err->code};
}

static void put(struct line *l, const char *s, size_t len)
{
	if (l->full || len > sizeof l->data - TAIL_BYTES - l->len) {
		l->full = true;
		return;
	}
	memcpy(l->data + l->len, s, len);
	l->len += len;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/*
 * Characters of ${n} bytes that a viewer may take for the end of a line (U+2028, U+2029) or for an
 * order to show text backwards (U+200E, U+200F, U+202A … U+202E, U+2066 … U+2069).
 */
static bool misleads(const char *s, size_t n)
{
	if (n != 3 || (unsigned char)s[0] != 0xe2)
		return false;
	unsigned char b = (unsigned char)s[1];
	unsigned char c = (unsigned char)s[2];
	return (b == 0x80 && (c == 0x8e || c == 0x8f || (c >= 0xa8 && c <= 0xae))) ||
	       (b == 0x81 && c >= 0xa6 && c <= 0xa9);
}

/*
 * The printable form of the character at ${s}: itself, or an escape in ${out}. Returns how many
 * bytes of ${s} it stands for. C1 controls count as controls: some terminals obey them.
 */
static size_t escape(const char *s, size_t len, bool json, char out[16])
{
	unsigned char c = (unsigned char)s[0];
	size_t n = str_utf8_char(s, len);
	bool c1 = n == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0;
	if (c == '"' || c == '\\')
		snprintf(out, 16, "\\%c", c);
	else if (c == '\n' || c == '\t' || c == '\r')
		snprintf(out, 16, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
	else if (n == 0 && json)
		snprintf(out, 16, "\\ufffd");
	else if (c1 && json)
		snprintf(out, 16, "\\u%04x", (unsigned int)(unsigned char)s[1]);
	else if (c1)
		snprintf(out, 16, "\\xc2\\x%02x", (unsigned int)(unsigned char)s[1]);
	else if (misleads(s, n) && json)
		snprintf(out, 16, "\\u20%02x",
			((unsigned int)(unsigned char)s[1] - 0x80) * 64 +
				((unsigned char)s[2] - 0x80U));
	else if (misleads(s, n))
		snprintf(out, 16, "\\xe2\\x%02x\\x%02x", (unsigned int)(unsigned char)s[1],
			(unsigned int)(unsigned char)s[2]);
	else if (c < 0x20 || c == 0x7f || n == 0)
		snprintf(out, 16, json ? "\\u%04x" : "\\x%02x", (unsigned int)c);
	else
		snprintf(out, 16, "%.*s", (int)n, s);
	return n ? n : 1;
}

static void put_escaped(struct line *l, const char *s, bool json)
{
	size_t start = l->len;
	size_t left = strlen(s);
	while (left > 0 && !l->full) {
		if (l->len - start >= VALUE_MAX_BYTES) {
			put_str(l, CUT_MARK);
			return;
		}
		char shown[16];
		size_t n = escape(s, left, json, shown);
		put_str(l, shown);
		s += n;
		left -= n;
	}
}

static bool is_bare(const char *s)
{
	if (!*s || strlen(s) > VALUE_MAX_BYTES)
		return false;
	for (; *s; s++) {
		if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\' || *s == '=')
			return false;
	}
	return true;
}

static void put_key(struct line *l, const char *key, enum log_format format)
{
	if (format == LOG_JSON) {
		put_str(l, l->len ? ",\"" : "{\"");
		put_str(l, key);
		put_str(l, "\":");
		return;
	}
	if (l->len)
		put(l, " ", 1);
	put_str(l, key);
	put(l, "=", 1);
}

/* A field fits as a whole or leaves no trace, so that a full line is still well-formed. */
static void put_field(struct line *l, const struct log_field *f, enum log_format format, bool quote)
{
	if ((f->kind != LOG_F_INT && !f->str) || l->full)
		return;
	bool json = format == LOG_JSON;
	size_t before = l->len;
	put_key(l, f->key, format);
	if (f->kind == LOG_F_INT) {
		char number[24];
		snprintf(number, sizeof number, "%lld", (long long)f->num);
		put_str(l, number);
	} else if (f->kind == LOG_F_STR && !json && !quote && is_bare(f->str)) {
		put_str(l, f->str);
	} else {
		put(l, "\"", 1);
		if (f->kind == LOG_F_ERR) {
			put_str(l, err_code_name((enum err_code)f->num));
			put(l, ": ", 2);
		}
		put_escaped(l, f->str, json);
		put(l, "\"", 1);
	}
	if (l->full)
		l->len = before;
}

static void put_string(struct line *l, const char *key, const char *value, bool quote)
{
	struct log_field f = log_str(key, *value ? value : NULL);
	put_field(l, &f, sink.format, quote);
}

/* Lines of one trace are found together. */
static void put_trace(struct line *l)
{
	const struct trace_context *c = trace_current();
	char id[TRACE_ID_SIZE];
	if (!c)
		return;
	str_hex(id, c->trace_id, TRACE_ID_BYTES);
	put_string(l, "trace_id", id, false);
}

static void finish(struct line *l, enum log_format format)
{
	const char *tail = "\n";
	if (format == LOG_JSON)
		tail = l->full ? DROPPED_JSON "}\n" : "}\n";
	else if (l->full)
		tail = DROPPED_LOGFMT "\n";
	/* put() has kept this room free. */
	memcpy(l->data + l->len, tail, strlen(tail));
	l->len += strlen(tail);
}

static void emit(enum log_level level, const struct line *l)
{
	static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};
	if (sink.to_syslog) {
		syslog(priorities[level], "%.*s", (int)(l->len - 1), l->data);
		return;
	}
	/* Where the log itself fails there is nobody left to tell. */
	ssize_t n;
	do {
		n = write(sink.fd, l->data, l->len);
	} while (n < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if (!log_enabled(level))
		return;
	/* The caller may log between a failure and its look at errno. */
	int saved = errno;
	struct line l;
	l.len = 0;
	l.full = false;
	char now[CLOCK_RFC3339_SIZE];
	put_string(&l, "time", clock_rfc3339(now, clock_now()), false);
	put_string(&l, "level", names[level], false);
	put_string(&l, "msg", msg, true);
	put_string(&l, "program", sink.program, false);
	put_string(&l, "environment", sink.environment, false);
	put_trace(&l);
	for (; fields && fields->key; fields++)
		put_field(&l, fields, sink.format, false);
	finish(&l, sink.format);
	emit(level, &l);
	errno = saved;
}
