/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/health_uri.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"
#include "core/net/http.h"

#define ASK_MS 2000
#define ANSWER_MAX 65536

static int judge(const struct net_response *a, struct err *err)
{
	if (a->status / 100 != 2)
		return err_set(err, ERR_UNAVAILABLE, __func__, "it answers %d", a->status);
	json_t *o = json_parse(buf_str(&a->body), a->body.len, NULL);
	const char *status = o ? json_get_str(o, "status") : NULL;
	bool up = !status || str_eq_ci(status, "UP");
	json_decref(o);
	return up ? 0 : err_set(err, ERR_UNAVAILABLE, __func__, "it says that it is not up");
}

int health_uri_ask(const struct config *c, struct err *err)
{
	struct net_http *http = net_http_new(&(struct net_http_options){
		.ca_file = config_in_force(c, "DEX_CA_FILE"),
		.proxy = config_in_force(c, "DEX_HTTP_PROXY"),
		.connect_ms = ASK_MS,
	});
	struct net_request r;
	struct net_response a;

	net_request_init(&r, "GET", c->status_api_health_uri);
	net_response_init(&a, ANSWER_MAX);
	net_headers_set(&r.headers, "Accept", "application/json");
	r.deadline_ms = clock_mono_ms() + ASK_MS;
	int rc = net_http_send(http, &r, &a, err);
	if (rc == 0)
		rc = judge(&a, err);
	net_response_free(&a);
	net_request_free(&r);
	net_http_free(http);
	return rc;
}
