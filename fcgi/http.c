/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/http.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX (size_t)(128 * 1024)
#define BODY_MAX (size_t)(1024 * 1024)
#define READ_ALL_MS 10000
/* Head and body go out in one write up to this size. */
#define ONE_WRITE (size_t)(64 * 1024)

/* How much of an unread body is taken before an early answer, and for how long, per enum
 * http_drain. */
static const struct {
	uint64_t bytes;
	int64_t ms;
} drain_limits[] = {
	[HTTP_DRAIN_NONE] = {0, 0},
	[HTTP_DRAIN_SOME] = {64 * 1024, 1000},
	[HTTP_DRAIN_ALL] = {64 * 1024 * 1024, 10000},
};

static const struct {
	const char *name;
	enum http_method method;
} methods[] = {
	{"GET", HTTP_GET},
	{"HEAD", HTTP_HEAD},
	{"POST", HTTP_POST},
	{"PATCH", HTTP_PATCH},
	{"DELETE", HTTP_DELETE},
	{"OPTIONS", HTTP_OPTIONS},
};

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{204, "No Content"},
	{303, "See Other"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{423, "Locked"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{460, "Checksum Mismatch"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{503, "Service Unavailable"},
	{507, "Insufficient Storage"},
};

static const char *reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}

/* --- the request --- */

void http_set_method(struct http_request *r, const char *name)
{
	r->method = HTTP_OTHER;
	str_copy(r->method_name, sizeof(r->method_name), "OTHER");
	for (size_t i = 0; name && i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(name, methods[i].name) == 0) {
			r->method = methods[i].method;
			str_copy(r->method_name, sizeof(r->method_name), name);
		}
	}
}

const char *http_method_name(enum http_method method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (methods[i].method == method)
			return methods[i].name;
	}
	return "OTHER";
}

const char *http_param(struct http_request *r, const char *name)
{
	const char *value = r->io->param(r->io_arg, name);

	return value && *value ? value : NULL;
}

const char *http_header_raw(struct http_request *r, const char *name)
{
	char variable[64] = "HTTP_";
	size_t n = 5;

	if (str_eq_ci(name, "Content-Type") || str_eq_ci(name, "Content-Length"))
		n = 0;
	for (; *name; name++) {
		if (n + 1 >= sizeof(variable))
			return NULL;
		variable[n++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
	}
	variable[n] = '\0';
	return r->io->param(r->io_arg, variable);
}

const char *http_header(struct http_request *r, const char *name)
{
	const char *value = http_header_raw(r, name);

	return value && *value ? value : NULL;
}

/* Web servers leave CONTENT_LENGTH out, or empty, where the body is chunked or there is none. */
static void find_body(struct http_request *r)
{
	const char *value = http_param(r, "CONTENT_LENGTH");
	uint64_t n;

	r->content_length = -1;
	if (value) {
		if (str_to_u64(value, INT64_MAX, &n) == 0) {
			r->content_length = (int64_t)n;
			r->has_body = n > 0;
		} else {
			/* No web server passes such a thing on; then nothing about the body is
			 * sure. */
			r->has_body = true;
		}
		return;
	}
	r->has_body = http_header(r, "Transfer-Encoding") != NULL ||
		      (r->method & (HTTP_POST | HTTP_PATCH)) != 0;
}

void http_begin(struct http_request *r, struct app *app, const struct http_io *io, void *io_arg,
	enum http_drain drain, struct err *err)
{
	*r = (struct http_request){
		.app = app, .io = io, .io_arg = io_arg, .drain = drain, .err = err};
	buf_init(&r->head, HEAD_MAX);
	buf_init(&r->body, BODY_MAX);
	err_clear(err);

	http_set_method(r, http_param(r, "REQUEST_METHOD"));
	r->prefix = "";
	r->path = http_param(r, "PATH_INFO");
	if (r->path) {
		const char *script = http_param(r, "SCRIPT_NAME");
		/* "/" would double a slash; nginx's stock parameters give the path itself. */
		if (script && !str_eq(script, "/") && !str_eq(script, r->path))
			r->prefix = script;
	} else {
		r->path = http_param(r, "SCRIPT_NAME");
	}
	if (!r->path)
		r->path = "/";
	find_body(r);
}

void http_end(struct http_request *r)
{
	auth_identity_free(&r->identity);
	buf_free(&r->head);
	buf_free(&r->body);
}

/* --- its body --- */

enum body_result http_read(
	struct http_request *r, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	bool declared = r->content_length >= 0;
	uint64_t left = declared ? (uint64_t)r->content_length - r->body_read : UINT64_MAX;

	*data = NULL;
	*len = 0;
	if (r->body_gone)
		return BODY_GONE;
	if (!r->has_body || left == 0)
		r->body_ended = true;
	if (r->body_ended)
		return BODY_END;
	enum body_result result = r->io->read(r->io_arg, timeout_ms, wake_fd, data, len);
	switch (result) {
	case BODY_DATA:
		if (*len > left)
			*len = (size_t)left;
		r->body_read += *len;
		break;
	case BODY_END:
		r->body_ended = true;
		/* A vanished client looks like a short body behind some servers. */
		r->body_gone = declared;
		break;
	case BODY_GONE:
		r->body_ended = true;
		r->body_gone = true;
		break;
	case BODY_WAIT:
	case BODY_WOKEN:
	case BODY_STOPPED:
		break;
	}
	return r->body_gone ? BODY_GONE : result;
}

static enum body_result source_next(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	return http_read(arg, timeout_ms, wake_fd, data, len);
}

void http_body_source(struct http_request *r, struct body_source *out)
{
	*out = (struct body_source){
		.next = source_next,
		.arg = r,
		.length = r->has_body ? r->content_length : 0,
	};
}

int http_read_all(struct http_request *r, struct buf *out, size_t max, struct err *err)
{
	int64_t deadline = clock_mono_ms() + READ_ALL_MS;

	if (r->content_length > 0 && (uint64_t)r->content_length > max)
		return err_set(
			err, ERR_TOO_LARGE, __func__, "the body is larger than %zu bytes", max);
	for (;;) {
		const void *data;
		size_t len;
		int64_t left = deadline - clock_mono_ms();
		switch (http_read(r, left > 0 ? left : 0, -1, &data, &len)) {
		case BODY_DATA:
			if (len > max - out->len || buf_add(out, data, len) < 0)
				return err_set(err, ERR_TOO_LARGE, __func__,
					"the body is larger than %zu bytes", max);
			break;
		case BODY_END:
			return 0;
		case BODY_GONE:
			return err_set(err, ERR_PEER_GONE, __func__,
				"the body ended before its declared length");
		case BODY_STOPPED:
			return err_set(
				err, ERR_UNAVAILABLE, __func__, "the server is being stopped");
		case BODY_WAIT:
		case BODY_WOKEN:
			return err_set(
				err, ERR_UNAVAILABLE, __func__, "the body did not arrive in time");
		}
		if (left <= 0)
			return err_set(
				err, ERR_UNAVAILABLE, __func__, "the body did not arrive in time");
	}
}

/* --- the answer --- */

void http_status(struct http_request *r, int status)
{
	r->status = status;
}

void http_add_header(struct http_request *r, const char *name, const char *fmt, ...)
{
	size_t start = r->head.len;
	size_t value;
	va_list ap;

	(void)buf_add_str(&r->head, name);
	if (buf_add_str(&r->head, ": ") < 0)
		return;
	value = r->head.len;
	va_start(ap, fmt);
	int rc = buf_vprintf(&r->head, fmt, ap);
	va_end(ap);
	/* A value that could end its line would let its author write headers of his own. */
	bool bad = false;
	for (size_t i = value; i < r->head.len; i++) {
		unsigned char c = (unsigned char)r->head.data[i];
		bad = bad || (c < 0x20 && c != '\t') || c == 0x7f;
	}
	if (rc < 0 || bad || buf_add_str(&r->head, "\r\n") < 0) {
		r->head.len = start;
		r->head.data[start] = '\0';
	}
}

static bool has_header(const struct http_request *r, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = buf_str(&r->head); *line;) {
		if (strncasecmp(line, name, n) == 0 && line[n] == ':')
			return true;
		const char *end = strchr(line, '\n');
		if (!end)
			break;
		line = end + 1;
	}
	return false;
}

void http_add_header_once(struct http_request *r, const char *name, const char *value)
{
	if (!has_header(r, name))
		http_add_header(r, name, "%s", value);
}

void http_text(struct http_request *r, int status, const char *text)
{
	r->status = status;
	r->content_type = "text/plain; charset=utf-8";
	buf_reset(&r->body);
	buf_add_str(&r->body, text);
}

void http_json(struct http_request *r, int status, const json_t *value)
{
	r->status = status;
	r->content_type = "application/json";
	buf_reset(&r->body);
	if (json_write(&r->body, value) < 0) {
		err_set(r->err, ERR_TOO_LARGE, __func__, "the answer is too large");
		http_fail(r, 500, "ERR_INTERNAL_SERVER_ERROR", "the answer is too large");
	}
}

/* Take as much of the unread body as this web server needs before it hands an early answer on. */
static void drain(struct http_request *r)
{
	uint64_t max = drain_limits[r->drain].bytes;
	int64_t deadline = clock_mono_ms() + drain_limits[r->drain].ms;
	enum body_result result = BODY_DATA;

	while (result == BODY_DATA && r->body_read < max) {
		const void *data;
		size_t len;
		int64_t left = deadline - clock_mono_ms();
		if (left <= 0)
			break;
		result = http_read(r, left, -1, &data, &len);
	}
}

static void complete_head(struct http_request *r, struct buf *out)
{
	bool bodyless = r->status == 204 || r->status == 304;

	http_add_header_once(r, "X-Content-Type-Options", "nosniff");
	http_add_header_once(r, "Referrer-Policy", "no-referrer");
	/* Over plain HTTP anybody could have written it (RFC 6797 section 7.2). */
	if (http_is_https(r))
		http_add_header_once(r, "Strict-Transport-Security", "max-age=31536000");
	http_add_header_once(r, "Cache-Control", "no-store");
	if (r->body.len > 0 && !bodyless) {
		http_add_header(r, "Content-Type", "%s",
			r->content_type ? r->content_type : "application/octet-stream");
		/* Texts and JSON: nothing that a browser could load, run or show in a frame. */
		http_add_header_once(
			r, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
	}
	/* Without it nginx makes an empty answer chunked. */
	if (!bodyless)
		http_add_header(r, "Content-Length", "%zu", r->body.len);
	buf_printf(
		out, "Status: %d %s\r\n%s\r\n", r->status, reason_of(r->status), buf_str(&r->head));
}

int64_t http_finish(struct http_request *r)
{
	struct buf out;
	int rc = 0;

	if (r->status == 0 || r->head.overflow || r->body.overflow) {
		buf_reset(&r->head);
		http_fail(r, 500, "ERR_INTERNAL_SERVER_ERROR", "no answer could be made");
	}
	/* A client that is silent or gone sends no more to wait for. */
	if (r->err->code != ERR_PEER_GONE)
		drain(r);

	buf_init(&out, HEAD_MAX + ONE_WRITE + 1024);
	complete_head(r, &out);
	size_t body =
		r->method == HTTP_HEAD || r->status == 204 || r->status == 304 ? 0 : r->body.len;
	if (body > 0 && body <= ONE_WRITE) {
		buf_add(&out, r->body.data, body);
		rc = r->io->write(r->io_arg, out.data, out.len);
	} else {
		rc = r->io->write(r->io_arg, out.data, out.len);
		if (rc == 0 && body > 0)
			rc = r->io->write(r->io_arg, r->body.data, body);
	}
	buf_free(&out);
	return rc < 0 ? -1 : (int64_t)body;
}
