/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/csrf.h"

#include "core/app.h"
#include "core/base/digest.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "fcgi/cookie.h"
#include "fcgi/origin.h"

#include <string.h>

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
	const char *value;
	size_t len;

	while ((value = cookie_next(&header, name, &len))) {
		if (len == CSRF_RANDOM_SIZE - 1 && strspn(value, "0123456789abcdef") >= len) {
			memcpy(out, value, len);
			out[len] = '\0';
			return true;
		}
	}
	return false;
}

void csrf_issue(struct http_request *r, char out[CSRF_TOKEN_SIZE])
{
	char random[CSRF_RANDOM_SIZE];
	unsigned char bytes[(CSRF_RANDOM_SIZE - 1) / 2];
	bool tls = http_is_https(r);
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
		origin_own(r, &own);
		bool ok =
			origin_is_ours(origin, buf_str(&own), r->app->config->csrf_trusted_origins);
		buf_free(&own);
		if (!ok)
			return false;
	}
	if (!token || !csrf_cookie(http_header(r, "Cookie"),
			      http_is_https(r) ? COOKIE_TLS : COOKIE_PLAIN, random))
		return false;
	csrf_token(r->app->config->csrf_token, random, expected);
	return same_token(token, expected);
}
