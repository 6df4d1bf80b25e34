/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/ui.h"

#include "core/app.h"
#include "core/base/str.h"
#include "fcgi/authorize.h"
#include "fcgi/routes.h"
#include "fcgi/ui/page.h"

#include <string.h>

struct page_route {
	const char *path;
	bool id;          /* the id of an upload follows */
	unsigned methods; /* enum http_method */
	const char *allow;
	unsigned flags; /* enum route_flags */
	route_handler *handler;
};

#define READING (HTTP_GET | HTTP_HEAD)
#define ALLOW_GET "GET, OPTIONS"
#define ALLOW_READING "GET, HEAD, OPTIONS"

static const struct page_route page_routes[] = {
	{"/", false, READING, ALLOW_READING, 0, landing_get},
	{"/manifest", false, READING, ALLOW_READING, 0, manifest_page_get},
	{"/upload", false, HTTP_POST, "POST, OPTIONS", ROUTE_AUTH, upload_form_post},
	/* It shows nothing of an upload to those without a token; the script asks /info with one.
	 */
	{"/status/", true, READING, ALLOW_READING, 0, status_page_get},
	/* Only where people can log in. */
	{"/login", false, HTTP_GET, ALLOW_GET, ROUTE_LOGIN, login_get},
	{"/oauth_callback", false, HTTP_GET, ALLOW_GET, ROUTE_LOGIN, oauth_callback_get},
	{"/logged_in", false, READING, ALLOW_READING, ROUTE_LOGIN, logged_in_get},
	{"/logout", false, HTTP_POST, "POST, OPTIONS", ROUTE_LOGIN, logout_post},
};

static bool matches(const struct page_route *route, const char *path)
{
	return route->id ? str_starts(path, route->path) : str_eq(path, route->path);
}

static const struct page_route *find(const struct app *app, const char *path)
{
	for (size_t i = 0; i < sizeof(page_routes) / sizeof(page_routes[0]); i++) {
		const struct page_route *route = &page_routes[i];
		if (matches(route, path) && (app->login || !(route->flags & ROUTE_LOGIN)))
			return route;
	}
	return NULL;
}

bool ui_is_asked(struct http_request *r)
{
	return str_eq(http_param(r, "DEX_UI"), "1");
}

/* Refused for want of a token: the script gets the answer as it is, a person a page about it. */
static void ask_for_token(struct http_request *r)
{
	const char *accept = http_header(r, "Accept");

	if (accept && str_starts(accept, "application/json"))
		return;
	if (r->status < 500 && r->app->login)
		page_message(r, r->status, "login_h2", "login_first");
	else if (r->status < 500)
		page_message(r, r->status, "token_h2", "token_script");
	else
		page_message(r, r->status, "failed_title", "failed_text");
}

void ui_dispatch(struct http_request *r)
{
	const struct page_route *route = find(r->app, r->path);

	if (!route) {
		page_message(r, 404, "not_found_title", "not_found_text");
		return;
	}
	if (!(route->methods & (unsigned)r->method)) {
		http_add_header(r, "Allow", "%s", route->allow);
		if (r->method == HTTP_OPTIONS)
			http_status(r, 204);
		else
			page_message(r, 405, "not_found_title", "method_text");
		return;
	}
	if (route->id) {
		const char *id = r->path + strlen(route->path);
		/* Nothing but a well-formed id ever reaches storage. */
		if (!str_is_uuid(id)) {
			page_redirect(r, "/");
			return;
		}
		r->id = id;
		str_copy(r->upload_id, sizeof(r->upload_id), id);
	}
	r->flags = route->flags;
	r->route = route->path;
	if ((route->flags & ROUTE_AUTH) && !authorize_request(r, AUTH_NEED_CHANGE)) {
		ask_for_token(r);
		return;
	}
	route->handler(r);
}
