/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_CORS_H
#define DEX_FCGI_CORS_H

#include "fcgi/http.h"

/*
 * Cross-origin access for browsers (https://fetch.spec.whatwg.org), by DEX_CORS_ORIGINS: "*", or a
 * list of origins. Credentials (the session's cookie) are allowed to the upload page alone, and
 * only where people can log in; a token in Authorization is none in this sense.
 */

/* The headers of an answer to a page of r's Origin. */
void cors_answer(struct http_request *r);
/* Those of a preflight: an OPTIONS request with Access-Control-Request-Method. ${methods}: "GET,
 * POST". */
void cors_preflight(struct http_request *r, const char *methods);

#endif
