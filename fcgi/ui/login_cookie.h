/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_LOGIN_COOKIE_H
#define DEX_FCGI_UI_LOGIN_COOKIE_H

#include "core/auth/oidc_client.h"
#include "core/base/buf.h"
#include "core/base/seal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A login on its way, kept by the browser that began it and by nobody else: sealed, in a cookie
 * named after the login's state, so that two tabs can log in at once. Pure.
 */

#define LOGIN_TTL_S 600
#define LOGIN_BACK_MAX 512
#define LOGIN_COOKIE_MAX ((size_t)2048) /* bytes of a value */
#define LOGINS_MAX 4                    /* on their way in one browser; the oldest one goes */

struct login_progress {
	struct oidc_login login;
	char back[LOGIN_BACK_MAX + 1]; /* path to go to when it is done */
	int64_t ends_at;               /* wall clock */
};

/*
 * ${path} leads to nowhere but this site: it begins with one '/', and has nothing in it that a
 * browser might read as another (RFC 9700 section 4.11).
 */
bool login_is_path(const char *path);
/* Is ${text} of ${len} bytes a state of ours by its form? */
bool login_is_state(const char *text, size_t len);

/* OAUTH_SESSION_KEY's key for these cookies. */
void login_cookie_key(const char *secret, struct seal_key *out);
/* Append the cookie's value. */
int login_cookie_write(const struct seal_key *key, const struct login_progress *p, struct buf *out);
/* Read the value of the login ${state}. -1: not of ours, of another login, or too old. */
int login_cookie_read(const struct seal_key *key, const char *state, const char *text, size_t len,
	int64_t now, struct login_progress *out);

/*
 * The logins on their way in one browser: their states, newest first, joined by '.', which is the
 * value of one more cookie. Puts ${state} in front of ${text} (of ${len} bytes; what is no list
 * counts as none), appends the list to ${out} and the one that has to go to ${gone} ("": none).
 */
void login_list_add(const char *text, size_t len, const char *state, struct buf *out,
	char gone[OIDC_RANDOM_SIZE]);

#endif
