/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_LOG_H
#define DEX_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Structured log lines, logfmt or JSON, one write(2) each:
 *   time=2026-01-02T03:04:05.123456Z level=info msg="request" method=PATCH status=204 upload_id=…
 * Values are quoted where needed; control characters and invalid UTF-8 are escaped, so a line is
 * always one line and untrusted bytes cannot forge one. Secrets are never passed in.
 */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
	const char *key;                               /* NULL ends a list */
	enum { LOG_F_STR, LOG_F_INT, LOG_F_ERR } kind; /* LOG_F_ERR: num is the err_code */
	const char *str;
	int64_t num;
};

struct err;

/* ${dest}: "stderr", "syslog", or a file's path (opened for appending, reopened by log_reopen). */
int log_open(const char *dest, enum log_level level, enum log_format format, struct err *err);
/* Open the file anew (SIGHUP, logrotate). Safe in any thread, not in a signal handler. */
void log_reopen(void);
/* Fields that every later line carries, e.g. program and environment. Call before threads start. */
void log_set_common(const char *program, const char *environment);
bool log_enabled(enum log_level level);

/* A NULL ${value}: the field is left out. */
struct log_field log_str(const char *key, const char *value);
struct log_field log_int(const char *key, int64_t value);
struct log_field log_err(const struct err *err); /* error="CODE: text" */

/* ${fields} ends with a zero key. The LOG macro builds the list. */
void log_write(enum log_level level, const char *msg, const struct log_field *fields);

/* LOG(LOG_LEVEL_INFO, "request", log_str("path", p), log_int("status", 204)); */
#define LOG(level, msg, ...) \
	log_write((level), (msg), (const struct log_field[]){__VA_ARGS__, {.key = 0}})

#endif
