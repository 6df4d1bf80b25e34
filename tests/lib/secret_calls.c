/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/secret_calls.h"

#include "core/auth/auth.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/aws_credentials_impl.h"
#include "core/net/azure_token.h"
#include "core/net/http.h"
#include "tests/lib/http_server.h"
#include "tests/lib/scratch.h"
#include "tests/lib/state_kv.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 160

void secret_make(enum secret s, char out[SECRET_SIZE])
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	uint64_t x = UINT64_C(0x9E3779B97F4A7C15) * ((uint64_t)s + 1);
	for (size_t i = 0; i < SECRET_SIZE - 1; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		out[i] = letters[(x >> 32) % (sizeof letters - 1)];
	}
	out[SECRET_SIZE - 1] = '\0';
}

/* --- the end points --- */

#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"
#define CREDENTIALS "{\"AccessKeyId\":\"id\",\"SecretAccessKey\":\"%s\",\"Token\":\"%s\"}"

static const struct answer {
	const char *method, *path;
	const char *body; /* with up to two %s */
	enum secret first, second;
} answers[] = {
	{"POST", "/",
		"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
		"<AccessKeyId>id</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>"
		"<SessionToken>%s</SessionToken></Credentials></AssumeRoleWithWebIdentityResult>"
		"</AssumeRoleWithWebIdentityResponse>",
		SECRET_AWS_KEY, SECRET_AWS_SESSION},
	{"GET", "/container", CREDENTIALS, SECRET_AWS_KEY, SECRET_AWS_SESSION},
	{"PUT", "/latest/api/token", "%s", SECRET_METADATA_TOKEN, SECRETS},
	{"GET", ROLE_PATH, "role", SECRETS, SECRETS},
	{"GET", ROLE_PATH "role", CREDENTIALS, SECRET_AWS_KEY, SECRET_AWS_SESSION},
	{"POST", "/tenant/oauth2/v2.0/token",
		"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"%s\"}",
		SECRET_AZURE_TOKEN, SECRETS},
	{"POST", "/introspect", "{\"active\":true,\"sub\":\"me\",\"scope\":\"a b\"}", SECRETS,
		SECRETS},
};

/* ${text} with its "%s" replaced, one after the other. */
static void add_body(struct buf *out, const char *text, const enum secret s[2])
{
	char word[SECRET_SIZE];
	const char *at;
	for (size_t i = 0; i < 2 && (at = strstr(text, "%s")); i++) {
		secret_make(s[i], word);
		(void)buf_add(out, text, (size_t)(at - text));
		(void)buf_add_str(out, word);
		text = at + 2;
	}
	(void)buf_add_str(out, text);
}

void secret_calls_answer(
	void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	(void)arg;
	a->status = 404;
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		const struct answer *s = &answers[i];
		if (!str_eq(q->method, s->method) || !str_eq(q->path, s->path))
			continue;
		a->status = 200;
		add_body(&a->body, s->body, (const enum secret[]){s->first, s->second});
	}
}

/* --- the calls --- */

static struct net_http *client(void)
{
	return net_http_new(&(struct net_http_options){0});
}

static int wrong(struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, __func__, "%s is not what the end point gave", what);
}

/* Frees ${k}, of an exchange that ended with ${rc}. */
static int check_keys(int rc, struct aws_keys *k, struct err *err)
{
	char secret[SECRET_SIZE], session[SECRET_SIZE];
	secret_make(SECRET_AWS_KEY, secret);
	secret_make(SECRET_AWS_SESSION, session);
	if (rc == 0 &&
		(!str_eq(k->secret_access_key, secret) || !str_eq(k->session_token, session)))
		rc = wrong(err, "the key");
	mem_wipe(secret, sizeof secret);
	mem_wipe(session, sizeof session);
	aws_keys_free(k);
	return rc;
}

static int web_identity(const char *url, const char *dir, struct err *err)
{
	char token[SECRET_SIZE];
	struct aws_keys k = {0};
	struct net_http *http = client();
	char *file = scratch_path(dir, "token");
	secret_make(SECRET_IDENTITY_TOKEN, token);
	int rc = fsio_replace(file, token, strlen(token), false, err);
	mem_wipe(token, sizeof token);
	if (rc == 0)
		rc = aws_credentials_remote_web_identity(http,
			&(const struct aws_web_identity){file, "arn:aws:iam::1:role/r", "s", url},
			&k, err);
	rc = check_keys(rc, &k, err);
	free(file);
	net_http_free(http);
	return rc;
}

static int container(const char *url, const char *dir, struct err *err)
{
	char token[SECRET_SIZE], at[URL_MAX];
	struct aws_keys k = {0};
	struct net_http *http = client();
	(void)dir;
	(void)snprintf(at, sizeof at, "%s/container", url);
	secret_make(SECRET_CONTAINER_TOKEN, token);
	int rc = aws_credentials_remote_container(http, at, token, NULL, &k, err);
	mem_wipe(token, sizeof token);
	rc = check_keys(rc, &k, err);
	net_http_free(http);
	return rc;
}

static int metadata(const char *url, const char *dir, struct err *err)
{
	struct aws_keys k = {0};
	struct net_http *http = client();
	(void)dir;
	int rc = check_keys(aws_credentials_remote_metadata(http, url, &k, err), &k, err);
	net_http_free(http);
	return rc;
}

static int service_principal(const char *url, const char *dir, struct err *err)
{
	char secret[SECRET_SIZE], expected[SECRET_SIZE];
	struct net_http *http = client();
	int rc = -1;
	(void)dir;
	secret_make(SECRET_CLIENT, secret);
	struct azure_token *t = azure_token_new(url, "tenant", "client", secret, http, NULL, err);
	mem_wipe(secret, sizeof secret);
	char *bearer = t ? azure_token_get(t, err) : NULL;
	if (bearer) {
		secret_make(SECRET_AZURE_TOKEN, expected);
		rc = str_ends(bearer, expected) ? 0 : wrong(err, "the token");
		mem_wipe(expected, sizeof expected);
	}
	mem_free_secret(bearer);
	azure_token_free(t);
	net_http_free(http);
	return rc;
}

static int introspection(const char *url, const char *dir, struct err *err)
{
	char client_secret[SECRET_SIZE], at[URL_MAX];
	char header[sizeof "Bearer " + SECRET_SIZE] = "Bearer ";
	struct auth_identity who;
	struct state *state = state_kv_new();
	(void)dir;
	(void)snprintf(at, sizeof at, "%s/introspect", url);
	secret_make(SECRET_CLIENT, client_secret);
	secret_make(SECRET_BEARER, header + strlen(header));
	struct auth *a = auth_new(&(const struct auth_options){.introspection_url = at,
					  .client_id = "client",
					  .client_secret = client_secret},
		state);
	mem_wipe(client_secret, sizeof client_secret);
	enum auth_result result = auth_check(a, header, AUTH_NEED_CHANGE, &who, err);
	mem_wipe(header, sizeof header);
	auth_identity_free(&who);
	auth_free(a);
	state_close(state);
	return result == AUTH_OK ? 0 : -1;
}

const struct secret_call secret_calls[] = {
	{"a web identity", 1, web_identity},
	{"a container's keys", 1, container},
	{"a machine's role", 3, metadata},
	{"a service principal", 1, service_principal},
	{"introspection", 1, introspection},
};
const size_t secret_calls_n = sizeof secret_calls / sizeof secret_calls[0];
