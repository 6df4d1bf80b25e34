/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_SESSION_COOKIE_H
#define DEX_FCGI_SESSION_COOKIE_H

#include "core/auth/session.h"
#include "fcgi/http.h"

#include <stdbool.h>

/*
 * The cookie by which a browser that has logged in is known: nothing but the id of its session.
 * HttpOnly, SameSite=Lax, Secure by OAUTH_SESSION_SECURE. Cookies know no ports: the API at another
 * port of the same host gets it, and so does the browser's every request, whichever page makes it.
 * So it counts only for requests that the upload page itself makes.
 */

/* People log in here, and the Origin of ${r} is that of the upload page. */
bool session_cookie_page(struct http_request *r);
/* Whether the browser says that ${r} was made by the upload page: by Origin, else Sec-Fetch-Site.
 */
bool session_cookie_counts(struct http_request *r);
/* The id that the browser holds. False: none, or people cannot log in here. */
bool session_cookie_id(struct http_request *r, char id[SESSION_ID_SIZE]);
/*
 * The session of the browser, whoever made the request: to be shown, or where
 * session_cookie_counts. As session_find.
 */
enum state_result session_cookie_find(struct http_request *r, struct session *out, struct err *err);
void session_cookie_set(struct http_request *r, const char *id);
void session_cookie_clear(struct http_request *r);

/*
 * Set any cookie of ours, HttpOnly and SameSite=Lax. ${name} gets the prefix "__Host-" or
 * "__Secure-" (RFC 6265bis section 4.1.3) where it may. ${path}: below where the program is
 * mounted, "/" for the whole host. ${domain}: "": this host alone. ${age_s}: 0 removes it, less:
 * until the browser ends.
 */
struct session_cookie {
	const char *name, *value, *path, *domain;
	int age_s;
};
void session_cookie_put(struct http_request *r, const struct session_cookie *c);
/* That name with its prefix, as it comes back; valid as long as ${out}. */
#define SESSION_COOKIE_NAME_MAX 96
void session_cookie_name(
	struct http_request *r, const struct session_cookie *c, char out[SESSION_COOKIE_NAME_MAX]);

#endif
