/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_FSIO_H
#define DEX_BASE_FSIO_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Durable file input and output: the only file that creates, renames, syncs. All functions: 0 or -1
 * with ${err}; EINTR and short transfers are handled here.
 */

struct err;

/* Make ${path} and its missing parents (mode 0750 each). With ${durable} each new entry is synced.
 */
int fsio_mkdirs(const char *path, bool durable, struct err *err);
/* As fsio_mkdirs for a relative ${path} below ${dirfd}, symlinks not followed. */
int fsio_mkdirs_at(int dirfd, const char *path, bool durable, struct err *err);
/*
 * Open ${path} relative to ${dirfd} so that the result lies beneath it: ".." and symlinks are not
 * followed (openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS). O_CLOEXEC is added. Returns fd/-1.
 */
int fsio_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct err *err);
/* Open a directory for use as ${dirfd}. Returns fd or -1. */
int fsio_open_dir(const char *path, struct err *err);

/*
 * Open the file ${path}, made with mode 0640 when missing. ${flags}: O_RDWR, O_WRONLY | O_APPEND …;
 * O_CREAT and O_CLOEXEC are added. Returns fd or -1.
 */
int fsio_open_or_make(const char *path, int flags, struct err *err);

int fsio_write_all(int fd, const void *data, size_t len, struct err *err);
int fsio_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, struct err *err);
/* Up to ${len} bytes; fewer only at the end of the file. Returns the count or -1. */
ssize_t fsio_pread_full(int fd, void *data, size_t len, uint64_t offset, struct err *err);
/* Whole file into ${out} (emptied first); beyond out->max is ERR_TOO_LARGE. */
int fsio_read_file(const char *path, struct buf *out, struct err *err);

/* A hint: begin to write these bytes to the disk, without waiting for it. */
void fsio_push(int fd, uint64_t offset, uint64_t len);
int fsio_sync_data(int fd, struct err *err);   /* fdatasync */
int fsio_sync_dir(int dirfd, struct err *err); /* fsync of a directory */
/* fsync the directory that holds ${path} (relative to ${dirfd}, AT_FDCWD allowed). */
int fsio_sync_parent(int dirfd, const char *path, struct err *err);

/*
 * Replace ${path} by ${len} bytes: temporary name in the same directory, rename; with ${durable}
 * also fsync of file and directory. Readers see the old or the new text, never a mixture. Mode
 * 0640.
 */
int fsio_replace(const char *path, const void *data, size_t len, bool durable, struct err *err);
/*
 * As fsio_replace (not durable), without making or freeing an inode where ${reuse} is set: the text
 * is written to ${spare} and that file is exchanged with ${path}, in the same file system. A
 * ${spare} for reuse is what an earlier call has left there; else it must not exist. 1: ${spare} is
 * now what ${path} was; 0: there was no ${path}, and ${spare} is gone. -1: ERR_CONFLICT when
 * ${spare} cannot be reused because somebody has it open or linked, ERR_UNSUPPORTED where files
 * cannot be exchanged; the caller removes ${spare}.
 */
int fsio_swap(const char *spare, const char *path, const void *data, size_t len, bool reuse,
	struct err *err);
/* Append one line (data + '\n') with a single write to ${path}, made (0640) when missing. */
int fsio_append_line(const char *path, const void *data, size_t len, bool durable, struct err *err);
/*
 * Copy ${len} bytes from ${src} at ${src_off} to ${dst} at ${dst_off} the shortest way: FICLONE for
 * whole files, copy_file_range, read/write. ${progress} (may be NULL) is called with bytes done so
 * far about every 64 MiB; a return of -1 from it stops with ERR_INTERRUPTED.
 */
int fsio_copy_range(int dst, uint64_t dst_off, int src, uint64_t src_off, uint64_t len,
	int (*progress)(void *arg, uint64_t done), void *arg, struct err *err);

#endif
