/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_azure_request.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A body may take this much longer than the timeout, on a line that is slow but moves: 1 ms for
 * each of these bytes. One that does not move ends by the timeout.
 */
#define SLOWEST_BYTES_PER_MS 8
#define URL_MAX ((size_t)16 << 10)
#define MESSAGE_MAX 160 /* bytes of the service's own words that go into an error */

int blob_azure_url(const struct blob_azure_store *s, const char *key, struct buf *out)
{
	buf_add_str(out, s->url);
	if (!key)
		return out->overflow ? -1 : 0;
	buf_add_char(out, '/');
	/* Dots that are a segment of their own would be taken for steps in the path; keys have
	 * none. */
	if (uri_encode_path(out, s->prefix) < 0)
		return -1;
	return uri_encode_path(out, key);
}

void blob_azure_call_init(struct blob_azure_call *c, struct blob_azure_store *s, const char *method,
	const char *key, const char *query)
{
	struct buf url;

	memset(c, 0, sizeof(*c));
	buf_init(&url, URL_MAX);
	/* Cannot overflow: what it is made of was bounded when it came in. */
	blob_azure_url(s, key, &url);
	if (query) {
		buf_add_char(&url, '?');
		buf_add_str(&url, query);
	}
	c->s = s;
	c->key = key;
	c->url = buf_take(&url);
	net_request_init(&c->r, method, c->url);
	c->r.sign = azure_auth_sign;
	c->r.sign_arg = s->auth;
	c->r.again = azure_auth_again;
	c->r.again_arg = s->auth;
	c->r.idempotent = true;
	c->since_ms = clock_mono_ms();
	c->r.deadline_ms = c->since_ms + s->timeout_ms;
	net_response_init(&c->a, 0);
}

void blob_azure_call_free(struct blob_azure_call *c)
{
	net_request_free(&c->r);
	net_response_free(&c->a);
	free(c->url);
}

void blob_azure_call_body_max(struct blob_azure_call *c, size_t max)
{
	net_response_free(&c->a);
	net_response_init(&c->a, max);
}

struct error_body {
	char code[64];
	char message[MESSAGE_MAX];
};

static int take_error(void *arg, const char *path, const char *text)
{
	struct error_body *e = arg;
	if (str_eq(path, "Error/Code"))
		str_copy(e->code, sizeof(e->code), text);
	else if (str_eq(path, "Error/Message"))
		str_copy(e->message, sizeof(e->message), text);
	return 0;
}

static void read_error(const struct blob_azure_call *c, struct error_body *e)
{
	struct err ignored;
	memset(e, 0, sizeof(*e));
	const char *body = buf_str(&c->a.body);
	size_t len = c->a.body.len;
	/* Some answers begin with a byte order mark. */
	if (str_starts(body, "\xef\xbb\xbf")) {
		body += 3;
		len -= 3;
	}
	if (len == 0 || xml_parse(body, len, take_error, e, &ignored) < 0)
		e->message[0] = '\0';
	const char *code = net_headers_get(&c->a.headers, "x-ms-error-code");
	if (code)
		str_copy(e->code, sizeof(e->code), code);
	/* The lines below the first one are the service's request id and time. */
	e->message[strcspn(e->message, "\r\n")] = '\0';
	if (!str_is_utf8(e->message, strlen(e->message)) ||
		str_has_control(e->message, strlen(e->message)))
		e->message[0] = '\0';
	for (char *p = e->code; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f)
			*p = '?';
	}
}

int blob_azure_call_send(struct blob_azure_call *c, struct err *err)
{
	c->code[0] = '\0';
	if (net_http_send(c->s->http, &c->r, &c->a, err) < 0)
		return -1;
	if (!blob_azure_call_ok(c)) {
		struct error_body e;
		read_error(c, &e);
		str_copy(c->code, sizeof(c->code), e.code);
	}
	return 0;
}

static int make_container(struct blob_azure_store *s, struct err *err)
{
	struct blob_azure_call c;
	blob_azure_call_init(&c, s, "PUT", NULL, "restype=container");
	int rc = blob_azure_call_send(&c, err);
	if (rc == 0 && !blob_azure_call_ok(&c) && !str_eq(c.code, "ContainerAlreadyExists"))
		rc = blob_azure_call_fail(&c, "make", err);
	blob_azure_call_free(&c);
	return rc;
}

int blob_azure_call_write(struct blob_azure_call *c, struct err *err)
{
	c->r.deadline_ms += (int64_t)(c->r.body_len / SLOWEST_BYTES_PER_MS);
	if (blob_azure_call_send(c, err) < 0)
		return -1;
	if (!c->s->create || !str_eq(c->code, "ContainerNotFound"))
		return 0;
	if (make_container(c->s, err) < 0)
		return -1;
	size_t max = c->a.body.max;
	blob_azure_call_body_max(c, max);
	return blob_azure_call_send(c, err);
}

bool blob_azure_call_ok(const struct blob_azure_call *c)
{
	return c->a.status >= 200 && c->a.status < 300;
}

bool blob_azure_call_missing(const struct blob_azure_call *c)
{
	if (c->a.status != 404)
		return false;
	return c->s->create || !str_eq(c->code, "ContainerNotFound");
}

bool blob_azure_call_refused(const struct blob_azure_call *c)
{
	return c->a.status == 412 || (c->a.status == 409 && str_eq(c->code, "BlobAlreadyExists"));
}

static enum err_code code_of(const struct blob_azure_call *c)
{
	static const struct {
		const char *code;
		enum err_code err;
	} names[] = {
		{"ContainerNotFound", ERR_UNAVAILABLE},
		{"ContainerBeingDeleted", ERR_UNAVAILABLE},
		{"ContainerDisabled", ERR_UNAVAILABLE},
		{"BlobAlreadyExists", ERR_EXISTS},
		{"BlobImmutableDueToPolicy", ERR_DENIED},
		/* Blocks that were sent are gone: another list was committed in between. */
		{"InvalidBlockList", ERR_CONFLICT},
		{"BlockCountExceedsLimit", ERR_TOO_LARGE},
		{"Md5Mismatch", ERR_UNAVAILABLE},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_eq(c->code, names[i].code))
			return names[i].err;
	}
	switch (c->a.status) {
	case 400:
		return ERR_INVALID;
	case 409:
	case 412:
		return ERR_CONFLICT;
	default:
		return net_http_meaning(c->a.status);
	}
}

int blob_azure_call_fail(const struct blob_azure_call *c, const char *what, struct err *err)
{
	struct error_body e;
	read_error(c, &e);
	if (str_eq(c->code, "ContainerNotFound"))
		return err_set(err, ERR_UNAVAILABLE, __func__, "container %s does not exist",
			c->s->container);
	return err_set(err, code_of(c), __func__, "%s %s%s: %s (%d)%s%s", what,
		c->key ? "" : "container ", c->key ? c->key : c->s->container,
		c->code[0] ? c->code : "the service answers", c->a.status, e.message[0] ? ": " : "",
		e.message);
}

void blob_azure_call_add_md5(struct blob_azure_call *c)
{
	unsigned char sum[DIGEST_MAX];
	struct buf text;

	if (c->s->tls)
		return;
	struct digest *d = digest_new("md5");
	/* A machine that allows no MD5 does without. */
	if (!d)
		return;
	digest_update(d, c->r.body, c->r.body_len);
	size_t len = digest_final(d, sum);
	digest_free(d);
	buf_init(&text, 2 * sizeof(sum));
	if (str_base64_encode(&text, sum, len) == 0)
		net_headers_set(&c->r.headers, "Content-MD5", buf_str(&text));
	buf_free(&text);
}

void blob_azure_call_etag(const struct blob_azure_call *c, char *out, size_t size)
{
	const char *etag = net_headers_get(&c->a.headers, "ETag");
	size_t len = etag ? strlen(etag) : 0;

	out[0] = '\0';
	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
		etag++;
		len -= 2;
	}
	if (len >= size)
		return;
	memcpy(out, etag ? etag : "", len);
	out[len] = '\0';
}

void blob_azure_call_if_match(struct blob_azure_call *c, const char *etag)
{
	char quoted[96];

	if (!*etag) {
		net_headers_set(&c->r.headers, "If-None-Match", "*");
		return;
	}
	snprintf(quoted, sizeof(quoted), "\"%s\"", etag);
	net_headers_set(&c->r.headers, "If-Match", quoted);
}

bool blob_azure_call_since(const struct blob_azure_call *c, const struct blob_azure_call *head)
{
	const char *modified = net_headers_get(&head->a.headers, "Last-Modified");
	const char *date = net_headers_get(&head->a.headers, "Date");
	int64_t written, now;

	if (!modified || !date || clock_parse_http_date(modified, &written) < 0 ||
		clock_parse_http_date(date, &now) < 0)
		return false;
	int64_t elapsed_ms = clock_mono_ms() - c->since_ms;
	/* Both dates are of whole seconds. */
	return now - written <= elapsed_ms * CLOCK_US_PER_MS + 2 * CLOCK_US_PER_S;
}

int blob_azure_call_length(const struct blob_azure_call *c, uint64_t *out, struct err *err)
{
	const char *text = net_headers_get(&c->a.headers, "Content-Length");
	if (text && str_to_u64(text, INT64_MAX, out) == 0)
		return 0;
	return err_set(
		err, ERR_UNAVAILABLE, __func__, "%s: the service does not tell its size", c->key);
}
