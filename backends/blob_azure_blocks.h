/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_AZURE_BLOCKS_H
#define DEX_BACKENDS_BLOB_AZURE_BLOCKS_H

#include "backends/blob_azure_request.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The blocks of a blob, the list that makes a blob of them, and the token that `state` keeps.
 * https://learn.microsoft.com/rest/api/storageservices/put-block-list
 */

#define BLOB_AZURE_BLOCKS_MAX 50000
#define BLOB_AZURE_BLOCK_MAX (UINT64_C(4000) << 20) /* bytes */
#define BLOB_AZURE_ID_SIZE 65                       /* base64 text of an id and NUL */
#define BLOB_AZURE_ETAG_SIZE 80

struct blob_azure_block {
	char id[BLOB_AZURE_ID_SIZE];
	uint64_t size;
};

struct blob_azure_blocks {
	struct blob_azure_block *items;
	size_t n, cap;
	uint64_t bytes; /* of all of them */
};

void blob_azure_blocks_init(struct blob_azure_blocks *b);
void blob_azure_blocks_free(struct blob_azure_blocks *b);
void blob_azure_blocks_add(struct blob_azure_blocks *b, const char *id, uint64_t size);
void blob_azure_blocks_cut(struct blob_azure_blocks *b, size_t n); /* to ${n} blocks */

/*
 * A new id for the block of that number. Random, so that writers that do not know of each other
 * never send blocks of the same id; all ids of a blob must have the same length, and do.
 */
void blob_azure_block_id(char out[BLOB_AZURE_ID_SIZE], uint32_t number);

/*
 * Read what was committed as ${key} into ${out} (emptied first) and its ETag. 1: found, 0: there is
 * no such blob, -1: error. ${bytes_out}: size of the blob, which one that was not made of blocks
 * has too. ${deadline_ms}: 0 for the store's timeout.
 */
int blob_azure_blocks_get(struct blob_azure_store *s, const char *key, int64_t deadline_ms,
	struct blob_azure_blocks *out, char etag[BLOB_AZURE_ETAG_SIZE], uint64_t *bytes_out,
	struct err *err);

/* Send one block; ${id} names it. */
int blob_azure_block_put(struct blob_azure_store *s, const char *key, const char *id,
	const void *data, size_t len, struct err *err);

/*
 * Make ${key} of these blocks, where it still has ${etag} ("": is not there); receives the new one.
 * An answer that was lost on the way is told from a refusal by looking. ERR_EXISTS: ${etag} is ""
 * and another blob is there; ERR_CONFLICT: ${etag} is no longer that of the blob.
 */
int blob_azure_blocks_commit(struct blob_azure_store *s, const char *key,
	const struct blob_azure_blocks *b, const struct blob_meta *meta,
	char etag[BLOB_AZURE_ETAG_SIZE], struct err *err);

struct blob_azure_token { /* what the last commit made */
	char etag[BLOB_AZURE_ETAG_SIZE];
	uint64_t blocks;
	uint64_t bytes;
	uint64_t last_size;  /* of the last block */
	uint64_t block_size; /* in use for full blocks */
};
#define BLOB_AZURE_TOKEN_SIZE 200
/* "1 ETAG BLOCKS BYTES LAST_SIZE BLOCK_SIZE" */
void blob_azure_token_write(char out[BLOB_AZURE_TOKEN_SIZE], const struct blob_azure_token *t);
/* -1: malformed, or of another version. */
int blob_azure_token_read(const char *text, struct blob_azure_token *out);

#endif
