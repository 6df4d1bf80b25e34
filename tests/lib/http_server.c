/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/http_server.h"

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX ((size_t)128 << 10)
#define BODY_MAX ((size_t)64 << 20)
#define REQUESTS_MAX 4096
#define CONNECTIONS_MAX 1024

struct http_server {
	http_server_fn *fn;
	void *arg;
	int listener;
	int stop[2]; /* pipe; closing the second end stops all threads */
	unsigned port;
	char url[64];
	pthread_t acceptor;
	pthread_mutex_t mutex; /* for all below, and held during callbacks */
	struct http_server_request *requests[REQUESTS_MAX];
	size_t nrequests;
	pthread_t threads[CONNECTIONS_MAX];
	int nthreads;
};

struct connection {
	struct http_server *s;
	int fd;
	int number;
	struct buf in; /* received, not yet used */
};

static void die(const char *what)
{
	fprintf(stderr, "http_server: ");
	perror(what);
	abort();
}

/* Wait until ${fd} can be read; false: the server is being stopped. */
static bool wait_readable(struct http_server *s, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = s->stop[0], .events = POLLIN}};
	while (poll(p, 2, -1) < 0)
		;
	return p[1].revents == 0;
}

/* Receive more into c->in; false: there is no more. */
static bool receive(struct connection *c)
{
	char piece[16384];
	if (!wait_readable(c->s, c->fd))
		return false;
	ssize_t n = recv(c->fd, piece, sizeof piece, 0);
	return n > 0 && buf_add(&c->in, piece, (size_t)n) == 0;
}

static bool send_all(struct connection *c, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static void consume(struct buf *b, size_t n)
{
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

static void free_request(struct http_server_request *q)
{
	if (!q)
		return;
	free(q->method);
	free(q->target);
	free(q->path);
	free(q->query);
	net_headers_free(&q->headers);
	buf_free(&q->body);
	free(q);
}

/* Take a head of ${len} bytes, final empty line included, apart. */
static struct http_server_request *parse_head(const char *head, size_t len)
{
	struct http_server_request *q = mem_zalloc(sizeof *q);
	net_headers_init(&q->headers);
	buf_init(&q->body, BODY_MAX);
	char *text = mem_strndup(head, len);
	char *line = text;
	char *end = strstr(line, "\r\n");
	char *first = strchr(line, ' ');
	char *second = first ? strchr(first + 1, ' ') : NULL;
	if (!end || !second || second > end) {
		fprintf(stderr, "http_server: not a request: %s\n", text);
		abort();
	}
	q->method = mem_strndup(line, (size_t)(first - line));
	q->target = mem_strndup(first + 1, (size_t)(second - first) - 1);
	size_t path_len = strcspn(q->target, "?");
	q->path = mem_strndup(q->target, path_len);
	q->query = mem_strdup(q->target[path_len] ? q->target + path_len + 1 : "");
	for (line = end + 2; (end = strstr(line, "\r\n")) && end != line; line = end + 2) {
		*end = '\0';
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		net_headers_add(&q->headers, line, colon + 1 + strspn(colon + 1, " "));
	}
	free(text);
	return q;
}

/* The next request of a connection, NULL at its end. */
static struct http_server_request *read_request(struct connection *c)
{
	char *end;
	while (!c->in.data || !(end = strstr(c->in.data, "\r\n\r\n"))) {
		if (!receive(c))
			return NULL;
	}
	size_t head = (size_t)(end - c->in.data) + 4;
	struct http_server_request *q = parse_head(c->in.data, head);
	q->connection = c->number;
	consume(&c->in, head);
	uint64_t length = 0;
	const char *declared = net_headers_get(&q->headers, "Content-Length");
	if (declared && str_to_u64(declared, BODY_MAX, &length) != 0)
		die("Content-Length");
	while (c->in.len < length) {
		if (!receive(c)) {
			free_request(q);
			return NULL;
		}
	}
	if (length > 0) {
		if (buf_add(&q->body, c->in.data, (size_t)length) != 0)
			die("body");
		consume(&c->in, (size_t)length);
	}
	return q;
}

static void make_answer(
	struct http_server *s, struct http_server_request *q, struct http_server_answer *a)
{
	*a = (struct http_server_answer){.status = 200};
	net_headers_init(&a->headers);
	buf_init(&a->body, BODY_MAX);
	pthread_mutex_lock(&s->mutex);
	if (s->nrequests == REQUESTS_MAX)
		die("too many requests");
	s->requests[s->nrequests++] = q;
	if (s->fn)
		s->fn(s->arg, q, a);
	pthread_mutex_unlock(&s->mutex);
}

static bool send_head(struct connection *c, const struct http_server_answer *a)
{
	struct buf b;
	buf_init(&b, HEAD_MAX);
	int rc = buf_printf(&b, "HTTP/1.1 %d Status\r\n", a->status);
	for (size_t i = 0; i < a->headers.n; i++)
		rc |= buf_printf(
			&b, "%s: %s\r\n", a->headers.items[i].name, a->headers.items[i].value);
	if (a->chunked)
		rc |= buf_add_str(&b, "Transfer-Encoding: chunked\r\n");
	else if (a->status != 204 && !net_headers_get(&a->headers, "Content-Length"))
		rc |= buf_printf(&b, "Content-Length: %zu\r\n", a->body.len);
	rc |= buf_printf(&b, "%s\r\n", a->close ? "Connection: close\r\n" : "");
	if (rc != 0)
		die("answer's head");
	bool sent = send_all(c, b.data, b.len);
	buf_free(&b);
	return sent;
}

static bool send_body(struct connection *c, const struct http_server_answer *a, size_t len)
{
	size_t step = a->slow_ms > 0 ? 1 : len;
	char size[32];
	for (size_t at = 0; at < len; at += step) {
		if (a->slow_ms > 0)
			clock_sleep_ms(a->slow_ms);
		int n = snprintf(size, sizeof size, "%zx\r\n", step);
		if ((a->chunked && !send_all(c, size, (size_t)n)) ||
			!send_all(c, a->body.data + at, step) ||
			(a->chunked && !send_all(c, "\r\n", 2)))
			return false;
	}
	return true;
}

/* Returns whether the connection goes on. */
static bool send_answer(struct connection *c, const struct http_server_request *q,
	const struct http_server_answer *a)
{
	if (a->raw) {
		(void)send_all(c, a->raw, strlen(a->raw));
		return false;
	}
	bool fine = a->fault == HTTP_SERVER_FINE;
	bool bodiless = strcmp(q->method, "HEAD") == 0 || a->status == 204 || a->status == 304;
	if ((fine || a->fault_after >= 0) && !send_head(c, a))
		return false;
	size_t len = bodiless ? 0 : a->body.len;
	if (!fine)
		len = a->fault_after < 0 ? 0 : (size_t)a->fault_after;
	if (!send_body(c, a, len < a->body.len ? len : a->body.len))
		return false;
	if (fine && a->chunked && !bodiless && !send_all(c, "0\r\n\r\n", 5))
		return false;
	if (a->fault == HTTP_SERVER_STALL)
		(void)wait_readable(c->s, c->fd); /* until the client closes, or the test ends */
	if (a->fault == HTTP_SERVER_RESET) {
		struct linger at_once = {.l_onoff = 1, .l_linger = 0};
		if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0)
			die("SO_LINGER");
	}
	return fine && !a->close;
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	struct http_server_request *q;
	bool more = true;
	while (more && (q = read_request(c))) {
		struct http_server_answer a;
		make_answer(c->s, q, &a);
		more = send_answer(c, q, &a);
		net_headers_free(&a.headers);
		buf_free(&a.body);
	}
	close(c->fd);
	buf_free(&c->in);
	free(c);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct http_server *s = arg;
	while (wait_readable(s, s->listener)) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		int one = 1;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct connection *c = mem_zalloc(sizeof *c);
		c->s = s;
		c->fd = fd;
		buf_init(&c->in, HEAD_MAX + BODY_MAX);
		pthread_mutex_lock(&s->mutex);
		if (s->nthreads == CONNECTIONS_MAX)
			die("too many connections");
		c->number = s->nthreads + 1;
		if (pthread_create(&s->threads[s->nthreads], NULL, serve, c) != 0)
			die("pthread_create");
		s->nthreads++;
		pthread_mutex_unlock(&s->mutex);
	}
	return NULL;
}

struct http_server *http_server_start(http_server_fn *fn, void *arg)
{
	struct http_server *s = mem_zalloc(sizeof *s);
	s->fn = fn;
	s->arg = arg;
	struct sockaddr_in addr = {.sin_family = AF_INET};
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t len = sizeof addr;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&addr, sizeof addr) != 0 ||
		listen(s->listener, 128) != 0 ||
		getsockname(s->listener, (struct sockaddr *)&addr, &len) != 0)
		die("listen");
	s->port = ntohs(addr.sin_port);
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u", s->port);
	if (pipe2(s->stop, O_CLOEXEC) != 0 || pthread_mutex_init(&s->mutex, NULL) != 0 ||
		pthread_create(&s->acceptor, NULL, accept_all, s) != 0)
		die("start");
	return s;
}

void http_server_set(struct http_server *s, http_server_fn *fn, void *arg)
{
	pthread_mutex_lock(&s->mutex);
	s->fn = fn;
	s->arg = arg;
	pthread_mutex_unlock(&s->mutex);
}

void http_server_stop(struct http_server *s)
{
	if (!s)
		return;
	close(s->stop[1]);
	pthread_join(s->acceptor, NULL);
	for (int i = 0; i < s->nthreads; i++)
		pthread_join(s->threads[i], NULL);
	close(s->stop[0]);
	close(s->listener);
	for (size_t i = 0; i < s->nrequests; i++)
		free_request(s->requests[i]);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

const char *http_server_url(const struct http_server *s)
{
	return s->url;
}

unsigned http_server_port(const struct http_server *s)
{
	return s->port;
}

size_t http_server_count(struct http_server *s)
{
	pthread_mutex_lock(&s->mutex);
	size_t n = s->nrequests;
	pthread_mutex_unlock(&s->mutex);
	return n;
}

const struct http_server_request *http_server_request(struct http_server *s, size_t i)
{
	pthread_mutex_lock(&s->mutex);
	const struct http_server_request *q = i < s->nrequests ? s->requests[i] : NULL;
	pthread_mutex_unlock(&s->mutex);
	return q;
}

int http_server_connections(struct http_server *s)
{
	pthread_mutex_lock(&s->mutex);
	int n = s->nthreads;
	pthread_mutex_unlock(&s->mutex);
	return n;
}
