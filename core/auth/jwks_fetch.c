/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jwks_fetch.h"

#include "core/auth/discovery.h"
#include "core/auth/jwk.h"
#include "core/base/err.h"

int jwks_fetch(struct net_http *http, const char *issuer, int64_t deadline_ms, struct buf *out,
	struct err *err)
{
	struct discovery d;
	int rc = discovery_fetch(http, issuer, deadline_ms, &d, NULL, err);
	if (rc == 0)
		rc = discovery_get_document(
			http, d.jwks_uri, deadline_ms, "keys", JWK_SET_MAX, out, err);
	discovery_free(&d);
	return rc;
}
