/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_AUTH_OAUTH_FORM_H
#define DEX_AUTH_OAUTH_FORM_H

#include "core/base/buf.h"
#include "core/base/json.h"

#include <stdint.h>

/*
 * Forms that an OAuth client posts to its issuer (RFC 6749 section 3.2): to the token end point, to
 * those of introspection (RFC 7662) and revocation (RFC 7009). One try each, no redirects.
 */

struct err;
struct net_http;

#define OAUTH_FORM_MAX ((size_t)32 * 1024)
#define OAUTH_ANSWER_MAX ((size_t)64 * 1024)

/*
 * "Basic …" of RFC 6749 section 2.3.1: both are form-encoded before they are joined. For
 * mem_free_secret.
 */
char *oauth_form_basic(const char *id, const char *secret);
/* Append "NAME=VALUE", behind a '&' where something is there. -1: overflow. */
int oauth_form_add(struct buf *form, const char *name, const char *value);
/*
 * Post ${form} to ${url} with ${basic} (NULL: none) as its Authorization. 0: there is an answer,
 * its status in ${status} and its JSON object in ${doc} (NULL: it is none; the caller decrefs). -1:
 * no answer, ERR_UNAVAILABLE.
 */
int oauth_form_post(struct net_http *http, const char *url, const char *basic,
	const struct buf *form, int64_t limit_ms, int *status, json_t **doc, struct err *err);
/* The "error" of an answer where it is a plain word; else "". It is the server's text. */
const char *oauth_form_error(const json_t *answer);

#endif
