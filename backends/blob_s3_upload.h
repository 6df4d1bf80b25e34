/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_UPLOAD_H
#define DEX_BACKENDS_BLOB_S3_UPLOAD_H

#include "backends/blob_s3_request.h"

/* The writer of the S3 store: slots of struct blob_backend. */

struct blob_writer *blob_s3_upload_begin(struct blob_store *base, const char *key,
	enum blob_mode mode, uint64_t offset, const char *token, uint64_t size_hint,
	struct err *err);
void blob_s3_upload_describe(struct blob_writer *base, const struct blob_meta *meta);
int blob_s3_upload_append(struct blob_writer *base, const void *data, size_t len, struct err *err);
int blob_s3_upload_sync(struct blob_writer *base, struct err *err);
const char *blob_s3_upload_token(const struct blob_writer *base);
int blob_s3_upload_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err);
void blob_s3_upload_end(struct blob_writer *base);

#endif
