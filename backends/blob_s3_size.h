/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_SIZE_H
#define DEX_BACKENDS_BLOB_S3_SIZE_H

#include <stddef.h>
#include <stdint.h>

/*
 * How large parts are, so that the 10,000 parts of a multipart upload are enough: of 5 MiB at
 * least, 5 GiB at most, an object of 5 TiB at most
 * (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html).
 */

#define BLOB_S3_SIZE_MAX (UINT64_C(5) << 40)

/*
 * Size of the parts after the first ${sent}, which have ${sent_bytes}, of an object of ${expected}
 * bytes (0: unknown): ${configured}, or more where that would not do. ${until_out}: the number of
 * the last part for which this holds.
 */
size_t blob_s3_size_of_part(uint64_t configured, uint32_t sent, uint64_t sent_bytes,
	uint64_t expected, uint32_t *until_out);
/* The least that a sync sends as the next part; less is stored as a tail. */
uint64_t blob_s3_size_of_synced(uint32_t sent, uint64_t sent_bytes, uint64_t expected);
/* Parts on their way at once: ${configured}, less where they would take much memory. */
size_t blob_s3_size_in_flight(size_t part_size, size_t configured);

#endif
