/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures below were computed with Python's hmac and hashlib over strings that were written by
 * hand from the vendor's pages, with the emulator's key.
 */
#include "core/net/azure_auth.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/azure_connection.h"
#include "core/net/azure_shared_key.h"
#include "core/net/azure_token.h"
#include "core/net/renewal.h"
#include "tests/lib/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW (INT64_C(1767323045) * CLOCK_US_PER_S)
#define DATE "Fri, 02 Jan 2026 03:04:05 GMT"
#define DATE_LINES "x-ms-date:" DATE "\n"
#define VERSION_LINE "x-ms-version:2021-12-02\n"
#define KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define SAS "sv=2021-12-02&sr=c&sp=rw&se=2030-01-01T00%3A00%3A00Z&sig=c2VjcmV0%3D"
#define SECRET "Pa55word~geheim"

static const struct field {
	const char *name, *value;
} no_fields[] = {{NULL, NULL}};

static const struct field put_fields[] = {{"Range", ""}, {"content-encoding", "gzip"},
	{"Content-Language", "de"}, {"Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww=="},
	{"Content-Type", "text/plain"}, {"Date", "Thu, 01 Jan 2026 00:00:00 GMT"},
	{"If-None-Match", "*"}, {"X-Ms-Meta-A1", ""}, {"x-ms-meta-a_b", "  1  2 "},
	{"x-ms-blob-type", "BlockBlob"}, {"User-Agent", "none"}, {NULL, NULL}};
static const struct field list_fields[] = {{"Range", "bytes=0-9"}, {NULL, NULL}};

static const struct signing {
	const char *method, *url, *account;
	size_t body_len;
	const struct field *fields;
	const char *string, *signature;
} signings[] = {
	{"GET", "https://acct.blob.core.windows.net/c/b", "acct", 0, no_fields,
		"GET\n\n\n\n\n\n\n\n\n\n\n\n" DATE_LINES VERSION_LINE "/acct/c/b",
		"RVAXAARuRN0mvXuHUHqrG5Yv8TkyfUTVcEsOPKkk8l8="},
	{"PUT", "https://acct.blob.core.windows.net/c/a%20b/?timeout=30&comp=block&compression=",
		"acct", 5, put_fields,
		"PUT\ngzip\nde\n5\nXrY7u+Ae7tCTyyK7j1rNww==\ntext/plain\n\n\n\n*\n\n\n"
		"x-ms-blob-type:BlockBlob\n" DATE_LINES
		"x-ms-meta-a_b:1  2\nx-ms-meta-a1:\n" VERSION_LINE
		"/acct/c/a%20b/\ncomp:block\ncompression:\ntimeout:30",
		"UF2wO8a+81AsLtI1hqiOfyJM/Ysnac5YmsA7ABpTEBY="},
	/* path-style, as of the emulator; values decoded and joined */
	{"GET",
		"http://127.0.0.1:10000/devstoreaccount1/c?restype=container&Comp=list"
		"&&include=snapshots&prefix=a%2Fb%20c%2B%3d%26&include=metadata",
		"devstoreaccount1", 0, list_fields,
		"GET\n\n\n\n\n\n\n\n\n\n\nbytes=0-9\n" DATE_LINES VERSION_LINE
		"/devstoreaccount1/devstoreaccount1/c\ncomp:list\n"
		"include:metadata,snapshots\nprefix:a/b c+=&\nrestype:container",
		"vPJ0s7EGlD+fzQicnNJDTfGAZGgyC06sIyKLSiiKA/g="},
};

static void fill(struct net_request *r, const struct field *fields)
{
	for (; fields->name; fields++)
		net_headers_add(&r->headers, fields->name, fields->value);
}

static struct azure_auth *make(const struct azure_auth_options *o)
{
	struct err err = {0};
	struct azure_auth *a = azure_auth_new(o, NULL, &err);
	if (!a)
		fail_msg("%s", err.text);
	return a;
}

static void test_shared_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof signings / sizeof signings[0]; i++) {
		const struct signing *s = &signings[i];
		struct azure_auth *a =
			make(&(struct azure_auth_options){.account = s->account, .key = KEY});
		struct net_request r;
		struct buf text;
		struct err err = {0};
		buf_init(&text, 4096);
		net_request_init(&r, s->method, s->url);
		r.body = "Hello";
		r.body_len = s->body_len;
		fill(&r, s->fields);
		/* twice: another try is signed as the first one was */
		for (int n = 0; n < 2; n++) {
			assert_int_equal(azure_auth_sign(a, &r, NOW, &err), 0);
			buf_reset(&text);
			assert_int_equal(azure_shared_key_string(&r, s->account, &text, &err), 0);
			assert_string_equal(buf_str(&text), s->string);
			const char *field = net_headers_get(&r.headers, "Authorization");
			assert_true(str_starts(field, "SharedKey "));
			assert_true(str_starts(field + 10, s->account));
			assert_string_equal(field + 10 + strlen(s->account) + 1, s->signature);
			assert_null(r.signed_url);
		}
		buf_free(&text);
		net_request_free(&r);
		azure_auth_free(a);
	}
}

static void test_path_of_the_account_alone(void **state)
{
	static const struct {
		const char *url, *resource;
	} cases[] = {
		{"https://a.example?comp=list", "/a/\ncomp:list"},
		{"https://a.example/?comp=list", "/a/\ncomp:list"},
		{"https://a.example", "/a/"},
		{"http://127.0.0.1:1/a?x", "/a/a\nx:"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct net_request r;
		struct buf text;
		buf_init(&text, 4096);
		net_request_init(&r, "GET", cases[i].url);
		assert_int_equal(azure_shared_key_string(&r, "a", &text, NULL), 0);
		assert_true(str_ends(buf_str(&text), cases[i].resource));
		assert_int_equal(text.len,
			strlen("GET\n\n\n\n\n\n\n\n\n\n\n\n") + strlen(cases[i].resource));
		buf_free(&text);
		net_request_free(&r);
	}
}

static void test_a_query_that_cannot_be_signed(void **state)
{
	(void)state;
	struct buf many, text;
	struct err err;
	buf_init(&many, 4096);
	buf_init(&text, 4096);
	assert_int_equal(buf_add_str(&many, "https://a.example/?x"), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(buf_add_str(&many, "&x"), 0);
	const char *const urls[] = {"https://a.example/c?x=%zz", "https://a.example/c?x=%00",
		"https://a.example/c?%4", many.data};
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct net_request r;
		net_request_init(&r, "GET", urls[i]);
		buf_reset(&text);
		assert_int_equal(azure_shared_key_string(&r, "a", &text, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		net_request_free(&r);
	}
	buf_free(&text);
	buf_free(&many);
}

/* The source's URL of an auth made from ${o}. */
static void expect_source(const struct azure_auth_options *o, const char *url, const char *expected)
{
	struct azure_auth *a = make(o);
	struct buf out;
	buf_init(&out, 4096);
	assert_int_equal(azure_auth_source_url(a, url, NOW, &out), 0);
	assert_string_equal(buf_str(&out), expected);
	buf_free(&out);
	azure_auth_free(a);
}

static void test_source_urls(void **state)
{
	(void)state;
	const struct azure_auth_options key = {.account = "acct", .key = KEY};
	const struct azure_auth_options emulator = {
		.connection_string = "UseDevelopmentStorage=true"};
	const struct azure_auth_options sas = {.account = "acct", .sas_token = "?" SAS};
	expect_source(&key, "https://acct.blob.core.windows.net/c/a%20b/x",
		"https://acct.blob.core.windows.net/c/a%20b/x?sv=2021-12-02&sr=b&sp=r&"
		"se=2026-01-02T03%3A04%3A05Z&"
		"sig=FBEOePT0b%2B4cgZnoWKh7e7DLAVl6hE1ez2nos7bmJLM%3D");
	expect_source(&emulator, "http://127.0.0.1:10000/devstoreaccount1/c/x?versionid=1",
		"http://127.0.0.1:10000/devstoreaccount1/c/x?versionid=1&"
		"sv=2021-12-02&sr=b&sp=r&se=2026-01-02T03%3A04%3A05Z&"
		"sig=TCFTqQUBG%2BStwutbUsEtdHynS2n6f45%2FZxzcOc1gpa8%3D");
	expect_source(&sas, "https://acct.blob.core.windows.net/c/x",
		"https://acct.blob.core.windows.net/c/x?" SAS);
}

static void test_options(void **state)
{
	static const struct {
		struct azure_auth_options o;
		const char *endpoint; /* NULL: refused */
		const char *text;     /* part of the refusal */
	} cases[] = {
		{{.account = "acct", .key = KEY}, "https://acct.blob.core.windows.net", NULL},
		{{.account = "Acct", .key = KEY, .endpoint = ""},
			"https://acct.blob.core.windows.net", NULL},
		{{.account = "a", .key = KEY, .endpoint = "HTTP://LocalHost:80/a//"},
			"http://localhost/a", NULL},
		{{.account = "a", .key = SAS, .tenant_id = "t"}, "https://a.blob.core.windows.net",
			NULL},
		{{.endpoint = "https://x.example/a?" SAS}, "https://x.example/a", NULL},
		{{.endpoint = "https://x.example", .sas_token = "?" SAS}, "https://x.example",
			NULL},
		{{.endpoint = "https://x.example",
			 .tenant_id = "t",
			 .client_id = "c",
			 .client_secret = SECRET},
			"https://x.example", NULL},
		{{.connection_string = "BlobEndpoint=https://x.example/;"
				       "SharedAccessSignature=" SAS},
			"https://x.example", NULL},
		{{.connection_string = "AccountName=a;AccountKey=" KEY,
			 .endpoint = "https://y.example"},
			"https://y.example", NULL},
		{{.connection_string = "AccountName=a", .key = KEY},
			"https://a.blob.core.windows.net", NULL},
		{{0}, NULL, "neither account nor endpoint"},
		{{.account = "a"}, NULL, "none of connection_string, key, sas_token"},
		{{.key = KEY, .endpoint = "https://x.example"}, NULL, "account is missing"},
		{{.account = "a", .key = "?" SECRET}, NULL, "key is neither"},
		{{.account = "a",
			 .key = "c2Vj"
				"\n"},
			NULL, "key is neither"},
		{{.account = "a/b", .key = KEY}, NULL, "account is no name"},
		{{.account = "a", .sas_token = SECRET}, NULL, "sas_token is no SAS token"},
		{{.account = "a", .sas_token = SAS "#" SECRET}, NULL, "sas_token is no SAS token"},
		{{.account = "a", .sas_token = SAS " " SECRET}, NULL, "sas_token is no SAS token"},
		{{.endpoint = "https://x.example/?" SECRET}, NULL, "query of endpoint"},
		{{.account = "a", .key = KEY, .endpoint = "ftp://x"}, NULL, "endpoint: "},
		{{.account = "a", .client_id = "c", .client_secret = SECRET}, NULL,
			"tenant_id is missing"},
		{{.account = "a", .tenant_id = "t", .client_secret = SECRET}, NULL,
			"client_id is missing"},
		{{.account = "a", .tenant_id = "t", .client_id = "c"}, NULL,
			"client_secret is missing"},
		{{.endpoint = "http://x.example",
			 .tenant_id = "t",
			 .client_id = "c",
			 .client_secret = SECRET},
			NULL, "endpoint must be an https URL"},
		{{.account = "a",
			 .tenant_id = "t",
			 .client_id = "c",
			 .client_secret = SECRET,
			 .authority = "http://login.example"},
			NULL, "authority must be an https URL"},
		{{.account = "a",
			 .tenant_id = "t",
			 .client_id = "c",
			 .client_secret = SECRET,
			 .authority = "login.example"},
			NULL, "authority: "},
		{{.connection_string = SECRET}, NULL, "without \"=\""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};
		struct azure_auth *a = azure_auth_new(&cases[i].o, NULL, &err);
		if (cases[i].endpoint) {
			assert_non_null(a);
			assert_string_equal(azure_auth_endpoint(a), cases[i].endpoint);
		} else {
			assert_null(a);
			assert_int_equal(err.code, ERR_INVALID);
			if (!strstr(err.text, cases[i].text))
				fail_msg("%zu: %s", i, err.text);
			assert_null(strstr(err.text, SECRET));
		}
		azure_auth_free(a);
	}
}

static void test_connection_strings(void **state)
{
	static const struct {
		const char *text;
		const char *account, *key, *sas, *endpoint;
		const char *error; /* NULL: fine */
	} cases[] = {
		{"AccountName=a;AccountKey=k==", "a", "k==", NULL,
			"https://a.blob.core.windows.net", NULL},
		{" accountname = a ;;ACCOUNTKEY=k==;EndpointSuffix=core.chinacloudapi.cn;"
		 "DefaultEndpointsProtocol=HTTP;QueueEndpoint=https://q;",
			"a", "k==", NULL, "http://a.blob.core.chinacloudapi.cn", NULL},
		{"BlobEndpoint=https://b.example/x;SharedAccessSignature=sv=1&sig=a%3D", NULL, NULL,
			"sv=1&sig=a%3D", "https://b.example/x", NULL},
		{"AccountName=a;AccountKey=;BlobEndpoint=https://b", "a", NULL, NULL, "https://b",
			NULL},
		{"UseDevelopmentStorage=true;", "devstoreaccount1", KEY, NULL,
			"http://127.0.0.1:10000/devstoreaccount1", NULL},
		{"UseDevelopmentStorage=false", NULL, NULL, NULL, NULL, "UseDevelopmentStorage"},
		{"", NULL, NULL, NULL, NULL, "neither AccountName nor BlobEndpoint"},
		{"AccountKey=" SECRET, NULL, NULL, NULL, NULL,
			"neither AccountName nor BlobEndpoint"},
		{"AccountName=a;" SECRET, NULL, NULL, NULL, NULL, "a part without \"=\""},
		{"AccountName=a;AccountKey=" SECRET ";accountkey=" SECRET, NULL, NULL, NULL, NULL,
			"AccountKey twice"},
		{"AccountName=a;AccountKey=" SECRET "\n", NULL, NULL, NULL, NULL,
			"control character"},
		{"AccountName=a;DefaultEndpointsProtocol=ftp", NULL, NULL, NULL, NULL,
			"neither http nor https"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct azure_connection c;
		struct err err = {0};
		int rc = azure_connection_parse(cases[i].text, strlen(cases[i].text), &c, &err);
		assert_int_equal(rc, cases[i].error ? -1 : 0);
		if (cases[i].error) {
			assert_int_equal(err.code, ERR_INVALID);
			assert_non_null(strstr(err.text, cases[i].error));
			assert_null(strstr(err.text, SECRET));
		}
		assert_true(str_eq(c.account, cases[i].account));
		assert_true(str_eq(c.key, cases[i].key));
		assert_true(str_eq(c.sas_token, cases[i].sas));
		assert_true(str_eq(c.endpoint, cases[i].endpoint));
		azure_connection_free(&c);
	}
}

static void test_same_account(void **state)
{
	static const struct {
		const char *account, *endpoint;
		bool same;
	} others[] = {
		{"a", "https://x.example/", true},
		{"b", "https://x.example", false},
		{"a", "https://y.example", false},
		{"a", NULL, false},
	};
	(void)state;
	struct azure_auth *a = make(&(struct azure_auth_options){
		.account = "a", .key = KEY, .endpoint = "https://x.example"});
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct azure_auth *b =
			make(&(struct azure_auth_options){.account = others[i].account,
				.sas_token = SAS,
				.endpoint = others[i].endpoint});
		assert_int_equal(azure_auth_same_account(a, b), others[i].same);
		azure_auth_free(b);
	}
	azure_auth_free(a);
}

/* A server that answers with a script, the last answer for ever. */
struct world {
	struct http_server *server;
	struct net_http *http;
	const struct answer {
		int status;
		const char *body;
	} * script;
	size_t n, at;
};

static void follow_script(
	void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;
	(void)q;
	const struct answer *s = &w->script[w->at];
	w->at += w->at + 1 < w->n;
	a->status = s->status;
	if (s->body)
		(void)buf_add_str(&a->body, s->body);
}

#define SCRIPT(w, ...)                                                                         \
	((w)->script = (const struct answer[]){__VA_ARGS__},                                   \
		(w)->n = sizeof((const struct answer[]){__VA_ARGS__}) / sizeof(struct answer), \
		(w)->at = 0)

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	w->server = http_server_start(follow_script, w);
	w->http = net_http_new(&(struct net_http_options){0});
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	http_server_stop(w->server);
	net_http_free(w->http);
	free(w);
	return 0;
}

static void test_a_sas_token_is_sent_once_with_each_try(void **state)
{
	struct world *w = *state;
	struct net_request r;
	struct net_response answer;
	struct err err = {0};
	struct buf url;
	SCRIPT(w, {503, NULL}, {503, NULL}, {200, "fine"});
	buf_init(&url, 1024);
	(void)buf_printf(&url, "%s/a/c/b?comp=block", http_server_url(w->server));
	struct azure_auth *a = make(&(struct azure_auth_options){
		.endpoint = http_server_url(w->server), .sas_token = SAS});
	net_request_init(&r, "GET", url.data);
	net_response_init(&answer, 0);
	r.idempotent = true;
	r.sign = azure_auth_sign;
	r.sign_arg = a;
	r.again = azure_auth_again;
	r.again_arg = a;
	assert_int_equal(net_http_send(w->http, &r, &answer, &err), 0);
	assert_int_equal(answer.status, 200);
	assert_int_equal(http_server_count(w->server), 3);
	for (size_t i = 0; i < 3; i++) {
		const struct http_server_request *q = http_server_request(w->server, i);
		assert_string_equal(q->target, "/a/c/b?comp=block&" SAS);
		assert_null(net_headers_get(&q->headers, "Authorization"));
		assert_string_equal(
			net_headers_get(&q->headers, "x-ms-version"), AZURE_API_VERSION);
	}
	assert_string_equal(r.url, url.data);
	net_response_free(&answer);
	net_request_free(&r);
	buf_free(&url);
	azure_auth_free(a);
}

#define TOKEN_ANSWER(token)                                                                     \
	{                                                                                       \
		200, "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"" token \
		     "\"}"                                                                      \
	}

static void expect_bearer(struct azure_auth *a, const char *value)
{
	struct net_request r;
	struct err err = {0};
	net_request_init(&r, "GET", "https://x.example/c");
	if (azure_auth_sign(a, &r, NOW, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(net_headers_get(&r.headers, "Authorization"), value);
	assert_string_equal(net_headers_get(&r.headers, "x-ms-date"), DATE);
	/* a token that has just come: another one would not fare better */
	struct net_response refusal = {.status = 401};
	assert_false(azure_auth_again(a, &r, &refusal));
	net_request_free(&r);
}

static void test_service_principal(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	struct buf authority;
	SCRIPT(w, TOKEN_ANSWER("first"), TOKEN_ANSWER("second"));
	buf_init(&authority, 256);
	(void)buf_printf(&authority, "%s/", http_server_url(w->server));
	struct azure_auth *a = azure_auth_new(&(struct azure_auth_options){.account = "a",
						      .tenant_id = "t/1",
						      .client_id = "c 1",
						      .client_secret = SECRET "&=+",
						      .authority = authority.data},
		w->http, &err);
	assert_non_null(a);
	expect_bearer(a, "Bearer first");
	expect_bearer(a, "Bearer first");
	assert_int_equal(http_server_count(w->server), 1);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(q->method, "POST");
	assert_string_equal(q->target, "/t%2F1/oauth2/v2.0/token");
	assert_string_equal(
		net_headers_get(&q->headers, "Content-Type"), "application/x-www-form-urlencoded");
	assert_string_equal(buf_str(&q->body),
		"client_id=c%201&client_secret=" SECRET "%26%3D%2B"
		"&scope=https%3A%2F%2Fstorage.azure.com%2F.default&grant_type=client_credentials");
	azure_auth_free(a);
	buf_free(&authority);
}

static struct azure_token *token_of(struct world *w, int64_t pause_ms)
{
	struct err err = {0};
	struct azure_token *t = azure_token_new(http_server_url(w->server), "t", "c", SECRET,
		w->http, &(struct renewal_times){60000, pause_ms}, &err);
	assert_non_null(t);
	return t;
}

static void test_a_refused_token_is_fetched_anew(void **state)
{
	struct world *w = *state;
	SCRIPT(w, TOKEN_ANSWER("first"), TOKEN_ANSWER("second"));
	struct azure_token *t = token_of(w, 0);
	char *first = azure_token_get(t, NULL);
	assert_string_equal(first, "Bearer first");
	assert_true(azure_token_refused(t, first));
	char *second = azure_token_get(t, NULL);
	assert_string_equal(second, "Bearer second");
	/* a slower thread reports the first one: there is another already */
	assert_true(azure_token_refused(t, first));
	char *third = azure_token_get(t, NULL);
	assert_string_equal(third, "Bearer second");
	assert_int_equal(http_server_count(w->server), 2);
	mem_free_secret(first);
	mem_free_secret(second);
	mem_free_secret(third);
	azure_token_free(t);
}

static void test_a_token_that_ends_soon_is_fetched_anew(void **state)
{
	struct world *w = *state;
	SCRIPT(w, {200, "{\"expires_in\":\"59\",\"access_token\":\"first\"}"},
		TOKEN_ANSWER("second"));
	struct azure_token *t = token_of(w, 0);
	static const char *const expected[] = {"Bearer first", "Bearer second", "Bearer second"};
	for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
		char *got = azure_token_get(t, NULL);
		assert_string_equal(got, expected[i]);
		mem_free_secret(got);
	}
	azure_token_free(t);
}

static void test_answers_without_a_token(void **state)
{
	static const struct {
		struct answer a;
		enum err_code code;
		const char *text;
	} cases[] = {
		{{401, "{\"error\":\"invalid_client\",\"error_description\":\"" SECRET "\"}"},
			ERR_DENIED, "answered 401 invalid_client"},
		{{400, "{\"error\":\"" SECRET "\"}"}, ERR_DENIED, "answered 400"},
		{{404, "<html>"}, ERR_DENIED, "answered 404"},
		{{501, NULL}, ERR_UNAVAILABLE, "answered 501"},
		{{200, NULL}, ERR_UNAVAILABLE, "no access token"},
		{{200, "{\"access_token\":\"x\"}"}, ERR_UNAVAILABLE, "no access token"},
		{{200, "{\"access_token\":\"" SECRET "\",\"expires_in\":-1}"}, ERR_UNAVAILABLE,
			"no access token"},
		{{200, "{\"access_token\":\"" SECRET "\",\"expires_in\":1e3}"}, ERR_UNAVAILABLE,
			"no access token"},
		{{200, "{\"access_token\":\"a b\",\"expires_in\":60}"}, ERR_UNAVAILABLE,
			"no access token"},
		{{200, "{\"access_token\":\"x\",\"expires_in\":60,\"token_type\":\"pop\"}"},
			ERR_UNAVAILABLE, "no access token"},
		{{200, "{\"access_token\":\"x\",\"expires_in\":0}"}, ERR_UNAVAILABLE,
			"has ended already"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err err = {0};
		SCRIPT(w, cases[i].a);
		struct azure_token *t = token_of(w, 60000);
		assert_null(azure_token_get(t, &err));
		assert_int_equal(err.code, cases[i].code);
		if (!strstr(err.text, cases[i].text))
			fail_msg("%zu: %s", i, err.text);
		if (!strstr(err.text, "has ended"))
			assert_non_null(strstr(err.text, "client c of tenant t"));
		assert_null(strstr(err.text, SECRET));
		azure_token_free(t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_key),
		cmocka_unit_test(test_path_of_the_account_alone),
		cmocka_unit_test(test_a_query_that_cannot_be_signed),
		cmocka_unit_test(test_source_urls),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_connection_strings),
		cmocka_unit_test(test_same_account),
		cmocka_unit_test_setup_teardown(
			test_a_sas_token_is_sent_once_with_each_try, setup, teardown),
		cmocka_unit_test_setup_teardown(test_service_principal, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_refused_token_is_fetched_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_token_that_ends_soon_is_fetched_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_without_a_token, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
