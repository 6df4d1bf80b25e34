/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AZURE_SHARED_KEY_H
#define DEX_NET_AZURE_SHARED_KEY_H

#include "core/net/http.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What the account key of Azure Storage signs, as pure functions: requests
 * (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key, service versions
 * from 2016-05-31 on) and URLs to read one blob
 * (https://learn.microsoft.com/rest/api/storageservices/create-service-sas, from 2020-12-06 on).
 */

struct err;

#define AZURE_SHARED_KEY_MAX 256 /* bytes of a key; the service makes them of 64 */

struct azure_shared_key {
	const char *account;
	const unsigned char *key;
	size_t key_len;
};

/*
 * Append the string to sign of ${r}: method, ${url} as it is sent, every field in ${headers}, and
 * body_len as the Content-Length. The path of an emulator's URL begins with the account, which then
 * stands there twice. ERR_INVALID: malformed escapes in the query, too many parameters.
 */
int azure_shared_key_string(
	const struct net_request *r, const char *account, struct buf *out, struct err *err);
/* Set Authorization, after all other fields. */
int azure_shared_key_sign(const struct azure_shared_key *k, struct net_request *r, struct err *err);

/*
 * Append the query (without '?') that lets the blob of ${url} be read until ${expires_at} (wall
 * clock, microseconds). ${version}: of the service. -1: malformed URL, or ${out} is full.
 */
int azure_shared_key_read_sas(const struct azure_shared_key *k, const char *url,
	const char *version, int64_t expires_at, struct buf *out);

#endif
