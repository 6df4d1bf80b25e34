/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks for the processes of one host. DIR/lock is one file; the lock of an upload is an open file
 * description lock (fcntl F_OFD_SETLK) on the one byte of it that the id hashes to: it holds
 * between threads as well as processes, goes when its holder dies, and leaves no file behind.
 *
 * A newcomer asks for a lock by writing the empty file DIR/wanted/ID. Each process that holds locks
 * has one thread that watches this directory. Who gets a lock removes the request first, so that
 * one meant for the holder before is not taken for a new one; who still waits asks again soon.
 */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/base/thread.h"
#include "core/store/lock_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0640
#define BUCKETS 256
#define STALE_US (60 * CLOCK_US_PER_S)
#define WATCHER_STACK ((size_t)256 << 10)

struct file_lock {
	struct lock base;
	int fd; /* the open file description that owns the lock */
	uint64_t hash;
	struct file_lock *next;
	char id[UUID_SIZE];
};

struct file_service {
	struct lock_service base;
	char *wanted_path;
	int dir_fd;
	int wanted_fd;
	pthread_mutex_t mutex; /* guards what follows */
	struct file_lock *held[BUCKETS];
	bool watching;
	pthread_t watcher;
	int inotify_fd;
	int stop_fd;
};

/* FNV-1a with a final mix, so that all 62 bits depend on the whole id. */
static uint64_t hash_id(const char *id)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (; *id; id++)
		h = (h ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	return h & ((UINT64_C(1) << 62) - 1);
}

static struct file_lock **bucket_of(struct file_service *svc, uint64_t hash)
{
	return &svc->held[hash % BUCKETS];
}

static void close_service(struct file_service *svc)
{
	if (svc->inotify_fd >= 0)
		close(svc->inotify_fd);
	if (svc->stop_fd >= 0)
		close(svc->stop_fd);
	if (svc->wanted_fd >= 0)
		close(svc->wanted_fd);
	if (svc->dir_fd >= 0)
		close(svc->dir_fd);
	free(svc->wanted_path);
	pthread_mutex_destroy(&svc->mutex);
	free(svc);
}

static struct lock_service *file_open(const char *where, struct err *err)
{
	struct file_service *svc = mem_zalloc(sizeof(*svc));
	pthread_mutex_init(&svc->mutex, NULL);
	svc->dir_fd = svc->wanted_fd = svc->inotify_fd = svc->stop_fd = -1;
	size_t size = strlen(where) + sizeof("/wanted");
	svc->wanted_path = mem_alloc(size);
	snprintf(svc->wanted_path, size, "%s/wanted", where);
	/* Locks do not outlive a restart of the host: nothing here needs to be synced. */
	if (fsio_mkdirs(svc->wanted_path, false, err) < 0)
		goto fail;
	svc->dir_fd = fsio_open_dir(where, err);
	if (svc->dir_fd < 0)
		goto fail;
	svc->wanted_fd = fsio_open_dir(svc->wanted_path, err);
	if (svc->wanted_fd < 0)
		goto fail;
	return &svc->base;

fail:
	close_service(svc);
	return NULL;
}

/* Requests whose waiter and holder both died. */
static void remove_stale(const struct file_service *svc)
{
	DIR *d = opendir(svc->wanted_path);
	if (!d)
		return;
	int64_t before = clock_now() - STALE_US;
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (!str_is_uuid(e->d_name) || fstatat(dirfd(d), e->d_name, &st, 0) < 0)
			continue;
		if ((int64_t)st.st_mtim.tv_sec * CLOCK_US_PER_S < before)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

static void mark_wanted(struct file_service *svc, const char *id)
{
	if (!str_is_uuid(id))
		return;
	uint64_t hash = hash_id(id);
	pthread_mutex_lock(&svc->mutex);
	struct file_lock *l = *bucket_of(svc, hash);
	while (l && strcmp(l->id, id) != 0)
		l = l->next;
	/* A request that is gone was answered by the lock we hold now. */
	if (l && faccessat(svc->wanted_fd, id, F_OK, 0) == 0)
		lock_base_set(&l->base, LOCK_WANTED);
	pthread_mutex_unlock(&svc->mutex);
}

static void read_events(struct file_service *svc)
{
	_Alignas(struct inotify_event) char events[4096];
	ssize_t n = read(svc->inotify_fd, events, sizeof(events));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(events + at);
		if (e->len > 0)
			mark_wanted(svc, e->name);
		at += (ssize_t)(sizeof(*e) + e->len);
	}
}

static void *watch(void *arg)
{
	struct file_service *svc = arg;
	remove_stale(svc);
	for (;;) {
		struct pollfd fds[] = {{svc->inotify_fd, POLLIN, 0}, {svc->stop_fd, POLLIN, 0}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents)
			return NULL;
		if (fds[0].revents)
			read_events(svc);
	}
}

static int open_watch(struct file_service *svc, struct err *err)
{
	svc->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (svc->stop_fd < 0)
		return err_errno(err, __func__, "no eventfd for the lock watcher");
	svc->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (svc->inotify_fd < 0)
		return err_errno(err, __func__,
			"no inotify instance for the locks (limits: fs.inotify.max_user_instances, "
			"open files)");
	if (inotify_add_watch(svc->inotify_fd, svc->wanted_path, IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
		return err_errno(err, __func__,
			"cannot watch %s (limit: fs.inotify.max_user_watches)", svc->wanted_path);
	return 0;
}

static int start_thread(struct file_service *svc, struct err *err)
{
	int rc = thread_start(&svc->watcher, WATCHER_STACK, watch, svc);
	if (rc == 0)
		return 0;
	errno = rc;
	return err_errno(err, __func__, "no thread to watch the locks");
}

/* With the first lock of this process: afterwards no request can be missed. */
static int start_watcher(struct file_service *svc, struct err *err)
{
	int rc = 0;
	pthread_mutex_lock(&svc->mutex);
	if (!svc->watching) {
		rc = open_watch(svc, err);
		if (rc == 0)
			rc = start_thread(svc, err);
		svc->watching = rc == 0;
		if (rc < 0) {
			if (svc->inotify_fd >= 0)
				close(svc->inotify_fd);
			if (svc->stop_fd >= 0)
				close(svc->stop_fd);
			svc->inotify_fd = svc->stop_fd = -1;
		}
	}
	pthread_mutex_unlock(&svc->mutex);
	return rc;
}

static void file_close(struct lock_service *base)
{
	struct file_service *svc = (struct file_service *)base;
	if (svc->watching) {
		uint64_t one = 1;
		while (write(svc->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(svc->watcher, NULL);
	}
	close_service(svc);
}

/* One try on a description of its own. */
static enum lock_result take(struct file_service *svc, struct file_lock *l, struct err *err)
{
	l->fd = fsio_open_beneath(svc->dir_fd, "lock", O_RDWR | O_CREAT, FILE_MODE, err);
	if (l->fd < 0)
		return LOCK_ERROR;
	struct flock range = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)l->hash,
		.l_len = 1,
	};
	if (fcntl(l->fd, F_OFD_SETLK, &range) == 0)
		return LOCK_OK;
	if (errno == EAGAIN || errno == EACCES)
		return LOCK_BUSY;
	err_errno(err, __func__, "cannot lock");
	return LOCK_ERROR;
}

static enum lock_result file_try_acquire(struct lock_service *base, const char *id,
	struct lock_row *row, struct lock **out, struct err *err)
{
	struct file_service *svc = (struct file_service *)base;
	(void)row;
	if (start_watcher(svc, err) < 0)
		return LOCK_ERROR;
	struct file_lock *l = mem_zalloc(sizeof(*l));
	l->hash = hash_id(id);
	str_copy(l->id, sizeof(l->id), id);
	enum lock_result r = take(svc, l, err);
	if (r == LOCK_OK && lock_base_init(&l->base, base, err) < 0)
		r = LOCK_ERROR;
	if (r != LOCK_OK) {
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return r;
	}
	unlinkat(svc->wanted_fd, id, 0);
	pthread_mutex_lock(&svc->mutex);
	struct file_lock **bucket = bucket_of(svc, l->hash);
	l->next = *bucket;
	*bucket = l;
	pthread_mutex_unlock(&svc->mutex);
	*out = &l->base;
	return LOCK_OK;
}

static int file_request(struct lock_service *base, const char *id, struct err *err)
{
	struct file_service *svc = (struct file_service *)base;
	int fd =
		fsio_open_beneath(svc->wanted_fd, id, O_WRONLY | O_CREAT | O_TRUNC, FILE_MODE, err);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static void file_release(struct lock *base)
{
	struct file_lock *l = (struct file_lock *)base;
	struct file_service *svc = (struct file_service *)base->svc;
	pthread_mutex_lock(&svc->mutex);
	struct file_lock **at = bucket_of(svc, l->hash);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	pthread_mutex_unlock(&svc->mutex);
	/* Whoever asked may have given up; the request must not stay for ever. */
	if (base->state == LOCK_WANTED)
		unlinkat(svc->wanted_fd, l->id, 0);
	close(l->fd);
	lock_base_end(base);
	free(l);
}

const struct lock_backend lock_file_backend = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.try_acquire = file_try_acquire,
	.request = file_request,
	.release = file_release,
};
