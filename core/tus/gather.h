/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TUS_GATHER_H
#define DEX_TUS_GATHER_H

/*
 * Buffers in which small pieces of a body are gathered before they are written out. They are held
 * only while data flow: a thousand silent senders need none. A few free ones are kept warm.
 */

#define GATHER_SIZE 65536 /* larger ones gain nothing, smaller ones cost system calls */

struct gather_pool;

struct gather_pool *gather_pool_new(void);
void gather_pool_free(struct gather_pool *p);          /* every buffer must be back; NULL is fine */
char *gather_take(struct gather_pool *p);              /* GATHER_SIZE bytes */
void gather_give(struct gather_pool *p, char *buffer); /* NULL is fine */

#endif
