/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_BLOB_MEMORY_H
#define DEX_TEST_BLOB_MEMORY_H

/*
 * Blob stores that live in the memory of the test: each blob_open makes an empty one of its own,
 * usable by many threads. They take no options, and are read as what is remote is
 * (BLOB_CAP_REMOTE).
 */
struct blob_backend;

extern const struct blob_backend blob_memory_backend;
/*
 * BLOB_CAP_STORED_BY_SYNC, as strictly as blob.h allows: what a BLOB_RESUME writer takes stays in
 * the writer until it is synced or committed, can only be resumed with the token of a sync
 * ("synced:N", N bytes), and is no object before it was committed.
 */
extern const struct blob_backend blob_memory_by_sync_backend;

#endif
