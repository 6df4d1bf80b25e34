/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_ROUTES_H
#define DEX_FCGI_ROUTES_H

#include "fcgi/http.h"

/*
 * The table of routes. Allow and OPTIONS answers and the preconditions of each resource follow from
 * its rows; a resource is one file named after it.
 */

enum route_flags {
	ROUTE_TUS = 1 << 0,   /* Tus-Resumable is checked and sent */
	ROUTE_AUTH = 1 << 1,  /* needs a token when authorization is on, and an upload of one's
				 own; what is at such a path is told to nobody without (but for
				 OPTIONS) */
	ROUTE_BODY = 1 << 2,  /* may hold a thread for long: counts against the limit of concurrent
				 bodies */
	ROUTE_READS = 1 << 4, /* OAUTH_READ_SCOPES do */
	ROUTE_DELIVERS = 1 << 5, /* OAUTH_ROUTE_SCOPES do */
	ROUTE_LOGIN = 1 << 6,    /* a page that is there only where people can log in */
	ROUTE_QUIET = 1 << 3,    /* asked for by machines all day long: logged at debug level */
};

typedef void route_handler(struct http_request *r);

/*
 * Find the route of r->path and r->method, check who asks and preconditions, call the handler. Sets
 * r->identity, r->id, r->flags and the CORS headers of every answer; OPTIONS outside the tus paths
 * is answered here.
 */
void routes_dispatch(struct http_request *r);

/* Handlers, one per file of the same name. */
void root_get(struct http_request *r);
void info_get(struct http_request *r);
void route_post(struct http_request *r);
void health_get(struct http_request *r);
void version_get(struct http_request *r);
void metrics_get(struct http_request *r);
void tus_options(struct http_request *r);
void tus_create(struct http_request *r);
void tus_head(struct http_request *r);
void tus_patch(struct http_request *r);
void tus_delete(struct http_request *r);

#endif
