/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/fsio.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define COPY_STEP ((uint64_t)64 << 20)
#define COPY_BUFFER ((size_t)1 << 20)
#define FILE_MODE 0640
#define DIR_MODE 0750

static int open_retry(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;
	do {
		fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	return fd;
}

/* For the ways out of a failure, where errno is still to be reported. */
static void close_quietly(int fd)
{
	int saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
}

/*
 * The next component of *${rest} into ${name}: 1 when there was one, 0 at the end, -1 with errno
 * when it is too long. "." and empty components are skipped.
 */
static int next_component(const char **rest, char name[NAME_MAX + 1])
{
	for (;;) {
		const char *p = *rest + strspn(*rest, "/");
		size_t n = strcspn(p, "/");
		*rest = p + n;
		if (n == 0)
			return 0;
		if (n == 1 && p[0] == '.')
			continue;
		if (n > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, p, n);
		name[n] = '\0';
		return 1;
	}
}

/* A handle that only leads on: reading the directory is not needed to pass it. */
static int pass(int dirfd, const char *name, int flags)
{
	int fd = open_retry(dirfd, name, O_PATH | O_DIRECTORY | flags, 0);
	/* A link that was not followed is "no directory" here; callers want to know which it was.
	 */
	struct stat st;
	if (fd < 0 && errno == ENOTDIR && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
	return fd;
}

/* fsync of the directory ${dirfd}, which may be an O_PATH handle. */
static int sync_passed(int dirfd)
{
	int fd = open_retry(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return -1;
	int rc = fsync(fd);
	close_quietly(fd);
	return rc;
}

/* Enter ${name} below ${dirfd}, made first where it is missing. */
static int enter(int dirfd, const char *name, int flags, bool durable)
{
	int fd = pass(dirfd, name, flags);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	/* Somebody else may have been faster; whose directory it is does not matter. */
	if (mkdirat(dirfd, name, DIR_MODE) != 0 && errno != EEXIST)
		return -1;
	if (durable && sync_passed(dirfd) != 0)
		return -1;
	return pass(dirfd, name, flags);
}

/* Walk along ${path} from ${fd}, which is closed, making what is missing. */
static int make_along(int fd, const char *path, int flags, bool durable)
{
	char name[NAME_MAX + 1];
	const char *rest = path;
	int more = 0;
	while (fd >= 0 && (more = next_component(&rest, name)) > 0) {
		int next = enter(fd, name, flags, durable);
		close_quietly(fd);
		fd = next;
	}
	close_quietly(fd);
	return fd < 0 || more < 0 ? -1 : 0;
}

int fsio_mkdirs(const char *path, bool durable, struct err *err)
{
	if (!*path)
		return err_set(err, ERR_INVALID, __func__, "empty directory name");
	int start = pass(AT_FDCWD, path[0] == '/' ? "/" : ".", 0);
	if (make_along(start, path, 0, durable) != 0)
		return err_errno(err, __func__, "cannot make directory %s", path);
	return 0;
}

/* Refuse what leads upwards or starts anew; the kernel's own check would let "a/.." pass. */
static int check_beneath(const char *path, const char *where, struct err *err)
{
	bool up = path[0] == '/';
	for (const char *p = path; *p && !up;) {
		size_t n = strcspn(p, "/");
		up = n == 2 && p[0] == '.' && p[1] == '.';
		p += n;
		p += strspn(p, "/");
	}
	if (up)
		return err_set(err, ERR_DENIED, where, "path %s leaves its directory", path);
	return 0;
}

static int through_link(const char *path, const char *where, struct err *err)
{
	return err_set(err, ERR_DENIED, where, "path %s leads through a symbolic link", path);
}

int fsio_mkdirs_at(int dirfd, const char *path, bool durable, struct err *err)
{
	if (check_beneath(path, __func__, err) != 0)
		return -1;
	if (make_along(pass(dirfd, ".", 0), path, O_NOFOLLOW, durable) == 0)
		return 0;
	if (errno == ELOOP)
		return through_link(path, __func__, err);
	return err_errno(err, __func__, "cannot make directory %s", path);
}

/* Kernels before 5.6 (and filters that hide the call) lack openat2: the same, one step at a time.
 */
static int walk_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	char name[NAME_MAX + 1];
	char next[NAME_MAX + 1];
	const char *rest = path;
	int more = next_component(&rest, name);
	if (!*path) {
		errno = ENOENT;
		return -1;
	}
	if (more <= 0)
		return more < 0 ? -1 : open_retry(dirfd, ".", flags, mode);
	int fd = pass(dirfd, ".", 0);
	while (fd >= 0 && (more = next_component(&rest, next)) > 0) {
		int deeper = pass(fd, name, O_NOFOLLOW);
		close_quietly(fd);
		fd = deeper;
		memcpy(name, next, sizeof name);
	}
	if (fd < 0 || more < 0) {
		close_quietly(fd);
		return -1;
	}
	int opened = open_retry(fd, name, flags | O_NOFOLLOW, mode);
	close_quietly(fd);
	return opened;
}

static int open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (unsigned int)flags | O_CLOEXEC,
		.mode = (flags & O_CREAT) ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd;
	do {
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return walk_beneath(dirfd, path, flags, mode);
	return (int)fd;
}

int fsio_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *err)
{
	if (check_beneath(path, __func__, err) != 0)
		return -1;
	int fd = open_beneath(dirfd, path, flags, mode);
	if (fd >= 0)
		return fd;
	if (errno == ELOOP || errno == EXDEV)
		return through_link(path, __func__, err);
	return err_errno(err, __func__, "cannot open %s", path);
}

int fsio_open_dir(const char *path, struct err *err)
{
	int fd = open_retry(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_errno(err, __func__, "cannot open directory %s", path);
	return fd;
}

int fsio_open_or_make(const char *path, int flags, struct err *err)
{
	int fd = open_retry(AT_FDCWD, path, flags | O_CREAT, FILE_MODE);
	if (fd < 0)
		return err_errno(err, __func__, "cannot open %s", path);
	return fd;
}

int fsio_write_all(int fd, const void *data, size_t len, struct err *err)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, __func__, "write failed");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fsio_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct err *err)
{
	const char *p = data;
	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, __func__, "write failed");
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

ssize_t fsio_pread_full(int fd, void *data, size_t len, uint64_t offset, struct err *err)
{
	char *p = data;
	size_t done = 0;
	while (done < len) {
		ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, __func__, "read failed");
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int fsio_read_file(const char *path, struct buf *out, struct err *err)
{
	buf_reset(out);
	int fd = open_retry(AT_FDCWD, path, O_RDONLY, 0);
	if (fd < 0)
		return err_errno(err, __func__, "cannot open %s", path);
	int rc = -1;
	char chunk[4096];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, __func__, "cannot read %s", path);
			break;
		}
		if (n == 0) {
			rc = 0;
			break;
		}
		if (buf_add(out, chunk, (size_t)n) != 0) {
			err_set(err, ERR_TOO_LARGE, __func__, "%s is larger than %zu bytes", path,
				out->max);
			break;
		}
	}
	/* Keys and passwords come from files, too. */
	mem_wipe(chunk, sizeof chunk);
	close(fd);
	return rc;
}

void fsio_push(int fd, uint64_t offset, uint64_t len)
{
	/* Where it cannot be done, the sync does all of the work. */
	(void)sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

int fsio_sync_data(int fd, struct err *err)
{
	if (fdatasync(fd) != 0)
		return err_errno(err, __func__, "fdatasync failed");
	return 0;
}

int fsio_sync_dir(int dirfd, struct err *err)
{
	if (fsync(dirfd) != 0)
		return err_errno(err, __func__, "fsync of the directory failed");
	return 0;
}

/* The directory part of ${path}, malloc'ed: "." for a bare name, "/" at the root. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return mem_strdup(".");
	return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int fsio_sync_parent(int dirfd, const char *path, struct err *err)
{
	char *parent = parent_of(path);
	int fd = open_retry(dirfd, parent, O_RDONLY | O_DIRECTORY, 0);
	int rc = 0;
	if (fd < 0 || fsync(fd) != 0)
		rc = err_errno(err, __func__, "cannot sync directory %s", parent);
	close_quietly(fd);
	free(parent);
	return rc;
}

int fsio_replace(const char *path, const void *data, size_t len, bool durable, struct err *err)
{
	/* A name of its own length, so that the longest allowed ${path} has room for its twin. */
	char *parent = parent_of(path);
	char id[UUID_SIZE];
	random_uuid(id);
	struct buf temporary;
	buf_init(&temporary, PATH_MAX);
	int fd = -1;
	int rc = -1;
	if (buf_printf(&temporary, "%s/.%s.tmp", parent, id) != 0) {
		err_set(err, ERR_INVALID, __func__, "file name is too long");
		goto out;
	}
	fd = open_retry(AT_FDCWD, buf_str(&temporary), O_WRONLY | O_CREAT | O_EXCL, FILE_MODE);
	if (fd < 0) {
		err_errno(err, __func__, "cannot write beside %s", path);
		goto out;
	}
	if (fsio_write_all(fd, data, len, err) != 0) {
		err_prefix(err, "%s", path);
		goto out_unlink;
	}
	if (durable && fsync(fd) != 0) {
		err_errno(err, __func__, "cannot sync %s", path);
		goto out_unlink;
	}
	if (rename(buf_str(&temporary), path) != 0) {
		err_errno(err, __func__, "cannot replace %s", path);
		goto out_unlink;
	}
	rc = durable ? fsio_sync_parent(AT_FDCWD, path, err) : 0;
	goto out;
out_unlink:
	unlink(buf_str(&temporary));
out:
	close_quietly(fd);
	buf_free(&temporary);
	free(parent);
	return rc;
}

/* Append to the open file under its lock: a line that did not fit is taken away again. */
static int append_locked(
	int fd, const char *path, const void *data, size_t len, off_t *size_out, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_errno(err, __func__, "cannot look at %s", path);
	*size_out = st.st_size;
	struct iovec parts[] = {
		{.iov_base = (void *)data, .iov_len = len},
		{.iov_base = (void *)"\n", .iov_len = 1},
	};
	ssize_t n;
	do {
		n = writev(fd, parts, 2);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, __func__, "cannot append to %s", path);
	if ((size_t)n == len + 1)
		return 0;
	if (ftruncate(fd, st.st_size) != 0)
		return err_errno(err, __func__, "cannot take half a line back from %s", path);
	/* A file is written short only when the disk is full. */
	return err_set(err, ERR_NO_SPACE, __func__, "no room for another line in %s", path);
}

int fsio_append_line(const char *path, const void *data, size_t len, bool durable, struct err *err)
{
	int fd = fsio_open_or_make(path, O_WRONLY | O_APPEND, err);
	if (fd < 0)
		return -1;
	int rc = -1;
	off_t old_size = 0;
	int locked;
	do {
		locked = flock(fd, LOCK_EX);
	} while (locked != 0 && errno == EINTR);
	if (locked != 0) {
		err_errno(err, __func__, "cannot lock %s", path);
		goto out;
	}
	if (append_locked(fd, path, data, len, &old_size, err) != 0)
		goto out;
	if (durable && fsio_sync_data(fd, err) != 0)
		goto out;
	/* An empty file may have been made a moment ago, and its name is not yet durable. */
	if (durable && old_size == 0 && fsio_sync_parent(AT_FDCWD, path, err) != 0)
		goto out;
	rc = 0;
out:
	close(fd);
	return rc;
}

struct copy {
	int dst, src;
	uint64_t dst_off, src_off;
	uint64_t len, done;
	int (*progress)(void *arg, uint64_t done);
	void *arg;
	struct err *err;
};

static int report(const struct copy *c)
{
	if (c->progress && c->progress(c->arg, c->done) != 0)
		return err_set(c->err, ERR_INTERRUPTED, "fsio_copy_range",
			"copy stopped after %llu bytes", (unsigned long long)c->done);
	return 0;
}

/* Share the blocks instead of copying them, where the file system can. */
static bool clone_whole(struct copy *c)
{
	struct stat st;
	if (c->src_off != 0 || c->dst_off != 0 || fstat(c->src, &st) != 0)
		return false;
	if ((uint64_t)st.st_size != c->len || ioctl(c->dst, FICLONE, c->src) != 0)
		return false;
	c->done = c->len;
	return true;
}

/*
 * Let the kernel copy. 1: finished; 0: it cannot (or says that the source has ended, which some
 * file systems do wrongly): go on by reading and writing; -1: failed.
 */
static int copy_in_kernel(struct copy *c)
{
	while (c->done < c->len) {
		uint64_t left = c->len - c->done;
		off_t from = (off_t)(c->src_off + c->done);
		off_t to = (off_t)(c->dst_off + c->done);
		ssize_t n = copy_file_range(c->src, &from, c->dst, &to,
			(size_t)(left < COPY_STEP ? left : COPY_STEP), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS ||
				     errno == EOPNOTSUPP))
			return 0;
		if (n < 0)
			return err_errno(c->err, "fsio_copy_range", "copy failed");
		c->done += (uint64_t)n;
		if (report(c) != 0)
			return -1;
	}
	return 1;
}

static int copy_by_hand(struct copy *c)
{
	char *chunk = mem_alloc(COPY_BUFFER);
	uint64_t reported = c->done;
	int rc = -1;
	while (c->done < c->len) {
		uint64_t left = c->len - c->done;
		size_t want = left < COPY_BUFFER ? (size_t)left : COPY_BUFFER;
		ssize_t n = fsio_pread_full(c->src, chunk, want, c->src_off + c->done, c->err);
		if (n < 0)
			goto out;
		if (fsio_pwrite_all(c->dst, chunk, (size_t)n, c->dst_off + c->done, c->err) != 0)
			goto out;
		c->done += (uint64_t)n;
		if ((size_t)n < want) {
			err_set(c->err, ERR_CORRUPT, "fsio_copy_range",
				"source ends after %llu of %llu bytes", (unsigned long long)c->done,
				(unsigned long long)c->len);
			goto out;
		}
		if (c->done - reported >= COPY_STEP || c->done == c->len) {
			reported = c->done;
			if (report(c) != 0)
				goto out;
		}
	}
	rc = 0;
out:
	free(chunk);
	return rc;
}

int fsio_copy_range(int dst, uint64_t dst_off, int src, uint64_t src_off, uint64_t len,
	int (*progress)(void *arg, uint64_t done), void *arg, struct err *err)
{
	struct copy c = {
		.dst = dst,
		.src = src,
		.dst_off = dst_off,
		.src_off = src_off,
		.len = len,
		.progress = progress,
		.arg = arg,
		.err = err,
	};
	if (clone_whole(&c))
		return report(&c);
	int rc = copy_in_kernel(&c);
	if (rc == 0)
		return copy_by_hand(&c);
	return rc > 0 ? 0 : -1;
}
