/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_JWKS_H
#define DEX_AUTH_JWKS_H

#include "core/auth/jwt.h"

#include <stdint.h>

/*
 * The keys of one issuer, by OpenID Connect Discovery 1.0 section 4 and the JSON Web Key Set that
 * it names. All processes share them through the state store, so that a CGI program need not fetch
 * them with each request, and share the right to fetch: once a minute at most, whatever kids
 * are asked for. Without the state store nothing is fetched. Safe from any thread.
 *
 *   oauth/keys/HASH    {"fetched_at":MICROSECONDS,"jwks":{…}}, until `keep_ms` are over
 *   oauth/fetch/HASH   "run MICROSECONDS" while a process fetches, then "ok" or "failed"; nobody
 *                      fetches while it is there
 *
 * HASH is made from the issuer's URL: another issuer has other keys.
 */

struct err;
struct jwks;
struct net_http;
struct state;

struct jwks_times {      /* milliseconds */
	int64_t refresh; /* keys are fetched anew when they are older */
	int64_t keep;    /* and not used when they are older than this: the issuer is down */
	int64_t pause;   /* from one fetch to the next */
	int64_t retry;   /* the same where there is no key at all */
	int64_t look;    /* so long a process goes without looking into the state store */
	int64_t fetch;   /* limit for a fetch, both requests */
};

/*
 * ${issuer}: as OAUTH_ISSUER_URL, copied. ${times} NULL: 15 minutes, 24 hours, a minute, 5 s, 5 s,
 * 5 s. ${http} and ${state} are borrowed.
 */
struct jwks *jwks_new(const char *issuer, const struct jwks_times *times, struct net_http *http,
	struct state *state);
void jwks_free(struct jwks *j); /* NULL is fine */

enum jwks_result {
	JWKS_GOOD,
	JWKS_FORGED,      /* not signed by a key of the issuer */
	JWKS_UNAVAILABLE, /* its key is not known here, and the issuer could not be asked */
};
/* Is ${t} signed by the issuer? May fetch its keys. ${err} is set unless JWKS_GOOD. */
enum jwks_result jwks_verify(struct jwks *j, const struct jwt *t, struct err *err);
/* Does the issuer answer? Two seconds at most; the text tells how old the keys at hand are. */
int jwks_probe(struct jwks *j, struct err *err);

#endif
