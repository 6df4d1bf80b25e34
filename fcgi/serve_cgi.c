/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/serve_cgi.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "fcgi/http.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define WINDOW (size_t)(64 * 1024)

struct request {
	int term_fd; /* readable once the web server has sent SIGTERM */
	unsigned char *window;
};

/* Set by serve_cgi_init; a CGI process serves one request only. */
static int term_fd = -1;

static const char *io_param(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

/* Wait for bytes on standard input. BODY_DATA: there are some, or its end. */
static enum body_result wait_for_input(const struct request *q, int64_t timeout_ms, int wake_fd)
{
	int64_t deadline = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;

	for (;;) {
		int64_t left = timeout_ms > 0 ? deadline - clock_mono_ms() : 0;
		struct pollfd fds[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = q->term_fd, .events = POLLIN},
			{.fd = wake_fd, .events = POLLIN},
		};
		int n = poll(fds, 3, left > 0 ? (int)left : 0);
		if (n < 0 && errno != EINTR)
			return BODY_GONE;
		if (n > 0) {
			/* What has arrived is taken first: the client sent it before it went. */
			if (fds[0].revents)
				return BODY_DATA;
			return fds[1].revents ? BODY_GONE : BODY_WOKEN;
		}
		if (left <= 0)
			return BODY_WAIT;
	}
}

static enum body_result io_read(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	struct request *q = arg;

	for (;;) {
		enum body_result result = wait_for_input(q, timeout_ms, wake_fd);
		if (result != BODY_DATA)
			return result;
		ssize_t n = read(STDIN_FILENO, q->window, WINDOW);
		if (n > 0) {
			*data = q->window;
			*len = (size_t)n;
			return BODY_DATA;
		}
		if (n == 0)
			return BODY_END;
		if (errno != EINTR)
			return BODY_GONE;
	}
}

static int io_write(void *arg, const void *data, size_t len)
{
	struct err err;

	(void)arg;
	return fsio_write_all(STDOUT_FILENO, data, len, &err);
}

static const struct http_io cgi_io = {.param = io_param, .read = io_read, .write = io_write};

bool serve_cgi_wanted(void)
{
	return getenv("GATEWAY_INTERFACE") != NULL;
}

int serve_cgi_init(struct err *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t set;

	sigaction(SIGPIPE, &ignore, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	term_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return term_fd < 0 ? err_errno(err, __func__, "signalfd") : 0;
}

void serve_cgi_run(struct app *app)
{
	struct request q = {.term_fd = term_fd, .window = mem_alloc(WINDOW)};

	http_serve(app, &cgi_io, &q, HTTP_DRAIN_ALL);
	free(q.window);
	/* The web server takes the answer for whole: nobody waits for what is sent elsewhere yet.
	 */
	(void)close(STDOUT_FILENO);
}

void serve_cgi_refuse(void)
{
	(void)io_write(NULL, http_refusal, strlen(http_refusal));
}
