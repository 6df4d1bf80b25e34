/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_AZURE_STORE_H
#define DEX_BACKENDS_BLOB_AZURE_STORE_H

#include "backends/blob_azure_request.h"

/* What the files of the Azure Blob store give to each other; the slots are those of blob_impl.h. */

/* As the slot `read`; with ${etag} only of the blob that has it, else ERR_CONFLICT. */
ssize_t blob_azure_read(struct blob_azure_store *s, const char *key, const char *etag,
	uint64_t offset, void *data, size_t len, struct err *err);

/* blob_azure_list.c */
int blob_azure_list(
	struct blob_store *base, const char *prefix, blob_list_fn *fn, void *arg, struct err *err);

/* blob_azure_upload.c */
struct blob_writer *blob_azure_begin(struct blob_store *base, const char *key, enum blob_mode mode,
	uint64_t offset, const char *token, uint64_t size_hint, struct err *err);
int blob_azure_append(struct blob_writer *base, const void *data, size_t len, struct err *err);
int blob_azure_sync(struct blob_writer *base, struct err *err);
const char *blob_azure_token(const struct blob_writer *base);
int blob_azure_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err);
void blob_azure_end(struct blob_writer *base);

/* blob_azure_copy.c */
int blob_azure_copy_from(struct blob_store *base, const char *key, const struct blob_source *src,
	size_t n, const struct blob_meta *meta, const struct blob_progress *progress,
	struct err *err);

#endif
