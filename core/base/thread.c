/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/thread.h"

#include <signal.h>

int thread_start(pthread_t *out, size_t stack, void *(*fn)(void *), void *arg)
{
	/* These tell of the thread itself. */
	static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
	sigset_t blocked, before;
	pthread_attr_t attr;

	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&blocked, own[i]);
	pthread_attr_init(&attr);
	if (stack > 0)
		pthread_attr_setstacksize(&attr, stack);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	int rc = pthread_create(out, &attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}
