/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/session_cookie.h"

#include "core/app.h"
#include "core/base/str.h"
#include "fcgi/cookie.h"
#include "fcgi/origin.h"

#include <stdio.h>
#include <string.h>

#define URL_MAX (size_t)1024

bool session_cookie_page(struct http_request *r)
{
	const char *origin = http_header(r, "Origin");
	struct buf own;

	if (!r->app->sessions || !origin)
		return false;
	buf_init(&own, URL_MAX);
	bool page = http_base_url(r, &own) == 0 &&
		    origin_is_page(r->app->config, origin, buf_str(&own));
	buf_free(&own);
	return page;
}

bool session_cookie_counts(struct http_request *r)
{
	const char *origin = http_header(r, "Origin");

	/* Without either it may be anybody's: an image, a link, an old browser. */
	return origin ? session_cookie_page(r)
		      : str_eq(http_header(r, "Sec-Fetch-Site"), "same-origin");
}

void session_cookie_name(
	struct http_request *r, const struct session_cookie *c, char out[SESSION_COOKIE_NAME_MAX])
{
	const char *prefix = "";

	if (r->app->config->session_secure)
		prefix = str_eq(c->path, "/") && !*c->domain ? "__Host-" : "__Secure-";
	(void)snprintf(out, SESSION_COOKIE_NAME_MAX, "%s%s", prefix, c->name);
}

void session_cookie_put(struct http_request *r, const struct session_cookie *c)
{
	char name[SESSION_COOKIE_NAME_MAX], age[32] = "";

	session_cookie_name(r, c, name);
	if (c->age_s >= 0)
		(void)snprintf(age, sizeof(age), "; Max-Age=%d", c->age_s);
	http_add_header(r, "Set-Cookie", "%s=%s; Path=%s%s%s%s; HttpOnly; SameSite=Lax%s%s", name,
		c->value, str_eq(c->path, "/") ? "" : r->prefix, c->path,
		*c->domain ? "; Domain=" : "", c->domain, age,
		r->app->config->session_secure ? "; Secure" : "");
}

static struct session_cookie cookie_of(struct http_request *r, const char *id, int age_s)
{
	return (struct session_cookie){.name = "dex_session",
		.value = id,
		.path = "/",
		.domain = r->app->config->session_domain,
		.age_s = age_s};
}

void session_cookie_set(struct http_request *r, const char *id)
{
	struct session_cookie c = cookie_of(r, id, -1);
	session_cookie_put(r, &c);
}

void session_cookie_clear(struct http_request *r)
{
	struct session_cookie c = cookie_of(r, "", 0);
	session_cookie_put(r, &c);
}

bool session_cookie_id(struct http_request *r, char id[SESSION_ID_SIZE])
{
	char name[SESSION_COOKIE_NAME_MAX];
	const char *header = http_header(r, "Cookie");
	const char *value;
	size_t len;

	if (!r->app->sessions)
		return false;
	struct session_cookie c = cookie_of(r, "", 0);
	session_cookie_name(r, &c, name);
	while ((value = cookie_next(&header, name, &len))) {
		if (len != SESSION_ID_SIZE - 1)
			continue;
		memcpy(id, value, len);
		id[len] = '\0';
		if (session_is_id(id))
			return true;
	}
	return false;
}

enum state_result session_cookie_find(struct http_request *r, struct session *out, struct err *err)
{
	char id[SESSION_ID_SIZE];

	*out = (struct session){.ends_at = 0};
	if (!session_cookie_id(r, id))
		return STATE_NOT_FOUND;
	return session_find(r->app->sessions, id, out, err);
}
