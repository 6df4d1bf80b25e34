/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/form.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void forms_are_parsed(void **state)
{
	static const struct {
		const char *text, *json;
	} rows[] = {
		{"", "{}"},
		{"a=1", "{\"a\":\"1\"}"},
		{"a=1&b=2", "{\"a\":\"1\",\"b\":\"2\"}"},
		{"a=", "{\"a\":\"\"}"},
		{"a=b=c", "{\"a\":\"b=c\"}"},
		{"a+b=c+d", "{\"a b\":\"c d\"}"},
		{"a=%2b%26%3D%25", "{\"a\":\"+&=%\"}"},
		{"n=%C3%A4%E2%82%ac", "{\"n\":\"\xc3\xa4\xe2\x82\xac\"}"},
		{"t=1%0D%0A2", "{\"t\":\"1\\r\\n2\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct buf out;
		json_t *form = form_parse(rows[i].text, strlen(rows[i].text), &err);
		if (!form)
			fail_msg("%s: %s", rows[i].text, err.text);
		buf_init(&out, 1024);
		assert_int_equal(json_write(&out, form), 0);
		assert_string_equal(buf_str(&out), rows[i].json);
		buf_free(&out);
		json_decref(form);
	}
}

static void what_no_browser_sends_is_refused(void **state)
{
	static const char *const rows[] = {"a", "=1", "a=1&", "&", "&a=1", "a=1&&b=2", "a=1&a=2",
		"a=1&%61=2", "a=%", "a=%4", "a=%zz", "a=%4x", "a=%00", "%00=1", "a=%ff", "a=%c3",
		"%e4=1", "a=\xff"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		json_t *form = form_parse(rows[i], strlen(rows[i]), &err);
		if (form)
			fail_msg("accepted: %s", rows[i]);
		assert_int_equal(err.code, ERR_INVALID);
	}
}

static void a_nul_byte_is_refused(void **state)
{
	struct err err = {0};

	(void)state;
	assert_null(form_parse("a=1\0", 4, &err));
}

static void forms_have_a_largest_size(void **state)
{
	struct err err = {0};
	char *text = mem_alloc(FORM_MAX + 1);
	json_t *form;

	(void)state;
	memset(text, 'x', FORM_MAX + 1);
	text[1] = '=';
	form = form_parse(text, FORM_MAX, &err);
	assert_non_null(form);
	assert_int_equal(strlen(json_get_str(form, "x")), FORM_MAX - 2);
	json_decref(form);
	assert_null(form_parse(text, FORM_MAX + 1, &err));
	free(text);
}

static void forms_have_a_largest_number_of_fields(void **state)
{
	struct err err = {0};
	struct buf text;

	(void)state;
	buf_init(&text, FORM_MAX);
	for (int i = 0; i < FORM_FIELDS_MAX; i++)
		assert_int_equal(buf_printf(&text, "%sf%d=", i ? "&" : "", i), 0);
	json_t *form = form_parse(buf_str(&text), text.len, &err);
	assert_int_equal(json_object_size(form), FORM_FIELDS_MAX);
	json_decref(form);
	assert_int_equal(buf_add_str(&text, "&more="), 0);
	assert_null(form_parse(buf_str(&text), text.len, &err));
	buf_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_are_parsed),
		cmocka_unit_test(what_no_browser_sends_is_refused),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(forms_have_a_largest_size),
		cmocka_unit_test(forms_have_a_largest_number_of_fields),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
