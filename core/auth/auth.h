/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_AUTH_H
#define DEX_AUTH_AUTH_H

#include "core/auth/jwks.h"

#include <stdbool.h>

/*
 * Bearer tokens (RFC 6750): who sends a request, and may he. A JWT is checked against the keys of
 * the issuer, any other token by introspection; without an issuer every token is. Safe from any
 * thread.
 */

struct auth;
struct err;
struct state;

#define AUTH_TOKEN_MAX 8192 /* bytes */

struct auth_options { /* NULL or "": not given. Names in brackets: the settings they come from */
	const char *issuer;            /* OAUTH_ISSUER_URL */
	const char *audience;          /* OAUTH_AUDIENCE */
	const char *introspection_url; /* OAUTH_INTROSPECTION_URL */
	const char *client_id;         /* OAUTH_INTROSPECTION_CLIENT_ID */
	const char *client_secret;     /* OAUTH_INTROSPECTION_CLIENT_SECRET */
	/* separated by spaces */
	const char *required_scopes;    /* OAUTH_REQUIRED_SCOPES */
	const char *read_scopes;        /* OAUTH_READ_SCOPES; required_scopes */
	const char *route_scopes;       /* OAUTH_ROUTE_SCOPES; required_scopes */
	const char *admin_scope;        /* OAUTH_ADMIN_SCOPE; nobody is an administrator */
	const char *ca_file;            /* DEX_CA_FILE */
	const char *proxy;              /* DEX_HTTP_PROXY */
	const struct jwks_times *times; /* NULL: the usual ones */
};

/* Strings are copied, ${state} is borrowed. Nothing is asked of anybody yet. */
struct auth *auth_new(const struct auth_options *o, struct state *state);
void auth_free(struct auth *a); /* NULL is fine */

enum auth_need { AUTH_NEED_CHANGE, AUTH_NEED_READ, AUTH_NEED_ROUTE };
enum auth_result {
	AUTH_OK,
	AUTH_MISSING,     /* no bearer token */
	AUTH_INVALID,     /* not, not yet or no longer a good one */
	AUTH_SCOPE,       /* a good one that lacks a scope */
	AUTH_UNAVAILABLE, /* it cannot be told now */
};
struct auth_identity {
	char *subject; /* sub or client_id, never empty */
	bool admin;    /* may do with others' uploads what their makers may */
};

/*
 * Judge ${header}, the value of Authorization (NULL: there is none). With AUTH_OK the caller frees
 * ${who} with auth_identity_free; else it is empty, and the text of ${err} can be shown to the
 * client (but for AUTH_UNAVAILABLE). It never has anything of the token in it.
 */
enum auth_result auth_check(struct auth *a, const char *header, enum auth_need need,
	struct auth_identity *who, struct err *err);
/* The same for a token by itself. */
enum auth_result auth_check_token(struct auth *a, const char *token, enum auth_need need,
	struct auth_identity *who, struct err *err);
void auth_identity_free(struct auth_identity *who); /* leaves it empty */

/* Do issuer and introspection end point answer? Some seconds at most. */
int auth_probe(struct auth *a, struct err *err);

#endif
