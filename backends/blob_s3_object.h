/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_OBJECT_H
#define DEX_BACKENDS_BLOB_S3_OBJECT_H

#include "backends/blob_s3_request.h"

/* Whole objects of an S3 service: look, read, write, remove. Keys lie below the store's folder. */

int blob_s3_object_stat(
	struct blob_s3_store *s, const char *key, struct blob_stat *out, struct err *err);
/* As blob_read. */
ssize_t blob_s3_object_read(struct blob_s3_store *s, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err);
/*
 * Send an object at once. ${fresh}: ERR_EXISTS where one is there; otherwise it is replaced.
 * ${meta}: fields from blob_s3_meta_headers, or NULL.
 */
int blob_s3_object_put(struct blob_s3_store *s, const char *key, const void *data, size_t len,
	const struct net_headers *meta, bool fresh, struct err *err);
/* A missing one is success. */
int blob_s3_object_del(struct blob_s3_store *s, const char *key, struct err *err);

/*
 * Run a request that makes ${c}->key, on condition that there is none: with If-None-Match where the
 * service knows it, else after a look. ERR_EXISTS when there is one, unless ${ours} says of it that
 * the request itself has made it, its first answer having been lost.
 */
typedef bool blob_s3_object_ours_fn(void *arg, const struct blob_stat *st);
int blob_s3_object_make(
	struct blob_s3_call *c, blob_s3_object_ours_fn *ours, void *arg, struct err *err);

#endif
