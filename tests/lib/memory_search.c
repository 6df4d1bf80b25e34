/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, process_vm_readv */
#endif
#include "tests/lib/memory_search.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#define PIECE ((size_t)1 << 20)
/* Shadow memory of a sanitizer is larger than that, and no block of ours is. */
#define MAPPING_MAX ((uintptr_t)1 << 30)

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

char *memory_search_room(void)
{
	static char *room;
	if (!room)
		room = shared(MEMORY_SEARCH_ROOM);
	return room;
}

/* Copied piece by piece: a page that cannot be read ends a piece, not the program. */
static size_t search(
	uintptr_t from, uintptr_t to, char *copy, const char *text, size_t len, uintptr_t *found_at)
{
	size_t found = 0;
	while (from + len <= to) {
		size_t n = to - from < PIECE ? to - from : PIECE;
		struct iovec here = {copy, n}, there = {(void *)from, n};
		ssize_t got = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
		if (got < (ssize_t)len) {
			from += (size_t)sysconf(_SC_PAGESIZE);
			continue;
		}
		const char *at = copy;
		while ((at = memmem(at, (size_t)(copy + got - at), text, len))) {
			*found_at = from + (size_t)(at - copy);
			found++;
			at += len;
		}
		from += (size_t)got - len + 1;
		/* The last bytes were looked at only as part of a longer text. */
		if (n < PIECE && (size_t)got == n)
			break;
	}
	return found;
}

size_t memory_search(const char *text, size_t len, char where[160])
{
	static char *copy;
	char line[512];
	size_t found = 0;
	if (!copy)
		copy = shared(PIECE);
	FILE *maps = fopen("/proc/self/maps", "re");
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps)) {
		uintptr_t from, to, at = 0;
		char rights[5], name[256] = "anonymous";
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255s", &from, &to,
			    rights, name) < 3)
			continue;
		if (strncmp(rights, "rw-p", 4) != 0 || to - from > MAPPING_MAX)
			continue;
		size_t here = search(from, to, copy, text, len, &at);
		if (here > 0)
			(void)snprintf(where, 160, "at %#" PRIxPTR " in %.100s", at, name);
		found += here;
	}
	(void)fclose(maps);
	memset(copy, 0, PIECE);
	return found;
}
