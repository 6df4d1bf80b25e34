/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_OIDC_CLIENT_H
#define DEX_AUTH_OIDC_CLIENT_H

#include "core/base/buf.h"

#include <stdint.h>

/*
 * Login of a person at the issuer: authorization code flow of OpenID Connect Core 1.0 section 3.1
 * with PKCE (RFC 7636, S256), as RFC 9700 wants it. The browser goes to the issuer and comes back
 * with a code, which is redeemed for tokens. Nothing is kept here; who begins a login keeps its
 * struct oidc_login where only the same browser can give it back. Safe from any thread.
 */

struct err;
struct oidc_client;
struct state;

struct oidc_client_options {       /* NULL or "": not given. Names in brackets: settings */
	const char *issuer;        /* OAUTH_ISSUER_URL */
	const char *client_id;     /* OAUTH_CLIENT_ID */
	const char *client_secret; /* OAUTH_CLIENT_SECRET; a public client has none */
	const char *scopes;        /* asked for beside openid, separated by spaces */
	const char *resource;      /* OAUTH_LOGIN_RESOURCE: RFC 8707 */
	const char *ca_file;       /* DEX_CA_FILE */
	const char *proxy;         /* DEX_HTTP_PROXY */
};
/* Strings are copied, ${state} is borrowed. Nothing is asked of anybody yet. */
struct oidc_client *oidc_client_new(const struct oidc_client_options *o, struct state *state);
void oidc_client_free(struct oidc_client *c); /* NULL is fine */

#define OIDC_RANDOM_SIZE 44 /* 256 bits in base64url + NUL */

struct oidc_login {
	char state[OIDC_RANDOM_SIZE];    /* names the login in the URLs to and fro */
	char nonce[OIDC_RANDOM_SIZE];    /* comes back in the ID token */
	char verifier[OIDC_RANDOM_SIZE]; /* secret: proves that who redeems the code asked for it */
};
void oidc_login_make(struct oidc_login *out);
/* 256 random bits, as in the fields above. */
void oidc_random(char out[OIDC_RANDOM_SIZE]);
/* code_challenge of RFC 7636 section 4.2, method S256. */
void oidc_challenge(const char *verifier, char out[OIDC_RANDOM_SIZE]);

/*
 * Append the URL that the browser is sent to; it comes back to ${redirect_uri}. ERR_UNAVAILABLE:
 * the issuer does not answer; ERR_UNSUPPORTED: it has no such end points.
 */
int oidc_client_authorize(struct oidc_client *c, const struct oidc_login *l,
	const char *redirect_uri, struct buf *out, struct err *err);

struct oidc_tokens { /* strings are malloc'ed and secret but for subject and name */
	char *access_token;
	char *refresh_token; /* NULL: none */
	char *id_token;      /* as it came; it was checked */
	char *subject;       /* of the ID token */
	char *name;          /* by which a person knows himself; never empty */
	int64_t expires_at;  /* of the access token, wall clock; 0: the issuer did not say */
};
void oidc_tokens_free(struct oidc_tokens *t); /* wipes; leaves it empty */

/* What the browser brought back. NULL: the parameter is not there. */
struct oidc_callback {
	const char *code;
	const char *iss; /* RFC 9207 */
};
/*
 * Redeem the code of login ${l}. ERR_INVALID: the issuer refuses it, or what it gave fails a check:
 * nobody is logged in. ERR_UNAVAILABLE: it cannot be told now. Five seconds at most.
 */
int oidc_client_redeem(struct oidc_client *c, const struct oidc_login *l,
	const struct oidc_callback *back, const char *redirect_uri, struct oidc_tokens *out,
	struct err *err);
/*
 * Another access token for the refresh token of ${t}, whose strings are replaced by what came.
 * ERR_INVALID: the issuer gives none any more. ERR_UNAVAILABLE: try again later. The access token
 * is as before then.
 */
int oidc_client_refresh(struct oidc_client *c, struct oidc_tokens *t, struct err *err);

/* Tell the issuer that the tokens are no longer used, where it wants to know (RFC 7009). */
int oidc_client_revoke(struct oidc_client *c, const struct oidc_tokens *t, struct err *err);
/*
 * Append the URL at which the browser ends its session at the issuer (OpenID Connect RP-Initiated
 * Logout 1.0) and comes back to ${back}. ${id_token} (may be NULL) tells whose; one that is too
 * long for the header buffers of usual web servers is left out. ERR_UNSUPPORTED: the issuer has
 * none.
 */
int oidc_client_end_session(struct oidc_client *c, const char *id_token, const char *back,
	struct buf *out, struct err *err);

#endif
