/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an upload in a storage whose objects are synced and committed, as S3 and Azure are.
 */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/store/blob.h"
#include "core/store/state.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/upload_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_patch_is_stored_when_it_ends(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;
	int64_t at;

	/* However little durability is asked for: nothing else keeps the bytes. */
	w->config.durability = "none";
	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hel"}), &at), ERR_NONE);
	assert_int_equal(at, 3);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(3, NULL, {BODY_DATA, "lo"}), &at), ERR_NONE);
	assert_int_equal(upload_world_offset(w, id, &status), 5);
	assert_int_equal(status, UPLOAD_OPEN);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(5, NULL, {BODY_DATA, "world"}), &at), ERR_NONE);
	assert_int_equal(upload_world_offset(w, id, &status), 10);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(w->completions, 1);
	upload_world_assert_stored(w, id, "helloworld");
}

static void one_patch_takes_one_commit_and_no_sync(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 5, id);
	blob_fault_set(w->app.uploads, NULL);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	assert_int_equal(blob_fault_calls(w->app.uploads, BLOB_FAULT_COMMIT), 1);
	assert_int_equal(blob_fault_calls(w->app.uploads, BLOB_FAULT_SYNC), 0);
	assert_int_equal(blob_fault_calls(w->app.uploads, BLOB_FAULT_STAT), 0);
	upload_world_assert_stored(w, id, "hello");
}

static void a_broken_body_keeps_what_came(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(upload_world_patch(w, id,
				 PATCH(0, NULL, {BODY_DATA, "he"}, {BODY_WAIT, NULL},
					 {BODY_DATA, "llo"}, {BODY_GONE, NULL}),
				 &at),
		ERR_PEER_GONE);
	assert_int_equal(at, 5);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(5, NULL, {BODY_DATA, "world"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "helloworld");
}

static void a_failed_sync_acknowledges_nothing(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_SYNC] = 1}, .code = ERR_IO};
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "ab"}), &at), ERR_NONE);
	blob_fault_set(w->app.uploads, &plan);
	assert_int_equal(upload_world_patch(w, id, PATCH(2, NULL, {BODY_DATA, "cde"}), &at),
		ERR_UNAVAILABLE);
	assert_int_equal(at, 2);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(2, NULL, {BODY_DATA, "cdefghij"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "abcdefghij");
}

static void a_failed_commit_completes_nothing(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_COMMIT] = 1}, .code = ERR_IO};
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 5, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "he"}), &at), ERR_NONE);
	blob_fault_set(w->app.uploads, &plan);
	assert_int_equal(upload_world_patch(w, id, PATCH(2, NULL, {BODY_DATA, "llo"}), &at),
		ERR_UNAVAILABLE);
	assert_int_equal(upload_world_offset(w, id, &status), 2);
	assert_int_equal(status, UPLOAD_OPEN);
	assert_int_equal(w->completions, 0);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(2, NULL, {BODY_DATA, "llo"}), &at), ERR_NONE);
	assert_int_equal(w->completions, 1);
	upload_world_assert_stored(w, id, "hello");
}

/* As commit_object leaves the state when its process dies before the completing step. */
static void tell_that_it_will_be_whole(struct upload_world *w, const char *id, int64_t offset)
{
	struct upload_change c = {
		.id = id,
		.from = offset,
		.to = offset,
		.length = UPLOAD_LENGTH_UNKNOWN,
		.beyond = BEYOND_WHOLE,
		.now = clock_now(),
	};
	struct err err = {0};
	assert_int_equal(state_upload_advance(w->app.state, &c, &err), STATE_OK);
}

static void commit_whole(struct upload_world *w, const char *id, const char *text)
{
	char key[128];
	struct err err = {0};
	snprintf(key, sizeof(key), "tus-prefix/%.2s/%s", id, id);
	struct blob_writer *b = blob_begin(w->app.uploads, key, BLOB_RESUME, 0, "", 0, &err);
	assert_non_null(b);
	assert_int_equal(blob_append(b, text, strlen(text), &err), 0);
	assert_int_equal(blob_commit(b, NULL, &err), 0);
}

static void a_lost_completing_step_is_taken_again(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;

	upload_world_create(w, CONCAT_NONE, 5, id);
	tell_that_it_will_be_whole(w, id, 0);
	commit_whole(w, id, "hello");
	assert_int_equal(upload_world_offset(w, id, &status), 5);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(w->completions, 1);
	assert_int_equal(upload_world_offset(w, id, &status), 5);
	assert_int_equal(w->completions, 1);
}

static void an_object_that_nobody_announced_is_not_trusted(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 5, id);
	commit_whole(w, id, "wrong");
	assert_int_equal(upload_world_offset(w, id, &status), 0);
	assert_int_equal(status, UPLOAD_OPEN);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "right"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "right");
}

static void an_announced_object_that_is_not_there_changes_nothing(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 5, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "he"}), &at), ERR_NONE);
	tell_that_it_will_be_whole(w, id, 2);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(2, NULL, {BODY_DATA, "llo"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "hello");
}

static void a_wrong_checksum_leaves_nothing(void **state)
{
	struct upload_world *w = *state;
	static const char *const wrong = "md5 XUFAKrxLKna5cZ2REBfFkA==";
	char id[UUID_SIZE];
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 7, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "ab"}), &at), ERR_NONE);
	assert_int_equal(
		upload_world_patch(w, id,
			PATCH(2, wrong, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
			&at),
		ERR_CORRUPT);
	assert_int_equal(upload_world_offset(w, id, NULL), 2);
	assert_int_equal(
		upload_world_patch(
			w, id, PATCH(2, "md5 XUFAKrxLKna5cZ2REBfFkg==", {BODY_DATA, "hello"}), &at),
		ERR_NONE);
	upload_world_assert_stored(w, id, "abhello");
}

static void a_length_declared_at_the_end_completes(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;
	int64_t at;
	struct patch last = {.offset = 5, .length = 5, .declared = 0};

	upload_world_create(w, CONCAT_NONE, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	assert_int_equal(upload_world_patch(w, id, &last, &at), ERR_NONE);
	assert_int_equal(upload_world_offset(w, id, &status), 5);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(w->completions, 1);
	upload_world_assert_stored(w, id, "hello");
}

static void an_upload_without_bytes_is_an_object(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;

	upload_world_create(w, CONCAT_NONE, 0, id);
	assert_int_equal(upload_world_offset(w, id, &status), 0);
	assert_int_equal(status, UPLOAD_COMPLETE);
	upload_world_assert_stored(w, id, "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, upload_world_setup_by_sync, upload_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_patch_is_stored_when_it_ends),
		T(one_patch_takes_one_commit_and_no_sync),
		T(a_broken_body_keeps_what_came),
		T(a_failed_sync_acknowledges_nothing),
		T(a_failed_commit_completes_nothing),
		T(a_lost_completing_step_is_taken_again),
		T(an_object_that_nobody_announced_is_not_trusted),
		T(an_announced_object_that_is_not_there_changes_nothing),
		T(a_wrong_checksum_leaves_nothing),
		T(a_length_declared_at_the_end_completes),
		T(an_upload_without_bytes_is_an_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
