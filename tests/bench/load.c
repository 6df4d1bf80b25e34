/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/crc32c.h"
#include "core/base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * The client side of the benchmarks, where Python would be slower than what it measures.
 *
 *   load uploads PORT PATH CONNECTIONS MILLISECONDS SIZE METADATA [TOKEN]
 *       POST + PATCH of SIZE bytes again and again on so many kept connections to 127.0.0.1; one
 *       JSON object with counts, times and the processor time of this client
 *   load heads PORT PATH CONNECTIONS MILLISECONDS [TOKEN]
 *       the same with a HEAD of PATH again and again
 *   load crc32c FILE
 *       its sum in hexadecimal digits
 *   load run PROGRAM ARGUMENT...
 *       one JSON object with exit status, times and the most memory that the program ever had. That
 *       is at least what the process has that starts it, hence from here.
 */

#define HEAD_MAX 16384
#define SAMPLES_STEP 4096
#define US_PER_S INT64_C(1000000)

struct plan { /* the same for all connections */
	struct sockaddr_in addr;
	const char *path;
	const char *metadata; /* NULL: HEAD of the path instead */
	const char *token;    /* header line of a bearer token, or "" */
	const char *body;
	size_t size;
	int64_t end_us;
};

struct client {
	const struct plan *plan;
	pthread_t thread;
	int fd;
	char head[HEAD_MAX]; /* of the last answer */
	size_t failures;
	char failure[200]; /* the first one */
	uint32_t *samples; /* microseconds per upload */
	size_t nsamples, capacity;
};

static void die(const char *what)
{
	(void)fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t))
		die("clock");
	return (int64_t)t.tv_sec * US_PER_S + t.tv_nsec / 1000;
}

static int fail(struct client *c, const char *what)
{
	if (c->failures++ == 0)
		(void)snprintf(c->failure, sizeof(c->failure), "%s: %.150s", what, c->head);
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	return -1;
}

static int connect_to(struct client *c)
{
	int one = 1;

	c->head[0] = '\0';
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return fail(c, strerror(errno));
	if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
		connect(c->fd, (const struct sockaddr *)&c->plan->addr, sizeof(c->plan->addr)))
		return fail(c, strerror(errno));
	return 0;
}

static int send_all(struct client *c, const char *head, size_t head_len, size_t body_len)
{
	struct iovec parts[2] = {
		{.iov_base = (char *)head, .iov_len = head_len},
		{.iov_base = (char *)c->plan->body, .iov_len = body_len},
	};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};

	while (parts[0].iov_len + parts[1].iov_len > 0) {
		ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
		if (n < 0)
			return fail(c, strerror(errno));
		for (int i = 0; i < 2; i++) {
			size_t k = (size_t)n < parts[i].iov_len ? (size_t)n : parts[i].iov_len;
			parts[i].iov_base = (char *)parts[i].iov_base + k;
			parts[i].iov_len -= k;
			n -= (ssize_t)k;
		}
	}
	return 0;
}

/* The value of a header of the last answer, up to the end of its line; NULL when there is none. */
static const char *header(const struct client *c, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(c->head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " ");
	}
	return NULL;
}

/* Whether the bytes after the head are a whole body. Answers here are short. */
static bool body_is_whole(const struct client *c, const char *body, int status)
{
	const char *length = header(c, "Content-Length");
	const char *coding = header(c, "Transfer-Encoding");

	if (status == 204)
		return true;
	if (coding && strncasecmp(coding, "chunked", 7) == 0)
		return strncmp(body, "0\r\n\r\n", 5) == 0 || strstr(body, "\r\n0\r\n\r\n") != NULL;
	return length && strlen(body) >= strtoul(length, NULL, 10);
}

static int receive(struct client *c, int expected)
{
	size_t fill = 0;
	char *end = NULL;
	int status = 0;

	do {
		ssize_t n = recv(c->fd, c->head + fill, sizeof(c->head) - 1 - fill, 0);
		if (n <= 0)
			return fail(c, n < 0 ? strerror(errno) : "closed before an answer");
		fill += (size_t)n;
		c->head[fill] = '\0';
		end = strstr(c->head, "\r\n\r\n");
		if (end)
			status = (int)strtol(c->head + strcspn(c->head, " "), NULL, 10);
	} while (!end || !body_is_whole(c, end + 4, status));
	if (status != expected)
		return fail(c, "unexpected answer");
	return 0;
}

/* After an answer: a server may close after so many requests. */
static void close_if_told(struct client *c)
{
	const char *connection = header(c, "Connection");

	if (connection && strncasecmp(connection, "close", 5) == 0) {
		close(c->fd);
		c->fd = -1;
	}
}

/* One request and its answer. */
static int request(struct client *c, const char *head, int head_len, size_t body_len, int expected)
{
	if (head_len <= 0 || head_len >= HEAD_MAX)
		return fail(c, "a request is too long");
	if (c->fd < 0 && connect_to(c) < 0)
		return -1;
	if (send_all(c, head, (size_t)head_len, body_len) < 0 || receive(c, expected) < 0)
		return -1;
	return 0;
}

/* The path of the new upload, out of a Location that may be a whole URL. */
static int location(struct client *c, char *out, size_t size)
{
	const char *at = header(c, "Location");

	if (!at)
		return fail(c, "no Location");
	size_t len = strcspn(at, "\r\n");
	const char *host = strstr(at, "//");
	if (host && host < at + len) {
		const char *path = strchr(host + 2, '/');
		if (!path || path >= at + len)
			return fail(c, "no path in the Location");
		len -= (size_t)(path - at);
		at = path;
	}
	if (len >= size)
		return fail(c, "the Location is too long");
	memcpy(out, at, len);
	out[len] = '\0';
	return 0;
}

static int upload(struct client *c)
{
	const struct plan *p = c->plan;
	char head[HEAD_MAX], path[512];
	int n = snprintf(head, sizeof(head),
		"POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nTus-Resumable: 1.0.0\r\n"
		"Upload-Length: %zu\r\nUpload-Metadata: %s\r\n%sContent-Length: 0\r\n\r\n",
		p->path, (unsigned)ntohs(p->addr.sin_port), p->size, p->metadata, p->token);

	if (request(c, head, n, 0, 201) < 0 || location(c, path, sizeof(path)) < 0)
		return -1;
	close_if_told(c);
	n = snprintf(head, sizeof(head),
		"PATCH %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nTus-Resumable: 1.0.0\r\n"
		"Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
		"%sContent-Length: %zu\r\n\r\n",
		path, (unsigned)ntohs(p->addr.sin_port), p->token, p->size);
	if (request(c, head, n, p->size, 204) < 0)
		return -1;
	close_if_told(c);
	return 0;
}

static int look(struct client *c)
{
	const struct plan *p = c->plan;
	char head[HEAD_MAX];
	int n = snprintf(head, sizeof(head),
		"HEAD %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nTus-Resumable: 1.0.0\r\n%s\r\n", p->path,
		(unsigned)ntohs(p->addr.sin_port), p->token);

	if (request(c, head, n, 0, 200) < 0)
		return -1;
	close_if_told(c);
	return 0;
}

static void add_sample(struct client *c, int64_t us)
{
	if (c->nsamples == c->capacity) {
		c->capacity += SAMPLES_STEP;
		c->samples = realloc(c->samples, c->capacity * sizeof(*c->samples));
		if (!c->samples)
			die("samples");
	}
	c->samples[c->nsamples++] = (uint32_t)us;
}

static void *run(void *arg)
{
	struct client *c = arg;

	/* A peer that refuses everything is told about, not hammered. */
	while (c->failures < 10) {
		int64_t start = now_us();
		if (start >= c->plan->end_us)
			break;
		if ((c->plan->metadata ? upload(c) : look(c)) == 0)
			add_sample(c, now_us() - start);
	}
	if (c->fd >= 0)
		close(c->fd);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double cpu_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static double cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u))
		die("getrusage");
	return cpu_of(&u);
}

/* All samples in order and one JSON object about them. */
static void print(const struct client *clients, size_t n, int64_t elapsed_us)
{
	size_t total = 0, failures = 0, at = 0;
	const char *failure = "";

	for (size_t i = 0; i < n; i++) {
		total += clients[i].nsamples;
		failures += clients[i].failures;
		if (clients[i].failures > 0)
			failure = clients[i].failure;
	}
	uint32_t *all = mem_zalloc((total + 1) * sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		if (clients[i].nsamples > 0)
			memcpy(all + at, clients[i].samples, clients[i].nsamples * sizeof(*all));
		at += clients[i].nsamples;
	}
	qsort(all, total, sizeof(*all), by_value);
	printf("{\"uploads\": %zu, \"failures\": %zu, \"seconds\": %.4f, \"cpu_s\": %.3f, "
	       "\"p50_us\": %u, \"p90_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
		total, failures, (double)elapsed_us / 1e6, cpu_seconds(), all[total / 2],
		all[total * 90 / 100], all[total * 99 / 100], all[total > 0 ? total - 1 : 0]);
	if (failures > 0)
		(void)fprintf(stderr, "load: %zu failures, one of them: %s\n", failures, failure);
	free(all);
}

/* ${size}, ${metadata}: NULL for HEAD; ${token}: NULL for none. */
static int load(char **arg, const char *size, const char *metadata, const char *token)
{
	char line[HEAD_MAX / 2] = "";
	struct plan plan = {
		.addr = {.sin_family = AF_INET},
		.path = arg[1],
		.metadata = metadata,
		.token = line,
	};
	size_t n = strtoul(arg[2], NULL, 10);
	int64_t start = now_us();

	plan.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	plan.addr.sin_port = htons((uint16_t)strtoul(arg[0], NULL, 10));
	plan.end_us = start + strtol(arg[3], NULL, 10) * 1000;
	plan.size = size ? strtoul(size, NULL, 10) : 0;
	if (token && snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", token) >=
			     (int)sizeof(line))
		die("the token is too long");
	char *body = mem_zalloc(plan.size + 1);
	memset(body, 'x', plan.size);
	plan.body = body;
	struct client *clients = mem_zalloc(n * sizeof(*clients));
	for (size_t i = 0; i < n; i++) {
		clients[i].plan = &plan;
		clients[i].fd = -1;
		errno = pthread_create(&clients[i].thread, NULL, run, &clients[i]);
		if (errno)
			die("thread");
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(clients[i].thread, NULL);
	print(clients, n, now_us() - start);
	for (size_t i = 0; i < n; i++)
		free(clients[i].samples);
	free(clients);
	free(body);
	return 0;
}

static int crc32c(const char *name)
{
	static const size_t step = 1 << 20;
	char *buffer = mem_zalloc(step);
	uint32_t sum = 0;
	size_t n;
	FILE *f = fopen(name, "rb");

	if (!f)
		die(name);
	while ((n = fread(buffer, 1, step, f)) > 0)
		sum = crc32c_update(sum, buffer, n);
	if (ferror(f))
		die(name);
	(void)fclose(f);
	free(buffer);
	printf("%08x\n", sum);
	return 0;
}

static int run_program(char **argv)
{
	struct rusage u;
	int status = 0;
	int64_t start = now_us();
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		/* What it prints is for whoever looks for the cause of a failure. */
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
			die("child");
		execv(argv[0], argv);
		die(argv[0]);
	}
	if (wait4(pid, &status, 0, &u) < 0)
		die("wait4");
	printf("{\"status\": %d, \"seconds\": %.4f, \"cpu_s\": %.3f, \"peak_kib\": %ld}\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
		(double)(now_us() - start) / 1e6, cpu_of(&u), u.ru_maxrss);
	return 0;
}

int main(int argc, char **argv)
{
	if ((argc == 8 || argc == 9) && strcmp(argv[1], "uploads") == 0)
		return load(argv + 2, argv[6], argv[7], argv[8]);
	if ((argc == 6 || argc == 7) && strcmp(argv[1], "heads") == 0)
		return load(argv + 2, NULL, NULL, argv[6]);
	if (argc == 3 && strcmp(argv[1], "crc32c") == 0)
		return crc32c(argv[2]);
	if (argc >= 3 && strcmp(argv[1], "run") == 0)
		return run_program(argv + 2);
	(void)fprintf(stderr,
		"usage: load uploads PORT PATH CONNECTIONS MILLISECONDS SIZE METADATA [TOKEN]\n"
		"       load heads PORT PATH CONNECTIONS MILLISECONDS [TOKEN]\n"
		"       load crc32c FILE\n"
		"       load run PROGRAM ARGUMENT...\n");
	return 2;
}
