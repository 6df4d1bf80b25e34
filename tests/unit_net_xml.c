/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/net/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Gathers "path=text|" of each element; refuses one called Stop. */
static int note(void *arg, const char *path, const char *text)
{
	assert_int_equal(buf_printf(arg, "%s=%s|", path, text), 0);
	return strstr(path, "Stop") ? -1 : 0;
}

static void expect(const char *xml, const char *elements)
{
	struct buf b;
	struct err err = {0};
	buf_init(&b, 1 << 20);
	int rc = xml_parse(xml, strlen(xml), note, &b, &err);
	if (rc != 0)
		print_error("%s\n", err.text);
	assert_int_equal(rc, 0);
	assert_string_equal(buf_str(&b), elements);
	buf_free(&b);
}

static void refuse(const char *xml, size_t len, const char *why)
{
	struct buf b;
	struct err err = {0};
	buf_init(&b, 1 << 20);
	assert_int_equal(xml_parse(xml, len, note, &b, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	if (!strstr(err.text, why))
		print_error("%s\n", err.text);
	assert_non_null(strstr(err.text, why));
	buf_free(&b);
}

static void elements_come_with_their_path(void **state)
{
	(void)state;
	expect("<A/>", "A=|");
	expect("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	       "<List xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\" xmlns:x='y'>\n"
	       "  <Contents>\n    <Key a=\"b\">k &amp; \xC3\xBC&#x20AC;</Key>\n"
	       "    <Size>12</Size>\n  </Contents>\n  <x:Done>true</x:Done><!-- c -->\n</List>\n",
		"List/Contents/Key=k & \xC3\xBC\xE2\x82\xAC|List/Contents/Size=12|List/Contents=|"
		"List/Done=true|List=|");
	/* Azure puts a byte order mark in front. */
	expect("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?><A><B>1</B></A>",
		"A/B=1|A=|");
	expect("<a:/>", "a:=|");
	expect("<A><![CDATA[<b>]]>c</A>", "A=<b>c|");
}

static void white_space_is_text_of_leaves_only(void **state)
{
	(void)state;
	expect("<A>\n <B> </B>\n <C>  c\n</C>\n <D></D></A>", "A/B= |A/C=  c\n|A/D=|A=|");
	expect("<A>1<B/>2</A>", "A/B=|A=2|");
}

static void what_is_not_well_formed_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "text", "<A>", "<A></B>", "<A/><B/>",
		"<A>&nope;</A>", "<A>\xff</A>", "<A b=1/>", "<A>\x01</A>", "{\"json\": 1}"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		refuse(texts[i], strlen(texts[i]), "XML answer, line 1: ");
	refuse("<A>\0</A>", 8, "XML answer");
	refuse(NULL, 0, "XML answer");
}

static void a_document_type_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"<!DOCTYPE A><A/>",
		"<!DOCTYPE A [<!ENTITY x \"y\">]><A>&x;</A>",
		"<!DOCTYPE A SYSTEM \"file:///etc/passwd\"><A/>",
		"<!DOCTYPE A [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><A>&x;</A>",
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		refuse(texts[i], strlen(texts[i]), "document type");
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_add_str(b, s), 0);
}

static void sizes_are_bounded(void **state)
{
	(void)state;
	static const struct {
		size_t depth, text;
		const char *why; /* NULL: accepted */
	} rows[] = {
		{32, 0, NULL},
		{33, 0, "too deep"},
		{1, 65536, NULL},
		{1, 65537, "text of an element is too long"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		repeat(&b, "<a>", rows[i].depth);
		repeat(&b, "t", rows[i].text);
		repeat(&b, "</a>", rows[i].depth);
		if (rows[i].why) {
			refuse(b.data, b.len, rows[i].why);
		} else {
			struct buf seen;
			buf_init(&seen, 1 << 20);
			assert_int_equal(xml_parse(b.data, b.len, note, &seen, NULL), 0);
			buf_free(&seen);
		}
		buf_free(&b);
	}
	struct buf b;
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_add_char(&b, '<'), 0);
	repeat(&b, "n", 5000);
	repeat(&b, "/>", 1);
	refuse(b.data, b.len, "names of its elements are too long");
	buf_free(&b);
}

static void the_receiver_may_end_it(void **state)
{
	(void)state;
	struct buf b;
	struct err err = {0};
	const char *xml = "<A>\n<B/><Stop/><C/></A>";
	buf_init(&b, 4096);
	assert_int_equal(xml_parse(xml, strlen(xml), note, &b, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.text, "XML answer, line 2: its content was refused");
	assert_string_equal(buf_str(&b), "A/B=|A/Stop=|");
	buf_free(&b);
}

static void escaped_text_is_read_back(void **state)
{
	(void)state;
	struct buf b;
	buf_init(&b, 4096);
	assert_int_equal(xml_escape(&b, "a<b>&\"c'\t\r\n\x7f \xC3\xBC"), 0);
	assert_string_equal(buf_str(&b), "a&lt;b&gt;&amp;&quot;c'&#9;&#13;&#10;&#127; \xC3\xBC");
	char xml[256];
	snprintf(xml, sizeof xml, "<A>%s</A>", b.data);
	expect(xml, "A=a<b>&\"c'\t\r\n\x7f \xC3\xBC|");
	buf_free(&b);
	buf_init(&b, 3);
	assert_int_equal(xml_escape(&b, "&"), -1);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_come_with_their_path),
		cmocka_unit_test(white_space_is_text_of_leaves_only),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(a_document_type_is_refused),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(the_receiver_may_end_it),
		cmocka_unit_test(escaped_text_is_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
