/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_AZURE_META_H
#define DEX_BACKENDS_BLOB_AZURE_META_H

#include "core/base/buf.h"
#include "core/net/headers.h"
#include "core/store/blob.h"

/*
 * User metadata as fields x-ms-meta-NAME
 * (https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata).
 *
 * A NAME must be a C# identifier: ASCII letters, digits and '_', no digit first. Any other byte is
 * written as "_xHH_" (upper-case hex), and so is a '_' in front of an 'x'; "sender-id" becomes
 * "sender_x2D_id". A value is printable ASCII; other bytes, '%', spaces at either end and
 * spaces that follow a space are percent-encoded.
 */

/* Append the name for ${key}. -1: it is empty or does not fit. */
int blob_azure_meta_name(struct buf *out, const char *key);
/* Append the value for ${value}. -1: it does not fit. */
int blob_azure_meta_value(struct buf *out, const char *value);
/*
 * Add what fits into the service's 8 KiB to ${h}, in the order of ${meta} (may be NULL). Left out
 * are also pairs with an empty value, which the service does not keep, and names that differ from
 * an earlier one only in case, which it takes for the same.
 */
void blob_azure_meta_headers(struct net_headers *h, const struct blob_meta *meta);

#endif
