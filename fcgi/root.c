/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "fcgi/routes.h"

void root_get(struct http_request *r)
{
	char now[CLOCK_RFC3339_SIZE];
	json_t *body =
		json_pack("{s:s, s:s, s:s, s:s}", "system", "DEX", "dex_product", "UPLOAD API",
			"dex_app", "upload server", "server_time", clock_rfc3339(now, clock_now()));

	http_json(r, 200, body);
	json_decref(body);
}
