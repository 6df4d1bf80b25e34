/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_cluster.h"
#include "backends/redis_uri.h"
#include "core/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct redis_uri parsed(const char *text)
{
	struct redis_uri u;
	struct err err;
	if (redis_uri_parse(text, &u, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return u;
}

static void plain_has_defaults(void **state)
{
	(void)state;
	struct redis_uri u = parsed("redis://cache");
	assert_false(u.tls);
	assert_false(u.sentinel);
	assert_int_equal(u.nhosts, 1);
	assert_string_equal(u.hosts[0].name, "cache");
	assert_int_equal(u.hosts[0].port, 6379);
	assert_null(u.user);
	assert_null(u.password);
	assert_null(u.master);
	assert_int_equal(u.db, 0);
	assert_string_equal(u.prefix, "dex");
	assert_int_equal(u.timeout_ms, 2000);
	redis_uri_free(&u);
	redis_uri_free(&u);
}

static void everything_is_taken(void **state)
{
	(void)state;
	struct redis_uri u = parsed("rediss://app:s3cr%40t%3Ap%2Fw@[2001:db8::1]:6390/7"
				    "?prefix=one:two&ca_file=/etc/c%20a.pem&cert_file=c&key_file=k"
				    "&timeout=250ms");
	assert_true(u.tls);
	assert_string_equal(u.user, "app");
	assert_string_equal(u.password, "s3cr@t:p/w");
	assert_string_equal(u.hosts[0].name, "2001:db8::1");
	assert_int_equal(u.hosts[0].port, 6390);
	assert_int_equal(u.db, 7);
	assert_string_equal(u.prefix, "one:two");
	assert_string_equal(u.ca_file, "/etc/c a.pem");
	assert_string_equal(u.cert_file, "c");
	assert_string_equal(u.key_file, "k");
	assert_int_equal(u.timeout_ms, 250);
	redis_uri_free(&u);
}

static void sentinels_are_many(void **state)
{
	(void)state;
	struct redis_uri u = parsed("redis+sentinel://:pw@a,b:1,[::1]/my%20master/3?prefix=p");
	assert_true(u.sentinel);
	assert_int_equal(u.nhosts, 3);
	assert_int_equal(u.hosts[0].port, 26379);
	assert_int_equal(u.hosts[1].port, 1);
	assert_string_equal(u.hosts[2].name, "::1");
	assert_string_equal(u.master, "my master");
	assert_int_equal(u.db, 3);
	assert_null(u.user);
	assert_string_equal(u.password, "pw");
	redis_uri_free(&u);
	u = parsed("rediss+sentinel://a/m");
	assert_true(u.tls);
	assert_true(u.sentinel);
	redis_uri_free(&u);
}

static void nonsense_is_refused_without_a_secret(void **state)
{
	static const char *const bad[] = {
		"",
		"redis:/geheim",
		"http://u:geheim@h",
		"redis://",
		"redis://u:geheim@",
		"redis://u:geheim@/0",
		"redis://geheim@h",
		"redis://u:@h",
		"redis://u:geheim%4@h",
		"redis://u:geheim%zz@h",
		"redis://u:geheim%00@h",
		"redis://%:geheim@h",
		"redis://u:geheim@h:0",
		"redis://u:geheim@h:65536",
		"redis://u:geheim@h:",
		"redis://u:geheim@h:x",
		"redis://u:geheim@h@i",
		"redis://u:geheim@h,,i",
		"redis://u:geheim@h i",
		"redis://u:geheim@h\n",
		"redis://u:geheim@h#f",
		"redis://u:geheim@[::1",
		"redis://u:geheim@[::g]",
		"redis://u:geheim@[::1]x",
		"redis://u:geheim@h/-1",
		"redis://u:geheim@h/1/2",
		"redis://u:geheim@h/65536",
		"redis://u:geheim@h?",
		"redis://u:geheim@h?prefix",
		"redis://u:geheim@h?prefix=",
		"redis://u:geheim@h?prefix=a&prefix=b",
		"redis://u:geheim@h?prefix=%7Ba%7D",
		"redis://u:geheim@h?prefix=a&",
		"redis://u:geheim@h?colour=red",
		"redis://u:geheim@h?timeout=0",
		"redis://u:geheim@h?timeout=9ms",
		"redis://u:geheim@h?timeout=61s",
		"redis://u:geheim@h?timeout=1s&timeout=1s",
		"redis://u:geheim@h?ca_file=x",
		"rediss://u:geheim@h?cert_file=x",
		"redis+sentinel://u:geheim@h",
		"redis+sentinel://u:geheim@h/",
		"redis+sentinel://u:geheim@h//0",
		"redis://u:geheim@a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct redis_uri u;
		struct err err = {0};
		if (redis_uri_parse(bad[i], &u, &err) == 0)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(err.code, ERR_INVALID);
		assert_null(strstr(err.text, "geheim"));
		assert_null(u.password);
	}
}

static unsigned slot(const char *key)
{
	return redis_cluster_slot(key, strlen(key));
}

/* Values of the Cluster specification and of CLUSTER KEYSLOT of Redis 7.0. */
static void slots_are_those_of_redis(void **state)
{
	(void)state;
	assert_int_equal(slot("123456789"), 0x31C3);
	assert_int_equal(slot(""), 0);
	assert_int_equal(slot("foo"), 12182);
	assert_int_equal(slot("{foo}bar"), 12182);
	assert_int_equal(slot("a{foo}bar{zap}"), 12182);
	assert_int_not_equal(slot("{}foo"), 12182);
	assert_int_not_equal(slot("{foo"), 12182);
	assert_int_equal(slot("dex:{ab}:lock:x"), slot("dex:{ab}:fence:y"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_has_defaults),
		cmocka_unit_test(everything_is_taken),
		cmocka_unit_test(sentinels_are_many),
		cmocka_unit_test(nonsense_is_refused_without_a_secret),
		cmocka_unit_test(slots_are_those_of_redis),
	};
	return cmocka_run_group_tests_name("redis_uri", tests, NULL, NULL);
}
