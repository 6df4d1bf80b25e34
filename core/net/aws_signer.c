/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/aws_signer.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/net/sigv4.h"

#include <string.h>

/* Signatures are refused when the clocks differ by fifteen minutes; a HEAD cannot tell us so. */
#define SKEW_NOTICED_US (INT64_C(240) * CLOCK_US_PER_S)

int aws_signer_sign(struct aws_signer *s, struct aws_signer_tries *t, const char *method,
	const char *host, const char *path, const char *query, struct net_headers *headers,
	const char *payload, int64_t now, struct err *err)
{
	struct aws_keys keys = {0};

	if (aws_credentials_get(s->credentials, &keys, err) < 0)
		return -1;
	t->temporary_keys = keys.session_token && *keys.session_token;
	struct sigv4_keys with = {keys.access_key_id, keys.secret_access_key, keys.session_token};
	struct sigv4_scope scope = {
		s->region ? s->region : aws_credentials_region(s->credentials), s->service};
	int rc = sigv4_sign(method, host, path, query, headers, payload, &with, &scope,
		now + atomic_load(&s->skew_us), err);
	aws_keys_free(&keys);
	return rc;
}

static bool one_of(const char *code, const char *const *codes)
{
	for (; *codes; codes++) {
		if (strcmp(code, *codes) == 0)
			return true;
	}
	return false;
}

/*
 * The answer's own time is what we sign with from now on: where the service says that ours is
 * wrong, ${told}, or it differs much.
 */
static bool set_clock(struct aws_signer *s, const struct net_response *a, bool told)
{
	const char *date = net_headers_get(&a->headers, "Date");
	int64_t there;

	if (!date || clock_parse_http_date(date, &there) < 0)
		return false;
	int64_t skew = there - clock_now();
	int64_t change = skew - atomic_load(&s->skew_us);
	if (!told && change < SKEW_NOTICED_US && change > -SKEW_NOTICED_US)
		return false;
	atomic_store(&s->skew_us, skew);
	return true;
}

bool aws_signer_again(struct aws_signer *s, struct aws_signer_tries *t,
	const struct net_response *a, const char *code)
{
	static const char *const clock_codes[] = {"RequestTimeTooSkewed", "RequestExpired", NULL};
	static const char *const vague_codes[] = {
		"AccessDenied", "", "SignatureDoesNotMatch", "InvalidSignatureException", NULL};
	static const char *const key_codes[] = {"ExpiredToken", "ExpiredTokenException",
		"InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
		"TokenRefreshRequired", "UnrecognizedClientException", NULL};
	bool told = one_of(code, clock_codes);
	bool refusal = a->status == 403 || a->status == 400;

	/* S3 says 403 where the time is wrong, the JSON protocols of others say 400. */
	if (refusal && !t->clock_set && (told || one_of(code, vague_codes)) &&
		(a->status == 403 || *code) && set_clock(s, a, told)) {
		t->clock_set = true;
		return true;
	}
	bool refused = one_of(code, key_codes) || (t->temporary_keys && !*code && refusal);
	if (!refused || t->keys_renewed)
		return false;
	aws_credentials_refused(s->credentials);
	t->keys_renewed = true;
	return true;
}
