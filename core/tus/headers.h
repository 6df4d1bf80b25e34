/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TUS_HEADERS_H
#define DEX_TUS_HEADERS_H

#include "core/base/json.h"
#include "core/base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values of the tus 1.0.0 request headers (https://tus.io/protocols/resumable-upload). */

struct err;

#define TUS_VERSION "1.0.0"
#define TUS_EXTENSIONS                                                                         \
	"creation,creation-with-upload,creation-defer-length,expiration,checksum,termination," \
	"concatenation"
#define TUS_CONTENT_TYPE "application/offset+octet-stream"
#define TUS_METADATA_MAX 7168 /* bytes of an Upload-Metadata header */
#define TUS_METADATA_KEYS_MAX 64
#define TUS_PARTS_MAX 1000

/* Upload-Offset, Upload-Length: 0 … 2^63-1. */
int headers_number(const char *name, const char *value, int64_t *out, struct err *err);
/* Upload-Defer-Length: "1" and nothing else. */
int headers_defer_length(const char *value, struct err *err);

/*
 * Upload-Metadata into a JSON object of strings in the client's order (caller decrefs). Strict:
 * unique, non-empty ASCII keys without space or comma, canonical Base64, values valid UTF-8 without
 * NUL; the error names the pair. "" and NULL give an empty object.
 */
json_t *headers_metadata(const char *value, struct err *err);

/* Upload-Checksum: "ALG BASE64" of a known algorithm with a sum of its length. */
struct headers_checksum {
	char algorithm[16];
	unsigned char sum[64];
	size_t len;
};
int headers_checksum(const char *value, struct headers_checksum *out, struct err *err);

enum headers_concat_kind { CONCAT_NONE, CONCAT_PARTIAL, CONCAT_FINAL };
struct headers_concat {
	enum headers_concat_kind kind;
	char (*parts)[UUID_SIZE]; /* ids in order; a part may stand twice; freed with
				     headers_concat_free */
	size_t nparts;
};
/*
 * Upload-Concat: "partial" or "final;URL URL …". Each URL, absolute or relative, must end in
 * ${tus_path} + id; another path or an id outside the grammar is ERR_NOT_FOUND.
 */
int headers_concat(
	const char *value, const char *tus_path, struct headers_concat *out, struct err *err);
void headers_concat_free(struct headers_concat *c);

#endif
