/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory tree as a blob store. Everything is opened beneath a descriptor of the root that
 * stays open, so no key and no symbolic link leads out of it.
 *
 * BLOB_RESUME writes the file of that name in place. It is made with the first byte: what a writer
 * at offset 0 finds is discarded then, not before. BLOB_STAGE writes a temporary name in the same
 * directory and renames it; a name that exists is never replaced. A dead process leaves the
 * temporary name to blob_sweep.
 */
#include "backends/blob_file_walk.h"
#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/store/blob_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_MODE 0640
#define PUSH_BYTES ((uint64_t)8 << 20)
/* What comes in larger pieces is written in slices: for those the kernel takes large pages, which
 * are dearer to get. */
#define SLICE ((size_t)1 << 20)
#define TMP_PREFIX ".dex-"
#define TMP_SUFFIX ".part"
#define TMP_RANDOM 16 /* bytes, written as hex */
#define TMP_LEN (sizeof(TMP_PREFIX) - 1 + 2 * (size_t)TMP_RANDOM + sizeof(TMP_SUFFIX) - 1)

struct file_store {
	struct blob_store base;
	int root_fd;
	bool durable;
	char *root; /* as configured, without final slashes */
};

struct file_writer {
	struct blob_writer base;
	int fd;     /* -1 until the first byte */
	int dir_fd; /* BLOB_STAGE: directory of the temporary name, -1 until the first byte */
	bool entry_synced;
	uint64_t pushed; /* the kernel was asked to write out what lies before */
	char tmp[TMP_LEN + 1];
};

static const struct blob_option_spec file_options[] = {
	{"path", "LOCAL_FOLDER_UPLOADS_TUS", BLOB_OPT_REQUIRED, "directory that holds the files"},
	{"durable", NULL, 0, "false: leave it to the system when data reach the disk"},
	{NULL, NULL, 0, NULL},
};

static struct file_store *store_of(const struct blob_store *s)
{
	return (struct file_store *)s;
}

static const char *last_segment(const char *key)
{
	const char *slash = strrchr(key, '/');
	return slash ? slash + 1 : key;
}

static bool is_tmp(const char *name)
{
	return strlen(name) == TMP_LEN && str_starts(name, TMP_PREFIX) &&
	       str_ends(name, TMP_SUFFIX);
}

/* The names of temporaries are ours alone; an object called so would be swept away. */
static int check_name(const char *key, struct err *err)
{
	if (is_tmp(last_segment(key)))
		return err_set(err, ERR_INVALID, __func__, "%s is a reserved name", key);
	return 0;
}

/* fsio_open_beneath with the answers this store gives. */
static int open_key(const struct file_store *s, const char *key, int flags, struct err *err)
{
	/* A FIFO must not hold us up. */
	int no_wait = flags & O_PATH ? 0 : O_NONBLOCK;
	int fd = fsio_open_beneath(s->root_fd, key, flags | no_wait, FILE_MODE, err);
	if (fd >= 0)
		return fd;
	switch (err->sys_errno) {
	case ENAMETOOLONG:
		err->code = ERR_INVALID;
		break;
	case ENOTDIR:
		err->code = ERR_NOT_FOUND;
		break;
	default:
		break;
	}
	return -1;
}

/* The directory that holds ${key}. Returns fd or -1. */
static int open_parent(const struct file_store *s, const char *key, struct err *err)
{
	const char *name = last_segment(key);
	if (name == key) {
		int fd = fcntl(s->root_fd, F_DUPFD_CLOEXEC, 3);
		return fd >= 0 ? fd : err_errno(err, __func__, "open the directory of %s", key);
	}
	char *parent = mem_strndup(key, (size_t)(name - key) - 1);
	int fd = open_key(s, parent, O_RDONLY | O_DIRECTORY, err);
	free(parent);
	return fd;
}

static int make_parents(const struct file_store *s, const char *key, struct err *err)
{
	const char *name = last_segment(key);
	if (name == key)
		return 0;
	char *parent = mem_strndup(key, (size_t)(name - key) - 1);
	int rc = fsio_mkdirs_at(s->root_fd, parent, s->durable, err);
	free(parent);
	return rc;
}

static struct blob_store *file_open(
	const struct blob_option *opts, size_t nopts, bool create, struct err *err)
{
	const char *path = blob_option_get(opts, nopts, "path");
	const char *durable = blob_option_get(opts, nopts, "durable");
	struct file_store *s = mem_zalloc(sizeof(*s));
	s->durable = true;
	if (durable && str_to_bool(durable, &s->durable) < 0) {
		err_set(err, ERR_INVALID, __func__, "option \"durable\" is neither true nor false");
		goto fail;
	}
	if (create && fsio_mkdirs(path, s->durable, err) < 0)
		goto fail;
	s->root_fd = fsio_open_dir(path, err);
	if (s->root_fd < 0)
		goto fail;
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	s->root = mem_strndup(path, len);
	return &s->base;

fail:
	free(s);
	return NULL;
}

static void file_close(struct blob_store *base)
{
	struct file_store *s = store_of(base);
	close(s->root_fd);
	free(s->root);
	free(s);
}

static int file_location(const struct blob_store *base, const char *key, struct buf *out)
{
	const char *root = store_of(base)->root;
	return buf_printf(out, "%s%s%s", root, str_ends(root, "/") ? "" : "/", key);
}

static int truncate_to(int fd, uint64_t size, const char *key, struct err *err)
{
	while (ftruncate(fd, (off_t)size) < 0) {
		if (errno != EINTR)
			return err_errno(err, __func__, "truncate %s", key);
	}
	return 0;
}

/* Open a BLOB_RESUME file at ${offset}, made at offset 0 only; what lies beyond is cut off. */
static int resume_open(
	const struct file_store *s, const char *key, uint64_t offset, struct err *err)
{
	int flags = offset == 0 ? O_WRONLY | O_CREAT : O_WRONLY;
	int fd = open_key(s, key, flags, err);
	if (fd < 0 && err->code == ERR_NOT_FOUND) {
		if (offset > 0)
			return err_set(err, ERR_CORRUPT, __func__,
				"%s is missing, expected %llu bytes", key,
				(unsigned long long)offset);
		if (make_parents(s, key, err) < 0)
			return -1;
		fd = open_key(s, key, flags, err);
	}
	if (fd < 0)
		return -1;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		err_errno(err, __func__, "stat %s", key);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, ERR_CORRUPT, __func__, "%s is not a regular file", key);
		goto fail;
	}
	if ((uint64_t)st.st_size < offset) {
		err_set(err, ERR_CORRUPT, __func__, "%s has %lld bytes, expected %llu", key,
			(long long)st.st_size, (unsigned long long)offset);
		goto fail;
	}
	if ((uint64_t)st.st_size > offset && truncate_to(fd, offset, key, err) < 0)
		goto fail;
	return fd;

fail:
	close(fd);
	return -1;
}

/* Make the temporary name of a BLOB_STAGE object. */
static int stage_open(
	const struct file_store *s, const char *key, struct file_writer *w, struct err *err)
{
	w->dir_fd = open_parent(s, key, err);
	if (w->dir_fd < 0 && err->code == ERR_NOT_FOUND) {
		if (make_parents(s, key, err) < 0)
			return -1;
		w->dir_fd = open_parent(s, key, err);
	}
	if (w->dir_fd < 0)
		return -1;
	unsigned char rnd[TMP_RANDOM];
	char hex[2 * TMP_RANDOM + 1];
	random_bytes(rnd, sizeof(rnd));
	str_hex(hex, rnd, sizeof(rnd));
	snprintf(w->tmp, sizeof(w->tmp), TMP_PREFIX "%s" TMP_SUFFIX, hex);
	w->fd = fsio_open_beneath(w->dir_fd, w->tmp, O_WRONLY | O_CREAT | O_EXCL, FILE_MODE, err);
	return w->fd < 0 ? -1 : 0;
}

static struct file_writer *writer_new(void)
{
	struct file_writer *w = mem_zalloc(sizeof(*w));
	w->fd = -1;
	w->dir_fd = -1;
	return w;
}

/* Frees ${w}; a temporary name that is still there goes too. */
static void writer_free(struct file_writer *w)
{
	if (w->dir_fd >= 0 && w->tmp[0])
		unlinkat(w->dir_fd, w->tmp, 0);
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	free(w);
}

static struct blob_writer *file_begin(struct blob_store *base, const char *key, enum blob_mode mode,
	uint64_t offset, const char *token, uint64_t size_hint, struct err *err)
{
	(void)token;
	(void)size_hint;
	if (check_name(key, err) < 0)
		return NULL;
	struct file_writer *w = writer_new();
	w->pushed = offset;
	if (mode == BLOB_RESUME && offset > 0) {
		w->fd = resume_open(store_of(base), key, offset, err);
		w->entry_synced = true;
		if (w->fd < 0) {
			writer_free(w);
			return NULL;
		}
	}
	return &w->base;
}

/* At the latest now there must be a file. */
static int writer_open(struct file_writer *w, struct err *err)
{
	const struct file_store *s = store_of(w->base.store);
	if (w->fd >= 0)
		return 0;
	if (w->base.mode == BLOB_STAGE)
		return stage_open(s, w->base.key, w, err);
	w->fd = resume_open(s, w->base.key, 0, err);
	return w->fd < 0 ? -1 : 0;
}

/* Writing to the disk begins while the rest still arrives, so that the sync finds little to wait
 * for. */
static void push(struct file_writer *w)
{
	uint64_t end = w->base.offset;

	if (!store_of(w->base.store)->durable || end - w->pushed < PUSH_BYTES)
		return;
	fsio_push(w->fd, w->pushed, end - w->pushed);
	w->pushed = end;
}

static int file_append(struct blob_writer *base, const void *data, size_t len, struct err *err)
{
	struct file_writer *w = (struct file_writer *)base;
	if (writer_open(w, err) < 0)
		return -1;
	const char *from = data;
	int rc = 0;
	while (rc == 0 && len > 0) {
		size_t n = len < SLICE ? len : SLICE;
		rc = fsio_pwrite_all(w->fd, from, n, base->offset, err);
		if (rc == 0) {
			base->offset += n;
			from += n;
			len -= n;
		}
	}
	if (rc == 0) {
		push(w);
		return 0;
	}
	/* The file ended at our offset before, so its size tells how much was taken. */
	struct stat st;
	if (fstat(w->fd, &st) == 0 && (uint64_t)st.st_size > base->offset)
		base->offset = (uint64_t)st.st_size;
	return err_prefix(err, "append to %s", base->key);
}

static int file_sync(struct blob_writer *base, struct err *err)
{
	struct file_writer *w = (struct file_writer *)base;
	const struct file_store *s = store_of(base->store);
	if (!s->durable || w->fd < 0)
		return 0;
	if (fsio_sync_data(w->fd, err) < 0)
		return err_prefix(err, "sync %s", base->key);
	if (base->mode == BLOB_RESUME && !w->entry_synced) {
		if (fsio_sync_parent(s->root_fd, base->key, err) < 0)
			return err_prefix(err, "sync the directory of %s", base->key);
		w->entry_synced = true;
	}
	return 0;
}

/* rename(2) that fails with EEXIST rather than replace; file systems without that flag get a link.
 */
static int rename_new(int dir_fd, const char *from, const char *to)
{
	if (renameat2(dir_fd, from, dir_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(dir_fd, from, dir_fd, to, 0) < 0)
		return -1;
	unlinkat(dir_fd, from, 0);
	return 0;
}

/* Turn the complete temporary file into ${key}. */
static int stage_publish(
	const struct file_store *s, struct file_writer *w, const char *key, struct err *err)
{
	const char *name = last_segment(key);
	if (s->durable && fsio_sync_data(w->fd, err) < 0)
		return err_prefix(err, "sync %s", key);
	int fd = w->fd;
	w->fd = -1;
	if (close(fd) < 0 && errno != EINTR)
		return err_errno(err, __func__, "write %s", key);
	crash_point("blob_file.before_rename");
	if (rename_new(w->dir_fd, w->tmp, name) < 0)
		return err_errno(err, __func__, "make %s", key);
	w->tmp[0] = '\0';
	crash_point("blob_file.after_rename");
	if (s->durable && fsio_sync_dir(w->dir_fd, err) < 0) {
		unlinkat(w->dir_fd, name, 0);
		return err_prefix(err, "sync the directory of %s", key);
	}
	return 0;
}

static int file_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err)
{
	(void)meta;
	struct file_writer *w = (struct file_writer *)base;
	int rc = writer_open(w, err);
	if (rc == 0 && base->mode == BLOB_STAGE)
		rc = stage_publish(store_of(base->store), w, base->key, err);
	else if (rc == 0)
		rc = file_sync(base, err);
	writer_free(w);
	return rc;
}

static void file_end(struct blob_writer *base)
{
	writer_free((struct file_writer *)base);
}

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * CLOCK_US_PER_S + st->st_mtim.tv_nsec / 1000;
}

static void fill_stat(struct blob_stat *out, const struct stat *st)
{
	out->size = (uint64_t)st->st_size;
	out->mtime = mtime_of(st);
	snprintf(out->etag, sizeof(out->etag), "%llx.%lx-%llx-%llx", (long long)st->st_mtim.tv_sec,
		st->st_mtim.tv_nsec, (long long)st->st_size, (unsigned long long)st->st_ino);
}

static int stat_fd(int fd, const char *key, struct stat *st, struct err *err)
{
	if (fstat(fd, st) < 0)
		return err_errno(err, __func__, "stat %s", key);
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_NOT_FOUND, __func__, "%s is not a file", key);
	return 0;
}

static int file_stat(
	struct blob_store *base, const char *key, struct blob_stat *out, struct err *err)
{
	struct stat st;
	int fd = open_key(store_of(base), key, O_PATH, err);
	if (fd < 0)
		return -1;
	int rc = stat_fd(fd, key, &st, err);
	if (rc == 0)
		fill_stat(out, &st);
	close(fd);
	return rc;
}

static ssize_t file_read(struct blob_store *base, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	struct stat st;
	int fd = open_key(store_of(base), key, O_RDONLY, err);
	if (fd < 0)
		return -1;
	ssize_t n = stat_fd(fd, key, &st, err);
	if (n == 0) {
		n = fsio_pread_full(fd, data, len, offset, err);
		if (n < 0)
			err_prefix(err, "read %s", key);
	}
	close(fd);
	return n;
}

static int file_del(struct blob_store *base, const char *key, const char *token, struct err *err)
{
	(void)token;
	int rc = 0;
	int dir_fd = open_parent(store_of(base), key, err);
	if (dir_fd < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	/* A directory is no object; the name is as good as missing. */
	if (unlinkat(dir_fd, last_segment(key), 0) < 0 && errno != ENOENT && errno != EISDIR)
		rc = err_errno(err, __func__, "remove %s", key);
	close(dir_fd);
	return rc;
}

struct step { /* progress of one source, told on as progress of all */
	const struct blob_progress *progress;
	uint64_t before;
};

static int step_progress(void *arg, uint64_t done)
{
	const struct step *step = arg;
	return step->progress->fn(step->progress->arg, step->before + done);
}

static int copy_source(struct file_writer *w, uint64_t at, const struct blob_source *src,
	const struct blob_progress *progress, struct err *err)
{
	struct stat st;
	struct step step = {progress, at};
	int fd = open_key(store_of(src->store), src->key, O_RDONLY, err);
	if (fd < 0)
		return -1;
	int rc = stat_fd(fd, src->key, &st, err);
	if (rc == 0 && (uint64_t)st.st_size < src->size)
		rc = err_set(err, ERR_CORRUPT, __func__, "%s: %s has %lld bytes, expected %llu",
			src->store->name, src->key, (long long)st.st_size,
			(unsigned long long)src->size);
	if (rc == 0)
		rc = fsio_copy_range(
			w->fd, at, fd, 0, src->size, progress ? step_progress : NULL, &step, err);
	close(fd);
	return rc;
}

static int file_copy_from(struct blob_store *dst, const char *key, const struct blob_source *src,
	size_t n, const struct blob_meta *meta, const struct blob_progress *progress,
	struct err *err)
{
	(void)meta;
	if (check_name(key, err) < 0)
		return -1;
	const struct file_store *s = store_of(dst);
	struct file_writer *w = writer_new();
	uint64_t at = 0;
	struct stat st;
	int rc = stage_open(s, key, w, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = copy_source(w, at, &src[i], progress, err);
		at += src[i].size;
	}
	if (rc == 0)
		rc = stat_fd(w->fd, key, &st, err);
	/* A clone takes the whole source, which may have grown since it was measured. */
	if (rc == 0 && (uint64_t)st.st_size > at)
		rc = truncate_to(w->fd, at, key, err);
	if (rc == 0 && (uint64_t)st.st_size < at)
		rc = err_set(err, ERR_CORRUPT, __func__, "%s: only %lld of %llu bytes were copied",
			key, (long long)st.st_size, (unsigned long long)at);
	if (rc == 0)
		rc = stage_publish(s, w, key, err);
	writer_free(w);
	return rc;
}

struct listing {
	blob_list_fn *fn;
	void *arg;
};

static int list_one(void *arg, const struct blob_file_entry *e, struct err *err)
{
	(void)err;
	const struct listing *l = arg;
	struct blob_stat out;
	if (is_tmp(e->name) || !blob_key_valid(e->key))
		return 0;
	fill_stat(&out, &e->st);
	return l->fn(l->arg, e->key, &out) < 0 ? 1 : 0;
}

static int file_list(
	struct blob_store *base, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	struct listing l = {fn, arg};
	int fd = open_key(store_of(base), *prefix ? prefix : ".", O_RDONLY, err);
	if (fd < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	return blob_file_walk(fd, prefix, list_one, &l, err);
}

struct sweeping {
	int64_t before; /* microseconds since 1970 */
	uint64_t removed;
};

static int sweep_one(void *arg, const struct blob_file_entry *e, struct err *err)
{
	struct sweeping *s = arg;
	if (!is_tmp(e->name) || mtime_of(&e->st) >= s->before)
		return 0;
	if (unlinkat(e->dir_fd, e->name, 0) == 0)
		s->removed++;
	else if (errno != ENOENT)
		return err_errno(err, __func__, "remove %s", e->key);
	return 0;
}

static int file_sweep(struct blob_store *base, int64_t age_ms, blob_in_use_fn *in_use, void *arg,
	uint64_t *removed_out, struct err *err)
{
	(void)in_use;
	(void)arg;
	struct sweeping s = {.before = clock_now() - age_ms * CLOCK_US_PER_MS};
	int fd = open_key(store_of(base), ".", O_RDONLY | O_DIRECTORY, err);
	if (fd < 0)
		return -1;
	int rc = blob_file_walk(fd, "", sweep_one, &s, err);
	*removed_out = s.removed;
	return rc;
}

static int file_probe(struct blob_store *base, bool writable, struct err *err)
{
	const struct file_store *s = store_of(base);
	struct stat st;
	struct statvfs vfs;
	if (fstat(s->root_fd, &st) < 0 || fstatvfs(s->root_fd, &vfs) < 0)
		return err_errno(err, __func__, "%s", s->root);
	if (st.st_nlink == 0)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s was removed", s->root);
	if (faccessat(s->root_fd, ".", R_OK | X_OK | (writable ? W_OK : 0), AT_EACCESS) < 0)
		return err_errno(err, __func__, "%s", s->root);
	/* File systems without a fixed number of inodes tell of zero files. */
	if (writable && (vfs.f_bavail == 0 || (vfs.f_files > 0 && vfs.f_favail == 0)))
		return err_set(err, ERR_NO_SPACE, __func__, "%s: no space left", s->root);
	return 0;
}

const struct blob_backend blob_file_backend = {
	.type = "file",
	.caps = BLOB_CAP_ADOPT | BLOB_CAP_FAST_COPY,
	.options = file_options,
	.open = file_open,
	.close = file_close,
	.location = file_location,
	.begin = file_begin,
	.append = file_append,
	.sync = file_sync,
	.commit = file_commit,
	.end = file_end,
	.stat = file_stat,
	.read = file_read,
	.del = file_del,
	.copy_from = file_copy_from,
	.list = file_list,
	.sweep = file_sweep,
	.probe = file_probe,
};
