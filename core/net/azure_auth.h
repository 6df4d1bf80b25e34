/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AZURE_AUTH_H
#define DEX_NET_AZURE_AUTH_H

#include "core/net/http.h"

#include <stdint.h>

/*
 * How a request to Azure Blob Storage proves who sends it: SharedKey
 * (https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key), a SAS token in
 * the query, or a bearer token of a service principal (client credentials at the tenant's token
 * end point), cached and renewed. Safe from any thread.
 */

struct err;
struct azure_auth;

#define AZURE_API_VERSION "2021-12-02"

/* NULL or "": not given. */
struct azure_auth_options {
	const char *connection_string; /* azure_connection.h; what is given below goes before it */
	const char *account;
	const char *key;       /* account key in Base64, or a SAS token */
	const char *sas_token; /* with or without its '?' */
	const char *endpoint;  /* https://ACCOUNT.blob.core.windows.net where there is none; a SAS
				* token may stand in its query */
	const char *tenant_id, *client_id, *client_secret;
	const char *authority; /* AZURE_AUTHORITY_HOST; https://login.microsoftonline.com */
};

/*
 * Key before SAS token before service principal. ERR_INVALID names the option: nothing to authorize
 * with, half a service principal, a key that is neither Base64 nor a SAS token, a malformed
 * connection string, a service principal without TLS but on this machine. ${http} is borrowed.
 */
struct azure_auth *azure_auth_new(
	const struct azure_auth_options *o, struct net_http *http, struct err *err);
void azure_auth_free(struct azure_auth *a); /* NULL is fine */

/* URL of the account without a final slash, no SAS token in it. */
const char *azure_auth_endpoint(const struct azure_auth *a);
/*
 * For net_request.sign with ${arg} a struct azure_auth: sets x-ms-date, x-ms-version and
 * Authorization; with a SAS token ${signed_url} instead: the URL with the token's parameters behind
 * its query. May wait for a token end point.
 */
int azure_auth_sign(void *arg, struct net_request *r, int64_t now, struct err *err);
/*
 * For net_request.again: true after a 401 with a bearer token that another one can be had for: it
 * was not fetched in the last seconds.
 */
bool azure_auth_again(void *arg, const struct net_request *r, const struct net_response *a);
/*
 * Append the URL that another service may read the blob of ${url} by, for copy sources: with the
 * SAS token, or with one made from the key that allows to read this blob until ${expires_at} (wall
 * clock, microseconds). A bearer token cannot be put into a URL: ${url} as it is, which does within
 * one account. -1: a malformed URL, or ${out} is full.
 */
int azure_auth_source_url(
	const struct azure_auth *a, const char *url, int64_t expires_at, struct buf *out);
/* Both may read each other's objects by a copy on the server: same account and endpoint. */
bool azure_auth_same_account(const struct azure_auth *a, const struct azure_auth *b);

#endif
