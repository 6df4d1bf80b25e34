/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/azure_token.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "core/net/loopback.h"
#include "core/net/renewal.h"
#include "core/net/uri.h"

#include <stdlib.h>
#include <string.h>

#define AUTHORITY "https://login.microsoftonline.com"
#define SCOPE "https://storage.azure.com/.default"
#define FETCH_MS 10000
#define FORM_MAX (16 * 1024)
#define ANSWER_MAX (64 * 1024)
#define TOKEN_MAX (16 * 1024)
#define SECONDS_MAX (UINT64_C(366) * 86400)
#define REASON_MAX 64 /* of a refusal, with NUL */

struct azure_token {
	struct net_http *http;
	struct renewal *renewal;
	char *url, *tenant_id, *client_id, *client_secret;
};

/* AUTHORITY/TENANT/oauth2/v2.0/token, or NULL. */
static char *token_url(const char *authority, const char *tenant, struct err *err)
{
	struct uri u = {0};
	struct buf url;
	char *out = NULL;
	buf_init(&url, 4096);
	if (uri_parse(authority, &u, err) < 0) {
		err_prefix(err, "authority");
		return NULL;
	}
	if (!u.tls && !loopback_is(u.host)) {
		err_set(err, ERR_INVALID, __func__,
			"authority must be an https URL: a secret is sent there");
	} else if (uri_origin(&u, &url) < 0 || buf_add_str(&url, u.path) < 0 ||
		   buf_add_char(&url, '/') < 0 || uri_encode(&url, tenant) < 0 ||
		   buf_add_str(&url, "/oauth2/v2.0/token") < 0) {
		err_set(err, ERR_INVALID, __func__, "authority and tenant_id are too long");
	} else {
		out = buf_take(&url);
	}
	buf_free(&url);
	uri_free(&u);
	return out;
}

static int add_form(struct buf *form, const char *name, const char *value)
{
	if (form->len > 0)
		(void)buf_add_char(form, '&');
	(void)buf_add_str(form, name);
	(void)buf_add_char(form, '=');
	return uri_encode(form, value);
}

static int make_form(const struct azure_token *t, struct buf *form, struct err *err)
{
	if (add_form(form, "client_id", t->client_id) == 0 &&
		add_form(form, "client_secret", t->client_secret) == 0 &&
		add_form(form, "scope", SCOPE) == 0 &&
		add_form(form, "grant_type", "client_credentials") == 0)
		return 0;
	return err_set(err, ERR_INVALID, __func__, "the client's id or secret is too long");
}

/* The token is printable ASCII (RFC 6750 section 2.1), so that it can stand in a header field. */
static bool is_token(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++) {
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	}
	return n > 0 && n <= TOKEN_MAX;
}

/* Some end points send the number as a string. */
static bool seconds_of(const json_t *v, uint64_t *out)
{
	if (json_is_string(v))
		return str_to_u64(json_string_value(v), SECONDS_MAX, out) == 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return *out <= SECONDS_MAX;
}

/* The answer's "error" where it is a plain word; it is the server's text, so no more of it. */
static void reason_of(const json_t *answer, char out[REASON_MAX])
{
	const char *word = answer ? json_get_str(answer, "error") : NULL;
	out[0] = '\0';
	if (word && strspn(word, "abcdefghijklmnopqrstuvwxyz_") == strlen(word))
		(void)str_copy(out, REASON_MAX, word);
}

/* "Bearer TOKEN" of an answer, or NULL. */
static char *read_answer(
	const struct net_response *a, int64_t now, int64_t *expires_at, struct err *err)
{
	char *bearer = NULL;
	uint64_t seconds = 0;
	json_t *j = json_parse(buf_str(&a->body), a->body.len, NULL);
	const char *token = j ? json_get_str(j, "access_token") : NULL;
	const char *type = j ? json_get_str(j, "token_type") : NULL;
	if (a->status != 200) {
		char reason[REASON_MAX];
		reason_of(j, reason);
		/* 4xx: as long as nobody changes the registration it stays so. */
		err_set(err, a->status >= 500 || a->status == 429 ? ERR_UNAVAILABLE : ERR_DENIED,
			__func__, "the token end point answered %d%s%s", a->status,
			reason[0] ? " " : "", reason);
	} else if (!token || !is_token(token) ||
		   !seconds_of(json_object_get(j, "expires_in"), &seconds) ||
		   (type && !str_eq_ci(type, "Bearer"))) {
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the token end point's answer is no access token");
	} else {
		struct buf b;
		buf_init_secret(&b, TOKEN_MAX + 16);
		(void)buf_add_str(&b, "Bearer ");
		(void)buf_add_str(&b, token);
		bearer = buf_take(&b);
		*expires_at = now + (int64_t)seconds * CLOCK_US_PER_S;
	}
	if (token)
		mem_wipe((char *)token, strlen(token));
	json_decref(j);
	return bearer;
}

static void *fetch(void *arg, int64_t *expires_at, struct err *err)
{
	const struct azure_token *t = arg;
	struct net_request r;
	struct net_response a;
	struct buf form;
	char *bearer = NULL;
	buf_init_secret(&form, FORM_MAX);
	net_request_init(&r, "POST", t->url);
	net_response_init(&a, ANSWER_MAX);
	if (make_form(t, &form, err) < 0)
		goto out;
	net_headers_set(&r.headers, "Content-Type", "application/x-www-form-urlencoded");
	net_headers_set(&r.headers, "Accept", "application/json");
	r.body = form.data;
	r.body_len = form.len;
	r.idempotent = true;
	r.deadline_ms = clock_mono_ms() + FETCH_MS;
	/* Before it is sent: the token's time begins somewhere on the way. */
	int64_t now = clock_now();
	if (net_http_send(t->http, &r, &a, err) < 0)
		goto out;
	bearer = read_answer(&a, now, expires_at, err);
out:
	if (!bearer)
		err_prefix(err, "no token for client %.64s of tenant %.64s", t->client_id,
			t->tenant_id);
	net_response_free(&a);
	net_request_free(&r);
	buf_free(&form);
	return bearer;
}

static void copy(const void *value, void *out)
{
	*(char **)out = mem_strdup(value);
}

static void drop(void *value)
{
	mem_free_secret(value);
}

static const struct renewal_ops ops = {fetch, copy, drop};

struct azure_token *azure_token_new(const char *authority, const char *tenant_id,
	const char *client_id, const char *client_secret, struct net_http *http,
	const struct renewal_times *times, struct err *err)
{
	char *url = token_url(authority && authority[0] ? authority : AUTHORITY, tenant_id, err);
	if (!url)
		return NULL;
	struct azure_token *t = mem_zalloc(sizeof *t);
	t->http = http;
	t->url = url;
	t->tenant_id = mem_strdup(tenant_id);
	t->client_id = mem_strdup(client_id);
	t->client_secret = mem_strdup(client_secret);
	t->renewal = renewal_new(&ops, t, times);
	return t;
}

void azure_token_free(struct azure_token *t)
{
	if (!t)
		return;
	renewal_free(t->renewal);
	free(t->url);
	free(t->tenant_id);
	free(t->client_id);
	mem_free_secret(t->client_secret);
	free(t);
}

char *azure_token_get(struct azure_token *t, struct err *err)
{
	char *bearer = NULL;
	return renewal_get(t->renewal, &bearer, err) == 0 ? bearer : NULL;
}

bool azure_token_refused(struct azure_token *t, const char *bearer)
{
	/* Another thread may have fetched one since. */
	char *current = azure_token_get(t, NULL);
	bool same = current && str_eq(current, bearer);
	bool other = current && !same;
	mem_free_secret(current);
	return other || (same && renewal_refused(t->renewal));
}
