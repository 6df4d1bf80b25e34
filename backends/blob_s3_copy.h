/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_COPY_H
#define DEX_BACKENDS_BLOB_S3_COPY_H

#include "core/store/blob_impl.h"

/*
 * Copies inside one S3 service, without the bytes passing through us: slot copy_from of struct
 * blob_backend. BLOB_COPY_GENERIC where the service cannot: sources elsewhere, too small to be
 * parts, longer than what is wanted of them, not readable with the target's keys.
 */
int blob_s3_copy_from(struct blob_store *dst, const char *key, const struct blob_source *src,
	size_t n, const struct blob_meta *meta, const struct blob_progress *progress,
	struct err *err);

#endif
