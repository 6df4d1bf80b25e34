/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/template.h"

#include "core/base/err.h"
#include "fcgi/ui/page.h"
#include "fcgi/ui/texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *template, const char *values, const char *expected)
{
	struct err err = {0};
	json_t *object = json_parse(values, strlen(values), &err);
	struct buf out;

	assert_non_null(object);
	buf_init(&out, 4096);
	if (template_render(&out, template, strlen(template), object, &err) < 0)
		fail_msg("%s: %s", template, err.text);
	assert_string_equal(buf_str(&out), expected);
	buf_free(&out);
	json_decref(object);
}

static void check_escaped(const char *s, size_t len, const char *expected)
{
	struct buf out;

	buf_init(&out, 1024);
	assert_int_equal(template_escape(&out, s, len), 0);
	assert_string_equal(buf_str(&out), expected);
	buf_free(&out);
}

static void what_means_something_in_html_is_escaped(void **state)
{
	(void)state;
	check_escaped("<script>alert(\"1\" + '2') & x</script>", 37,
		"&lt;script&gt;alert(&quot;1&quot; + &#39;2&#39;) &amp; x&lt;/script&gt;");
	check_escaped("\xc3\xa4\xf0\x9f\x98\x80", 6, "\xc3\xa4\xf0\x9f\x98\x80");
	/* A broken character must not swallow the quote behind it. */
	check_escaped("\xc3\"x", 3, "\xef\xbf\xbd&quot;x");
	check_escaped("\xc0\xbc", 2, "\xef\xbf\xbd\xef\xbf\xbd");
	check_escaped("a\0b\x1b\x7f\tc\n", 8, "a b  \tc\n");
	check_escaped("", 0, "");
}

static void values_are_escaped_wherever_they_stand(void **state)
{
	(void)state;
	check("<a href=\"{{u}}\">{{u}}</a>", "{\"u\":\"\\\"><b>\"}",
		"<a href=\"&quot;&gt;&lt;b&gt;\">&quot;&gt;&lt;b&gt;</a>");
	check("{{#list}}{{.}}{{/list}}", "{\"list\":[\"<\",\"&\"]}", "&lt;&amp;");
	/* Braces of a value are no tags. */
	check("{{a}}", "{\"a\":\"{{b}}\",\"b\":\"x\"}", "{{b}}");
}

static void sections(void **state)
{
	static const struct {
		const char *template, *values, *expected;
	} rows[] = {
		{"{{#a}}x{{/a}}{{^a}}y{{/a}}", "{}", "y"},
		{"{{#a}}x{{/a}}{{^a}}y{{/a}}", "{\"a\":null}", "y"},
		{"{{#a}}x{{/a}}{{^a}}y{{/a}}", "{\"a\":false}", "y"},
		{"{{#a}}x{{/a}}{{^a}}y{{/a}}", "{\"a\":\"\"}", "y"},
		{"{{#a}}x{{/a}}{{^a}}y{{/a}}", "{\"a\":[]}", "y"},
		{"{{#a}}x{{/a}}{{^a}}y{{/a}}", "{\"a\":true}", "x"},
		{"{{#a}}{{a}}{{/a}}", "{\"a\":\"v\"}", "v"},
		{"{{#a}}{{a}}{{/a}}", "{\"a\":0}", "0"},
		{"{{#a}}{{b}}{{c}};{{/a}}", "{\"a\":[{\"b\":1},{\"b\":2,\"c\":4}],\"c\":3}",
			"13;24;"},
		{"{{#a}}{{b}}{{/a}}", "{\"a\":{\"b\":\"in\"},\"b\":\"out\"}", "in"},
		{"{{#a}}{{#a}}x{{/a}}{{/a}}", "{\"a\":true}", "x"},
		{"1\n{{#a}}\n2\n{{/a}}\n3\n", "{\"a\":true}", "1\n2\n3\n"},
		{"1\n{{#a}}\n2\n{{/a}}\n3\n", "{}", "1\n3\n"},
		{"{{#a}}\n{{.}}\n{{/a}}\n", "{\"a\":[\"1\",\"2\"]}", "1\n2\n"},
		{"[{{#a}} x{{/a}}\n]", "{\"a\":true}", "[ x\n]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(rows[i].template, rows[i].values, rows[i].expected);
}

static void texts_have_their_place(void **state)
{
	(void)state;
	check("{{t.next}}", "{\"t.next\":\"no\"}", texts_get("next"));
}

static void malformed_templates_are_refused(void **state)
{
	static const char *const rows[] = {"{{", "{{a", "{{}}", "{{#}}", "{{#a}}", "{{/a}}",
		"{{#a}}{{#b}}{{/a}}{{/b}}", "{{a b}}", "{{{a}}}", "{{&a}}", "{{t.no_such_text}}",
		"{{#a}}{{^a}}{{/a}}"};
	json_t *values = json_object();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		struct buf out;
		buf_init(&out, 100);
		if (template_render(&out, rows[i], strlen(rows[i]), values, &err) == 0)
			fail_msg("accepted: %s", rows[i]);
		assert_int_equal(err.code, ERR_INVALID);
		buf_free(&out);
	}
	json_decref(values);
}

static void a_page_has_a_largest_size(void **state)
{
	struct err err = {0};
	struct buf out;
	json_t *values = json_pack("{s:s}", "a", "0123456789");

	(void)state;
	buf_init(&out, 15);
	assert_int_equal(template_render(&out, "{{a}}{{a}}", 10, values, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	buf_free(&out);
	json_decref(values);
}

/* Every template of the program is well-formed and names texts that exist. */
static void the_pages_render(void **state)
{
	json_t *field = json_pack("{s:b, s:b, s:b, s:b, s:b, s:[s], s:[{s:s, s:s, s:b}]}",
		"required", 1, "wrong", 1, "filename", 1, "select", 1, "by_file", 0, "said", "x",
		"options", "value", "v", "label", "l", "selected", 1);
	json_t *values = json_pack("{s:b, s:b, s:b, s:b, s:b, s:[s], s:[o], s:[{s:[s]}]}",
		"several", 1, "has_errors", 1, "retry", 1, "waiting", 1, "before", 1, "errors", "e",
		"fields", field, "deliveries", "issues", "i");

	(void)state;
	assert_true(page_sources_len >= 7);
	for (size_t i = 0; i < page_sources_len * 2; i++) {
		const struct page_source *page = &page_sources[i / 2];
		struct err err = {0};
		struct buf out;
		buf_init(&out, 1 << 20);
		if (i % 2)
			json_object_set_new(values, "complete", json_true());
		else
			json_object_del(values, "complete");
		if (template_render(&out, (const char *)page->text, page->len, values, &err) < 0)
			fail_msg("%s: %s", page->name, err.text);
		assert_null(strstr(buf_str(&out), "{{"));
		/* The policy of the pages forbids what stands inline. */
		assert_null(strstr(buf_str(&out), " style="));
		assert_null(strstr(buf_str(&out), " onclick="));
		buf_free(&out);
	}
	json_decref(values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_means_something_in_html_is_escaped),
		cmocka_unit_test(values_are_escaped_wherever_they_stand),
		cmocka_unit_test(sections),
		cmocka_unit_test(texts_have_their_place),
		cmocka_unit_test(malformed_templates_are_refused),
		cmocka_unit_test(a_page_has_a_largest_size),
		cmocka_unit_test(the_pages_render),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
