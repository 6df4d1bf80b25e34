/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/aws_credentials_impl.h"
#include "core/net/http.h"
#include "core/net/loopback.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)64 * 1024)
#define TOKEN_MAX ((size_t)20 * 1024) /* STS takes 20000 characters */
#define FORM_MAX ((size_t)64 * 1024)
#define URL_MAX 4096
#define KEY_MAX 8192 /* bytes of a key or session token */

#define STS_MS 10000
#define CONTAINER_MS 3000
#define METADATA_TOKEN_MS 1000
#define METADATA_MS 2000

#define ECS_ORIGIN "http://169.254.170.2"
#define METADATA_TOKEN_FIELD "X-aws-ec2-metadata-token"

/* One request and its answer. */
struct exchange {
	struct net_request r;
	struct net_response a;
};

static void exchange_init(struct exchange *x, const char *method, const char *url, int64_t ms)
{
	net_request_init(&x->r, method, url);
	net_response_init(&x->a, ANSWER_MAX);
	x->r.deadline_ms = clock_mono_ms() + ms;
}

static void exchange_free(struct exchange *x)
{
	net_response_free(&x->a);
	net_request_free(&x->r);
}

/* Days from 1970-01-01, for years from 1970 on (the calendar begins its years in March here). */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = month > 2 ? month - 3 : month + 9;
	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

int aws_credentials_remote_time(const char *text, int64_t *out)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	static const struct {
		size_t at, len;
		uint64_t min, max;
	} parts[] = {{0, 4, 1970, 9999}, {5, 2, 1, 12}, {8, 2, 1, 31}, {11, 2, 0, 23},
		{14, 2, 0, 59}, {17, 2, 0, 60}};
	uint64_t v[sizeof parts / sizeof parts[0]];
	size_t n = sizeof form - 1;
	for (size_t i = 0; i < n; i++) {
		bool digit = text[i] >= '0' && text[i] <= '9';
		if (form[i] == 'd' ? !digit : text[i] != form[i])
			return -1;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (str_to_u64_n(text + parts[i].at, parts[i].len, parts[i].max, &v[i]) < 0 ||
			v[i] < parts[i].min)
			return -1;
	}
	if (text[n] == '.') {
		size_t digits = strspn(text + n + 1, "0123456789");
		if (digits == 0)
			return -1;
		n += 1 + digits;
	}
	if (!str_eq(text + n, "Z") && !str_eq(text + n, "+00:00"))
		return -1;
	int64_t days = days_of((int)v[0], (int)v[1], (int)v[2]);
	int64_t seconds = (int64_t)(v[3] * 3600 + v[4] * 60 + v[5]);
	*out = (days * 86400 + seconds) * CLOCK_US_PER_S;
	return 0;
}

/* Keys stand in header fields and are signed: printable ASCII without blanks. */
static bool is_key(const char *s)
{
	size_t n = s ? strlen(s) : 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	}
	return n > 0 && n <= KEY_MAX;
}

/* Make ${out} of what an answer holds; ${who} for the error text. */
static int take_keys(const char *who, const char *id, const char *secret, const char *token,
	const char *ends, struct aws_keys *out, struct err *err)
{
	int64_t expires_at = 0;
	if (!is_key(id) || !is_key(secret) || (token && token[0] && !is_key(token)))
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s answered without keys", who);
	if (ends && ends[0] && aws_credentials_remote_time(ends, &expires_at) < 0)
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"%s answered with an expiration that is no time", who);
	out->access_key_id = mem_strdup(id);
	out->secret_access_key = mem_strdup(secret);
	out->session_token = token && token[0] ? mem_strdup(token) : NULL;
	out->expires_at = expires_at;
	return 0;
}

/* jansson does not wipe what it frees. */
static void wipe_member(const json_t *j, const char *name)
{
	const char *s = json_get_str(j, name);
	if (s)
		mem_wipe((char *)s, strlen(s));
}

/* The object that container and machine services answer with. */
static int read_json(
	const char *who, const struct net_response *a, struct aws_keys *out, struct err *err)
{
	json_t *j = json_parse(buf_str(&a->body), a->body.len, NULL);
	if (!j)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s answered without keys", who);
	int rc = take_keys(who, json_get_str(j, "AccessKeyId"), json_get_str(j, "SecretAccessKey"),
		json_get_str(j, "Token"), json_get_str(j, "Expiration"), out, err);
	wipe_member(j, "SecretAccessKey");
	wipe_member(j, "Token");
	json_decref(j);
	return rc;
}

/* A status other than 200: the body stays out of the text, only a code of plain letters goes in. */
static int refuse(const char *who, int status, const char *code, struct err *err)
{
	size_t n = code ? strlen(code) : 0;
	bool plain = n > 0 && n <= 64 &&
		     strspn(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == n;
	return err_set(err, status >= 500 || status == 429 ? ERR_UNAVAILABLE : ERR_DENIED, __func__,
		"%s answered %d%s%s", who, status, plain ? " " : "", plain ? code : "");
}

/* Contents of a file that holds one line. NULL + ${err}: not so. */
static char *read_token(const char *path, struct err *err)
{
	struct buf b;
	char *token = NULL;
	buf_init_secret(&b, TOKEN_MAX);
	if (fsio_read_file(path, &b, err) == 0) {
		while (b.len > 0 && strchr("\r\n \t", b.data[b.len - 1]))
			b.data[--b.len] = '\0';
		if (b.len == 0 || str_has_control(buf_str(&b), b.len))
			err_set(err, ERR_INVALID, __func__, "%s holds no token", path);
		else
			token = mem_strndup(b.data, b.len);
	}
	buf_free(&b);
	return token;
}

struct sts_answer {
	char *id, *secret, *token, *ends, *code;
};

static int take_element(void *arg, const char *path, const char *text)
{
#define CREDENTIALS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"
	struct sts_answer *s = arg;
	const struct {
		const char *path;
		char **to;
	} wanted[] = {
		{CREDENTIALS "AccessKeyId", &s->id},
		{CREDENTIALS "SecretAccessKey", &s->secret},
		{CREDENTIALS "SessionToken", &s->token},
		{CREDENTIALS "Expiration", &s->ends},
		{"ErrorResponse/Error/Code", &s->code},
	};
#undef CREDENTIALS
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		if (!str_eq(path, wanted[i].path))
			continue;
		mem_free_secret(*wanted[i].to);
		*wanted[i].to = mem_strdup(text);
	}
	return 0;
}

static int read_sts(const struct net_response *a, struct aws_keys *out, struct err *err)
{
	static const char who[] = "the security token service";
	struct sts_answer s = {0};
	int rc;
	int parsed = xml_parse(buf_str(&a->body), a->body.len, take_element, &s, NULL);
	if (a->status != 200)
		rc = refuse(who, a->status, s.code, err);
	else if (parsed < 0)
		rc = err_set(err, ERR_UNAVAILABLE, __func__, "%s answered without keys", who);
	else
		rc = take_keys(who, s.id, s.secret, s.token, s.ends, out, err);
	free(s.id);
	mem_free_secret(s.secret);
	mem_free_secret(s.token);
	free(s.ends);
	free(s.code);
	return rc;
}

int aws_credentials_remote_web_identity(struct net_http *http, const struct aws_web_identity *w,
	struct aws_keys *out, struct err *err)
{
	struct exchange x;
	struct buf form, url;
	int rc = -1;
	buf_init_secret(&form, FORM_MAX);
	buf_init(&url, URL_MAX);
	char *token = read_token(w->token_file, err);
	if (!token)
		goto out;
	(void)buf_add_str(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	(void)uri_encode(&form, w->role_arn);
	(void)buf_add_str(&form, "&RoleSessionName=");
	(void)uri_encode(&form, w->session_name);
	(void)buf_add_str(&form, "&WebIdentityToken=");
	(void)uri_encode(&form, token);
	(void)buf_add_str(&url, w->endpoint);
	if (!str_ends(w->endpoint, "/"))
		(void)buf_add_char(&url, '/');
	if (form.overflow || url.overflow) {
		err_set(err, ERR_INVALID, __func__, "role, session name or end point are too long");
		goto out;
	}
	exchange_init(&x, "POST", url.data, STS_MS);
	net_headers_set(&x.r.headers, "Content-Type", "application/x-www-form-urlencoded");
	x.r.body = form.data;
	x.r.body_len = form.len;
	x.r.idempotent = true;
	rc = net_http_send(http, &x.r, &x.a, err);
	if (rc == 0)
		rc = read_sts(&x.a, out, err);
	exchange_free(&x);
out:
	if (rc < 0)
		err_prefix(err, "web identity");
	mem_free_secret(token);
	buf_free(&form);
	buf_free(&url);
	return rc;
}

/* Whom the token may be shown to without TLS. */
static bool is_container_host(const char *host)
{
	static const char *const known[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (str_eq(host, known[i]))
			return true;
	}
	return loopback_is(host);
}

static int container_url(const char *uri, struct buf *out, struct err *err)
{
	struct uri u;
	if (uri[0] == '/')
		(void)buf_add_str(out, ECS_ORIGIN);
	if (buf_add_str(out, uri) < 0)
		return err_set(err, ERR_INVALID, __func__, "the URI is too long");
	if (uri_parse(out->data, &u, err) < 0)
		return -1;
	bool ok = u.tls || is_container_host(u.host);
	uri_free(&u);
	return ok ? 0
		  : err_set(err, ERR_INVALID, __func__,
			    "the URI is neither https nor of this machine, ECS or EKS");
}

int aws_credentials_remote_container(struct net_http *http, const char *uri, const char *token,
	const char *token_file, struct aws_keys *out, struct err *err)
{
	struct exchange x;
	struct buf url;
	char *read = NULL;
	int rc = -1;
	buf_init(&url, URL_MAX);
	if (container_url(uri, &url, err) < 0)
		goto out;
	if (token_file) {
		read = read_token(token_file, err);
		if (!read)
			goto out;
		token = read;
	}
	if (token && str_has_control(token, strlen(token))) {
		err_set(err, ERR_INVALID, __func__, "the authorization token is malformed");
		goto out;
	}
	exchange_init(&x, "GET", url.data, CONTAINER_MS);
	if (token)
		net_headers_set(&x.r.headers, "Authorization", token);
	x.r.idempotent = true;
	rc = net_http_send(http, &x.r, &x.a, err);
	if (rc == 0)
		rc = x.a.status == 200 ? read_json("the container's end point", &x.a, out, err)
				       : refuse("the container's end point", x.a.status, NULL, err);
	exchange_free(&x);
out:
	if (rc < 0)
		err_prefix(err, "container credentials");
	mem_free_secret(read);
	buf_free(&url);
	return rc;
}

/* GET ${path} with the session's token. Returns -1 unless the answer is a 200. */
static int metadata_get(struct net_http *http, struct exchange *x, const char *url,
	const char *token, struct err *err)
{
	exchange_init(x, "GET", url, METADATA_MS);
	net_headers_set(&x->r.headers, METADATA_TOKEN_FIELD, token);
	x->r.idempotent = true;
	if (net_http_send(http, &x->r, &x->a, err) < 0)
		return -1;
	return x->a.status == 200 ? 0 : refuse("the metadata service", x->a.status, NULL, err);
}

static char *metadata_token(struct net_http *http, const char *endpoint, struct err *err)
{
	struct exchange x;
	struct buf url;
	char *token = NULL;
	buf_init(&url, URL_MAX);
	if (buf_printf(&url, "%s/latest/api/token", endpoint) < 0) {
		err_set(err, ERR_INVALID, __func__, "the end point is too long");
		return NULL;
	}
	exchange_init(&x, "PUT", url.data, METADATA_TOKEN_MS);
	net_headers_set(&x.r.headers, "X-aws-ec2-metadata-token-ttl-seconds", "300");
	if (net_http_send(http, &x.r, &x.a, err) == 0) {
		if (x.a.status != 200)
			refuse("the metadata service", x.a.status, NULL, err);
		else if (!is_key(buf_str(&x.a.body)))
			err_set(err, ERR_UNAVAILABLE, __func__,
				"the metadata service answered without a token");
		else
			token = mem_strdup(x.a.body.data);
	}
	exchange_free(&x);
	buf_free(&url);
	return token;
}

/* Append the machine's role to ${url}, which asks for it. */
static int metadata_role(struct net_http *http, struct buf *url, const char *token, struct err *err)
{
	struct exchange x;
	int rc = metadata_get(http, &x, url->data, token, err);
	if (rc == 0) {
		/* One role a line; there is one. */
		char *role = mem_strndup(buf_str(&x.a.body), strcspn(buf_str(&x.a.body), "\r\n"));
		if (!is_key(role) || str_eq(role, ".") || str_eq(role, "..") ||
			uri_encode(url, role) < 0)
			rc = err_set(err, ERR_DENIED, __func__, "the machine has no role");
		free(role);
	}
	exchange_free(&x);
	return rc;
}

int aws_credentials_remote_metadata(
	struct net_http *http, const char *endpoint, struct aws_keys *out, struct err *err)
{
	struct exchange x;
	struct buf url;
	int rc = -1;
	size_t len = strlen(endpoint);
	while (len > 0 && endpoint[len - 1] == '/')
		len--;
	char *origin = mem_strndup(endpoint, len);
	buf_init(&url, URL_MAX);
	char *token = metadata_token(http, origin, err);
	if (!token)
		goto out;
	if (buf_printf(&url, "%s/latest/meta-data/iam/security-credentials/", origin) < 0) {
		err_set(err, ERR_INVALID, __func__, "the end point is too long");
		goto out;
	}
	if (metadata_role(http, &url, token, err) < 0)
		goto out;
	rc = metadata_get(http, &x, url.data, token, err);
	if (rc == 0)
		rc = read_json("the metadata service", &x.a, out, err);
	exchange_free(&x);
out:
	if (rc < 0)
		err_prefix(err, "machine role");
	mem_free_secret(token);
	free(origin);
	buf_free(&url);
	return rc;
}
