/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_AUTH_WORLD_H
#define DEX_TEST_AUTH_WORLD_H

#include "core/auth/auth.h"
#include "core/base/err.h"
#include "tests/lib/jose.h"

#include <stddef.h>

/* Bearer tokens against an issuer in this program, with a state store in memory. */

struct auth_world_issuer {     /* what the issuer says */
	const char *discovery; /* instead of the right one */
	int status;            /* of both documents; 0: 200 */
	int keys_status;       /* of the second alone */
	struct jose_key *keys[2];
	size_t nkeys;
	const char *key_set; /* instead of the keys */
	const char *introspection;
	int introspection_status;
};
struct auth_world {
	struct http_server *server;
	struct state *state;
	struct auth *auth;
	struct auth_options options;
	struct err err;
	char issuer[64];
	struct auth_world_issuer says; /* changed with auth_world_set */
};

/* Nothing ends by itself within a test. */
extern const struct jwks_times auth_world_calm;
extern struct jose_key *auth_world_key_a, *auth_world_key_b; /* P-256; between begin and end */

/* For a program: what its tests share. Warnings about issuers that are down are not logged. */
int auth_world_begin(void);
void auth_world_end(void);
/* cmocka set-up and teardown; *state is the world, whose issuer has key a. */
int auth_world_setup(void **state);
int auth_world_teardown(void **state);

void auth_world_set(struct auth_world *w, const struct auth_world_issuer *says);
#define ISSUER(w, ...) auth_world_set((w), &(const struct auth_world_issuer){__VA_ARGS__})
#define KEY_A .keys = {auth_world_key_a}, .nkeys = 1

/* Another process: what it remembers by itself is gone. */
void auth_world_make(struct auth_world *w);
/* The same with introspection; ${url} must live as long as the world's options are used. */
void auth_world_introspect(struct auth_world *w, char url[128]);
/* How often the issuer was asked for ${path}. */
size_t auth_world_asked(struct auth_world *w, const char *path);
/* A good token signed with ${k}; ${more}: ',"name":value' …; freed by the caller. */
char *auth_world_token(struct auth_world *w, const struct jose_key *k, const char *more);
/* What becomes of the token. A refusal must say why, and must not repeat the token. */
enum auth_result auth_world_check_for(struct auth_world *w, const char *token, enum auth_need need);
enum auth_result auth_world_check(struct auth_world *w, const char *token);
/* The same for a good token signed with ${k}. */
enum auth_result auth_world_check_key(struct auth_world *w, const struct jose_key *k);

#endif
