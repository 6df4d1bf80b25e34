/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_LIST_H
#define DEX_BACKENDS_BLOB_S3_LIST_H

#include "backends/blob_s3_request.h"

/*
 * The listings of an S3 service, page after page:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html,
 * API_ListMultipartUploads.html, API_ListParts.html.
 */

struct blob_s3_list_item {
	const char *key;    /* objects and uploads: below the store's folder */
	const char *upload; /* uploads: its id */
	uint32_t number;    /* parts */
	uint64_t size;      /* objects and parts */
	int64_t time;       /* last modified or initiated, microseconds; 0: not told */
	char etag[80];      /* objects and parts, without quotation marks */
};

/* 0: go on, 1: stop here (the listing then returns 0), -1 + err: stop and fail. */
typedef int blob_s3_list_fn(void *arg, const struct blob_s3_list_item *item, struct err *err);

/* Objects whose key below the folder starts with the bytes of ${prefix}. */
int blob_s3_list_objects(struct blob_s3_store *s, const char *prefix, blob_s3_list_fn *fn,
	void *arg, struct err *err);
/* Multipart uploads that were begun and not completed, of keys that start with ${prefix}. */
int blob_s3_list_uploads(struct blob_s3_store *s, const char *prefix, blob_s3_list_fn *fn,
	void *arg, struct err *err);
/* Parts of one multipart upload in the order of their numbers. ERR_GONE: there is none. */
int blob_s3_list_parts(struct blob_s3_store *s, const char *key, const char *upload,
	blob_s3_list_fn *fn, void *arg, struct err *err);

#endif
