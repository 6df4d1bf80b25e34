/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/introspection.h"

#include "core/auth/claims.h"
#include "core/auth/oauth_form.h"
#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 5000
#define PROBE_MS 2000
#define ACTIVE_KEEP_US (60 * CLOCK_US_PER_S)
#define INACTIVE_KEEP_US (5 * CLOCK_US_PER_S)
#define ASKING_MAX 32 /* threads that wait for the end point; the others serve on */
#define NAME_MAX_BYTES (16 + 2 * DIGEST_SHA256_SIZE)

struct introspection {
	char *url;
	char *basic; /* value of Authorization; NULL: none */
	struct net_http *http;
	struct state *state;
	atomic_int asking;
};

struct introspection *introspection_new(
	const struct introspection_options *o, struct net_http *http, struct state *state)
{
	struct introspection *i = mem_zalloc(sizeof *i);
	i->url = mem_strdup(o->url);
	if (o->client_id && o->client_id[0])
		i->basic = oauth_form_basic(o->client_id, o->client_secret ? o->client_secret : "");
	i->http = http;
	i->state = state;
	return i;
}

void introspection_free(struct introspection *i)
{
	if (!i)
		return;
	free(i->url);
	mem_free_secret(i->basic);
	free(i);
}

/* --- asking --- */

/* The answer to ${token} as it came; NULL + ${err}. The caller decrefs. */
static json_t *post(struct introspection *i, const char *token, int64_t limit_ms, struct err *err)
{
	struct buf form;
	json_t *doc = NULL;
	int status = 0, rc = -1;
	buf_init_secret(&form, OAUTH_FORM_MAX);
	if (oauth_form_add(&form, "token", token) < 0 ||
		oauth_form_add(&form, "token_type_hint", "access_token") < 0)
		err_set(err, ERR_INVALID, __func__, "the token is too long");
	else
		rc = oauth_form_post(
			i->http, i->url, i->basic, &form, limit_ms, &status, &doc, err);
	buf_free(&form);
	if (rc == 0 && status == 200 && doc && json_is_boolean(json_object_get(doc, "active")))
		return doc;
	const char *reason = oauth_form_error(doc);
	if (rc == 0 && status != 200)
		err_set(err, ERR_UNAVAILABLE, __func__, "the end point answered %d%s%s", status,
			reason[0] ? " " : "", reason);
	else if (rc == 0)
		err_set(err, ERR_UNAVAILABLE, __func__,
			"the end point's answer is none to an introspection");
	json_decref(doc);
	err->code = ERR_UNAVAILABLE;
	err_prefix(err, "introspection");
	return NULL;
}

/* What is worth keeping of an answer: what claims.h reads. */
static json_t *select_members(const json_t *answer)
{
	static const char *const kept[] = {
		"active", "iss", "sub", "client_id", "aud", "scope", "scp", "exp", "nbf", "iat"};
	json_t *out = json_object();
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
		json_t *member = json_object_get(answer, kept[i]);
		if (member)
			json_object_set(out, kept[i], member);
	}
	return out;
}

/* --- the cache --- */

static void name_of(const struct introspection *i, const char *token, char out[NAME_MAX_BYTES])
{
	unsigned char sum[DIGEST_MAX];
	char hex[2 * DIGEST_SHA256_SIZE + 1];
	struct digest *d = digest_new("sha256");
	/* Another end point has other answers. */
	digest_update(d, i->url, strlen(i->url) + 1);
	digest_update(d, token, strlen(token));
	(void)digest_final(d, sum);
	digest_free(d);
	str_hex(hex, sum, DIGEST_SHA256_SIZE);
	(void)snprintf(out, NAME_MAX_BYTES, "oauth/token/%s", hex);
}

/* 1: there is an answer, into ${out}; 0: none; -1: the state store is out of reach. */
static int recall(struct introspection *i, const char *name, json_t **out, struct err *err)
{
	struct buf text;
	buf_init(&text, OAUTH_ANSWER_MAX);
	enum state_result r = state_kv_get(i->state, name, clock_now(), &text, err);
	*out = r == STATE_OK ? json_parse(buf_str(&text), text.len, NULL) : NULL;
	buf_free(&text);
	if (r == STATE_ERROR)
		return -1;
	return *out ? 1 : 0;
}

static void remember(struct introspection *i, const char *name, const json_t *answer, int64_t asked)
{
	bool active = json_is_true(json_object_get(answer, "active"));
	int64_t until = asked + (active ? ACTIVE_KEEP_US : INACTIVE_KEEP_US);
	int64_t end = claims_expires_at(answer);
	struct err err = {0};
	struct buf text;
	if (active && end > 0 && end < until)
		until = end > asked ? end : asked + INACTIVE_KEEP_US;
	buf_init(&text, OAUTH_ANSWER_MAX);
	if (json_write(&text, answer) == 0 &&
		state_kv_set(i->state, name, text.data, text.len, until, &err) < 0)
		LOG(LOG_LEVEL_WARN, "an answer about a token was not kept", log_err(&err));
	buf_free(&text);
}

static json_t *ask_end_point(
	struct introspection *i, const char *name, const char *token, struct err *err)
{
	json_t *selected = NULL;
	if (atomic_fetch_add(&i->asking, 1) >= ASKING_MAX) {
		err_set(err, ERR_UNAVAILABLE, __func__,
			"too many tokens wait for the introspection end point");
	} else {
		int64_t asked = clock_now();
		json_t *answer = post(i, token, ASK_MS, err);
		if (answer) {
			selected = select_members(answer);
			remember(i, name, selected, asked);
		}
		json_decref(answer);
	}
	atomic_fetch_sub(&i->asking, 1);
	return selected;
}

enum introspection_result introspection_ask(
	struct introspection *i, const char *token, json_t **claims, struct err *err)
{
	char name[NAME_MAX_BYTES];
	json_t *answer;
	*claims = NULL;
	name_of(i, token, name);
	int found = recall(i, name, &answer, err);
	if (found < 0)
		return INTROSPECTION_UNAVAILABLE;
	if (found == 0)
		answer = ask_end_point(i, name, token, err);
	if (!answer)
		return INTROSPECTION_UNAVAILABLE;
	if (json_is_true(json_object_get(answer, "active"))) {
		*claims = answer;
		return INTROSPECTION_ACTIVE;
	}
	json_decref(answer);
	err_set(err, ERR_INVALID, __func__, "the token is not, or no longer, in force");
	return INTROSPECTION_INACTIVE;
}

int introspection_probe(struct introspection *i, struct err *err)
{
	/* Nobody's token: all the answer has to say is that it is not active. */
	json_t *answer = post(i, "health", PROBE_MS, err);
	int rc = answer ? 0 : -1;
	json_decref(answer);
	return rc;
}
