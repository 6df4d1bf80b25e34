/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/login_world.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "tests/lib/state_kv.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void say_discovery(const struct login_world *w, struct buf *out)
{
	const char *i = w->issuer;
	(void)buf_printf(out, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"", i, i);
	if (w->discovery)
		(void)buf_printf(out, ",%s}", w->discovery);
	else
		(void)buf_printf(out,
			",\"authorization_endpoint\":\"%s/auth?p=1\",\"token_endpoint\":\"%s/"
			"token\","
			"\"end_session_endpoint\":\"%s/end\",\"revocation_endpoint\":\"%s/"
			"revoke\"}",
			i, i, i, i);
}

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct login_world *w = arg;
	if (str_eq(q->path, "/.well-known/openid-configuration")) {
		say_discovery(w, &a->body);
	} else if (str_eq(q->path, "/keys")) {
		jose_key_set(&w->key, 1, &a->body);
	} else if (str_eq(q->path, "/token")) {
		if (w->on_token)
			w->on_token(w->on_token_arg);
		if (w->status)
			a->status = w->status;
		(void)buf_add_str(&a->body, w->answer ? w->answer : "");
	} else if (!str_eq(q->path, "/revoke")) {
		a->status = 404;
	}
}

void login_world_make(struct login_world *w)
{
	oidc_client_free(w->client);
	w->client = oidc_client_new(&w->options, w->state);
}

int login_world_setup(void **state)
{
	struct login_world *w = mem_zalloc(sizeof *w);
	struct err err;
	if (log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return -1;
	w->key = jose_key_new("P-256", "a");
	w->foreign = jose_key_new("P-256", "a");
	w->state = state_kv_new();
	w->server = http_server_start(answer, w);
	(void)str_copy(w->issuer, sizeof w->issuer, http_server_url(w->server));
	w->options = (struct oidc_client_options){
		.issuer = w->issuer, .client_id = "page", .scopes = "profile up"};
	login_world_make(w);
	*state = w;
	return 0;
}

int login_world_teardown(void **state)
{
	struct login_world *w = *state;
	oidc_client_free(w->client);
	http_server_stop(w->server);
	state_close(w->state);
	jose_key_free(w->key);
	jose_key_free(w->foreign);
	free(w);
	return 0;
}

char *login_world_id_token(
	struct login_world *w, const struct jose_key *k, const char *alg, const char *more)
{
	int64_t now = clock_now() / CLOCK_US_PER_S;
	struct buf text;
	buf_init(&text, 4096);
	(void)buf_printf(&text, "{%s}", more);
	json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", w->issuer, "aud", "page",
		"sub", "me", "iat", (json_int_t)now, "exp", (json_int_t)now + 600);
	json_t *changes = json_parse(buf_str(&text), text.len, NULL);
	if (!changes || json_object_update(claims, changes) < 0)
		fail_msg("%s", more);
	buf_reset(&text);
	(void)json_write(&text, claims);
	char *token = jose_token(k, alg, "{\"alg\":\"ES256\",\"kid\":\"a\"}", buf_str(&text));
	json_decref(changes);
	json_decref(claims);
	buf_free(&text);
	return token;
}

size_t login_world_asked(struct login_world *w, const char *path, const char **body)
{
	size_t n = 0;
	for (size_t i = 0; i < http_server_count(w->server); i++) {
		const struct http_server_request *q = http_server_request(w->server, i);
		if (!str_eq(q->path, path))
			continue;
		n++;
		if (body)
			*body = buf_str(&q->body);
	}
	return n;
}
