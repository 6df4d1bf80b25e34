/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/fsio.h"
#include "core/base/json.h"
#include "core/base/str.h"
#include "core/dex/delivery.h"
#include "core/store/blob.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/dex_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* No pause between tries, so that the next one is due at once. */
#define EAGER "DEX_RETRY_DELAY=0\n"

static int setup(void **state)
{
	*state = dex_world_new(EAGER);
	return 0;
}

static int teardown(void **state)
{
	dex_world_free(*state);
	return 0;
}

static enum delivery_outcome run_as(struct dex_world *w, const char *owner)
{
	return delivery_run_one(&w->app, NULL, owner, NULL, &w->err);
}

static enum delivery_outcome run(struct dex_world *w)
{
	return run_as(w, "worker");
}

static void assert_file(const struct dex_world *w, const char *path, const char *want)
{
	char *text = dex_world_read(w, "%s", path);
	if (!text)
		fail_msg("%s is missing", path);
	assert_string_equal(text, want);
	free(text);
}

static void test_delivers_to_every_target(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE], path[128];
	dex_world_finished(w, "both", "data.csv", "a,b\n", id);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(run(w), DELIVERY_NOTHING_DUE);
	assert_file(w, "one/data.csv", "a,b\n");
	snprintf(path, sizeof(path), "two/sub/%s.csv", id);
	assert_file(w, path, "a,b\n");
	struct delivery d = dex_world_delivery(w, id, "two");
	assert_int_equal(d.status, DELIVERY_DONE);
	assert_true(str_ends(d.location, path));
	assert_null(d.issues);
	delivery_free(&d);
}

static json_t *read_report(const struct dex_world *w, const char *id)
{
	struct err err = {0};
	char *text = dex_world_read(w, "reports/%s_blob-file-copy", id);
	assert_non_null(text);
	/* one line each */
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	json_t *report = json_parse(text, strlen(text), &err);
	assert_non_null(report);
	free(text);
	return report;
}

static void test_success_is_reported_with_earlier_failures_as_warnings(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct blob_store *inner = app_target(&w->app, 0, &w->err);
	assert_non_null(inner);
	struct blob_store *faulty = w->app.targets[0] = blob_fault_open(inner);
	struct blob_fault_plan plan = {.nth = {[BLOB_FAULT_APPEND] = 1}, .code = ERR_NO_SPACE};
	blob_fault_set(faulty, &plan);
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(run(w), DELIVERY_RETRIED);
	assert_int_equal(dex_world_files(w, "one"), 0);
	char *none = dex_world_read(w, "reports/%s_blob-file-copy", id);
	assert_null(none);
	assert_int_equal(run(w), DELIVERY_OK);
	json_t *report = read_report(w, id);
	json_t *stage = json_object_get(report, "stage_info");
	json_t *issues = json_object_get(stage, "issues");
	assert_string_equal(json_get_str(stage, "status"), "SUCCESS");
	assert_int_equal(json_array_size(issues), 1);
	assert_string_equal(json_get_str(json_array_get(issues, 0), "level"), "WARNING");
	json_t *content = json_object_get(report, "content");
	assert_string_equal(json_get_str(content, "destination_name"), "one");
	assert_true(str_ends(json_get_str(content, "file_destination_blob_url"), "/one/data.csv"));
	assert_int_equal(json_integer_value(json_object_get(content, "size")), 5);
	json_decref(report);
}

struct listed {
	size_t pending;
	size_t failed;
};

static int list(void *arg, const struct delivery *d)
{
	struct listed *l = arg;
	l->pending += d->status == DELIVERY_PENDING;
	l->failed += d->status == DELIVERY_FAILED;
	return 0;
}

static void test_unwritable_target_is_retried_then_failed_and_listed(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct listed l = {0};
	struct blob_store *faulty = w->app.targets[0] =
		blob_fault_open(app_target(&w->app, 0, &w->err));
	const struct blob_fault_plan dead = {.space = 1};
	blob_fault_set(faulty, &dead);
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run(w), DELIVERY_RETRIED);
		struct delivery d = dex_world_delivery(w, id, "one");
		assert_int_equal(d.status, DELIVERY_PENDING);
		assert_int_equal(d.attempt, i + 1);
		delivery_free(&d);
	}
	assert_int_equal(run(w), DELIVERY_GIVEN_UP);
	assert_int_equal(run(w), DELIVERY_NOTHING_DUE);
	assert_int_equal(state_delivery_unfinished(w->app.state, NULL, list, &l, &w->err), 0);
	assert_int_equal(l.failed, 1);
	assert_int_equal(l.pending, 0);
	json_t *report = read_report(w, id);
	json_t *stage = json_object_get(report, "stage_info");
	assert_string_equal(json_get_str(stage, "status"), "FAILURE");
	assert_int_equal(json_array_size(json_object_get(stage, "issues")), 4);
	assert_string_equal(
		json_get_str(json_object_get(report, "content"), "file_destination_blob_url"), "");
	json_decref(report);

	/* queued again by a person, it starts from nothing */
	struct upload u = {0};
	blob_fault_set(faulty, NULL);
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	assert_int_equal(delivery_queue(&w->app, &u, "one", &w->err), STATE_OK);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_file(w, "one/data.csv", "12345");
	upload_free(&u);
}

static void test_retry_waits_longer_each_time(void **state)
{
	struct dex_world *w = dex_world_new("DEX_RETRY_DELAY=100s\n");
	char id[UUID_SIZE];
	(void)state;
	struct blob_store *faulty = w->app.targets[0] =
		blob_fault_open(app_target(&w->app, 0, &w->err));
	blob_fault_set(faulty, &(struct blob_fault_plan){.space = 1});
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	int64_t before = clock_now();
	assert_int_equal(run(w), DELIVERY_RETRIED);
	struct delivery d = dex_world_delivery(w, id, "one");
	assert_in_range(d.due_at - before, 80 * CLOCK_US_PER_S, 121 * CLOCK_US_PER_S);
	delivery_free(&d);
	assert_int_equal(run(w), DELIVERY_NOTHING_DUE);
	dex_world_free(w);
}

static void test_same_name_same_content_of_two_uploads_gives_two_files(void **state)
{
	struct dex_world *w = *state;
	char first[UUID_SIZE], second[UUID_SIZE], path[128];
	dex_world_finished(w, "plain", "data.csv", "same", first);
	dex_world_finished(w, "plain", "data.csv", "same", second);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(dex_world_files(w, "one"), 2);
	snprintf(path, sizeof(path), "one/data_%s.csv", second);
	assert_file(w, "one/data.csv", "same");
	assert_file(w, path, "same");
}

static void test_foreign_file_is_not_replaced(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE], path[128], full[512];
	assert_non_null(app_target(&w->app, 0, &w->err));
	snprintf(full, sizeof(full), "%s/one/data.csv", w->dir);
	assert_int_equal(fsio_replace(full, "12345", 5, false, &w->err), 0);
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(run(w), DELIVERY_OK);
	snprintf(path, sizeof(path), "one/data_%s.csv", id);
	assert_file(w, path, "12345");
}

static void test_queued_again_after_success_makes_no_second_copy(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct upload u = {0};
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	assert_int_equal(delivery_queue(&w->app, &u, "one", &w->err), STATE_OK);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(dex_world_files(w, "one"), 1);
	upload_free(&u);
}

/* A name that fails under `_{id}` after a collision must not take the other's file for its own. */
static void test_retry_after_collision_keeps_both(void **state)
{
	struct dex_world *w = *state;
	char first[UUID_SIZE], second[UUID_SIZE];
	dex_world_finished(w, "plain", "data.csv", "same", first);
	assert_int_equal(run(w), DELIVERY_OK);
	struct blob_store *faulty = w->app.targets[0] =
		blob_fault_open(app_target(&w->app, 0, &w->err));
	blob_fault_set(faulty, &(struct blob_fault_plan){.nth = {[BLOB_FAULT_COMMIT] = 1}});
	dex_world_finished(w, "plain", "data.csv", "same", second);
	assert_int_equal(run(w), DELIVERY_RETRIED);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(dex_world_files(w, "one"), 2);
}

static void test_path_out_of_the_target_is_given_up_at_once(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	dex_world_finished(w, "plain", "../../evil.csv", "12345", id);
	assert_int_equal(run(w), DELIVERY_GIVEN_UP);
	struct delivery d = dex_world_delivery(w, id, "one");
	assert_int_equal(d.status, DELIVERY_FAILED);
	assert_non_null(strstr(d.issues, "out of its place"));
	delivery_free(&d);
	assert_int_equal(dex_world_files(w, "one"), 0);
	json_decref(read_report(w, id));
}

static void test_target_that_is_no_longer_configured(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	dex_world_upload(w, "plain", "data.csv", 5, id);
	dex_world_store(w, id, "12345");
	dex_world_complete(w, id);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(state_delivery_queue(w->app.state, id, "old", clock_now(),
				 &(struct outbox_list){0}, &w->err),
		STATE_OK);
	assert_int_equal(run(w), DELIVERY_RETRIED);
	struct delivery d = dex_world_delivery(w, id, "old");
	assert_non_null(strstr(d.issues, "target old is no longer configured"));
	delivery_free(&d);
}

static void test_queue_refuses_targets_that_are_not_the_streams(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct upload u = {0};
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	assert_int_equal(delivery_queue(&w->app, &u, "nowhere", &w->err), STATE_NOT_FOUND);
	assert_non_null(strstr(w->err.text, "nowhere"));
	assert_int_equal(delivery_queue(&w->app, &u, "two", &w->err), STATE_NOT_FOUND);
	assert_non_null(strstr(w->err.text, "routing group"));
	upload_free(&u);
	dex_world_upload(w, "plain", "data.csv", 5, id);
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	assert_int_equal(delivery_queue(&w->app, &u, "one", &w->err), STATE_CONFLICT);
	upload_free(&u);
}

static void test_unrouted_stream_has_no_targets(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	const char *targets[4];
	struct upload u = {0};
	dex_world_upload(w, "elsewhere", "data.csv", 5, id);
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	json_t *manifest = json_parse(u.manifest, strlen(u.manifest), &w->err);
	assert_non_null(manifest);
	assert_int_equal(delivery_targets(&w->app, &u, manifest, targets, 4), 0);
	json_decref(manifest);
	upload_free(&u);
}

static void test_event_names_path_and_target(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	char *text = dex_world_read(w, "events/%s_FileReady", id);
	assert_non_null(text);
	json_t *event = json_parse(text, strlen(text), &w->err);
	assert_non_null(event);
	assert_string_equal(json_get_str(event, "upload_id"), id);
	assert_string_equal(json_get_str(event, "path"), "data.csv");
	assert_string_equal(json_get_str(event, "deliver_target"), "one");
	assert_true(str_ends(json_get_str(event, "src_url"), id));
	json_decref(event);
	free(text);
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

static void test_stop_gives_the_delivery_back_unharmed(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	const struct delivery_progress stop = {.stop = at_once};
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(
		delivery_run_one(&w->app, NULL, "stopped", &stop, &w->err), DELIVERY_STOPPED);
	struct delivery d = dex_world_delivery(w, id, "one");
	assert_int_equal(d.attempt, 0);
	assert_null(d.lease_owner);
	assert_null(d.issues);
	delivery_free(&d);
	assert_int_equal(run(w), DELIVERY_OK);
}

static void test_retired_upload_cannot_be_queued(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(run(w), DELIVERY_OK);
	struct upload u = {0};
	assert_int_equal(state_upload_end(w->app.state, id, UPLOAD_RETIRED, 0, clock_now(),
				 &(struct outbox_list){0}, &w->err),
		STATE_OK);
	assert_int_equal(state_upload_get(w->app.state, id, &u, &w->err), STATE_OK);
	assert_int_equal(delivery_queue(&w->app, &u, "one", &w->err), STATE_CONFLICT);
	upload_free(&u);
}

static int count_copy_report(void *arg, const struct outbox_message *m)
{
	size_t *n = arg;
	*n += str_eq(m->name, "blob-file-copy");
	return 0;
}

/* One process dies at ${point}, another one goes on. ${reported}: the local report is written by
 * then. */
static void crash_then_deliver(const char *point, bool reported)
{
	struct dex_world *w = dex_world_new("DEX_DELIVERY_LEASE=100ms\n" EAGER);
	char id[UUID_SIZE];
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	dex_world_close(w);
	pid_t child = fork();
	if (child == 0) {
		setenv("DEX_CRASH_AT", point, 1);
		dex_world_reopen(w);
		run_as(w, "child");
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	dex_world_reopen(w);
	struct delivery d = dex_world_delivery(w, id, "one");
	while (d.status != DELIVERY_DONE) {
		assert_int_equal(state_wait(w->app.state, 10000, -1, &w->err), 0);
		assert_true(run_as(w, "parent") != DELIVERY_ERROR);
		delivery_free(&d);
		d = dex_world_delivery(w, id, "one");
	}
	assert_int_equal(d.attempt, 0);
	delivery_free(&d);
	assert_int_equal(dex_world_files(w, "one"), 1);
	assert_file(w, "one/data.csv", "12345");
	char *report = dex_world_read(w, "reports/%s_blob-file-copy", id);
	assert_true((report != NULL) == reported);
	free(report);
	/* Where it was not written, its row is still there, due when the grace of a minute is over.
	 */
	size_t late = 0;
	assert_int_equal(
		state_outbox_take(w->app.state, "reports", clock_now() + 61 * CLOCK_US_PER_S, 1000,
			64, count_copy_report, &late, &w->err),
		0);
	assert_int_equal(late, 1);
	dex_world_free(w);
}

static void test_crash_with_the_lease(void **state)
{
	(void)state;
	crash_then_deliver("delivery-leased", true);
}

static void test_crash_after_the_copy_delivers_once(void **state)
{
	(void)state;
	crash_then_deliver("delivery-copied", true);
}

static void test_crash_before_the_local_report_keeps_its_row(void **state)
{
	(void)state;
	crash_then_deliver("delivery-ended", false);
}

struct racer {
	struct dex_world *w;
	const char *owner;
	size_t delivered;
	pthread_t thread;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct err err = {0};
	enum delivery_outcome o;
	while ((o = delivery_run_one(&r->w->app, NULL, r->owner, NULL, &err)) !=
		DELIVERY_NOTHING_DUE) {
		if (o != DELIVERY_OK)
			abort();
		r->delivered++;
	}
	return NULL;
}

static void test_two_workers_deliver_each_file_once(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	struct racer racers[2] = {{.w = w, .owner = "a"}, {.w = w, .owner = "b"}};
	for (int i = 0; i < 20; i++)
		dex_world_finished(w, "both", "data.csv", "same content", id);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(racers[i].thread, NULL);
	assert_int_equal(racers[0].delivered + racers[1].delivered, 40);
	assert_int_equal(dex_world_files(w, "one"), 20);
	assert_int_equal(dex_world_files(w, "two"), 20);
}

/* While the first worker copies, its lease runs out and another one takes over and finishes. */
static bool take_over(void *arg)
{
	struct dex_world *w = arg;
	struct err err = {0};
	struct delivery d;
	/* a clock far ahead: the lease has run out, though its keeper lives */
	if (state_delivery_lease(w->app.state, NULL, "thief", clock_now() + 86400 * CLOCK_US_PER_S,
		    1, &d, &err) == STATE_OK)
		delivery_free(&d);
	return false;
}

static void test_a_lost_lease_reports_nothing(void **state)
{
	struct dex_world *w = *state;
	char id[UUID_SIZE];
	const struct delivery_progress p = {.stop = take_over, .arg = w};
	dex_world_finished(w, "plain", "data.csv", "12345", id);
	assert_int_equal(delivery_run_one(&w->app, NULL, "slow", &p, &w->err), DELIVERY_STOPPED);
	char *report = dex_world_read(w, "reports/%s_blob-file-copy", id);
	assert_null(report);
	struct delivery d = dex_world_delivery(w, id, "one");
	assert_int_equal(d.status, DELIVERY_PENDING);
	assert_string_equal(d.lease_owner, "thief");
	/* the thief finds what the slow one left, and does not copy again */
	assert_int_equal(state_delivery_end(w->app.state,
				 &(struct delivery_end){.id = d.id,
					 .owner = "thief",
					 .status = DELIVERY_PENDING,
					 .due_at = clock_now(),
					 .now = clock_now()},
				 &(struct outbox_list){0}, &w->err),
		STATE_OK);
	delivery_free(&d);
	assert_int_equal(run(w), DELIVERY_OK);
	assert_int_equal(dex_world_files(w, "one"), 1);
	json_decref(read_report(w, id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(delivers_to_every_target),
		TEST(success_is_reported_with_earlier_failures_as_warnings),
		TEST(unwritable_target_is_retried_then_failed_and_listed),
		cmocka_unit_test(test_retry_waits_longer_each_time),
		TEST(same_name_same_content_of_two_uploads_gives_two_files),
		TEST(foreign_file_is_not_replaced),
		TEST(queued_again_after_success_makes_no_second_copy),
		TEST(retry_after_collision_keeps_both),
		TEST(path_out_of_the_target_is_given_up_at_once),
		TEST(target_that_is_no_longer_configured),
		TEST(queue_refuses_targets_that_are_not_the_streams),
		TEST(unrouted_stream_has_no_targets),
		TEST(event_names_path_and_target),
		TEST(stop_gives_the_delivery_back_unharmed),
		TEST(retired_upload_cannot_be_queued),
		cmocka_unit_test(test_crash_with_the_lease),
		cmocka_unit_test(test_crash_after_the_copy_delivers_once),
		cmocka_unit_test(test_crash_before_the_local_report_keeps_its_row),
		TEST(two_workers_deliver_each_file_once),
		TEST(a_lost_lease_reports_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
