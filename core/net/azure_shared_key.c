/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/azure_shared_key.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"

#include <stdlib.h>
#include <string.h>

#define STRING_MAX (256 * 1024) /* metadata may be 8 KiB, URLs are a few KiB */
#define PARAMETERS_MAX 64
#define PARAMETER_MAX (16 * 1024)
#define SIGNATURE_MAX 64 /* Base64 of 32 bytes is 44 */

struct pair {
	char *name; /* lower case */
	char *value;
};

static void free_pairs(struct pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(pairs[i].name);
		mem_free_secret(pairs[i].value);
	}
	free(pairs);
}

/*
 * The service sorts names as words, not as bytes: hyphens count only between names that are
 * otherwise the same, and '_' comes before digits.
 */
static int weight(char c)
{
	return c == '_' ? 1 : (unsigned char)c + 1;
}

static int compare_names(const char *a, const char *b)
{
	const char *p = a;
	const char *q = b;
	for (;;) {
		p += strspn(p, "-");
		q += strspn(q, "-");
		if (*p == '\0' || *q == '\0' || *p != *q)
			break;
		p++;
		q++;
	}
	if (*p == '\0' && *q == '\0')
		return strcmp(a, b);
	if (*p == '\0' || *q == '\0')
		return *p == '\0' ? -1 : 1;
	return weight(*p) - weight(*q);
}

static int by_name(const void *a, const void *b)
{
	return compare_names(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct pair *p = a;
	const struct pair *q = b;
	int c = strcmp(p->name, q->name);
	return c != 0 ? c : strcmp(p->value, q->value);
}

static char *without_blanks_around(const char *s)
{
	s += strspn(s, " \t");
	size_t len = strlen(s);
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return mem_strndup(s, len);
}

/* "x-ms-NAME:VALUE\n" of each such field, sorted. */
static void add_headers(const struct net_headers *h, struct buf *out)
{
	struct pair *pairs = mem_array(NULL, h->n + 1, sizeof *pairs);
	size_t n = 0;
	for (size_t i = 0; i < h->n; i++) {
		char *name = mem_strdup(h->items[i].name);
		str_lower(name);
		if (str_starts(name, "x-ms-"))
			pairs[n++] = (struct pair){name, without_blanks_around(h->items[i].value)};
		else
			free(name);
	}
	qsort(pairs, n, sizeof *pairs, by_name);
	for (size_t i = 0; i < n; i++)
		(void)buf_printf(out, "%s:%s\n", pairs[i].name, pairs[i].value);
	free_pairs(pairs, n);
}

/* Where path and query of a URL begin; both may be empty. */
static void split_url(const char *url, const char **path, size_t *path_len, const char **query)
{
	const char *mark = strstr(url, "://");
	const char *rest = mark ? mark + 3 : url;
	rest += strcspn(rest, "/?");
	*path = rest;
	*path_len = strcspn(rest, "?");
	*query = rest[*path_len] ? rest + *path_len + 1 : "";
}

static char *decoded(const char *s, size_t len)
{
	struct buf b;
	buf_init_secret(&b, PARAMETER_MAX);
	if (uri_decode(&b, s, len) < 0) {
		buf_free(&b);
		return NULL;
	}
	return buf_take(&b);
}

static int take_parameter(const char *s, size_t len, struct pair *out)
{
	const char *eq = memchr(s, '=', len);
	size_t name_len = eq ? (size_t)(eq - s) : len;
	out->name = decoded(s, name_len);
	out->value = eq ? decoded(eq + 1, len - name_len - 1) : mem_strdup("");
	if (!out->name || !out->value) {
		free(out->name);
		mem_free_secret(out->value);
		return -1;
	}
	str_lower(out->name);
	return 0;
}

/* "\nNAME:VALUE,VALUE" of each name, sorted. */
static int add_parameters(const char *query, struct buf *out)
{
	struct pair *pairs = mem_array(NULL, PARAMETERS_MAX, sizeof *pairs);
	size_t n = 0;
	int rc = 0;
	while (*query && rc == 0) {
		size_t len = strcspn(query, "&");
		if (len > 0) {
			rc = n < PARAMETERS_MAX ? take_parameter(query, len, &pairs[n]) : -1;
			n += rc == 0;
		}
		query += len + (query[len] == '&');
	}
	if (rc == 0) {
		qsort(pairs, n, sizeof *pairs, by_name_and_value);
		for (size_t i = 0; i < n; i++) {
			if (i > 0 && str_eq(pairs[i].name, pairs[i - 1].name))
				(void)buf_printf(out, ",%s", pairs[i].value);
			else
				(void)buf_printf(out, "\n%s:%s", pairs[i].name, pairs[i].value);
		}
	}
	free_pairs(pairs, n);
	return rc;
}

static const char *field(const struct net_headers *h, const char *name)
{
	const char *value = net_headers_get(h, name);
	return value ? value : "";
}

int azure_shared_key_string(
	const struct net_request *r, const char *account, struct buf *out, struct err *err)
{
	static const char *const conditions[] = {
		"If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"};
	const struct net_headers *h = &r->headers;
	const char *path, *query;
	size_t path_len;
	split_url(r->url, &path, &path_len, &query);

	(void)buf_printf(out, "%s\n%s\n%s\n", r->method, field(h, "Content-Encoding"),
		field(h, "Content-Language"));
	/* A length of 0 is the empty string. */
	if (r->body_len > 0)
		(void)buf_printf(out, "%zu", r->body_len);
	(void)buf_printf(out, "\n%s\n%s\n%s\n", field(h, "Content-MD5"), field(h, "Content-Type"),
		net_headers_get(h, "x-ms-date") ? "" : field(h, "Date"));
	for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++)
		(void)buf_printf(out, "%s\n", field(h, conditions[i]));
	add_headers(h, out);
	(void)buf_printf(out, "/%s", account);
	(void)buf_add(out, path_len ? path : "/", path_len ? path_len : 1);
	if (add_parameters(query, out) < 0)
		return err_set(err, ERR_INVALID, __func__, "a URL whose query cannot be signed");
	if (out->overflow)
		return err_set(
			err, ERR_INVALID, __func__, "a request that is too long to be signed");
	return 0;
}

/* Append the Base64 of the HMAC of ${text}. */
static int add_signature(const struct azure_shared_key *k, const struct buf *text, struct buf *out)
{
	unsigned char mac[DIGEST_SHA256_SIZE];
	digest_hmac_sha256(k->key, k->key_len, buf_str(text), text->len, mac);
	return str_base64_encode(out, mac, sizeof mac);
}

int azure_shared_key_sign(const struct azure_shared_key *k, struct net_request *r, struct err *err)
{
	struct buf text, value;
	buf_init_secret(&text, STRING_MAX);
	buf_init_secret(&value, strlen(k->account) + SIGNATURE_MAX);
	int rc = azure_shared_key_string(r, k->account, &text, err);
	if (rc == 0) {
		(void)buf_printf(&value, "SharedKey %s:", k->account);
		rc = add_signature(k, &text, &value);
		if (rc < 0)
			err_set(err, ERR_INVALID, __func__, "an account name that is too long");
		else
			net_headers_set(&r->headers, "Authorization", value.data);
	}
	buf_free(&value);
	buf_free(&text);
	return rc;
}

/* "/blob/ACCOUNT/CONTAINER/BLOB", decoded. The account is in the host's name, or begins the path.
 */
static int add_blob_resource(const char *account, const char *url, struct buf *out)
{
	const char *path, *query;
	size_t path_len;
	size_t n = strlen(account);
	split_url(url, &path, &path_len, &query);
	const char *host = strstr(url, "://");
	bool in_host = host && str_starts(host + 3, account) && host[3 + n] == '.';
	if (!in_host && path_len > n + 1 && memcmp(path + 1, account, n) == 0 &&
		path[n + 1] == '/') {
		path += n + 1;
		path_len -= n + 1;
	}
	(void)buf_printf(out, "/blob/%s", account);
	return uri_decode(out, path, path_len);
}

int azure_shared_key_read_sas(const struct azure_shared_key *k, const char *url,
	const char *version, int64_t expires_at, struct buf *out)
{
	struct buf text, signature;
	struct clock_civil t;
	char expiry[32];
	int rc = -1;
	buf_init_secret(&text, STRING_MAX);
	buf_init_secret(&signature, SIGNATURE_MAX);
	clock_civil(expires_at, &t);
	(void)buf_printf(&text, "%04d-%02d-%02dT%02d:%02d:%02dZ", t.year, t.month, t.day, t.hour,
		t.minute, t.second);
	if (!str_copy(expiry, sizeof expiry, buf_str(&text)))
		goto out;
	buf_reset(&text);
	/* permissions, start, expiry, resource, identifier, IP, protocol, version, kind, snapshot,
	 * encryption scope, five headers of the answer */
	(void)buf_printf(&text, "r\n\n%s\n", expiry);
	if (add_blob_resource(k->account, url, &text) < 0)
		goto out;
	(void)buf_printf(&text, "\n\n\n\n%s\nb\n\n\n\n\n\n\n", version);
	if (text.overflow || add_signature(k, &text, &signature) < 0)
		goto out;
	(void)buf_printf(out, "sv=%s&sr=b&sp=r&se=", version);
	(void)uri_encode(out, expiry);
	(void)buf_add_str(out, "&sig=");
	rc = uri_encode(out, signature.data);
out:
	buf_free(&signature);
	buf_free(&text);
	return rc;
}
