/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_LOGIN_WORLD_H
#define DEX_TEST_LOGIN_WORLD_H

#include "core/auth/oidc_client.h"
#include "core/base/err.h"
#include "tests/lib/http_server.h"
#include "tests/lib/jose.h"

#include <stddef.h>

/*
 * A client of an issuer in this program, with a state store in memory. The issuer's token end point
 * says whatever a test wants: what no real issuer would say is the point of it.
 */
struct login_world {
	struct http_server *server;
	struct state *state;
	struct oidc_client *client;
	struct oidc_client_options options;
	struct jose_key *key, *foreign; /* P-256; the issuer's set has the first */
	struct err err;
	char issuer[64];
	/* What the issuer says; changed while it is not asked. */
	const char *discovery;       /* members instead of the usual end points */
	int status;                  /* of the token end point; 0: 200 */
	const char *answer;          /* of the token end point */
	void (*on_token)(void *arg); /* called before it answers; may be NULL */
	void *on_token_arg;
};

/* cmocka set-up and teardown; *state is the world. A public client "page". */
int login_world_setup(void **state);
int login_world_teardown(void **state);
/* Another client: one with the world's options as they are now. */
void login_world_make(struct login_world *w);

/*
 * An ID token with the members ${more} ('"nonce":"n"') beside iss, aud, sub, iat and exp (in 600
 * s); a later member of a name stands for an earlier one. Freed by the caller.
 */
char *login_world_id_token(
	struct login_world *w, const struct jose_key *k, const char *alg, const char *more);
/* How often ${path} was asked for; the body of the last time into ${body} (NULL: not wanted). */
size_t login_world_asked(struct login_world *w, const char *path, const char **body);

#endif
