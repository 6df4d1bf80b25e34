/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/net/sigv4.h"
#include "core/net/uri.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A URL put together from its pieces has the same pieces. */
static void parse(const char *text)
{
	struct uri u;
	struct err err = {0};
	int rc = uri_parse(text, &u, &err);
	if ((rc == 0) != (err.code == ERR_NONE))
		abort();
	if (rc != 0)
		return;
	struct buf b;
	struct uri v;
	buf_init(&b, strlen(text) + 16);
	if (uri_origin(&u, &b) != 0 || buf_printf(&b, "%s?%s", u.path, u.query) != 0 ||
		uri_parse(b.data, &v, NULL) != 0 || u.tls != v.tls || u.port != v.port ||
		strcmp(u.host, v.host) != 0 || strcmp(u.authority, v.authority) != 0 ||
		strcmp(u.path, v.path) != 0 || strcmp(u.query, v.query) != 0)
		abort();
	uri_free(&v);
	uri_free(&u);
	buf_free(&b);
}

static void encode(const char *text)
{
	size_t len = strlen(text);
	struct buf encoded;
	struct buf plain;
	buf_init(&encoded, 3 * len);
	buf_init(&plain, len);
	if (uri_encode(&encoded, text) != 0 ||
		uri_decode(&plain, buf_str(&encoded), encoded.len) != 0 ||
		strcmp(buf_str(&plain), text) != 0)
		abort();
	buf_free(&encoded);
	buf_free(&plain);
}

/* The canonical form of a query is its own canonical form. */
static void canonical(const char *query)
{
	static const struct sigv4_scope scope = {"r", "s3"};
	struct net_headers none;
	struct buf first;
	struct buf second;
	net_headers_init(&none);
	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	if (sigv4_canonical("GET", "h", "/", query, &none, "x", &scope, &first) == 0) {
		const char *begin = first.data + strlen("GET\n/\n");
		char *again = mem_strndup(begin, strcspn(begin, "\n"));
		if (sigv4_canonical("GET", "h", "/", again, &none, "x", &scope, &second) != 0 ||
			strcmp(first.data, second.data) != 0)
			abort();
		free(again);
	}
	buf_free(&first);
	buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size < 4096 ? size : 4096);
	struct buf out;
	buf_init(&out, size);
	if (uri_decode(&out, (const char *)data, size) == 0 && strlen(buf_str(&out)) != out.len)
		abort();
	buf_free(&out);
	parse(text);
	encode(text);
	canonical(text);
	free(text);
	return 0;
}
