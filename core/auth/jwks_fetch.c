/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jwks_fetch.h"

#include "core/auth/jwk.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "core/net/uri.h"

#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096
#define DISCOVERY "/.well-known/openid-configuration"

/* GET ${url}; a JSON object into ${a}->body. ${what} is asked for. */
static int get(struct net_http *http, const char *url, int64_t deadline_ms, const char *what,
	struct net_response *a, struct err *err)
{
	struct net_request r;
	net_request_init(&r, "GET", url);
	net_headers_set(&r.headers, "Accept", "application/json");
	r.deadline_ms = deadline_ms;
	int rc = net_http_send(http, &r, a, err);
	net_request_free(&r);
	if (rc < 0) {
		err->code = ERR_UNAVAILABLE;
		return err_prefix(err, "%s", what);
	}
	if (a->status != 200)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s: the issuer answered %d", what,
			a->status);
	if (a->truncated)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s: the answer is too large", what);
	return 0;
}

static bool same_origin(const struct uri *a, const struct uri *b)
{
	return a->tls == b->tls && a->port == b->port && str_eq(a->host, b->host);
}

/* Keys that come over a line without TLS could be anybody's, unless the issuer does so itself. */
static bool is_trusted(const char *jwks_uri, const char *issuer)
{
	struct uri keys = {0}, home = {0};
	bool fine = uri_parse(jwks_uri, &keys, NULL) == 0 && uri_parse(issuer, &home, NULL) == 0 &&
		    (keys.tls || same_origin(&keys, &home));
	uri_free(&keys);
	uri_free(&home);
	return fine;
}

static char *read_discovery(const struct buf *text, const char *issuer, struct err *err)
{
	char *uri = NULL;
	json_t *doc = json_parse(buf_str(text), text->len, NULL);
	const char *jwks_uri = doc ? json_get_str(doc, "jwks_uri") : NULL;
	if (!jwks_uri)
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the issuer's answer is no discovery document");
	else if (!str_eq(json_get_str(doc, "issuer"), issuer))
		/* Discovery section 4.3: exactly, or one issuer could speak for another. */
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the discovery document names another issuer than OAUTH_ISSUER_URL");
	else if (!is_trusted(jwks_uri, issuer))
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the discovery document's jwks_uri is neither https nor at the issuer");
	else
		uri = mem_strdup(jwks_uri);
	json_decref(doc);
	return uri;
}

char *jwks_fetch_discover(
	struct net_http *http, const char *issuer, int64_t deadline_ms, struct err *err)
{
	struct net_response a;
	struct buf url;
	char *uri = NULL;
	size_t len = strlen(issuer);
	net_response_init(&a, JWK_SET_MAX);
	buf_init(&url, URL_MAX);
	while (len > 0 && issuer[len - 1] == '/')
		len--;
	if (buf_add(&url, issuer, len) < 0 || buf_add_str(&url, DISCOVERY) < 0)
		err_set(err, ERR_INVALID, __func__, "the issuer's URL is too long");
	else if (get(http, url.data, deadline_ms, "discovery", &a, err) == 0)
		uri = read_discovery(&a.body, issuer, err);
	buf_free(&url);
	net_response_free(&a);
	return uri;
}

int jwks_fetch(struct net_http *http, const char *issuer, int64_t deadline_ms, struct buf *out,
	struct err *err)
{
	struct net_response a;
	int rc = -1;
	net_response_init(&a, JWK_SET_MAX);
	char *uri = jwks_fetch_discover(http, issuer, deadline_ms, err);
	if (uri && get(http, uri, deadline_ms, "keys", &a, err) == 0) {
		rc = buf_add(out, a.body.data ? a.body.data : "", a.body.len);
		if (rc < 0)
			err_set(err, ERR_UNAVAILABLE, __func__, "the key set is too large");
	}
	free(uri);
	net_response_free(&a);
	return rc;
}
