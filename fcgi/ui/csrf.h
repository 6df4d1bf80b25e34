/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_CSRF_H
#define DEX_FCGI_UI_CSRF_H

#include "fcgi/http.h"

#include <stdbool.h>

/*
 * Forms that another site made a browser send are refused: signed double-submit tokens (OWASP
 * Cross-Site Request Forgery Prevention). A browser gets a cookie with a random value; forms hold
 * its HMAC under CSRF_TOKEN, which another site can neither read nor compute. Where the browser
 * tells the page's origin it must be ours or one of CSRF_TRUSTED_ORIGINS as well.
 */

#define CSRF_RANDOM_SIZE 33 /* 16 bytes in hex + NUL */
#define CSRF_TOKEN_SIZE 65  /* an HMAC-SHA256 in hex + NUL */
#define CSRF_FIELD "csrf_token"

/* The token that goes with the cookie value ${random}. */
void csrf_token(const char *key, const char *random, char out[CSRF_TOKEN_SIZE]);
/* Value of the cookie ${name} in a Cookie header where it is one of ours; false: there is none. */
bool csrf_cookie(const char *header, const char *name, char out[CSRF_RANDOM_SIZE]);
/* The token for a form of this answer; sets the cookie where the browser has none. */
void csrf_issue(struct http_request *r, char out[CSRF_TOKEN_SIZE]);
/* Whether a form with ${token} (may be NULL) came from a page of ours. */
bool csrf_check(struct http_request *r, const char *token);

#endif
