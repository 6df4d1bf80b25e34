/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/authorize.h"

#include "core/app.h"
#include "core/base/err.h"
#include "fcgi/session_cookie.h"

/*
 * As auth_check of a request: by its Authorization, where it has none by the session of the
 * browser.
 */
static enum auth_result check(struct http_request *r, enum auth_need need)
{
	const char *header = http_header(r, "Authorization");
	struct session session;

	if (header || !r->app->sessions || !session_cookie_counts(r))
		return auth_check(r->app->auth, header, need, &r->identity, r->err);
	switch (session_cookie_find(r, &session, r->err)) {
	case STATE_OK:
		break;
	case STATE_ERROR:
		return AUTH_UNAVAILABLE;
	default:
		return auth_check(r->app->auth, NULL, need, &r->identity, r->err);
	}
	enum auth_result result = auth_check_token(
		r->app->auth, session.tokens.access_token, need, &r->identity, r->err);
	session_free(&session);
	return result;
}

bool authorize_request(struct http_request *r, enum auth_need need)
{
	if (!r->app->auth)
		return true;
	switch (check(r, need)) {
	case AUTH_OK:
		return true;
	case AUTH_MISSING:
		http_fail(r, 401, "ERR_UNAUTHORIZED", r->err->text);
		http_add_header(r, "WWW-Authenticate", "Bearer");
		break;
	case AUTH_INVALID:
		http_fail(r, 401, "ERR_INVALID_TOKEN", r->err->text);
		http_add_header(r, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
		break;
	case AUTH_SCOPE:
		http_fail(r, 403, "ERR_INSUFFICIENT_SCOPE", r->err->text);
		http_add_header(r, "WWW-Authenticate", "Bearer error=\"insufficient_scope\"");
		break;
	case AUTH_UNAVAILABLE:
		r->err->code = ERR_UNAVAILABLE;
		http_error(r, r->err);
		break;
	}
	return false;
}

bool authorize_upload(struct http_request *r)
{
	const char *owner = r->identity.admin ? NULL : r->identity.subject;
	struct upload up;

	if (!r->app->auth)
		return true;
	if (upload_find_own(r->app, r->id, owner, &up, r->err) == 0) {
		upload_free(&up);
		return true;
	}
	/* What has become of one's own upload is the handler's to say. */
	if (r->err->code == ERR_GONE) {
		err_clear(r->err);
		return true;
	}
	if (r->err->code == ERR_NOT_FOUND)
		http_fail(r, 404, "ERR_UPLOAD_NOT_FOUND", "there is no such upload");
	else
		http_error(r, r->err);
	return false;
}

bool authorize_insider(struct http_request *r)
{
	struct auth_identity who;
	struct err err = {0};
	const char *header = r->app->auth ? http_header(r, "Authorization") : NULL;
	bool inside = !r->app->auth;

	if (header) {
		inside = auth_check(r->app->auth, header, AUTH_NEED_READ, &who, &err) == AUTH_OK;
		auth_identity_free(&who);
	}
	return inside;
}
