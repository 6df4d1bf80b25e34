/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void an_unused_buffer_is_an_empty_string(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	assert_string_equal(buf_str(&b), "");
	char *taken = buf_take(&b);
	assert_string_equal(taken, "");
	free(taken);
	buf_free(&b);
}

static void appends_add_up(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 1000);
	assert_int_equal(buf_add(&b, "a\0b", 3), 0);
	assert_int_equal(buf_add_char(&b, '-'), 0);
	assert_int_equal(buf_add_str(&b, "cd"), 0);
	assert_int_equal(buf_printf(&b, "%03d%s", 7, ""), 0);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_int_equal(b.len, 9);
	assert_memory_equal(b.data, "a\0b-cd007", 10);
	buf_free(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 1000);
	assert_null(b.data);
}

static void the_maximum_can_be_reached_but_not_passed(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 8);
	assert_int_equal(buf_add_str(&b, "12345678"), 0);
	assert_false(b.overflow);
	assert_int_equal(buf_add_char(&b, '9'), -1);
	assert_true(b.overflow);
	assert_string_equal(buf_str(&b), "12345678");
	buf_reset(&b);
	assert_false(b.overflow);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_printf(&b, "%s", "12345678"), 0);
	buf_free(&b);
}

static void overflow_is_sticky_and_adds_nothing(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4);
	assert_int_equal(buf_add_str(&b, "ab"), 0);
	assert_int_equal(buf_printf(&b, "%d", 12345), -1);
	assert_string_equal(buf_str(&b), "ab");
	assert_int_equal(buf_add_char(&b, 'c'), -1);
	assert_int_equal(buf_printf(&b, "c"), -1);
	assert_string_equal(buf_str(&b), "ab");
	assert_int_equal(b.len, 2);
	buf_free(&b);
}

static void huge_lengths_do_not_wrap_around(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_add_str(&b, "ab"), 0);
	assert_int_equal(buf_add(&b, "x", SIZE_MAX), -1);
	assert_int_equal(b.len, 2);
	buf_free(&b);
}

static void printf_grows_for_long_texts(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 200000);
	size_t expected = 0;
	for (int i = 0; i < 500; i++) {
		assert_int_equal(buf_printf(&b, "%*d", i, 1), 0);
		expected += i < 1 ? 1 : (size_t)i;
	}
	assert_int_equal(b.len, expected);
	assert_int_equal(strlen(b.data), expected);
	buf_free(&b);
}

static void take_hands_the_memory_over(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 10);
	buf_add_str(&b, "mine");
	char *taken = buf_take(&b);
	assert_string_equal(taken, "mine");
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(b.max, 10);
	free(taken);
}

static void small_allocations_behave(void **state)
{
	(void)state;
	assert_null(mem_strdup(NULL));
	char *s = mem_strndup("abcdef", 3);
	assert_string_equal(s, "abc");
	mem_wipe(s, 3);
	assert_memory_equal(s, "\0\0\0", 4);
	mem_wipe(NULL, 0);
	free(s);
	int *numbers = mem_array(NULL, 4, sizeof *numbers);
	numbers[3] = 5;
	numbers = mem_array(numbers, 100, sizeof *numbers);
	assert_int_equal(numbers[3], 5);
	free(numbers);
	char *none = mem_alloc(0);
	assert_non_null(none);
	free(none);
	unsigned char *zeros = mem_zalloc(64);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal(zeros[i], 0);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unused_buffer_is_an_empty_string),
		cmocka_unit_test(appends_add_up),
		cmocka_unit_test(the_maximum_can_be_reached_but_not_passed),
		cmocka_unit_test(overflow_is_sticky_and_adds_nothing),
		cmocka_unit_test(huge_lengths_do_not_wrap_around),
		cmocka_unit_test(printf_grows_for_long_texts),
		cmocka_unit_test(take_hands_the_memory_over),
		cmocka_unit_test(small_allocations_behave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
