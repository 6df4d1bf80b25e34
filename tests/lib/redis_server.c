/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/redis_server.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/random.h"
#include "tests/lib/scratch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 20000
#define SLOTS 16384
/* The second port of a Cluster's server is so much higher. */
#define BUS_OFFSET 10000

static void die(const char *what)
{
	fprintf(stderr, "redis server: %s\n", what);
	abort();
}

bool redis_server_present(void)
{
	return access("/usr/bin/redis-server", X_OK) == 0;
}

static bool port_is_free(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		die("no socket");
	bool is = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return is;
}

/* Below the ports that the kernel gives to connections. */
static unsigned free_port(void)
{
	for (int i = 0; i < 1000; i++) {
		unsigned port = 12000 + (unsigned)random_below(9000);
		if (port_is_free(port) && port_is_free(port + BUS_OFFSET))
			return port;
	}
	die("no free port");
	return 0;
}

static void put(const struct redis_server *s, const char *text)
{
	struct err err;
	char *path = scratch_path(s->dir, "conf");
	if (fsio_replace(path, text, strlen(text), false, &err) < 0)
		die(err.text);
	free(path);
}

static void wait_until_ready(struct redis_server *s)
{
	int64_t deadline = clock_mono_ms() + START_MS;
	for (;;) {
		struct timeval limit = {.tv_sec = 1};
		redisContext *c = redisConnectWithTimeout("127.0.0.1", (int)s->port, limit);
		redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
		/* Any word of it will do, "NOAUTH" too, but not that it still loads. */
		bool up = r && strncmp(r->str, "LOADING", 7) != 0;
		freeReplyObject(r);
		if (c)
			redisFree(c);
		if (up)
			return;
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid)
			die("it ended (see its configuration)");
		if (clock_mono_ms() > deadline)
			die("it does not answer");
		clock_sleep_ms(5);
	}
}

void redis_server_start_again(struct redis_server *s)
{
	char *conf = scratch_path(s->dir, "conf");
	char *log = scratch_path(s->dir, "log");
	pid_t parent = getpid();
	s->pid = fork();
	if (s->pid < 0)
		die("no process");
	if (s->pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0640);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || fd < 0 ||
			dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir(s->dir) < 0)
			_exit(126);
		if (s->sentinel)
			execl("/usr/bin/redis-sentinel", "redis-sentinel", conf, (char *)NULL);
		else
			execl("/usr/bin/redis-server", "redis-server", conf, (char *)NULL);
		_exit(127);
	}
	free(conf);
	free(log);
	wait_until_ready(s);
}

static void start(struct redis_server *s, struct buf *text, const char *config)
{
	buf_add_str(text, config ? config : "");
	buf_add_str(text, "\n");
	put(s, buf_str(text));
	buf_free(text);
	redis_server_start_again(s);
}

static void begin(struct redis_server *s, struct buf *text)
{
	*s = (struct redis_server){.dir = scratch_make(), .port = free_port()};
	buf_init(text, 64 * 1024);
	buf_printf(text, "bind 127.0.0.1\nport %u\ndir %s\n", s->port, s->dir);
}

void redis_server_start(struct redis_server *s, const char *config)
{
	struct buf text;
	begin(s, &text);
	buf_add_str(&text, "save \"\"\n");
	start(s, &text, config);
}

void redis_server_start_tls(struct redis_server *s, const char *certs, const char *config)
{
	struct buf text;
	begin(s, &text);
	s->tls_port = free_port();
	buf_printf(&text,
		"save \"\"\ntls-port %u\ntls-cert-file %s/server.crt\ntls-key-file %s/server.key\n"
		"tls-ca-cert-file %s/ca.crt\n",
		s->tls_port, certs, certs, certs);
	start(s, &text, config);
}

void redis_server_start_sentinel(struct redis_server *s, const struct redis_server *master)
{
	struct buf text;
	begin(s, &text);
	s->sentinel = true;
	buf_printf(&text,
		"sentinel monitor dex 127.0.0.1 %u 1\nsentinel down-after-milliseconds dex 500\n"
		"sentinel failover-timeout dex 5000\n",
		master->port);
	start(s, &text, NULL);
}

void redis_server_stop(struct redis_server *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

void redis_server_remove(struct redis_server *s)
{
	if (!s->dir)
		return;
	redis_server_stop(s);
	scratch_remove(s->dir);
	*s = (struct redis_server){0};
}

redisContext *redis_server_connect(const struct redis_server *s)
{
	struct timeval limit = {.tv_sec = START_MS / 1000};
	redisContext *c = redisConnectWithTimeout("127.0.0.1", (int)s->port, limit);
	if (!c || c->err || redisSetTimeout(c, limit) != REDIS_OK)
		die("cannot connect");
	return c;
}

redisReply *redis_server_command(const struct redis_server *s, const char *fmt, ...)
{
	int64_t deadline = clock_mono_ms() + START_MS;
	redisReply *r = NULL;
	while (!r) {
		redisContext *c = redis_server_connect(s);
		va_list ap;
		va_start(ap, fmt);
		r = redisvCommand(c, fmt, ap);
		va_end(ap);
		redisFree(c);
		if (!r && clock_mono_ms() > deadline)
			die("no reply");
	}
	return r;
}

static void must(redisReply *r)
{
	if (r->type == REDIS_REPLY_ERROR)
		die(r->str);
	freeReplyObject(r);
}

static void wait_for_cluster(const struct redis_server *s)
{
	int64_t deadline = clock_mono_ms() + START_MS;
	for (;;) {
		redisReply *r = redis_server_command(s, "CLUSTER INFO");
		bool ok = strstr(r->str, "cluster_state:ok") != NULL;
		freeReplyObject(r);
		if (ok)
			return;
		if (clock_mono_ms() > deadline)
			die("no cluster comes about");
		clock_sleep_ms(20);
	}
}

void redis_server_start_cluster(struct redis_server *servers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		redis_server_start(&servers[i], "cluster-enabled yes\ncluster-node-timeout 2000\n");
		unsigned first = (unsigned)(i * SLOTS / n);
		unsigned last = (unsigned)((i + 1) * SLOTS / n - 1);
		must(redis_server_command(
			&servers[i], "CLUSTER SET-CONFIG-EPOCH %u", (unsigned)i + 1));
		must(redis_server_command(&servers[i], "CLUSTER ADDSLOTSRANGE %u %u", first, last));
	}
	for (size_t i = 1; i < n; i++)
		must(redis_server_command(
			&servers[0], "CLUSTER MEET 127.0.0.1 %u", servers[i].port));
	for (size_t i = 0; i < n; i++)
		wait_for_cluster(&servers[i]);
}

void redis_server_certificate(const char *dir)
{
	static const char script[] =
		"set -e; cd \"$1\"; exec >log 2>&1\n"
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		"-subj '/CN=test authority' -keyout ca.key -out ca.crt\n"
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-subj '/CN=test server' -keyout server.key -out server.csr\n"
		"echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext\n"
		"openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key "
		"-CAcreateserial -extfile ext -out server.crt\n";
	int status;
	pid_t pid = fork();
	if (pid < 0)
		die("no process");
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", script, "sh", dir, (char *)NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("no certificate");
}
