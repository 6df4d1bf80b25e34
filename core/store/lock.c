/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/lock.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/store/lock_impl.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define REQUEST_EVERY_MS 500
#define PAUSE_MAX_MS 25

struct lock_service *lock_open(
	const struct lock_backend *backend, const char *where, struct err *err)
{
	struct lock_service *svc = backend->open(where, err);
	if (svc)
		svc->backend = backend;
	return svc;
}

void lock_close(struct lock_service *svc)
{
	if (svc)
		svc->backend->close(svc);
}

/* Half of ${ms} for sure and a random part of the rest, so that waiters spread. */
static int64_t jitter(int64_t ms)
{
	int64_t half = ms / 2;
	return 1 + half + (int64_t)random_below((uint64_t)(ms - half));
}

enum lock_result lock_acquire(struct lock_service *svc, const char *id, int64_t wait_ms,
	struct lock_row *row, struct lock **out, struct err *err)
{
	*out = NULL;
	if (!str_is_uuid(id)) {
		err_set(err, ERR_INVALID, __func__, "locks are named by upload ids only");
		return LOCK_ERROR;
	}
	int64_t deadline = 0;
	int64_t next_request = 0;
	int64_t pause = 1;
	for (;;) {
		enum lock_result r = svc->backend->try_acquire(svc, id, row, out, err);
		if (r != LOCK_BUSY)
			return r;
		int64_t now = wait_ms > 0 ? clock_mono_ms() : 0;
		if (deadline == 0) {
			deadline = now + wait_ms;
			next_request = now;
		}
		if (wait_ms <= 0 || now >= deadline)
			break;
		if (now >= next_request) {
			if (svc->backend->request(svc, id, err) < 0)
				return LOCK_ERROR;
			next_request = now + REQUEST_EVERY_MS;
		}
		int64_t left = deadline - now;
		int64_t ms = jitter(pause);
		clock_sleep_ms(ms < left ? ms : left);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
	err_set(err, ERR_LOCKED, __func__, "the upload is in use by another request");
	return LOCK_BUSY;
}

void lock_release(struct lock *l)
{
	if (l)
		l->svc->backend->release(l);
}

enum lock_state lock_renew(struct lock *l)
{
	if (l->svc->backend->look)
		l->svc->backend->look(l);
	return (enum lock_state)l->state;
}

int lock_fd(const struct lock *l)
{
	return l->wanted_fd;
}

uint64_t lock_fence(const struct lock *l)
{
	return l->fence;
}

int lock_base_init(struct lock *l, struct lock_service *svc, struct err *err)
{
	l->svc = svc;
	l->fence = 0;
	l->state = LOCK_KEPT;
	l->wanted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wanted_fd < 0)
		return err_errno(err, __func__, "no eventfd for a lock");
	return 0;
}

void lock_base_end(struct lock *l)
{
	if (l->wanted_fd >= 0)
		close(l->wanted_fd);
	l->wanted_fd = -1;
}

void lock_base_set(struct lock *l, enum lock_state state)
{
	uint64_t one = 1;
	l->state = state;
	/* It can only fail when the counter is near its maximum, that is, readable anyway. */
	while (write(l->wanted_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}
