/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/trace.h"

#include "core/base/tasks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" TRACE "-" SPAN "-01"

static void a_good_header_is_read_and_written_alike(void **state)
{
	static const char *const good[] = {GOOD, "00-" TRACE "-" SPAN "-00"};
	char out[TRACE_PARENT_SIZE];
	struct trace_context c;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(trace_parse(&c, good[i], NULL), 0);
		assert_string_equal(trace_format(&c, out), good[i]);
		assert_int_equal(c.sampled, i == 0);
		assert_string_equal(c.state, "");
	}
}

static void other_flags_and_later_versions_count_as_far_as_they_are_known(void **state)
{
	static const char *const good[] = {
		"00-" TRACE "-" SPAN "-ff",
		"01-" TRACE "-" SPAN "-01",
		"cc-" TRACE "-" SPAN "-03-what the future brings",
	};
	char out[TRACE_PARENT_SIZE];
	struct trace_context c;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(trace_parse(&c, good[i], NULL), 0);
		assert_string_equal(trace_format(&c, out), GOOD);
	}
}

static void what_is_malformed_is_no_trace(void **state)
{
	static const char *const bad[] = {
		NULL,
		"",
		"00",
		"00-" TRACE "-" SPAN "-0",
		"00-" TRACE "-" SPAN "-01-",
		"00-" TRACE "-" SPAN "-01 ",
		" 00-" TRACE "-" SPAN "-01",
		"01-" TRACE "-" SPAN "-01.",
		"ff-" TRACE "-" SPAN "-01",
		"0g-" TRACE "-" SPAN "-01",
		"00-" TRACE "-" SPAN "-0x",
		"00_" TRACE "-" SPAN "-01",
		"00-" TRACE "_" SPAN "-01",
		"00-" TRACE "-" SPAN "_01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-" TRACE "-0000000000000000-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-01-",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct trace_context c = {.sampled = true};
		if (trace_parse(&c, bad[i], "a=1") != -1)
			fail_msg("\"%s\" was read", bad[i]);
		assert_string_equal(c.state, "");
	}
}

static void a_state_is_passed_on_or_left_out(void **state)
{
	char longest[TRACE_STATE_MAX + 2];
	struct trace_context c;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[TRACE_STATE_MAX + 1] = '\0';
	assert_int_equal(trace_parse(&c, GOOD, longest), 0);
	assert_string_equal(c.state, "");
	longest[TRACE_STATE_MAX] = '\0';
	assert_int_equal(trace_parse(&c, GOOD, longest), 0);
	assert_string_equal(c.state, longest);
	assert_int_equal(trace_parse(&c, GOOD, "a=1\r\nX: y"), 0);
	assert_string_equal(c.state, "");
	assert_int_equal(trace_parse(&c, GOOD, "a=\xc3\xa4"), 0);
	assert_string_equal(c.state, "");
}

static void a_child_is_another_span_of_the_same_trace(void **state)
{
	struct trace_context parent, child;

	(void)state;
	assert_int_equal(trace_parse(&parent, "00-" TRACE "-" SPAN "-00", "a=1"), 0);
	trace_child(&child, &parent);
	assert_memory_equal(child.trace_id, parent.trace_id, TRACE_ID_BYTES);
	assert_memory_not_equal(child.span_id, parent.span_id, TRACE_SPAN_BYTES);
	assert_false(child.sampled);
	assert_string_equal(child.state, "a=1");
}

static void a_new_trace_has_the_id_of_its_upload(void **state)
{
	struct trace_context a, b;
	char out[TRACE_PARENT_SIZE];

	(void)state;
	trace_new(&a, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736");
	trace_new(&b, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736");
	assert_memory_equal(trace_format(&a, out), "00-" TRACE "-", 36);
	assert_memory_equal(a.trace_id, b.trace_id, TRACE_ID_BYTES);
	assert_memory_not_equal(a.span_id, b.span_id, TRACE_SPAN_BYTES);
	assert_true(a.sampled);
	trace_new(&a, NULL);
	trace_new(&b, "no uuid");
	assert_memory_not_equal(a.trace_id, b.trace_id, TRACE_ID_BYTES);
	assert_int_equal(trace_parse(&b, trace_format(&a, out), NULL), 0);
}

static void note_context(void *arg)
{
	*(const struct trace_context **)arg = trace_current();
}

static void a_task_has_the_context_of_its_starter(void **state)
{
	struct tasks *p = tasks_new(1);
	struct trace_context c;
	const struct trace_context *seen = NULL;
	struct task t = {.fn = note_context, .arg = &seen};

	(void)state;
	assert_null(trace_current());
	trace_new(&c, NULL);
	assert_null(trace_enter(&c));
	tasks_start(p, &t);
	tasks_wait(&t);
	assert_ptr_equal(seen, &c);
	assert_ptr_equal(trace_enter(NULL), &c);
	tasks_start(p, &t);
	tasks_wait(&t);
	assert_null(seen);
	tasks_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_header_is_read_and_written_alike),
		cmocka_unit_test(other_flags_and_later_versions_count_as_far_as_they_are_known),
		cmocka_unit_test(what_is_malformed_is_no_trace),
		cmocka_unit_test(a_state_is_passed_on_or_left_out),
		cmocka_unit_test(a_child_is_another_span_of_the_same_trace),
		cmocka_unit_test(a_new_trace_has_the_id_of_its_upload),
		cmocka_unit_test(a_task_has_the_context_of_its_starter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
