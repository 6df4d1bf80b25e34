/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void a_document_becomes_a_tree_with_lines(void **state)
{
	(void)state;
	static const char text[] = "# routing\n"
				   "targets:\n"
				   "  - name: edav\n"
				   "    type: \"file\"\n"
				   "  - name: routing\n"
				   "empty:\n"
				   "list: [1, two]\n";
	struct err err = {0};
	struct yaml_node *root = yaml_parse("delivery.yml", text, strlen(text), &err);
	assert_non_null(root);
	assert_int_equal(root->kind, YAML_MAP);
	assert_null(root->key);
	const struct yaml_node *targets = yaml_get(root, "targets");
	assert_non_null(targets);
	assert_int_equal(targets->kind, YAML_SEQ);
	assert_string_equal(targets->key, "targets");
	const struct yaml_node *first = targets->child;
	assert_int_equal(first->kind, YAML_MAP);
	assert_null(first->key);
	assert_int_equal(first->line, 3);
	assert_string_equal(yaml_get(first, "name")->scalar, "edav");
	assert_string_equal(yaml_get(first, "type")->scalar, "file");
	assert_int_equal(yaml_get(first, "type")->line, 4);
	assert_string_equal(yaml_get(first->next, "name")->scalar, "routing");
	assert_null(first->next->next);
	assert_string_equal(yaml_get(root, "empty")->scalar, "");
	assert_string_equal(yaml_get(root, "list")->child->next->scalar, "two");
	assert_null(yaml_get(root, "absent"));
	assert_null(yaml_get(targets, "name"));
	assert_null(yaml_get(NULL, "name"));
	yaml_tree_free(root);
}

static void scalars_and_sequences_may_stand_alone(void **state)
{
	(void)state;
	struct err err = {0};
	struct yaml_node *root = yaml_parse("x", "word", 4, &err);
	assert_int_equal(root->kind, YAML_SCALAR);
	assert_string_equal(root->scalar, "word");
	yaml_tree_free(root);
	root = yaml_parse("x", "- a\n- b\n", 8, &err);
	assert_int_equal(root->kind, YAML_SEQ);
	yaml_tree_free(root);
	yaml_tree_free(NULL);
}

static void what_is_not_supported_is_refused_with_its_line(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		const char *text;
	} rows[] = {
		{"", "f.yml:1: empty"},
		{"# nothing\n", "f.yml:1: empty"},
		{"a: 1\nb: 2\na: 3\n", "f.yml:3: key 'a' appears twice"},
		{"x:\n  {a: 1, a: 2}\n", "f.yml:2: key 'a' appears twice"},
		{"a: &x 1\nb: *x\n", "f.yml:2: aliases are not supported"},
		{"a: !!str 1\n", "f.yml:1: tags are not supported"},
		{"a: !include x\n", "f.yml:1: tags are not supported"},
		{"a: !!map {b: 1}\n", "f.yml:1: tags are not supported"},
		{"a: !!seq [1]\n", "f.yml:1: tags are not supported"},
		{"a: 1\n---\nb: 2\n", "f.yml:2: more than one document"},
		{"? [a]\n: 1\n", "f.yml:1: a key must be a plain text"},
		{"a:\n  ? {b: 1}\n  : 1\n", "f.yml:2: a key must be a plain text"},
		{"a: \"x\\0y\"\n", "f.yml:1: NUL character"},
		{"\"x\\0y\": 1\n", "f.yml:1: NUL character"},
		{"a: 1\n b: 2\n", "f.yml:2: "},
		{"a: [1\n", "f.yml:2: "},
		{"a:\n\t- b\n", "f.yml:2: "},
		{"a: \"open\n", "f.yml:2: "},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = {0};
		assert_null(yaml_parse("f.yml", rows[i].in, strlen(rows[i].in), &err));
		assert_int_equal(err.code, ERR_INVALID);
		assert_memory_equal(err.text, rows[i].text, strlen(rows[i].text));
	}
}

static void invalid_bytes_are_refused(void **state)
{
	(void)state;
	struct err err = {0};
	assert_null(yaml_parse("x", "a: \xff\xfe", 5, &err));
	assert_null(yaml_parse("x", "a: \x01", 4, &err));
	assert_null(yaml_parse("x", "a: b\0c", 6, &err));
}

static struct yaml_node *parse_repeated(
	const char *open, const char *close, size_t n, struct err *err)
{
	struct buf text;
	buf_init(&text, 2 << 20);
	for (size_t i = 0; i < n; i++)
		buf_add_str(&text, open);
	for (size_t i = 0; i < n; i++)
		buf_add_str(&text, close);
	struct yaml_node *root = yaml_parse("x", buf_str(&text), text.len, err);
	buf_free(&text);
	return root;
}

static void limits_hold(void **state)
{
	(void)state;
	struct err err = {0};
	struct yaml_node *root = parse_repeated("[", "]", 32, &err);
	assert_non_null(root);
	yaml_tree_free(root);
	assert_null(parse_repeated("[", "]", 33, &err));
	assert_string_equal(err.text, "x:1: nested too deeply");
	assert_null(parse_repeated("{a: ", "}", 33, &err));
	assert_string_equal(err.text, "x:1: nested too deeply");
	/* The sequence itself is one of the 20,000. */
	root = parse_repeated("- a\n", "", 19999, &err);
	assert_non_null(root);
	yaml_tree_free(root);
	assert_null(parse_repeated("- a\n", "", 20000, &err));
	assert_string_equal(err.text, "x:20000: too many values");
	assert_null(parse_repeated("#", "\n", 600000, &err));
	assert_int_equal(err.code, ERR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_document_becomes_a_tree_with_lines),
		cmocka_unit_test(scalars_and_sequences_may_stand_alone),
		cmocka_unit_test(what_is_not_supported_is_refused_with_its_line),
		cmocka_unit_test(invalid_bytes_are_refused),
		cmocka_unit_test(limits_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
