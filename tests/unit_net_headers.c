/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/headers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void names_are_compared_without_case(void **state)
{
	(void)state;
	struct net_headers h;
	net_headers_init(&h);
	assert_null(net_headers_get(&h, "a"));
	net_headers_add(&h, "X-One", "1");
	net_headers_add(&h, "x-two", "2");
	net_headers_add(&h, "x-one", "3");
	assert_string_equal(net_headers_get(&h, "x-ONE"), "1");
	assert_string_equal(net_headers_get(&h, "X-Two"), "2");
	assert_null(net_headers_get(&h, "X-On"));
	assert_int_equal(h.n, 3);
	assert_string_equal(h.items[2].name, "x-one");
	assert_string_equal(h.items[2].value, "3");
	net_headers_free(&h);
	assert_int_equal(h.n, 0);
	net_headers_free(&h);
}

static void set_leaves_one_of_a_name(void **state)
{
	(void)state;
	struct net_headers h;
	net_headers_init(&h);
	net_headers_add(&h, "a", "1");
	net_headers_add(&h, "b", "2");
	net_headers_add(&h, "A", "3");
	/* The new value may be an old one. */
	net_headers_set(&h, h.items[2].name, h.items[2].value);
	assert_int_equal(h.n, 2);
	assert_string_equal(h.items[0].name, "b");
	assert_string_equal(net_headers_get(&h, "a"), "3");
	net_headers_set(&h, "B", NULL);
	assert_int_equal(h.n, 1);
	assert_null(net_headers_get(&h, "b"));
	net_headers_set(&h, "none", NULL);
	assert_int_equal(h.n, 1);
	net_headers_set(&h, "c", "");
	assert_string_equal(net_headers_get(&h, "c"), "");
	for (int i = 0; i < 100; i++) {
		char name[16];
		snprintf(name, sizeof name, "n%d", i);
		net_headers_add(&h, name, name);
	}
	assert_int_equal(h.n, 102);
	assert_string_equal(net_headers_get(&h, "N99"), "n99");
	net_headers_free(&h);
}

static void a_value_is_one_line(void **state)
{
	(void)state;
	struct net_headers h;
	net_headers_init(&h);
	net_headers_add(&h, "a", "b\r\nEvil: 1\n");
	net_headers_set(&h, "c\nd", "\r");
	assert_string_equal(net_headers_get(&h, "a"), "b  Evil: 1 ");
	assert_string_equal(net_headers_get(&h, "c d"), " ");
	net_headers_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_compared_without_case),
		cmocka_unit_test(set_leaves_one_of_a_name),
		cmocka_unit_test(a_value_is_one_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
