/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_BLOB_COPY_H
#define DEX_STORE_BLOB_COPY_H

#include "core/store/blob.h"

/*
 * The way of blob_copy_from that every store can go: read and append. A source that costs requests
 * (BLOB_CAP_REMOTE) and is longer than a piece of 8 MiB is read ahead, four pieces at once by
 * threads of this copy; any other piece by piece by the caller's. Memory: the pieces.
 *
 * ${total}: sum of the sizes. Everything else is as in blob_copy_from, which has checked it;
 * ${sha256_hex} is filled in where it is not NULL and the copy succeeds.
 */
int blob_copy_generic(struct blob_store *dst, const char *key, const struct blob_source *src,
	size_t n, uint64_t total, const struct blob_meta *meta,
	const struct blob_progress *progress, char *sha256_hex, struct err *err);

#endif
