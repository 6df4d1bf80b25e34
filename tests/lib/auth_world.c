/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/auth_world.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "tests/lib/http_server.h"
#include "tests/lib/state_kv.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)

const struct jwks_times auth_world_calm = {
	.refresh = HOUR_MS,
	.keep = 24 * HOUR_MS,
	.pause = HOUR_MS,
	.retry = HOUR_MS,
	.look = 0,
	.fetch = 30000,
};

struct jose_key *auth_world_key_a, *auth_world_key_b;

static void answer_keys(struct auth_world *w, struct http_server_answer *a)
{
	if (w->says.keys_status)
		a->status = w->says.keys_status;
	if (w->says.key_set)
		(void)buf_add_str(&a->body, w->says.key_set);
	else
		jose_key_set(w->says.keys, w->says.nkeys, &a->body);
}

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct auth_world *w = arg;
	if (w->says.status)
		a->status = w->says.status;
	if (a->status / 100 == 3)
		net_headers_add(&a->headers, "Location", "/moved");
	if (str_eq(q->path, "/.well-known/openid-configuration")) {
		if (!w->says.discovery)
			(void)buf_printf(&a->body, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}",
				w->issuer, http_server_url(w->server));
		else
			(void)buf_add_str(&a->body, w->says.discovery);
	} else if (str_eq(q->path, "/keys")) {
		answer_keys(w, a);
	} else if (str_eq(q->path, "/introspect")) {
		if (w->says.introspection_status)
			a->status = w->says.introspection_status;
		(void)buf_add_str(&a->body, w->says.introspection);
	} else {
		a->status = 404;
	}
}

void auth_world_set(struct auth_world *w, const struct auth_world_issuer *says)
{
	http_server_set(w->server, NULL, NULL);
	w->says = *says;
	http_server_set(w->server, answer, w);
}

void auth_world_make(struct auth_world *w)
{
	auth_free(w->auth);
	w->auth = auth_new(&w->options, w->state);
}

int auth_world_setup(void **state)
{
	struct auth_world *w = mem_zalloc(sizeof *w);
	w->server = http_server_start(NULL, NULL);
	w->state = state_kv_new();
	(void)str_copy(w->issuer, sizeof w->issuer, http_server_url(w->server));
	w->options = (struct auth_options){.issuer = w->issuer, .times = &auth_world_calm};
	ISSUER(w, KEY_A);
	auth_world_make(w);
	*state = w;
	return 0;
}

int auth_world_teardown(void **state)
{
	struct auth_world *w = *state;
	auth_free(w->auth);
	state_close(w->state);
	http_server_stop(w->server);
	free(w);
	return 0;
}

size_t auth_world_asked(struct auth_world *w, const char *path)
{
	size_t n = 0;
	for (size_t i = 0; i < http_server_count(w->server); i++)
		n += str_eq(http_server_request(w->server, i)->path, path);
	return n;
}

char *auth_world_token(struct auth_world *w, const struct jose_key *k, const char *more)
{
	char claims[512];
	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"sub\":\"me\",\"exp\":%" PRId64 "%s}",
		w->issuer, clock_now() / CLOCK_US_PER_S + 600, more);
	return jose_usual(k, "ES256", claims);
}

enum auth_result auth_world_check_for(struct auth_world *w, const char *token, enum auth_need need)
{
	struct auth_identity who;
	struct buf header;
	buf_init(&header, 1 << 16);
	(void)buf_printf(&header, "Bearer %s", token);
	err_clear(&w->err);
	enum auth_result r = auth_check(w->auth, header.data, need, &who, &w->err);
	if (r != AUTH_OK && (w->err.code == ERR_NONE || strstr(w->err.text, token)))
		fail_msg("\"%s\"", w->err.text);
	if ((r == AUTH_OK) != (who.subject != NULL))
		fail_msg("%d: %s", r, who.subject);
	auth_identity_free(&who);
	buf_free(&header);
	return r;
}

enum auth_result auth_world_check(struct auth_world *w, const char *token)
{
	return auth_world_check_for(w, token, AUTH_NEED_CHANGE);
}

enum auth_result auth_world_check_key(struct auth_world *w, const struct jose_key *k)
{
	char *token = auth_world_token(w, k, "");
	enum auth_result r = auth_world_check(w, token);
	free(token);
	return r;
}

void auth_world_introspect(struct auth_world *w, char url[128])
{
	snprintf(url, 128, "%s/introspect", http_server_url(w->server));
	w->options.introspection_url = url;
	w->options.client_id = "dex upload";
	w->options.client_secret = "s:e+c%t";
	auth_world_make(w);
}

int auth_world_begin(void)
{
	struct err err;

	if (log_open("stderr", LOG_LEVEL_ERROR, LOG_LOGFMT, &err) < 0)
		return -1;
	auth_world_key_a = jose_key_new("P-256", "a");
	auth_world_key_b = jose_key_new("P-256", "b");
	return 0;
}

void auth_world_end(void)
{
	jose_key_free(auth_world_key_a);
	jose_key_free(auth_world_key_b);
}
