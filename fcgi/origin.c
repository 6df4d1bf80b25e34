/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/origin.h"

#include "core/base/str.h"
#include "core/config.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define URL_MAX (size_t)1024

bool origin_is_listed(const char *origin, const char *list)
{
	size_t n = strlen(origin);

	while (list && *list) {
		list += strspn(list, ", ");
		size_t len = strcspn(list, ", ");
		if (len == n && len > 0 && strncasecmp(list, origin, len) == 0)
			return true;
		list += len;
	}
	return false;
}

static const char *host_of(const char *url)
{
	const char *host = strstr(url, "://");

	return host ? host + 3 : "";
}

bool origin_is_ours(const char *origin, const char *own, const char *trusted)
{
	const char *host = host_of(origin);
	const char *own_host = host_of(own);
	size_t n = strcspn(own_host, "/");

	if (str_eq(trusted, "*") || origin_is_listed(origin, trusted))
		return true;
	return n > 0 && strlen(host) == n && strncasecmp(host, own_host, n) == 0;
}

void origin_own(struct http_request *r, struct buf *out)
{
	if (http_base_url(r, out) == 0) {
		size_t keep = out->len - strlen(r->prefix);
		out->data[keep] = '\0';
		out->len = keep;
	}
}

/* ${url} without its port, and with ${port} where that is not the scheme's own. */
static void at_port(const char *url, uint64_t port, struct buf *out)
{
	const char *host = host_of(url);
	const char *bracket = strchr(host, ']');
	size_t len = (size_t)(host - url) +
		     (bracket ? (size_t)(bracket - host) + 1 : strcspn(host, ":/"));
	uint64_t usual = str_starts(url, "https://") ? 443 : 80;

	(void)buf_add(out, url, len);
	if (port != usual)
		(void)buf_printf(out, ":%" PRIu64, port);
}

bool origin_is_page(const struct config *c, const char *origin, const char *url)
{
	const char *trusted = c->csrf_trusted_origins;
	struct buf there;

	buf_init(&there, URL_MAX);
	at_port(url, c->ui_port, &there);
	bool ours = origin_is_ours(origin, url, str_eq(trusted, "*") ? NULL : trusted) ||
		    origin_is_ours(origin, buf_str(&there), NULL);
	buf_free(&there);
	return ours;
}
