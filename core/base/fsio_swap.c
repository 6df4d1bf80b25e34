/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0640

/*
 * Whether the file behind ${fd} may be written without anybody noticing. It may once have been
 * published: who opened it then reads on, a hard link keeps it as it was, and what people changed
 * about it does not fit its next name. The kernel grants this lease only while nobody else has the
 * file open.
 */
static bool is_ours_alone(int fd, off_t *size_out)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
		(st.st_mode & 07777) != FILE_MODE || st.st_uid != geteuid())
		return false;
	*size_out = st.st_size;
	/* By default the signal to the holder of a lease would end the process. */
	return fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
}

/* Without O_TRUNC and mostly without ftruncate: blocks that stay need not be found again. */
static int fill(const char *spare, const void *data, size_t len, bool reuse, struct err *err)
{
	off_t old = 0;
	int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd;
	do {
		fd = open(spare, reuse ? flags : flags | O_EXCL, FILE_MODE);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return err_errno(err, __func__, "cannot write %s", spare);
	int rc = -1;
	if (reuse && !is_ours_alone(fd, &old))
		err_set(err, ERR_CONFLICT, __func__, "%s is in use", spare);
	else
		rc = fsio_pwrite_all(fd, data, len, 0, err);
	if (rc == 0 && old > (off_t)len && ftruncate(fd, (off_t)len) != 0)
		rc = err_errno(err, __func__, "cannot shorten %s", spare);
	close(fd);
	return rc;
}

int fsio_swap(const char *spare, const char *path, const void *data, size_t len, bool reuse,
	struct err *err)
{
	if (fill(spare, data, len, reuse, err) != 0)
		return -1;
	if (renameat2(AT_FDCWD, spare, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
		return 1;
	if (errno == EINVAL || errno == ENOSYS)
		return err_set(err, ERR_UNSUPPORTED, __func__, "files cannot be exchanged here");
	if (errno == ENOENT && renameat2(AT_FDCWD, spare, AT_FDCWD, path, 0) == 0)
		return 0;
	return err_errno(err, __func__, "cannot replace %s", path);
}
