/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/sigv4.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX ((size_t)256 << 10)
#define TIME_SIZE 17 /* 20130524T000000Z + NUL */
#define DATE_LEN 8
#define HEX_SIZE (2 * DIGEST_SHA256_SIZE + 1)

/* A parameter of a query or a header field, on its way to be sorted. */
struct pair {
	char *name;
	char *value;
	size_t place; /* where it stood: fields of one name keep their order */
};
struct pairs {
	struct pair *items;
	size_t n;
};

static void add_pair(struct pairs *p, char *name, char *value)
{
	p->items = mem_array(p->items, p->n + 1, sizeof *p->items);
	p->items[p->n] = (struct pair){name, value, p->n};
	p->n++;
}

static void free_pairs(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		/* The session token is among them. */
		mem_wipe(p->items[i].value, strlen(p->items[i].value));
		free(p->items[i].value);
		free(p->items[i].name);
	}
	free(p->items);
}

static int by_name_and_value(const void *a, const void *b)
{
	const struct pair *x = a;
	const struct pair *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->value, y->value);
}

static int by_name_and_place(const void *a, const void *b)
{
	const struct pair *x = a;
	const struct pair *y = b;
	int order = strcmp(x->name, y->name);
	return order ? order : (x->place > y->place) - (x->place < y->place);
}

/* The one encoded form of what ${len} bytes of a query stand for; NULL: they are malformed. */
static char *encode_anew(const char *text, size_t len)
{
	struct buf plain;
	struct buf encoded;
	buf_init(&plain, CANONICAL_MAX);
	buf_init(&encoded, CANONICAL_MAX);
	bool ok = uri_decode(&plain, text, len) == 0 && uri_encode(&encoded, buf_str(&plain)) == 0;
	buf_free(&plain);
	char *result = ok ? buf_take(&encoded) : NULL;
	buf_free(&encoded);
	return result;
}

static int add_query(struct buf *out, const char *query)
{
	struct pairs p = {0};
	int rc = 0;
	while (query && *query != '\0' && rc == 0) {
		size_t len = strcspn(query, "&");
		const char *mark = memchr(query, '=', len);
		size_t name_len = mark ? (size_t)(mark - query) : len;
		char *name = encode_anew(query, name_len);
		char *value = mark ? encode_anew(mark + 1, len - name_len - 1) : mem_strdup("");
		if (name && value && len > 0) {
			add_pair(&p, name, value);
		} else {
			rc = name && value ? 0 : -1;
			free(name);
			free(value);
		}
		query += query[len] == '&' ? len + 1 : len;
	}
	if (p.n > 0)
		qsort(p.items, p.n, sizeof *p.items, by_name_and_value);
	for (size_t i = 0; i < p.n; i++)
		rc |= buf_printf(out, "%s%s=%s", i ? "&" : "", p.items[i].name, p.items[i].value);
	free_pairs(&p);
	return rc;
}

/* Without white space at its ends, runs of spaces within made one. */
static char *tidy_value(const char *value)
{
	char *out = mem_alloc(strlen(value) + 1);
	size_t n = 0;
	value += strspn(value, " \t");
	for (; *value != '\0'; value++) {
		if (*value != ' ' || n == 0 || out[n - 1] != ' ')
			out[n++] = *value;
	}
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '\t'))
		n--;
	out[n] = '\0';
	return out;
}

/* What is between the two ends of a connection only, or is written by others, is not signed. */
static bool is_signed(const char *name)
{
	static const char *const others[] = {"authorization", "connection", "content-length",
		"expect", "host", "transfer-encoding", "user-agent"};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		if (str_eq_ci(name, others[i]))
			return false;
	}
	return true;
}

static struct pairs signed_fields(const char *host, const struct net_headers *headers)
{
	struct pairs p = {0};
	add_pair(&p, mem_strdup("host"), tidy_value(host));
	for (size_t i = 0; i < headers->n; i++) {
		if (!is_signed(headers->items[i].name))
			continue;
		char *name = mem_strdup(headers->items[i].name);
		str_lower(name);
		add_pair(&p, name, tidy_value(headers->items[i].value));
	}
	qsort(p.items, p.n, sizeof *p.items, by_name_and_place);
	return p;
}

static bool repeats(const struct pairs *p, size_t i)
{
	return i > 0 && strcmp(p->items[i].name, p->items[i - 1].name) == 0;
}

static int add_names(struct buf *out, const struct pairs *p)
{
	int rc = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (!repeats(p, i))
			rc |= buf_printf(out, "%s%s", i ? ";" : "", p->items[i].name);
	}
	return rc;
}

static int add_fields(struct buf *out, const struct pairs *p)
{
	int rc = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (repeats(p, i))
			rc |= buf_add_char(out, ',');
		else
			rc |= buf_printf(out, "%s%s:", i ? "\n" : "", p->items[i].name);
		rc |= buf_add_str(out, p->items[i].value);
	}
	return rc | buf_add_str(out, "\n\n");
}

static int add_request(struct buf *out, const char *method, const char *path, const char *query,
	const struct pairs *fields, const char *payload, const struct sigv4_scope *scope)
{
	int rc = buf_printf(out, "%s\n", method);
	rc |= str_eq(scope->service, "s3") ? buf_add_str(out, path) : uri_encode_path(out, path);
	rc |= buf_add_char(out, '\n');
	rc |= add_query(out, query);
	rc |= buf_add_char(out, '\n');
	rc |= add_fields(out, fields);
	rc |= add_names(out, fields);
	return rc | buf_printf(out, "\n%s", payload);
}

int sigv4_canonical(const char *method, const char *host, const char *path, const char *query,
	const struct net_headers *headers, const char *payload, const struct sigv4_scope *scope,
	struct buf *out)
{
	struct pairs fields = signed_fields(host, headers);
	int rc = add_request(out, method, path, query, &fields, payload, scope);
	free_pairs(&fields);
	return rc;
}

void sigv4_payload_hash(char out[65], const void *data, size_t len)
{
	digest_sha256_hex(data, len, out);
}

static void mac(unsigned char key[DIGEST_SHA256_SIZE], const char *text, size_t len)
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	digest_hmac_sha256(key, DIGEST_SHA256_SIZE, text, len, sum);
	memcpy(key, sum, sizeof sum);
	mem_wipe(sum, sizeof sum);
}

static void derive_key(unsigned char key[DIGEST_SHA256_SIZE], const char *secret,
	const struct sigv4_scope *scope, const char *date)
{
	size_t len = strlen(secret) + 4;
	char *start = mem_alloc(len + 1);
	(void)snprintf(start, len + 1, "AWS4%s", secret);
	digest_hmac_sha256(start, len, date, DATE_LEN, key);
	mem_wipe(start, len);
	free(start);
	mac(key, scope->region, strlen(scope->region));
	mac(key, scope->service, strlen(scope->service));
	mac(key, "aws4_request", strlen("aws4_request"));
}

static void time_text(char out[TIME_SIZE], int64_t now)
{
	struct clock_civil c;
	clock_civil(now, &c);
	/* Years have four digits for as long as anybody signs this way. */
	(void)snprintf(out, TIME_SIZE, "%04u%02u%02uT%02u%02u%02uZ", (unsigned)c.year % 10000,
		(unsigned)c.month % 100, (unsigned)c.day % 100, (unsigned)c.hour % 100,
		(unsigned)c.minute % 100, (unsigned)c.second % 100);
}

/* Append the value of Authorization for a canonical request. */
static int add_authorization(struct buf *out, const struct buf *canonical,
	const struct pairs *fields, const struct sigv4_keys *keys, const struct sigv4_scope *scope,
	const char *time)
{
	struct buf text;
	buf_init(&text, CANONICAL_MAX);
	char hex[HEX_SIZE];
	sigv4_payload_hash(hex, canonical->data, canonical->len);
	int rc = buf_printf(&text, ALGORITHM "\n%s\n%.8s/%s/%s/aws4_request\n%s", time, time,
		scope->region, scope->service, hex);
	if (rc == 0) {
		unsigned char key[DIGEST_SHA256_SIZE];
		derive_key(key, keys->secret_access_key, scope, time);
		mac(key, text.data, text.len);
		str_hex(hex, key, sizeof key);
		mem_wipe(key, sizeof key);
		rc = buf_printf(out,
			ALGORITHM " Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=",
			keys->access_key_id, time, scope->region, scope->service);
		rc |= add_names(out, fields);
		rc |= buf_printf(out, ", Signature=%s", hex);
	}
	buf_free(&text);
	return rc;
}

int sigv4_sign(const char *method, const char *host, const char *path, const char *query,
	struct net_headers *headers, const char *payload, const struct sigv4_keys *keys,
	const struct sigv4_scope *scope, int64_t now, struct err *err)
{
	bool token = keys->session_token && keys->session_token[0] != '\0';
	char time[TIME_SIZE];
	time_text(time, now);
	net_headers_set(headers, "Authorization", NULL);
	net_headers_set(headers, "X-Amz-Date", time);
	net_headers_set(headers, "X-Amz-Security-Token", token ? keys->session_token : NULL);
	if (str_eq(scope->service, "s3"))
		net_headers_set(headers, "X-Amz-Content-Sha256", payload);

	struct buf canonical;
	struct buf value;
	buf_init_secret(&canonical, CANONICAL_MAX); /* the session token is in it */
	buf_init(&value, CANONICAL_MAX);
	struct pairs fields = signed_fields(host, headers);
	int rc = add_request(&canonical, method, path, query, &fields, payload, scope);
	if (rc == 0)
		rc = add_authorization(&value, &canonical, &fields, keys, scope, time);
	if (rc == 0)
		net_headers_set(headers, "Authorization", value.data);
	else
		err_set(err, ERR_INVALID, __func__,
			"a request whose query is malformed, or that is too large to sign");
	free_pairs(&fields);
	buf_free(&canonical);
	buf_free(&value);
	return rc;
}
