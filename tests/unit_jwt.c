/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens and keys without network: what is a signature, and what is not. */
#include "core/auth/claims.h"
#include "core/auth/jwt.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "tests/lib/jose.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLAIMS "{\"iss\":\"https://i\",\"sub\":\"s\",\"exp\":2000}"

enum { RSA, P256, P384, P521, ED25519, ED448, NKEYS };

static struct world {
	struct jose_key *keys[NKEYS];
	struct jose_key *other; /* RSA, not in the set */
	struct jose_key *weak;  /* RSA of 1024 bits */
	struct jwk_set set;
} world;

static void parse_set(const struct buf *text, struct jwk_set *out)
{
	struct err err = {0};
	if (jwk_set_parse(text->data, text->len, out, &err) < 0)
		fail_msg("%s: %s", err.text, text->data);
}

static int make_world(void **state)
{
	static const char *const kinds[NKEYS] = {
		"RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"};
	struct buf text;
	(void)state;
	for (size_t i = 0; i < NKEYS; i++)
		world.keys[i] = jose_key_new(kinds[i], kinds[i]);
	world.other = jose_key_new("RSA", "RSA");
	world.weak = jose_key_new("RSA1024", "weak");
	buf_init(&text, 1 << 16);
	jose_key_set(world.keys, NKEYS, &text);
	parse_set(&text, &world.set);
	assert_int_equal(world.set.n, NKEYS);
	buf_free(&text);
	return 0;
}

static int free_world(void **state)
{
	(void)state;
	for (size_t i = 0; i < NKEYS; i++)
		jose_key_free(world.keys[i]);
	jose_key_free(world.other);
	jose_key_free(world.weak);
	jwk_set_free(&world.set);
	return 0;
}

/* "good", "forged", "no key", or why it could not be taken apart. Frees ${token}. */
static const char *judge_with(char *token, const struct jwk_set *set)
{
	static const char *const names[] = {"good", "forged", "no key"};
	static struct err err;
	struct jwt t;
	const char *verdict = err.text;
	if (jwt_parse(token, &t, &err) == 0)
		verdict = names[jwt_verify(&t, set)];
	jwt_free(&t);
	free(token);
	return verdict;
}

static const char *judge(char *token)
{
	return judge_with(token, &world.set);
}

static void every_algorithm_is_verified(void **state)
{
	static const struct {
		const char *alg;
		int key;
	} rows[] = {{"RS256", RSA}, {"RS384", RSA}, {"RS512", RSA}, {"PS256", RSA}, {"PS384", RSA},
		{"PS512", RSA}, {"ES256", P256}, {"ES384", P384}, {"ES512", P521},
		{"EdDSA", ED25519}, {"EdDSA", ED448}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct jose_key *k = world.keys[rows[i].key];
		assert_string_equal(judge(jose_usual(k, rows[i].alg, CLAIMS)), "good");
		/* No bit of what is signed, and none of the signature, may change. */
		char *good = jose_usual(k, rows[i].alg, CLAIMS);
		size_t dots = strcspn(good, ".") + 1;
		char *claims = mem_strdup(good);
		claims[dots + 8] = claims[dots + 8] == 'A' ? 'B' : 'A';
		const char *verdict = judge(claims);
		assert_true(str_eq(verdict, "forged") || str_eq(verdict, "the token is malformed"));
		char *sig = strrchr(good, '.') + 1;
		sig[4] = sig[4] == 'A' ? 'B' : 'A';
		assert_string_equal(judge(good), "forged");
	}
}

static void a_key_serves_its_own_algorithm_only(void **state)
{
	static const struct {
		int key;
		const char *signed_as, *said;
	} rows[] = {
		{P384, "ES384", "ES256"},
		{P256, "ES256", "ES384"},
		{P256, "ES256", "ES512"},
		{RSA, "RS256", "PS256"},
		{RSA, "PS256", "RS256"},
		{RSA, "RS256", "RS512"},
		{RSA, "RS256", "ES256"},
		{RSA, "RS256", "EdDSA"},
		{ED25519, "EdDSA", "RS256"},
		{ED25519, "EdDSA", "ES256"},
	};
	char header[128];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		static const char *const kinds[NKEYS] = {
			"RSA", "P-256", "P-384", "P-521", "Ed25519", "Ed448"};
		snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}", rows[i].said,
			kinds[rows[i].key]);
		assert_string_equal(judge(jose_token(world.keys[rows[i].key], rows[i].signed_as,
					    header, CLAIMS)),
			"forged");
	}
}

static void headers_are_judged(void **state)
{
	static const char alg[] = "the token is not signed by an algorithm that is accepted";
	static const char extension[] = "the token insists on an extension that is not known here";
	static const char malformed[] = "the token is malformed";
	static const char type[] = "the token is no access token";
	static const struct {
		const char *header, *verdict;
	} rows[] = {
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\"}", "good"},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":\"JWT\"}", "good"},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":\"jwt\"}", "good"},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":\"AT+JWT\"}", "good"},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":\"application/at+jwt\"}", "good"},
		{"{\"alg\":\"RS256\"}", "good"},
		{"{\"alg\":\"RS256\",\"kid\":\"nobody\"}", "no key"},
		{"{\"alg\":\"RS256\",\"kid\":\"\"}", "no key"},
		{"{\"alg\":\"RS256\",\"kid\":\"P-256\"}", "forged"},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":\"logout+jwt\"}", type},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":\"\"}", type},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":1}", type},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"typ\":null}", type},
		{"{\"alg\":\"RS256\",\"kid\":7}", "the token's key has a malformed name"},
		{"{\"alg\":\"RS256\",\"kid\":null}", "the token's key has a malformed name"},
		{"{\"alg\":\"none\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"None\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"nOnE\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"HS256\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"rs256\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"RS1\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"RSA-OAEP\",\"enc\":\"A128GCM\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":\"\",\"kid\":\"RSA\"}", alg},
		{"{\"alg\":[\"RS256\"],\"kid\":\"RSA\"}", alg},
		{"{\"alg\":null,\"kid\":\"RSA\"}", alg},
		{"{\"kid\":\"RSA\"}", alg},
		{"{}", alg},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"crit\":[\"exp\"]}", extension},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"crit\":[\"x\"],\"x\":1}", extension},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"crit\":[]}", extension},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"crit\":null}", extension},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"b64\":false}", extension},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"b64\":false,\"crit\":[\"b64\"]}", extension},
		{"{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"RSA\"}", malformed},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\",\"kid\":\"RSA\"}", malformed},
		{"{\"alg\":\"RS256\",\"kid\":\"RSA\"", malformed},
		{"{\"alg\":\"RS256\",\"kid\":\"R\\u0000SA\"}", malformed},
		{"{\"alg\":\"RS256\",\"kid\":\"\xff\"}", malformed},
		{"[\"RS256\"]", malformed},
		{"\"RS256\"", malformed},
		{"null", malformed},
		{"", malformed},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *verdict =
			judge(jose_token(world.keys[RSA], "RS256", rows[i].header, CLAIMS));
		if (strcmp(verdict, rows[i].verdict) != 0)
			fail_msg("%s: %s", rows[i].header, verdict);
	}
}

static void keys_inside_a_token_are_not_looked_at(void **state)
{
	struct buf header;
	(void)state;
	buf_init(&header, 1 << 16);
	(void)buf_add_str(&header,
		"{\"alg\":\"RS256\",\"kid\":\"mine\",\"jku\":\"http://127.0.0.1:1/\","
		"\"jwk\":");
	jose_key_jwk(world.other, "", &header);
	(void)buf_add_char(&header, '}');
	assert_string_equal(judge(jose_token(world.other, "RS256", header.data, CLAIMS)), "no key");
	buf_free(&header);
}

static void forged_signatures_are_refused(void **state)
{
	static const char malformed[] = "the token is malformed";
	static const struct {
		int key;
		const char *alg;
		size_t len; /* of a signature all of whose bytes are zero */
	} zeros[] = {
		{P256, "ES256", 64},
		{P256, "ES256", 63},
		{P256, "ES256", 65},
		{P256, "ES256", 72},
		{P256, "ES256", 1},
		{P256, "ES256", 0},
		{P384, "ES384", 96},
		{P384, "ES384", 64},
		{P521, "ES512", 132},
		{P521, "ES512", 131},
		{ED25519, "EdDSA", 64},
		{ED25519, "EdDSA", 63},
		{ED25519, "EdDSA", 114},
		{ED448, "EdDSA", 114},
		{RSA, "RS256", 256},
		{RSA, "RS256", 255},
		{RSA, "RS256", 0},
		{RSA, "PS256", 256},
		{RSA, "PS256", 1024},
	};
	static const unsigned char nothing[1024];
	struct buf b;
	(void)state;
	assert_string_equal(judge(jose_usual(world.other, "RS256", CLAIMS)), "forged");
	for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
		char *token = jose_usual(world.keys[zeros[i].key], zeros[i].alg, CLAIMS);
		buf_init(&b, 1 << 16);
		(void)buf_add(&b, token, (size_t)(strrchr(token, '.') + 1 - token));
		jose_encode(&b, nothing, zeros[i].len);
		free(token);
		if (strcmp(judge(buf_take(&b)), "forged") != 0)
			fail_msg("%s, %zu zeros", zeros[i].alg, zeros[i].len);
	}
	/* The RSA key as the secret of a hash, and no signature at all. */
	assert_string_equal(judge(jose_usual(world.keys[RSA], "HS256", CLAIMS)),
		"the token is not signed by an algorithm that is accepted");
	assert_string_equal(judge(jose_usual(world.keys[RSA], "none", CLAIMS)),
		"the token is not signed by an algorithm that is accepted");
	/* One signature has one text. */
	char *token = jose_usual(world.keys[P256], "ES256", CLAIMS);
	buf_init(&b, 1 << 16);
	(void)buf_printf(&b, "%s==", token);
	free(token);
	assert_string_equal(judge(buf_take(&b)), malformed);
	/* Two bytes behind a good one. */
	for (int i = P256; i <= ED448; i++) {
		static const char *const algs[NKEYS] = {
			"RS256", "ES256", "ES384", "ES512", "EdDSA", "EdDSA"};
		token = jose_usual(world.keys[i], algs[i], CLAIMS);
		buf_init(&b, 1 << 16);
		(void)buf_printf(&b, "%sAAAA", token);
		/* A whole number of bytes at the end of a text, or of bits within it. */
		if (strlen(strrchr(token, '.') + 1) % 4 != 0)
			b.data[b.len -= 2] = '\0';
		free(token);
		if (strcmp(judge(buf_take(&b)), "forged") != 0)
			fail_msg("%s with more behind it", algs[i]);
	}
	token = jose_usual(world.keys[ED25519], "EdDSA", CLAIMS);
	char *last = token + strlen(token) - 1;
	*last = (char)(*last == 'A' ? 'B' : *last == 'Q' ? 'R' : *last == 'g' ? 'h' : 'x');
	assert_string_equal(judge(token), malformed);
}

static void junk_is_refused(void **state)
{
	static const char *const rows[] = {"", ".", "..", "...", "a.b.c", "e30.e30.", "e30..e30",
		"..e30", "e30.e30.e30.e30.e30", "e30", "e30.e30", "\xff.\xff.\xff", "e30 .e30.e30",
		"e30=.e30=.e30=", "!!!.!!!.!!!"};
	struct err err;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct jwt t;
		if (jwt_parse(rows[i], &t, &err) == 0)
			fail_msg("\"%s\" was accepted", rows[i]);
	}
	char *big = mem_alloc(JWT_MAX + 2);
	memset(big, 'A', JWT_MAX + 1);
	big[JWT_MAX + 1] = '\0';
	big[100] = big[200] = '.';
	assert_string_equal(judge(big), "this is no token");
	/* Brackets without end must not eat the stack. */
	char *deep = mem_alloc(2001);
	memset(deep, '[', 2000);
	deep[2000] = '\0';
	assert_string_equal(judge(jose_token(world.keys[RSA], "RS256", deep, CLAIMS)),
		"the token is malformed");
	assert_string_equal(judge(jose_token(world.keys[RSA], "RS256",
				    "{\"alg\":\"RS256\",\"kid\":\"RSA\"}", deep)),
		"the token is malformed");
	free(deep);
	assert_string_equal(judge(jose_usual(world.keys[RSA], "RS256",
				    "{\"iss\":\"a\",\"iss\":\"b\",\"exp\":1}")),
		"the token is malformed");
}

static void a_few_keys_are_tried_for_a_token_without_kid(void **state)
{
	struct buf text;
	struct jwk_set set;
	(void)state;
	/* Of nine keys that fit the ninth is not reached. */
	for (size_t n = 8; n <= 9; n++) {
		buf_init(&text, 1 << 16);
		(void)buf_add_str(&text, "{\"keys\":[");
		for (size_t i = 1; i < n; i++) {
			jose_key_jwk(world.other, "", &text);
			(void)buf_add_char(&text, ',');
		}
		jose_key_jwk(world.keys[RSA], "", &text);
		(void)buf_add_str(&text, "]}");
		parse_set(&text, &set);
		assert_int_equal(set.n, n);
		char *token = jose_token(world.keys[RSA], "RS256", "{\"alg\":\"RS256\"}", CLAIMS);
		assert_string_equal(judge_with(token, &set), n == 8 ? "good" : "no key");
		jwk_set_free(&set);
		buf_free(&text);
	}
}

/* --- keys --- */

static size_t usable(const char *keys)
{
	struct buf text;
	struct jwk_set set;
	struct err err = {0};
	buf_init(&text, 1 << 20);
	(void)buf_printf(&text, "{\"keys\":[%s]}", keys);
	(void)jwk_set_parse(text.data, text.len, &set, &err);
	size_t n = set.n;
	jwk_set_free(&set);
	buf_free(&text);
	return n;
}

static size_t usable_with(const struct jose_key *k, const char *more)
{
	struct buf text;
	buf_init(&text, 1 << 16);
	jose_key_jwk(k, more, &text);
	size_t n = usable(text.data);
	buf_free(&text);
	return n;
}

static void keys_say_what_they_are_for(void **state)
{
	static const struct {
		const char *more;
		size_t n;
	} rows[] = {
		{"", 1}, {",\"use\":\"sig\"", 1}, {",\"use\":\"enc\"", 0}, {",\"use\":1", 0},
		{",\"key_ops\":[\"verify\"]", 1}, {",\"key_ops\":[\"encrypt\",\"verify\"]", 1},
		{",\"key_ops\":[\"sign\"]", 0}, {",\"key_ops\":[]", 0},
		{",\"key_ops\":\"verify\"", 0}, {",\"x5c\":[\"junk\"]", 1},
		{",\"kty\":\"RSA\"", 0}, /* stands twice */
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (usable_with(world.keys[RSA], rows[i].more) != rows[i].n)
			fail_msg("%s", rows[i].more);
	}
	/* A key's own alg counts against the token's. */
	struct buf text;
	struct jwk_set set;
	buf_init(&text, 1 << 16);
	(void)buf_add_str(&text, "{\"keys\":[");
	jose_key_jwk(world.keys[RSA], ",\"alg\":\"PS256\"", &text);
	(void)buf_add_str(&text, "]}");
	parse_set(&text, &set);
	assert_string_equal(judge_with(jose_usual(world.keys[RSA], "PS256", CLAIMS), &set), "good");
	assert_string_equal(
		judge_with(jose_usual(world.keys[RSA], "RS256", CLAIMS), &set), "forged");
	jwk_set_free(&set);
	buf_free(&text);
}

static void weak_and_malformed_keys_are_passed_over(void **state)
{
	static const char *const rows[] = {
		"{}",
		"null",
		"7",
		"{\"kty\":\"oct\",\"k\":\"AAAA\"}",
		"{\"kty\":\"RSA\"}",
		"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
		"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"\"}",
		"{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
		/* not on the curve */
		"{\"kty\":\"EC\",\"crv\":\"P-256\","
		"\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
		"\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\","
		"\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
		"\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
		"{\"kty\":\"EC\",\"crv\":\"secp256k1\","
		"\"x\":\"eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g\","
		"\"y\":\"SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg\"}",
		"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
		"{\"kty\":\"OKP\",\"crv\":\"X25519\","
		"\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
		"{\"kty\":\"EC\",\"crv\":\"Ed25519\","
		"\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
	};
	struct buf text;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (usable(rows[i]) != 0)
			fail_msg("%s", rows[i]);
	}
	assert_int_equal(usable_with(world.weak, ""), 0);
	/* With these exponents everybody could sign: 1, 2, and one of more than 64 bits. */
	static const char *const exponents[] = {"AQ", "Ag", "AQAAAAAAAAAB", "AA"};
	for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
		char *at;
		buf_init(&text, 1 << 16);
		jose_key_jwk(world.keys[RSA], "", &text);
		at = strstr(text.data, "\"AQAB\"");
		assert_non_null(at);
		char *head = mem_strndup(text.data, (size_t)(at - text.data));
		buf_reset(&text);
		(void)buf_printf(&text, "%s\"%s\"}", head, exponents[i]);
		free(head);
		if (usable(text.data) != 0)
			fail_msg("e=%s", exponents[i]);
		buf_free(&text);
	}
	/* Others of the set stay good. */
	buf_init(&text, 1 << 16);
	jose_key_jwk(world.weak, "", &text);
	(void)buf_add_str(&text, ",{\"kty\":\"oct\"},");
	jose_key_jwk(world.keys[P256], "", &text);
	assert_int_equal(usable(text.data), 1);
	buf_free(&text);
}

static void a_set_is_bounded(void **state)
{
	static const char *const rows[] = {"", "{", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}",
		"{\"keys\":1}", "{\"keys\":[{}],\"keys\":[]}"};
	struct jwk_set set;
	struct err err;
	struct buf text;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(jwk_set_parse(rows[i], strlen(rows[i]), &set, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
	}
	for (size_t n = JWK_KEYS_MAX; n <= JWK_KEYS_MAX + 1; n++) {
		buf_init(&text, 1 << 20);
		for (size_t i = 0; i < n; i++) {
			(void)buf_add_str(&text, i ? "," : "");
			jose_key_jwk(world.keys[ED25519], "", &text);
		}
		assert_int_equal(usable(text.data), n == JWK_KEYS_MAX ? n : 0);
		buf_free(&text);
	}
}

/* --- claims --- */

#define NOW_S INT64_C(1800000000)

static void claims_are_checked(void **state)
{
	static const struct {
		const char *claims, *verdict; /* ISS, and NOW+n, are put in */
	} rows[] = {
		{"\"iss\":\"https://i\",\"exp\":1800000001", "good"},
		{"\"iss\":\"https://i\",\"exp\":1799999941", "good"},
		{"\"iss\":\"https://i\",\"exp\":1799999940.5", "good"},
		{"\"iss\":\"https://i\",\"exp\":1799999940", "the token has expired"},
		{"\"iss\":\"https://i\",\"exp\":0", "the token has expired"},
		{"\"iss\":\"https://i\",\"exp\":253402300799", "good"},
		{"\"iss\":\"https://i\"", "the token has no end of life"},
		{"\"iss\":\"https://i\",\"exp\":null", "the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":\"1800000001\"", "the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":true", "the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":-1", "the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":1e300", "the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":9223372036854775807",
			"the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":1800000001,\"nbf\":1800000060", "good"},
		{"\"iss\":\"https://i\",\"exp\":1800000001,\"nbf\":1800000061",
			"the token is not valid yet"},
		{"\"iss\":\"https://i\",\"exp\":1800000001,\"nbf\":\"0\"",
			"the token has a malformed time"},
		{"\"iss\":\"https://i\",\"exp\":1800000001,\"iat\":1800000060", "good"},
		{"\"iss\":\"https://i\",\"exp\":1800000001,\"iat\":1800000061",
			"the token was issued in the future"},
		{"\"iss\":\"https://i\",\"exp\":1800000001,\"iat\":[]",
			"the token has a malformed time"},
		{"\"iss\":\"https://i/\",\"exp\":1800000001", "the token is of another issuer"},
		{"\"iss\":\"https://I\",\"exp\":1800000001", "the token is of another issuer"},
		{"\"iss\":[\"https://i\"],\"exp\":1800000001", "the token is of another issuer"},
		{"\"exp\":1800000001", "the token is of another issuer"},
	};
	struct err err;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[256];
		const struct claims_rules r = {"https://i", NULL, true, NOW_S * CLOCK_US_PER_S};
		snprintf(text, sizeof text, "{%s}", rows[i].claims);
		json_t *claims = json_parse(text, strlen(text), &err);
		assert_non_null(claims);
		const char *verdict = claims_check(claims, &r, &err) == 0 ? "good" : err.text;
		if (strcmp(verdict, rows[i].verdict) != 0)
			fail_msg("%s: %s", rows[i].claims, verdict);
		json_decref(claims);
	}
}

static json_t *claims_of(const char *members)
{
	char text[512];
	struct err err;
	snprintf(text, sizeof text, "{%s}", members);
	json_t *claims = json_parse(text, strlen(text), &err);
	assert_non_null(claims);
	return claims;
}

static void an_answer_of_introspection_need_not_be_complete(void **state)
{
	static const struct {
		const char *claims;
		bool good;
	} rows[] = {
		{"\"active\":true", true},
		{"\"iss\":\"https://i\"", true},
		{"\"iss\":\"https://j\"", false},
		{"\"iss\":null", false},
		{"\"exp\":1", false},
		{"\"nbf\":1900000000", false},
	};
	struct err err;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct claims_rules r = {"https://i", NULL, false, NOW_S * CLOCK_US_PER_S};
		json_t *claims = claims_of(rows[i].claims);
		assert_int_equal(claims_check(claims, &r, &err) == 0, rows[i].good);
		json_decref(claims);
	}
}

static void the_audience_is_named(void **state)
{
	static const struct {
		const char *claims;
		bool good;
	} rows[] = {
		{"\"aud\":\"me\"", true},
		{"\"aud\":[\"you\",\"me\"]", true},
		{"\"aud\":\"me too\"", false},
		{"\"aud\":\"\"", false},
		{"\"aud\":[]", false},
		{"\"aud\":[\"you\",7]", false},
		{"\"aud\":{\"me\":1}", false},
		{"\"aud\":null", false},
		{"\"sub\":\"me\"", false},
	};
	struct err err;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct claims_rules r = {NULL, "me", false, NOW_S * CLOCK_US_PER_S};
		json_t *claims = claims_of(rows[i].claims);
		if ((claims_check(claims, &r, &err) == 0) != rows[i].good)
			fail_msg("%s", rows[i].claims);
		json_decref(claims);
	}
}

static void scopes_come_in_three_forms(void **state)
{
	static const struct {
		const char *claims, *wanted;
		bool good;
	} rows[] = {
		{"\"scope\":\"a b c\"", "a c", true},
		{"\"scope\":\"a b c\"", "b", true},
		{"\"scope\":\"a b c\"", "", true},
		{"\"scope\":\"a b c\"", " c  a ", true},
		{"\"scope\":\"a  b\"", "b", true},
		{"\"scope\":\"ab\"", "a", false},
		{"\"scope\":\"a\"", "ab", false},
		{"\"scope\":\"A\"", "a", false},
		{"\"scope\":\"a\"", "a b", false},
		{"\"scope\":[\"a\"]", "a", false},
		{"\"scp\":[\"a\",\"b\"]", "b a", true},
		{"\"scp\":[\"a b\"]", "a", false},
		{"\"scp\":\"a b\"", "b", true},
		{"\"scp\":{\"a\":1}", "a", false},
		{"\"scope\":\"a\",\"scp\":[\"b\",1]", "a b", true},
		{"\"x\":1", "a", false},
		{"\"x\":1", "", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *claims = claims_of(rows[i].claims);
		if (claims_have_scopes(claims, rows[i].wanted) != rows[i].good)
			fail_msg("%s: %s", rows[i].claims, rows[i].wanted);
		json_decref(claims);
	}
}

static void the_subject_is_sub_or_client(void **state)
{
	static const struct {
		const char *claims, *subject;
	} rows[] = {
		{"\"sub\":\"s\",\"client_id\":\"c\"", "s"},
		{"\"client_id\":\"c\"", "c"},
		{"\"sub\":\"\",\"client_id\":\"c\"", NULL},
		{"\"sub\":1,\"client_id\":\"c\"", NULL},
		{"\"sub\":null,\"client_id\":\"c\"", NULL},
		{"\"client_id\":[\"c\"]", NULL},
		{"\"azp\":\"c\"", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *claims = claims_of(rows[i].claims);
		const char *subject = claims_subject(claims);
		if (!str_eq(subject, rows[i].subject))
			fail_msg("%s: %s", rows[i].claims, subject ? subject : "-");
		json_decref(claims);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_algorithm_is_verified),
		cmocka_unit_test(a_key_serves_its_own_algorithm_only),
		cmocka_unit_test(headers_are_judged),
		cmocka_unit_test(keys_inside_a_token_are_not_looked_at),
		cmocka_unit_test(forged_signatures_are_refused),
		cmocka_unit_test(junk_is_refused),
		cmocka_unit_test(a_few_keys_are_tried_for_a_token_without_kid),
		cmocka_unit_test(keys_say_what_they_are_for),
		cmocka_unit_test(weak_and_malformed_keys_are_passed_over),
		cmocka_unit_test(a_set_is_bounded),
		cmocka_unit_test(claims_are_checked),
		cmocka_unit_test(an_answer_of_introspection_need_not_be_complete),
		cmocka_unit_test(the_audience_is_named),
		cmocka_unit_test(scopes_come_in_three_forms),
		cmocka_unit_test(the_subject_is_sub_or_client),
	};
	return cmocka_run_group_tests(tests, make_world, free_world);
}
