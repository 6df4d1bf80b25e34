/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_ORIGIN_H
#define DEX_FCGI_ORIGIN_H

#include "fcgi/http.h"

#include <stdbool.h>

struct config;

/*
 * Origins of pages (RFC 6454) as browsers tell them: scheme://host, with a port that is not the
 * scheme's own.
 */

/* ${origin} stands in ${list} (may be NULL), separated by commas. Case does not count. */
bool origin_is_listed(const char *origin, const char *list);
/*
 * Whether ${origin} is that of the URL ${own}, or in ${trusted} (may be NULL; "*": any). Of our own
 * only host and port count: a proxy may speak TLS for us.
 */
bool origin_is_ours(const char *origin, const char *own, const char *trusted);
/* Append the origin at which the browser asked, as far as we can know. */
void origin_own(struct http_request *r, struct buf *out);
/*
 * Whether ${origin} is that of the upload page whose API was asked at ${url}: the same host at the
 * same port or at UI_PORT, or one of CSRF_TRUSTED_ORIGINS. Never any ("*").
 */
bool origin_is_page(const struct config *c, const char *origin, const char *url);

#endif
