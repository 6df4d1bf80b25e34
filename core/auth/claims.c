/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/claims.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <string.h>

#define SECONDS_MAX INT64_C(253402300799) /* the year 9999 */

enum presence { ABSENT, PRESENT, MALFORMED };

/* A NumericDate: seconds since 1970, perhaps with a fraction. */
static enum presence time_of(const json_t *claims, const char *name, int64_t *us)
{
	const json_t *v = json_object_get(claims, name);
	*us = 0;
	if (!v)
		return ABSENT;
	if (json_is_integer(v)) {
		json_int_t s = json_integer_value(v);
		if (s < 0 || s > SECONDS_MAX)
			return MALFORMED;
		*us = s * CLOCK_US_PER_S;
		return PRESENT;
	}
	if (json_is_real(v)) {
		double s = json_real_value(v);
		if (!(s >= 0 && s <= (double)SECONDS_MAX))
			return MALFORMED;
		*us = (int64_t)(s * (double)CLOCK_US_PER_S);
		return PRESENT;
	}
	return MALFORMED;
}

static int check_times(const json_t *claims, const struct claims_rules *r, struct err *err)
{
	const int64_t skew = CLAIMS_SKEW_S * CLOCK_US_PER_S;
	int64_t exp, nbf, iat;
	enum presence has_exp = time_of(claims, "exp", &exp);
	enum presence has_nbf = time_of(claims, "nbf", &nbf);
	enum presence has_iat = time_of(claims, "iat", &iat);
	if (has_exp == MALFORMED || has_nbf == MALFORMED || has_iat == MALFORMED)
		return err_set(err, ERR_INVALID, __func__, "the token has a malformed time");
	if (has_exp == ABSENT && r->complete)
		return err_set(err, ERR_INVALID, __func__, "the token has no end of life");
	if (has_exp == PRESENT && r->now >= exp + skew)
		return err_set(err, ERR_INVALID, __func__, "the token has expired");
	if (has_nbf == PRESENT && r->now + skew < nbf)
		return err_set(err, ERR_INVALID, __func__, "the token is not valid yet");
	if (has_iat == PRESENT && r->now + skew < iat)
		return err_set(err, ERR_INVALID, __func__, "the token was issued in the future");
	return 0;
}

static bool names(const json_t *value, const char *wanted)
{
	const json_t *one;
	size_t i;
	if (json_is_string(value))
		return str_eq(json_string_value(value), wanted);
	json_array_foreach (value, i, one) {
		if (str_eq(json_string_value(one), wanted))
			return true;
	}
	return false;
}

int claims_check(const json_t *claims, const struct claims_rules *r, struct err *err)
{
	const json_t *iss = json_object_get(claims, "iss");
	if (r->issuer && (iss || r->complete) && !str_eq(json_string_value(iss), r->issuer))
		return err_set(err, ERR_INVALID, __func__, "the token is of another issuer");
	if (r->audience && !names(json_object_get(claims, "aud"), r->audience))
		return err_set(err, ERR_INVALID, __func__, "the token is for another audience");
	return check_times(claims, r, err);
}

int64_t claims_expires_at(const json_t *claims)
{
	int64_t exp;
	return time_of(claims, "exp", &exp) == PRESENT ? exp : 0;
}

const char *claims_subject(const json_t *claims)
{
	const json_t *sub = json_object_get(claims, "sub");
	/* A sub that is not a name must not let the token pass as its client's. */
	const char *name = sub ? json_string_value(sub) : json_get_str(claims, "client_id");
	return name && *name ? name : NULL;
}

/* ${scope}, of ${len} bytes, is a word of ${list}. */
static bool is_word_of(const char *list, const char *scope, size_t len)
{
	while (list && *list) {
		size_t n = strcspn(list, " ");
		if (n == len && memcmp(list, scope, len) == 0)
			return true;
		list += n + strspn(list + n, " ");
	}
	return false;
}

static bool has_scope(const json_t *claims, const char *scope, size_t len)
{
	const json_t *scp = json_object_get(claims, "scp");
	const json_t *one;
	size_t i;
	if (is_word_of(json_get_str(claims, "scope"), scope, len) ||
		is_word_of(json_string_value(scp), scope, len))
		return true;
	json_array_foreach (scp, i, one) {
		const char *text = json_string_value(one);
		if (text && strlen(text) == len && memcmp(text, scope, len) == 0)
			return true;
	}
	return false;
}

bool claims_have_scopes(const json_t *claims, const char *wanted)
{
	while (*wanted) {
		size_t n = strcspn(wanted, " ");
		if (n > 0 && !has_scope(claims, wanted, n))
			return false;
		wanted += n + strspn(wanted + n, " ");
	}
	return true;
}
