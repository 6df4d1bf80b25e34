/* SPDX-License-Identifier: Apache-2.0 */
/* Creation, concatenation and termination of uploads. */
#include "core/store/blob.h"
#include "tests/lib/upload_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void empty_upload_is_complete_at_birth(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;

	upload_world_create(w, CONCAT_NONE, 0, id);
	assert_int_equal(upload_world_offset(w, id, &status), 0);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(w->completions, 1);
	upload_world_assert_stored(w, id, "");
}

static void limit_holds_for_known_and_deferred_lengths(void **state)
{
	struct upload_world *w = *state;
	struct headers_concat none = {.kind = CONCAT_NONE};
	json_t *metadata = json_object();
	struct upload_request r = {.length = 9, .metadata = metadata, .concat = &none};
	struct upload_rejection rejection;
	struct upload up;
	struct err err = {0};
	char id[UUID_SIZE];
	int64_t at;

	w->config.max_size = 8;
	assert_int_equal(upload_create(&w->app, &r, &up, &rejection, &err), -1);
	assert_int_equal(err.code, ERR_TOO_LARGE);
	json_decref(metadata);
	upload_world_create(w, CONCAT_NONE, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "123456789"}), &at),
		ERR_TOO_LARGE);
	struct patch p = *PATCH(0, NULL, {BODY_END, NULL});
	p.length = 9;
	assert_int_equal(upload_world_patch(w, id, &p, &at), ERR_TOO_LARGE);
}

static void one_request_brings_no_more_than_it_may(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	w->config.max_append = 4;
	upload_world_create(w, CONCAT_NONE, 9, id);
	/* Declared: nothing is taken. Of unknown length: it counts no more than if it were. */
	struct patch declared = *PATCH(0, NULL, {BODY_DATA, "12345"});
	declared.declared = 5;
	assert_int_equal(upload_world_patch(w, id, &declared, &at), ERR_TOO_LARGE);
	assert_int_equal(at, 0);
	assert_int_equal(upload_world_patch(
				 w, id, PATCH(0, NULL, {BODY_DATA, "123"}, {BODY_DATA, "45"}), &at),
		ERR_TOO_LARGE);
	assert_int_equal(at, 0);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "1234"}), &at), ERR_NONE);
	assert_int_equal(at, 4);
	/* The limit is the request's, not the upload's. */
	assert_int_equal(
		upload_world_patch(w, id, PATCH(4, NULL, {BODY_DATA, "5678"}), &at), ERR_NONE);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(8, NULL, {BODY_DATA, "9"}), &at), ERR_NONE);
	upload_world_assert_stored(w, id, "123456789");
}

static void refused_manifest_creates_nothing(void **state)
{
	struct upload_world *w = *state;
	struct headers_concat none = {.kind = CONCAT_NONE};
	json_t *metadata = json_pack("{s:s}", "bad", "x");
	struct upload_request r = {.length = 9, .metadata = metadata, .concat = &none};
	struct upload_rejection rejection;
	struct upload up;
	struct state_counts counts;
	struct err err = {0};

	assert_int_equal(upload_create(&w->app, &r, &up, &rejection, &err), -1);
	assert_non_null(rejection.body);
	json_decref(rejection.body);
	json_decref(metadata);
	assert_int_equal(state_counts(w->app.state, 0, &counts, &err), 0);
	assert_int_equal(counts.open_uploads, 0);
}

static void create_part(struct upload_world *w, const char *text, bool finish, char id[UUID_SIZE])
{
	int64_t at;

	upload_world_create(w, CONCAT_PARTIAL, (int64_t)strlen(text), id);
	if (finish)
		assert_int_equal(upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, text}), &at),
			ERR_NONE);
}

static enum err_code create_final(
	struct upload_world *w, char (*parts)[UUID_SIZE], size_t n, char id[UUID_SIZE])
{
	struct headers_concat final = {.kind = CONCAT_FINAL, .parts = parts, .nparts = n};
	json_t *metadata = json_object();
	struct upload_request r = {
		.metadata = metadata, .concat_header = "final;…", .concat = &final};
	struct upload_rejection rejection;
	struct upload up;
	struct err err = {0};
	int rc = upload_create(&w->app, &r, &up, &rejection, &err);

	json_decref(metadata);
	if (rc < 0)
		return err.code;
	memcpy(id, up.id, UUID_SIZE);
	assert_int_equal(up.offset, up.length);
	upload_free(&up);
	return ERR_NONE;
}

static void final_is_its_parts_in_order(void **state)
{
	struct upload_world *w = *state;
	char parts[4][UUID_SIZE], id[UUID_SIZE], other[UUID_SIZE];

	create_part(w, "hello", true, parts[0]);
	create_part(w, "", false, parts[1]);
	create_part(w, "world", true, parts[2]);
	memcpy(parts[3], parts[0], UUID_SIZE);
	assert_int_equal(w->completions, 0);
	assert_int_equal(create_final(w, parts, 4, id), ERR_NONE);
	upload_world_assert_stored(w, id, "helloworldhello");
	assert_int_equal(w->completions, 1);
	/* the parts stay and may be used again */
	assert_int_equal(create_final(w, parts, 1, other), ERR_NONE);
	upload_world_assert_stored(w, other, "hello");
}

static void final_refuses_other_uploads_as_parts(void **state)
{
	struct upload_world *w = *state;
	char parts[1][UUID_SIZE], id[UUID_SIZE];

	create_part(w, "hello", false, parts[0]);
	assert_int_equal(create_final(w, parts, 1, id), ERR_INVALID);
	upload_world_create(w, CONCAT_NONE, 0, parts[0]);
	assert_int_equal(create_final(w, parts, 1, id), ERR_INVALID);
	memcpy(parts[0], "11111111-2222-4333-8444-555555555555", UUID_SIZE);
	assert_int_equal(create_final(w, parts, 1, id), ERR_NOT_FOUND);
}

/* Of ${length} bytes none of which has come. */
static void create_owned(struct upload_world *w, enum headers_concat_kind kind, int64_t length,
	const char *owner, char id[UUID_SIZE])
{
	struct headers_concat concat = {.kind = kind};
	json_t *metadata = json_object();
	struct upload_request r = {
		.length = length, .metadata = metadata, .concat = &concat, .owner = owner};
	struct upload_rejection rejection;
	struct upload up;
	struct err err = {0};

	if (upload_create(&w->app, &r, &up, &rejection, &err) < 0)
		fail_msg("%s", err.text);
	memcpy(id, up.id, UUID_SIZE);
	upload_free(&up);
	json_decref(metadata);
}

static enum err_code find_as(struct upload_world *w, const char *id, const char *owner)
{
	struct upload up;
	struct err err = {0};

	if (upload_find_own(&w->app, id, owner, &up, &err) < 0)
		return err.code;
	upload_free(&up);
	return ERR_NONE;
}

static void an_upload_is_found_by_its_owner(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE], nobodys[UUID_SIZE];
	struct upload_hold hold;
	struct err err = {0};

	create_owned(w, CONCAT_NONE, 5, "me", id);
	create_owned(w, CONCAT_NONE, 5, NULL, nobodys);
	assert_int_equal(find_as(w, id, "me"), ERR_NONE);
	assert_int_equal(find_as(w, id, NULL), ERR_NONE);
	assert_int_equal(find_as(w, id, "me "), ERR_NOT_FOUND);
	assert_int_equal(find_as(w, id, "Me"), ERR_NOT_FOUND);
	assert_int_equal(find_as(w, nobodys, "me"), ERR_NOT_FOUND);
	/* Not even that it has been there is told to others. */
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(upload_terminate(&w->app, &hold, &err), 0);
	upload_let_go(&hold);
	assert_int_equal(find_as(w, id, "me"), ERR_GONE);
	assert_int_equal(find_as(w, id, "you"), ERR_NOT_FOUND);
}

static void final_takes_its_owners_parts(void **state)
{
	struct upload_world *w = *state;
	static const struct {
		const char *owner;
		bool others;
		enum err_code code;
	} rows[] = {
		{"me", false, ERR_NONE},
		{"you", false, ERR_NOT_FOUND},
		{"you", true, ERR_NONE},
		{NULL, false, ERR_NONE},
	};
	char part[1][UUID_SIZE];
	struct headers_concat final = {.kind = CONCAT_FINAL, .parts = part, .nparts = 1};
	json_t *metadata = json_object();

	create_owned(w, CONCAT_PARTIAL, 0, "me", part[0]);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct upload_request r = {.metadata = metadata,
			.concat = &final,
			.owner = rows[i].owner,
			.others_parts = rows[i].others};
		struct upload_rejection rejection;
		struct upload up = {.length = 0};
		struct err err = {0};
		int rc = upload_create(&w->app, &r, &up, &rejection, &err);
		assert_int_equal(rc < 0 ? err.code : ERR_NONE, rows[i].code);
		if (rc == 0)
			assert_int_equal(find_as(w, up.id, rows[i].owner), ERR_NONE);
		upload_free(&up);
	}
	json_decref(metadata);
}

static void termination_removes_the_data(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE], key[128];
	struct upload_hold hold;
	struct blob_stat st;
	struct err err = {0};
	int64_t at;

	upload_world_create(w, CONCAT_NONE, 10, id);
	assert_int_equal(
		upload_world_patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(upload_terminate(&w->app, &hold, &err), 0);
	upload_let_go(&hold);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_GONE);
	snprintf(key, sizeof(key), "tus-prefix/%.2s/%s", id, id);
	assert_int_equal(blob_stat(w->app.uploads, key, &st, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void termination_waits_for_deliveries(void **state)
{
	struct upload_world *w = *state;
	char id[UUID_SIZE];
	struct upload_hold hold;
	struct err err = {0};

	upload_world_create(w, CONCAT_NONE, 0, id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(upload_terminate(&w->app, &hold, &err), -1);
	assert_int_equal(err.code, ERR_CONFLICT);
	upload_let_go(&hold);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, upload_world_setup, upload_world_teardown)
	const struct CMUnitTest tests[] = {
		T(empty_upload_is_complete_at_birth),
		T(limit_holds_for_known_and_deferred_lengths),
		T(one_request_brings_no_more_than_it_may),
		T(refused_manifest_creates_nothing),
		T(final_is_its_parts_in_order),
		T(final_refuses_other_uploads_as_parts),
		T(an_upload_is_found_by_its_owner),
		T(final_takes_its_owners_parts),
		T(termination_removes_the_data),
		T(termination_waits_for_deliveries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
