/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/csrf.h"

#include "core/app.h"
#include "core/base/digest.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <string.h>
#include <strings.h>

/* With this prefix a browser takes the cookie over TLS and from this very host only. */
#define COOKIE_TLS "__Host-dex_csrf"
#define COOKIE_PLAIN "dex_csrf"

void csrf_token(const char *key, const char *random, char out[CSRF_TOKEN_SIZE])
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	char message[CSRF_RANDOM_SIZE + 16];

	/* The purpose stands in front, so that the key may sign other things as well. */
	(void)str_copy(message, sizeof(message), "form:");
	(void)str_copy(message + 5, sizeof(message) - 5, random);
	digest_hmac_sha256(key, strlen(key), message, strlen(message), sum);
	str_hex(out, sum, sizeof(sum));
}

bool csrf_cookie(const char *header, const char *name, char out[CSRF_RANDOM_SIZE])
{
	size_t n = strlen(name);

	while (header && *header) {
		header += strspn(header, " \t;");
		size_t len = strcspn(header, ";");
		const char *value = header + n + 1;
		if (len == n + CSRF_RANDOM_SIZE && strncmp(header, name, n) == 0 &&
			header[n] == '=' &&
			strspn(value, "0123456789abcdef") >= CSRF_RANDOM_SIZE - 1) {
			memcpy(out, value, CSRF_RANDOM_SIZE - 1);
			out[CSRF_RANDOM_SIZE - 1] = '\0';
			return true;
		}
		header += len;
	}
	return false;
}

static bool is_listed(const char *origin, const char *list)
{
	size_t n = strlen(origin);

	while (list && *list) {
		size_t len = strcspn(list, ",");
		if (len == n && strncasecmp(list, origin, n) == 0)
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

static const char *host_of(const char *origin)
{
	const char *host = strstr(origin, "://");

	return host ? host + 3 : "";
}

bool csrf_origin_ok(const char *origin, const char *own, const char *trusted)
{
	if (str_eq(trusted, "*") || is_listed(origin, trusted))
		return true;
	const char *host = host_of(origin);
	return host[0] && str_eq_ci(host, host_of(own));
}

/* scheme://host of this page as the browser sees it, as far as we can know. */
static void own_origin(struct http_request *r, struct buf *out)
{
	if (http_base_url(r, out) == 0) {
		size_t keep = out->len - strlen(r->prefix);
		out->data[keep] = '\0';
		out->len = keep;
	}
}

static bool is_tls(struct http_request *r)
{
	struct buf url;

	buf_init(&url, 1024);
	own_origin(r, &url);
	bool tls = str_starts(buf_str(&url), "https://");
	buf_free(&url);
	return tls;
}

void csrf_issue(struct http_request *r, char out[CSRF_TOKEN_SIZE])
{
	char random[CSRF_RANDOM_SIZE];
	unsigned char bytes[(CSRF_RANDOM_SIZE - 1) / 2];
	bool tls = is_tls(r);
	const char *name = tls ? COOKIE_TLS : COOKIE_PLAIN;

	if (!csrf_cookie(http_header(r, "Cookie"), name, random)) {
		random_bytes(bytes, sizeof(bytes));
		str_hex(random, bytes, sizeof(bytes));
		http_add_header(r, "Set-Cookie", "%s=%s; Path=/; HttpOnly; SameSite=Lax%s", name,
			random, tls ? "; Secure" : "");
	}
	csrf_token(r->app->config->csrf_token, random, out);
}

/* In a time that does not depend on where two texts of the same length differ. */
static bool same_token(const char *a, const char *b)
{
	unsigned char differ = 0;

	if (strlen(a) != strlen(b))
		return false;
	for (size_t i = 0; a[i]; i++)
		differ |= (unsigned char)(a[i] ^ b[i]);
	return differ == 0;
}

bool csrf_check(struct http_request *r, const char *token)
{
	const char *origin = http_header(r, "Origin");
	char random[CSRF_RANDOM_SIZE], expected[CSRF_TOKEN_SIZE];

	if (origin) {
		struct buf own;
		buf_init(&own, 1024);
		own_origin(r, &own);
		bool ok =
			csrf_origin_ok(origin, buf_str(&own), r->app->config->csrf_trusted_origins);
		buf_free(&own);
		if (!ok)
			return false;
	}
	if (!token || !csrf_cookie(http_header(r, "Cookie"), is_tls(r) ? COOKIE_TLS : COOKIE_PLAIN,
			      random))
		return false;
	csrf_token(r->app->config->csrf_token, random, expected);
	return same_token(token, expected);
}
