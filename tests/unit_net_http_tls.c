/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificates the HTTP client trusts, against openssl's own server. */
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "tests/lib/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;

struct tls_server {
	char *dir, *key, *cert;
	pid_t pid;
	int out; /* its standard output; it ends when nobody reads any more */
	uint64_t port;
	struct err err;
};

/* Start openssl with ${argv}; its output goes to ${out}, -1: nowhere. */
static pid_t start(char *const argv[], int out)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
	for (int fd = 0; fd <= 2; fd++)
		assert_int_equal(
			posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0), 0);
	if (out >= 0)
		assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out, 1), 0);
	assert_int_equal(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static uint64_t read_port(int fd)
{
	static const char mark[] = "ACCEPT 127.0.0.1:";
	struct buf b;
	buf_init(&b, 65536);
	uint64_t port = 0;
	char piece[256];
	ssize_t n;
	while (port == 0 && (n = read(fd, piece, sizeof piece)) > 0) {
		assert_int_equal(buf_add(&b, piece, (size_t)n), 0);
		char *at = strstr(b.data, mark);
		char *end = at ? strchr(at, '\n') : NULL;
		if (end)
			assert_int_equal(str_to_u64_n(at + strlen(mark),
						 (size_t)(end - at) - strlen(mark), 65535, &port),
				0);
	}
	buf_free(&b);
	return port;
}

static int setup(void **state)
{
	struct tls_server *s = mem_zalloc(sizeof *s);
	s->dir = scratch_make();
	s->key = scratch_path(s->dir, "key.pem");
	s->cert = scratch_path(s->dir, "cert.pem");
	char *const make[] = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", s->key, "-out", s->cert, NULL};
	int status;
	assert_true(waitpid(start(make, -1), &status, 0) > 0);
	assert_int_equal(status, 0);
	int out[2];
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	char *const serve[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-key", s->key,
		"-cert", s->cert, "-www", NULL};
	s->pid = start(serve, out[1]);
	close(out[1]);
	s->out = out[0];
	s->port = read_port(s->out);
	assert_true(s->port > 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct tls_server *s = *state;
	kill(s->pid, SIGTERM);
	waitpid(s->pid, NULL, 0);
	close(s->out);
	scratch_remove(s->dir);
	free(s->key);
	free(s->cert);
	free(s);
	return 0;
}

/* The status of a GET, or -1 with s->err. */
static int get(struct tls_server *s, const char *host, const char *ca_file)
{
	struct net_http *http = net_http_new(&(struct net_http_options){.ca_file = ca_file});
	struct net_request r;
	struct net_response a;
	char url[64];
	snprintf(url, sizeof url, "https://%s:%u/?secret", host, (unsigned)s->port);
	net_request_init(&r, "GET", url);
	net_response_init(&a, 0);
	r.idempotent = true;
	err_clear(&s->err);
	int rc = net_http_send(http, &r, &a, &s->err);
	rc = rc == 0 ? a.status : -1;
	if (rc < 0)
		assert_int_equal(a.tries, 1);
	net_request_free(&r);
	net_response_free(&a);
	net_http_free(http);
	assert_null(strstr(s->err.text, "secret"));
	return rc;
}

static void only_trusted_certificates_will_do(void **state)
{
	struct tls_server *s = *state;
	assert_int_equal(get(s, "127.0.0.1", s->cert), 200);
	/* The system's certificates do not know it. */
	assert_int_equal(get(s, "127.0.0.1", NULL), -1);
	assert_int_equal(s->err.code, ERR_INVALID);
	assert_int_equal(strncmp(s->err.text, "127.0.0.1:", 10), 0);
	/* It is another host's. */
	assert_int_equal(get(s, "localhost", s->cert), -1);
	assert_int_equal(s->err.code, ERR_INVALID);
	/* There are none to trust. */
	char *none = scratch_path(s->dir, "none.pem");
	assert_int_equal(get(s, "127.0.0.1", none), -1);
	assert_int_equal(s->err.code, ERR_INVALID);
	free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_trusted_certificates_will_do, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
