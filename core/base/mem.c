/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/mem.h"

#include "core/base/log.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t size)
{
	LOG(LOG_LEVEL_ERROR, "out of memory",
		log_int("bytes", size > INT64_MAX ? INT64_MAX : (int64_t)size));
	abort();
}

/* malloc(0) may answer NULL, which is no failure: always ask for something. */
static size_t at_least_one(size_t size)
{
	return size ? size : 1;
}

void *mem_alloc(size_t size)
{
	void *p = malloc(at_least_one(size));
	if (!p)
		out_of_memory(size);
	return p;
}

void *mem_zalloc(size_t size)
{
	void *p = calloc(1, at_least_one(size));
	if (!p)
		out_of_memory(size);
	return p;
}

void *mem_realloc(void *p, size_t size)
{
	void *q = realloc(p, at_least_one(size));
	if (!q)
		out_of_memory(size);
	return q;
}

void *mem_array(void *p, size_t n, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory(SIZE_MAX);
	return mem_realloc(p, total);
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
	n = strnlen(s, n);
	char *copy = mem_alloc(n + 1);
	memcpy(copy, s, n);
	copy[n] = '\0';
	return copy;
}

void mem_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

void mem_free_secret(char *s)
{
	if (!s)
		return;
	mem_wipe(s, strlen(s));
	free(s);
}

void mem_wiping_free(void *p)
{
	if (p)
		mem_wipe(p, malloc_usable_size(p));
	free(p);
}

void *mem_wiping_realloc(void *p, size_t size)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	void *q = mem_alloc(size);
	if (p)
		memcpy(q, p, old < size ? old : size);
	mem_wiping_free(p);
	return q;
}
