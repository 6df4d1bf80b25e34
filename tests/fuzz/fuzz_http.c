/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CGI variables and a body from outside through parsing, routing and answering. Input: NAME=value
 * lines, an empty line, the body. Requests that would reach storage end before their handler: the
 * app has none.
 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "fcgi/http.h"
#include "fcgi/routes.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES_MAX 64
#define PIECE 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	char *text;
	const char *variables[VARIABLES_MAX]; /* "NAME=value" */
	size_t n;
	const char *body;
	size_t left;
	size_t written;
};

static const char *io_param(void *arg, const char *name)
{
	const struct input *in = arg;
	size_t len = strlen(name);

	for (size_t i = 0; i < in->n; i++) {
		if (strncmp(in->variables[i], name, len) == 0 && in->variables[i][len] == '=')
			return in->variables[i] + len + 1;
	}
	return NULL;
}

static enum body_result io_read(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	struct input *in = arg;

	(void)timeout_ms;
	(void)wake_fd;
	if (in->left == 0)
		return BODY_END;
	*data = in->body;
	*len = in->left < PIECE ? in->left : PIECE;
	in->body += *len;
	in->left -= *len;
	return BODY_DATA;
}

static int io_write(void *arg, const void *data, size_t len)
{
	struct input *in = arg;

	/* An answer begins with its status, and every line of the head is whole. */
	if (in->written == 0 && strncmp(data, "Status: ", 8) != 0)
		abort();
	in->written += len;
	return 0;
}

static const struct http_io io = {.param = io_param, .read = io_read, .write = io_write};

static void parse(struct input *in, const uint8_t *data, size_t size)
{
	in->text = malloc(size + 1);
	if (!in->text)
		abort();
	memcpy(in->text, data, size);
	in->text[size] = '\0';
	char *line = in->text;
	char *end = in->text + size;
	while (line < end && *line != '\n') {
		char *eol = memchr(line, '\n', (size_t)(end - line));
		if (in->n < VARIABLES_MAX)
			in->variables[in->n++] = line;
		if (eol)
			*eol = '\0';
		line = eol ? eol + 1 : end;
	}
	in->body = line < end ? line + 1 : end;
	in->left = (size_t)(end - in->body);
}

static bool reaches_storage(struct http_request *r)
{
	const char *tail = strrchr(r->path, '/');
	const char *override = http_header(r, "X-HTTP-Method-Override");

	return (tail && str_is_uuid(tail + 1)) || str_eq(r->path, "/health") ||
	       str_eq(r->path, "/metrics") ||
	       (str_starts(r->path, "/files") &&
		       str_eq(override ? override : r->method_name, "POST"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config config = {.tus_path = "/files/",
		.info_path = "/info/",
		.cors_origins = "https://a.example,https://b.example",
		.server_protocol = "http",
		.server_hostname = "h",
		.server_port = 80,
		.trusted_proxies = "10.0.0.0/8,::1",
		.threads = 8};
	struct app app = {.config = &config};
	struct input in = {.text = NULL};
	struct http_request r;
	struct err err;
	struct buf text;

	if (log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		abort();
	parse(&in, data, size);
	http_begin(&r, &app, &io, &in, HTTP_DRAIN_SOME, &err);
	bool storage = reaches_storage(&r);
	buf_init(&text, 4096);
	if (http_base_url(&r, &text) == 0)
		http_add_header(&r, "Location", "%s", buf_str(&text));
	buf_reset(&text);
	if (http_query(&r, "a", &text) == 0)
		http_add_header(&r, "X-Query", "%s", buf_str(&text));
	buf_reset(&text);
	if (http_read_all(&r, &text, 4000, &err) < 0)
		http_error(&r, &err);
	else
		http_text(&r, 200, buf_str(&text));
	http_finish(&r);
	http_end(&r);
	buf_free(&text);

	if (!storage) {
		in.written = 0;
		http_serve(&app, &io, &in, HTTP_DRAIN_SOME);
		if (in.written == 0)
			abort();
	}
	free(in.text);
	return 0;
}
