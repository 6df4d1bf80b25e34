/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_request.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdlib.h>
#include <string.h>

#define QUERY_MAX 16384
#define PATH_MAX_BYTES 16384
/*
 * A body may take this much longer than the timeout, on a line that is slow but moves: 1 ms for
 * each of these bytes. One that does not move ends by the timeout.
 */
#define SLOWEST_BYTES_PER_MS 8

void blob_s3_request_init(
	struct blob_s3_call *c, const char *method, const char *key, struct blob_s3_store *s)
{
	*c = (struct blob_s3_call){.method = method, .key = key, .store = s};
	buf_init(&c->query, QUERY_MAX);
	buf_init(&c->path, PATH_MAX_BYTES);
	net_headers_init(&c->headers);
	net_response_init(&c->answer, 0);
}

void blob_s3_request_free(struct blob_s3_call *c)
{
	buf_free(&c->query);
	buf_free(&c->path);
	net_headers_free(&c->headers);
	net_response_free(&c->answer);
}

/* What does not fit is noticed when the request is sent. */
void blob_s3_request_param(struct blob_s3_call *c, const char *name, const char *value)
{
	(void)buf_printf(&c->query, "%s%s=", c->query.len > 0 ? "&" : "", name);
	(void)uri_encode(&c->query, value);
}

void blob_s3_request_param_number(struct blob_s3_call *c, const char *name, uint64_t value)
{
	(void)buf_printf(&c->query, "%s%s=%llu", c->query.len > 0 ? "&" : "", name,
		(unsigned long long)value);
}

void blob_s3_request_fields(struct blob_s3_call *c, const struct net_headers *h)
{
	/* The type of what is told apart only by its name; services would guess others. */
	net_headers_set(&c->headers, "Content-Type", "application/octet-stream");
	for (size_t i = 0; h && i < h->n; i++)
		net_headers_add(&c->headers, h->items[i].name, h->items[i].value);
}

int blob_s3_request_path(const struct blob_s3_store *s, const char *key, struct buf *out)
{
	if (buf_add_str(out, s->path) < 0)
		return -1;
	if (!key)
		return 0;
	if (buf_add_char(out, '/') < 0 || uri_encode_path(out, s->folder) < 0)
		return -1;
	return uri_encode_path(out, key);
}

int blob_s3_request_etag(char *out, size_t size, const char *value)
{
	out[0] = '\0';
	if (!value)
		return -1;
	if (value[0] == 'W' && value[1] == '/')
		value += 2;
	size_t len = strlen(value);
	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value++;
		len -= 2;
	}
	if (len == 0 || len >= size || str_has_control(value, len) || memchr(value, '"', len))
		return -1;
	memcpy(out, value, len);
	out[len] = '\0';
	return 0;
}

static int sign(void *arg, struct net_request *r, int64_t now, struct err *err)
{
	struct blob_s3_call *c = arg;

	return aws_signer_sign(&c->store->signer, &c->signing, c->method, c->store->host,
		buf_str(&c->path), buf_str(&c->query), &r->headers, c->payload, now, err);
}

static int error_element(void *arg, const char *path, const char *text)
{
	struct blob_s3_call *c = arg;

	if (strcmp(path, "Error/Code") == 0)
		(void)str_copy(c->code, sizeof(c->code), text);
	else if (strcmp(path, "Error/Message") == 0)
		(void)str_copy(c->message, sizeof(c->message), text);
	return 0;
}

/* Whether ${text} begins as an XML document whose root is ${root}. */
static bool root_is(const char *text, const char *root)
{
	const char *p = text;

	if (str_starts(p, "<?xml")) {
		p = strstr(p, "?>");
		if (!p)
			return false;
		p += 2;
	}
	p += strspn(p, " \t\r\n");
	size_t len = strlen(root);
	return *p == '<' && strncmp(p + 1, root, len) == 0 && strchr(" />", p[1 + len]) != NULL;
}

/* The service's own words go into our error text: one line of it, valid and without surprises. */
static void read_error(struct blob_s3_call *c, const struct net_response *a)
{
	const char *text = buf_str(&a->body);
	struct err ignored;

	c->code[0] = '\0';
	c->message[0] = '\0';
	text += strspn(text, " \t\r\n");
	if (!root_is(text, "Error"))
		return;
	if (xml_parse(text, strlen(text), error_element, c, &ignored) < 0) {
		(void)str_copy(c->code, sizeof(c->code), "InternalError");
		c->message[0] = '\0';
	}
	str_make_printable(c->message, ' ');
	str_make_printable(c->code, '?');
}

static bool one_of(const char *code, const char *const *codes)
{
	for (; *codes; codes++) {
		if (strcmp(code, *codes) == 0)
			return true;
	}
	return false;
}

static bool again(void *arg, const struct net_request *r, const struct net_response *a)
{
	/* What may well go better the next time, though its status does not say so. */
	static const char *const passing_codes[] = {"InternalError", "SlowDown", "RequestTimeout",
		"BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "ServiceUnavailable",
		"ConditionalRequestConflict", "OperationAborted", NULL};
	struct blob_s3_call *c = arg;
	(void)r;

	read_error(c, a);
	if (aws_signer_again(&c->store->signer, &c->signing, a, c->code))
		return true;
	if (c->once)
		return false;
	return (a->status < 300 || a->status == 400 || a->status == 409) &&
	       one_of(c->code, passing_codes);
}

int blob_s3_request_send(struct blob_s3_call *c, struct err *err)
{
	struct blob_s3_store *s = c->store;
	struct net_request r;
	struct buf url;

	buf_init(&url, PATH_MAX_BYTES + QUERY_MAX + 1024);
	buf_reset(&c->path);
	if (blob_s3_request_path(s, c->key, &c->path) < 0 || c->query.overflow ||
		buf_printf(&url, "%s%s%s%s", s->origin, buf_str(&c->path),
			c->query.len > 0 ? "?" : "", buf_str(&c->query)) < 0) {
		buf_free(&url);
		return err_set(err, ERR_INVALID, __func__, "the name is too long for a request");
	}
	sigv4_payload_hash(c->payload, c->body, c->len);
	net_response_free(&c->answer);
	net_response_init(&c->answer, c->answer_max);
	net_request_init(&r, c->method, buf_str(&url));
	for (size_t i = 0; i < c->headers.n; i++)
		net_headers_add(&r.headers, c->headers.items[i].name, c->headers.items[i].value);
	r.body = c->body;
	r.body_len = c->len;
	r.sign = sign;
	r.sign_arg = c;
	r.again = again;
	r.again_arg = c;
	r.sink = c->sink;
	r.sink_arg = c->sink_arg;
	r.idempotent = !c->once;
	r.deadline_ms = c->deadline_ms;
	if (r.deadline_ms == 0)
		r.deadline_ms =
			clock_mono_ms() + s->timeout_ms + (int64_t)(c->len / SLOWEST_BYTES_PER_MS);
	int rc = net_http_send(s->http, &r, &c->answer, err);
	if (rc == 0) {
		read_error(c, &c->answer);
		if (c->answer.status / 100 == 2)
			atomic_store(&s->answered, true);
	}
	net_request_free(&r);
	buf_free(&url);
	return rc;
}

bool blob_s3_request_succeeded(const struct blob_s3_call *c)
{
	return c->answer.status / 100 == 2 && !c->code[0];
}

static enum err_code code_of(const struct blob_s3_call *c)
{
	static const struct {
		const char *code;
		enum err_code err;
	} codes[] = {
		{"NoSuchKey", ERR_NOT_FOUND},
		{"NoSuchUpload", ERR_GONE},
		{"NoSuchBucket", ERR_UNAVAILABLE},
		{"PreconditionFailed", ERR_EXISTS},
		{"ConditionalRequestConflict", ERR_UNAVAILABLE},
		{"OperationAborted", ERR_UNAVAILABLE},
		{"InvalidPart", ERR_CORRUPT},
		{"InvalidPartOrder", ERR_CORRUPT},
		{"EntityTooSmall", ERR_CORRUPT},
		{"EntityTooLarge", ERR_TOO_LARGE},
		{"NotImplemented", ERR_UNSUPPORTED},
		{"QuotaExceeded", ERR_NO_SPACE},
		{"ServiceQuotaExceeded", ERR_NO_SPACE},
		{"XMinioStorageFull", ERR_NO_SPACE},
		{"ExpiredToken", ERR_DENIED},
		{"InvalidToken", ERR_DENIED},
		{"InternalError", ERR_UNAVAILABLE},
		{"SlowDown", ERR_UNAVAILABLE},
		{"RequestTimeout", ERR_UNAVAILABLE},
	};
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(c->code, codes[i].code) == 0)
			return codes[i].err;
	}
	int status = c->answer.status;
	if (status == 412)
		return ERR_EXISTS;
	if (status == 507)
		return ERR_NO_SPACE;
	if (status < 300)
		return ERR_UNAVAILABLE;
	enum err_code meaning = net_http_meaning(status);
	return meaning == ERR_IO ? ERR_INVALID : meaning;
}

int blob_s3_request_failed(const struct blob_s3_call *c, struct err *err)
{
	const char *what = c->key ? c->key : c->store->bucket;

	if (strcmp(c->code, "NoSuchBucket") == 0)
		return err_set(err, ERR_UNAVAILABLE, __func__, "%s: there is no bucket \"%s\"",
			what, c->store->bucket);
	return err_set(err, code_of(c), __func__, "%s: %s answers %d%s%s%s%s", what, c->store->host,
		c->answer.status, c->code[0] ? " " : "", c->code, c->message[0] ? ": " : "",
		c->message);
}

int blob_s3_request_run(struct blob_s3_call *c, struct err *err)
{
	if (blob_s3_request_send(c, err) < 0)
		return err_prefix(err, "%s", c->key ? c->key : c->store->bucket);
	return blob_s3_request_succeeded(c) ? 0 : blob_s3_request_failed(c, err);
}
