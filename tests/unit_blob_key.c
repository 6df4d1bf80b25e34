/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *key;
	bool valid;
} cases[] = {
	{"a", true}, {"a/b/c.txt", true}, {"...", true}, {"a/.../b", true}, {".hidden", true},
	{"..hidden/..", false}, {"a b/c", true}, {"a\\b", true}, {"%2e%2e/%2f", true},
	{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80/x", true}, {"", false}, {"/", false}, {"/a", false},
	{"a/", false}, {"a//b", false}, {".", false}, {"..", false}, {"./a", false},
	{"../a", false}, {"a/.", false}, {"a/..", false}, {"a/./b", false}, {"a/../b", false},
	{"a\nb", false}, {"a\tb", false}, {"a\x7f", false}, {"\x01", false}, {"a\xff", false},
	{"a\xc0\xaf", false},     /* an overlong '/' */
	{"a\xc3", false},         /* ends within a character */
	{"a\xed\xa0\x80", false}, /* a surrogate */
};

static void keys_are_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (blob_key_valid(cases[i].key) != cases[i].valid)
			fail_msg("\"%s\" must be %s", cases[i].key,
				cases[i].valid ? "valid" : "refused");
	}
	assert_false(blob_key_valid(NULL));
}

static void length_is_limited(void **state)
{
	(void)state;
	char key[BLOB_KEY_MAX + 2];
	memset(key, 'k', sizeof(key));
	key[BLOB_KEY_MAX + 1] = '\0';
	assert_false(blob_key_valid(key));
	key[BLOB_KEY_MAX] = '\0';
	assert_true(blob_key_valid(key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_judged),
		cmocka_unit_test(length_is_limited),
	};
	return cmocka_run_group_tests_name("blob_key_valid", tests, NULL, NULL);
}
