/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/service_bus.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/net/xml.h"

#include <stdlib.h>
#include <string.h>

#define URL_MAX ((size_t)16 << 10)
#define MESSAGE_MAX ((size_t)1 << 20) /* bytes; what the largest tier lets through over HTTPS */
#define SUBSCRIPTION_MAX 50           /* characters */
#define PROBE_MS 2000

static const char *given(const char *s)
{
	return s && *s ? s : NULL;
}

static const char *look_up(service_bus_setting_fn *setting, void *arg, const char *variable)
{
	return setting ? given(setting(arg, variable)) : NULL;
}

static int set_path(struct service_bus *b, const char *subscription, struct err *err)
{
	struct buf path;

	buf_init(&path, URL_MAX);
	if (subscription) {
		if (strlen(subscription) > SUBSCRIPTION_MAX || strpbrk(subscription, "/?#\\@*"))
			return err_set(err, ERR_INVALID, __func__, "no name of a subscription");
		(void)buf_add_str(&path, "/subscriptions/");
		(void)uri_encode(&path, subscription);
	}
	b->path = buf_take(&path);
	return 0;
}

int service_bus_open(struct service_bus *b, const char *where, const char *entity,
	const char *subscription, service_bus_setting_fn *setting, void *arg, struct err *err)
{
	*b = (struct service_bus){0};
	b->auth = azure_bus_new(where, entity, err);
	if (!b->auth || set_path(b, subscription, err) < 0) {
		service_bus_close(b);
		return -1;
	}
	b->http = net_http_new(&(struct net_http_options){
		.ca_file = look_up(setting, arg, "DEX_CA_FILE"),
		.proxy = look_up(setting, arg, "DEX_HTTP_PROXY"),
	});
	return 0;
}

void service_bus_close(struct service_bus *b)
{
	net_http_free(b->http);
	azure_bus_free(b->auth);
	free(b->path);
	*b = (struct service_bus){0};
}

const char *service_bus_entity(service_bus_setting_fn *setting, void *arg, const char *queue,
	const char *topic, struct err *err)
{
	const char *q = look_up(setting, arg, queue);
	const char *t = look_up(setting, arg, topic);

	err_clear(err);
	if (q && t) {
		err_set(err, ERR_INVALID, __func__, "only one of %s and %s can be set", queue,
			topic);
		return NULL;
	}
	return q ? q : t;
}

void service_bus_call_init(struct service_bus_call *c, struct service_bus *b, const char *method,
	const char *suffix, int64_t ms)
{
	struct buf url;

	memset(c, 0, sizeof(*c));
	buf_init(&url, URL_MAX);
	/* Cannot overflow: what it is made of was bounded when it came in. */
	(void)buf_printf(&url, "%s%s%s", azure_bus_url(b->auth), b->path, suffix);
	c->url = buf_take(&url);
	net_request_init(&c->r, method, c->url);
	c->r.sign = azure_bus_sign;
	c->r.sign_arg = b->auth;
	c->r.deadline_ms = clock_mono_ms() + ms;
	net_response_init(&c->a, MESSAGE_MAX);
	c->http = b->http;
}

void service_bus_call_free(struct service_bus_call *c)
{
	net_request_free(&c->r);
	net_response_free(&c->a);
	free(c->url);
}

static int take_detail(void *arg, const char *path, const char *text)
{
	struct service_bus_call *c = arg;

	if (str_eq(path, "Error/Detail"))
		str_copy(c->detail, sizeof(c->detail), text);
	return 0;
}

/* <Error><Code>401</Code><Detail>words, then what only the service's makers can use</Detail> */
static void read_detail(struct service_bus_call *c)
{
	const char *body = buf_str(&c->a.body);
	size_t len = c->a.body.len;
	struct err ignored;

	c->detail[0] = '\0';
	if (str_starts(body, "\xef\xbb\xbf")) {
		body += 3;
		len -= 3;
	}
	if (len == 0 || xml_parse(body, len, take_detail, c, &ignored) < 0)
		c->detail[0] = '\0';
	char *rest = strstr(c->detail, "TrackingId");
	if (rest)
		*rest = '\0';
	size_t n = strlen(c->detail);
	while (n > 0 && strchr(" .,", c->detail[n - 1]))
		c->detail[--n] = '\0';
	if (!str_is_utf8(c->detail, n) || str_has_control(c->detail, n))
		c->detail[0] = '\0';
}

static enum err_code code_of(int status)
{
	switch (status) {
	case 400:
		return ERR_INVALID;
	case 410:
		return ERR_NOT_FOUND;
	default:
		return net_http_meaning(status);
	}
}

int service_bus_call_run(struct service_bus_call *c, struct err *err)
{
	if (net_http_send(c->http, &c->r, &c->a, err) < 0) {
		/* A certificate that is not trusted is no fault of what was to be sent. */
		if (err->code == ERR_INVALID)
			err->code = ERR_DENIED;
		return -1;
	}
	if (c->a.status >= 200 && c->a.status < 300)
		return 0;
	read_detail(c);
	return err_set(err, code_of(c->a.status), __func__, "the service answered %d%s%s",
		c->a.status, c->detail[0] ? ": " : "", c->detail);
}

/* Words for a signature that does not fit, and for one that does but may not do this. */
static bool only_rights_are_missing(const struct service_bus_call *c)
{
	return c->a.status == 401 && strstr(c->detail, "EntityRead") != NULL;
}

int service_bus_probe(struct service_bus *b, struct err *err)
{
	struct service_bus_call c;

	service_bus_call_init(&c, b, "GET", "?api-version=2021-05", PROBE_MS);
	int rc = service_bus_call_run(&c, err);
	if (rc < 0 && only_rights_are_missing(&c))
		rc = 0;
	service_bus_call_free(&c);
	return rc;
}
