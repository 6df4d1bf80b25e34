/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_TAIL_H
#define DEX_BACKENDS_BLOB_S3_TAIL_H

#include "backends/blob_s3_request.h"
#include "backends/blob_s3_token.h"

/*
 * Tails of objects that are not complete: "KEY.tail-" and 32 hex digits, see blob_s3_token.h.
 */

/* Store ${data} under a new name, which is written to ${name}. */
int blob_s3_tail_put(struct blob_s3_store *s, const char *key, const void *data, size_t len,
	char name[BLOB_S3_TOKEN_NAME], struct err *err);
/* As blob_read. */
ssize_t blob_s3_tail_read(struct blob_s3_store *s, const char *key, const char *name,
	uint64_t offset, void *data, size_t len, struct err *err);
/* Remove one, as far as possible; "" is none. */
void blob_s3_tail_del(struct blob_s3_store *s, const char *key, const char *name);
/* Remove every tail of ${key}. ERR_DENIED: they may not be listed. */
int blob_s3_tail_del_all(struct blob_s3_store *s, const char *key, struct err *err);
/* ${key} is the name of a tail. */
bool blob_s3_tail_is(const char *key);

#endif
