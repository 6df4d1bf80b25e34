/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/str.h"
#include "fcgi/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 255

/* --- trusted proxies --- */

/* An address as 16 bytes; IPv4 in its mapped form (RFC 4291 section 2.5.5.2). */
static bool parse_address(const char *text, unsigned char out[16], bool *v4)
{
	struct in_addr a4;

	*v4 = inet_pton(AF_INET, text, &a4) == 1;
	if (!*v4)
		return inet_pton(AF_INET6, text, out) == 1;
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &a4, 4);
	return true;
}

static bool same_network(const unsigned char *a, const unsigned char *b, uint64_t bits)
{
	size_t bytes = (size_t)bits / 8;
	unsigned rest = (unsigned)bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

/* ${entry}: an address or CIDR. A malformed one trusts nobody. */
static bool entry_covers(char *entry, const unsigned char peer[16])
{
	unsigned char network[16];
	bool v4;
	char *slash = strchr(entry, '/');
	uint64_t bits;

	if (slash)
		*slash = '\0';
	if (!parse_address(entry, network, &v4))
		return false;
	bits = v4 ? 32 : 128;
	if (slash && str_to_u64(slash + 1, bits, &bits) < 0)
		return false;
	return same_network(network, peer, v4 ? bits + 96 : bits);
}

static bool peer_is_trusted(struct http_request *r)
{
	const char *list = r->app->config->trusted_proxies;
	const char *remote = http_param(r, "REMOTE_ADDR");
	unsigned char peer[16];
	bool v4;

	if (!list || !remote || !parse_address(remote, peer, &v4))
		return false;
	while (*list) {
		char entry[64];
		list += strspn(list, ", ");
		size_t len = strcspn(list, ", ");
		if (len > 0 && len < sizeof(entry)) {
			memcpy(entry, list, len);
			entry[len] = '\0';
			if (entry_covers(entry, peer))
				return true;
		}
		list += len;
	}
	return false;
}

/* --- parts of an address --- */

struct origin {
	char scheme[8];
	char host[HOST_MAX + 1]; /* with its port where that is not the scheme's own */
};

static bool set_scheme(struct origin *o, const char *s, size_t len)
{
	if (len == 4 && strncasecmp(s, "http", 4) == 0)
		return str_copy(o->scheme, sizeof(o->scheme), "http");
	if (len == 5 && strncasecmp(s, "https", 5) == 0)
		return str_copy(o->scheme, sizeof(o->scheme), "https");
	return false;
}

/* A host comes back in Location: nothing but what a host may consist of (RFC 3986) is taken. */
static bool set_host(struct origin *o, const char *s, size_t len)
{
	if (len == 0 || len > HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && !strchr(".-_:[]", s[i]))
			return false;
	}
	memcpy(o->host, s, len);
	o->host[len] = '\0';
	return true;
}

/* ${port}: text from outside; one that is no port, or the scheme's own, adds nothing. */
static void add_port(struct origin *o, const char *port)
{
	const char *name_end = strrchr(o->host, ']');
	size_t len = strlen(o->host);
	uint64_t n;

	if (strchr(name_end ? name_end : o->host, ':') || str_to_u64(port, 65535, &n) < 0 || n == 0)
		return;
	if (n == (str_eq(o->scheme, "https") ? 443 : 80))
		return;
	int rc = snprintf(o->host + len, sizeof(o->host) - len, ":%" PRIu64, n);
	if (rc < 0 || (size_t)rc >= sizeof(o->host) - len)
		o->host[len] = '\0';
}

/* --- what the front tells --- */

/* Value of ${name} in the first element of a Forwarded header (RFC 7239), quotes removed. */
static bool forwarded_value(const char *header, const char *name, const char **value, size_t *len)
{
	size_t n = strlen(name);

	while (*header && *header != ',') {
		header += strspn(header, " \t;");
		bool wanted = strncasecmp(header, name, n) == 0 && header[n] == '=';
		header += strcspn(header, "=;,");
		if (*header != '=')
			continue;
		header++;
		bool quoted = *header == '"';
		if (quoted)
			header++;
		*value = header;
		*len = strcspn(header, quoted ? "\"" : ";, \t");
		header += *len;
		if (quoted && *header == '"')
			header++;
		if (wanted)
			return true;
	}
	return false;
}

/* First element of a comma-separated header: the proxy nearest to the client wrote it. */
static size_t first_element(const char **value)
{
	*value += strspn(*value, " \t");
	return strcspn(*value, ", \t");
}

static void apply_forwarded(struct http_request *r, struct origin *o)
{
	const char *forwarded = http_header(r, "Forwarded");
	const char *proto = http_header(r, "X-Forwarded-Proto");
	const char *host = http_header(r, "X-Forwarded-Host");
	const char *port = http_header(r, "X-Forwarded-Port");
	const char *value;
	size_t len;

	if (forwarded) {
		if (forwarded_value(forwarded, "proto", &value, &len))
			set_scheme(o, value, len);
		if (forwarded_value(forwarded, "host", &value, &len))
			set_host(o, value, len);
		return;
	}
	if (proto) {
		len = first_element(&proto);
		set_scheme(o, proto, len);
	}
	if (host) {
		len = first_element(&host);
		if (set_host(o, host, len) && port)
			add_port(o, port);
	}
}

static void from_web_server(struct http_request *r, struct origin *o)
{
	const struct config *c = r->app->config;
	const char *https = http_param(r, "HTTPS");
	const char *scheme = http_param(r, "REQUEST_SCHEME");
	const char *host = http_param(r, "HTTP_HOST");
	const char *name = http_param(r, "SERVER_NAME");
	const char *port = http_param(r, "SERVER_PORT");

	set_scheme(o, c->server_protocol, strlen(c->server_protocol));
	if (https)
		str_copy(o->scheme, sizeof(o->scheme), str_eq_ci(https, "off") ? "http" : "https");
	else if (scheme)
		set_scheme(o, scheme, strlen(scheme));
	if (host && set_host(o, host, strlen(host)))
		return;
	/* nginx names a catch-all server "_". */
	if (name && !str_eq(name, "_") && set_host(o, name, strlen(name))) {
		if (port)
			add_port(o, port);
		return;
	}
	set_scheme(o, c->server_protocol, strlen(c->server_protocol));
	str_copy(o->host, sizeof(o->host), c->server_hostname);
	char number[24];
	(void)snprintf(number, sizeof(number), "%" PRIu64, c->server_port);
	add_port(o, number);
}

int http_base_url(struct http_request *r, struct buf *out)
{
	struct origin o = {.scheme = "http"};

	from_web_server(r, &o);
	if (peer_is_trusted(r))
		apply_forwarded(r, &o);
	return buf_printf(out, "%s://%s%s", o.scheme, o.host, r->prefix);
}

bool http_is_https(struct http_request *r)
{
	struct origin o = {.scheme = "http"};

	from_web_server(r, &o);
	if (peer_is_trusted(r))
		apply_forwarded(r, &o);
	return str_eq(o.scheme, "https");
}

/* --- query --- */

/* Percent-decode as HTML forms encode ('+' is a space); a malformed escape stands for itself. */
static int decode(const char *s, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i] == '+' ? ' ' : s[i];
		if (c == '%' && i + 2 < len && str_hex_digit(s[i + 1]) >= 0 &&
			str_hex_digit(s[i + 2]) >= 0) {
			c = (char)(str_hex_digit(s[i + 1]) * 16 + str_hex_digit(s[i + 2]));
			i += 2;
		}
		if (buf_add_char(out, c) < 0)
			return -1;
	}
	return 0;
}

int http_query(struct http_request *r, const char *name, struct buf *out)
{
	const char *query = http_param(r, "QUERY_STRING");
	struct buf key;
	int rc = -1;

	buf_init(&key, 256);
	while (query && *query) {
		size_t len = strcspn(query, "&");
		size_t n = strcspn(query, "=&");
		buf_reset(&key);
		if (decode(query, n, &key) == 0 && str_eq(buf_str(&key), name)) {
			rc = decode(query + (n < len ? n + 1 : n), n < len ? len - n - 1 : 0, out);
			break;
		}
		query += len + (query[len] == '&');
	}
	buf_free(&key);
	return rc;
}
