/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only an S3 store can show: parts and tails over many writers, tokens, processes that die
 * between two requests, names and metadata as the service has them. Needs a service, see
 * tests/lib/s3_service.h.
 */
#include "backends/blob_s3_list.h"
#include "backends/blob_s3_multipart.h"
#include "backends/blob_s3_object.h"
#include "backends/blob_s3_tail.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "tests/lib/s3_service.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define DATA (14 * MIB)

struct world {
	char folder[UUID_SIZE];
	struct blob_store *s;
	struct blob_s3_store *s3; /* the same */
	char *data;               /* DATA bytes, none like its neighbours */
	struct err err;
};

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	uint32_t x = 1;
	random_uuid(w->folder);
	w->s = s3_service_open(w->folder, "s3", "5MiB", &w->err);
	w->s3 = (struct blob_s3_store *)w->s;
	w->data = mem_alloc(DATA);
	for (size_t i = 0; i < DATA; i++) {
		x = x * 1664525 + 1013904223;
		w->data[i] = (char)(x >> 24);
	}
	*state = w;
	if (!w->s)
		print_error("%s\n", w->err.text);
	return w->s ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_close(w->s);
	free(w->data);
	free(w);
	return 0;
}

static void ok(struct world *w, int rc)
{
	if (rc != 0)
		fail_msg("%s", w->err.text);
}

static struct blob_writer *begin(
	struct world *w, const char *key, uint64_t offset, const char *token, uint64_t hint)
{
	struct blob_writer *b = blob_begin(w->s, key, BLOB_RESUME, offset, token, hint, &w->err);
	if (!b)
		fail_msg("%s", w->err.text);
	return b;
}

/* Bytes of w->data up to ${to}. */
static void append(struct world *w, struct blob_writer *b, size_t to)
{
	size_t from = (size_t)blob_offset(b);
	ok(w, blob_append(b, w->data + from, to - from, &w->err));
	assert_int_equal(blob_offset(b), to);
}

static void sync_to(struct world *w, struct blob_writer *b, size_t to, char *token)
{
	append(w, b, to);
	ok(w, blob_sync(b, &w->err));
	(void)str_copy(token, BLOB_S3_TOKEN_MAX, blob_token(b));
	assert_true(strlen(token) > 0);
}

static void assert_data(struct world *w, const char *key, size_t len)
{
	struct blob_stat st;
	char *got = mem_alloc(len + 1);
	ok(w, blob_stat(w->s, key, &st, &w->err));
	assert_int_equal(st.size, len);
	assert_int_equal(blob_read(w->s, key, 0, got, len + 1, &w->err), len);
	assert_true(len == 0 || memcmp(got, w->data, len) == 0);
	free(got);
}

static int count_one(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	(void)item;
	(void)err;
	++*(int *)arg;
	return 0;
}

/* All that lies in the folder: tails too, uploads that were not completed. */
static int objects(struct world *w)
{
	int n = 0;
	ok(w, blob_s3_list_objects(w->s3, "", count_one, &n, &w->err));
	return n;
}

static int uploads(struct world *w)
{
	int n = 0;
	ok(w, blob_s3_list_uploads(w->s3, "", count_one, &n, &w->err));
	return n;
}

static void begin_fails(struct world *w, const char *key, uint64_t offset, const char *token)
{
	assert_null(blob_begin(w->s, key, BLOB_RESUME, offset, token, 0, &w->err));
	assert_int_equal(w->err.code, ERR_CORRUPT);
}

static void parts_and_tails_over_many_writers(void **state)
{
	struct world *w = *state;
	static const size_t steps[] = {100, 100 * KIB, 7 * MIB, 7 * MIB + 1, 10 * MIB - 1, 10 * MIB,
		10 * MIB + 17, 13 * MIB + 5};
	char token[BLOB_S3_TOKEN_MAX] = "";
	uint64_t at = 0;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct blob_writer *b = begin(w, "up/load", at, token, i % 2 ? DATA : 0);
		sync_to(w, b, steps[i], token);
		blob_end(b);
		at = steps[i];
		/* This tail, and the one before, which the token before needs. */
		assert_true(objects(w) <= 2);
	}
	struct blob_stat st;
	assert_int_equal(blob_stat(w->s, "up/load", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	struct blob_writer *b = begin(w, "up/load", at, token, 0);
	append(w, b, DATA);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_data(w, "up/load", DATA);
	assert_int_equal(objects(w), 1);
	assert_int_equal(uploads(w), 0);
}

static void one_writer_goes_on_after_its_syncs(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX] = "";
	struct blob_writer *b = begin(w, "k", 0, "", 0);
	ok(w, blob_sync(b, &w->err));
	assert_string_equal(blob_token(b), "");
	for (size_t at = 900 * KIB; at < 12 * MIB; at += 900 * KIB) {
		sync_to(w, b, at, token);
		assert_true(objects(w) <= 2);
		char again[BLOB_S3_TOKEN_MAX];
		sync_to(w, b, at, again);
		assert_string_equal(again, token);
	}
	ok(w, blob_commit(b, NULL, &w->err));
	size_t whole = 12 * MIB - 12 * MIB % (900 * KIB);
	assert_data(w, "k", whole);
	assert_int_equal(objects(w), 1);
	assert_int_equal(uploads(w), 0);
}

static void a_sync_sends_what_is_enough_for_a_part(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX] = "";
	struct blob_s3_token t;
	struct blob_store *small = w->s;
	w->s = s3_service_open(w->folder, "s3", "8MiB", &w->err);
	struct blob_writer *b = begin(w, "k", 0, "", DATA);
	sync_to(w, b, 6 * MIB, token);
	assert_int_equal(blob_s3_token_parse(token, &t), 0);
	assert_int_equal(t.parts, 1);
	assert_string_equal(t.tail, "");
	assert_int_equal(objects(w), 0);
	append(w, b, DATA);
	blob_end(b);
	b = begin(w, "k", 6 * MIB, token, DATA);
	append(w, b, DATA - 1);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_data(w, "k", DATA - 1);
	blob_close(w->s);
	w->s = small;
}

static void tokens_are_held_against_the_offset(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX];
	struct blob_writer *b = begin(w, "k", 0, NULL, 0);
	sync_to(w, b, 7 * MIB, token);
	blob_end(b);
	begin_fails(w, "k", 7 * MIB, NULL);
	begin_fails(w, "k", 7 * MIB, "nonsense");
	begin_fails(w, "k", 7 * MIB + 1, token);
	begin_fails(w, "k", 5 * MIB - 1, token);
	assert_null(strstr(w->err.text, token));
	begin_fails(w, "other", 7 * MIB, token);
	/* Some of the tail. */
	b = begin(w, "k", 6 * MIB + 3, token, 0);
	assert_string_equal(blob_token(b), token);
	append(w, b, 8 * MIB);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_data(w, "k", 8 * MIB);
	assert_int_equal(objects(w), 1);
	/* From the start again, whatever the token says. */
	b = begin(w, "again", 0, token, 0);
	append(w, b, 10);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_data(w, "again", 10);
}

static void the_token_before_stays_good(void **state)
{
	struct world *w = *state;
	char first[BLOB_S3_TOKEN_MAX], second[BLOB_S3_TOKEN_MAX], third[BLOB_S3_TOKEN_MAX];
	struct blob_writer *stale = begin(w, "k", 0, "", 0);
	sync_to(w, stale, 6 * MIB, first);
	sync_to(w, stale, 11 * MIB, second);
	/* `state` did not hear of the second; the writer goes on nevertheless, for a while. */
	struct blob_writer *b = begin(w, "k", 6 * MIB, first, 0);
	sync_to(w, b, 6 * MIB + 100, third);
	sync_to(w, stale, 12 * MIB, second);
	blob_end(stale);
	blob_end(b);
	b = begin(w, "k", 6 * MIB + 100, third, 0);
	append(w, b, 13 * MIB);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_data(w, "k", 13 * MIB);
	assert_int_equal(uploads(w), 0);
}

static void a_missing_tail_is_corrupt(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX];
	static const size_t sizes[] = {100, 6 * MIB};
	for (size_t i = 0; i < 2; i++) {
		struct blob_writer *b = begin(w, "k", 0, NULL, 0);
		sync_to(w, b, sizes[i], token);
		blob_end(b);
		ok(w, blob_s3_tail_del_all(w->s3, "k", &w->err));
		begin_fails(w, "k", sizes[i], token);
		assert_non_null(strstr(w->err.text, "tail"));
	}
}

static void overwritten_parts_are_noticed(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX], etag[BLOB_S3_ETAG];
	struct blob_s3_token t;
	struct blob_writer *b = begin(w, "k", 0, NULL, 0);
	sync_to(w, b, 6 * MIB, token);
	assert_int_equal(blob_s3_token_parse(token, &t), 0);
	/* An overtaken writer sends other bytes as the same part. */
	ok(w, blob_s3_multipart_put(w->s3, "k", t.upload, 1, w->data + 1, 5 * MIB, etag, &w->err));
	assert_int_equal(blob_commit(b, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_CORRUPT);
	b = begin(w, "k", 6 * MIB, token, 0);
	assert_int_equal(blob_commit(b, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_CORRUPT);
	assert_non_null(strstr(w->err.text, "overwritten"));
	/* The right bytes again: all is well. */
	ok(w, blob_s3_multipart_put(w->s3, "k", t.upload, 1, w->data, 5 * MIB, etag, &w->err));
	b = begin(w, "k", 6 * MIB, token, 0);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_data(w, "k", 6 * MIB);
}

/* A writer commits and dies; whoever comes after it has an older token. */
static void a_commit_can_be_repeated(void **state)
{
	struct world *w = *state;
	static const struct {
		size_t synced, whole;
	} rows[] = {{100, 100}, {100, 200}, {6 * MIB, 6 * MIB}, {6 * MIB, 6 * MIB + 99},
		{5 * MIB, 5 * MIB}, {6 * MIB, 12 * MIB}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char key[16], token[BLOB_S3_TOKEN_MAX];
		snprintf(key, sizeof(key), "k%zu", i);
		struct blob_writer *b = begin(w, key, 0, NULL, 0);
		sync_to(w, b, rows[i].synced, token);
		append(w, b, rows[i].whole);
		ok(w, blob_commit(b, NULL, &w->err));
		b = begin(w, key, rows[i].synced, token, 0);
		append(w, b, rows[i].whole);
		ok(w, blob_commit(b, NULL, &w->err));
		assert_data(w, key, rows[i].whole);
		/* By way of a sync in between. */
		b = begin(w, key, rows[i].synced, token, 0);
		if (rows[i].whole > rows[i].synced)
			sync_to(w, b, rows[i].whole - 1, token);
		uint64_t at = blob_offset(b);
		blob_end(b);
		b = begin(w, key, at, token, 0);
		append(w, b, rows[i].whole);
		ok(w, blob_commit(b, NULL, &w->err));
		assert_data(w, key, rows[i].whole);
		/* Other bytes than were committed, or more of them. */
		b = begin(w, key, rows[i].synced, token, 0);
		assert_int_equal(blob_append(b, w->data, rows[i].whole + 1, &w->err), -1);
		assert_int_equal(w->err.code, ERR_CORRUPT);
		blob_end(b);
	}
	assert_int_equal(objects(w), sizeof(rows) / sizeof(rows[0]));
}

static void del_takes_parts_and_tails(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX], newer[BLOB_S3_TOKEN_MAX];
	struct blob_writer *b = begin(w, "k", 0, NULL, 0);
	sync_to(w, b, 6 * MIB, token);
	/* A tail that no token tells of. */
	sync_to(w, b, 7 * MIB, newer);
	blob_end(b);
	assert_int_equal(objects(w), 2);
	assert_int_equal(uploads(w), 1);
	ok(w, blob_del(w->s, "k", token, &w->err));
	assert_int_equal(objects(w), 0);
	assert_int_equal(uploads(w), 0);
	ok(w, blob_del(w->s, "k", token, &w->err));
	ok(w, blob_del(w->s, "k", "nonsense", &w->err));
	begin_fails(w, "k", 6 * MIB, token);
}

struct asked {
	int answer;
	int times;
	char part[BLOB_S3_TOKEN_UPLOAD_MAX + 1];
};

static int in_use(void *arg, const char *key, const char *part)
{
	struct asked *a = arg;
	assert_string_equal(key, "a/k");
	(void)str_copy(a->part, sizeof(a->part), part);
	a->times++;
	return a->answer;
}

static void sweep_asks_about_old_parts(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX];
	uint64_t removed;
	struct asked a = {.answer = 1};
	struct blob_writer *b = begin(w, "a/k", 0, NULL, 0);
	sync_to(w, b, 6 * MIB, token);
	blob_end(b);
	/* Not old enough; nobody to ask; in use; unknown. */
	ok(w, blob_sweep(w->s, 3600000, in_use, &a, &removed, &w->err));
	assert_int_equal(a.times, 0);
	ok(w, blob_sweep(w->s, -3600000, NULL, NULL, &removed, &w->err));
	ok(w, blob_sweep(w->s, -3600000, in_use, &a, &removed, &w->err));
	assert_int_equal(a.times, 1);
	assert_non_null(strstr(token, a.part));
	a.answer = -1;
	ok(w, blob_sweep(w->s, -3600000, in_use, &a, &removed, &w->err));
	assert_int_equal(removed, 0);
	assert_int_equal(uploads(w), 1);
	a.answer = 0;
	ok(w, blob_sweep(w->s, -3600000, in_use, &a, &removed, &w->err));
	assert_int_equal(removed, 1);
	assert_int_equal(uploads(w), 0);
	/* Its parts are gone, which the writer that comes is told. */
	b = begin(w, "a/k", 6 * MIB, token, 0);
	assert_int_equal(blob_commit(b, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_CORRUPT);
}

static void tails_are_not_listed(void **state)
{
	struct world *w = *state;
	char token[BLOB_S3_TOKEN_MAX];
	struct blob_writer *b = begin(w, "k", 0, NULL, 0);
	sync_to(w, b, 100, token);
	blob_end(b);
	assert_int_equal(objects(w), 1);
	uint64_t n = 0;
	assert_int_equal(blob_read(w->s, "k", 0, &n, 1, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
}

static void stage(
	struct world *w, const char *key, size_t len, const struct blob_meta *meta, bool describe)
{
	struct blob_writer *b = blob_begin(w->s, key, BLOB_STAGE, 0, NULL, len, &w->err);
	assert_non_null(b);
	if (describe)
		blob_describe(b, meta);
	append(w, b, len);
	ok(w, blob_commit(b, meta, &w->err));
}

static void large_deliveries_leave_nothing_behind(void **state)
{
	struct world *w = *state;
	char left[BLOB_S3_TOKEN_UPLOAD_MAX + 1];
	/* Of a run that died; and one of another name. */
	ok(w, blob_s3_multipart_create(w->s3, "d/k", NULL, left, &w->err));
	ok(w, blob_s3_multipart_create(w->s3, "d/k2", NULL, left, &w->err));
	struct blob_writer *b = blob_begin(w->s, "d/k", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, b, 11 * MIB);
	assert_int_equal(uploads(w), 2);
	blob_end(b);
	assert_int_equal(uploads(w), 1);
	stage(w, "d/k", 11 * MIB, NULL, false);
	assert_data(w, "d/k", 11 * MIB);
	b = blob_begin(w->s, "d/k", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, b, 12 * MIB);
	assert_int_equal(blob_commit(b, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	assert_int_equal(uploads(w), 1);
	assert_data(w, "d/k", 11 * MIB);
	/* One whose beginning was answered to nobody. */
	char unknown[BLOB_S3_TOKEN_UPLOAD_MAX + 1];
	b = blob_begin(w->s, "d/lost", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, b, 11 * MIB);
	ok(w, blob_s3_multipart_create(w->s3, "d/lost", NULL, unknown, &w->err));
	assert_int_equal(uploads(w), 3);
	ok(w, blob_commit(b, NULL, &w->err));
	assert_int_equal(uploads(w), 1);
	assert_data(w, "d/lost", 11 * MIB);
	stage(w, "d/exact", 5 * MIB, NULL, false);
	assert_data(w, "d/exact", 5 * MIB);
	stage(w, "d/exact2", 10 * MIB, NULL, false);
	assert_data(w, "d/exact2", 10 * MIB);
	ok(w, blob_s3_multipart_abort(w->s3, "d/k2", left, &w->err));
}

static void names_survive_every_way(void **state)
{
	struct world *w = *state;
	static const char *const keys[] = {"a b/c+d", "50%/=&?#.csv", ".hidden/..x", "q\"'<&>`",
		"\xc3\xa9t\xc3\xa9/\xe6\x97\xa5\xe6\x9c\xac", "a;b:c@d~(e)!*", "%2F%2e%2e"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char token[BLOB_S3_TOKEN_MAX], copy[64];
		const char *key = keys[i];
		size_t len = 5 * MIB + 2 * i;
		struct blob_writer *b = begin(w, key, 0, NULL, 0);
		sync_to(w, b, len, token);
		blob_end(b);
		b = begin(w, key, len, token, 0);
		ok(w, blob_commit(b, NULL, &w->err));
		assert_data(w, key, len);
		struct blob_source src[] = {{w->s, key, len}};
		snprintf(copy, sizeof(copy), "%s.copy", key);
		ok(w, blob_copy_from(w->s, copy, src, 1, NULL, NULL, NULL, &w->err));
		assert_data(w, copy, len);
		ok(w, blob_del(w->s, copy, NULL, &w->err));
	}
	assert_int_equal(objects(w), sizeof(keys) / sizeof(keys[0]));
}

static void assert_field(struct world *w, const char *key, const char *name, const char *value)
{
	struct blob_s3_call c;
	blob_s3_request_init(&c, "HEAD", key, w->s3);
	ok(w, blob_s3_request_run(&c, &w->err));
	const char *got = net_headers_get(&c.answer.headers, name);
	assert_non_null(got);
	assert_string_equal(got, value);
	blob_s3_request_free(&c);
}

static void metadata_reach_the_service(void **state)
{
	struct world *w = *state;
	const char *const keys[] = {
		"sender_id", "data-stream.id", "r\xc3\xa9gion", "note", "spaces"};
	const char *const values[] = {"y", "x", "\xc3\xa9", " 100% ", "a  b"};
	struct buf left_out;
	struct blob_meta meta = {.keys = keys, .values = values, .n = 5, .left_out = &left_out};
	buf_init(&left_out, 100);
	stage(w, "small", 10, &meta, false);
	stage(w, "large", 6 * MIB, &meta, true);
	struct blob_source src[] = {{w->s, "large", 6 * MIB}, {w->s, "small", 10}};
	ok(w, blob_copy_from(w->s, "one", src, 1, &meta, NULL, NULL, &w->err));
	ok(w, blob_copy_from(w->s, "two", src, 2, &meta, NULL, NULL, &w->err));
	struct blob_source swapped[] = {src[1], src[0]};
	ok(w, blob_copy_from(w->s, "three", swapped, 2, &meta, NULL, NULL, &w->err));
	assert_int_equal(left_out.len, 0);
	static const char *const made[] = {"small", "large", "one", "two", "three"};
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		assert_field(w, made[i], "x-amz-meta-spaces", "a %20b");
		assert_field(w, made[i], "x-amz-meta-data-stream.id", "x");
		assert_field(w, made[i], "x-amz-meta-r%c3%a9gion", "%C3%A9");
		assert_field(w, made[i], "content-type", "application/octet-stream");
		assert_field(w, made[i], "x-amz-meta-note", "%20100%25%20");
	}
	/* Of multipart uploads one service makes a dash of the underscore. */
	assert_field(w, "small", "x-amz-meta-sender_id", "y");
	assert_field(w, "one", "x-amz-meta-sender_id", "y");
	/* A copy does not take over what its source had. */
	ok(w, blob_copy_from(w->s, "bare", src, 1, NULL, NULL, NULL, &w->err));
	struct blob_s3_call c;
	blob_s3_request_init(&c, "HEAD", "bare", w->s3);
	ok(w, blob_s3_request_run(&c, &w->err));
	assert_null(net_headers_get(&c.answer.headers, "x-amz-meta-note"));
	blob_s3_request_free(&c);
	/* Told too late for an object of many parts. */
	stage(w, "late", 6 * MIB, &meta, false);
	assert_non_null(strstr(buf_str(&left_out), "sender_id"));
	buf_free(&left_out);
}

static void a_copy_of_parts_is_whole(void **state)
{
	struct world *w = *state;
	stage(w, "a", 6 * MIB, NULL, false);
	struct blob_stat st;
	struct blob_source src[] = {{w->s, "a", 6 * MIB}, {w->s, "a", 6 * MIB}};
	ok(w, blob_copy_from(w->s, "b", src, 2, NULL, NULL, NULL, &w->err));
	ok(w, blob_stat(w->s, "b", &st, &w->err));
	assert_int_equal(st.size, 12 * MIB);
	char *got = mem_alloc(12 * MIB);
	assert_int_equal(blob_read(w->s, "b", 0, got, 12 * MIB, &w->err), 12 * MIB);
	assert_memory_equal(got, w->data, 6 * MIB);
	assert_memory_equal(got + 6 * MIB, w->data, 6 * MIB);
	free(got);
	/* Less than there is: only that. */
	src[0].size = 5 * MIB + 1;
	ok(w, blob_copy_from(w->s, "c", src, 1, NULL, NULL, NULL, &w->err));
	assert_data(w, "c", 5 * MIB + 1);
	assert_int_equal(uploads(w), 0);
}

static void refusals_tell_no_secret(void **state)
{
	struct world *w = *state;
	char *service = mem_strdup(getenv("DEX_TEST_S3"));
	struct blob_stat st;
	/* Another secret. */
	char *wrong = mem_alloc(strlen(service) + 8);
	snprintf(wrong, strlen(service) + 8, "%s-wrong", service);
	setenv("DEX_TEST_S3", wrong, 1);
	struct blob_store *s = s3_service_open(NULL, "wrong", "5MiB", &w->err);
	assert_int_equal(blob_stat(s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_int_equal(blob_read(s, "k", 0, &st, 1, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_non_null(strstr(w->err.text, "SignatureDoesNotMatch"));
	assert_null(strstr(w->err.text, "-wrong"));
	assert_null(strstr(w->err.text, "Credential"));
	assert_int_equal(blob_probe(s, true, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	blob_close(s);
	/* Another bucket. */
	char *rest = strchr(service, ' ');
	snprintf(wrong, strlen(service) + 8, "%.*s no-such%s", (int)(rest - service), service,
		strchr(rest + 1, ' '));
	setenv("DEX_TEST_S3", wrong, 1);
	s = s3_service_open(NULL, "wrong", "5MiB", &w->err);
	assert_int_equal(blob_probe(s, true, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_int_equal(blob_stat(s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, "no-such"));
	assert_int_equal(blob_read(s, "k", 0, &st, 1, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	blob_close(s);
	setenv("DEX_TEST_S3", service, 1);
	free(wrong);
	free(service);
}

/* In a process of its own: upload, write down each token, die where it is told to. */
static void upload_and_die(struct world *w, const char *at, const char *token_file)
{
	struct err err;
	setenv("DEX_CRASH_AT", at, 1);
	struct blob_store *s = s3_service_open(w->folder, "child", "5MiB", &err);
	struct blob_writer *b = s ? blob_begin(s, at, BLOB_RESUME, 0, NULL, 0, &err) : NULL;
	for (size_t to = 2 * MIB; b && to <= 12 * MIB; to += 2 * MIB) {
		size_t from = (size_t)blob_offset(b);
		char text[BLOB_S3_TOKEN_MAX + 32];
		if (blob_append(b, w->data + from, to - from, &err) < 0 || blob_sync(b, &err) < 0)
			_exit(1);
		int n = snprintf(text, sizeof(text), "%zu %s", to, blob_token(b));
		if (fsio_replace(token_file, text, (size_t)n, false, &err) < 0)
			_exit(1);
	}
	if (b)
		(void)blob_commit(b, NULL, &err);
	_exit(1);
}

static void another_process_goes_on(struct world *w, const char *at, const char *token_file)
{
	struct buf b;
	uint64_t offset = 0;
	const char *token = "";
	buf_init(&b, 1024);
	if (access(token_file, F_OK) == 0) {
		ok(w, fsio_read_file(token_file, &b, &w->err));
		token = strchr(buf_str(&b), ' ');
		assert_non_null(token);
		assert_int_equal(
			str_to_u64_n(buf_str(&b), (size_t)(token - buf_str(&b)), DATA, &offset), 0);
		token++;
	}
	struct blob_writer *writer = begin(w, at, offset, token, 0);
	append(w, writer, 12 * MIB);
	ok(w, blob_commit(writer, NULL, &w->err));
	assert_data(w, at, 12 * MIB);
	buf_free(&b);
}

static void processes_may_die_anywhere(void **state)
{
	struct world *w = *state;
	static const char *const points[] = {
		"s3-part-sent", "s3-tail-sent", "s3-before-complete", "s3-after-complete"};
	char *dir = scratch_make();
	/* All of them before this process has threads that a child would lack. */
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		char *token_file = scratch_path(dir, points[i]);
		int status;
		fflush(NULL);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			upload_and_die(w, points[i], token_file);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		free(token_file);
	}
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		char *token_file = scratch_path(dir, points[i]);
		another_process_goes_on(w, points[i], token_file);
		free(token_file);
	}
	scratch_remove(dir);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		/* First: it forks. */
		TEST(processes_may_die_anywhere),
		TEST(parts_and_tails_over_many_writers),
		TEST(one_writer_goes_on_after_its_syncs),
		TEST(a_sync_sends_what_is_enough_for_a_part),
		TEST(tokens_are_held_against_the_offset),
		TEST(the_token_before_stays_good),
		TEST(a_missing_tail_is_corrupt),
		TEST(overwritten_parts_are_noticed),
		TEST(a_commit_can_be_repeated),
		TEST(del_takes_parts_and_tails),
		TEST(sweep_asks_about_old_parts),
		TEST(tails_are_not_listed),
		TEST(large_deliveries_leave_nothing_behind),
		TEST(names_survive_every_way),
		TEST(metadata_reach_the_service),
		TEST(a_copy_of_parts_is_whole),
		TEST(refusals_tell_no_secret),
	};
#undef TEST
	if (!s3_service_there()) {
		print_message("blob_s3: skipped, there is no service (DEX_TEST_S3)\n");
		return 0;
	}
	return cmocka_run_group_tests_name("blob_s3", tests, NULL, NULL);
}
