/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/oauth_form.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/http.h"
#include "core/net/uri.h"

#include <string.h>

#define BASIC_MAX ((size_t)16 * 1024)
#define REASON_MAX 64

char *oauth_form_basic(const char *id, const char *secret)
{
	struct buf plain, coded;
	buf_init_secret(&plain, BASIC_MAX);
	buf_init_secret(&coded, 2 * BASIC_MAX);
	(void)uri_encode(&plain, id);
	(void)buf_add_char(&plain, ':');
	(void)uri_encode(&plain, secret);
	(void)buf_add_str(&coded, "Basic ");
	(void)str_base64_encode(&coded, buf_str(&plain), plain.len);
	char *out = mem_strdup(buf_str(&coded));
	buf_free(&plain);
	buf_free(&coded);
	return out;
}

int oauth_form_add(struct buf *form, const char *name, const char *value)
{
	if (form->len > 0)
		(void)buf_add_char(form, '&');
	(void)buf_add_str(form, name);
	(void)buf_add_char(form, '=');
	(void)uri_encode(form, value);
	return form->overflow ? -1 : 0;
}

int oauth_form_post(struct net_http *http, const char *url, const char *basic,
	const struct buf *form, int64_t limit_ms, int *status, json_t **doc, struct err *err)
{
	struct net_request r;
	struct net_response a;
	*doc = NULL;
	net_request_init(&r, "POST", url);
	net_response_init(&a, OAUTH_ANSWER_MAX);
	net_headers_set(&r.headers, "Content-Type", "application/x-www-form-urlencoded");
	net_headers_set(&r.headers, "Accept", "application/json");
	if (basic)
		net_headers_set(&r.headers, "Authorization", basic);
	r.body = form->data;
	r.body_len = form->len;
	r.deadline_ms = clock_mono_ms() + limit_ms;
	int rc = net_http_send(http, &r, &a, err);
	if (rc == 0) {
		*status = a.status;
		if (!a.truncated)
			*doc = json_parse(buf_str(&a.body), a.body.len, NULL);
	} else if (err) {
		err->code = ERR_UNAVAILABLE;
	}
	net_response_free(&a);
	net_request_free(&r);
	return rc;
}

const char *oauth_form_error(const json_t *answer)
{
	const char *word = answer ? json_get_str(answer, "error") : NULL;
	bool plain = word && strlen(word) < REASON_MAX &&
		     strspn(word, "abcdefghijklmnopqrstuvwxyz_") == strlen(word);
	return plain ? word : "";
}
