/* SPDX-License-Identifier: Apache-2.0 */
/* FileReady events that come from a bus: what is read of them, and what they ask for. */
#include "core/dex/event.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/delivery.h"
#include "core/store/state.h"
#include "tests/lib/dex_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ID "11111111-2222-4333-8444-555555555555"
#define HEAD "{\"type\":\"FileReady\",\"upload_id\":\"" ID "\","

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		const char *error; /* NULL: it is read */
	} rows[] = {
		{HEAD "\"deliver_target\":\"edav\"}", NULL},
		{HEAD "\"deliver_target\":\"edav\",\"Metadata\":{\"a\":[1]},\"retry_count\":7}",
			NULL},
		{HEAD "\"deliver_target\":\"\"}", "its deliver_target"},
		{HEAD "\"deliver_target\":\"a\\nb\"}", "its deliver_target"},
		{HEAD "\"deliver_target\":1}", "its deliver_target"},
		{HEAD "\"target\":\"edav\"}", "its deliver_target"},
		{"{\"type\":\"FileReady\",\"upload_id\":\"../x\",\"deliver_target\":\"edav\"}",
			"its upload_id"},
		{"{\"type\":\"FileReady\",\"deliver_target\":\"edav\"}", "its upload_id"},
		{"{\"type\":\"fileready\",\"upload_id\":\"" ID "\",\"deliver_target\":\"edav\"}",
			"its type"},
		{"{}", "its type"},
		{"[]", ""},
		{"", ""},
		{"\xff\xfe", ""},
		{HEAD "\"deliver_target\":\"edav\"} and more", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct event_ready e;
		struct err err = {0};
		int rc = event_ready_parse(rows[i].text, strlen(rows[i].text), &e, &err);
		if (!rows[i].error) {
			assert_int_equal(rc, 0);
			assert_string_equal(e.upload_id, ID);
			assert_string_equal(e.target, "edav");
			continue;
		}
		assert_int_equal(rc, -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_true(str_starts(err.text, rows[i].error));
	}
}

static void test_long_target(void **state)
{
	char text[1024] = HEAD "\"deliver_target\":\"";
	struct event_ready e;
	struct err err = {0};
	size_t len = strlen(text);
	(void)state;
	memset(text + len, 'x', EVENT_TARGET_SIZE);
	memcpy(text + len + EVENT_TARGET_SIZE, "\"}", 3);
	assert_int_equal(event_ready_parse(text, strlen(text), &e, &err), -1);
	memcpy(text + len + EVENT_TARGET_SIZE - 1, "\"}", 3);
	assert_int_equal(event_ready_parse(text, strlen(text), &e, &err), 0);
}

static enum event_task ask(struct dex_world *w, const char *id, const char *target)
{
	struct event_ready e = {{0}, {0}};
	(void)str_copy(e.upload_id, sizeof(e.upload_id), id);
	(void)str_copy(e.target, sizeof(e.target), target);
	err_clear(&w->err);
	return event_ready_task(&w->app, &e, &w->err);
}

static void test_task(void **state)
{
	struct dex_world *w = dex_world_new(NULL);
	char id[UUID_SIZE], open[UUID_SIZE];
	const struct delivery_progress quiet = {0};
	(void)state;
	dex_world_finished(w, "plain", "a.txt", "some text", id);
	dex_world_upload(w, "plain", "b.txt", 5, open);

	assert_int_equal(ask(w, id, "one"), EVENT_DELIVER);
	assert_int_equal(delivery_run_one(&w->app, NULL, "me", &quiet, &w->err), DELIVERY_OK);
	assert_int_equal(ask(w, id, "one"), EVENT_DONE);

	assert_int_equal(ask(w, ID, "one"), EVENT_REFUSED);
	assert_string_equal(w->err.text, "there is no upload " ID);
	assert_int_equal(ask(w, id, "two"), EVENT_REFUSED);
	assert_non_null(strstr(w->err.text, "routing group"));
	assert_int_equal(ask(w, id, "nowhere"), EVENT_REFUSED);
	assert_int_equal(ask(w, open, "one"), EVENT_REFUSED);
	assert_int_equal(w->err.code, ERR_CONFLICT);
	dex_world_free(w);
}

/* A finished upload without the delivery: its event makes it. */
static void test_makes_delivery(void **state)
{
	struct dex_world *w = dex_world_new(NULL);
	char id[UUID_SIZE];
	(void)state;
	dex_world_upload(w, "plain", "c.txt", 4, id);
	dex_world_store(w, id, "text");
	const struct upload_change c = {
		.id = id, .from = 0, .to = 4, .length = UPLOAD_LENGTH_UNKNOWN, .now = clock_now()};
	assert_int_equal(state_upload_complete(w->app.state, &c, NULL, 0, NULL, &w->err), STATE_OK);
	assert_int_equal(ask(w, id, "one"), EVENT_DELIVER);
	struct delivery d = dex_world_delivery(w, id, "one");
	assert_int_equal(d.status, DELIVERY_PENDING);
	delivery_free(&d);
	dex_world_free(w);
}

/* What has just become due is left to its message, what has waited long is not. */
static void test_overdue(void **state)
{
	struct dex_world *w = dex_world_new(NULL);
	char id[UUID_SIZE];
	const struct delivery_progress quiet = {0};
	(void)state;
	dex_world_finished(w, "plain", "d.txt", "some text", id);
	assert_int_equal(delivery_run_overdue(&w->app, 3600000, "me", &quiet, &w->err),
		DELIVERY_NOTHING_DUE);
	assert_int_equal(delivery_run_overdue(&w->app, 0, "me", &quiet, &w->err), DELIVERY_OK);
	dex_world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_long_target),
		cmocka_unit_test(test_task),
		cmocka_unit_test(test_makes_delivery),
		cmocka_unit_test(test_overdue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
