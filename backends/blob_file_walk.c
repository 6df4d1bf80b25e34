/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_file_walk.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/str.h"
#include "core/store/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct walk {
	blob_file_walk_fn *fn;
	void *arg;
	size_t len;
	char path[BLOB_KEY_MAX + 64]; /* key of where it stands; temporary names may be longer */
};

static int walk_dir(struct walk *w, int fd, struct err *err);

static int enter(struct walk *w, int dir_fd, const char *name, struct err *err)
{
	int fd = fsio_open_beneath(dir_fd, name, O_RDONLY | O_DIRECTORY, 0, err);
	if (fd >= 0)
		return walk_dir(w, fd, err);
	/* What we may not enter (lost+found) is not ours; what has gone needs no visit. */
	return err->code == ERR_NOT_FOUND || err->code == ERR_DENIED ? 0 : -1;
}

static int walk_entry(struct walk *w, int dir_fd, const char *name, struct err *err)
{
	struct blob_file_entry e = {.dir_fd = dir_fd, .name = name, .key = w->path};
	if (fstatat(dir_fd, name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : err_errno(err, __func__, "stat %s in %s", name, w->path);
	size_t len = w->len;
	size_t need = strlen(name) + (len > 0);
	if (len + need >= sizeof(w->path))
		return 0;
	snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len > 0 ? "/" : "", name);
	w->len += need;
	int rc = 0;
	if (S_ISDIR(e.st.st_mode))
		rc = enter(w, dir_fd, name, err);
	else if (S_ISREG(e.st.st_mode))
		rc = w->fn(w->arg, &e, err);
	w->len = len;
	w->path[len] = '\0';
	return rc;
}

/* Takes ${fd}. */
static int walk_dir(struct walk *w, int fd, struct err *err)
{
	DIR *d = fdopendir(fd);
	if (!d) {
		err_errno(err, __func__, "read directory %s", w->path);
		close(fd);
		return -1;
	}
	int rc = 0;
	while (rc == 0) {
		errno = 0;
		struct dirent *e = readdir(d);
		if (!e && errno != 0)
			rc = err_errno(err, __func__, "read directory %s", w->path);
		if (!e)
			break;
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = walk_entry(w, dirfd(d), e->d_name, err);
	}
	closedir(d);
	return rc;
}

int blob_file_walk(int fd, const char *prefix, blob_file_walk_fn *fn, void *arg, struct err *err)
{
	struct walk w = {.fn = fn, .arg = arg};
	struct blob_file_entry e = {.dir_fd = -1, .name = prefix, .key = prefix};
	const char *slash = strrchr(prefix, '/');
	if (slash)
		e.name = slash + 1;
	if (fstat(fd, &e.st) < 0) {
		err_errno(err, __func__, "stat %s", prefix);
		close(fd);
		return -1;
	}
	int rc = 0;
	if (S_ISDIR(e.st.st_mode)) {
		str_copy(w.path, sizeof(w.path), prefix);
		w.len = strlen(w.path);
		rc = walk_dir(&w, fd, err);
	} else {
		if (S_ISREG(e.st.st_mode))
			rc = fn(arg, &e, err);
		close(fd);
	}
	return rc < 0 ? -1 : 0;
}
