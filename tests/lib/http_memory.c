/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/http_memory.h"

#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *io_param(void *arg, const char *name)
{
	struct http_memory *m = arg;

	for (size_t i = 0; i < m->nparams; i++) {
		if (strcmp(m->params[i].name, name) == 0)
			return m->params[i].value;
	}
	return NULL;
}

static enum body_result io_read(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	struct http_memory *m = arg;

	(void)timeout_ms;
	(void)wake_fd;
	m->reads++;
	if (m->next == m->npieces)
		return BODY_END;
	*data = m->pieces[m->next].data;
	*len = m->pieces[m->next].len;
	return m->pieces[m->next++].result;
}

static int io_write(void *arg, const void *data, size_t len)
{
	struct http_memory *m = arg;

	m->writes++;
	return m->client_gone ? -1 : buf_add(&m->out, data, len);
}

const struct http_io http_memory_io = {.param = io_param, .read = io_read, .write = io_write};

void http_memory_init(struct http_memory *m)
{
	*m = (struct http_memory){.nparams = 0};
	buf_init(&m->out, (size_t)4 << 20);
	buf_init(&m->found, (size_t)256 << 10);
}

void http_memory_free(struct http_memory *m)
{
	for (size_t i = 0; i < m->nparams; i++) {
		free(m->params[i].name);
		free(m->params[i].value);
	}
	buf_free(&m->out);
	buf_free(&m->found);
}

void http_memory_param(struct http_memory *m, const char *name, const char *value)
{
	size_t i = 0;

	while (i < m->nparams && strcmp(m->params[i].name, name) != 0)
		i++;
	if (i == m->nparams) {
		if (i == HTTP_MEMORY_PARAMS)
			abort();
		m->params[m->nparams++].name = mem_strdup(name);
	}
	free(m->params[i].value);
	m->params[i].value = mem_strdup(value);
}

void http_memory_piece(struct http_memory *m, enum body_result result, const char *data)
{
	if (m->npieces == HTTP_MEMORY_PIECES)
		abort();
	m->pieces[m->npieces].result = result;
	m->pieces[m->npieces].data = data;
	m->pieces[m->npieces++].len = data ? strlen(data) : 0;
}

int http_memory_status_of(const char *answer)
{
	return strncmp(answer, "Status: ", 8) == 0 ? (int)strtol(answer + 8, NULL, 10) : 0;
}

const char *http_memory_header_of(const char *answer, const char *name, struct buf *out)
{
	size_t n = strlen(name);
	const char *end = strstr(answer, "\r\n\r\n");

	while (end && answer < end) {
		const char *eol = strstr(answer, "\r\n");
		if (strncasecmp(answer, name, n) == 0 && strncmp(answer + n, ": ", 2) == 0) {
			buf_reset(out);
			buf_add(out, answer + n + 2, (size_t)(eol - answer) - n - 2);
			return buf_str(out);
		}
		answer = eol + 2;
	}
	return NULL;
}

const char *http_memory_body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end ? end + 4 : "";
}

int http_memory_status(const struct http_memory *m)
{
	return http_memory_status_of(buf_str(&m->out));
}

const char *http_memory_header(struct http_memory *m, const char *name)
{
	return http_memory_header_of(buf_str(&m->out), name, &m->found);
}

const char *http_memory_body(const struct http_memory *m)
{
	return http_memory_body_of(buf_str(&m->out));
}
