/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/digest.h"
#include "fcgi/routes.h"
#include "fcgi/tus_common.h"

#include <inttypes.h>

void tus_options(struct http_request *r)
{
	http_status(r, 204);
	http_add_header(r, "Tus-Version", "%s", TUS_VERSION);
	http_add_header(r, "Tus-Extension", "%s", TUS_EXTENSIONS);
	http_add_header(r, "Tus-Checksum-Algorithm", "%s", digest_names());
	if (r->app->config->max_size > 0)
		http_add_header(r, "Tus-Max-Size", "%" PRIu64, r->app->config->max_size);
	tus_add_limit(r);
}
