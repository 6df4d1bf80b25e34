/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Variables as "LINE:NAME=<VALUE>\n". */
static void collect(void *arg, const char *name, const char *value, size_t line)
{
	assert_int_equal(buf_printf(arg, "%zu:%s=<%s>\n", line, name, value), 0);
}

static void expect_n(const char *text, size_t len, const char *variables, const char *faults)
{
	struct buf got, problems;
	buf_init(&got, 1 << 20);
	buf_init(&problems, 1 << 20);
	int rc = config_dotenv_parse("app.env", text, len, collect, &got, &problems);
	assert_string_equal(buf_str(&got), variables);
	assert_string_equal(buf_str(&problems), faults);
	assert_int_equal(rc, faults[0] ? -1 : 0);
	buf_free(&got);
	buf_free(&problems);
}

static void expect(const char *text, const char *variables, const char *faults)
{
	/* An exact copy without NUL, so that a read past the end is seen by the sanitizer. */
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, text, len);
	expect_n(copy, len, variables, faults);
	free(copy);
}

static void test_plain_values(void **state)
{
	(void)state;
	expect("", "", "");
	expect("A=1", "1:A=<1>\n", "");
	expect("A=1\nB=2\n", "1:A=<1>\n2:B=<2>\n", "");
	expect("A=1\r\nB=2\r\n", "1:A=<1>\n2:B=<2>\n", "");
	expect("\n  # note\n\t_a9 = two words \t\n", "3:_a9=<two words>\n", "");
	expect("A=\nB=  \n", "1:A=<>\n2:B=<>\n", "");
	expect("A=b=c\n", "1:A=<b=c>\n", "");
	expect("A=it's \"so\" \\n $B\n", "1:A=<it's \"so\" \\n $B>\n", "");
	expect("\xef\xbb\xbf"
	       "A=\xc3\xa4\n",
		"1:A=<\xc3\xa4>\n", "");
}

static void test_comments_need_a_blank_before_them(void **state)
{
	(void)state;
	expect("A=1 # one\n", "1:A=<1>\n", "");
	expect("A=1#one\n", "1:A=<1#one>\n", "");
	expect("A=#fff\n", "1:A=<#fff>\n", "");
	expect("A= # none\n", "1:A=<>\n", "");
	expect("A='1 # 2' # three\n", "1:A=<1 # 2>\n", "");
}

static void test_export_is_ignored(void **state)
{
	(void)state;
	expect("export A=1\nexport\tB=2\n  export  C=3\n", "1:A=<1>\n2:B=<2>\n3:C=<3>\n", "");
	expect("exported=1\n", "1:exported=<1>\n", "");
	expect("export A\n", "", "app.env:1: expected NAME=value\n");
	expect("export\n", "", "app.env:1: expected NAME=value\n");
}

static void test_quotes(void **state)
{
	(void)state;
	expect("A=' x\\n$B\" '\n", "1:A=< x\\n$B\" >\n", "");
	expect("A=\"x\\ny\\\\ \\\"z\\\" \\$B $C '\"\n", "1:A=<x\ny\\ \"z\" $B $C '>\n", "");
	expect("A=''\nB=\"\"\n", "1:A=<>\n2:B=<>\n", "");
}

static void test_faults_name_file_and_line_but_no_value(void **state)
{
	(void)state;
	expect("A\n", "", "app.env:1: expected NAME=value\n");
	expect("=x\n", "", "app.env:1: expected NAME=value\n");
	expect("1A=x\n", "", "app.env:1: expected NAME=value\n");
	expect("A-B=x\n", "", "app.env:1: expected NAME=value\n");
	expect("A: x\n", "", "app.env:1: expected NAME=value\n");
	expect("\nA='geheim\n", "", "app.env:2: A: the single quote is not closed\n");
	expect("A=\"geheim\n", "", "app.env:1: A: the double quote is not closed\n");
	expect("A=\"geheim\\\n", "", "app.env:1: A: the double quote is not closed\n");
	expect("A=\"geheim\\\"\n", "", "app.env:1: A: the double quote is not closed\n");
	expect("A=\"x\\q\"\n", "",
		"app.env:1: A: unknown escape; \\n \\\" \\\\ and \\$ are known\n");
	expect("A='x'y\n", "", "app.env:1: A: text behind the closing quote\n");
	expect("A='x'#y\n", "", "app.env:1: A: text behind the closing quote\n");
	expect("A=x\x01y\n", "", "app.env:1: control character\n");
	expect("A=x\xffy\n", "", "app.env:1: not UTF-8\n");
	expect_n("A=x\0y\n", 6, "", "app.env:1: control character\n");
}

static void test_parsing_goes_on_behind_a_fault(void **state)
{
	(void)state;
	expect("A=1\nB\nC='\nD=4\n", "1:A=<1>\n4:D=<4>\n",
		"app.env:2: expected NAME=value\napp.env:3: C: the single quote is not closed\n");
}

static void test_limits(void **state)
{
	(void)state;
	struct buf text, want;
	buf_init(&text, 1 << 20);
	buf_init(&want, 1 << 20);
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(buf_add_str(&text, "A=1\n"), 0);
		assert_int_equal(buf_printf(&want, "%d:A=<1>\n", i), 0);
	}
	expect(buf_str(&text), buf_str(&want), "");
	assert_int_equal(buf_add_str(&text, "B=2\nC=3\n"), 0);
	expect(buf_str(&text), buf_str(&want), "app.env:1001: more than 1000 lines\n");

	buf_reset(&text);
	for (int i = 0; i < 255; i++)
		assert_int_equal(buf_add_char(&text, 'N'), 0);
	buf_reset(&want);
	assert_int_equal(buf_printf(&want, "1:%s=<1>\n", buf_str(&text)), 0);
	assert_int_equal(buf_add_str(&text, "=1\n"), 0);
	expect(buf_str(&text), buf_str(&want), "");
	buf_reset(&want);
	assert_int_equal(buf_printf(&want, "N%s", buf_str(&text)), 0);
	expect(buf_str(&want), "", "app.env:1: the name is longer than 255 bytes\n");

	buf_reset(&text);
	assert_int_equal(buf_add_str(&text, "A="), 0);
	while (text.len < 64 * 1024)
		assert_int_equal(buf_add_char(&text, 'x'), 0);
	buf_reset(&want);
	assert_int_equal(buf_printf(&want, "1:A=<%s>\n", buf_str(&text) + 2), 0);
	expect(buf_str(&text), buf_str(&want), "");
	assert_int_equal(buf_add_char(&text, 'x'), 0);
	expect(buf_str(&text), "", "app.env: longer than 64 KiB\n");
	buf_free(&text);
	buf_free(&want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_values),
		cmocka_unit_test(test_comments_need_a_blank_before_them),
		cmocka_unit_test(test_export_is_ignored),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_faults_name_file_and_line_but_no_value),
		cmocka_unit_test(test_parsing_goes_on_behind_a_fault),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
