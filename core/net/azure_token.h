/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AZURE_TOKEN_H
#define DEX_NET_AZURE_TOKEN_H

#include <stdbool.h>

/*
 * Access tokens of a service principal: OAuth 2.0 client credentials at the tenant's token end
 * point (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
 * Kept until five minutes before they end. Safe from any thread.
 */

struct err;
struct net_http;
struct renewal_times;
struct azure_token;

/*
 * ${authority}: "https://login.microsoftonline.com" where NULL or ""; ${http} is borrowed, strings
 * are copied; ${times} as for renewal_new. NULL + ERR_INVALID: the authority is no URL, or one
 * without TLS on another machine: the secret would travel in the clear.
 */
struct azure_token *azure_token_new(const char *authority, const char *tenant_id,
	const char *client_id, const char *client_secret, struct net_http *http,
	const struct renewal_times *times, struct err *err);
void azure_token_free(struct azure_token *t); /* NULL is fine */

/* "Bearer TOKEN", malloc'ed, for mem_free_secret. NULL + ${err}, which names tenant and client. */
char *azure_token_get(struct azure_token *t, struct err *err);
/* ${bearer}, which azure_token_get gave, was refused. true: the next one is another. */
bool azure_token_refused(struct azure_token *t, const char *bearer);

#endif
