/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files named on the command line (its corpus, or one crash to look at)
 * without libFuzzer, so that every build replays the corpora. Directories are read one level deep.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return -1;
	}
	size_t cap = 1 << 22;
	uint8_t *data = malloc(cap);
	size_t n = data ? fread(data, 1, cap, f) : 0;
	fclose(f);
	/* A copy of the exact size, so that a read past the end is seen by the sanitizer. */
	uint8_t *exact = malloc(n ? n : 1);
	if (!data || !exact) {
		free(data);
		free(exact);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		exact[i] = data[i];
	free(data);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

static int replay(const char *path, int *count)
{
	DIR *d = opendir(path);
	if (!d) {
		(*count)++;
		return replay_file(path);
	}
	int rc = 0;
	for (struct dirent *e; rc == 0 && (e = readdir(d));) {
		char child[PATH_MAX];
		if (e->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		(*count)++;
		rc = replay_file(child);
	}
	closedir(d);
	return rc;
}

int main(int argc, char **argv)
{
	int count = 0;
	for (int i = 1; i < argc; i++) {
		if (replay(argv[i], &count) < 0)
			return 1;
	}
	printf("%d inputs replayed\n", count);
	return count > 0 ? 0 : 1;
}
