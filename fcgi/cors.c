/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/cors.h"

#include "core/app.h"
#include "core/base/str.h"
#include "fcgi/origin.h"
#include "fcgi/session_cookie.h"

#define ALLOWED_HEADERS                                                                        \
	"Authorization, Content-Type, Origin, Tus-Resumable, Upload-Checksum, Upload-Concat, " \
	"Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset, "                 \
	"X-HTTP-Method-Override, "                                                             \
	"X-Requested-With, X-Request-ID, traceparent, tracestate"
#define EXPOSED_HEADERS                                                                    \
	"Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, Tus-Max-Size, "     \
	"Tus-Resumable, "                                                                  \
	"Tus-Version, Upload-Concat, Upload-Defer-Length, Upload-Expires, Upload-Length, " \
	"Upload-Limit, Upload-Metadata, Upload-Offset, WWW-Authenticate, X-Request-ID"

static bool allows(struct http_request *r)
{
	const char *origins = r->app->config->cors_origins;
	const char *origin = http_header(r, "Origin");

	return str_eq(origins, "*") || session_cookie_page(r) ||
	       (origin && origin_is_listed(origin, origins));
}

void cors_answer(struct http_request *r)
{
	bool any = str_eq(r->app->config->cors_origins, "*");

	/* Also where the origin is refused: a cache must keep the answers apart. */
	if (!any || r->app->sessions)
		http_add_header(r, "Vary", "Origin");
	if (!allows(r))
		return;
	if (session_cookie_page(r)) {
		http_add_header(r, "Access-Control-Allow-Origin", "%s", http_header(r, "Origin"));
		http_add_header(r, "Access-Control-Allow-Credentials", "true");
	} else if (any) {
		http_add_header(r, "Access-Control-Allow-Origin", "*");
	} else {
		http_add_header(r, "Access-Control-Allow-Origin", "%s", http_header(r, "Origin"));
	}
	if (http_header(r, "Origin"))
		http_add_header(r, "Access-Control-Expose-Headers", "%s", EXPOSED_HEADERS);
}

void cors_preflight(struct http_request *r, const char *methods)
{
	if (!http_header(r, "Access-Control-Request-Method") || !allows(r))
		return;
	http_add_header(r, "Access-Control-Allow-Methods", "%s", methods);
	http_add_header(r, "Access-Control-Allow-Headers", "%s", ALLOWED_HEADERS);
	http_add_header(r, "Access-Control-Max-Age", "86400");
}
