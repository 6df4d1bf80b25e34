/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/azure_auth.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/azure_connection.h"
#include "core/net/azure_shared_key.h"
#include "core/net/azure_token.h"
#include "core/net/loopback.h"
#include "core/net/uri.h"

#include <stdlib.h>
#include <string.h>

#define ACCOUNT_MAX 128
#define KEY_TEXT_MAX 344 /* Base64 of AZURE_SHARED_KEY_MAX */
#define SAS_MAX 4096
#define ENDPOINT_MAX 2048
#define URL_MAX (16 * 1024)

struct azure_auth {
	char *endpoint;
	char *account; /* "" where only the end point is known */
	/* exactly one of these three */
	unsigned char key[AZURE_SHARED_KEY_MAX];
	size_t key_len;
	char *sas; /* without '?' */
	struct azure_token *token;
};

static bool given(const char *s)
{
	return s && s[0];
}

static const char *first_given(const char *a, const char *b)
{
	return given(a) ? a : b;
}

/* All parameters of a SAS token end with '&', Base64 knows no such character. */
static bool looks_like_sas(const char *s)
{
	return strstr(s, "sig=") && strchr(s, '&');
}

/* It goes into a URL as it is. */
static int set_sas(struct azure_auth *a, const char *text, const char *option, struct err *err)
{
	text += text[0] == '?';
	size_t len = strlen(text);
	bool ok = len > 0 && len <= SAS_MAX && looks_like_sas(text);
	for (size_t i = 0; ok && i < len; i++)
		ok = text[i] > ' ' && text[i] <= '~' && !strchr("#\"<>\\^`{|}", text[i]);
	if (!ok)
		return err_set(err, ERR_INVALID, __func__, "%s is no SAS token", option);
	a->sas = mem_strdup(text);
	return 0;
}

static int set_key(struct azure_auth *a, const char *text, struct err *err)
{
	size_t len = strlen(text);
	ssize_t n = -1;
	if (len <= KEY_TEXT_MAX) {
		unsigned char raw[KEY_TEXT_MAX / 4 * 3 + 3];
		n = str_base64_decode(text, len, raw);
		if (n > 0 && (size_t)n <= sizeof a->key) {
			memcpy(a->key, raw, (size_t)n);
			a->key_len = (size_t)n;
		}
		mem_wipe(raw, sizeof raw);
	}
	if (a->key_len == 0)
		return err_set(err, ERR_INVALID, __func__,
			"key is neither an account key in Base64 nor a SAS token");
	if (!a->account[0])
		return err_set(err, ERR_INVALID, __func__, "account is missing; key needs it");
	return 0;
}

/* The name stands in host names and in the Authorization field. */
static int set_account(struct azure_auth *a, const char *name, struct err *err)
{
	a->account = mem_strdup(name ? name : "");
	size_t len = strlen(a->account);
	if (len > ACCOUNT_MAX || strspn(a->account, "abcdefghijklmnopqrstuvwxyz"
						    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						    "0123456789-_") != len)
		return err_set(
			err, ERR_INVALID, __func__, "account is no name of a storage account");
	return 0;
}

static int parse_endpoint(struct azure_auth *a, const char *text, struct uri *u, struct err *err)
{
	struct buf b;
	buf_init(&b, ENDPOINT_MAX);
	if (!text) {
		if (!a->account[0])
			return err_set(err, ERR_INVALID, __func__,
				"neither account nor endpoint is given");
		(void)buf_printf(&b, "https://%s.blob.core.windows.net", a->account);
		str_lower(b.data);
		text = b.data;
	}
	int rc = uri_parse(text, u, err);
	buf_reset(&b);
	if (rc < 0)
		err_prefix(err, "endpoint");
	else if (uri_origin(u, &b) < 0 || buf_add_str(&b, u->path) < 0)
		rc = err_set(err, ERR_INVALID, __func__, "endpoint is too long");
	else
		a->endpoint = buf_take(&b);
	buf_free(&b);
	return rc;
}

static int set_principal(struct azure_auth *a, const struct azure_auth_options *o,
	const struct uri *endpoint, struct net_http *http, struct err *err)
{
	if (!given(o->tenant_id) && !given(o->client_id) && !given(o->client_secret))
		return err_set(err, ERR_INVALID, __func__,
			"none of connection_string, key, sas_token and client_secret is given");
	if (!given(o->tenant_id) || !given(o->client_id) || !given(o->client_secret))
		return err_set(err, ERR_INVALID, __func__,
			"%s is missing; a service principal has tenant_id, client_id and "
			"client_secret",
			!given(o->tenant_id)   ? "tenant_id"
			: !given(o->client_id) ? "client_id"
					       : "client_secret");
	if (!endpoint->tls && !loopback_is(endpoint->host))
		return err_set(err, ERR_INVALID, __func__,
			"endpoint must be an https URL: access tokens are sent there");
	a->token = azure_token_new(
		o->authority, o->tenant_id, o->client_id, o->client_secret, http, NULL, err);
	return a->token ? 0 : -1;
}

static int configure(struct azure_auth *a, const struct azure_auth_options *o,
	const struct azure_connection *c, struct net_http *http, struct err *err)
{
	/* A key given by itself replaces all that the connection string has to sign with. */
	bool own = given(o->key) || given(o->sas_token);
	const char *key = own ? o->key : c->key;
	const char *sas = own ? o->sas_token : c->sas_token;
	struct uri u = {0};
	int rc = -1;
	if (set_account(a, first_given(o->account, c->account), err) < 0 ||
		parse_endpoint(a, given(o->endpoint) ? o->endpoint : c->endpoint, &u, err) < 0)
		goto out;
	if (given(key))
		rc = looks_like_sas(key) ? set_sas(a, key, "key", err) : set_key(a, key, err);
	else if (given(sas))
		rc = set_sas(a, sas, "sas_token", err);
	else if (given(u.query))
		rc = set_sas(a, u.query, "the query of endpoint", err);
	else
		rc = set_principal(a, o, &u, http, err);
out:
	if (u.query)
		mem_wipe(u.query, strlen(u.query));
	uri_free(&u);
	return rc;
}

struct azure_auth *azure_auth_new(
	const struct azure_auth_options *o, struct net_http *http, struct err *err)
{
	struct azure_auth *a = mem_zalloc(sizeof *a);
	struct azure_connection c = {0};
	const char *text = o->connection_string;
	int rc = given(text) ? azure_connection_parse(text, strlen(text), &c, err) : 0;
	if (rc == 0)
		rc = configure(a, o, &c, http, err);
	azure_connection_free(&c);
	if (rc == 0)
		return a;
	azure_auth_free(a);
	return NULL;
}

void azure_auth_free(struct azure_auth *a)
{
	if (!a)
		return;
	azure_token_free(a->token);
	mem_free_secret(a->sas);
	mem_wipe(a->key, sizeof a->key);
	free(a->account);
	free(a->endpoint);
	free(a);
}

const char *azure_auth_endpoint(const struct azure_auth *a)
{
	return a->endpoint;
}

/* Append ${url} with ${query} behind what it has. */
static int add_query(const char *url, const char *query, struct buf *out)
{
	if (buf_reserve(out, strlen(url) + 1 + strlen(query)) < 0)
		return -1;
	int rc = buf_add_str(out, url);
	rc |= buf_add_char(out, strchr(url, '?') ? '&' : '?');
	return rc | buf_add_str(out, query);
}

int azure_auth_sign(void *arg, struct net_request *r, int64_t now, struct err *err)
{
	struct azure_auth *a = arg;
	char date[CLOCK_HTTP_SIZE];
	net_headers_set(&r->headers, "x-ms-date", clock_http_date(date, now));
	net_headers_set(&r->headers, "x-ms-version", AZURE_API_VERSION);
	if (a->sas) {
		struct buf url;
		buf_init_secret(&url, URL_MAX);
		if (add_query(r->url, a->sas, &url) < 0) {
			buf_free(&url);
			return err_set(err, ERR_INVALID, __func__, "the URL is too long");
		}
		mem_free_secret(r->signed_url);
		r->signed_url = buf_take(&url);
		return 0;
	}
	if (a->token) {
		char *bearer = azure_token_get(a->token, err);
		if (!bearer)
			return -1;
		net_headers_set(&r->headers, "Authorization", bearer);
		mem_free_secret(bearer);
		return 0;
	}
	const struct azure_shared_key k = {a->account, a->key, a->key_len};
	return azure_shared_key_sign(&k, r, err);
}

bool azure_auth_again(void *arg, const struct net_request *r, const struct net_response *a)
{
	struct azure_auth *auth = arg;
	const char *bearer = net_headers_get(&r->headers, "Authorization");
	return a->status == 401 && auth->token && bearer &&
	       azure_token_refused(auth->token, bearer);
}

int azure_auth_source_url(
	const struct azure_auth *a, const char *url, int64_t expires_at, struct buf *out)
{
	struct buf sas;
	if (a->sas)
		return add_query(url, a->sas, out);
	if (a->token)
		return buf_add_str(out, url);
	buf_init_secret(&sas, SAS_MAX);
	const struct azure_shared_key k = {a->account, a->key, a->key_len};
	int rc = azure_shared_key_read_sas(&k, url, AZURE_API_VERSION, expires_at, &sas);
	if (rc == 0)
		rc = add_query(url, buf_str(&sas), out);
	buf_free(&sas);
	return rc;
}

bool azure_auth_same_account(const struct azure_auth *a, const struct azure_auth *b)
{
	return str_eq(a->account, b->account) && str_eq(a->endpoint, b->endpoint);
}
