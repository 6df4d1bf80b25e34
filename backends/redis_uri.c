/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_uri.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 4096
#define PORT 6379
#define SENTINEL_PORT 26379
#define DB_MAX 65535
#define TIMEOUT_MS 2000
#define TIMEOUT_MIN_MS 10
#define TIMEOUT_MAX_MS 60000
#define PREFIX_MAX 64
#define HOST_MAX 253

static int bad(struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, "redis_uri_parse", "the Redis connection string %s", what);
}

/* A new string from ${len} bytes with %XX replaced; NULL: malformed, or it would hold NUL. */
static char *decode(const char *s, size_t len)
{
	char *out = mem_alloc(len + 1);
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)s[i];
		if (c == '%') {
			int high = len - i > 2 ? str_hex_digit(s[i + 1]) : -1;
			int low = len - i > 2 ? str_hex_digit(s[i + 2]) : -1;
			c = high < 0 || low < 0 ? 0 : high * 16 + low;
			i += 2;
		}
		if (c == 0)
			goto fail;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return out;

fail:
	mem_wipe(out, n);
	free(out);
	return NULL;
}

/* [USER[:PASSWORD]], as in redis-cli: "user:password", ":password" for the default user. */
static int parse_user(const char *s, size_t len, struct redis_uri *out, struct err *err)
{
	const char *colon = memchr(s, ':', len);
	if (!colon)
		return bad(err, "has a user without a password");
	if (colon > s) {
		out->user = decode(s, (size_t)(colon - s));
		if (!out->user)
			return bad(err, "has a user with a malformed %XX");
	}
	out->password = decode(colon + 1, len - (size_t)(colon + 1 - s));
	if (!out->password)
		return bad(err, "has a password with a malformed %XX");
	if (!*out->password)
		return bad(err, "has an empty password");
	return 0;
}

static bool is_host(const char *s, size_t len, bool ipv6)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";
	if (len == 0 || len > HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char *allowed = ipv6 ? "0123456789abcdefABCDEF:." : letters;
		if (!strchr(allowed, s[i]))
			return false;
	}
	return true;
}

static int parse_host(const char *s, size_t len, struct redis_uri *out, struct err *err)
{
	const char *host = s;
	const char *rest;
	size_t host_len;
	bool ipv6 = len > 0 && s[0] == '[';
	if (ipv6) {
		const char *end = memchr(s, ']', len);
		if (!end)
			return bad(err, "has a '[' without ']'");
		host = s + 1;
		host_len = (size_t)(end - host);
		rest = end + 1;
	} else {
		const char *colon = memchr(s, ':', len);
		host_len = colon ? (size_t)(colon - s) : len;
		rest = s + host_len;
	}
	if (!is_host(host, host_len, ipv6))
		return bad(err, "has no host name, or one with characters that no host has");
	uint64_t port = out->sentinel ? SENTINEL_PORT : PORT;
	size_t left = len - (size_t)(rest - s);
	if (left > 0 &&
		(*rest != ':' || str_to_u64_n(rest + 1, left - 1, 65535, &port) < 0 || port == 0))
		return bad(err, "has a port that is not a number from 1 to 65535");
	if (out->nhosts == REDIS_URI_HOSTS_MAX)
		return bad(err, "names too many hosts");
	out->hosts[out->nhosts].name = mem_strndup(host, host_len);
	out->hosts[out->nhosts++].port = (unsigned)port;
	return 0;
}

static int parse_hosts(const char *s, size_t len, struct redis_uri *out, struct err *err)
{
	for (;;) {
		const char *comma = memchr(s, ',', len);
		size_t one = comma ? (size_t)(comma - s) : len;
		if (parse_host(s, one, out, err) < 0)
			return -1;
		if (!comma)
			return 0;
		s += one + 1;
		len -= one + 1;
	}
}

/* What follows the hosts and their '/', up to '?'. */
static int parse_path(const char *s, size_t len, struct redis_uri *out, struct err *err)
{
	uint64_t db = 0;
	if (out->sentinel) {
		const char *slash = memchr(s, '/', len);
		size_t one = slash ? (size_t)(slash - s) : len;
		out->master = decode(s, one);
		if (!out->master || !*out->master ||
			str_has_control(out->master, strlen(out->master)))
			return bad(err, "needs the name that the Sentinels know the server by: "
					"redis+sentinel://HOST/NAME");
		s += slash ? one + 1 : one;
		len -= slash ? one + 1 : one;
	}
	if (len > 0 && str_to_u64_n(s, len, DB_MAX, &db) < 0)
		return bad(err, "has a database that is not a number");
	out->db = (unsigned)db;
	return 0;
}

/* Braces would make one hash slot of all keys. */
static bool is_prefix(const char *s)
{
	size_t len = strlen(s);
	if (len == 0 || len > PREFIX_MAX)
		return false;
	for (; *s; s++) {
		if (*s <= ' ' || *s > '~' || *s == '{' || *s == '}')
			return false;
	}
	return true;
}

static int set_text(char **to, char **value, struct err *err)
{
	if (*to)
		return bad(err, "has the same option twice");
	if (!**value)
		return bad(err, "has an option without a value");
	*to = *value;
	*value = NULL;
	return 0;
}

static int set_option(
	struct redis_uri *out, const char *name, size_t len, char **value, struct err *err)
{
	const struct {
		const char *name;
		char **to;
	} texts[] = {
		{"prefix", &out->prefix},
		{"ca_file", &out->ca_file},
		{"cert_file", &out->cert_file},
		{"key_file", &out->key_file},
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strlen(texts[i].name) == len && memcmp(texts[i].name, name, len) == 0)
			return set_text(texts[i].to, value, err);
	}
	if (len != strlen("timeout") || memcmp(name, "timeout", len) != 0)
		return bad(err, "has an unknown option; there are prefix, ca_file, cert_file, "
				"key_file, timeout");
	if (out->timeout_ms)
		return bad(err, "has the same option twice");
	if (str_to_duration_ms(*value, &out->timeout_ms) < 0 || out->timeout_ms < TIMEOUT_MIN_MS ||
		out->timeout_ms > TIMEOUT_MAX_MS)
		return bad(err, "has a timeout that is not between 10ms and 60s");
	return 0;
}

static int parse_options(const char *s, struct redis_uri *out, struct err *err)
{
	for (;;) {
		size_t len = strcspn(s, "&");
		const char *equals = memchr(s, '=', len);
		if (!equals)
			return bad(err, "has an option without a value");
		char *value = decode(equals + 1, len - (size_t)(equals + 1 - s));
		if (!value)
			return bad(err, "has an option with a malformed %XX");
		int rc = set_option(out, s, (size_t)(equals - s), &value, err);
		free(value);
		if (rc < 0 || !s[len])
			return rc;
		s += len + 1;
	}
}

static int check(struct redis_uri *out, struct err *err)
{
	if (!out->prefix)
		out->prefix = mem_strdup("dex");
	if (!is_prefix(out->prefix))
		return bad(err, "has a prefix with blanks or braces, or too long a one");
	if (!out->timeout_ms)
		out->timeout_ms = TIMEOUT_MS;
	if (!out->tls && (out->ca_file || out->cert_file || out->key_file))
		return bad(err, "names certificates, but asks for no TLS (rediss://)");
	if (!out->cert_file != !out->key_file)
		return bad(err, "needs cert_file and key_file together");
	return 0;
}

static const char *parse_scheme(const char *text, struct redis_uri *out)
{
	static const struct {
		const char *scheme;
		bool tls, sentinel;
	} schemes[] = {
		{"redis://", false, false},
		{"rediss://", true, false},
		{"redis+sentinel://", false, true},
		{"rediss+sentinel://", true, true},
	};
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (str_starts(text, schemes[i].scheme)) {
			out->tls = schemes[i].tls;
			out->sentinel = schemes[i].sentinel;
			return text + strlen(schemes[i].scheme);
		}
	}
	return NULL;
}

static int parse(const char *text, struct redis_uri *out, struct err *err)
{
	if (strlen(text) > TEXT_MAX || str_has_control(text, strlen(text)) || strchr(text, ' ') ||
		strchr(text, '#'))
		return bad(err, "is too long, or holds a blank, '#' or a control character");
	const char *s = parse_scheme(text, out);
	if (!s)
		return bad(err, "begins with none of redis://, rediss://, redis+sentinel://, "
				"rediss+sentinel://");
	size_t len = strcspn(s, "/?");
	const char *at = memchr(s, '@', len);
	if (at) {
		if (parse_user(s, (size_t)(at - s), out, err) < 0)
			return -1;
		len -= (size_t)(at + 1 - s);
		s = at + 1;
	}
	if (parse_hosts(s, len, out, err) < 0)
		return -1;
	s += len;
	s += *s == '/';
	len = strcspn(s, "?");
	if (parse_path(s, len, out, err) < 0)
		return -1;
	s += len;
	if (*s && parse_options(s + 1, out, err) < 0)
		return -1;
	return check(out, err);
}

int redis_uri_parse(const char *text, struct redis_uri *out, struct err *err)
{
	*out = (struct redis_uri){0};
	if (parse(text, out, err) == 0)
		return 0;
	redis_uri_free(out);
	return -1;
}

void redis_uri_free(struct redis_uri *u)
{
	for (size_t i = 0; i < u->nhosts; i++)
		free(u->hosts[i].name);
	if (u->password)
		mem_wipe(u->password, strlen(u->password));
	free(u->user);
	free(u->password);
	free(u->master);
	free(u->prefix);
	free(u->ca_file);
	free(u->cert_file);
	free(u->key_file);
	*u = (struct redis_uri){0};
}
