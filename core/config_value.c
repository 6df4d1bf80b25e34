/* SPDX-License-Identifier: Apache-2.0 */
/* What a value of each type may look like, and its normal form. */
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/config_impl.h"
#include "core/net/loopback.h"
#include "core/net/uri.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_MAX_BYTES 512
#define ELEMENT_MAX_BYTES 512
#define LIST_MAX_BYTES 8192

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool only(const char *s, const char *allowed)
{
	return s[0] && s[strspn(s, allowed)] == '\0';
}

/* Segments between slashes: none empty, "." or "..". */
static bool segments_valid(const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "/");
		if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return false;
		if (s[n] == '\0')
			return true;
		s += n + 1;
	}
}

static int parse_text(const struct config_row *row, const char *text, struct config_value *out)
{
	(void)row;
	out->text = mem_strdup(text);
	return 0;
}

static int parse_bool(const struct config_row *row, const char *text, struct config_value *out)
{
	bool on;
	(void)row;
	if (str_to_bool(text, &on) < 0)
		return -1;
	out->num = on;
	out->text = mem_strdup(on ? "true" : "false");
	return 0;
}

static int parse_number(const struct config_row *row, const char *text, struct config_value *out)
{
	int64_t ms;
	switch (row->type) {
	case CONFIG_SIZE:
		if (str_to_size(text, &out->num) < 0)
			return -1;
		break;
	case CONFIG_DURATION:
		if (str_to_duration_ms(text, &ms) < 0)
			return -1;
		out->num = (uint64_t)ms;
		break;
	default:
		if (str_to_u64(text, UINT64_MAX, &out->num) < 0)
			return -1;
	}
	if (out->num < row->min || out->num > row->max)
		return -1;
	out->text = mem_strdup(text);
	return 0;
}

static int parse_choice(const struct config_row *row, const char *text, struct config_value *out)
{
	for (const char *p = row->choices;; p++) {
		size_t n = strcspn(p, "|");
		char *choice = mem_strndup(p, n);
		if (str_eq_ci(choice, text)) {
			out->text = choice;
			return 0;
		}
		free(choice);
		p += n;
		if (*p == '\0')
			return -1;
	}
}

static int parse_path(const struct config_row *row, const char *text, struct config_value *out)
{
	size_t n = strlen(text);
	while (n > 1 && text[n - 1] == '/')
		n--;
	char *path = mem_strndup(text, n);
	struct stat st;
	if (row->type != CONFIG_PATH) {
		bool dir = row->type == CONFIG_DIR;
		if (stat(path, &st) < 0 || (dir ? !S_ISDIR(st.st_mode) : S_ISDIR(st.st_mode))) {
			free(path);
			return -1;
		}
	}
	out->text = path;
	return 0;
}

static int parse_url_path(const struct config_row *row, const char *text, struct config_value *out)
{
	struct buf b;
	(void)row;
	if (text[0] != '/' || !only(text, LETTERS DIGITS "-._~/"))
		return -1;
	buf_init(&b, KEY_MAX_BYTES);
	size_t n = strlen(text);
	/* one final slash is dropped here, so that "//" and "/" show up as an empty segment */
	(void)buf_add(&b, text, text[n - 1] == '/' ? n - 1 : n);
	if (b.overflow || b.len == 0 || !segments_valid(b.data + 1) || buf_add_char(&b, '/') < 0) {
		buf_free(&b);
		return -1;
	}
	out->text = buf_take(&b);
	return 0;
}

static int parse_key(const struct config_row *row, const char *text, struct config_value *out)
{
	if (strlen(text) > KEY_MAX_BYTES || !segments_valid(text))
		return -1;
	return parse_text(row, text, out);
}

static bool host_valid(const char *host)
{
	unsigned char addr[16];
	size_t n = strlen(host);
	if (n > 253)
		return false;
	if (host[0] != '[')
		return only(host, LETTERS DIGITS "-._");
	if (host[n - 1] != ']')
		return false;
	char *inner = mem_strndup(host + 1, n - 2);
	bool ok = inet_pton(AF_INET6, inner, addr) == 1;
	free(inner);
	return ok;
}

static int parse_host(const struct config_row *row, const char *text, struct config_value *out)
{
	return host_valid(text) ? parse_text(row, text, out) : -1;
}

static int parse_url(const struct config_row *row, const char *text, struct config_value *out)
{
	struct uri u = {0};
	bool ok = uri_parse(text, &u, NULL) == 0;
	/* What is sent to a service, or comes from it, is not for others' eyes. */
	if (ok && row->type == CONFIG_SERVICE)
		ok = u.tls || loopback_is(u.host);
	uri_free(&u);
	return ok ? parse_text(row, text, out) : -1;
}

static int parse_scopes(const struct config_row *row, const char *text, struct config_value *out)
{
	struct buf b;
	(void)row;
	buf_init(&b, LIST_MAX_BYTES);
	for (const char *p = text; *p; p++) {
		/* also where the last character was a space */
		if (*p == ' ' && (b.len == 0 || b.data[b.len - 1] == ' '))
			continue;
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\' || buf_add_char(&b, *p) < 0) {
			buf_free(&b);
			return -1;
		}
	}
	if (b.len > 0 && b.data[b.len - 1] == ' ')
		b.data[--b.len] = '\0';
	bool some = b.len > 0;
	out->text = some ? buf_take(&b) : NULL;
	buf_free(&b);
	return some ? 0 : -1;
}

/* host [ ":" port ] */
static bool host_port_valid(const char *s)
{
	uint64_t port;
	char *host = mem_strdup(s);
	char *bracket = strchr(host, ']');
	char *colon = strchr(bracket ? bracket : host, ':');
	bool ok = true;
	if (colon) {
		ok = str_to_u64(colon + 1, 65535, &port) == 0 && port > 0;
		*colon = '\0';
	}
	ok = ok && host[0] && host_valid(host);
	free(host);
	return ok;
}

static int parse_host_port(const struct config_row *row, const char *text, struct config_value *out)
{
	return host_port_valid(text) ? parse_text(row, text, out) : -1;
}

/* RFC 6454 section 6.2: scheme "://" host [ ":" port ], in lower case as browsers send it. */
static bool origin_valid(char *s)
{
	str_lower(s);
	size_t scheme = strspn(s, LETTERS DIGITS "+-.");
	if (scheme == 0 || !strchr(LETTERS, s[0]) || !str_starts(s + scheme, "://"))
		return false;
	return host_port_valid(s + scheme + 3);
}

static bool network_valid(char *s)
{
	unsigned char addr[16];
	uint64_t bits;
	char *slash = strchr(s, '/');
	if (slash)
		*slash = '\0';
	bool four = inet_pton(AF_INET, s, addr) == 1;
	bool ok = four || inet_pton(AF_INET6, s, addr) == 1;
	if (slash) {
		*slash = '/';
		ok = ok && str_to_u64(slash + 1, four ? 32 : 128, &bits) == 0;
	}
	return ok;
}

static bool name_valid(char *s)
{
	return only(s, LETTERS DIGITS "_") && !strchr(DIGITS, s[0]);
}

static bool list_has(const char *list, const char *elem)
{
	size_t n = strlen(elem);
	for (const char *p = list; *p;) {
		size_t len = strcspn(p, ",");
		if (len == n && memcmp(p, elem, n) == 0)
			return true;
		p += len + (p[len] == ',');
	}
	return false;
}

/* ${valid} may rewrite the element in place. */
static int parse_list(const char *text, bool (*valid)(char *elem), struct config_value *out)
{
	struct buf b;
	buf_init(&b, LIST_MAX_BYTES);
	for (const char *p = text;; p++) {
		p += strspn(p, " ");
		size_t len = strcspn(p, ",");
		size_t n = len;
		while (n > 0 && p[n - 1] == ' ')
			n--;
		char *elem = mem_strndup(p, n);
		bool ok = n <= ELEMENT_MAX_BYTES && valid(elem);
		if (ok && !list_has(buf_str(&b), elem))
			ok = (b.len == 0 || buf_add_char(&b, ',') == 0) &&
			     buf_add_str(&b, elem) == 0;
		free(elem);
		if (!ok)
			goto fail;
		p += len;
		if (*p == '\0')
			break;
	}
	out->text = buf_take(&b);
	return 0;
fail:
	buf_free(&b);
	return -1;
}

static int parse_origins(const struct config_row *row, const char *text, struct config_value *out)
{
	if (strcmp(text, "*") == 0)
		return parse_text(row, text, out);
	return parse_list(text, origin_valid, out);
}

static int parse_networks(const struct config_row *row, const char *text, struct config_value *out)
{
	(void)row;
	return parse_list(text, network_valid, out);
}

static int parse_names(const struct config_row *row, const char *text, struct config_value *out)
{
	(void)row;
	return parse_list(text, name_valid, out);
}

static const struct {
	int (*parse)(const struct config_row *row, const char *text, struct config_value *out);
	const char *expected; /* in front of limits and choices */
} types[CONFIG_TYPES] = {
	[CONFIG_TEXT] = {parse_text, "text without control characters"},
	[CONFIG_BOOL] = {parse_bool, "true or false"},
	[CONFIG_UINT] = {parse_number, "a whole number"},
	[CONFIG_SIZE] = {parse_number, "a size in bytes such as 512, 64MiB or 5GiB"},
	[CONFIG_DURATION] = {parse_number, "a duration such as 500ms, 90s, 15m or 24h,"},
	[CONFIG_CHOICE] = {parse_choice, "one of"},
	[CONFIG_PATH] = {parse_path, "a path"},
	[CONFIG_DIR] = {parse_path, "a directory that exists"},
	[CONFIG_FILE] = {parse_path, "a file that exists"},
	[CONFIG_URL_PATH] = {parse_url_path, "a URL path such as /files/"},
	[CONFIG_KEY] = {parse_key, "a relative path without empty, . or .. parts"},
	[CONFIG_HOST] = {parse_host, "a host name or address without port"},
	[CONFIG_HOST_PORT] = {parse_host_port,
		"a host name or address, with a port if not the usual one"},
	[CONFIG_SERVICE] = {parse_url, "an https URL, or an http one on this machine"},
	[CONFIG_URL] = {parse_url, "an http or https URL"},
	[CONFIG_SCOPES] = {parse_scopes, "scopes separated by spaces"},
	[CONFIG_ORIGINS] = {parse_origins,
		"* or a comma-separated list of origins such as https://app.example.org:8443"},
	[CONFIG_NETWORKS] = {parse_networks,
		"a comma-separated list of addresses or networks such as 10.0.0.0/8 or ::1"},
	[CONFIG_NAMES] = {parse_names,
		"a comma-separated list of names made of letters, digits and _"},
};

int config_value_parse(const struct config_row *row, const char *text, struct config_value *out)
{
	size_t len = strlen(text);
	*out = (struct config_value){0};
	if (len == 0 && (row->flags & CONFIG_EMPTY_OK)) {
		out->text = mem_strdup("");
		return 0;
	}
	if (len == 0 || !str_is_utf8(text, len) || str_has_control(text, len))
		return -1;
	return types[row->type].parse(row, text, out);
}

static int add_duration(struct buf *out, uint64_t ms)
{
	static const struct {
		uint64_t ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;
	if (ms == 0)
		return buf_add_char(out, '0');
	while (ms % units[i].ms != 0)
		i++;
	return buf_printf(out, "%" PRIu64 "%s", ms / units[i].ms, units[i].unit);
}

int config_value_expected(const struct config_row *row, struct buf *out)
{
	int rc = buf_add_str(out, types[row->type].expected);
	if (row->type == CONFIG_UINT)
		rc |= buf_printf(out, " %" PRIu64 " to %" PRIu64, row->min, row->max);
	if (row->type == CONFIG_DURATION) {
		rc |= buf_add_char(out, ' ');
		rc |= add_duration(out, row->min);
		rc |= buf_add_str(out, " to ");
		rc |= add_duration(out, row->max);
	}
	if (row->type == CONFIG_CHOICE) {
		rc |= buf_add_char(out, ' ');
		for (const char *p = row->choices; *p; p++)
			rc |= *p == '|' ? buf_add_str(out, ", ") : buf_add_char(out, *p);
	}
	return rc ? -1 : 0;
}

/* "./uploads" -> ".", "/srv/uploads" -> "/srv", "uploads" -> ".", ".." -> "../..". */
static char *parent_by_name(const char *folder)
{
	const char *slash = strrchr(folder, '/');
	const char *last = slash ? slash + 1 : folder;
	struct buf b;
	if (strcmp(last, "..") == 0 || strcmp(last, ".") == 0 || *last == '\0') {
		buf_init(&b, strlen(folder) + 4);
		(void)buf_printf(&b, "%s/..", folder);
		return buf_take(&b);
	}
	if (!slash)
		return mem_strdup(".");
	return mem_strndup(folder, slash == folder ? 1 : (size_t)(slash - folder));
}

char *config_value_default(const struct config_row *row, size_t n, const char *folder)
{
	const char *p = row->def;
	struct buf b;
	for (; p && n > 0; n--) {
		p = strchr(p, '|');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return NULL;
	size_t len = strcspn(p, "|");
	size_t skip = strlen(CONFIG_FOLDER);
	if (!str_starts(p, CONFIG_FOLDER))
		return mem_strndup(p, len);
	bool up = str_starts(p + skip, "/../");
	char *base = up ? parent_by_name(folder) : mem_strdup(folder);
	skip += up ? 3 : 0;
	/* "/" + "/name" would otherwise begin with two slashes */
	size_t base_len = strcmp(base, "/") == 0 ? 0 : strlen(base);
	buf_init(&b, base_len + len);
	(void)buf_add(&b, base, base_len);
	(void)buf_add(&b, p + skip, len - skip);
	free(base);
	return buf_take(&b);
}
