/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/stop.h"

#include "core/base/err.h"
#include "core/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Service managers wait ten seconds and more before they kill. */
#define PATIENCE_S 8

/* Signals belong to the process, and so does this. */
static atomic_bool asked;
static int asked_fd = -1;

bool stop_asked(void *arg)
{
	(void)arg;
	return atomic_load(&asked);
}

void stop_ask(void)
{
	uint64_t one = 1;
	atomic_store(&asked, true);
	while (write(asked_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int stop_fd(void)
{
	return asked_fd;
}

void stop_sleep(int64_t ms)
{
	struct pollfd fd = {.fd = asked_fd, .events = POLLIN};
	(void)poll(&fd, 1, ms < 3600000 ? (int)ms : 3600000);
}

static void *listen_thread(void *arg)
{
	const sigset_t *set = arg;
	const struct timespec patience = {.tv_sec = PATIENCE_S};
	for (;;) {
		int sig = sigwaitinfo(set, NULL);
		if (sig == SIGHUP)
			log_reopen();
		else if (sig > 0)
			break;
	}
	stop_ask();
	int again;
	do {
		again = sigtimedwait(set, NULL, &patience);
	} while (again == SIGHUP || (again < 0 && errno == EINTR));
	LOG(LOG_LEVEL_WARN, "ended with deliveries running; their leases will run out",
		log_int("signal", again));
	_exit(1);
}

int stop_listen(struct err *err)
{
	static sigset_t set; /* the thread goes on reading it */
	pthread_t thread;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	asked_fd = eventfd(0, EFD_CLOEXEC);
	if (asked_fd < 0)
		return err_errno(err, __func__, "listen for signals");
	/* Whoever reads our lines may go away; a broken pipe must not end a copy. */
	signal(SIGPIPE, SIG_IGN);
	int rc = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (rc == 0)
		rc = pthread_create(&thread, NULL, listen_thread, &set);
	if (rc == 0)
		return 0; /* the thread lives as long as the process */
	errno = rc;
	return err_errno(err, __func__, "listen for signals");
}
