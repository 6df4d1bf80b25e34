/* SPDX-License-Identifier: Apache-2.0 */
/* How an upload receives its bytes, with a storage that can fail. */
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/upload_world.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void whole_upload_completes_once(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;
	enum upload_status status;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	assert_int_equal(at, 5);
	assert_int_equal(w->progresses, 1);
	assert_int_equal(upload_world_patch(
				 w, id, PATCH(5, NULL, {BODY_DATA, "wo"}, {BODY_DATA, "rld"}), &at),
		ERR_NONE);
	assert_int_equal(at, 10);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(10, NULL, {BODY_END, NULL}), &at), ERR_NONE);
	assert_int_equal(upload_world_offset(w, id, &status), 10);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(w->completions, 1);
	upload_world_assert_stored(w, id, "helloworld");
}

static void wrong_offset_changes_nothing(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(3, NULL, {BODY_DATA, "hello"}), &at), ERR_CONFLICT);
	assert_int_equal(at, 0);
}

static void broken_body_keeps_what_came(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(upload_world_patch(w, id,
				 PATCH(0, NULL, {BODY_DATA, "hel"}, {BODY_WAIT, NULL},
					 {BODY_DATA, "lo"}, {BODY_GONE, NULL}),
				 &at),
		ERR_PEER_GONE);
	assert_int_equal(at, 5);
	assert_int_equal(upload_world_patch(w, id,
				 PATCH(5, NULL, {BODY_DATA, "w"}, {BODY_STOPPED, NULL}), &at),
		ERR_UNAVAILABLE);
	assert_int_equal(at, 6);
	upload_world_assert_stored(w, id, "hellow");
}

static void surplus_of_a_dead_process_is_adopted(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;

	upload_world_create(w, CONCAT_NONE, 10, id);
	upload_world_leave_surplus(w, id, 0, "hello");
	assert_int_equal(upload_world_offset(w, id, NULL), 5);
	upload_world_leave_surplus(w, id, 5, "world");
	assert_int_equal(upload_world_offset(w, id, &status), 10);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(w->completions, 1);
}

static void synced_bytes_that_are_missing_mean_another_storage(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	struct upload_hold hold;
	struct err err = {0};
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	upload_world_leave_surplus(w, id, 0, "he");
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	/* once it is back, everything counts */
	upload_world_leave_surplus(w, id, 0, "hello");
	assert_int_equal(upload_world_offset(w, id, NULL), 5);
}

static void bytes_lost_with_the_power_are_asked_for_again(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	w->config.durability = "none";
	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	upload_world_leave_surplus(w, id, 0, "he");
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
}

static void right_checksum_counts(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(upload_world_patch(w, id,
				 PATCH(0, "md5 XUFAKrxLKna5cZ2REBfFkg==", {BODY_DATA, "he"},
					 {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
				 &at),
		ERR_NONE);
	assert_int_equal(at, 5);
	upload_world_assert_stored(w, id, "hello");
}

static void unverified_bytes_are_never_adopted(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;
	static const char *const wrong = "md5 XUFAKrxLKna5cZ2REBfFkA==";

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "ab"}), &at), ERR_NONE);
	/* a wrong sum, seen after bytes had been written */
	assert_int_equal(
		upload_world_patch(w, id,
			PATCH(2, wrong, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
			&at),
		ERR_CORRUPT);
	assert_int_equal(at, 2);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
	/* a body that broke off before its sum could be checked */
	assert_int_equal(
		upload_world_patch(w, id,
			PATCH(2, wrong, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_GONE, NULL}),
			&at),
		ERR_PEER_GONE);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
	/* an empty chunk must not make the left-over bytes trustworthy */
	assert_int_equal(
		upload_world_patch(w, id, PATCH(2, NULL, {BODY_END, NULL}), &at), ERR_NONE);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(2, NULL, {BODY_DATA, "cdefghij"}), &at), ERR_NONE);
	assert_int_equal(at, 10);
	upload_world_assert_stored(w, id, "abcdefghij");
}

static void body_beyond_the_length_counts_for_nothing(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 4, id);
	struct patch declared = *PATCH(0, NULL, {BODY_DATA, "hello"});
	declared.declared = 5;
	assert_int_equal(upload_world_patch(w, id, &declared, &at), ERR_TOO_LARGE);
	assert_int_equal(
		upload_world_patch(w, id,
			PATCH(0, NULL, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
			&at),
		ERR_TOO_LARGE);
	assert_int_equal(at, 0);
	assert_int_equal(upload_world_offset(w, id, NULL), 0);
	assert_int_equal(w->completions, 0);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "good"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "good");
}

static void full_disk_keeps_the_offset_true(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;
	struct blob_fault_plan plan = {.space = 3};

	upload_world_create(w, CONCAT_NONE, 10, id);
	blob_fault_set(w->app.uploads, &plan);
	assert_int_equal(upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "helloworld"}), &at),
		ERR_NO_SPACE);
	assert_int_equal(at, 3);
	blob_fault_set(w->app.uploads, NULL);
	assert_int_equal(upload_world_offset(w, id, NULL), 3);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(3, NULL, {BODY_DATA, "loworld"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "helloworld");
	assert_int_equal(w->completions, 1);
}

static void storage_failures_are_never_the_clients(void **state)
{
	struct upload_world *w = *state;
	static const enum err_code codes[] = {
		ERR_NOT_FOUND, ERR_DENIED, ERR_IO, ERR_EXISTS, ERR_CORRUPT};
	static const enum blob_fault_op ops[] = {
		BLOB_FAULT_BEGIN, BLOB_FAULT_APPEND, BLOB_FAULT_SYNC};
	int64_t at;

	for (size_t c = 0; c < sizeof(codes) / sizeof(codes[0]); c++) {
		for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
			char id[UUID_SIZE];
			struct blob_fault_plan plan = {.code = codes[c]};
			upload_world_create(w, CONCAT_NONE, 5, id);
			plan.nth[ops[o]] = 1;
			blob_fault_set(w->app.uploads, &plan);
			assert_int_equal(upload_world_patch(
						 w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at),
				ERR_UNAVAILABLE);
			blob_fault_set(w->app.uploads, NULL);
			int64_t known = upload_world_offset(w, id, NULL);
			if (known < 5)
				assert_int_equal(
					upload_world_patch(w, id,
						PATCH(known, NULL, {BODY_DATA, "hello" + known}),
						&at),
					ERR_NONE);
			upload_world_assert_stored(w, id, "hello");
		}
	}
}

static void deferred_length_is_declared_once(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	struct patch p = *PATCH(5, NULL, {BODY_END, NULL});
	p.length = 4;
	assert_int_equal(upload_world_patch(w, id, &p, &at), ERR_INVALID);
	p.length = 8;
	assert_int_equal(upload_world_patch(w, id, &p, &at), ERR_NONE);
	p.length = 9;
	assert_int_equal(upload_world_patch(w, id, &p, &at), ERR_INVALID);
	p.length = 8;
	p.steps = (const struct step[]){{BODY_DATA, "abc"}};
	assert_int_equal(upload_world_patch(w, id, &p, &at), ERR_NONE);
	assert_int_equal(w->completions, 1);

	upload_world_create(w, CONCAT_NONE, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	p = *PATCH(5, NULL, {BODY_END, NULL});
	p.length = 5;
	assert_int_equal(upload_world_patch(w, id, &p, &at), ERR_NONE);
	assert_int_equal(w->completions, 2);
}

/* A body that never ends: it waits until somebody asks for the lock. */
static enum body_result endless_next(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	int *given = arg;

	if (*given == 0) {
		*given = 1;
		*data = "hello";
		*len = 5;
		return BODY_DATA;
	}
	if (timeout_ms == 0 || wake_fd < 0)
		return BODY_WAIT;
	struct pollfd p = {.fd = wake_fd, .events = POLLIN};
	return poll(&p, 1, (int)timeout_ms) > 0 ? BODY_WOKEN : BODY_WAIT;
}

struct holder {
	struct upload_world *world;
	struct upload_hold hold;
	enum err_code code;
};

static void *hold_forever(void *arg)
{
	struct holder *h = arg;
	int given = 0;
	struct body_source body = {endless_next, &given, 10};
	struct upload_chunk c = {.length = UPLOAD_LENGTH_UNKNOWN, .body = &body};
	struct err err = {0};
	bool mismatch;

	h->code = upload_receive(&h->world->app, &h->hold, &c, &mismatch, &err) == 0 ? ERR_NONE
										     : err.code;
	upload_let_go(&h->hold);
	return NULL;
}

static void stalled_patch_yields_to_a_newcomer(void **state)
{
	struct upload_world *w = *state;
	struct holder h = {.world = w};
	char id[UUID_SIZE];
	struct err err = {0};
	pthread_t thread;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(upload_take(&w->app, id, &h.hold, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, hold_forever, &h), 0);
	assert_int_equal(upload_world_offset(w, id, NULL), 5);
	pthread_join(thread, NULL);
	assert_int_equal(h.code, ERR_INTERRUPTED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, upload_world_setup, upload_world_teardown)
	const struct CMUnitTest tests[] = {
		T(whole_upload_completes_once),
		T(wrong_offset_changes_nothing),
		T(broken_body_keeps_what_came),
		T(surplus_of_a_dead_process_is_adopted),
		T(synced_bytes_that_are_missing_mean_another_storage),
		T(bytes_lost_with_the_power_are_asked_for_again),
		T(right_checksum_counts),
		T(unverified_bytes_are_never_adopted),
		T(body_beyond_the_length_counts_for_nothing),
		T(full_disk_keeps_the_offset_true),
		T(storage_failures_are_never_the_clients),
		T(deferred_length_is_declared_once),
		T(stalled_patch_yields_to_a_newcomer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
