/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/aws_credentials_impl.h"
#include "core/net/http.h"
#include "core/net/renewal.h"
#include "tests/lib/http_server.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECRET "wJalrGEHEIM"
#define MINUTE_MS INT64_C(60000)

/* What each path of the server answers, and the files of one home directory. */
struct world {
	struct http_server *server;
	struct net_http *http;
	char *home;
	const struct route {
		const char *method, *path;
		int status;
		const char *body;
	} * routes;
	size_t nroutes;
	struct buf url; /* of the last url_of */
};

#define ROUTES(w, ...)                                      \
	((w)->routes = (const struct route[]){__VA_ARGS__}, \
		(w)->nroutes = sizeof((const struct route[]){__VA_ARGS__}) / sizeof(struct route))

static void route(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	const struct world *w = arg;
	a->status = 404;
	for (size_t i = 0; i < w->nroutes; i++) {
		const struct route *r = &w->routes[i];
		if (!str_eq(r->method, q->method) || !str_eq(r->path, q->path))
			continue;
		a->status = r->status;
		(void)buf_add_str(&a->body, r->body);
	}
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof *w);
	w->server = http_server_start(route, w);
	w->http = net_http_new(&(struct net_http_options){0});
	w->home = scratch_make();
	buf_init(&w->url, 1024);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	http_server_stop(w->server);
	net_http_free(w->http);
	scratch_remove(w->home);
	buf_free(&w->url);
	free(w);
	return 0;
}

static void put_file(const struct world *w, const char *name, const char *text)
{
	struct err err = {0};
	char *dir = scratch_path(w->home, ".aws");
	char *path = scratch_path(w->home, name);
	if (fsio_mkdirs(dir, false, &err) < 0 ||
		fsio_replace(path, text, strlen(text), false, &err) < 0)
		fail_msg("%s", err.text);
	free(path);
	free(dir);
}

static const char *url_of(struct world *w, const char *path)
{
	buf_reset(&w->url);
	(void)buf_printf(&w->url, "%s%s", http_server_url(w->server), path);
	return w->url.data;
}

static struct aws_credentials *make(
	const struct world *w, const struct aws_credentials_options *o, int64_t pause_ms)
{
	return aws_credentials_new_timed(
		o, w->http, &(struct renewal_times){5 * MINUTE_MS, pause_ms});
}

static void expect_keys(
	struct aws_credentials *c, const char *id, const char *secret, const char *token)
{
	struct aws_keys k;
	struct err err = {0};
	if (aws_credentials_get(c, &k, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(k.access_key_id, id);
	assert_string_equal(k.secret_access_key, secret);
	assert_true(str_eq(k.session_token, token));
	aws_keys_free(&k);
	assert_null(k.access_key_id);
}

static void expect_error(struct aws_credentials *c, enum err_code code, const char *text)
{
	struct aws_keys k;
	struct err err = {0};
	assert_int_equal(aws_credentials_get(c, &k, &err), -1);
	assert_null(k.access_key_id);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" lacks \"%s\"", err.text, text);
	assert_int_equal(err.code, code);
	assert_null(strstr(err.text, SECRET));
}

/* Settings as "SECTION|NAME|VALUE\n". */
static int collect(
	void *arg, const char *section, const char *name, const char *value, struct err *err)
{
	(void)err;
	return buf_printf(arg, "%s|%s|%s\n", section, name, value);
}

static void test_files(void **state)
{
	static const struct {
		const char *text, *settings, *error;
	} cases[] = {
		{"", "", NULL},
		{"[a]\nX=1\n[ b ]\r\n y = 2 \r\n", "a|x|1\nb|y|2\n", NULL},
		{"\xef\xbb\xbf[a]\nx=1", "a|x|1\n", NULL},
		{"# c\n; c\n  # c\n\n[a] # c\nx=1 # c\ny=1;2#3\nz= ;c\n",
			"a|x|1\na|y|1;2#3\na|z|\n", NULL},
		{"[a]\ns3 =\n  x = 1\n\ty\nz = 2\n", "a|s3|\na|z|2\n", NULL},
		{"[a]\n  x=1\n  y=2\n    n=3\n[b]\n  z=4\n", "a|x|1\na|y|2\nb|z|4\n", NULL},
		{"[a]\nx=b=c\n[]\ny=1\n", "a|x|b=c\n|y|1\n", NULL},
		{"x=" SECRET "\n", "", "F line 1: a setting before"},
		{"[a]\n" SECRET "\n", "", "F line 2: expected NAME"},
		{"[a]\n\n=" SECRET "\n", "", "F line 3: expected NAME"},
		{"[a\n", "", "F line 1: a section without"},
		{"[a] " SECRET "\n", "", "F line 1: text behind"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct buf got;
		struct err err = {0};
		size_t len = strlen(cases[i].text);
		/* An exact copy without NUL, so that a read past the end is seen. */
		char *copy = malloc(len ? len : 1);
		assert_non_null(copy);
		memcpy(copy, cases[i].text, len);
		buf_init(&got, 4096);
		int rc = aws_credentials_file_parse("F", copy, len, collect, &got, &err);
		assert_int_equal(rc, cases[i].error ? -1 : 0);
		assert_string_equal(buf_str(&got), cases[i].settings);
		if (cases[i].error) {
			assert_non_null(strstr(err.text, cases[i].error));
			assert_null(strstr(err.text, SECRET));
			assert_int_equal(err.code, ERR_INVALID);
		}
		buf_free(&got);
		free(copy);
	}
}

static void test_limits_of_files(void **state)
{
	(void)state;
	struct err err = {0};
	struct buf got;
	size_t len = AWS_FILE_MAX + 1;
	char *text = mem_alloc(len);
	memset(text, '\n', len);
	buf_init(&got, 16);
	assert_int_equal(aws_credentials_file_parse("F", text, len - 1, collect, &got, &err), 0);
	assert_int_equal(aws_credentials_file_parse("F", text, len, collect, &got, &err), -1);
	assert_non_null(strstr(err.text, "64 KiB"));
	memset(text, '#', AWS_FILE_LINE_MAX);
	assert_int_equal(aws_credentials_file_parse("F", text, len - 1, collect, &got, &err), 0);
	text[AWS_FILE_LINE_MAX] = '#';
	assert_int_equal(aws_credentials_file_parse("F", text, len - 1, collect, &got, &err), -1);
	assert_non_null(strstr(err.text, "line 1: longer"));
	text[1] = '\0';
	assert_int_equal(aws_credentials_file_parse("F", text, 3, collect, &got, &err), -1);
	assert_non_null(strstr(err.text, "NUL"));
	buf_free(&got);
	free(text);
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2000-02-29T23:59:59Z", 951868799},
		{"2000-03-01T00:00:00Z", 951868800},
		{"2026-01-02T03:04:05Z", 1767323045},
		{"2026-12-31T23:59:59.123456Z", 1798761599},
		{"2026-01-02T03:04:05+00:00", 1767323045},
		{"2026-01-02T03:04:05", -1},
		{"2026-01-02T03:04:05+01:00", -1},
		{"2026-01-02T03:04:05.Z", -1},
		{"2026-01-02T03:04:05Zx", -1},
		{"2026-13-02T03:04:05Z", -1},
		{"2026-00-02T03:04:05Z", -1},
		{"2026-01-02 03:04:05Z", -1},
		{"1969-12-31T23:59:59Z", -1},
		{"2026-01-02T24:04:05Z", -1},
		{"2026", -1},
		{"", -1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t us = -1;
		int rc = aws_credentials_remote_time(cases[i].text, &us);
		assert_int_equal(rc, cases[i].seconds < 0 ? -1 : 0);
		if (rc == 0)
			assert_int_equal(us, cases[i].seconds * CLOCK_US_PER_S);
	}
}

static void test_given_keys_go_first(void **state)
{
	struct world *w = *state;
	put_file(
		w, ".aws/credentials", "[default]\naws_access_key_id=F\naws_secret_access_key=f\n");
	struct aws_credentials *c = make(w,
		&(struct aws_credentials_options){.access_key_id = "A",
			.secret_access_key = "s",
			.session_token = "t",
			.region = "eu-west-1",
			.home = w->home},
		0);
	expect_keys(c, "A", "s", "t");
	aws_credentials_refused(c);
	expect_keys(c, "A", "s", "t");
	assert_string_equal(aws_credentials_region(c), "eu-west-1");
	aws_credentials_free(c);

	c = make(w, &(struct aws_credentials_options){.secret_access_key = SECRET}, 0);
	expect_error(c, ERR_INVALID, "AWS_SECRET_ACCESS_KEY is given without AWS_ACCESS_KEY_ID");
	aws_credentials_free(c);
	c = make(w,
		&(struct aws_credentials_options){.access_key_id = "A", .secret_access_key = ""},
		0);
	expect_error(c, ERR_INVALID, "AWS_ACCESS_KEY_ID is given without AWS_SECRET_ACCESS_KEY");
	aws_credentials_free(c);
}

#define PAIR(id, secret) "aws_access_key_id=" id "\naws_secret_access_key=" secret "\n"

static void test_profiles(void **state)
{
	static const struct {
		const char *credentials, *config, *profile;
		const char *id, *secret, *token, *region;
	} cases[] = {
		{"[default]\n" PAIR("A", "s") "aws_session_token=t\n", "", NULL, "A", "s", "t",
			"us-east-1"},
		{"[x]\n" PAIR("A", "s"), "[default]\nregion=r1\n[profile x]\nregion=r2\n", "x", "A",
			"s", NULL, "r2"},
		/* the credentials file goes before, with its whole pair */
		{"[default]\nregion=r1\n" PAIR("A", "s"),
			"[default]\nregion=r2\naws_session_token=t\n" PAIR("B", "b"), NULL, "A",
			"s", NULL, "r1"},
		{"", "[default]\n" PAIR("B", "b") "aws_session_token=t\n", "default", "B", "b", "t",
			"us-east-1"},
		{"", "[profile \"a b\"]\n" PAIR("B", "b"), "a b", "B", "b", NULL, "us-east-1"},
		{"", "[profile  x]\n" PAIR("B", "b") "[profile x]\n" PAIR("C", "c"), "x", "C", "c",
			NULL, "us-east-1"},
		/* not a profile of the config file */
		{"[x]\n" PAIR("A", "s"), "[x]\n" PAIR("B", "b"), "x", "A", "s", NULL, "us-east-1"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		put_file(w, ".aws/credentials", cases[i].credentials);
		put_file(w, ".aws/config", cases[i].config);
		struct aws_credentials *c = make(w,
			&(struct aws_credentials_options){
				.home = w->home, .profile = cases[i].profile},
			0);
		assert_string_equal(aws_credentials_region(c), cases[i].region);
		expect_keys(c, cases[i].id, cases[i].secret, cases[i].token);
		aws_credentials_free(c);
	}
}

static void test_profiles_that_are_wrong(void **state)
{
	static const struct {
		const char *credentials, *config, *profile;
		enum err_code code;
		const char *text;
	} cases[] = {
		{"[default]\naws_access_key_id=A\n", "", NULL, ERR_INVALID,
			"profile default has aws_access_key_id without aws_secret_access_key"},
		{"[default]\naws_secret_access_key=" SECRET "\n",
			"[default]\naws_access_key_id=A\n", NULL, ERR_INVALID,
			"has aws_secret_access_key without aws_access_key_id"},
		{"", "[default]\n" SECRET "\n", NULL, ERR_INVALID, "config line 2: expected"},
		{"[default]\n" PAIR("A", "s"), "[x]\n", "x", ERR_DENIED, "profile x is in neither"},
		{"[default]\n", "", "x", ERR_DENIED, "profile x is in neither"},
		{"[default]\n" PAIR("A", "s"), "[profile x]\nrole_arn=r\nsource_profile=default\n",
			"x", ERR_UNSUPPORTED, "source_profile, which is not supported"},
		{"[default]\n" PAIR("A", "s") "role_arn=r\n", "", NULL, ERR_UNSUPPORTED,
			"role_arn without web_identity_token_file"},
		{"", "[default]\ncredential_process=/bin/x " SECRET "\n", NULL, ERR_UNSUPPORTED,
			"credential_process"},
		{"", "[default]\nsso_session=x\n", NULL, ERR_UNSUPPORTED, "sso_session"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		put_file(w, ".aws/credentials", cases[i].credentials);
		put_file(w, ".aws/config", cases[i].config);
		struct aws_credentials *c = make(w,
			&(struct aws_credentials_options){.home = w->home,
				.profile = cases[i].profile,
				.metadata_disabled = "true"},
			0);
		assert_string_equal(aws_credentials_region(c), "us-east-1");
		expect_error(c, cases[i].code, cases[i].text);
		aws_credentials_free(c);
	}
}

static void test_files_are_read_again_when_they_change(void **state)
{
	struct world *w = *state;
	put_file(w, "mine", "[default]\n" PAIR("A", "s"));
	struct aws_credentials *c = make(w,
		&(struct aws_credentials_options){
			.home = w->home, .credentials_file = "~/mine", .metadata_disabled = "TRUE"},
		MINUTE_MS);
	expect_keys(c, "A", "s", NULL);
	put_file(w, "mine", "[default]\n" PAIR("B", "longer"));
	expect_keys(c, "B", "longer", NULL);
	put_file(w, "mine", "[default\n");
	expect_error(c, ERR_INVALID, "mine line 1: a section");
	expect_error(c, ERR_INVALID, "mine line 1: a section");
	put_file(w, "mine", "[default]\n" PAIR("C", "c"));
	expect_keys(c, "C", "c", NULL);
	char *path = scratch_path(w->home, "mine");
	assert_int_equal(unlink(path), 0);
	expect_error(c, ERR_DENIED, "no AWS credentials in AWS_ACCESS_KEY_ID, profile default");
	free(path);
	aws_credentials_free(c);
}

#define STS_BODY(n, ends)                                                                       \
	"<AssumeRoleWithWebIdentityResponse "                                                   \
	"xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>" \
	"<Credentials><SessionToken>tok" n "</SessionToken><SecretAccessKey>sec" n              \
	"</SecretAccessKey><Expiration>" ends "</Expiration><AccessKeyId>ASIA" n                \
	"</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"                        \
	"</AssumeRoleWithWebIdentityResponse>"
#define FAR "2999-01-01T00:00:00Z"
#define PAST "2001-01-01T00:00:00Z"

static void test_web_identity(void **state)
{
	struct world *w = *state;
	ROUTES(w, {"POST", "/", 200, STS_BODY("1", FAR)});
	put_file(w, "token", "ey.J+/=\n");
	char *token = scratch_path(w->home, "token");
	struct aws_credentials *c = make(w,
		&(struct aws_credentials_options){.home = w->home,
			.web_identity_token_file = token,
			.role_arn = "arn:aws:iam::123456789012:role/up",
			.container_uri = "http://127.0.0.1:1/never",
			.sts_endpoint = http_server_url(w->server)},
		0);
	expect_keys(c, "ASIA1", "sec1", "tok1");
	expect_keys(c, "ASIA1", "sec1", "tok1");
	assert_int_equal(http_server_count(w->server), 1);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(buf_str(&q->body),
		"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
		"&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fup"
		"&RoleSessionName=dex-upload&WebIdentityToken=ey.J%2B%2F%3D");
	assert_null(net_headers_get(&q->headers, "Authorization"));

	/* the service refuses them: new ones, with the token as it is then */
	ROUTES(w, {"POST", "/", 200, STS_BODY("2", FAR)});
	put_file(w, "token", "second");
	aws_credentials_refused(c);
	expect_keys(c, "ASIA2", "sec2", "tok2");
	assert_true(str_ends(
		buf_str(&http_server_request(w->server, 1)->body), "&WebIdentityToken=second"));
	aws_credentials_free(c);

	/* the same by a profile */
	put_file(w, "token", "third");
	put_file(w, ".aws/config",
		"[profile web]\nrole_arn=r\nrole_session_name=n\n"
		"web_identity_token_file=/nowhere/token\n");
	c = make(w,
		&(struct aws_credentials_options){
			.home = w->home, .profile = "web", .sts_endpoint = url_of(w, "/")},
		0);
	expect_error(c, ERR_NOT_FOUND, "web identity: ");
	struct buf config;
	buf_init(&config, 4096);
	(void)buf_printf(&config,
		"[profile web]\nrole_arn=r\nrole_session_name=n\nweb_identity_token_file=%s\n",
		token);
	put_file(w, ".aws/config", config.data);
	expect_keys(c, "ASIA2", "sec2", "tok2");
	assert_true(str_ends(buf_str(&http_server_request(w->server, 2)->body),
		"&RoleArn=r&RoleSessionName=n&WebIdentityToken=third"));
	buf_free(&config);
	aws_credentials_free(c);
	free(token);
}

static void test_web_identity_failures(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum err_code code;
		const char *text;
	} cases[] = {
		{403,
			"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
			"<Message>" SECRET "</Message></Error></ErrorResponse>",
			ERR_DENIED, "security token service answered 403 AccessDenied"},
		{400, "<html>", ERR_DENIED, "answered 400"},
		{501, "", ERR_UNAVAILABLE, "answered 501"},
		{200, "", ERR_UNAVAILABLE, "answered without keys"},
		{200, "<a/>", ERR_UNAVAILABLE, "answered without keys"},
		{200, STS_BODY("a b", FAR), ERR_UNAVAILABLE, "answered without keys"},
		{200, STS_BODY("1", "soon"), ERR_UNAVAILABLE, "expiration that is no time"},
		{200, STS_BODY("1", PAST), ERR_UNAVAILABLE, "has ended already"},
	};
	struct world *w = *state;
	put_file(w, "token", SECRET);
	char *token = scratch_path(w->home, "token");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ROUTES(w, {"POST", "/sts/", cases[i].status, cases[i].body});
		struct aws_credentials *c = make(w,
			&(struct aws_credentials_options){.web_identity_token_file = token,
				.role_arn = "r",
				.sts_endpoint = url_of(w, "/sts")},
			MINUTE_MS);
		expect_error(c, cases[i].code, cases[i].text);
		aws_credentials_free(c);
	}
	struct aws_credentials *c =
		make(w, &(struct aws_credentials_options){.web_identity_token_file = token}, 0);
	expect_error(c, ERR_INVALID, "AWS_WEB_IDENTITY_TOKEN_FILE is given without AWS_ROLE_ARN");
	aws_credentials_free(c);
	/* the token would go to another host */
	c = make(w,
		&(struct aws_credentials_options){.web_identity_token_file = token,
			.role_arn = "r",
			.region = "evil.example/"},
		0);
	expect_error(c, ERR_INVALID, "region has no valid name");
	aws_credentials_free(c);
	static const char *const tokens[] = {"", "\n", SECRET "\n" SECRET};
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		put_file(w, "token", tokens[i]);
		c = make(w,
			&(struct aws_credentials_options){
				.web_identity_token_file = token, .role_arn = "r"},
			0);
		expect_error(c, ERR_INVALID, "token holds no token");
		aws_credentials_free(c);
	}
	free(token);
}

#define JSON_BODY(n, ends)                                                                \
	"{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA" n "\",\"SecretAccessKey\":\"sec" n \
	"\",\"Token\":\"tok" n "\",\"Expiration\":\"" ends "\"}"

static void test_container(void **state)
{
	struct world *w = *state;
	ROUTES(w, {"GET", "/v2/x", 200, JSON_BODY("1", FAR)});
	put_file(w, "token", "Bearer file\n");
	char *file = scratch_path(w->home, "token");
	static const char *const sent[] = {NULL, "Bearer given", "Bearer file"};
	for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
		struct aws_credentials *c = make(w,
			&(struct aws_credentials_options){.container_uri = url_of(w, "/v2/x?id=1"),
				.container_token = i > 0 ? "Bearer given" : NULL,
				.container_token_file = i > 1 ? file : NULL},
			0);
		expect_keys(c, "ASIA1", "sec1", "tok1");
		const struct http_server_request *q = http_server_request(w->server, i);
		assert_string_equal(q->target, "/v2/x?id=1");
		assert_true(str_eq(net_headers_get(&q->headers, "Authorization"), sent[i]));
		aws_credentials_free(c);
	}
	free(file);
}

static void test_container_failures(void **state)
{
	static const struct {
		const char *uri; /* "/…": of the server */
		const char *token;
		enum err_code code;
		const char *text;
	} cases[] = {
		{"/denied", SECRET, ERR_DENIED,
			"container credentials: the container's end point "
			"answered 403"},
		{"/empty", SECRET, ERR_UNAVAILABLE, "answered without keys"},
		{"/half", SECRET, ERR_UNAVAILABLE, "answered without keys"},
		{"/fine", SECRET "\r\nX: y", ERR_INVALID, "token is malformed"},
		{"http://192.0.2.1/x", SECRET, ERR_INVALID, "neither https nor"},
		{"http://127.0.0.1.example/x", SECRET, ERR_INVALID, "neither https nor"},
		{"http://127.1/x", SECRET, ERR_INVALID, "neither https nor"},
		{"ftp://127.0.0.1/x", SECRET, ERR_INVALID, "container credentials: "},
	};
	struct world *w = *state;
	ROUTES(w, {"GET", "/denied", 403, "{\"message\":\"" SECRET "\"}"},
		{"GET", "/empty", 200, ""},
		{"GET", "/half", 200, "{\"AccessKeyId\":\"A\",\"Token\":\"" SECRET "\"}"},
		{"GET", "/fine", 200, JSON_BODY("1", FAR)});
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *uri = cases[i].uri;
		struct aws_credentials *c = make(w,
			&(struct aws_credentials_options){
				.container_uri = uri[0] == '/' ? url_of(w, uri) : uri,
				.container_token = cases[i].token},
			0);
		expect_error(c, cases[i].code, cases[i].text);
		aws_credentials_free(c);
	}
}

#define ROLES "/latest/meta-data/iam/security-credentials/"

static void test_metadata(void **state)
{
	struct world *w = *state;
	ROUTES(w, {"PUT", "/latest/api/token", 200, "session"}, {"GET", ROLES, 200, "up+load\n"},
		{"GET", ROLES "up%2Bload", 200, JSON_BODY("1", FAR)});
	struct aws_credentials *c = make(w,
		&(struct aws_credentials_options){
			.home = w->home, .metadata_endpoint = url_of(w, "/")},
		MINUTE_MS);
	expect_keys(c, "ASIA1", "sec1", "tok1");
	expect_keys(c, "ASIA1", "sec1", "tok1");
	/* they have just come: no others so soon */
	aws_credentials_refused(c);
	expect_keys(c, "ASIA1", "sec1", "tok1");
	assert_int_equal(http_server_count(w->server), 3);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_string_equal(
		net_headers_get(&q->headers, "X-aws-ec2-metadata-token-ttl-seconds"), "300");
	for (size_t i = 1; i < 3; i++) {
		q = http_server_request(w->server, i);
		assert_string_equal(
			net_headers_get(&q->headers, "X-aws-ec2-metadata-token"), "session");
	}
	aws_credentials_free(c);
}

static void test_metadata_that_ends_soon_is_fetched_anew(void **state)
{
	struct world *w = *state;
	char ends[CLOCK_RFC3339_SIZE];
	struct buf body;
	buf_init(&body, 1024);
	clock_rfc3339(ends, clock_now() + 4 * MINUTE_MS * CLOCK_US_PER_MS);
	(void)buf_printf(&body,
		"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
		"\"Expiration\":\"%s\"}",
		ends);
	ROUTES(w, {"PUT", "/latest/api/token", 200, "session"}, {"GET", ROLES, 200, "r"},
		{"GET", ROLES "r", 200, body.data});
	struct aws_credentials *c = make(w,
		&(struct aws_credentials_options){.metadata_endpoint = http_server_url(w->server)},
		0);
	expect_keys(c, "A", "s", "t");
	/* the service is gone: these are still good */
	ROUTES(w, {"PUT", "/latest/api/token", 501, ""});
	expect_keys(c, "A", "s", "t");
	ROUTES(w, {"PUT", "/latest/api/token", 200, "session"}, {"GET", ROLES, 200, "r"},
		{"GET", ROLES "r", 200, JSON_BODY("2", FAR)});
	expect_keys(c, "ASIA2", "sec2", "tok2");
	expect_keys(c, "ASIA2", "sec2", "tok2");
	assert_int_equal(http_server_count(w->server), 7);
	aws_credentials_free(c);
	buf_free(&body);
}

static void test_no_place_has_keys(void **state)
{
	static const struct {
		struct route routes[3];
		size_t n;
		const char *reason;
	} cases[] = {
		{{{0}}, 0, "machine role: the metadata service answered 404"},
		{{{"PUT", "/latest/api/token", 200, "a b"}}, 1, "without a token"},
		{{{"PUT", "/latest/api/token", 200, "t"}, {"GET", ROLES, 200, ""}}, 2,
			"the machine has no role"},
		{{{"PUT", "/latest/api/token", 200, "t"}, {"GET", ROLES, 200, ".."}}, 2,
			"the machine has no role"},
		{{{"PUT", "/latest/api/token", 200, "t"}, {"GET", ROLES, 200, "r"},
			 {"GET", ROLES "r", 200, "{\"Code\":\"Failed\"}"}},
			3, "answered without keys"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		w->routes = cases[i].routes;
		w->nroutes = cases[i].n;
		struct aws_credentials *c = make(w,
			&(struct aws_credentials_options){
				.metadata_endpoint = http_server_url(w->server),
				.metadata_disabled = "false"},
			MINUTE_MS);
		size_t before = http_server_count(w->server);
		expect_error(c, ERR_DENIED, cases[i].reason);
		size_t after = http_server_count(w->server);
		assert_true(after > before);
		expect_error(c, ERR_DENIED,
			"AWS_ACCESS_KEY_ID, profile default of ~/.aws/credentials and "
			"~/.aws/config, AWS_WEB_IDENTITY_TOKEN_FILE, "
			"AWS_CONTAINER_CREDENTIALS_FULL_URI");
		assert_int_equal(http_server_count(w->server), after);
		aws_credentials_free(c);
	}
	struct aws_credentials *c = make(w,
		&(struct aws_credentials_options){.metadata_endpoint = http_server_url(w->server),
			.metadata_disabled = "true"},
		0);
	size_t before = http_server_count(w->server);
	expect_error(c, ERR_DENIED, "metadata service (disabled)");
	assert_int_equal(http_server_count(w->server), before);
	aws_credentials_free(c);
}

int main(void)
{
#define WITH_WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_limits_of_files),
		cmocka_unit_test(test_times),
		WITH_WORLD(test_given_keys_go_first),
		WITH_WORLD(test_profiles),
		WITH_WORLD(test_profiles_that_are_wrong),
		WITH_WORLD(test_files_are_read_again_when_they_change),
		WITH_WORLD(test_web_identity),
		WITH_WORLD(test_web_identity_failures),
		WITH_WORLD(test_container),
		WITH_WORLD(test_container_failures),
		WITH_WORLD(test_metadata),
		WITH_WORLD(test_metadata_that_ends_soon_is_fetched_anew),
		WITH_WORLD(test_no_place_has_keys),
	};
#undef WITH_WORLD
	return cmocka_run_group_tests(tests, NULL, NULL);
}
