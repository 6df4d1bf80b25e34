/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/oidc_client.h"

#include "core/auth/claims.h"
#include "core/auth/discovery.h"
#include "core/auth/jwks.h"
#include "core/auth/oauth_form.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "core/net/uri.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS 2000
#define STALL_MS 5000
#define ASK_MS 5000
#define REVOKE_MS 3000
#define URL_MAX ((size_t)16 * 1024)
#define TOKEN_MAX 8192      /* what auth_check takes */
#define HINT_MAX 2048       /* bytes of an ID token in a URL; nginx takes 8 KiB in one line */
#define LIFETIME_MAX 864000 /* seconds that are believed */
#define ASKING_MAX 32       /* threads that wait for the issuer; the others serve on */

struct oidc_client {
	char *issuer, *client_id, *scopes;
	char *resource; /* NULL: none */
	char *basic;    /* value of Authorization; NULL: a public client */
	struct net_http *http;
	struct state *state;
	struct jwks *jwks;
	atomic_int asking;
};

struct oidc_client *oidc_client_new(const struct oidc_client_options *o, struct state *state)
{
	struct oidc_client *c = mem_zalloc(sizeof *c);
	c->issuer = mem_strdup(o->issuer);
	c->client_id = mem_strdup(o->client_id);
	c->scopes = mem_strdup(o->scopes ? o->scopes : "");
	c->resource = mem_strdup(o->resource && *o->resource ? o->resource : NULL);
	if (o->client_secret && *o->client_secret)
		c->basic = oauth_form_basic(o->client_id, o->client_secret);
	c->http = net_http_new(&(struct net_http_options){
		.ca_file = o->ca_file,
		.proxy = o->proxy,
		.connect_ms = CONNECT_MS,
		.stall_ms = STALL_MS,
	});
	c->state = state;
	c->jwks = jwks_new(c->issuer, NULL, c->http, state);
	return c;
}

void oidc_client_free(struct oidc_client *c)
{
	if (!c)
		return;
	jwks_free(c->jwks);
	net_http_free(c->http);
	free(c->issuer);
	free(c->client_id);
	free(c->scopes);
	free(c->resource);
	mem_free_secret(c->basic);
	free(c);
}

void oidc_tokens_free(struct oidc_tokens *t)
{
	mem_free_secret(t->access_token);
	mem_free_secret(t->refresh_token);
	mem_free_secret(t->id_token);
	free(t->subject);
	free(t->name);
	*t = (struct oidc_tokens){.access_token = NULL};
}

/* --- to the issuer --- */

static void encode32(const unsigned char bytes[DIGEST_SHA256_SIZE], char out[OIDC_RANDOM_SIZE])
{
	struct buf text;
	buf_init_secret(&text, OIDC_RANDOM_SIZE);
	(void)str_base64url_encode(&text, bytes, DIGEST_SHA256_SIZE);
	(void)str_copy(out, OIDC_RANDOM_SIZE, buf_str(&text));
	buf_free(&text);
}

void oidc_random(char out[OIDC_RANDOM_SIZE])
{
	unsigned char bytes[DIGEST_SHA256_SIZE];
	random_bytes(bytes, sizeof bytes);
	encode32(bytes, out);
	mem_wipe(bytes, sizeof bytes);
}

void oidc_login_make(struct oidc_login *out)
{
	oidc_random(out->state);
	oidc_random(out->nonce);
	oidc_random(out->verifier);
}

void oidc_challenge(const char *verifier, char out[OIDC_RANDOM_SIZE])
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	digest_sha256(verifier, strlen(verifier), sum);
	encode32(sum, out);
}

/* Discovery; -1 also where ${wanted}, one of its end points, is not there. */
static int discover(struct oidc_client *c, struct discovery *d, size_t wanted, struct err *err)
{
	if (discovery_get(c->http, c->state, c->issuer, d, err) < 0)
		return -1;
	if (*(char *const *)((const char *)d + wanted))
		return 0;
	discovery_free(d);
	return err_set(err, ERR_UNSUPPORTED, __func__, "the issuer has no end point for this");
}
#define DISCOVER(c, d, member, err) discover((c), (d), offsetof(struct discovery, member), (err))

/* The end point's own query stays in front (RFC 6749 section 3.1). */
static void begin_query(struct buf *out, const char *end_point, struct buf *query)
{
	(void)buf_add_str(out, end_point);
	(void)buf_add_char(out, strchr(end_point, '?') ? '&' : '?');
	(void)buf_add_str(out, buf_str(query));
}

int oidc_client_authorize(struct oidc_client *c, const struct oidc_login *l,
	const char *redirect_uri, struct buf *out, struct err *err)
{
	char challenge[OIDC_RANDOM_SIZE];
	struct discovery d;
	struct buf query, scope;
	if (DISCOVER(c, &d, authorization_endpoint, err) < 0)
		return -1;
	buf_init(&query, URL_MAX);
	buf_init(&scope, URL_MAX);
	oidc_challenge(l->verifier, challenge);
	(void)buf_printf(&scope, "openid%s%s", c->scopes[0] ? " " : "", c->scopes);
	(void)oauth_form_add(&query, "response_type", "code");
	(void)oauth_form_add(&query, "client_id", c->client_id);
	(void)oauth_form_add(&query, "redirect_uri", redirect_uri);
	(void)oauth_form_add(&query, "scope", buf_str(&scope));
	(void)oauth_form_add(&query, "state", l->state);
	(void)oauth_form_add(&query, "nonce", l->nonce);
	(void)oauth_form_add(&query, "code_challenge", challenge);
	(void)oauth_form_add(&query, "code_challenge_method", "S256");
	if (c->resource)
		(void)oauth_form_add(&query, "resource", c->resource);
	begin_query(out, d.authorization_endpoint, &query);
	buf_free(&scope);
	buf_free(&query);
	discovery_free(&d);
	return out->overflow ? err_set(err, ERR_INVALID, __func__, "the URL is too long") : 0;
}

int oidc_client_end_session(struct oidc_client *c, const char *id_token, const char *back,
	struct buf *out, struct err *err)
{
	struct discovery d;
	struct buf query;
	if (DISCOVER(c, &d, end_session_endpoint, err) < 0)
		return -1;
	buf_init_secret(&query, URL_MAX);
	(void)oauth_form_add(&query, "client_id", c->client_id);
	(void)oauth_form_add(&query, "post_logout_redirect_uri", back);
	if (id_token && strlen(id_token) <= HINT_MAX)
		(void)oauth_form_add(&query, "id_token_hint", id_token);
	begin_query(out, d.end_session_endpoint, &query);
	buf_free(&query);
	discovery_free(&d);
	return out->overflow ? err_set(err, ERR_INVALID, __func__, "the URL is too long") : 0;
}

/* --- what the issuer gives --- */

/* Post ${form}, beside which the client says who it is. The answer to a 200; NULL + ${err}. */
static json_t *ask(struct oidc_client *c, struct buf *form, struct err *err)
{
	struct discovery d;
	json_t *doc = NULL;
	int status = 0, rc = -1;
	if (DISCOVER(c, &d, token_endpoint, err) < 0)
		return NULL;
	if (!c->basic)
		(void)oauth_form_add(form, "client_id", c->client_id);
	if (atomic_fetch_add(&c->asking, 1) >= ASKING_MAX)
		err_set(err, ERR_UNAVAILABLE, __func__, "too many logins wait for the issuer");
	else if (form->overflow)
		err_set(err, ERR_INVALID, __func__, "the code is too long");
	else
		rc = oauth_form_post(
			c->http, d.token_endpoint, c->basic, form, ASK_MS, &status, &doc, err);
	atomic_fetch_sub(&c->asking, 1);
	discovery_free(&d);
	if (rc == 0 && status == 200 && doc)
		return doc;
	if (rc == 0) {
		const char *reason = oauth_form_error(doc);
		/* That the client itself is not known is nothing a person can do about. */
		bool refused = status == 400 && !str_eq(reason, "invalid_client");
		err_set(err, refused ? ERR_INVALID : ERR_UNAVAILABLE, __func__,
			"the issuer answered %d%s%s", status, reason[0] ? " " : "", reason);
	}
	json_decref(doc);
	return NULL;
}

static bool is_for_us(const struct oidc_client *c, const json_t *claims)
{
	const json_t *azp = json_object_get(claims, "azp");
	/* Core section 3.1.3.7: who it was made for, where it names several. */
	if (!azp)
		return json_array_size(json_object_get(claims, "aud")) <= 1;
	return str_eq(json_string_value(azp), c->client_id);
}

static char *name_of(const json_t *claims)
{
	static const char *const members[] = {"name", "preferred_username", "email", "sub"};
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
		const char *name = json_get_str(claims, members[i]);
		if (name && *name)
			return mem_strdup(name);
	}
	return NULL;
}

/* Core section 3.1.3.7. ${nonce} NULL: of a refresh, which has none to be compared. */
static int check_id_token(struct oidc_client *c, const char *text, const char *nonce,
	struct oidc_tokens *out, struct err *err)
{
	const struct claims_rules rules = {c->issuer, c->client_id, true, clock_now()};
	struct jwt t;
	int rc = -1;
	if (jwt_parse(text, &t, err) < 0)
		return -1;
	const char *sub = json_get_str(t.claims, "sub");
	if (claims_check(t.claims, &rules, err) < 0)
		goto out;
	if (!sub || !*sub || !is_for_us(c, t.claims)) {
		err_set(err, ERR_INVALID, __func__, "the ID token is not for this client");
		goto out;
	}
	if (nonce && !str_eq(json_get_str(t.claims, "nonce"), nonce)) {
		err_set(err, ERR_INVALID, __func__, "the ID token is of another login");
		goto out;
	}
	if (out->subject && !str_eq(out->subject, sub)) {
		err_set(err, ERR_INVALID, __func__, "the ID token is of another person");
		goto out;
	}
	switch (jwks_verify(c->jwks, &t, err)) {
	case JWKS_GOOD:
		rc = 0;
		break;
	case JWKS_FORGED:
		break;
	case JWKS_UNAVAILABLE:
		err->code = ERR_UNAVAILABLE;
		break;
	}
	if (rc == 0) {
		free(out->subject);
		free(out->name);
		mem_free_secret(out->id_token);
		out->subject = mem_strdup(sub);
		out->name = name_of(t.claims);
		out->id_token = mem_strdup(text);
	}
out:
	jwt_free(&t);
	return rc;
}

/* The access token of ${doc} and how long it holds; ${asked}: when it was asked for. */
static int take_tokens(const json_t *doc, int64_t asked, struct oidc_tokens *out, struct err *err)
{
	const char *access = json_get_str(doc, "access_token");
	const char *refresh = json_get_str(doc, "refresh_token");
	const char *type = json_get_str(doc, "token_type");
	const json_t *lifetime = json_object_get(doc, "expires_in");
	json_int_t seconds = json_integer_value(lifetime);
	if (!access || !*access || strlen(access) > TOKEN_MAX ||
		!str_eq_ci(type ? type : "", "Bearer"))
		return err_set(err, ERR_INVALID, __func__,
			"the issuer gave no bearer token of a usual size");
	if (refresh && *refresh && strlen(refresh) <= TOKEN_MAX) {
		mem_free_secret(out->refresh_token);
		out->refresh_token = mem_strdup(refresh);
	}
	mem_free_secret(out->access_token);
	out->access_token = mem_strdup(access);
	if (seconds > LIFETIME_MAX)
		seconds = LIFETIME_MAX;
	out->expires_at = seconds > 0 ? asked + seconds * CLOCK_US_PER_S : 0;
	return 0;
}

int oidc_client_redeem(struct oidc_client *c, const struct oidc_login *l,
	const struct oidc_callback *back, const char *redirect_uri, struct oidc_tokens *out,
	struct err *err)
{
	struct discovery d;
	struct buf form;
	int64_t asked = clock_now();
	int rc = -1;
	*out = (struct oidc_tokens){.access_token = NULL};
	if (!back->code || !*back->code)
		return err_set(err, ERR_INVALID, __func__, "the issuer sent no code");
	if (discovery_get(c->http, c->state, c->issuer, &d, err) < 0)
		return -1;
	bool mixed_up = back->iss ? !str_eq(back->iss, c->issuer) : d.names_itself;
	discovery_free(&d);
	if (mixed_up)
		return err_set(err, ERR_INVALID, __func__, "the code is of another issuer");
	buf_init_secret(&form, OAUTH_FORM_MAX);
	(void)oauth_form_add(&form, "grant_type", "authorization_code");
	(void)oauth_form_add(&form, "code", back->code);
	(void)oauth_form_add(&form, "redirect_uri", redirect_uri);
	(void)oauth_form_add(&form, "code_verifier", l->verifier);
	if (c->resource)
		(void)oauth_form_add(&form, "resource", c->resource);
	json_t *doc = ask(c, &form, err);
	buf_free(&form);
	const char *id_token = doc ? json_get_str(doc, "id_token") : NULL;
	if (doc && !id_token)
		err_set(err, ERR_INVALID, __func__, "the issuer gave no ID token");
	else if (doc && check_id_token(c, id_token, l->nonce, out, err) == 0)
		rc = take_tokens(doc, asked, out, err);
	json_decref(doc);
	if (rc < 0)
		oidc_tokens_free(out);
	return rc;
}

int oidc_client_refresh(struct oidc_client *c, struct oidc_tokens *t, struct err *err)
{
	struct buf form;
	int64_t asked = clock_now();
	int rc = -1;
	buf_init_secret(&form, OAUTH_FORM_MAX);
	(void)oauth_form_add(&form, "grant_type", "refresh_token");
	(void)oauth_form_add(&form, "refresh_token", t->refresh_token);
	if (c->resource)
		(void)oauth_form_add(&form, "resource", c->resource);
	json_t *doc = ask(c, &form, err);
	buf_free(&form);
	const char *id_token = doc ? json_get_str(doc, "id_token") : NULL;
	/* Core section 12.2: it may be left out; if not, it is of the same person. */
	if (doc && (!id_token || check_id_token(c, id_token, NULL, t, err) == 0))
		rc = take_tokens(doc, asked, t, err);
	json_decref(doc);
	return rc;
}

int oidc_client_revoke(struct oidc_client *c, const struct oidc_tokens *t, struct err *err)
{
	/* With a refresh token goes what was made of it (RFC 7009 section 2.1). */
	const char *token = t->refresh_token ? t->refresh_token : t->access_token;
	struct discovery d;
	struct buf form;
	json_t *doc = NULL;
	int status = 0;
	if (DISCOVER(c, &d, revocation_endpoint, err) < 0)
		return -1;
	buf_init_secret(&form, OAUTH_FORM_MAX);
	(void)oauth_form_add(&form, "token", token);
	(void)oauth_form_add(
		&form, "token_type_hint", t->refresh_token ? "refresh_token" : "access_token");
	if (!c->basic)
		(void)oauth_form_add(&form, "client_id", c->client_id);
	int rc = oauth_form_post(
		c->http, d.revocation_endpoint, c->basic, &form, REVOKE_MS, &status, &doc, err);
	if (rc == 0 && status != 200)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "the issuer answered %d %s", status,
			oauth_form_error(doc));
	json_decref(doc);
	buf_free(&form);
	discovery_free(&d);
	return rc;
}
