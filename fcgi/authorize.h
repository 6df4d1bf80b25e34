/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_AUTHORIZE_H
#define DEX_FCGI_AUTHORIZE_H

#include "fcgi/http.h"

#include <stdbool.h>

/*
 * Bearer tokens over HTTP (RFC 6750 section 3); a request of the upload page without one may have
 * that of its browser's session. Where authorization is off everything here says
 * yes. A request is judged before anything else of it is looked at, its version and its body least
 * of all: who may not be here learns nothing from a 412, and makes us do nothing.
 *
 *   no token                    401, WWW-Authenticate: Bearer
 *   not a good one              401, WWW-Authenticate: Bearer error="invalid_token"
 *   lacks a scope               403, WWW-Authenticate: Bearer error="insufficient_scope"
 *   cannot be told now          503, Retry-After
 */

/* Fill r->identity. False: answered. */
bool authorize_request(struct http_request *r, enum auth_need need);
/*
 * The upload r->id is the sender's own, or he is an administrator. False: answered, an upload of
 * somebody else exactly as one that does not exist.
 */
bool authorize_upload(struct http_request *r);
/* May the sender see what is for insiders? Never answers. */
bool authorize_insider(struct http_request *r);

#endif
