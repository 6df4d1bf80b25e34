/* SPDX-License-Identifier: Apache-2.0 */
#include "core/auth/jwt.h"

#include "core/auth/jws.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 8 /* keys that one token makes us try */

bool jwt_looks_like(const char *text)
{
	const char *first = strchr(text, '.');
	const char *second = first ? strchr(first + 1, '.') : NULL;
	return second && !strchr(second + 1, '.');
}

static void wipe_free(unsigned char *p, size_t len)
{
	if (p)
		mem_wipe(p, len);
	free(p);
}

/* Bytes of a base64url part, malloc'ed; NULL: malformed. */
static unsigned char *decode(const char *text, size_t len, size_t *out_len)
{
	unsigned char *bytes = mem_alloc(len / 4 * 3 + 4);
	ssize_t n = str_base64url_decode(text, len, bytes);
	if (n >= 0) {
		*out_len = (size_t)n;
		return bytes;
	}
	free(bytes);
	return NULL;
}

static json_t *decode_json(const char *text, size_t len)
{
	size_t n = 0;
	unsigned char *bytes = decode(text, len, &n);
	json_t *doc = bytes ? json_parse((const char *)bytes, n, NULL) : NULL;
	wipe_free(bytes, n);
	return doc;
}

static bool type_is_fine(const json_t *header)
{
	const json_t *typ = json_object_get(header, "typ");
	const char *name = json_string_value(typ);
	if (!typ)
		return true;
	/* RFC 7515 section 4.1.9: "application/" may be left out. */
	return name && (str_eq_ci(name, "JWT") || str_eq_ci(name, "at+jwt") ||
			       str_eq_ci(name, "application/at+jwt"));
}

static int read_header(struct jwt *t, struct err *err)
{
	const json_t *kid = json_object_get(t->header, "kid");
	t->alg = json_get_str(t->header, "alg");
	t->kid = json_string_value(kid);
	if (!t->alg || !jws_known(t->alg))
		return err_set(err, ERR_INVALID, __func__,
			"the token is not signed by an algorithm that is accepted");
	if (kid && !t->kid)
		return err_set(err, ERR_INVALID, __func__, "the token's key has a malformed name");
	/* We know no extension, so a critical one cannot be honoured (RFC 7515 section 4.1.11). */
	if (json_object_get(t->header, "crit") || json_object_get(t->header, "b64"))
		return err_set(err, ERR_INVALID, __func__,
			"the token insists on an extension that is not known here");
	if (!type_is_fine(t->header))
		return err_set(err, ERR_INVALID, __func__, "the token is no access token");
	return 0;
}

int jwt_parse(const char *text, struct jwt *out, struct err *err)
{
	size_t len = strlen(text);
	*out = (struct jwt){.text = text};
	if (len > JWT_MAX || !jwt_looks_like(text))
		return err_set(err, ERR_INVALID, __func__, "this is no token");
	size_t header_len = strcspn(text, ".");
	const char *claims = text + header_len + 1;
	size_t claims_len = strcspn(claims, ".");
	const char *sig = claims + claims_len + 1;
	out->signed_len = header_len + 1 + claims_len;
	out->header = decode_json(text, header_len);
	out->claims = out->header ? decode_json(claims, claims_len) : NULL;
	out->sig = out->claims ? decode(sig, strlen(sig), &out->sig_len) : NULL;
	if (!out->sig)
		err_set(err, ERR_INVALID, __func__, "the token is malformed");
	else if (read_header(out, err) == 0)
		return 0;
	jwt_free(out);
	return -1;
}

void jwt_free(struct jwt *t)
{
	json_decref(t->header);
	json_decref(t->claims);
	wipe_free(t->sig, t->sig_len);
	*t = (struct jwt){.text = NULL};
}

static bool is_signed_by(const struct jwt *t, const struct jwk *key)
{
	return jws_verify(t->alg, key, t->text, t->signed_len, t->sig, t->sig_len);
}

enum jwt_result jwt_verify(const struct jwt *t, const struct jwk_set *keys)
{
	bool named = false;
	int tries = 0;
	for (size_t i = 0; i < keys->n; i++) {
		const struct jwk *key = &keys->keys[i];
		if (t->kid && !str_eq(t->kid, key->kid))
			continue;
		named = named || t->kid != NULL;
		if (!jws_fits(t->alg, key) || tries++ >= TRIES_MAX)
			continue;
		if (is_signed_by(t, key))
			return JWT_GOOD;
	}
	return named ? JWT_FORGED : JWT_NO_KEY;
}
