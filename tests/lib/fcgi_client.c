/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fcgi_client.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BEGIN = 1, ABORT = 2, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6 };

#define REQUEST_ID 1

int fcgi_client_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		abort();
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void add_record(
	struct buf *out, int type, const void *data, size_t len, unsigned char padding)
{
	static const unsigned char zeros[255];
	const unsigned char header[8] = {1, (unsigned char)type, 0, REQUEST_ID,
		(unsigned char)(len >> 8), (unsigned char)len, padding, 0};

	if (len > 65535 || buf_add(out, header, sizeof(header)) < 0 ||
		buf_add(out, data, len) < 0 || buf_add(out, zeros, padding) < 0)
		abort();
}

static void add_length(struct buf *out, size_t n)
{
	const unsigned char big[4] = {(unsigned char)(0x80 | n >> 24), (unsigned char)(n >> 16),
		(unsigned char)(n >> 8), (unsigned char)n};
	const unsigned char small[1] = {(unsigned char)n};

	buf_add(out, n < 128 ? small : big, n < 128 ? 1 : 4);
}

void fcgi_client_begin(struct buf *out, const char *const *params)
{
	const unsigned char responder[8] = {0, 1};
	struct buf text;

	buf_init(&text, 65535);
	add_record(out, BEGIN, responder, sizeof(responder), 0);
	for (; params[0]; params += 2) {
		add_length(&text, strlen(params[0]));
		add_length(&text, strlen(params[1]));
		buf_add_str(&text, params[0]);
		buf_add_str(&text, params[1]);
	}
	if (text.overflow)
		abort();
	add_record(out, PARAMS, text.data, text.len, 0);
	add_record(out, PARAMS, "", 0, 0);
	buf_free(&text);
}

void fcgi_client_stdin(struct buf *out, const void *data, size_t len, unsigned char padding)
{
	add_record(out, STDIN, data, len, padding);
}

void fcgi_client_abort(struct buf *out)
{
	add_record(out, ABORT, "", 0, 0);
}

int fcgi_client_send(int fd, struct buf *b)
{
	const char *p = b->data;
	size_t left = b->len;

	while (left > 0) {
		ssize_t n = send(fd, p, left, MSG_NOSIGNAL);
		if (n < 0)
			return -1;
		p += n;
		left -= (size_t)n;
	}
	buf_reset(b);
	return 0;
}

static int receive(int fd, unsigned char *out, size_t len, int timeout_ms)
{
	while (len > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, timeout_ms) != 1)
			return -1;
		ssize_t n = recv(fd, out, len, 0);
		if (n <= 0)
			return -1;
		out += n;
		len -= (size_t)n;
	}
	return 0;
}

int fcgi_client_answer(int fd, struct buf *answer, int timeout_ms)
{
	static unsigned char content[65535 + 255];
	unsigned char header[8];

	while (receive(fd, header, sizeof(header), timeout_ms) == 0) {
		size_t len = (size_t)header[4] << 8 | header[5];
		if (receive(fd, content, len + header[6], timeout_ms) < 0)
			return -1;
		if (header[1] == STDOUT)
			buf_add(answer, content, len);
		else if (header[1] == END)
			return 0;
	}
	return -1;
}
