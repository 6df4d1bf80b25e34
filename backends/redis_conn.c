/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_conn.h"

#include "backends/redis_tls.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE ((size_t)16 << 10)
#define REPLY_MAX ((size_t)64 << 20)
/* Elements of one array: room for them is made before they have come. */
#define ELEMENTS_MAX 1000000
#define ARGS_MAX 100000
#define KEEPALIVE_S 30

struct redis_conn {
	int fd;
	struct redis_tls_end *tls;
	redisReader *reader;
	redisReplyObjectFunctions functions;
	char piece[PIECE];
};

static void *create_array(const redisReadTask *task, int elements)
{
	const redisReplyObjectFunctions *of_hiredis = task->privdata;
	return elements > ELEMENTS_MAX ? NULL : of_hiredis->createArray(task, elements);
}

static redisReader *new_reader(struct redis_conn *c)
{
	redisReader *r = redisReaderCreate();
	if (!r)
		return NULL;
	r->privdata = r->fn;
	c->functions = *r->fn;
	c->functions.createArray = create_array;
	r->fn = &c->functions;
	return r;
}

/* 1: ready, 0: the time is over or poll failed. */
static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd p = {fd, events, 0};
		if (left <= 0)
			return 0;
		int rc = poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX);
		if (rc > 0)
			return 1;
		if (rc == 0 || errno != EINTR)
			return 0;
	}
}

static int too_slow(struct err *err, const char *what)
{
	return err_set(err, ERR_UNAVAILABLE, "redis_conn", "%s took too long", what);
}

static int broken(struct err *err, const char *what)
{
	err_errno(err, "redis_conn", "%s", what);
	if (err)
		err->code = ERR_UNAVAILABLE;
	return -1;
}

static int connect_to(const struct addrinfo *a, int64_t deadline, struct err *err)
{
	int on = 1;
	int idle = KEEPALIVE_S;
	int failure = 0;
	socklen_t size = sizeof(failure);
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return broken(err, "no socket");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0)
		goto fail;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return fd;
	if (errno != EINPROGRESS)
		goto fail;
	if (!wait_for(fd, POLLOUT, deadline)) {
		close(fd);
		return too_slow(err, "connecting");
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0)
		goto fail;
	errno = failure;
	if (failure == 0)
		return fd;

fail:
	broken(err, "cannot connect");
	close(fd);
	return -1;
}

/* The first address that answers; each gets its share of the time. */
static int connect_host(const char *host, unsigned port, int64_t deadline, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *list;
	char service[8];
	int fd = -1;
	int left = 0;
	(void)snprintf(service, sizeof(service), "%u", port);
	int rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"the host name cannot be resolved: %s", gai_strerror(rc));
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next, left--) {
		int64_t now = clock_mono_ms();
		fd = connect_to(a, now + (deadline - now) / left, err);
	}
	freeaddrinfo(list);
	return fd;
}

static int wait_tls(struct redis_conn *c, ssize_t want, int64_t deadline)
{
	return wait_for(c->fd, want == REDIS_TLS_WRITE ? POLLOUT : POLLIN, deadline);
}

static int start_tls(
	struct redis_conn *c, const struct redis_conn_how *how, int64_t deadline, struct err *err)
{
	c->tls = redis_tls_begin(how->tls, c->fd, how->host, err);
	if (!c->tls)
		return -1;
	for (;;) {
		int rc = redis_tls_handshake(c->tls, err);
		if (rc == 1)
			return 0;
		if (rc == REDIS_TLS_FAILED)
			return -1;
		if (!wait_tls(c, rc, deadline))
			return too_slow(err, "the TLS handshake");
	}
}

static int write_all(
	struct redis_conn *c, const char *data, size_t len, int64_t deadline, struct err *err)
{
	while (len > 0) {
		ssize_t n;
		if (c->tls) {
			n = redis_tls_write(c->tls, data, len, err);
			if (n == REDIS_TLS_FAILED)
				return -1;
		} else {
			n = send(c->fd, data, len, MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return broken(err, "the connection broke");
			if (n < 0)
				n = REDIS_TLS_WRITE;
		}
		if (n < 0 && !wait_tls(c, n, deadline))
			return too_slow(err, "sending");
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Some bytes for the reader: their number or -1. */
static ssize_t read_some(struct redis_conn *c, int64_t deadline, struct err *err)
{
	for (;;) {
		ssize_t n;
		if (c->tls) {
			n = redis_tls_read(c->tls, c->piece, sizeof(c->piece), err);
			if (n == REDIS_TLS_FAILED)
				return -1;
		} else {
			n = recv(c->fd, c->piece, sizeof(c->piece), 0);
			if (n == 0)
				return err_set(err, ERR_UNAVAILABLE, __func__,
					"the server closed the connection");
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				return broken(err, "the connection broke");
			if (n < 0)
				n = REDIS_TLS_READ;
		}
		if (n > 0)
			return n;
		if (!wait_tls(c, n, deadline))
			return too_slow(err, "the reply");
	}
}

int redis_conn_send(struct redis_conn *c, const struct redis_arg *args, size_t n, int64_t deadline,
	struct err *err)
{
	char *text = NULL;
	if (n == 0 || n > ARGS_MAX)
		return err_set(err, ERR_TOO_LARGE, __func__, "too many arguments for Redis");
	const char **argv = mem_array(NULL, n, sizeof(*argv));
	size_t *lens = mem_array(NULL, n, sizeof(*lens));
	for (size_t i = 0; i < n; i++) {
		argv[i] = args[i].data;
		lens[i] = args[i].len;
	}
	int len = redisFormatCommandArgv(&text, (int)n, argv, lens);
	free(argv);
	free(lens);
	if (len < 0)
		return err_set(err, ERR_TOO_LARGE, __func__, "a command for Redis is too large");
	int rc = write_all(c, text, (size_t)len, deadline, err);
	/* AUTH and tokens of uploads pass here. */
	mem_wipe(text, (size_t)len);
	redisFreeCommand(text);
	return rc;
}

int redis_conn_read(struct redis_conn *c, redisReply **out, int64_t deadline, struct err *err)
{
	size_t total = 0;
	void *reply = NULL;
	for (;;) {
		if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
			return err_set(err, ERR_UNAVAILABLE, __func__,
				"what the server sends is no reply of Redis: %.80s",
				c->reader->errstr);
		if (reply)
			break;
		ssize_t n = read_some(c, deadline, err);
		if (n < 0)
			return -1;
		total += (size_t)n;
		if (total > REPLY_MAX)
			return err_set(
				err, ERR_TOO_LARGE, __func__, "a reply of Redis is too large");
		if (redisReaderFeed(c->reader, c->piece, (size_t)n) != REDIS_OK)
			return err_set(err, ERR_UNAVAILABLE, __func__, "no memory for a reply");
	}
	*out = reply;
	return 0;
}

bool redis_conn_is_quiet(const struct redis_conn *c)
{
	struct pollfd p = {c->fd, POLLIN, 0};
	return poll(&p, 1, 0) == 0;
}

int redis_conn_wait(struct redis_conn *c, int stop_fd, int64_t deadline)
{
	if (c->reader->pos < c->reader->len)
		return 1;
	for (;;) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd p[] = {{c->fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
		if (left <= 0)
			return 0;
		int rc = poll(p, 2, left < INT_MAX ? (int)left : INT_MAX);
		if (rc > 0)
			return !p[1].revents;
		if (rc == 0 || errno != EINTR)
			return 0;
	}
}

/* NULL: there is no reply. */
static redisReply *ask(struct redis_conn *c, const struct redis_arg *args, size_t n,
	int64_t deadline, struct err *err)
{
	redisReply *reply = NULL;
	if (redis_conn_send(c, args, n, deadline, err) < 0 ||
		redis_conn_read(c, &reply, deadline, err) < 0)
		return NULL;
	return reply;
}

static bool is_error(const redisReply *r, const char *word)
{
	return r->type == REDIS_REPLY_ERROR && str_starts(r->str, word);
}

static int log_in(
	struct redis_conn *c, const struct redis_conn_how *how, int64_t deadline, struct err *err)
{
	struct redis_arg args[3] = {redis_arg_str("AUTH")};
	size_t n = 1;
	if (how->user)
		args[n++] = redis_arg_str(how->user);
	args[n++] = redis_arg_str(how->password);
	redisReply *r = ask(c, args, n, deadline, err);
	if (!r)
		return -1;
	int rc = 0;
	/* Nothing else of what it says: it may repeat what was sent. */
	if (is_error(r, "ERR max number of clients"))
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "it has too many connections");
	else if (r->type != REDIS_REPLY_STATUS)
		rc = err_set(err, ERR_DENIED, __func__, "it does not accept user and password");
	freeReplyObject(r);
	return rc;
}

static int choose_db(struct redis_conn *c, unsigned db, int64_t deadline, struct err *err)
{
	char number[24];
	struct redis_arg args[] = {redis_arg_str("SELECT"), redis_arg_int(number, db)};
	redisReply *r = ask(c, args, 2, deadline, err);
	if (!r)
		return -1;
	int rc = 0;
	if (is_error(r, "NOAUTH") || is_error(r, "NOPERM"))
		rc = err_set(err, ERR_DENIED, __func__, "it refuses SELECT: %.100s", r->str);
	else if (r->type == REDIS_REPLY_ERROR)
		rc = err_set(err, ERR_INVALID, __func__, "it has no database %u", db);
	freeReplyObject(r);
	return rc;
}

/* The first reply also takes in what TLS has to say after the handshake. */
static int greet(
	struct redis_conn *c, const struct redis_conn_how *how, int64_t deadline, struct err *err)
{
	struct redis_arg ping[] = {redis_arg_str("PING")};
	redisReply *r = ask(c, ping, 1, deadline, err);
	if (!r)
		return -1;
	bool noauth = is_error(r, "NOAUTH");
	int rc = 0;
	if (is_error(r, "ERR max number of clients"))
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "it has too many connections");
	else if (is_error(r, "DENIED"))
		rc = err_set(err, ERR_DENIED, __func__, "it is in protected mode");
	else if (noauth && !how->password)
		rc = err_set(err, ERR_DENIED, __func__, "it wants a user and password");
	freeReplyObject(r);
	if (rc == 0 && noauth)
		rc = log_in(c, how, deadline, err);
	return rc;
}

static int prepare(
	struct redis_conn *c, const struct redis_conn_how *how, int64_t deadline, struct err *err)
{
	if (how->tls && start_tls(c, how, deadline, err) < 0)
		return -1;
	if (how->password && !how->when_asked) {
		if (log_in(c, how, deadline, err) < 0)
			return -1;
	} else if (greet(c, how, deadline, err) < 0) {
		return -1;
	}
	return how->db ? choose_db(c, how->db, deadline, err) : 0;
}

struct redis_conn *redis_conn_open(
	const struct redis_conn_how *how, int64_t deadline, struct err *err)
{
	struct redis_conn *c = mem_zalloc(sizeof(*c));
	c->reader = new_reader(c);
	c->fd = -1;
	if (!c->reader) {
		err_set(err, ERR_UNAVAILABLE, __func__, "no memory for a connection");
		goto fail;
	}
	c->fd = connect_host(how->host, how->port, deadline, err);
	if (c->fd < 0 || prepare(c, how, deadline, err) < 0)
		goto fail;
	return c;

fail:
	err_prefix(err, "Redis at %s:%u", how->host, how->port);
	redis_conn_close(c);
	return NULL;
}

void redis_conn_close(struct redis_conn *c)
{
	if (!c)
		return;
	redis_tls_end(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	if (c->reader)
		redisReaderFree(c->reader);
	free(c);
}
