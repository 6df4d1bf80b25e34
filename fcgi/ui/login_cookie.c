/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/login_cookie.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

#define PLACE_MAX (OIDC_RANDOM_SIZE + 16)

bool login_is_path(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/' || path[1] == '/' || len > LOGIN_BACK_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (path[i] <= ' ' || path[i] > '~' || strchr("\\\"<>^`{|}", path[i]))
			return false;
	}
	return true;
}

bool login_is_state(const char *text, size_t len)
{
	unsigned char bytes[OIDC_RANDOM_SIZE];

	return len == OIDC_RANDOM_SIZE - 1 && str_base64url_decode(text, len, bytes) > 0;
}

void login_cookie_key(const char *secret, struct seal_key *out)
{
	seal_key_derive(secret, "dex-upload login", out);
}

static void place_of(const char *state, char out[PLACE_MAX])
{
	(void)snprintf(out, PLACE_MAX, "login/%s", state);
}

int login_cookie_write(const struct seal_key *key, const struct login_progress *p, struct buf *out)
{
	char place[PLACE_MAX];
	struct buf plain, sealed;
	json_t *doc = json_pack("{s:s, s:s, s:s, s:I}", "nonce", p->login.nonce, "verifier",
		p->login.verifier, "back", p->back, "ends_at", (json_int_t)p->ends_at);

	place_of(p->login.state, place);
	buf_init_secret(&plain, LOGIN_COOKIE_MAX);
	buf_init(&sealed, LOGIN_COOKIE_MAX);
	int rc = json_write(&plain, doc);
	if (rc == 0)
		rc = seal_close(key, place, plain.data, plain.len, &sealed);
	if (rc == 0)
		rc = str_base64url_encode(out, sealed.data, sealed.len);
	json_decref(doc);
	buf_free(&plain);
	buf_free(&sealed);
	return rc;
}

static bool take(const json_t *doc, const char *name, char *out, size_t size)
{
	const char *text = json_get_str(doc, name);

	return text && str_copy(out, size, text);
}

int login_cookie_read(const struct seal_key *key, const char *state, const char *text, size_t len,
	int64_t now, struct login_progress *out)
{
	unsigned char sealed[LOGIN_COOKIE_MAX];
	char place[PLACE_MAX];
	struct buf plain;
	int rc = -1;

	memset(out, 0, sizeof(*out));
	if (len > LOGIN_COOKIE_MAX || !login_is_state(state, strlen(state)))
		return -1;
	ssize_t n = str_base64url_decode(text, len, sealed);
	if (n < 0)
		return -1;
	place_of(state, place);
	buf_init_secret(&plain, LOGIN_COOKIE_MAX);
	if (seal_open(key, place, sealed, (size_t)n, &plain) == 0) {
		json_t *doc = json_parse(buf_str(&plain), plain.len, NULL);
		out->ends_at = json_integer_value(json_object_get(doc, "ends_at"));
		if (take(doc, "nonce", out->login.nonce, sizeof(out->login.nonce)) &&
			take(doc, "verifier", out->login.verifier, sizeof(out->login.verifier)) &&
			take(doc, "back", out->back, sizeof(out->back)) && out->ends_at > now)
			rc = 0;
		json_decref(doc);
	}
	buf_free(&plain);
	if (rc == 0)
		(void)str_copy(out->login.state, sizeof(out->login.state), state);
	else
		mem_wipe(out, sizeof(*out));
	return rc;
}

void login_list_add(const char *text, size_t len, const char *state, struct buf *out,
	char gone[OIDC_RANDOM_SIZE])
{
	const size_t each = OIDC_RANDOM_SIZE - 1;
	size_t n = 1;

	gone[0] = '\0';
	(void)buf_add_str(out, state);
	for (size_t at = 0; at + each <= len; at += each + 1) {
		const char *one = text + at;
		if (!login_is_state(one, each) || (at + each < len && one[each] != '.'))
			break;
		if (n++ < LOGINS_MAX) {
			(void)buf_add_char(out, '.');
			(void)buf_add(out, one, each);
			continue;
		}
		memcpy(gone, one, each);
		gone[each] = '\0';
		break;
	}
}
