/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures that others have computed. "docs": the examples of
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html; "suite": cases of
 * AWS's published Signature Version 4 test suite; the rest comes from a second implementation in
 * Python (hmac, hashlib) that gives the same as the docs and the suite where they have an answer.
 */
#include "core/base/err.h"
#include "core/net/sigv4.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DOCS INT64_C(1369353600000000)  /* 2013-05-24T00:00:00Z */
#define SUITE INT64_C(1440938160000000) /* 2015-08-30T12:36:00Z */
#define OWN INT64_C(1767323045000000)   /* 2026-01-02T03:04:05Z */

static const struct sigv4_scope s3 = {"us-east-1", "s3"};
static const struct sigv4_scope service = {"us-east-1", "service"};
static const struct sigv4_scope sns = {"eu-central-1", "sns"};
static const struct sigv4_keys docs_keys = {
	"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
static const struct sigv4_keys docs_keys_token = {
	"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZX/+="};
static const struct sigv4_keys suite_keys = {
	"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};
static const struct sigv4_keys suite_keys_token = {"AKIDEXAMPLE",
	"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxf"
	"pSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPk"
	"yQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBA"
	"z+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="};

#define BUCKET "examplebucket.s3.amazonaws.com"
#define EXAMPLE "example.amazonaws.com"

static const struct row {
	const char *title;
	const struct sigv4_keys *keys;
	const struct sigv4_scope *scope;
	int64_t now;
	const char *method, *host, *path, *query;
	const char *fields[12]; /* name, value, … NULL */
	const char *body;       /* NULL: not signed */
	const char *names;      /* signed */
	const char *signature;
} rows[] = {
	{"docs: GET object", &docs_keys, &s3, DOCS, "GET", BUCKET, "/test.txt", NULL,
		{"Range", "bytes=0-9"}, "", "host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"docs: PUT object", &docs_keys, &s3, DOCS, "PUT", BUCKET, "/test%24file.text", "",
		{"x-amz-storage-class", "REDUCED_REDUNDANCY", "Date",
			"Fri, 24 May 2013 00:00:00 GMT"},
		"Welcome to Amazon S3.",
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"docs: GET lifecycle", &docs_keys, &s3, DOCS, "GET", BUCKET, "/", "lifecycle", {NULL}, "",
		"host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"docs: list objects", &docs_keys, &s3, DOCS, "GET", BUCKET, "/", "prefix=J&max-keys=2",
		{NULL}, "", "host;x-amz-content-sha256;x-amz-date",
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	{"suite: get-vanilla", &suite_keys, &service, SUITE, "GET", EXAMPLE, "/", NULL, {NULL}, "",
		"host;x-amz-date",
		"5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"suite: get-vanilla-query-order-key-case", &suite_keys, &service, SUITE, "GET", EXAMPLE,
		"/", "Param2=value2&Param1=value1", {NULL}, "", "host;x-amz-date",
		"b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"suite: get-vanilla-utf8-query", &suite_keys, &service, SUITE, "GET", EXAMPLE, "/",
		"%e1%88%b4=bar", {NULL}, "", "host;x-amz-date",
		"2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{"suite: get-header-value-trim", &suite_keys, &service, SUITE, "GET", EXAMPLE, "/", NULL,
		{"My-Header1", " value1", "My-Header2", " \"a   b   c\""}, "",
		"host;my-header1;my-header2;x-amz-date",
		"acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"suite: get-header-value-order", &suite_keys, &service, SUITE, "GET", EXAMPLE, "/", NULL,
		{"My-Header1", "value2", "My-Header1", "value2", "My-Header1", "value1"}, "",
		"host;my-header1;x-amz-date",
		"c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"suite: post-vanilla", &suite_keys, &service, SUITE, "POST", EXAMPLE, "/", NULL, {NULL},
		"", "host;x-amz-date",
		"5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"suite: post-x-www-form-urlencoded", &suite_keys, &service, SUITE, "POST", EXAMPLE, "/",
		NULL, {"Content-Type", "application/x-www-form-urlencoded"}, "Param1=value1",
		"content-type;host;x-amz-date",
		"ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
	{"suite: post-sts-header-before", &suite_keys_token, &service, SUITE, "POST", EXAMPLE, "/",
		NULL, {NULL}, "", "host;x-amz-date;x-amz-security-token",
		"85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	{"names in their order, empty values, one name twice", &docs_keys, &s3, DOCS, "PUT", BUCKET,
		"/a/b%20c", NULL,
		{"x-amz-meta-foo-b", "2", "x-amz-meta-foo", "1", "X-Amz-Meta-Foo.c", "",
			"x-amz-meta-foo_d", "  a   b ", "x-amz-meta-foo", "3"},
		NULL,
		"host;x-amz-content-sha256;x-amz-date;x-amz-meta-foo;x-amz-meta-foo-b;"
		"x-amz-meta-foo.c;x-amz-meta-foo_d",
		"8e51692a856893f1462fc8951ecf8b31094ff0c8825d6443142ce500287a5f9b"},
	{"UTF-8 in the key", &docs_keys, &s3, DOCS, "POST", BUCKET, "/%C3%BC/%E2%82%AC%2B~",
		"uploads", {"User-Agent", "x", "Content-Length", "0", "connection", "close"}, "",
		"host;x-amz-content-sha256;x-amz-date",
		"f24be9fa731597a08d37f1e2345dc137a8803af68219032835aebb64f14ac80f"},
	{"session token, escapes in the query", &docs_keys_token, &s3, DOCS, "PUT", BUCKET, "/k",
		"uploadId=a%2Bb%3d&partNumber=10&x-id=%7e", {NULL}, "",
		"host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
		"197ee717bb192f6cb7df9207cd3b1192f1538153b6ec159d85b00758850a952f"},
	{"parameters of one name, of none, a port", &docs_keys, &s3, DOCS, "GET", "127.0.0.1:9000",
		"/examplebucket", "prefix=&list-type=2&delimiter=%2f&a=2&a=1&&a", {NULL}, "",
		"host;x-amz-content-sha256;x-amz-date",
		"ccd5b4b55227552462ee3a4ba1b079142b4f8434f57ff579690def57f11bbf25"},
	{"a path encoded once more", &suite_keys, &sns, OWN, "POST",
		"sns.eu-central-1.amazonaws.com", "/a%20b/", NULL,
		{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
		"Action=Publish", "content-type;host;x-amz-date",
		"c6104abb0da51c85f3950a6041ed40faf61a2c5c912fb934890648f9b3771c79"},
};

static void give_fields(struct net_headers *h, const struct row *r)
{
	net_headers_init(h);
	for (size_t i = 0; r->fields[i]; i += 2)
		net_headers_add(h, r->fields[i], r->fields[i + 1]);
}

static int sign(const struct row *r, struct net_headers *h, struct err *err)
{
	char hash[65];
	if (r->body)
		sigv4_payload_hash(hash, r->body, strlen(r->body));
	return sigv4_sign(r->method, r->host, r->path, r->query, h, r->body ? hash : SIGV4_UNSIGNED,
		r->keys, r->scope, r->now, err);
}

static void assert_signed(const struct row *r, const struct net_headers *h)
{
	char tail[512];
	snprintf(tail, sizeof tail, "/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		r->scope->region, r->scope->service, r->names, r->signature);
	const char *value = net_headers_get(h, "Authorization");
	assert_non_null(value);
	const char *at = strstr(value, tail);
	if (!at || strcmp(at, tail) != 0)
		print_error("%s:\n%s\n", r->title, value);
	assert_non_null(at);
	assert_string_equal(at, tail);
	char head[128];
	snprintf(head, sizeof head, "AWS4-HMAC-SHA256 Credential=%s/%.8s", r->keys->access_key_id,
		net_headers_get(h, "X-Amz-Date"));
	assert_int_equal(strlen(head), at - value);
	assert_memory_equal(value, head, strlen(head));
}

static void known_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct net_headers h;
		struct err err = {0};
		give_fields(&h, &rows[i]);
		assert_int_equal(sign(&rows[i], &h, &err), 0);
		assert_signed(&rows[i], &h);
		net_headers_free(&h);
	}
}

static void signing_again_leaves_nothing_of_before(void **state)
{
	(void)state;
	const struct row *r = &rows[0];
	struct net_headers h;
	struct err err = {0};
	give_fields(&h, r);
	size_t given = h.n;
	char hash[65];
	sigv4_payload_hash(hash, "another body", 12);
	assert_int_equal(sigv4_sign("PUT", r->host, r->path, NULL, &h, hash, &docs_keys_token,
				 r->scope, OWN, &err),
		0);
	assert_string_equal(net_headers_get(&h, "x-amz-date"), "20260102T030405Z");
	assert_string_equal(net_headers_get(&h, "x-amz-security-token"), "FwoGZX/+=");
	assert_string_equal(net_headers_get(&h, "x-amz-content-sha256"), hash);
	assert_int_equal(h.n, given + 4);
	assert_int_equal(sign(r, &h, &err), 0);
	assert_signed(r, &h);
	assert_string_equal(net_headers_get(&h, "x-amz-date"), "20130524T000000Z");
	assert_null(net_headers_get(&h, "x-amz-security-token"));
	assert_string_equal(net_headers_get(&h, "x-amz-content-sha256"), SIGV4_EMPTY_SHA256);
	assert_int_equal(h.n, given + 3);
	net_headers_free(&h);
}

static void a_canonical_request(void **state)
{
	(void)state;
	struct net_headers h;
	struct buf b;
	net_headers_init(&h);
	buf_init(&b, 4096);
	net_headers_add(&h, "X-B", "2");
	net_headers_add(&h, "x-a", " 1  2 ");
	net_headers_add(&h, "X-b", "");
	assert_int_equal(sigv4_canonical("GET", "host:81", "/a%20b", "b&a=%41%2f&a=+&=x", &h,
				 SIGV4_UNSIGNED, &s3, &b),
		0);
	assert_string_equal(buf_str(&b), "GET\n/a%20b\n=x&a=%2B&a=A%2F&b=\nhost:host:81\nx-a:1 2\n"
					 "x-b:2,\n\nhost;x-a;x-b\nUNSIGNED-PAYLOAD");
	buf_reset(&b);
	assert_int_equal(sigv4_canonical("GET", "h", "/a%20b/~", NULL, &h, "x", &sns, &b), 0);
	assert_int_equal(strncmp(buf_str(&b), "GET\n/a%2520b/~\n\n", 16), 0);
	buf_free(&b);
	net_headers_free(&h);
}

static void what_cannot_be_signed_is_refused(void **state)
{
	(void)state;
	static const char *const queries[] = {"a=%", "a=%4", "%zz=1", "a&b=%00"};
	for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
		struct row r = rows[0];
		struct net_headers h;
		struct err err = {0};
		r.query = queries[i];
		give_fields(&h, &r);
		assert_int_equal(sign(&r, &h, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_null(net_headers_get(&h, "Authorization"));
		net_headers_free(&h);
	}
}

static void hash_of_nothing(void **state)
{
	(void)state;
	char hash[65];
	sigv4_payload_hash(hash, NULL, 0);
	assert_string_equal(hash, SIGV4_EMPTY_SHA256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_signatures),
		cmocka_unit_test(signing_again_leaves_nothing_of_before),
		cmocka_unit_test(a_canonical_request),
		cmocka_unit_test(what_cannot_be_signed_is_refused),
		cmocka_unit_test(hash_of_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
