/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *scratch_path(const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	char *path = malloc(size);
	if (!path)
		abort();
	snprintf(path, size, "%s/%s", dir, name);
	return path;
}

char *scratch_make(void)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = scratch_path(tmp && *tmp ? tmp : "/tmp", "dex-test-XXXXXX");
	if (!mkdtemp(dir)) {
		perror(dir);
		abort();
	}
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void scratch_remove(char *dir)
{
	if (!dir)
		return;
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		perror(dir);
	free(dir);
}
