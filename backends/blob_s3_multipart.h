/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_MULTIPART_H
#define DEX_BACKENDS_BLOB_S3_MULTIPART_H

#include "backends/blob_s3_request.h"
#include "backends/blob_s3_token.h"

/*
 * Multipart uploads
 * (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html): 1 to 10,000 parts, all
 * but the last of 5 MiB to 5 GiB.
 */

#define BLOB_S3_PART_MIN (UINT64_C(5) << 20)
#define BLOB_S3_PART_MAX (UINT64_C(5) << 30)
#define BLOB_S3_ETAG 96 /* of a part, with NUL */

/* ETags of the parts 1, 2 … */
struct blob_s3_etags {
	char **items;
	size_t n, cap;
};

void blob_s3_multipart_add_etag(struct blob_s3_etags *e, const char *etag);
void blob_s3_multipart_free_etags(struct blob_s3_etags *e);

/* ${meta}: fields of the object that it becomes, or NULL. */
int blob_s3_multipart_create(struct blob_s3_store *s, const char *key,
	const struct net_headers *meta, char upload[BLOB_S3_TOKEN_UPLOAD_MAX + 1], struct err *err);
/* ERR_GONE: there is no such upload. */
int blob_s3_multipart_put(struct blob_s3_store *s, const char *key, const char *upload,
	uint32_t number, const void *data, size_t len, char etag[BLOB_S3_ETAG], struct err *err);

struct blob_s3_range { /* bytes of another object */
	const struct blob_s3_store *store;
	const char *key;
	uint64_t first;
	uint64_t len;
};
int blob_s3_multipart_put_copy(struct blob_s3_store *s, const char *key, const char *upload,
	uint32_t number, const struct blob_s3_range *from, char etag[BLOB_S3_ETAG],
	struct err *err);
/* Set the fields of a request that say what to copy from. ERR_INVALID: the name is too long. */
int blob_s3_multipart_source(
	struct blob_s3_call *c, const struct blob_s3_range *from, struct err *err);

/*
 * Make the object of ${size} bytes from all the parts. ${fresh}: ERR_EXISTS when one is there.
 * That it was done before is noticed: the upload is gone, and the object is there.
 */
int blob_s3_multipart_complete(struct blob_s3_store *s, const char *key, const char *upload,
	const struct blob_s3_etags *parts, uint64_t size, bool fresh, struct err *err);
/* A missing one is success. */
int blob_s3_multipart_abort(
	struct blob_s3_store *s, const char *key, const char *upload, struct err *err);
/*
 * Abort every upload of ${key} but ${own} (NULL: without exception), as far as that is allowed to
 * us: those that a process left when it died, or whose beginning was answered to nobody.
 */
void blob_s3_multipart_abort_others(struct blob_s3_store *s, const char *key, const char *own);

#endif
