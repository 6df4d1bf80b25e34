/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/auth.h"

#include "core/auth/claims.h"
#include "core/auth/introspection.h"
#include "core/auth/jwt.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "core/store/state.h"

#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 2000
#define STALL_MS 5000
#define PROBE_NAME "oauth/probe" /* in the state store: "up" or "down" */
#define PROBE_KEEP_US (4 * CLOCK_US_PER_S)

struct auth {
	char *issuer, *audience; /* NULL: not given */
	char *scopes[3];         /* per enum auth_need */
	char *admin_scope;       /* NULL: none */
	struct state *state;
	struct net_http *http;
	struct jwks *jwks;                   /* NULL: no issuer */
	struct introspection *introspection; /* NULL: no end point */
};

static const char *given(const char *s)
{
	return s && *s ? s : NULL;
}

struct auth *auth_new(const struct auth_options *o, struct state *state)
{
	struct auth *a = mem_zalloc(sizeof *a);
	const char *required = o->required_scopes ? o->required_scopes : "";
	const char *read = given(o->read_scopes);
	const char *route = given(o->route_scopes);
	a->state = state;
	a->issuer = mem_strdup(given(o->issuer));
	a->audience = mem_strdup(given(o->audience));
	a->admin_scope = mem_strdup(given(o->admin_scope));
	a->scopes[AUTH_NEED_CHANGE] = mem_strdup(required);
	a->scopes[AUTH_NEED_READ] = mem_strdup(read ? read : required);
	a->scopes[AUTH_NEED_ROUTE] = mem_strdup(route ? route : required);
	a->http = net_http_new(&(struct net_http_options){
		.ca_file = o->ca_file,
		.proxy = o->proxy,
		.connect_ms = CONNECT_MS,
		.stall_ms = STALL_MS,
	});
	if (a->issuer)
		a->jwks = jwks_new(a->issuer, o->times, a->http, state);
	if (given(o->introspection_url))
		a->introspection = introspection_new(
			&(struct introspection_options){
				.url = o->introspection_url,
				.client_id = o->client_id,
				.client_secret = o->client_secret,
			},
			a->http, state);
	return a;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	jwks_free(a->jwks);
	introspection_free(a->introspection);
	net_http_free(a->http);
	for (size_t i = 0; i < sizeof a->scopes / sizeof a->scopes[0]; i++)
		free(a->scopes[i]);
	free(a->issuer);
	free(a->audience);
	free(a->admin_scope);
	free(a);
}

void auth_identity_free(struct auth_identity *who)
{
	free(who->subject);
	*who = (struct auth_identity){.subject = NULL};
}

/* b64token of RFC 6750 section 2.1. */
static bool is_token(const char *s)
{
	size_t n =
		strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
	return n > 0 && s[n + strspn(s + n, "=")] == '\0';
}

/* The token of an Authorization header, for mem_free_secret; NULL: it has none. */
static char *find_token(const char *header)
{
	static const char scheme[] = "Bearer";
	const size_t n = sizeof scheme - 1;
	if (!header)
		return NULL;
	header += strspn(header, " \t");
	if (strcspn(header, " \t") != n)
		return NULL;
	char *word = mem_strndup(header, n);
	bool bearer = str_eq_ci(word, scheme);
	free(word);
	header += n + strspn(header + n, " \t");
	size_t len = strlen(header);
	while (len > 0 && (header[len - 1] == ' ' || header[len - 1] == '\t'))
		len--;
	return bearer && len > 0 ? mem_strndup(header, len) : NULL;
}

static enum auth_result check_jwt(
	struct auth *a, const char *token, json_t **claims, struct err *err)
{
	const struct claims_rules rules = {a->issuer, a->audience, true, clock_now()};
	enum auth_result result = AUTH_INVALID;
	struct jwt t;
	if (jwt_parse(token, &t, err) < 0)
		return AUTH_INVALID;
	/* Claims first: they cost nothing, and what is not for us makes nobody fetch keys. */
	if (claims_check(t.claims, &rules, err) == 0) {
		switch (jwks_verify(a->jwks, &t, err)) {
		case JWKS_GOOD:
			result = AUTH_OK;
			*claims = json_incref(t.claims);
			break;
		case JWKS_FORGED:
			break;
		case JWKS_UNAVAILABLE:
			result = AUTH_UNAVAILABLE;
			break;
		}
	}
	jwt_free(&t);
	return result;
}

static enum auth_result check_opaque(
	struct auth *a, const char *token, json_t **claims, struct err *err)
{
	const struct claims_rules rules = {a->issuer, a->audience, false, clock_now()};
	if (!a->introspection) {
		err_set(err, ERR_INVALID, __func__, "the token is not a JSON Web Token");
		return AUTH_INVALID;
	}
	switch (introspection_ask(a->introspection, token, claims, err)) {
	case INTROSPECTION_ACTIVE:
		return claims_check(*claims, &rules, err) == 0 ? AUTH_OK : AUTH_INVALID;
	case INTROSPECTION_INACTIVE:
		return AUTH_INVALID;
	case INTROSPECTION_UNAVAILABLE:
		break;
	}
	return AUTH_UNAVAILABLE;
}

/* The token is good; whose is it, and is it enough? */
static enum auth_result identify(const struct auth *a, const json_t *claims, enum auth_need need,
	struct auth_identity *who, struct err *err)
{
	const char *subject = claims_subject(claims);
	if (!subject) {
		err_set(err, ERR_INVALID, __func__, "the token names neither subject nor client");
		return AUTH_INVALID;
	}
	if (!claims_have_scopes(claims, a->scopes[need])) {
		err_set(err, ERR_DENIED, __func__, "the token lacks a scope that is needed here");
		return AUTH_SCOPE;
	}
	who->subject = mem_strdup(subject);
	who->admin = a->admin_scope && claims_have_scopes(claims, a->admin_scope);
	return AUTH_OK;
}

enum auth_result auth_check_token(struct auth *a, const char *token, enum auth_need need,
	struct auth_identity *who, struct err *err)
{
	enum auth_result result;
	json_t *claims = NULL;
	*who = (struct auth_identity){.subject = NULL};
	if (strlen(token) > AUTH_TOKEN_MAX || !is_token(token)) {
		err_set(err, ERR_INVALID, __func__, "this is no token");
		result = AUTH_INVALID;
	} else if (a->jwks && jwt_looks_like(token)) {
		result = check_jwt(a, token, &claims, err);
	} else {
		result = check_opaque(a, token, &claims, err);
	}
	if (result == AUTH_OK)
		result = identify(a, claims, need, who, err);
	json_decref(claims);
	return result;
}

enum auth_result auth_check(struct auth *a, const char *header, enum auth_need need,
	struct auth_identity *who, struct err *err)
{
	char *token = find_token(header);
	*who = (struct auth_identity){.subject = NULL};
	if (!token) {
		err_set(err, ERR_DENIED, __func__, "a bearer token is needed here");
		return AUTH_MISSING;
	}
	enum auth_result result = auth_check_token(a, token, need, who, err);
	mem_free_secret(token);
	return result;
}

static int probe(struct auth *a, struct err *err)
{
	if (a->jwks && jwks_probe(a->jwks, err) < 0)
		return -1;
	return a->introspection ? introspection_probe(a->introspection, err) : 0;
}

int auth_probe(struct auth *a, struct err *err)
{
	struct buf value;
	int rc = -1;
	int64_t now = clock_now();
	buf_init(&value, 16);
	/* A CGI program cannot remember by itself that it has just asked. */
	if (state_kv_get(a->state, PROBE_NAME, now, &value, NULL) == STATE_OK) {
		if (str_eq(buf_str(&value), "up"))
			rc = 0;
		else
			err_set(err, ERR_UNAVAILABLE, __func__,
				"the issuer did not answer a moment ago");
	} else {
		rc = probe(a, err);
		const char *outcome = rc == 0 ? "up" : "down";
		/* If it cannot be told, the next one asks again. */
		(void)state_kv_set(
			a->state, PROBE_NAME, outcome, strlen(outcome), now + PROBE_KEEP_US, NULL);
	}
	buf_free(&value);
	return rc;
}
