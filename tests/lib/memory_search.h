/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_MEMORY_SEARCH_H
#define DEX_TEST_MEMORY_SEARCH_H

#include <stddef.h>

/*
 * Looks for a text in the memory of this process: heap, freed blocks that are still its own, stacks
 * of all threads, variables of the program and its libraries. What is looked for must stand in
 * memory_search_room alone, which is passed over, as is memory shared with others.
 */

#define MEMORY_SEARCH_ROOM ((size_t)4096)

/* A page for what is looked for. */
char *memory_search_room(void);
/* How often ${text} of ${len} bytes stands anywhere else; ${where} tells the last place. */
size_t memory_search(const char *text, size_t len, char where[160]);

#endif
