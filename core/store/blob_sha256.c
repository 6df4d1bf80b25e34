/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"

#include <inttypes.h>
#include <stdlib.h>

#define PIECE ((size_t)4 << 20)

static int hash(const struct blob_source *src, const struct blob_progress *progress,
	struct digest *sum, unsigned char *piece, struct err *err)
{
	for (uint64_t at = 0; at < src->size;) {
		size_t want = src->size - at < PIECE ? (size_t)(src->size - at) : PIECE;
		ssize_t n = blob_read(src->store, src->key, at, piece, want, err);
		if (n < 0)
			return -1;
		if (n == 0)
			return err_set(
				err, ERR_CORRUPT, __func__, "ends after %" PRIu64 " bytes", at);
		digest_update(sum, piece, (size_t)n);
		at += (uint64_t)n;
		if (progress && progress->fn(progress->arg, at) < 0)
			return err_set(err, ERR_INTERRUPTED, __func__, "reading was stopped");
	}
	return 0;
}

int blob_sha256(const struct blob_source *src, const struct blob_progress *progress,
	char hex[BLOB_SHA256_SIZE], struct err *err)
{
	unsigned char out[DIGEST_MAX];
	struct digest *sum = digest_new("sha256");
	unsigned char *piece = mem_alloc(PIECE);
	int rc = hash(src, progress, sum, piece, err);

	hex[0] = '\0';
	if (rc == 0)
		str_hex(hex, out, digest_final(sum, out));
	free(piece);
	digest_free(sum);
	return rc;
}
