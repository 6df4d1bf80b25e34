/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/auth/oidc_client.h"
#include "core/auth/session.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/uri.h"
#include "fcgi/cookie.h"
#include "fcgi/origin.h"
#include "fcgi/session_cookie.h"
#include "fcgi/ui/csrf.h"
#include "fcgi/ui/form.h"
#include "fcgi/ui/login_cookie.h"
#include "fcgi/ui/page.h"
#include "fcgi/ui/texts.h"
#include "fcgi/ui/ui.h"

#include <stdio.h>
#include <string.h>

/*
 * GET /login?to=PATH sends the browser to the issuer, GET /oauth_callback is where it comes back,
 * POST /logout ends the session, GET /logged_in tells a tab that was opened for a login that it is
 * done. All that is known of a login before it has succeeded lies in the browser's cookies.
 */

#define URL_MAX (size_t)(16 * 1024)
#define CALLBACK "/oauth_callback"
#define PROGRESS "dex_login_" /* and its state: a login on its way */
#define LIST "dex_logins"     /* which ones there are */

/* --- cookies --- */

static void put_progress(struct http_request *r, const char *state, const char *value, int age_s)
{
	char name[sizeof(PROGRESS) + OIDC_RANDOM_SIZE];

	(void)snprintf(name, sizeof(name), "%s%s", PROGRESS, state);
	session_cookie_put(r, &(struct session_cookie){.name = name,
				      .value = value,
				      .path = CALLBACK,
				      .domain = "",
				      .age_s = age_s});
}

/* One that would be too many goes: cookies that nobody comes back for must not fill a request. */
static void list_progress(struct http_request *r, const char *state)
{
	struct session_cookie list = {
		.name = LIST, .path = "/login", .domain = "", .age_s = LOGIN_TTL_S};
	char name[SESSION_COOKIE_NAME_MAX], gone[OIDC_RANDOM_SIZE];
	const char *header = http_header(r, "Cookie");
	size_t len = 0;
	struct buf value;

	session_cookie_name(r, &list, name);
	const char *had = cookie_next(&header, name, &len);
	buf_init(&value, LOGIN_COOKIE_MAX);
	login_list_add(had, had ? len : 0, state, &value, gone);
	list.value = buf_str(&value);
	session_cookie_put(r, &list);
	if (gone[0])
		put_progress(r, gone, "", 0);
	buf_free(&value);
}

static int find_progress(struct http_request *r, const char *state, struct login_progress *out)
{
	char name[sizeof(PROGRESS) + OIDC_RANDOM_SIZE], whole[SESSION_COOKIE_NAME_MAX];
	const char *header = http_header(r, "Cookie");
	const char *value;
	struct seal_key key;
	size_t len;
	int rc = -1;

	(void)snprintf(name, sizeof(name), "%s%s", PROGRESS, state);
	session_cookie_name(
		r, &(struct session_cookie){.name = name, .path = CALLBACK, .domain = ""}, whole);
	login_cookie_key(r->app->config->session_key, &key);
	while (rc < 0 && (value = cookie_next(&header, whole, &len)))
		rc = login_cookie_read(&key, state, value, len, clock_now(), out);
	mem_wipe(&key, sizeof(key));
	return rc;
}

/* --- answers --- */

/* A page about a login that did not succeed. ${why}: a word of the issuer's, or NULL. */
static void fail(
	struct http_request *r, int status, const char *text, const char *why, const char *back)
{
	json_t *values = json_pack(
		"{s:s, s:s}", "heading", texts_get("login_failed"), "text", texts_get(text));
	struct buf url;

	buf_init(&url, URL_MAX);
	(void)buf_printf(&url, "%s/login?to=", r->prefix);
	(void)uri_encode(&url, back);
	json_object_set_new(values, "again", json_string(buf_str(&url)));
	if (why && *why)
		json_object_set_new(values, "why", json_string(why));
	page_send(r, status, "login", "login_failed", values);
	r->code = "ERR_LOGIN";
	buf_free(&url);
}

/* The issuer, the state store, or what lies between. */
static void fail_for_now(struct http_request *r, const char *back)
{
	LOG(LOG_LEVEL_WARN, "a login could not go on", log_err(r->err));
	fail(r, 503, "login_later", NULL, back);
	http_add_header(r, "Retry-After", "5");
}

/* Only letters of OAuth's own error codes: the rest of the URL is anybody's text. */
static const char *plain_word(const char *word)
{
	return strlen(word) < 64 && word[strspn(word, "abcdefghijklmnopqrstuvwxyz_")] == '\0' ? word
											      : "";
}

static void own_url(struct http_request *r, const char *path, struct buf *out)
{
	(void)http_base_url(r, out);
	(void)buf_add_str(out, path);
}

/* --- /login --- */

static int begin(struct http_request *r, const char *back, struct buf *url)
{
	struct login_progress p = {.ends_at = clock_now() + LOGIN_TTL_S * CLOCK_US_PER_S};
	struct seal_key key;
	struct buf here, value;

	oidc_login_make(&p.login);
	(void)str_copy(p.back, sizeof(p.back), back);
	buf_init(&here, URL_MAX);
	buf_init(&value, LOGIN_COOKIE_MAX);
	own_url(r, CALLBACK, &here);
	login_cookie_key(r->app->config->session_key, &key);
	int rc = oidc_client_authorize(r->app->login, &p.login, buf_str(&here), url, r->err);
	if (rc == 0)
		rc = login_cookie_write(&key, &p, &value);
	if (rc == 0) {
		put_progress(r, p.login.state, buf_str(&value), LOGIN_TTL_S);
		list_progress(r, p.login.state);
	}
	mem_wipe(&key, sizeof(key));
	mem_wipe(&p, sizeof(p));
	buf_free(&here);
	buf_free(&value);
	return rc;
}

void login_get(struct http_request *r)
{
	struct buf back, url;

	buf_init(&back, LOGIN_BACK_MAX);
	buf_init(&url, URL_MAX);
	if (http_query(r, "to", &back) < 0 || !login_is_path(buf_str(&back)) ||
		memchr(buf_str(&back), '\0', back.len)) {
		buf_reset(&back);
		(void)buf_add_str(&back, "/");
	}
	if (begin(r, buf_str(&back), &url) == 0) {
		http_status(r, 303);
		http_add_header(r, "Location", "%s", buf_str(&url));
	} else {
		fail_for_now(r, buf_str(&back));
	}
	buf_free(&back);
	buf_free(&url);
}

/* --- /oauth_callback --- */

/* The API has to take the session from pages of this origin, or nothing would work. */
static void warn_of_origin(struct http_request *r)
{
	struct buf own, api;

	buf_init(&own, URL_MAX);
	buf_init(&api, URL_MAX);
	origin_own(r, &own);
	page_api_url(r, &api);
	if (!origin_is_page(r->app->config, buf_str(&own), buf_str(&api)))
		LOG(LOG_LEVEL_WARN,
			"the API cannot know that this is the upload page: add it to "
			"CSRF_TRUSTED_ORIGINS",
			log_str("origin", buf_str(&own)), log_str("api", buf_str(&api)));
	buf_free(&own);
	buf_free(&api);
}

/* The token is judged now, or a person would be logged in and yet be refused everything. */
static bool is_welcome(struct http_request *r, const struct oidc_tokens *t, const char *back)
{
	struct auth_identity who;

	enum auth_result result =
		auth_check_token(r->app->auth, t->access_token, AUTH_NEED_CHANGE, &who, r->err);
	auth_identity_free(&who);
	if (result == AUTH_OK)
		return true;
	if (result == AUTH_UNAVAILABLE) {
		fail_for_now(r, back);
		return false;
	}
	LOG(LOG_LEVEL_WARN, "the issuer's access token is not accepted", log_err(r->err));
	if (result == AUTH_SCOPE)
		fail(r, 403, "login_no_right", NULL, back);
	else
		fail(r, 403, "login_not_accepted", NULL, back);
	return false;
}

static void revoke(struct http_request *r, const struct oidc_tokens *t)
{
	struct err err = {0};

	if (oidc_client_revoke(r->app->login, t, &err) < 0 && err.code != ERR_UNSUPPORTED)
		LOG(LOG_LEVEL_WARN, "tokens could not be revoked", log_err(&err));
}

static void enter(struct http_request *r, const struct oidc_tokens *t, const char *back)
{
	char old[SESSION_ID_SIZE], id[SESSION_ID_SIZE];
	struct err err = {0};

	if (session_begin(r->app->sessions, t, id, r->err) < 0) {
		fail_for_now(r, back);
		return;
	}
	if (session_cookie_id(r, old) && session_end(r->app->sessions, old, &err) < 0)
		LOG(LOG_LEVEL_WARN, "an earlier session was not ended", log_err(&err));
	warn_of_origin(r);
	session_cookie_set(r, id);
	page_redirect(r, back);
	mem_wipe(id, sizeof(id));
}

static void redeem(struct http_request *r, const struct login_progress *p)
{
	struct buf code, iss, here;
	struct oidc_tokens t;

	buf_init_secret(&code, URL_MAX);
	buf_init(&iss, URL_MAX);
	buf_init(&here, URL_MAX);
	own_url(r, CALLBACK, &here);
	struct oidc_callback back = {.code = NULL};
	if (http_query(r, "code", &code) == 0)
		back.code = buf_str(&code);
	if (http_query(r, "iss", &iss) == 0)
		back.iss = buf_str(&iss);
	if (oidc_client_redeem(r->app->login, &p->login, &back, buf_str(&here), &t, r->err) == 0) {
		if (is_welcome(r, &t, p->back))
			enter(r, &t, p->back);
		else
			revoke(r, &t);
		oidc_tokens_free(&t);
	} else if (r->err->code == ERR_INVALID) {
		LOG(LOG_LEVEL_WARN, "a login was refused", log_err(r->err));
		fail(r, 403, "login_refused", NULL, p->back);
	} else {
		fail_for_now(r, p->back);
	}
	buf_free(&code);
	buf_free(&iss);
	buf_free(&here);
}

static void refuse(struct http_request *r, const char *error, const char *back)
{
	if (str_eq(error, "access_denied"))
		fail(r, 403, "login_cancelled", NULL, back);
	else if (str_eq(error, "temporarily_unavailable") || str_eq(error, "server_error"))
		fail(r, 503, "login_later", error, back);
	else
		fail(r, 403, "login_refused", plain_word(error), back);
}

void oauth_callback_get(struct http_request *r)
{
	struct login_progress p;
	struct buf state, error;

	buf_init(&state, OIDC_RANDOM_SIZE);
	buf_init(&error, URL_MAX);
	if (http_query(r, "state", &state) < 0 || !login_is_state(buf_str(&state), state.len) ||
		find_progress(r, buf_str(&state), &p) < 0) {
		fail(r, 400, "login_lost", NULL, "/");
	} else {
		/* It can be used once. */
		put_progress(r, p.login.state, "", 0);
		if (http_query(r, "error", &error) == 0)
			refuse(r, buf_str(&error), p.back);
		else
			redeem(r, &p);
		mem_wipe(&p, sizeof(p));
	}
	buf_free(&state);
	buf_free(&error);
}

void logged_in_get(struct http_request *r)
{
	struct session session;

	if (session_cookie_find(r, &session, r->err) != STATE_OK) {
		/* A browser that keeps no cookies, or none over plain HTTP. */
		err_clear(r->err);
		fail(r, 400, "login_lost", NULL, "/logged_in");
		return;
	}
	session_free(&session);
	page_send(r, 200, "login", "logged_in_title",
		json_pack("{s:s, s:s}", "heading", texts_get("logged_in_title"), "text",
			texts_get("logged_in_text")));
}

/* --- /logout --- */

/* Where the issuer keeps a session of its own, a link ends that, too: a form that is answered with
 * a redirect there would be stopped by the page's policy. */
static void say_goodbye(struct http_request *r, const char *id_token)
{
	json_t *values = json_pack("{s:s, s:s}", "heading", texts_get("logged_out_title"), "text",
		texts_get("logged_out_text"));
	struct err err = {0};
	struct buf url, home;

	buf_init_secret(&url, URL_MAX);
	buf_init(&home, URL_MAX);
	own_url(r, "/", &home);
	if (oidc_client_end_session(r->app->login, id_token, buf_str(&home), &url, &err) == 0)
		json_object_set_new(values, "end_session", json_string(buf_str(&url)));
	page_send(r, 200, "login", "logged_out_title", values);
	buf_free(&home);
	buf_free(&url);
}

static void leave(struct http_request *r)
{
	struct session session;
	char id[SESSION_ID_SIZE];
	struct err err = {0};

	enum state_result found = session_cookie_find(r, &session, &err);
	if (session_cookie_id(r, id) && session_end(r->app->sessions, id, r->err) < 0) {
		page_error(r, r->err);
	} else {
		session_cookie_clear(r);
		if (found == STATE_OK)
			revoke(r, &session.tokens);
		say_goodbye(r, found == STATE_OK ? session.tokens.id_token : NULL);
	}
	session_free(&session);
}

void logout_post(struct http_request *r)
{
	int status;
	json_t *form = form_read(r, &status);

	if (!form) {
		page_message(r, status, "form_title", "form_text");
		r->code = "ERR_INVALID_FORM";
	} else if (!csrf_check(r, json_get_str(form, CSRF_FIELD))) {
		page_message(r, 403, "csrf_h1", "csrf_plain");
		r->code = "ERR_CSRF";
	} else {
		leave(r);
	}
	json_decref(form);
}
