/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/page.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "core/version.h"
#include "fcgi/routes.h"
#include "fcgi/session_cookie.h"
#include "fcgi/ui/csrf.h"
#include "fcgi/ui/template.h"
#include "fcgi/ui/texts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define URL_MAX (size_t)4096
/* Bytes that a browser sends in one request where neither a person nor a setting says otherwise. */
#define CHUNK UINT64_C(40000000)
#define TEXTS_MAX (size_t)(64 * 1024)

static const struct page_source *source_of(const char *name)
{
	for (size_t i = 0; i < page_sources_len; i++) {
		if (strcmp(page_sources[i].name, name) == 0)
			return &page_sources[i];
	}
	return NULL;
}

static bool is_set(const struct config *c, const char *name)
{
	const char *value = config_lookup((void *)(uintptr_t)c, name);

	return value && *value;
}

void page_api_url(struct http_request *r, struct buf *out)
{
	const struct config *c = r->app->config;
	struct buf own;

	if (is_set(c, "UI_SERVER_EXTERNAL_HOST")) {
		(void)buf_printf(out, "%s://%s", c->ui_api_protocol, c->ui_api_host);
		return;
	}
	/* The same machine under the same name, at the API's port. */
	buf_init(&own, URL_MAX);
	if (http_base_url(r, &own) == 0) {
		const char *scheme_end = strstr(buf_str(&own), "://");
		const char *host = scheme_end + 3;
		const char *bracket = strchr(host, ']');
		size_t len = bracket ? (size_t)(bracket - host) + 1 : strcspn(host, ":/");
		int scheme_len = (int)(scheme_end - buf_str(&own));
		if (is_set(c, "UI_SERVER_EXTERNAL_PROTOCOL"))
			(void)buf_add_str(out, c->ui_api_protocol);
		else
			(void)buf_printf(out, "%.*s", scheme_len, buf_str(&own));
		(void)buf_printf(
			out, "://%.*s:%" PRIu64 "%s", (int)len, host, c->server_port, r->prefix);
	}
	buf_free(&own);
}

/* scheme://host[:port] of a URL, for the policy. */
static int origin_len(const char *url)
{
	const char *host = strstr(url, "://");

	return host ? (int)((host + 3 - url) + (ptrdiff_t)strcspn(host + 3, "/")) : 0;
}

static void add_headers(struct http_request *r, const char *api)
{
	/* Nothing inline, nothing from elsewhere; the script talks to the API. */
	http_add_header(r, "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
		"connect-src 'self' %.*s; form-action 'self'; base-uri 'none'; "
		"frame-ancestors 'none'",
		origin_len(api), api);
	http_add_header(r, "X-Frame-Options", "DENY");
	http_add_header(r, "Referrer-Policy", "same-origin");
	http_add_header(r, "Cross-Origin-Opener-Policy", "same-origin");
	http_add_header(r, "Permissions-Policy", "camera=(), geolocation=(), microphone=()");
	/* Asked for anew each time, but kept for the way back to a form that was filled in. */
	http_add_header(r, "Cache-Control", "private, no-cache");
}

static json_t *script_settings(struct http_request *r, const char *api)
{
	const struct config *c = r->app->config;
	json_t *settings = json_object();
	struct buf url;

	buf_init(&url, URL_MAX);
	(void)buf_printf(&url, "%s%s", api, c->tus_path);
	json_object_set_new(settings, "files", json_string(buf_str(&url)));
	buf_reset(&url);
	(void)buf_printf(&url, "%s%s", api, c->info_path);
	json_object_set_new(settings, "info", json_string(buf_str(&url)));
	json_object_set_new(settings, "base", json_string(r->prefix));
	json_object_set_new(settings, "max", json_integer((json_int_t)c->max_size));
	json_object_set_new(settings, "auth", json_boolean(r->app->auth != NULL));
	json_object_set_new(settings, "login", json_boolean(r->app->login != NULL));
	json_object_set_new(settings, "texts", texts_of_scripts());
	buf_free(&url);
	return settings;
}

/* The numbers of the form field for the size of a chunk. */
static void add_chunk(const struct config *c, json_t *values)
{
	uint64_t max = c->max_append;
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, max > 0 && max < CHUNK ? max : CHUNK);
	json_object_set_new(values, "chunk", json_string(text));
	if (max == 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64, max);
	json_object_set_new(values, "append", json_string(text));
}

/* Where a person logs in, and comes back to this page. */
static void add_login_url(struct http_request *r, json_t *values)
{
	const char *query = http_param(r, "QUERY_STRING");
	struct buf here, url;

	buf_init(&here, URL_MAX);
	buf_init(&url, 4 * URL_MAX);
	if (r->method == HTTP_GET && !(r->flags & ROUTE_LOGIN))
		(void)buf_printf(&here, "%s%s%s", r->path, query ? "?" : "", query ? query : "");
	(void)buf_printf(&url, "%s/login?to=", r->prefix);
	(void)uri_encode(&url, here.len > 0 ? buf_str(&here) : "/");
	json_object_set_new(values, "login_url", json_string(buf_str(&url)));
	buf_free(&here);
	buf_free(&url);
}

/* Who is logged in, and how to change that. */
static void add_login(struct http_request *r, json_t *values, json_t *settings)
{
	struct session session;
	struct err err = {0};

	if (!r->app->login)
		return;
	json_object_set_new(values, "login", json_true());
	add_login_url(r, values);
	if (session_cookie_find(r, &session, &err) == STATE_OK) {
		json_object_set_new(values, "user", json_string(session.tokens.name));
		json_object_set_new(settings, "user", json_true());
		/* A page that has a form has its token already. */
		if (!json_object_get(values, "csrf_token")) {
			char token[CSRF_TOKEN_SIZE];
			csrf_issue(r, token);
			json_object_set_new(values, "csrf_token", json_string(token));
		}
	}
	session_free(&session);
}

static void add_frame_values(
	struct http_request *r, const char *name, const char *title, json_t *values)
{
	struct buf api, text;
	json_t *settings;

	buf_init(&api, URL_MAX);
	buf_init(&text, TEXTS_MAX);
	page_api_url(r, &api);
	add_headers(r, buf_str(&api));
	settings = script_settings(r, buf_str(&api));
	add_login(r, values, settings);
	(void)json_write(&text, settings);
	json_object_set_new(values, "settings", json_string(buf_str(&text)));
	json_object_set(values, "files", json_object_get(settings, "files"));
	json_object_set_new(values, "api", json_string(buf_str(&api)));
	json_object_set_new(values, "base", json_string(r->prefix));
	json_object_set_new(values, "page", json_string(name));
	json_object_set_new(values, "title", json_string(texts_get(title)));
	json_object_set_new(values, "version", json_string(version_release()));
	add_chunk(r->app->config, values);
	json_decref(settings);
	buf_free(&text);
	buf_free(&api);
}

void page_send(
	struct http_request *r, int status, const char *name, const char *title, json_t *values)
{
	const char *const parts[] = {"head", name, "tail"};

	add_frame_values(r, name, title, values);
	r->status = status;
	r->content_type = "text/html; charset=utf-8";
	buf_reset(&r->body);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct page_source *source = source_of(parts[i]);
		struct err err = {0};
		if (!source || template_render(&r->body, (const char *)source->text, source->len,
				       values, &err) < 0) {
			if (!source)
				err_set(&err, ERR_INVALID, __func__, "there is no page %s", name);
			*r->err = err;
			http_fail(r, 500, "ERR_INTERNAL_SERVER_ERROR", "the page cannot be made");
			break;
		}
	}
	json_decref(values);
}

void page_message(struct http_request *r, int status, const char *title, const char *text)
{
	page_send(r, status, "message", title,
		json_pack("{s:s, s:s}", "heading", texts_get(title), "text", texts_get(text)));
}

void page_error(struct http_request *r, const struct err *err)
{
	http_error(r, err);
	page_message(r, r->status, "failed_title", "failed_text");
}

void page_redirect(struct http_request *r, const char *path)
{
	http_status(r, 303);
	/* The page it leads to asks where its visitor comes from: the policy of a redirect counts.
	 */
	http_add_header(r, "Referrer-Policy", "same-origin");
	http_add_header(r, "Location", "%s%s", r->prefix, path);
}
