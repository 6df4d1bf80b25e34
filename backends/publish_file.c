/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports and events as files: FOLDER/{upload_id}_{name}, one JSON object a line, or only the
 * newest one where the message says "replace".
 */
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/store/publish_impl.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_MAX ((size_t)1 << 20)

struct file_publisher {
	struct publisher base;
	char *folder;
};

static struct publisher *file_open(const char *where, struct err *err)
{
	if (fsio_mkdirs(where, true, err) < 0)
		return NULL;
	struct file_publisher *p = mem_zalloc(sizeof(*p));
	p->folder = mem_strdup(where);
	return &p->base;
}

static void file_close(struct publisher *base)
{
	struct file_publisher *p = (struct file_publisher *)base;
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

static int replace(const char *path, const struct publish_message *m, bool durable, struct err *err)
{
	struct buf line;
	buf_init(&line, m->len + 1);
	buf_add(&line, m->data, m->len);
	buf_add_char(&line, '\n');
	int rc = fsio_replace(path, line.data, line.len, durable, err);
	buf_free(&line);
	return rc;
}

static int write_message(
	const char *path, const struct publish_message *m, bool repeat, struct err *err)
{
	if (m->replace)
		return replace(path, m, repeat, err);
	if (repeat)
		return append_again(path, m, err);
	return fsio_append_line(path, m->data, m->len, false, err);
}

static int file_send(
	struct publisher *base, const struct publish_message *m, bool repeat, struct err *err)
{
	const struct file_publisher *p = (const struct file_publisher *)base;
	struct buf path;
	int rc = -1;
	buf_init(&path, PATH_MAX);
	if (buf_printf(&path, "%s/%s_%s", p->folder, m->upload_id, m->name) < 0) {
		err_set(err, ERR_INVALID, __func__, "the name of a file in %s is too long",
			p->folder);
		goto out;
	}
	rc = write_message(path.data, m, repeat, err);
	/* People clear such folders away while we run. */
	if (rc < 0 && err->code == ERR_NOT_FOUND && fsio_mkdirs(p->folder, repeat, err) == 0)
		rc = write_message(path.data, m, repeat, err);
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
