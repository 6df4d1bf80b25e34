/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_META_H
#define DEX_BACKENDS_BLOB_S3_META_H

#include "core/net/headers.h"
#include "core/store/blob.h"

/*
 * User metadata of an S3 object
 * (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html): header fields
 * x-amz-meta-NAME.
 *
 * Names: ASCII letters become lower case, as the services make them; a-z 0-9 - _ . stand for
 * themselves, every other byte is '%' and two lower-case hex digits. Values: printable ASCII stands
 * for itself; '%', every other byte, and a space at either end or behind another one are '%' and
 * two upper-case hex digits. Percent-decoding gives both back.
 *
 * Together, names and values may have 2048 bytes. What does not fit any more, is called as another
 * one before it, or has no name, is left out and its key listed in ${meta}->left_out.
 */

#define BLOB_S3_META_MAX 2048

/* Add the fields for ${meta} (may be NULL) to ${h}. */
void blob_s3_meta_headers(const struct blob_meta *meta, struct net_headers *h);
/* List every key of ${meta} as left out: there is no way to carry any of them. */
void blob_s3_meta_leave_out(const struct blob_meta *meta);

#endif
