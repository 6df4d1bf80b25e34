/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/session.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/seal.h"
#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX ((size_t)64 * 1024)
#define NAME_MAX_BYTES 96
#define EARLY_US (30 * CLOCK_US_PER_S)
#define RENEW_US (15 * CLOCK_US_PER_S) /* longer than the issuer is waited for */
#define PAUSE_US (3 * CLOCK_US_PER_S)
#define WAIT_MS 6000
#define POLL_MS 25

struct sessions {
	struct seal_key key;
	struct oidc_client *client;
	struct state *state;
};

struct names {
	char value[NAME_MAX_BYTES], renew[NAME_MAX_BYTES], over[NAME_MAX_BYTES];
};

struct sessions *sessions_new(const char *secret, struct oidc_client *client, struct state *state)
{
	struct sessions *ss = mem_zalloc(sizeof *ss);
	seal_key_derive(secret, "dex-upload session", &ss->key);
	ss->client = client;
	ss->state = state;
	return ss;
}

void sessions_free(struct sessions *ss)
{
	if (ss)
		mem_wipe(&ss->key, sizeof ss->key);
	free(ss);
}

void session_free(struct session *s)
{
	oidc_tokens_free(&s->tokens);
	s->ends_at = 0;
}

bool session_is_id(const char *id)
{
	unsigned char bytes[SESSION_ID_SIZE];
	size_t len = strnlen(id, SESSION_ID_SIZE);
	return len == SESSION_ID_SIZE - 1 && str_base64url_decode(id, len, bytes) > 0;
}

static void name_it(const char *id, struct names *n)
{
	char hex[DIGEST_SHA256_HEX];
	digest_sha256_hex(id, strlen(id), hex);
	(void)snprintf(n->value, sizeof n->value, "session/%s", hex);
	(void)snprintf(n->renew, sizeof n->renew, "session/renew/%s", hex);
	(void)snprintf(n->over, sizeof n->over, "session/over/%s", hex);
}

/* --- as it lies in the store --- */

static const struct member {
	const char *name;
	size_t offset;
	bool optional;
} members[] = {
	{"access_token", offsetof(struct oidc_tokens, access_token), false},
	{"refresh_token", offsetof(struct oidc_tokens, refresh_token), true},
	{"id_token", offsetof(struct oidc_tokens, id_token), false},
	{"sub", offsetof(struct oidc_tokens, subject), false},
	{"name", offsetof(struct oidc_tokens, name), false},
};
#define NMEMBERS (sizeof members / sizeof members[0])

static char **text_of(struct oidc_tokens *t, const struct member *m)
{
	return (char **)((char *)t + m->offset);
}

static int write_value(struct sessions *ss, const char *name, struct session *s, struct err *err)
{
	json_t *doc = json_object();
	struct buf plain, sealed;
	int rc = -1;
	buf_init_secret(&plain, VALUE_MAX);
	buf_init(&sealed, VALUE_MAX + SEAL_OVERHEAD);
	for (size_t i = 0; i < NMEMBERS; i++) {
		const char *text = *text_of(&s->tokens, &members[i]);
		if (text)
			json_object_set_new(doc, members[i].name, json_string(text));
	}
	json_object_set_new(doc, "expires_at", json_integer(s->tokens.expires_at));
	json_object_set_new(doc, "ends_at", json_integer(s->ends_at));
	/* Without a refresh token the row is of no use once the access token has ended. */
	int64_t until = s->ends_at;
	if (!s->tokens.refresh_token && s->tokens.expires_at > 0 && s->tokens.expires_at < until)
		until = s->tokens.expires_at;
	if (json_write(&plain, doc) < 0 ||
		seal_close(&ss->key, name, plain.data, plain.len, &sealed) < 0)
		err_set(err, ERR_TOO_LARGE, __func__, "the session's tokens are too large");
	else
		rc = state_kv_set(ss->state, name, sealed.data, sealed.len, until, err);
	json_decref(doc);
	buf_free(&plain);
	buf_free(&sealed);
	return rc;
}

static int parse_value(const struct buf *text, struct session *out)
{
	json_t *doc = json_parse(buf_str(text), text->len, NULL);
	bool whole = doc != NULL;
	*out = (struct session){.ends_at = 0};
	for (size_t i = 0; whole && i < NMEMBERS; i++) {
		char *value = mem_strdup(json_get_str(doc, members[i].name));
		*text_of(&out->tokens, &members[i]) = value;
		whole = value || members[i].optional;
	}
	if (whole) {
		out->tokens.expires_at = json_integer_value(json_object_get(doc, "expires_at"));
		out->ends_at = json_integer_value(json_object_get(doc, "ends_at"));
	}
	json_decref(doc);
	if (!whole)
		session_free(out);
	return whole ? 0 : -1;
}

static enum state_result read_value(
	struct sessions *ss, const char *name, struct session *out, struct err *err)
{
	struct buf sealed, plain;
	*out = (struct session){.ends_at = 0};
	buf_init(&sealed, VALUE_MAX + SEAL_OVERHEAD);
	buf_init_secret(&plain, VALUE_MAX);
	enum state_result r = state_kv_get(ss->state, name, clock_now(), &sealed, err);
	/* What another key has sealed is as good as none: the key was changed to end all sessions.
	 */
	if (r == STATE_OK && (seal_open(&ss->key, name, buf_str(&sealed), sealed.len, &plain) < 0 ||
				     parse_value(&plain, out) < 0 || out->ends_at <= clock_now())) {
		session_free(out);
		r = STATE_NOT_FOUND;
	}
	buf_free(&sealed);
	buf_free(&plain);
	return r;
}

/* --- its life --- */

int session_begin(struct sessions *ss, const struct oidc_tokens *tokens, char id[SESSION_ID_SIZE],
	struct err *err)
{
	struct names n;
	struct session s = {.tokens = *tokens, /* borrowed */
		.ends_at = clock_now() + SESSION_MAX_S * CLOCK_US_PER_S};
	oidc_random(id);
	name_it(id, &n);
	return write_value(ss, n.value, &s, err);
}

static int end(struct sessions *ss, const struct names *n, struct err *err)
{
	int64_t until = clock_now() + SESSION_MAX_S * CLOCK_US_PER_S;
	/* In this order: who renews writes the session first and then looks whether it is over. */
	if (state_kv_set(ss->state, n->over, "", 0, until, err) < 0)
		return -1;
	return state_kv_set(ss->state, n->value, "", 0, until, err);
}

int session_end(struct sessions *ss, const char *id, struct err *err)
{
	struct names n;
	name_it(id, &n);
	return end(ss, &n, err);
}

static bool is_over(struct sessions *ss, const struct names *n)
{
	struct buf value;
	buf_init(&value, 16);
	enum state_result r = state_kv_get(ss->state, n->over, clock_now(), &value, NULL);
	buf_free(&value);
	/* Where it cannot be told it may be. */
	return r != STATE_NOT_FOUND;
}

static bool holds(const struct session *s, int64_t now)
{
	return s->tokens.expires_at == 0 || s->tokens.expires_at > now;
}

static bool is_due(const struct session *s, int64_t now)
{
	return s->tokens.refresh_token && !holds(s, now + EARLY_US);
}

/* We have the right to renew ${s}. */
static enum state_result renew(
	struct sessions *ss, const struct names *n, struct session *s, struct err *err)
{
	int rc = oidc_client_refresh(ss->client, &s->tokens, err);
	if (rc < 0 && err->code == ERR_INVALID) {
		/* The issuer has ended it. */
		return end(ss, n, err) < 0 ? STATE_ERROR : STATE_NOT_FOUND;
	}
	if (rc == 0 && write_value(ss, n->value, s, err) < 0)
		rc = -1;
	int64_t now = clock_now();
	(void)state_kv_set(ss->state, n->renew, "", 0, rc == 0 ? now : now + PAUSE_US, NULL);
	if (rc == 0 && is_over(ss, n))
		return end(ss, n, err) < 0 ? STATE_ERROR : STATE_NOT_FOUND;
	return rc == 0 || holds(s, now) ? STATE_OK : STATE_ERROR;
}

/* Somebody else renews it: his session is as good as ours. */
static enum state_result await(
	struct sessions *ss, const struct names *n, struct session *s, struct err *err)
{
	enum state_result r = STATE_OK;
	int64_t until = clock_mono_ms() + WAIT_MS;
	while (r == STATE_OK && !holds(s, clock_now())) {
		if (clock_mono_ms() >= until) {
			err_set(err, ERR_UNAVAILABLE, __func__, "the session is being renewed");
			return STATE_ERROR;
		}
		clock_sleep_ms(POLL_MS);
		session_free(s);
		r = read_value(ss, n->value, s, err);
	}
	return r;
}

enum state_result session_find(
	struct sessions *ss, const char *id, struct session *out, struct err *err)
{
	struct names n;
	name_it(id, &n);
	enum state_result r = read_value(ss, n.value, out, err);
	int64_t now = clock_now();
	if (r == STATE_OK && is_due(out, now)) {
		r = state_kv_add(ss->state, n.renew, "", 0, now, now + RENEW_US, err);
		if (r == STATE_OK) {
			/* It may have been renewed between our two looks. */
			session_free(out);
			r = read_value(ss, n.value, out, err);
			if (r == STATE_OK && is_due(out, now))
				r = renew(ss, &n, out, err);
		} else if (r == STATE_CONFLICT) {
			r = await(ss, &n, out, err);
		}
	} else if (r == STATE_OK && !holds(out, now)) {
		r = STATE_NOT_FOUND;
	}
	if (r != STATE_OK)
		session_free(out);
	return r;
}
