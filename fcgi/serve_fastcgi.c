/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/serve_fastcgi.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "fcgi/http.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_FD 0
#define THREAD_STACK (size_t)(256 * 1024)
/* Threads share a few malloc arenas: one each would cost more memory than the requests. */
#define ARENAS 4
#define STOP_MS 8000
#define KICK_MS 20
/* A web server that neither takes the answer nor closes must not hold a thread for ever. */
#define SEND_TIMEOUT_S 60
#define ACCEPT_PAUSE_MS 100
#define REFUSE_TICK_US 200000
/* The rest of a record whose beginning has arrived is looked for this often. */
#define RECORD_PAUSE_MS 2

struct server {
	struct app *app;
	int stop_fd; /* eventfd, readable once stop is set */
	atomic_bool stop;
	atomic_bool accept_fails; /* has been logged */
	atomic_size_t running;    /* threads */
	struct worker *workers;
};

struct worker {
	struct server *server;
	pthread_t thread;
	atomic_bool accepting;
	atomic_bool ended;
};

struct request {
	struct server *server;
	FCGX_Request fcgi;
	size_t queued; /* bytes that the socket is known to hold at least */
};

/* --- the reader's buffer --- */

/*
 * libfcgi's reader takes 8 KiB from the socket at a time and shows the content of one record after
 * the other in FCGX_Stream's rdNext … stop. Further records may lie behind `stop`, so that a silent
 * socket does not mean that nothing is there; and its fill procedure blocks in the middle of a
 * record. How much it holds is told only by its private state. This is the head of that structure
 * (fcgiapp.c), unchanged from 2.4.0 on; it is only read here, and check_layout proves at start that
 * it is as expected.
 */
struct reader {
	unsigned char *buffer;
	int size;
	unsigned char *allocation;
	unsigned char *end; /* of the bytes in the buffer */
	int type;
	int record_end_stops;
	int skip;
	int content_left; /* bytes of the current record not yet shown */
	int padding_left;
};

#define RECORD_HEADER 8
#define PADDING_MAX 255

/*
 * Bytes that the fill procedure needs so as not to block: one of content; or what ends this record,
 * a header, and one byte.
 */
static size_t needed(const struct reader *rd)
{
	return rd->content_left > 0 ? 1 : (size_t)rd->padding_left + RECORD_HEADER + 1;
}

/*
 * Whether the fill procedure can give an answer (content, end, error) from what it holds and what
 * the socket holds now, so that it does not block. The socket's bytes are looked at, not taken.
 */
static bool can_fill(const FCGX_Stream *in, int fd)
{
	const struct reader *rd = in->data;
	unsigned char next[PADDING_MAX + RECORD_HEADER + 1];
	size_t held = (size_t)(rd->end - in->rdNext);
	size_t padding = rd->content_left > 0 ? 0 : (size_t)rd->padding_left;
	size_t want = needed(rd);
	size_t have = held < want ? held : want;

	memcpy(next, in->rdNext, have);
	if (have < want) {
		ssize_t n = recv(fd, next + have, want - have, MSG_PEEK | MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			return true; /* the end, or an error, is what it will tell */
		have += n > 0 ? (size_t)n : 0;
	}
	if (have == want)
		return true;
	if (rd->content_left > 0 || have < padding + RECORD_HEADER)
		return false;
	const unsigned char *header = next + padding;
	bool empty = header[4] == 0 && header[5] == 0;
	return empty;
}

/* --- transport --- */

static const char *io_param(void *arg, const char *name)
{
	struct request *q = arg;

	return FCGX_GetParam(name, q->fcgi.envp);
}

static int64_t min_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Wait until can_fill. BODY_DATA: it can; else why not. */
static enum body_result wait_to_fill(struct request *q, int64_t timeout_ms, int wake_fd)
{
	int64_t deadline = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;

	for (;;) {
		if (atomic_load(&q->server->stop))
			return BODY_STOPPED;
		if (can_fill(q->fcgi.in, q->fcgi.ipcFd))
			return BODY_DATA;
		int64_t left = timeout_ms > 0 ? deadline - clock_mono_ms() : 0;
		if (left <= 0)
			return BODY_WAIT;
		struct pollfd fds[] = {
			{.fd = q->fcgi.ipcFd, .events = POLLIN},
			{.fd = q->server->stop_fd, .events = POLLIN},
			{.fd = wake_fd, .events = POLLIN},
		};
		if (poll(fds, 3, (int)min_ms(left, 60 * 60 * 1000)) <= 0)
			continue;
		if (fds[2].revents)
			return BODY_WOKEN;
		/* Readable, but the web server is still about to send the rest of a record. */
		if (fds[0].revents && !can_fill(q->fcgi.in, q->fcgi.ipcFd))
			clock_sleep_ms(min_ms(left, RECORD_PAUSE_MS));
	}
}

/*
 * As can_fill where the bytes at hand are plenty: the socket is asked now and then how much it
 * holds, not before each of the many small reads of a body that flows.
 */
static bool has_plenty(struct request *q)
{
	const FCGX_Stream *in = q->fcgi.in;
	const struct reader *rd = in->data;
	size_t held = (size_t)(rd->end - in->rdNext);
	size_t want = needed(rd);
	int queued;

	if (held >= want)
		return true;
	if (q->queued < want - held && ioctl(q->fcgi.ipcFd, FIONREAD, &queued) == 0 && queued > 0)
		q->queued = (size_t)queued;
	if (q->queued < want - held)
		return false;
	/* One read may end in the middle of a header, then there is a second one. */
	size_t taken = 2 * (size_t)rd->size;
	q->queued = q->queued > taken ? q->queued - taken : 0;
	return true;
}

static enum body_result io_read(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	struct request *q = arg;
	FCGX_Stream *in = q->fcgi.in;

	for (;;) {
		/* Asked first: where the stream broke off, rdNext has gone beyond stop. */
		if (in->isClosed)
			return FCGX_GetError(in) ? BODY_GONE : BODY_END;
		if (in->rdNext < in->stop)
			break;
		bool stop = atomic_load(&q->server->stop);
		if (stop || !has_plenty(q)) {
			enum body_result result = wait_to_fill(q, timeout_ms, wake_fd);
			if (result != BODY_DATA)
				return result;
		}
		in->fillBuffProc(in);
	}
	*data = in->rdNext;
	*len = (size_t)(in->stop - in->rdNext);
	in->rdNext = in->stop;
	return BODY_DATA;
}

static int io_write(void *arg, const void *data, size_t len)
{
	struct request *q = arg;

	/* Kept in libfcgi's buffer until FCGX_Finish_r: a small answer and its end are one write.
	 */
	if (len > INT_MAX || FCGX_PutStr(data, (int)len, q->fcgi.out) != (int)len)
		return -1;
	return 0;
}

static const struct http_io fastcgi_io = {.param = io_param, .read = io_read, .write = io_write};

/* --- threads --- */

static enum http_drain drain_of(struct request *q)
{
	const char *software = io_param(q, "SERVER_SOFTWARE");

	return software && str_starts(software, "Apache") ? HTTP_DRAIN_SOME : HTTP_DRAIN_NONE;
}

/* Wait for the next request. 0; -1: the thread is to end. */
static int accept_request(struct worker *w, struct request *q)
{
	struct server *s = w->server;

	for (;;) {
		atomic_store(&w->accepting, true);
		int rc = atomic_load(&s->stop) ? -1 : FCGX_Accept_r(&q->fcgi);
		atomic_store(&w->accepting, false);
		if (rc == 0) {
			if (atomic_load(&s->accept_fails))
				atomic_store(&s->accept_fails, false);
			return 0;
		}
		if (atomic_load(&s->stop))
			return -1;
		if (rc == -EINVAL || rc == -EBADF || rc == -ENOTSOCK) {
			/* Somebody shut the listening socket down; the supervisor must know. */
			LOG(LOG_LEVEL_ERROR, "the listening socket is gone", log_int("errno", -rc));
			(void)kill(getpid(), SIGTERM);
			return -1;
		}
		if (!atomic_exchange(&s->accept_fails, true))
			LOG(LOG_LEVEL_WARN, "no connection could be accepted",
				log_int("errno", -rc));
		clock_sleep_ms(ACCEPT_PAUSE_MS);
	}
}

/* The sender's token is among the variables, and in the buffer in which they came. */
static void wipe(const struct request *q)
{
	const struct reader *rd = q->fcgi.in->data;

	for (char **p = q->fcgi.envp; *p; p++)
		mem_wipe(*p, strlen(*p));
	mem_wipe(rd->allocation, (size_t)rd->size);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct request q = {.server = w->server};
	const struct timeval send_timeout = {.tv_sec = SEND_TIMEOUT_S};

	if (FCGX_InitRequest(&q.fcgi, LISTEN_FD, FCGI_FAIL_ACCEPT_ON_INTR) == 0) {
		while (accept_request(w, &q) == 0) {
			/* Best effort: without it only a stuck web server would hold the thread. */
			(void)setsockopt(q.fcgi.ipcFd, SOL_SOCKET, SO_SNDTIMEO, &send_timeout,
				sizeof(send_timeout));
			q.queued = 0;
			http_serve(w->server->app, &fastcgi_io, &q, drain_of(&q));
			wipe(&q);
			FCGX_Finish_r(&q.fcgi);
		}
		FCGX_Free(&q.fcgi, 1);
	}
	atomic_fetch_sub(&w->server->running, 1);
	atomic_store(&w->ended, true);
	return NULL;
}

/* Start up to ${n} threads; fewer serve as well. Returns their number. */
static size_t start_workers(struct server *s, size_t n)
{
	pthread_attr_t attr;
	size_t i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	for (i = 0; i < n; i++) {
		s->workers[i].server = s;
		atomic_fetch_add(&s->running, 1);
		if (pthread_create(&s->workers[i].thread, &attr, work, &s->workers[i]) != 0) {
			atomic_fetch_sub(&s->running, 1);
			break;
		}
	}
	pthread_attr_destroy(&attr);
	return i;
}

/*
 * Threads sit in accept on a socket that other processes may share: it can neither be shut down nor
 * made non-blocking for us alone. A signal without effect makes accept return, and as it may come
 * just before the call it is sent until the thread has left. A thread with a request is left alone.
 */
static void stop_workers(struct server *s, size_t n)
{
	int64_t deadline = clock_mono_ms() + STOP_MS;

	atomic_store(&s->stop, true);
	(void)eventfd_write(s->stop_fd, 1);
	FCGX_ShutdownPending();
	while (atomic_load(&s->running) > 0 && clock_mono_ms() < deadline) {
		for (size_t i = 0; i < n; i++) {
			struct worker *w = &s->workers[i];
			if (atomic_load(&w->accepting) && !atomic_load(&w->ended))
				pthread_kill(w->thread, SIGUSR2);
		}
		clock_sleep_ms(KICK_MS);
	}
}

/* SIGQUIT is what multiwatch hands on when it is told to end. */
static void wait_for_stop(void)
{
	sigset_t set;
	int sig = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	while (sig != SIGTERM && sig != SIGINT && sig != SIGQUIT) {
		if (sigwait(&set, &sig) == 0 && sig == SIGHUP)
			log_reopen();
	}
}

int serve_fastcgi_run(struct app *app, struct err *err)
{
	size_t wanted = (size_t)app->config->threads;
	struct server *s = mem_zalloc(sizeof(*s));
	int rc = -1;

	s->app = app;
	s->workers = mem_zalloc(wanted * sizeof(*s->workers));
	s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->stop_fd < 0) {
		err_errno(err, __func__, "eventfd");
		goto out;
	}
	size_t n = start_workers(s, wanted);
	if (n == 0) {
		err_set(err, ERR_UNAVAILABLE, __func__, "no thread could be started");
		goto out;
	}
	LOG(LOG_LEVEL_INFO, "ready", log_int("threads", (int64_t)n));
	wait_for_stop();
	size_t busy = atomic_load(&s->running);
	LOG(LOG_LEVEL_INFO, "stopping", log_int("threads", (int64_t)busy));
	stop_workers(s, n);
	busy = atomic_load(&s->running);
	if (busy > 0) {
		LOG(LOG_LEVEL_WARN, "requests are still running",
			log_int("requests", (int64_t)busy));
		return 1; /* they go on using ${s} */
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(s->workers[i].thread, NULL);
	rc = 0;
out:
	if (s->stop_fd >= 0)
		close(s->stop_fd);
	free(s->workers);
	free(s);
	return rc;
}

/* --- set-up --- */

static void no_effect(int sig)
{
	(void)sig;
}

/* FCGX_Init installs handlers of its own for SIGPIPE, SIGUSR1 and SIGTERM: ours come after it. */
static void set_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction standard = {.sa_handler = SIG_DFL};
	struct sigaction wake = {.sa_handler = no_effect}; /* no SA_RESTART */
	sigset_t set;

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGUSR1, &standard, NULL);
	sigaction(SIGTERM, &standard, NULL);
	sigaction(SIGUSR2, &wake, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/*
 * One request over a private socket whose records come in one piece: the structure we read the
 * reader's state through must show exactly what lies behind each window.
 */
static const unsigned char sample[] = {
	1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,       /* BEGIN_REQUEST, responder */
	1, 4, 0, 1, 0, 4, 0, 0, 1, 1, 'A', 'b',               /* PARAMS A=b */
	1, 4, 0, 1, 0, 0, 0, 0,                               /* end of PARAMS */
	1, 5, 0, 1, 0, 3, 5, 0, 'x', 'y', 'z', 0, 0, 0, 0, 0, /* STDIN, 3 bytes, 5 of padding */
	1, 5, 0, 1, 0, 1, 0, 0, 'w',                          /* STDIN, 1 byte */
	1, 5, 0, 1, 0, 2, 0, 0, 'u',                          /* STDIN, 1 byte of 2 */
};

struct window {
	ptrdiff_t content; /* shown */
	ptrdiff_t behind;  /* bytes in the buffer after it */
	int content_left;
	int padding_left;
	bool can_go_on;
};

static bool next_window_is(FCGX_Request *q, const struct window *w)
{
	FCGX_Stream *in = q->in;
	const struct reader *rd = in->data;

	in->fillBuffProc(in);
	if (in->isClosed || in->stop - in->rdNext != w->content)
		return false;
	in->rdNext = in->stop;
	return rd->end - in->stop == w->behind && rd->content_left == w->content_left &&
	       rd->padding_left == w->padding_left && can_fill(in, q->ipcFd) == w->can_go_on;
}

static bool layout_is_known(int listener, int peer)
{
	FCGX_Request q;
	bool known = false;

	if (FCGX_InitRequest(&q, listener, 0) != 0)
		return false;
	if (send(peer, sample, sizeof(sample), MSG_NOSIGNAL) != (ssize_t)sizeof(sample))
		return false;
	if (FCGX_Accept_r(&q) == 0) {
		static const struct window windows[] = {
			{3, 5 + 9 + 9, 0, 5, true},
			{1, 9, 0, 0, true},
			{1, 0, 1, 0, false},
		};
		known = true;
		for (size_t i = 0; known && i < sizeof(windows) / sizeof(windows[0]); i++)
			known = next_window_is(&q, &windows[i]);
	}
	/* libfcgi waits for the other side to close before it does. */
	shutdown(peer, SHUT_RDWR);
	FCGX_Free(&q, 1);
	return known;
}

static int check_layout(struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = -1;

	/* Without a name the kernel chooses an abstract one: nothing appears in the file system. */
	if (listener < 0 || peer < 0 ||
		bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
		listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&address, &len) < 0 ||
		connect(peer, (struct sockaddr *)&address, len) < 0)
		err_errno(err, __func__, "a socket to try libfcgi on");
	else if (!layout_is_known(listener, peer))
		err_set(err, ERR_UNSUPPORTED, __func__,
			"this libfcgi works otherwise than the one this program is made for (2.4)");
	else
		rc = 0;
	if (listener >= 0)
		close(listener);
	if (peer >= 0)
		close(peer);
	return rc;
}

bool serve_fastcgi_possible(void)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	return getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 &&
	       listening != 0;
}

void serve_fastcgi_make_blocking(void)
{
	int flags = fcntl(LISTEN_FD, F_GETFL);

	if (flags >= 0 && (flags & O_NONBLOCK))
		(void)fcntl(LISTEN_FD, F_SETFL, flags & ~O_NONBLOCK);
}

void serve_fastcgi_restrain_heap(char **argv)
{
	if (getenv("GLIBC_TUNABLES")) {
		/* Executed as below, the kernel calls it "exe". */
		(void)prctl(PR_SET_NAME, program_invocation_short_name);
		return;
	}
	if (setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 0) == 0)
		execv("/proc/self/exe", argv);
	/* Where it could not be done, more memory is used, nothing worse. */
}

int serve_fastcgi_init(struct err *err)
{
	struct rlimit files;

	if (FCGX_Init() != 0)
		return err_set(err, ERR_UNAVAILABLE, __func__, "libfcgi cannot be set up");
	set_signals();
	mallopt(M_ARENA_MAX, ARENAS);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		/* Fewer descriptors mean fewer requests at once, nothing worse. */
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	return check_layout(err);
}

void serve_fastcgi_refuse(int64_t ms)
{
	/* The socket is shared: another process may take the connection, so accept must not block.
	 */
	const struct itimerval tick = {
		.it_interval = {.tv_usec = REFUSE_TICK_US},
		.it_value = {.tv_usec = REFUSE_TICK_US},
	};
	struct sigaction wake = {.sa_handler = no_effect};
	int64_t deadline = clock_mono_ms() + ms;
	FCGX_Request q;

	if (FCGX_Init() != 0 || FCGX_InitRequest(&q, LISTEN_FD, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
		return;
	signal(SIGTERM, SIG_DFL);
	sigaction(SIGALRM, &wake, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	while (clock_mono_ms() < deadline) {
		if (FCGX_Accept_r(&q) != 0)
			continue;
		(void)FCGX_PutS(http_refusal, q.out);
		FCGX_Finish_r(&q);
	}
	FCGX_Free(&q, 1);
}
