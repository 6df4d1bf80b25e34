/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_FILE_WALK_H
#define DEX_BACKENDS_BLOB_FILE_WALK_H

#include <sys/stat.h>

/*
 * The walk through a file store for listing and sweeping. Symbolic links are not followed; memory
 * and open descriptors are bounded by the depth of the tree, not by the number of files.
 */
struct err;

struct blob_file_entry {  /* a regular file; valid during the call only */
	int dir_fd;       /* its directory, -1 where the walk began at the file itself */
	const char *name; /* in this directory */
	const char *key;
	struct stat st;
};

/* 0 goes on, 1 stops the walk, -1 fails it. */
typedef int blob_file_walk_fn(void *arg, const struct blob_file_entry *e, struct err *err);

/*
 * Visit every file in and below ${fd}, a directory or file that is closed here. ${prefix} is its
 * key,
 * "" for the root. Names that make no key of allowed length are passed over, as are directories
 * that may not be read. 0, also when it was stopped, or -1.
 */
int blob_file_walk(int fd, const char *prefix, blob_file_walk_fn *fn, void *arg, struct err *err);

#endif
