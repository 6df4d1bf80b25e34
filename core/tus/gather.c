/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tus/gather.h"

#include "core/base/mem.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#define KEEP_FREE 32

struct gather_pool {
	pthread_mutex_t mutex;
	char *free[KEEP_FREE];
	size_t nfree;
};

struct gather_pool *gather_pool_new(void)
{
	struct gather_pool *p = mem_zalloc(sizeof(*p));

	pthread_mutex_init(&p->mutex, NULL);
	return p;
}

void gather_pool_free(struct gather_pool *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nfree; i++)
		munmap(p->free[i], GATHER_SIZE);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

char *gather_take(struct gather_pool *p)
{
	char *buffer = NULL;

	pthread_mutex_lock(&p->mutex);
	if (p->nfree > 0)
		buffer = p->free[--p->nfree];
	pthread_mutex_unlock(&p->mutex);
	if (buffer)
		return buffer;
	/* Mapped, not malloc'ed: a buffer that is given back for good leaves no hole in the heap.
	 */
	void *mapped =
		mmap(NULL, GATHER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		abort();
	return mapped;
}

void gather_give(struct gather_pool *p, char *buffer)
{
	if (!buffer)
		return;
	pthread_mutex_lock(&p->mutex);
	if (p->nfree < KEEP_FREE) {
		p->free[p->nfree++] = buffer;
		buffer = NULL;
	}
	pthread_mutex_unlock(&p->mutex);
	if (buffer)
		munmap(buffer, GATHER_SIZE);
}
