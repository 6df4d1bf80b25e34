/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_SESSION_H
#define DEX_AUTH_SESSION_H

#include "core/auth/oidc_client.h"
#include "core/store/state.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Sessions of people who have logged in. A browser holds a random id; the tokens lie in the state
 * store, so that a logout holds on all hosts and a cookie stays small. Without the id nobody can
 * find them there, without OAUTH_SESSION_KEY nobody can read them:
 *
 *   session/HASH        what the session is, sealed; nothing in it once it has ended
 *   session/renew/HASH  while a process asks for another access token
 *   session/over/HASH   it has ended: who has just renewed it looks here
 *
 * HASH is the SHA-256 of the id in hexadecimal. Safe from any thread.
 */

struct err;
struct sessions;

#define SESSION_ID_SIZE OIDC_RANDOM_SIZE
#define SESSION_MAX_S (12 * 3600) /* after that a person logs in anew, come what may */

struct session {
	struct oidc_tokens tokens;
	int64_t ends_at; /* wall clock */
};
void session_free(struct session *s); /* wipes; leaves it empty */

/* ${secret}: OAUTH_SESSION_KEY. ${client} and ${state} are borrowed. */
struct sessions *sessions_new(const char *secret, struct oidc_client *client, struct state *state);
void sessions_free(struct sessions *ss); /* NULL is fine */

/* Is ${id} of the form that ids have? */
bool session_is_id(const char *id);
/* Begin a session; its id into ${id}. It lasts as long as tokens can be had, or SESSION_MAX_S. */
int session_begin(struct sessions *ss, const struct oidc_tokens *tokens, char id[SESSION_ID_SIZE],
	struct err *err);
/*
 * The session of that id, with an access token that holds (as far as the issuer told): one that
 * ends within half a minute is replaced where there is a refresh token. STATE_NOT_FOUND: none, or
 * no longer. STATE_ERROR: it cannot be told now. The caller frees ${out}.
 */
enum state_result session_find(
	struct sessions *ss, const char *id, struct session *out, struct err *err);
/* From now on there is no such session, on any host. */
int session_end(struct sessions *ss, const char *id, struct err *err);

#endif
