/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/aws_service.h"

#include "backends/aws_error.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/sigv4.h"
#include "core/net/uri.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)2 << 20)
#define URL_MAX 2048
#define CALL_MS 20000
#define STALL_MS 30000
#define FIFO ".fifo"
#define SNS_VERSION "2010-03-31"

struct aws_service {
	const char *name; /* "sns", "sqs" */
	char *region;
	struct net_http *http;
	struct aws_credentials *credentials;
	struct aws_signer signer;
	char *url;
	char *host; /* value of the Host field */
	char *path; /* "/" at least */
};

/* Copy the text up to ${end} (NULL: all of it); false: empty, too long, or not a plain word. */
static bool copy_part(char *out, size_t size, const char *text, const char *end, const char *plus)
{
	size_t len = end ? (size_t)(end - text) : strlen(text);

	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && !strchr(plus, c))
			return false;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

int aws_arn_parse(const char *text, const char *service, struct aws_arn *out, struct err *err)
{
	const char *colon[5];
	char which[8];
	size_t n = 0;

	*out = (struct aws_arn){0};
	for (const char *p = strchr(text, ':'); p && n < 5; p = strchr(p + 1, ':'))
		colon[n++] = p;
	if (n < 5 || !str_starts(text, "arn:") || !str_copy(out->text, sizeof(out->text), text) ||
		!copy_part(out->partition, sizeof(out->partition), colon[0] + 1, colon[1], "-") ||
		!copy_part(which, sizeof(which), colon[1] + 1, colon[2], "") ||
		!copy_part(out->region, sizeof(out->region), colon[2] + 1, colon[3], "-") ||
		!copy_part(out->account, sizeof(out->account), colon[3] + 1, colon[4], "") ||
		!copy_part(out->name, sizeof(out->name), colon[4] + 1, NULL, "-_."))
		return err_set(err, ERR_INVALID, __func__,
			"expected arn:aws:%s:REGION:ACCOUNT:NAME, got \"%.100s\"", service, text);
	out->fifo = str_ends(out->name, FIFO);
	size_t plain = strlen(out->name) - (out->fifo ? strlen(FIFO) : 0);
	if (strcmp(which, service) != 0)
		return err_set(err, ERR_INVALID, __func__,
			"expected the ARN of %s, got one of \"%s\"", service, which);
	if (plain == 0 || memchr(out->name, '.', plain))
		return err_set(err, ERR_INVALID, __func__,
			"\"%.100s\" is no name: letters, digits, '-' and '_', at most \"" FIFO
			"\" at its end",
			out->name);
	return 0;
}

struct settings {
	aws_setting_fn *get;
	void *arg;
};

static const char *setting(const struct settings *s, const char *variable)
{
	const char *value = s->get(s->arg, variable);

	return value && *value ? value : NULL;
}

static const char *get_key(void *arg, const char *key, const char *variable)
{
	(void)key;
	return setting(arg, variable);
}

/* The end point's URL, appended. What is in the way is named in ${variable}. */
static int find_endpoint(const char *service, const struct aws_arn *arn, const struct settings *s,
	const char **variable, struct buf *out)
{
	bool sns = strcmp(service, "sns") == 0;

	*variable = sns ? "AWS_ENDPOINT_URL_SNS" : "AWS_ENDPOINT_URL_SQS";
	const char *given = setting(s, *variable);
	if (!given) {
		*variable = "AWS_ENDPOINT_URL";
		given = setting(s, *variable);
	}
	if (given)
		return buf_add_str(out, given);
	return buf_printf(out, "https://%s.%s.amazonaws.com%s", service, arn->region,
		str_eq(arn->partition, "aws-cn") ? ".cn" : "");
}

static int set_endpoint(struct aws_service *s, const struct aws_arn *arn,
	const struct settings *settings, struct err *err)
{
	const char *variable;
	struct uri u = {0};
	struct buf b;
	int rc = -1;

	buf_init(&b, URL_MAX);
	if (find_endpoint(s->name, arn, settings, &variable, &b) < 0) {
		err_set(err, ERR_INVALID, __func__, "%s is too long", variable);
		goto out;
	}
	if (uri_parse(buf_str(&b), &u, err) < 0) {
		err_prefix(err, "%s", variable);
		goto out;
	}
	if (*u.query) {
		err_set(err, ERR_INVALID, __func__, "%s has a query", variable);
		goto out;
	}
	buf_reset(&b);
	(void)uri_origin(&u, &b);
	(void)buf_printf(&b, "%s/", u.path);
	s->url = mem_strdup(buf_str(&b));
	s->host = mem_strdup(u.authority);
	buf_reset(&b);
	(void)buf_printf(&b, "%s/", u.path);
	s->path = mem_strdup(buf_str(&b));
	rc = 0;
out:
	uri_free(&u);
	buf_free(&b);
	return rc;
}

struct aws_service *aws_service_new(const char *service, const struct aws_arn *arn,
	aws_setting_fn *get, void *arg, struct err *err)
{
	struct aws_service *s = mem_zalloc(sizeof(*s));
	struct settings settings = {get, arg};
	struct aws_credentials_options identity;

	s->name = service;
	if (set_endpoint(s, arn, &settings, err) < 0) {
		aws_service_free(s);
		return NULL;
	}
	s->region = mem_strdup(arn->region);
	s->http = net_http_new(&(struct net_http_options){
		.ca_file = setting(&settings, "DEX_CA_FILE"),
		.proxy = setting(&settings, "DEX_HTTP_PROXY"),
		.stall_ms = STALL_MS,
	});
	aws_credentials_options_read(&identity, get_key, &settings);
	s->credentials = aws_credentials_new(&identity, s->http);
	s->signer = (struct aws_signer){
		.credentials = s->credentials, .service = service, .region = s->region};
	return s;
}

void aws_service_free(struct aws_service *s)
{
	if (!s)
		return;
	aws_credentials_free(s->credentials);
	net_http_free(s->http);
	free(s->region);
	free(s->url);
	free(s->host);
	free(s->path);
	free(s);
}

static void call_init(struct aws_call *c, struct aws_service *s, const char *target)
{
	*c = (struct aws_call){.service = s, .target = target};
	buf_init(&c->body, BODY_MAX);
	net_response_init(&c->answer, 0);
}

void aws_query_init(struct aws_call *c, struct aws_service *s, const char *action)
{
	call_init(c, s, NULL);
	aws_query_param(c, "Action", action);
	aws_query_param(c, "Version", SNS_VERSION);
}

/* What does not fit is noticed when the request is sent. */
void aws_query_param(struct aws_call *c, const char *name, const char *value)
{
	(void)buf_printf(&c->body, "%s%s=", c->body.len > 0 ? "&" : "", name);
	(void)uri_encode(&c->body, value);
}

void aws_query_param_at(struct aws_call *c, const char *value, const char *fmt, ...)
{
	char name[96];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	aws_query_param(c, name, value);
}

void aws_json_init(struct aws_call *c, struct aws_service *s, const char *target)
{
	call_init(c, s, target);
}

void aws_call_free(struct aws_call *c)
{
	buf_free(&c->body);
	net_response_free(&c->answer);
}

static int sign(void *arg, struct net_request *r, int64_t now, struct err *err)
{
	struct aws_call *c = arg;
	struct aws_service *s = c->service;

	return aws_signer_sign(&s->signer, &c->signing, "POST", s->host, s->path, NULL, &r->headers,
		c->payload, now, err);
}

static bool again(void *arg, const struct net_request *r, const struct net_response *a)
{
	struct aws_call *c = arg;
	(void)r;

	if (a->status / 100 == 2)
		return false;
	aws_error_read(a, c->code, sizeof(c->code), c->message, sizeof(c->message));
	if (aws_signer_again(&c->service->signer, &c->signing, a, c->code))
		return true;
	return !c->once && a->status == 400 && aws_error_passes(c->code);
}

int aws_call_run(struct aws_call *c, struct err *err)
{
	struct aws_service *s = c->service;
	struct net_request r;

	if (c->body.overflow)
		return err_set(err, ERR_TOO_LARGE, __func__, "the request is too large");
	sigv4_payload_hash(c->payload, c->body.data, c->body.len);
	net_response_free(&c->answer);
	net_response_init(&c->answer, c->answer_max);
	net_request_init(&r, "POST", s->url);
	net_headers_set(&r.headers, "Content-Type",
		c->target ? "application/x-amz-json-1.0"
			  : "application/x-www-form-urlencoded; charset=utf-8");
	if (c->target)
		net_headers_set(&r.headers, "X-Amz-Target", c->target);
	r.body = c->body.data;
	r.body_len = c->body.len;
	r.sign = sign;
	r.sign_arg = c;
	r.again = again;
	r.again_arg = c;
	r.idempotent = !c->once;
	r.stop = c->stop;
	r.stop_arg = c->stop_arg;
	r.deadline_ms = c->deadline_ms ? c->deadline_ms : clock_mono_ms() + CALL_MS;
	c->code[0] = c->message[0] = '\0';
	int rc = net_http_send(s->http, &r, &c->answer, err);
	net_request_free(&r);
	if (rc == 0 && c->answer.status / 100 == 2)
		return 0;
	if (rc < 0) {
		/* A certificate, a file with keys: no fault of what was to be sent. */
		if (err->code == ERR_INVALID)
			err->code = ERR_UNAVAILABLE;
		return -1;
	}
	aws_error_read(&c->answer, c->code, sizeof(c->code), c->message, sizeof(c->message));
	return err_set(err, aws_error_code(c->code, c->answer.status), __func__,
		"%s answers %d%s%s%s%s", s->host, c->answer.status, c->code[0] ? " " : "", c->code,
		c->message[0] ? ": " : "", c->message);
}
