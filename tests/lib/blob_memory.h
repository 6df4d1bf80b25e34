/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_BLOB_MEMORY_H
#define DEX_TEST_BLOB_MEMORY_H

/*
 * A blob store that lives in the memory of the test: each blob_open makes an empty one of its own,
 * usable by many threads. It takes no options.
 */
struct blob_backend;

extern const struct blob_backend blob_memory_backend;

#endif
