/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_TOKEN_H
#define DEX_BACKENDS_BLOB_S3_TOKEN_H

#include <stdint.h>

/*
 * Resume token of an object in an S3 store: where its bytes are before it is one object. They are
 * the parts 1 to `parts` of a multipart upload and, what is too little for a part, a tail: an
 * object "KEY.tail-NAME" of its own. Tails are never written twice, so that a writer who has been
 * overtaken cannot replace the bytes of a newer one.
 *
 * Text: "1 UPLOAD PARTS BYTES CHAIN TAIL LENGTH OLD_TAIL", separated by single spaces, "-" for what
 * is not there; or "1 whole BYTES": the object is complete.
 */

#define BLOB_S3_TOKEN_MAX 512
#define BLOB_S3_TOKEN_UPLOAD_MAX 256
#define BLOB_S3_TOKEN_NAME 33 /* 32 hex digits and NUL */
#define BLOB_S3_TOKEN_PARTS_MAX 10000

struct blob_s3_token {
	int whole;
	char upload[BLOB_S3_TOKEN_UPLOAD_MAX + 1]; /* id of the multipart upload; "" none */
	uint32_t parts;
	uint64_t bytes;                 /* in parts; all of them when `whole` */
	char chain[BLOB_S3_TOKEN_NAME]; /* over all parts, see blob_s3_token_chain */
	char tail[BLOB_S3_TOKEN_NAME];  /* "" none */
	uint64_t tail_len;
	char old_tail[BLOB_S3_TOKEN_NAME]; /* to be removed once this token is known to be kept */
};

/* No parts, no tail. */
void blob_s3_token_init(struct blob_s3_token *t);
/* 0, or -1: no such token. Every field is checked, and that they fit together. */
int blob_s3_token_parse(const char *text, struct blob_s3_token *out);
void blob_s3_token_write(const struct blob_s3_token *t, char out[BLOB_S3_TOKEN_MAX]);
/*
 * Move ${chain} on by one part: the first 16 bytes, in hex, of the SHA-256 of the chain before (32
 * zeros at the start) and " NUMBER SIZE ETAG".
 */
void blob_s3_token_chain(
	char chain[BLOB_S3_TOKEN_NAME], uint32_t number, uint64_t size, const char *etag);
/* An upload id that a token can hold: printable, without spaces, not too long. 0 or -1. */
int blob_s3_token_check_upload(const char *id);

#endif
