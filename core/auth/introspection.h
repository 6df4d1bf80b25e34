/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_INTROSPECTION_H
#define DEX_AUTH_INTROSPECTION_H

#include "core/base/json.h"

/*
 * Tokens that only their issuer can read: RFC 7662. Answers are kept in the state store under the
 * SHA-256 of the token, good ones until they expire or for a minute, bad ones for five seconds.
 * Without the state store nobody is asked. Safe from any thread.
 */

struct err;
struct introspection;
struct net_http;
struct state;

struct introspection_options {
	const char *url;
	const char *client_id; /* HTTP Basic; NULL or "": none */
	const char *client_secret;
};

/* Strings are copied, ${http} and ${state} borrowed. */
struct introspection *introspection_new(
	const struct introspection_options *o, struct net_http *http, struct state *state);
void introspection_free(struct introspection *i); /* NULL is fine */

enum introspection_result {
	INTROSPECTION_ACTIVE,
	INTROSPECTION_INACTIVE,
	INTROSPECTION_UNAVAILABLE, /* no answer that says either; ${err} tells why */
};
/*
 * Is ${token} good? With ACTIVE, ${claims} is what the answer says of it that claims.h reads; the
 * caller decrefs. It is still to be checked.
 */
enum introspection_result introspection_ask(
	struct introspection *i, const char *token, json_t **claims, struct err *err);
/* Does the end point answer, and know us? */
int introspection_probe(struct introspection *i, struct err *err);

#endif
