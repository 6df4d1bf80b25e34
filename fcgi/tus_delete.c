/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "fcgi/routes.h"
#include "fcgi/tus_common.h"

void tus_delete(struct http_request *r)
{
	struct upload_hold hold;

	if (upload_take(r->app, r->id, &hold, r->err) < 0) {
		http_error(r, r->err);
		return;
	}
	if (upload_terminate(r->app, &hold, r->err) == 0)
		http_status(r, 204);
	else if (r->err->code == ERR_CONFLICT)
		http_fail(r, 409, "ERR_DELIVERY_PENDING", r->err->text);
	else
		http_error(r, r->err);
	upload_let_go(&hold);
}
