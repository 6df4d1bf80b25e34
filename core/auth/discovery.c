/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/discovery.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "core/net/uri.h"
#include "core/store/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096
#define WELL_KNOWN "/.well-known/openid-configuration"
#define FETCH_MS 5000
#define POLL_MS 25
#define KEEP_US (15 * 60 * CLOCK_US_PER_S)
#define PAUSE_US (5 * CLOCK_US_PER_S)
#define NAME_MAX_BYTES 96

void discovery_free(struct discovery *d)
{
	free(d->jwks_uri);
	free(d->authorization_endpoint);
	free(d->token_endpoint);
	free(d->revocation_endpoint);
	free(d->end_session_endpoint);
	*d = (struct discovery){.jwks_uri = NULL};
}

int discovery_get_document(struct net_http *http, const char *url, int64_t deadline_ms,
	const char *what, size_t max, struct buf *out, struct err *err)
{
	struct net_request r;
	struct net_response a;
	net_request_init(&r, "GET", url);
	net_response_init(&a, max);
	net_headers_set(&r.headers, "Accept", "application/json");
	r.deadline_ms = deadline_ms;
	int rc = net_http_send(http, &r, &a, err);
	if (rc < 0) {
		err->code = ERR_UNAVAILABLE;
		err_prefix(err, "%s", what);
	} else if (a.status != 200) {
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s: the issuer answered %d", what,
			a.status);
	} else if (a.truncated || buf_add(out, buf_str(&a.body), a.body.len) < 0) {
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s: the answer is too large", what);
	}
	net_request_free(&r);
	net_response_free(&a);
	return rc;
}

static bool same_origin(const struct uri *a, const struct uri *b)
{
	return a->tls == b->tls && a->port == b->port && str_eq(a->host, b->host);
}

/* What comes over a line without TLS could be anybody's, unless the issuer does so itself. */
static bool is_trusted(const char *url, const char *issuer)
{
	struct uri there = {0}, home = {0};
	bool fine = uri_parse(url, &there, NULL) == 0 && uri_parse(issuer, &home, NULL) == 0 &&
		    (there.tls || same_origin(&there, &home));
	uri_free(&there);
	uri_free(&home);
	return fine;
}

static char *end_point(const json_t *doc, const char *name, const char *issuer)
{
	const char *url = json_get_str(doc, name);
	return url && strlen(url) <= URL_MAX && is_trusted(url, issuer) ? mem_strdup(url) : NULL;
}

int discovery_parse(
	const char *text, size_t len, const char *issuer, struct discovery *out, struct err *err)
{
	json_t *doc = json_parse(text, len, NULL);
	*out = (struct discovery){.jwks_uri = NULL};
	if (!doc || !json_get_str(doc, "jwks_uri")) {
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the issuer's answer is no discovery document");
		goto out;
	}
	if (!str_eq(json_get_str(doc, "issuer"), issuer)) {
		/* Discovery section 4.3: exactly, or one issuer could speak for another. */
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the discovery document names another issuer than OAUTH_ISSUER_URL");
		goto out;
	}
	out->jwks_uri = end_point(doc, "jwks_uri", issuer);
	if (!out->jwks_uri) {
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the discovery document's jwks_uri is neither https nor at the issuer");
		goto out;
	}
	out->authorization_endpoint = end_point(doc, "authorization_endpoint", issuer);
	out->token_endpoint = end_point(doc, "token_endpoint", issuer);
	out->revocation_endpoint = end_point(doc, "revocation_endpoint", issuer);
	out->end_session_endpoint = end_point(doc, "end_session_endpoint", issuer);
	out->names_itself = json_is_true(
		json_object_get(doc, "authorization_response_iss_parameter_supported"));
out:
	json_decref(doc);
	return out->jwks_uri ? 0 : -1;
}

int discovery_fetch(struct net_http *http, const char *issuer, int64_t deadline_ms,
	struct discovery *out, struct buf *text, struct err *err)
{
	struct buf url, own;
	int rc = -1;
	size_t len = strlen(issuer);
	*out = (struct discovery){.jwks_uri = NULL};
	buf_init(&url, URL_MAX);
	buf_init(&own, DISCOVERY_MAX);
	while (len > 0 && issuer[len - 1] == '/')
		len--;
	if (buf_add(&url, issuer, len) < 0 || buf_add_str(&url, WELL_KNOWN) < 0)
		err_set(err, ERR_INVALID, __func__, "the issuer's URL is too long");
	else if (discovery_get_document(
			 http, url.data, deadline_ms, "discovery", DISCOVERY_MAX, &own, err) == 0)
		rc = discovery_parse(buf_str(&own), own.len, issuer, out, err);
	if (rc == 0 && text)
		(void)buf_add(text, own.data, own.len);
	buf_free(&url);
	buf_free(&own);
	return rc;
}

/* --- kept for all processes --- */

static void name_of(const char *kind, const char *issuer, char out[NAME_MAX_BYTES])
{
	char hex[DIGEST_SHA256_HEX];
	digest_sha256_hex(issuer, strlen(issuer), hex);
	(void)snprintf(out, NAME_MAX_BYTES, "oauth/%s/%s", kind, hex);
}

#define FAILED "failed"

/* Ask, and tell all processes; ${mark} gave us the right to. */
static int fetch_for_all(struct net_http *http, struct state *state, const char *name,
	const char *mark, const char *issuer, struct discovery *out, struct err *err)
{
	struct err lost = {0};
	struct buf text;
	buf_init(&text, DISCOVERY_MAX);
	int rc = discovery_fetch(http, issuer, clock_mono_ms() + FETCH_MS, out, &text, err);
	if (rc == 0 &&
		state_kv_set(state, name, text.data, text.len, clock_now() + KEEP_US, &lost) < 0)
		LOG(LOG_LEVEL_WARN, "what the issuer tells of itself was not kept", log_err(&lost));
	/* So that nobody waits for what does not come; should it be lost, they wait a little. */
	if (rc < 0)
		(void)state_kv_set(
			state, mark, FAILED, strlen(FAILED), clock_now() + PAUSE_US, NULL);
	buf_free(&text);
	return rc;
}

int discovery_get(struct net_http *http, struct state *state, const char *issuer,
	struct discovery *out, struct err *err)
{
	char name[NAME_MAX_BYTES], mark[NAME_MAX_BYTES];
	int64_t until = clock_mono_ms() + FETCH_MS;
	struct buf text;
	int rc = -1;
	*out = (struct discovery){.jwks_uri = NULL};
	name_of("discovery", issuer, name);
	name_of("discovering", issuer, mark);
	buf_init(&text, DISCOVERY_MAX);
	for (;;) {
		enum state_result r = state_kv_get(state, name, clock_now(), &text, err);
		if (r == STATE_OK) {
			rc = discovery_parse(buf_str(&text), text.len, issuer, out, err);
			break;
		}
		/* Whoever may set the mark asks. */
		int64_t now = clock_now();
		if (r != STATE_ERROR)
			r = state_kv_add(state, mark, "", 0, now, now + PAUSE_US, err);
		if (r == STATE_OK)
			rc = fetch_for_all(http, state, name, mark, issuer, out, err);
		if (r != STATE_CONFLICT)
			break;
		if (clock_mono_ms() >= until ||
			(state_kv_get(state, mark, now, &text, NULL) == STATE_OK &&
				str_eq(buf_str(&text), FAILED))) {
			err_set(err, ERR_UNAVAILABLE, __func__,
				"the issuer did not answer a moment ago");
			break;
		}
		clock_sleep_ms(POLL_MS);
	}
	buf_free(&text);
	return rc;
}
