/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/delivery_lease.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/store/state.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct delivery_lease {
	struct state *state;
	int64_t id;
	const char *owner;
	int64_t lease_ms;
	int64_t renewed_ms; /* monotonic; the thread's own */
	int end_fd;
	atomic_bool lost;
	pthread_t thread;
};

int delivery_lease_check(struct delivery_lease *l, struct err *err)
{
	switch (state_delivery_renew(l->state, l->id, l->owner, clock_now(), l->lease_ms, err)) {
	case STATE_OK:
		return 1;
	case STATE_ERROR:
		return -1;
	default:
		atomic_store(&l->lost, true);
		return 0;
	}
}

/* Milliseconds until the next look; a failed one is repeated sooner. */
static int64_t renew(struct delivery_lease *l)
{
	struct err err = {0};
	int64_t now = clock_mono_ms();
	int kept = delivery_lease_check(l, &err);
	if (kept > 0) {
		l->renewed_ms = now;
		return l->lease_ms / 2;
	}
	if (kept < 0 && now - l->renewed_ms >= l->lease_ms) {
		LOG(LOG_LEVEL_WARN, "lease could not be renewed", log_int("delivery", l->id),
			log_err(&err));
		atomic_store(&l->lost, true);
	}
	return l->lease_ms / 8;
}

static void *keep(void *arg)
{
	struct delivery_lease *l = arg;
	int64_t wait = l->lease_ms / 2;
	while (!atomic_load(&l->lost)) {
		struct pollfd end = {.fd = l->end_fd, .events = POLLIN};
		int n = poll(&end, 1, wait > 0 ? (int)wait : 1);
		if (n > 0)
			break;
		if (n == 0)
			wait = renew(l);
	}
	return NULL;
}

struct delivery_lease *delivery_lease_keep(
	struct state *s, int64_t id, const char *owner, int64_t lease_ms, struct err *err)
{
	struct delivery_lease *l = mem_zalloc(sizeof(*l));
	l->state = s;
	l->id = id;
	l->owner = owner;
	/* poll(2) counts in int; nobody waits longer than a day for a dead worker. */
	l->lease_ms = lease_ms < 86400000 ? lease_ms : 86400000;
	l->renewed_ms = clock_mono_ms();
	atomic_init(&l->lost, false);
	l->end_fd = eventfd(0, EFD_CLOEXEC);
	if (l->end_fd < 0) {
		err_errno(err, __func__, "watch over the lease");
		goto fail;
	}
	errno = pthread_create(&l->thread, NULL, keep, l);
	if (errno != 0) {
		err_errno(err, __func__, "start the thread that renews the lease");
		close(l->end_fd);
		goto fail;
	}
	return l;

fail:
	free(l);
	return NULL;
}

bool delivery_lease_lost(const struct delivery_lease *l)
{
	return atomic_load(&l->lost);
}

void delivery_lease_drop(struct delivery_lease *l)
{
	if (!l)
		return;
	uint64_t one = 1;
	while (write(l->end_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(l->thread, NULL);
	close(l->end_fd);
	free(l);
}
