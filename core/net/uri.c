/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/uri.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 253
#define PORT_HTTP 80
#define PORT_HTTPS 443

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The byte that the escape at ${s} stands for, or -1. */
static int escaped(const char *s, size_t len)
{
	if (len < 3 || s[0] != '%')
		return -1;
	int high = str_hex_digit(s[1]);
	int low = str_hex_digit(s[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* pchar, '/' and those in ${also} (RFC 3986 section 3.3). */
static bool is_text(const char *s, size_t len, const char *also)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '%') {
			if (escaped(s + i, len - i) < 0)
				return false;
			i += 2;
		} else if (!is_alnum(s[i]) &&
			   (s[i] == '\0' ||
				   (!strchr("-._~!$&'()*+,;=:@/", s[i]) && !strchr(also, s[i])))) {
			return false;
		}
	}
	return true;
}

static bool is_host(const char *s)
{
	size_t len = strlen(s);
	if (len == 0 || len > HOST_MAX)
		return false;
	if (s[0] == '[' && len > 2) {
		struct in6_addr addr;
		char *inner = mem_strndup(s + 1, len - 2);
		bool ok = s[len - 1] == ']' && inet_pton(AF_INET6, inner, &addr) == 1;
		free(inner);
		return ok;
	}
	for (size_t i = 0; i < len; i++) {
		if (!is_alnum(s[i]) && s[i] != '-' && s[i] != '.' && s[i] != '_')
			return false;
	}
	return true;
}

static const char *take_scheme(const char *text, bool *tls)
{
	const char *mark = strstr(text, "://");
	if (!mark)
		return NULL;
	char *scheme = mem_strndup(text, (size_t)(mark - text));
	*tls = str_eq_ci(scheme, "https");
	bool known = *tls || str_eq_ci(scheme, "http");
	free(scheme);
	return known ? mark + 3 : NULL;
}

static int take_authority(struct uri *u, const char *text, size_t len, struct err *err)
{
	unsigned usual = u->tls ? PORT_HTTPS : PORT_HTTP;
	if (memchr(text, '@', len))
		return err_set(err, ERR_INVALID, __func__, "a URL with user information");
	const char *from = memchr(text, ']', len);
	from = from ? from : text;
	const char *colon = memchr(from, ':', len - (size_t)(from - text));
	size_t host_len = colon ? (size_t)(colon - text) : len;
	u->host = mem_strndup(text, host_len);
	str_lower(u->host);
	if (!is_host(u->host))
		return err_set(err, ERR_INVALID, __func__, "a URL without a valid host");
	u->port = usual;
	if (colon) {
		uint64_t port;
		if (str_to_u64_n(colon + 1, len - host_len - 1, UINT16_MAX, &port) != 0 ||
			port == 0)
			return err_set(err, ERR_INVALID, __func__, "a URL with an invalid port");
		u->port = (unsigned)port;
	}
	struct buf b;
	buf_init(&b, HOST_MAX + 8);
	if ((u->port == usual ? buf_add_str(&b, u->host)
			      : buf_printf(&b, "%s:%u", u->host, u->port)) != 0) {
		buf_free(&b);
		return err_set(err, ERR_INVALID, __func__, "a URL without a valid host");
	}
	u->authority = buf_take(&b);
	return 0;
}

int uri_parse(const char *text, struct uri *out, struct err *err)
{
	*out = (struct uri){0};
	const char *rest = take_scheme(text, &out->tls);
	if (!rest) {
		err_set(err, ERR_INVALID, __func__,
			"a URL that begins neither with http:// nor with https://");
		goto fail;
	}
	if (strchr(rest, '#')) {
		err_set(err, ERR_INVALID, __func__, "a URL with a fragment");
		goto fail;
	}
	size_t len = strcspn(rest, "/?");
	if (take_authority(out, rest, len, err) != 0)
		goto fail;
	rest += len;
	size_t path_len = strcspn(rest, "?");
	const char *query = rest[path_len] == '?' ? rest + path_len + 1 : "";
	if (!is_text(rest, path_len, "") || !is_text(query, strlen(query), "?")) {
		err_set(err, ERR_INVALID, __func__,
			"a URL with a character that has to be percent-encoded");
		goto fail;
	}
	while (path_len > 0 && rest[path_len - 1] == '/')
		path_len--;
	out->path = mem_strndup(rest, path_len);
	out->query = mem_strdup(query);
	return 0;
fail:
	uri_free(out);
	return -1;
}

static void free_text(char **s)
{
	/* A query may hold a token. */
	if (*s)
		mem_wipe(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void uri_free(struct uri *u)
{
	free_text(&u->host);
	free_text(&u->authority);
	free_text(&u->path);
	free_text(&u->query);
}

int uri_origin(const struct uri *u, struct buf *out)
{
	return buf_printf(out, "%s://%s", u->tls ? "https" : "http", u->authority);
}

int uri_encode_path(struct buf *out, const char *path)
{
	return str_percent_encode(out, path, "/");
}

int uri_encode(struct buf *out, const char *text)
{
	return str_percent_encode(out, text, "");
}

int uri_decode(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int byte = (unsigned char)text[i];
		if (text[i] == '%') {
			byte = escaped(text + i, len - i);
			i += 2;
		}
		if (byte <= 0 || buf_add_char(out, (char)byte) != 0)
			return -1;
	}
	return 0;
}
