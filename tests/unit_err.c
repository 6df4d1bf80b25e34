/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_fills_every_member(void **state)
{
	(void)state;
	struct err e = {.sys_errno = 7};
	assert_int_equal(err_set(&e, ERR_LOCKED, "here", "upload %d is busy", 5), -1);
	assert_int_equal(e.code, ERR_LOCKED);
	assert_int_equal(e.sys_errno, 0);
	assert_string_equal(e.where, "here");
	assert_string_equal(e.text, "upload 5 is busy");
}

static void null_is_accepted_everywhere(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_IO, "here", "x"), -1);
	errno = ENOENT;
	assert_int_equal(err_errno(NULL, "here", "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
	err_clear(NULL);
}

static void errno_chooses_the_code(void **state)
{
	(void)state;
	static const struct {
		int number;
		enum err_code code;
	} rows[] = {
		{ENOSPC, ERR_NO_SPACE},
		{EDQUOT, ERR_NO_SPACE},
		{ENOENT, ERR_NOT_FOUND},
		{EACCES, ERR_DENIED},
		{EPERM, ERR_DENIED},
		{EROFS, ERR_DENIED},
		{EEXIST, ERR_EXISTS},
		{EIO, ERR_IO},
		{EBADF, ERR_IO},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err e = {0};
		errno = rows[i].number;
		assert_int_equal(err_errno(&e, "here", "cannot %s", "open"), -1);
		assert_int_equal(e.code, rows[i].code);
		assert_int_equal(e.sys_errno, rows[i].number);
	}
	struct err e = {0};
	errno = ENOENT;
	err_errno(&e, "here", "cannot open");
	assert_string_equal(e.text, "cannot open: No such file or directory");
}

static void prefix_stands_in_front(void **state)
{
	(void)state;
	struct err e = {0};
	err_set(&e, ERR_CORRUPT, "here", "bad sum");
	assert_int_equal(err_prefix(&e, "part %d", 3), -1);
	assert_string_equal(e.text, "part 3: bad sum");
	assert_int_equal(e.code, ERR_CORRUPT);
	/* The prefix may be taken from the text itself. */
	assert_int_equal(err_prefix(&e, "%s", e.text), -1);
	assert_string_equal(e.text, "part 3: bad sum: part 3: bad sum");
}

static void long_texts_are_cut_between_characters(void **state)
{
	(void)state;
	char text[3 * ERR_TEXT_MAX];
	for (size_t shift = 0; shift < 3; shift++) {
		memset(text, 'a', sizeof text);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[sizeof text - 1] = '\0';
		struct err e = {0};
		err_set(&e, ERR_INVALID, "here", "%s", text);
		assert_true(strlen(e.text) < sizeof e.text);
		assert_true(strlen(e.text) > sizeof e.text - 6);
		assert_true(str_is_utf8(e.text, strlen(e.text)));
		err_prefix(&e, "%s", text);
		assert_true(strlen(e.text) < sizeof e.text);
		assert_true(str_is_utf8(e.text, strlen(e.text)));
	}
}

static void text_stays_one_line(void **state)
{
	(void)state;
	struct err e = {0};
	err_set(&e, ERR_INVALID, "here", "name %s", "a\r\nb\x7f");
	assert_string_equal(e.text, "name a??b?");
}

static void clear_leaves_nothing(void **state)
{
	(void)state;
	struct err e = {0};
	errno = EIO;
	err_errno(&e, "here", "x");
	err_clear(&e);
	assert_int_equal(e.code, ERR_NONE);
	assert_int_equal(e.sys_errno, 0);
	assert_null(e.where);
	assert_string_equal(e.text, "");
}

static void every_code_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = ERR_NONE; a <= ERR_IO; a++) {
		assert_string_not_equal(err_code_name((enum err_code)a), "unknown");
		for (int b = ERR_NONE; b < a; b++)
			assert_string_not_equal(
				err_code_name((enum err_code)a), err_code_name((enum err_code)b));
	}
	assert_string_equal(err_code_name((enum err_code)99), "unknown");
	assert_string_equal(err_code_name(ERR_NOT_FOUND), "not found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_fills_every_member),
		cmocka_unit_test(null_is_accepted_everywhere),
		cmocka_unit_test(errno_chooses_the_code),
		cmocka_unit_test(prefix_stands_in_front),
		cmocka_unit_test(long_texts_are_cut_between_characters),
		cmocka_unit_test(text_stays_one_line),
		cmocka_unit_test(clear_leaves_nothing),
		cmocka_unit_test(every_code_has_a_name_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
