/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/json.h"
#include "core/dex/delivery.h"
#include "core/dex/sweep.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/tus/upload.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/dex_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Whatever was touched before now is stale. */
#define SHORT "DEX_UPLOAD_EXPIRY=1ms\nDEX_RETENTION=1ms\n"
#define DATA "uploads/tus-prefix"
/* A name as the file store gives it to what is not complete. */
#define STRAY(digit) ".dex-" digit "123456789abcdef0123456789abcdef.part"

static int setup(void **state)
{
	*state = dex_world_new(SHORT);
	return 0;
}

static int teardown(void **state)
{
	dex_world_free(*state);
	return 0;
}

static int settle(struct app *a, const char *id, struct err *err)
{
	struct upload_hold hold = {0};
	if (upload_take(a, id, &hold, err) < 0)
		return -1;
	upload_let_go(&hold);
	return 0;
}

static struct sweep_result sweep(struct dex_world *w)
{
	struct sweep_result r;
	int64_t before = clock_now();
	while (clock_now() < before + 2 * CLOCK_US_PER_MS)
		continue; /* the millisecond of SHORT */
	if (sweep_run(&w->app, settle, NULL, NULL, &r, &w->err) < 0)
		fail_msg("sweep: %s", w->err.text);
	return r;
}

static enum upload_status status_of(struct dex_world *w, const char *id)
{
	struct upload u = {0};
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	enum upload_status status = u.status;
	upload_free(&u);
	return status;
}

static void test_unfinished_upload_expires_and_says_so(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	dex_world_upload(w, "plain", "data.csv", 10, id);
	dex_world_store(w, id, "half");
	struct sweep_result r = sweep(w);
	assert_int_equal(r.expired, 1);
	assert_int_equal(r.removed, 1);
	assert_int_equal(status_of(w, id), UPLOAD_EXPIRED);
	assert_int_equal(dex_world_files(w, DATA), 0);
	char *text = dex_world_read(w, "reports/%s_upload-status", id);
	assert_non_null(text);
	assert_non_null(strstr(text, "FAILURE"));
	assert_non_null(strstr(text, "expired"));
	free(text);
	r = sweep(w);
	assert_int_equal(r.expired + r.removed, 0);
}

static void test_zero_expiry_means_never(void **state)
{
	(void)state;
	struct dex_world *w = dex_world_new("DEX_UPLOAD_EXPIRY=0\n");
	char id[UUID_SIZE];
	dex_world_upload(w, "plain", "data.csv", 10, id);
	assert_int_equal(sweep(w).expired, 0);
	assert_int_equal(status_of(w, id), UPLOAD_OPEN);
	dex_world_free(w);
}

static void test_upload_in_work_is_left(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct lock *lock;
	dex_world_upload(w, "plain", "data.csv", 10, id);
	assert_int_equal(lock_acquire(w->app.locks, id, 0, NULL, &lock, &w->err), LOCK_OK);
	assert_int_equal(sweep(w).expired, 0);
	lock_release(lock);
	assert_int_equal(sweep(w).expired, 1);
}

static void test_whole_upload_without_its_completion_is_completed(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	dex_world_upload(w, "plain", "data.csv", 5, id);
	dex_world_store(w, id, "12345");
	assert_int_equal(sweep(w).expired, 0);
	assert_int_equal(status_of(w, id), UPLOAD_COMPLETE);
	assert_int_equal(delivery_run_one(&w->app, NULL, "worker", NULL, &w->err), DELIVERY_OK);
}

static void test_delivered_upload_is_retired_after_the_retention(void **state)
{
	struct dex_world *w = *state;
	char done[UUID_SIZE], waiting[UUID_SIZE];
	dex_world_finished(w, "plain", "data.csv", "12345", done);
	assert_int_equal(delivery_run_one(&w->app, NULL, "worker", NULL, &w->err), DELIVERY_OK);
	dex_world_finished(w, "plain", "other.csv", "12345", waiting);
	struct sweep_result r = sweep(w);
	assert_int_equal(r.retired, 1);
	assert_int_equal(r.removed, 1);
	assert_int_equal(status_of(w, done), UPLOAD_RETIRED);
	assert_int_equal(status_of(w, waiting), UPLOAD_COMPLETE);
	assert_int_equal(dex_world_files(w, DATA), 1);
	assert_int_equal(dex_world_files(w, "one"), 1);
}

static void test_data_that_could_not_be_removed_go_later(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct blob_store *faulty = w->app.uploads = blob_fault_open(w->app.uploads);
	blob_fault_set(faulty, &(struct blob_fault_plan){.nth = {[BLOB_FAULT_DEL] = 1}});
	dex_world_upload(w, "plain", "data.csv", 10, id);
	dex_world_store(w, id, "half");
	struct sweep_result r = sweep(w);
	assert_int_equal(r.expired, 1);
	/* the second step of the same pass has found it again */
	assert_int_equal(r.removed, 1);
	assert_int_equal(dex_world_files(w, DATA), 0);
}

static void make_old(struct dex_world *w, const char *path)
{
	char full[512];
	snprintf(full, sizeof(full), "%s/%s", w->dir, path);
	struct timespec t[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	assert_int_equal(utimensat(AT_FDCWD, full, t, 0), 0);
}

static void write_at(struct dex_world *w, const char *dir, const char *name)
{
	char full[512];
	snprintf(full, sizeof(full), "%s/%s", w->dir, dir);
	assert_int_equal(fsio_mkdirs(full, false, &w->err), 0);
	snprintf(full, sizeof(full), "%s/%s/%s", w->dir, dir, name);
	assert_int_equal(fsio_replace(full, "x", 1, false, &w->err), 0);
}

static void test_stray_temporaries_go_once_an_hour(void **state)
{
	struct dex_world *w = *state;
	assert_non_null(app_target(&w->app, 0, &w->err));
	write_at(w, "one", STRAY("0"));
	make_old(w, "one/" STRAY("0"));
	write_at(w, "one", STRAY("1"));
	assert_int_equal(sweep(w).stray, 1);
	assert_int_equal(dex_world_files(w, "one"), 1);
	make_old(w, "one/" STRAY("1"));
	assert_int_equal(sweep(w).stray, 0);
}

/* Data of which the state knows nothing: perhaps the state was lost, and they are all there is. */
static void test_unknown_data_are_never_removed(void **state)
{
	static const char id[] = "01234567-1111-4111-8111-111111111111";
	struct dex_world *w = *state;
	char path[128];
	write_at(w, DATA "/01", id);
	snprintf(path, sizeof(path), DATA "/01/%s", id);
	make_old(w, path);
	sweep(w);
	assert_int_equal(dex_world_files(w, DATA), 1);
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

static void test_stop_leaves_the_rest(void **state)
{
	struct dex_world *w = *state;
	struct sweep_result r;
	char id[UUID_SIZE];
	dex_world_upload(w, "plain", "data.csv", 10, id);
	assert_int_equal(sweep_run(&w->app, settle, at_once, NULL, &r, &w->err), 0);
	assert_int_equal(r.expired, 0);
	assert_int_equal(status_of(w, id), UPLOAD_OPEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unfinished_upload_expires_and_says_so),
		cmocka_unit_test(test_zero_expiry_means_never),
		TEST(upload_in_work_is_left),
		TEST(whole_upload_without_its_completion_is_completed),
		TEST(delivered_upload_is_retired_after_the_retention),
		TEST(data_that_could_not_be_removed_go_later),
		TEST(stray_temporaries_go_once_an_hour),
		TEST(unknown_data_are_never_removed),
		TEST(stop_leaves_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
