/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/routes.h"

#include "core/app.h"
#include "core/base/str.h"
#include "fcgi/authorize.h"
#include "fcgi/cors.h"
#include "fcgi/ui/ui.h"

#include <stdatomic.h>
#include <string.h>

/* Where a resource lies: a fixed text, or one of the two paths from the settings. */
enum base { BASE_TEXT, BASE_TUS, BASE_INFO };

struct route {
	enum base base;
	const char *text; /* BASE_TEXT: the path, or what stands before the id */
	bool id;          /* the id of an upload follows */
	unsigned methods; /* enum http_method */
	unsigned flags;   /* enum route_flags */
	route_handler *handler;
};

/* HEAD is offered wherever GET is (RFC 9110 section 9.1); http_finish leaves the body out. */
#define READING (HTTP_GET | HTTP_HEAD)
/* /route answers every wrong method itself. */
#define ANYTHING (HTTP_GET | HTTP_HEAD | HTTP_POST | HTTP_PATCH | HTTP_DELETE | HTTP_OTHER)

#define TUS_CHANGE (ROUTE_TUS | ROUTE_AUTH | ROUTE_BODY)

static const struct route routes[] = {
	{BASE_TEXT, "/", false, READING, 0, root_get},
	{BASE_TEXT, "/health", false, READING, ROUTE_QUIET, health_get},
	{BASE_TEXT, "/version", false, READING, ROUTE_QUIET, version_get},
	{BASE_TEXT, "/metrics", false, READING, ROUTE_QUIET, metrics_get},
	{BASE_TEXT, "/route/", true, ANYTHING, ROUTE_AUTH | ROUTE_DELIVERS, route_post},
	{BASE_INFO, NULL, true, READING, ROUTE_AUTH | ROUTE_READS, info_get},
	{BASE_TUS, NULL, false, HTTP_POST, TUS_CHANGE, tus_create},
	{BASE_TUS, NULL, false, HTTP_OPTIONS, ROUTE_TUS, tus_options},
	{BASE_TUS, NULL, true, HTTP_HEAD, ROUTE_TUS | ROUTE_AUTH | ROUTE_READS, tus_head},
	{BASE_TUS, NULL, true, HTTP_PATCH, TUS_CHANGE, tus_patch},
	{BASE_TUS, NULL, true, HTTP_DELETE, ROUTE_TUS | ROUTE_AUTH, tus_delete},
	{BASE_TUS, NULL, true, HTTP_OPTIONS, ROUTE_TUS, tus_options},
};
#define NROUTES (sizeof(routes) / sizeof(routes[0]))

static const char *base_path(const struct http_request *r, const struct route *route)
{
	switch (route->base) {
	case BASE_TUS:
		return r->app->config->tus_path;
	case BASE_INFO:
		return r->app->config->info_path;
	case BASE_TEXT:
		break;
	}
	return route->text;
}

/* Whether ${path} is ${base}, with or without its closing slash. */
static bool is_base(const char *path, const char *base)
{
	size_t n = strlen(base);

	if (n > 1 && base[n - 1] == '/')
		n--;
	return strncmp(path, base, n) == 0 &&
	       (path[n] == '\0' || (path[n] == '/' && path[n + 1] == '\0'));
}

/* Whether ${route} is about the request's path. With an id, ${id_out} is what stands in its place.
 */
static bool matches(const struct http_request *r, const struct route *route, const char **id_out)
{
	const char *base = base_path(r, route);

	*id_out = NULL;
	if (!route->id)
		return route->base == BASE_TEXT ? strcmp(r->path, base) == 0
						: is_base(r->path, base);
	if (!str_starts(r->path, base) || r->path[strlen(base)] == '\0')
		return false;
	*id_out = r->path + strlen(base);
	return true;
}

static bool is_tus_path(const struct http_request *r)
{
	const char *base = r->app->config->tus_path;

	/* Where the end point is the root itself, the other resources keep their paths. */
	for (size_t i = 0; i < NROUTES; i++) {
		const char *id;
		if (!(routes[i].flags & ROUTE_TUS) && matches(r, &routes[i], &id))
			return false;
	}
	return str_starts(r->path, base) || is_base(r->path, base);
}

static void list_methods(unsigned methods, struct buf *out)
{
	for (unsigned m = HTTP_GET; m < HTTP_OTHER; m <<= 1) {
		if (methods & m)
			buf_printf(out, "%s%s", out->len > 0 ? ", " : "",
				http_method_name((enum http_method)m));
	}
}

/* --- how many bodies at once --- */

/* Requests with a body that run in this process now. */
static atomic_uint bodies;

/* Some threads are kept for requests that end soon, so that the service answers while bodies crawl.
 */
static unsigned bodies_max(const struct config *c)
{
	uint64_t spare = c->threads / 16 > 2 ? c->threads / 16 : 2;

	return c->threads > spare ? (unsigned)(c->threads - spare) : 1;
}

static void call(struct http_request *r, const struct route *route)
{
	bool body = (route->flags & ROUTE_BODY) && r->has_body;

	if (body && atomic_fetch_add(&bodies, 1) >= bodies_max(r->app->config)) {
		http_fail(r, 503, "ERR_TOO_BUSY", "too many uploads at once, try again later");
		http_add_header(r, "Retry-After", "5");
	} else {
		route->handler(r);
	}
	if (body)
		atomic_fetch_sub(&bodies, 1);
}

/* --- dispatch --- */

/* Headers of every answer, and the method that counts. Returns false when it has answered. */
static void prepare(struct http_request *r)
{
	cors_answer(r);
	if (!is_tus_path(r))
		return;
	r->flags = ROUTE_TUS;
	const char *override = http_header(r, "X-HTTP-Method-Override");
	if (override)
		http_set_method(r, override);
	if (r->method != HTTP_OPTIONS)
		http_add_header(r, "Tus-Resumable", "%s", TUS_VERSION);
}

static bool has_version(struct http_request *r)
{
	if (r->method == HTTP_OPTIONS || str_eq(http_header(r, "Tus-Resumable"), TUS_VERSION))
		return true;
	http_fail(r, 412, "ERR_UNSUPPORTED_VERSION", "Tus-Resumable: " TUS_VERSION " is needed");
	http_add_header(r, "Tus-Version", "%s", TUS_VERSION);
	return false;
}

static void answer_known_path(struct http_request *r, unsigned methods)
{
	struct buf allow;

	buf_init(&allow, 128);
	list_methods(methods | HTTP_OPTIONS, &allow);
	http_add_header(r, "Allow", "%s", buf_str(&allow));
	if (r->method == HTTP_OPTIONS)
		http_status(r, 204);
	else
		http_fail(r, 405, "ERR_METHOD_NOT_ALLOWED",
			"this resource does not offer that method");
	buf_free(&allow);
}

static void add_preflight(struct http_request *r, unsigned methods)
{
	struct buf list;

	buf_init(&list, 128);
	/* One answer for all tus URLs: browsers cache it, and clients ask before they know the URL.
	 */
	if (r->flags & ROUTE_TUS)
		methods = HTTP_POST | HTTP_HEAD | HTTP_PATCH | HTTP_DELETE;
	list_methods(methods | HTTP_OPTIONS, &list);
	cors_preflight(r, buf_str(&list));
	buf_free(&list);
}

/* ${flags}: of the route, or of any at that path where none has the method. False: answered. */
static bool may_enter(struct http_request *r, unsigned flags)
{
	enum auth_need need = flags & ROUTE_READS      ? AUTH_NEED_READ
			      : flags & ROUTE_DELIVERS ? AUTH_NEED_ROUTE
						       : AUTH_NEED_CHANGE;

	return r->method == HTTP_OPTIONS || !(flags & ROUTE_AUTH) || authorize_request(r, need);
}

/* What may keep a handler from being called. False: answered. */
static bool may_call(struct http_request *r, unsigned flags)
{
	if ((flags & ROUTE_TUS) && !has_version(r))
		return false;
	return !(flags & ROUTE_AUTH) || !r->id || authorize_upload(r);
}

void routes_dispatch(struct http_request *r)
{
	const struct route *found = NULL;
	const char *id = NULL;
	unsigned methods = 0, flags = 0;

	if (ui_is_asked(r)) {
		ui_dispatch(r);
		return;
	}
	prepare(r);
	for (size_t i = 0; i < NROUTES; i++) {
		const char *text;
		if (!matches(r, &routes[i], &text))
			continue;
		if ((r->flags & ROUTE_TUS) != (routes[i].flags & ROUTE_TUS))
			continue;
		methods |= routes[i].methods;
		flags |= routes[i].flags;
		id = text;
		if (!found && (routes[i].methods & (unsigned)r->method))
			found = &routes[i];
	}
	if (methods == 0) {
		http_fail(r, 404, "ERR_NOT_FOUND", "there is nothing here");
		return;
	}
	if (r->method == HTTP_OPTIONS)
		add_preflight(r, methods);
	/* Nothing but a well-formed id ever reaches storage. */
	if (id && str_is_uuid(id)) {
		r->id = id;
		str_copy(r->upload_id, sizeof(r->upload_id), id);
	}
	if (!may_enter(r, found ? found->flags : flags))
		return;
	if (id && !r->id && r->method != HTTP_OPTIONS) {
		http_fail(r, 404, "ERR_UPLOAD_NOT_FOUND", "there is no such upload");
		return;
	}
	if (!found) {
		answer_known_path(r, methods);
		return;
	}
	r->flags = found->flags;
	r->route = base_path(r, found);
	if (may_call(r, found->flags))
		call(r, found);
}
