/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_MEM_H
#define DEX_BASE_MEM_H

#include <stddef.h>

/*
 * Small allocations: they never return NULL. Out of memory ends the process with a log line;
 * clients resume and the supervisor starts the process again. Sizes that a client chooses are
 * bounded by the caller first.
 */

void *mem_alloc(size_t size);  /* uninitialised */
void *mem_zalloc(size_t size); /* zeroed */
void *mem_realloc(void *p, size_t size);
void *mem_array(void *p, size_t n, size_t size); /* realloc of n*size with overflow check */
char *mem_strdup(const char *s);                 /* NULL gives NULL */
char *mem_strndup(const char *s, size_t n);
/* Overwrite ${n} bytes in a way the compiler keeps (keys, tokens), before they are freed. */
void mem_wipe(void *p, size_t n);
/* Wipe and free a string; NULL is fine. */
void mem_free_secret(char *s);

/*
 * free(3), realloc(3) that overwrite what is given back first, all of its block: for libraries that
 * secrets pass through, which do not wipe. Blocks are those of malloc(3).
 */
void mem_wiping_free(void *p);
void *mem_wiping_realloc(void *p, size_t size);

#endif
