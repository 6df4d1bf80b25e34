/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an upload over the real state store and locks, with a storage that can fail. */
#include "backends/registry.h"
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/tus/gather.h"
#include "core/tus/hooks.h"
#include "core/tus/upload.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/scratch.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char *dir;
	struct config config;
	struct app app;
};

static int completions; /* calls of the hook since set-up */
static int progresses;

static int hook_check(struct app *a, const json_t *metadata, struct upload *u,
	struct notify_batch *b, json_t **rejection, struct err *err)
{
	(void)a, (void)b;
	if (json_object_get(metadata, "bad")) {
		*rejection = json_object();
		return err_set(err, ERR_INVALID, __func__, "bad");
	}
	u->manifest = mem_strdup("{}");
	return 0;
}

static void hook_progress(struct app *a, const struct upload *u)
{
	(void)a, (void)u;
	progresses++;
}

static size_t hook_complete(struct app *a, const struct upload *u, int64_t now,
	const char **targets, struct notify_batch *b)
{
	(void)a, (void)u, (void)now, (void)b;
	completions++;
	targets[0] = "edav";
	return 1;
}

static void hook_ended(
	struct app *a, const struct upload *u, const char *why, int64_t now, struct notify_batch *b)
{
	(void)a, (void)u, (void)why, (void)now, (void)b;
}

static const struct upload_hooks hooks = {hook_check, hook_progress, hook_complete, hook_ended};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	struct err err = {0};
	char path[512];

	w->dir = scratch_make();
	w->config = (struct config){
		.durability = "patch",
		.upload_prefix = "tus-prefix",
		.lock_wait_ms = 5000,
		.body_timeout_ms = 5000,
		.upload_expiry_ms = 86400000,
	};
	w->app.config = &w->config;
	w->app.hooks = &hooks;
	w->app.gather = gather_pool_new();
	snprintf(path, sizeof(path), "%s/data", w->dir);
	const struct blob_option opts[] = {{"path", path}};
	w->app.uploads = blob_fault_open(
		blob_open(registry_find_blob("file"), "uploads", opts, 1, true, &err));
	snprintf(path, sizeof(path), "%s/state.db", w->dir);
	w->app.state = state_open(registry_find_state("sqlite"), path, false, &err);
	snprintf(path, sizeof(path), "%s/locks", w->dir);
	w->app.locks = lock_open(registry_find_lock("file"), path, &err);
	if (!w->app.uploads || !w->app.state || !w->app.locks) {
		print_error("%s\n", err.text);
		return -1;
	}
	completions = progresses = 0;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	lock_close(w->app.locks);
	state_close(w->app.state);
	blob_close(w->app.uploads);
	gather_pool_free(w->app.gather);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

/* --- a body from a script of steps --- */

struct step {
	enum body_result result;
	const char *text;
};
struct script {
	const struct step *steps;
	size_t n, at;
};

static enum body_result script_next(
	void *arg, int64_t timeout_ms, int wake_fd, const void **data, size_t *len)
{
	struct script *s = arg;

	(void)wake_fd;
	if (s->at == s->n)
		return BODY_END;
	if (s->steps[s->at].result == BODY_WAIT && timeout_ms > 0)
		s->at++; /* the sender goes on after a pause */
	if (s->at == s->n)
		return BODY_END;
	const struct step *step = &s->steps[s->at];
	if (step->result == BODY_WAIT)
		return BODY_WAIT;
	s->at++;
	*data = step->text;
	*len = step->text ? strlen(step->text) : 0;
	return step->result;
}

static void create(struct world *w, int64_t length, char id[UUID_SIZE])
{
	struct headers_concat none = {.kind = CONCAT_NONE};
	json_t *metadata = json_object();
	struct upload_request r = {.length = length, .metadata = metadata, .concat = &none};
	struct upload_rejection rejection;
	struct upload up;
	struct err err = {0};

	assert_int_equal(upload_create(&w->app, &r, &up, &rejection, &err), 0);
	memcpy(id, up.id, UUID_SIZE);
	upload_free(&up);
	json_decref(metadata);
}

struct patch {
	int64_t offset, length;
	const char *checksum;
	const struct step *steps;
	size_t n;
	int64_t declared;
};

/* Run one PATCH; returns 0 or the error's code, and the offset afterwards. */
static enum err_code patch(struct world *w, const char *id, const struct patch *p, int64_t *offset)
{
	struct script script = {p->steps, p->n, 0};
	struct body_source body = {script_next, &script, p->declared};
	struct headers_checksum sum;
	struct upload_hold hold;
	struct err err = {0};
	bool mismatch;

	if (p->checksum)
		assert_int_equal(headers_checksum(p->checksum, &sum, &err), 0);
	struct upload_chunk c = {p->offset, p->length, p->checksum ? &sum : NULL, &body};
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	int rc = upload_receive(&w->app, &hold, &c, &mismatch, &err);
	*offset = hold.up.offset;
	upload_let_go(&hold);
	return rc == 0 ? ERR_NONE : err.code;
}

#define PATCH(at, sum, ...)                                        \
	(&(const struct patch){(at), UPLOAD_LENGTH_UNKNOWN, (sum), \
		(const struct step[]){__VA_ARGS__},                \
		sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step), -1})

static void assert_stored(struct world *w, const char *id, const char *text)
{
	char got[256], key[128];
	struct err err = {0};

	snprintf(key, sizeof(key), "tus-prefix/%.2s/%s", id, id);
	ssize_t n = blob_read(w->app.uploads, key, 0, got, sizeof(got) - 1, &err);
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, text);
}

/* Bytes that a dead process left in storage beyond what `state` knows. */
static void leave_surplus(struct world *w, const char *id, uint64_t at, const char *text)
{
	char key[128];
	struct err err = {0};

	snprintf(key, sizeof(key), "tus-prefix/%.2s/%s", id, id);
	struct blob_writer *b = blob_begin(w->app.uploads, key, BLOB_RESUME, at, "", 0, &err);
	assert_non_null(b);
	assert_int_equal(blob_append(b, text, strlen(text), &err), 0);
	blob_end(b);
}

static int64_t offset_of(struct world *w, const char *id, enum upload_status *status)
{
	struct upload_hold hold;
	struct err err = {0};

	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	int64_t offset = hold.up.offset;
	if (status)
		*status = hold.up.status;
	upload_let_go(&hold);
	return offset;
}

/* --- tests --- */

static void whole_upload_completes_once(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;
	enum upload_status status;

	create(w, 10, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	assert_int_equal(at, 5);
	assert_int_equal(progresses, 1);
	assert_int_equal(
		patch(w, id, PATCH(5, NULL, {BODY_DATA, "wo"}, {BODY_DATA, "rld"}), &at), ERR_NONE);
	assert_int_equal(at, 10);
	assert_int_equal(patch(w, id, PATCH(10, NULL, {BODY_END, NULL}), &at), ERR_NONE);
	assert_int_equal(offset_of(w, id, &status), 10);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(completions, 1);
	assert_stored(w, id, "helloworld");
}

static void wrong_offset_changes_nothing(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	create(w, 10, id);
	assert_int_equal(patch(w, id, PATCH(3, NULL, {BODY_DATA, "hello"}), &at), ERR_CONFLICT);
	assert_int_equal(at, 0);
}

static void broken_body_keeps_what_came(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	create(w, 10, id);
	assert_int_equal(patch(w, id,
				 PATCH(0, NULL, {BODY_DATA, "hel"}, {BODY_WAIT, NULL},
					 {BODY_DATA, "lo"}, {BODY_GONE, NULL}),
				 &at),
		ERR_PEER_GONE);
	assert_int_equal(at, 5);
	assert_int_equal(patch(w, id, PATCH(5, NULL, {BODY_DATA, "w"}, {BODY_STOPPED, NULL}), &at),
		ERR_UNAVAILABLE);
	assert_int_equal(at, 6);
	assert_stored(w, id, "hellow");
}

static void surplus_of_a_dead_process_is_adopted(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;

	create(w, 10, id);
	leave_surplus(w, id, 0, "hello");
	assert_int_equal(offset_of(w, id, NULL), 5);
	leave_surplus(w, id, 5, "world");
	assert_int_equal(offset_of(w, id, &status), 10);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(completions, 1);
}

static void synced_bytes_that_are_missing_mean_another_storage(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	struct upload_hold hold;
	struct err err = {0};
	int64_t at;

	create(w, 10, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	leave_surplus(w, id, 0, "he");
	assert_int_equal(upload_take(&w->app, id, &hold, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	/* once it is back, everything counts */
	leave_surplus(w, id, 0, "hello");
	assert_int_equal(offset_of(w, id, NULL), 5);
}

static void bytes_lost_with_the_power_are_asked_for_again(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	w->config.durability = "none";
	create(w, 10, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	leave_surplus(w, id, 0, "he");
	assert_int_equal(offset_of(w, id, NULL), 2);
}

static void right_checksum_counts(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	create(w, 10, id);
	assert_int_equal(patch(w, id,
				 PATCH(0, "md5 XUFAKrxLKna5cZ2REBfFkg==", {BODY_DATA, "he"},
					 {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
				 &at),
		ERR_NONE);
	assert_int_equal(at, 5);
	assert_stored(w, id, "hello");
}

static void unverified_bytes_are_never_adopted(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;
	static const char *const wrong = "md5 XUFAKrxLKna5cZ2REBfFkA==";

	create(w, 10, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "ab"}), &at), ERR_NONE);
	/* a wrong sum, seen after bytes had been written */
	assert_int_equal(
		patch(w, id,
			PATCH(2, wrong, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
			&at),
		ERR_CORRUPT);
	assert_int_equal(at, 2);
	assert_int_equal(offset_of(w, id, NULL), 2);
	/* a body that broke off before its sum could be checked */
	assert_int_equal(
		patch(w, id,
			PATCH(2, wrong, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_GONE, NULL}),
			&at),
		ERR_PEER_GONE);
	assert_int_equal(offset_of(w, id, NULL), 2);
	/* an empty chunk must not make the left-over bytes trustworthy */
	assert_int_equal(patch(w, id, PATCH(2, NULL, {BODY_END, NULL}), &at), ERR_NONE);
	assert_int_equal(offset_of(w, id, NULL), 2);
	assert_int_equal(patch(w, id, PATCH(2, NULL, {BODY_DATA, "cdefghij"}), &at), ERR_NONE);
	assert_int_equal(at, 10);
	assert_stored(w, id, "abcdefghij");
}

static void body_beyond_the_length_counts_for_nothing(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	create(w, 4, id);
	struct patch declared = *PATCH(0, NULL, {BODY_DATA, "hello"});
	declared.declared = 5;
	assert_int_equal(patch(w, id, &declared, &at), ERR_TOO_LARGE);
	assert_int_equal(
		patch(w, id,
			PATCH(0, NULL, {BODY_DATA, "he"}, {BODY_WAIT, NULL}, {BODY_DATA, "llo"}),
			&at),
		ERR_TOO_LARGE);
	assert_int_equal(at, 0);
	assert_int_equal(offset_of(w, id, NULL), 0);
	assert_int_equal(completions, 0);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "good"}), &at), ERR_NONE);
	assert_stored(w, id, "good");
}

static void full_disk_keeps_the_offset_true(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;
	struct blob_fault_plan plan = {.space = 3};

	create(w, 10, id);
	blob_fault_set(w->app.uploads, &plan);
	assert_int_equal(
		patch(w, id, PATCH(0, NULL, {BODY_DATA, "helloworld"}), &at), ERR_NO_SPACE);
	assert_int_equal(at, 3);
	blob_fault_set(w->app.uploads, NULL);
	assert_int_equal(offset_of(w, id, NULL), 3);
	assert_int_equal(patch(w, id, PATCH(3, NULL, {BODY_DATA, "loworld"}), &at), ERR_NONE);
	assert_stored(w, id, "helloworld");
	assert_int_equal(completions, 1);
}

static void storage_failures_are_never_the_clients(void **state)
{
	struct world *w = *state;
	static const enum err_code codes[] = {
		ERR_NOT_FOUND, ERR_DENIED, ERR_IO, ERR_EXISTS, ERR_CORRUPT};
	static const enum blob_fault_op ops[] = {
		BLOB_FAULT_BEGIN, BLOB_FAULT_APPEND, BLOB_FAULT_SYNC};
	int64_t at;

	for (size_t c = 0; c < sizeof(codes) / sizeof(codes[0]); c++) {
		for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
			char id[UUID_SIZE];
			struct blob_fault_plan plan = {.code = codes[c]};
			create(w, 5, id);
			plan.nth[ops[o]] = 1;
			blob_fault_set(w->app.uploads, &plan);
			assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at),
				ERR_UNAVAILABLE);
			blob_fault_set(w->app.uploads, NULL);
			int64_t known = offset_of(w, id, NULL);
			if (known < 5)
				assert_int_equal(
					patch(w, id,
						PATCH(known, NULL, {BODY_DATA, "hello" + known}),
						&at),
					ERR_NONE);
			assert_stored(w, id, "hello");
		}
	}
}

static void deferred_length_is_declared_once(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	int64_t at;

	create(w, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	struct patch p = *PATCH(5, NULL, {BODY_END, NULL});
	p.length = 4;
	assert_int_equal(patch(w, id, &p, &at), ERR_INVALID);
	p.length = 8;
	assert_int_equal(patch(w, id, &p, &at), ERR_NONE);
	p.length = 9;
	assert_int_equal(patch(w, id, &p, &at), ERR_INVALID);
	p.length = 8;
	p.steps = (const struct step[]){{BODY_DATA, "abc"}};
	assert_int_equal(patch(w, id, &p, &at), ERR_NONE);
	assert_int_equal(completions, 1);

	create(w, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
	p = *PATCH(5, NULL, {BODY_END, NULL});
	p.length = 5;
	assert_int_equal(patch(w, id, &p, &at), ERR_NONE);
	assert_int_equal(completions, 2);
}

static void empty_upload_is_complete_at_birth(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE];
	enum upload_status status;

	create(w, 0, id);
	assert_int_equal(offset_of(w, id, &status), 0);
	assert_int_equal(status, UPLOAD_COMPLETE);
	assert_int_equal(completions, 1);
	assert_stored(w, id, "");
}

static void limit_holds_for_known_and_deferred_lengths(void **state)
{
	struct world *w = *state;
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
	create(w, UPLOAD_LENGTH_UNKNOWN, id);
	assert_int_equal(
		patch(w, id, PATCH(0, NULL, {BODY_DATA, "123456789"}), &at), ERR_TOO_LARGE);
	struct patch p = *PATCH(0, NULL, {BODY_END, NULL});
	p.length = 9;
	assert_int_equal(patch(w, id, &p, &at), ERR_TOO_LARGE);
}

static void refused_manifest_creates_nothing(void **state)
{
	struct world *w = *state;
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

static void create_part(struct world *w, const char *text, bool finish, char id[UUID_SIZE])
{
	struct headers_concat partial = {.kind = CONCAT_PARTIAL};
	json_t *metadata = json_object();
	struct upload_request r = {.length = (int64_t)strlen(text),
		.metadata = metadata,
		.concat_header = "partial",
		.concat = &partial};
	struct upload_rejection rejection;
	struct upload up;
	struct err err = {0};
	int64_t at;

	assert_int_equal(upload_create(&w->app, &r, &up, &rejection, &err), 0);
	memcpy(id, up.id, UUID_SIZE);
	upload_free(&up);
	json_decref(metadata);
	if (finish)
		assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, text}), &at), ERR_NONE);
}

static enum err_code create_final(
	struct world *w, char (*parts)[UUID_SIZE], size_t n, char id[UUID_SIZE])
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
	struct world *w = *state;
	char parts[4][UUID_SIZE], id[UUID_SIZE], other[UUID_SIZE];

	create_part(w, "hello", true, parts[0]);
	create_part(w, "", false, parts[1]);
	create_part(w, "world", true, parts[2]);
	memcpy(parts[3], parts[0], UUID_SIZE);
	assert_int_equal(completions, 0);
	assert_int_equal(create_final(w, parts, 4, id), ERR_NONE);
	assert_stored(w, id, "helloworldhello");
	assert_int_equal(completions, 1);
	/* the parts stay and may be used again */
	assert_int_equal(create_final(w, parts, 1, other), ERR_NONE);
	assert_stored(w, other, "hello");
}

static void final_refuses_other_uploads_as_parts(void **state)
{
	struct world *w = *state;
	char parts[1][UUID_SIZE], id[UUID_SIZE];

	create_part(w, "hello", false, parts[0]);
	assert_int_equal(create_final(w, parts, 1, id), ERR_INVALID);
	create(w, 0, parts[0]);
	assert_int_equal(create_final(w, parts, 1, id), ERR_INVALID);
	memcpy(parts[0], "11111111-2222-4333-8444-555555555555", UUID_SIZE);
	assert_int_equal(create_final(w, parts, 1, id), ERR_NOT_FOUND);
}

static void termination_removes_the_data(void **state)
{
	struct world *w = *state;
	char id[UUID_SIZE], key[128];
	struct upload_hold hold;
	struct blob_stat st;
	struct err err = {0};
	int64_t at;

	create(w, 10, id);
	assert_int_equal(patch(w, id, PATCH(0, NULL, {BODY_DATA, "hello"}), &at), ERR_NONE);
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
	struct world *w = *state;
	char id[UUID_SIZE];
	struct upload_hold hold;
	struct err err = {0};

	create(w, 0, id);
	assert_int_equal(upload_take(&w->app, id, &hold, &err), 0);
	assert_int_equal(upload_terminate(&w->app, &hold, &err), -1);
	assert_int_equal(err.code, ERR_CONFLICT);
	upload_let_go(&hold);
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
	struct world *world;
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
	struct world *w = *state;
	struct holder h = {.world = w};
	char id[UUID_SIZE];
	struct err err = {0};
	pthread_t thread;

	create(w, 10, id);
	assert_int_equal(upload_take(&w->app, id, &h.hold, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, hold_forever, &h), 0);
	assert_int_equal(offset_of(w, id, NULL), 5);
	pthread_join(thread, NULL);
	assert_int_equal(h.code, ERR_INTERRUPTED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
		T(empty_upload_is_complete_at_birth),
		T(limit_holds_for_known_and_deferred_lengths),
		T(refused_manifest_creates_nothing),
		T(final_is_its_parts_in_order),
		T(final_refuses_other_uploads_as_parts),
		T(termination_removes_the_data),
		T(termination_waits_for_deliveries),
		T(stalled_patch_yields_to_a_newcomer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
