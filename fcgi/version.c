/* SPDX-License-Identifier: Apache-2.0 */
#include "core/version.h"

#include "fcgi/routes.h"

void version_get(struct http_request *r)
{
	json_t *body = json_pack("{s:s, s:s, s:s}", "repo", "dex-upload", "latest_release_version",
		version_release(), "git_short_sha", version_git_sha());

	http_json(r, 200, body);
	json_decref(body);
}
