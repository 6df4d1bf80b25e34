/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports and events as files: FOLDER/{upload_id}_{name}, one JSON object a line, or only the
 * newest one where the message says "replace".
 *
 * Replaced files are not removed but serve again, from FOLDER/.spare: making and freeing inodes is
 * the larger part of the work.
 */
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/store/publish_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_MAX ((size_t)1 << 20)

#define SPARES_MAX 1024
/*
 * A file that was published a moment ago is left alone: somebody may have looked its name up and be
 * about to open it, which nothing tells.
 */
#define REST_MS 1000
/* Spare files this old were left by a process that died; one that lives makes do without. */
#define STALE_US (3600 * CLOCK_US_PER_S)

struct spare {
	uint64_t number; /* its name in the folder of spare files */
	int64_t since;   /* monotonic ms */
};

struct file_publisher {
	struct publisher base;
	char *folder;
	char *spare_folder;
	char token[UUID_SIZE];    /* begins the names of this publisher's spare files */
	_Atomic bool no_exchange; /* the file system cannot do it */
	_Atomic bool tidied;
	pthread_mutex_t lock; /* guards what follows */
	uint64_t names;       /* numbers given so far */
	struct spare *spares; /* a ring: the one that has rested longest goes first */
	size_t first, n;
};

/* Best effort: what cannot be removed now is removed by a later process. */
static void remove_stale_spares(const struct file_publisher *p)
{
	DIR *d = opendir(p->spare_folder);
	if (!d)
		return;
	int64_t before = clock_now() - STALE_US;
	for (struct dirent *e; (e = readdir(d));) {
		struct stat st;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && (int64_t)st.st_ctim.tv_sec * CLOCK_US_PER_S < before)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
}

static struct publisher *file_open(const struct publish_place *place, struct err *err)
{
	const char *where = place->where;

	if (fsio_mkdirs(where, true, err) < 0)
		return NULL;
	struct file_publisher *p = mem_zalloc(sizeof(*p));
	struct buf spare_folder;
	buf_init(&spare_folder, SIZE_MAX);
	buf_printf(&spare_folder, "%s/.spare", where);
	p->spare_folder = buf_take(&spare_folder);
	p->folder = mem_strdup(where);
	p->spares = mem_array(NULL, SPARES_MAX, sizeof(*p->spares));
	random_uuid(p->token);
	pthread_mutex_init(&p->lock, NULL);
	return &p->base;
}

static int spare_path(const struct file_publisher *p, uint64_t number, struct buf *out)
{
	return buf_printf(out, "%s/%s-%" PRIu64, p->spare_folder, p->token, number);
}

static void file_close(struct publisher *base)
{
	struct file_publisher *p = (struct file_publisher *)base;
	for (; p->n > 0; p->n--) {
		struct buf path;
		buf_init(&path, PATH_MAX);
		if (spare_path(p, p->spares[p->first].number, &path) == 0)
			(void)unlink(path.data);
		buf_free(&path);
		p->first = (p->first + 1) % SPARES_MAX;
	}
	/* The last one to use the folder succeeds. */
	if (p->names > 0)
		(void)rmdir(p->spare_folder);
	pthread_mutex_destroy(&p->lock);
	free(p->spares);
	free(p->spare_folder);
	free(p->folder);
	free(p);
}

static bool has_line(const char *text, size_t len, const char *line, size_t line_len)
{
	for (const char *end = text + len; text < end;) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		if (!newline)
			return false;
		if ((size_t)(newline - text) == line_len && memcmp(text, line, line_len) == 0)
			return true;
		text = newline + 1;
	}
	return false;
}

/*
 * Look at the end of the file: is the line there already, and does the last line lack its end (the
 * host went down in the middle of it)?
 */
static int look(
	int fd, const struct publish_message *m, bool *there_out, bool *torn_out, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, __func__, "stat failed");
	uint64_t size = (uint64_t)st.st_size;
	size_t len = size < TAIL_MAX ? (size_t)size : TAIL_MAX;
	char *tail = mem_alloc(len + 1);
	ssize_t n = fsio_pread_full(fd, tail, len, size - len, err);
	*there_out = n > 0 && has_line(tail, (size_t)n, m->data, m->len);
	*torn_out = n > 0 && tail[n - 1] != '\n';
	free(tail);
	return n < 0 ? -1 : 0;
}

/* The line is wanted once and on disk, whatever became of an earlier try. */
static int append_again(const char *path, const struct publish_message *m, struct err *err)
{
	bool there = false;
	bool torn = false;
	int fd = fsio_open_or_make(path, O_RDWR, err);
	if (fd < 0)
		return -1;
	int rc = look(fd, m, &there, &torn, err);
	if (rc == 0 && !there && torn)
		rc = fsio_append_line(path, "", 0, false, err);
	if (rc == 0 && !there)
		rc = fsio_append_line(path, m->data, m->len, false, err);
	if (rc == 0)
		rc = fsio_sync_data(fd, err);
	if (rc == 0)
		rc = fsio_sync_parent(AT_FDCWD, path, err);
	close(fd);
	return rc;
}

/* The number of a rested spare file, or one that is not in use (false). */
static bool take_spare(struct file_publisher *p, uint64_t *number)
{
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&p->lock);
	bool rested = p->n > 0 && now - p->spares[p->first].since >= REST_MS;
	if (rested) {
		*number = p->spares[p->first].number;
		p->first = (p->first + 1) % SPARES_MAX;
		p->n--;
	} else {
		*number = p->names++;
	}
	pthread_mutex_unlock(&p->lock);
	return rested;
}

/* False: there are plenty. */
static bool keep_spare(struct file_publisher *p, uint64_t number)
{
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&p->lock);
	bool room = p->n < SPARES_MAX;
	if (room)
		p->spares[(p->first + p->n++) % SPARES_MAX] = (struct spare){number, now};
	pthread_mutex_unlock(&p->lock);
	return room;
}

/* As fsio_swap; -1 with ERR_CONFLICT: that spare file was of no use, another one may be. */
static int swap(struct file_publisher *p, const char *path, const struct buf *line, struct err *err)
{
	struct buf spare;
	uint64_t number;
	bool reuse = take_spare(p, &number);
	/* Left to processes that stay: one that answers a single request has no time for it. */
	if (reuse && !atomic_exchange(&p->tidied, true))
		remove_stale_spares(p);
	buf_init(&spare, PATH_MAX);
	int rc = spare_path(p, number, &spare);
	if (rc < 0) {
		err_set(err, ERR_INVALID, __func__, "the name of a file in %s is too long",
			p->spare_folder);
		goto out;
	}
	rc = fsio_swap(spare.data, path, line->data, line->len, reuse, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND && fsio_mkdirs(p->spare_folder, false, err) == 0)
		rc = fsio_swap(spare.data, path, line->data, line->len, reuse, err);
	if (rc < 0 || (rc > 0 && !keep_spare(p, number)))
		(void)unlink(spare.data);
out:
	buf_free(&spare);
	return rc < 0 ? -1 : 0;
}

static int replace_quickly(
	struct file_publisher *p, const char *path, const struct buf *line, struct err *err)
{
	int rc = -1;
	err->code = ERR_CONFLICT;
	while (rc < 0 && err->code == ERR_CONFLICT && !atomic_load(&p->no_exchange)) {
		rc = swap(p, path, line, err);
		if (rc < 0 && err->code == ERR_UNSUPPORTED)
			atomic_store(&p->no_exchange, true);
	}
	return rc < 0 && atomic_load(&p->no_exchange)
		       ? fsio_replace(path, line->data, line->len, false, err)
		       : rc;
}

static int replace(struct file_publisher *p, const char *path, const struct publish_message *m,
	bool durable, struct err *err)
{
	struct buf line;
	buf_init(&line, m->len + 1);
	buf_add(&line, m->data, m->len);
	buf_add_char(&line, '\n');
	int rc = durable ? fsio_replace(path, line.data, line.len, true, err)
			 : replace_quickly(p, path, &line, err);
	buf_free(&line);
	return rc;
}

static int write_message(struct file_publisher *p, const char *path,
	const struct publish_message *m, bool repeat, struct err *err)
{
	if (m->replace)
		return replace(p, path, m, repeat, err);
	if (repeat)
		return append_again(path, m, err);
	return fsio_append_line(path, m->data, m->len, false, err);
}

static int file_send(
	struct publisher *base, const struct publish_message *m, bool repeat, struct err *err)
{
	struct file_publisher *p = (struct file_publisher *)base;
	struct buf path;
	int rc = -1;
	buf_init(&path, PATH_MAX);
	if (buf_printf(&path, "%s/%s_%s", p->folder, m->upload_id, m->name) < 0) {
		err_set(err, ERR_INVALID, __func__, "the name of a file in %s is too long",
			p->folder);
		goto out;
	}
	rc = write_message(p, path.data, m, repeat, err);
	/* People clear such folders away while we run. */
	if (rc < 0 && err->code == ERR_NOT_FOUND && fsio_mkdirs(p->folder, repeat, err) == 0)
		rc = write_message(p, path.data, m, repeat, err);
out:
	buf_free(&path);
	return rc;
}

static int file_probe(struct publisher *base, struct err *err)
{
	const struct file_publisher *p = (const struct file_publisher *)base;
	if (faccessat(AT_FDCWD, p->folder, W_OK | X_OK, AT_EACCESS) < 0)
		return err_errno(err, __func__, "%s", p->folder);
	return 0;
}

const struct publish_backend publish_file_backend = {
	.type = "file",
	.local = true,
	.open = file_open,
	.close = file_close,
	.send = file_send,
	.probe = file_probe,
};
