/* SPDX-License-Identifier: Apache-2.0 */
/* What only a real service can show of the Azure store; skipped without DEX_TEST_AZURE. */
#include "backends/blob_azure_blocks.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "tests/lib/azure_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK ((size_t)64 << 10)

struct world {
	struct blob_store *s; /* blocks of 64 KiB, a folder of its own */
	struct err err;
	unsigned char *data; /* DATA bytes that differ */
	char token[256];
};
#define DATA ((size_t)1 << 20)

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	char folder[64];
	azure_world_name(folder, "azure");
	struct azure_world_options o = {.folder = folder, .part_size = "64KiB"};
	w->s = azure_world_open("azure", &o, &w->err);
	if (!w->s)
		print_error("%s\n", w->err.text);
	w->data = mem_alloc(DATA);
	for (size_t i = 0; i < DATA; i++)
		w->data[i] = (unsigned char)(i % 251 + i / 4096);
	*state = w;
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

static struct blob_writer *begin(struct world *w, const char *key, uint64_t offset)
{
	struct blob_writer *a = blob_begin(w->s, key, BLOB_RESUME, offset, w->token, 0, &w->err);
	if (!a)
		fail_msg("%s", w->err.text);
	return a;
}

/* Append the bytes of `data` that belong at the writer's offset. */
static void append(struct world *w, struct blob_writer *a, size_t len)
{
	ok(w, blob_append(a, w->data + blob_offset(a), len, &w->err));
}

static void sync_it(struct world *w, struct blob_writer *a)
{
	ok(w, blob_sync(a, &w->err));
	assert_true(str_copy(w->token, sizeof(w->token), blob_token(a)));
}

/* The object is the first ${len} bytes of `data`. */
static void assert_data(struct world *w, const char *key, size_t len)
{
	struct blob_stat st;
	unsigned char *got = mem_alloc(len + 1);
	ok(w, blob_stat(w->s, key, &st, &w->err));
	assert_int_equal(st.size, len);
	assert_int_equal(blob_read(w->s, key, 0, got, len + 1, &w->err), len);
	assert_memory_equal(got, w->data, len);
	free(got);
}

static size_t blocks_of(struct world *w, const char *key)
{
	struct blob_azure_blocks b;
	char etag[BLOB_AZURE_ETAG_SIZE];
	uint64_t bytes;
	blob_azure_blocks_init(&b);
	int rc = blob_azure_blocks_get(
		(struct blob_azure_store *)w->s, key, 0, &b, etag, &bytes, &w->err);
	assert_int_equal(rc, 1);
	assert_int_equal(b.bytes, bytes);
	size_t n = b.n;
	blob_azure_blocks_free(&b);
	return n;
}

static void many_small_writers_make_few_blocks(void **state)
{
	struct world *w = *state;
	size_t total = 0;
	for (size_t i = 0; i < 90; i++) {
		struct blob_writer *a = begin(w, "k", total);
		append(w, a, 1900);
		sync_it(w, a);
		append(w, a, 100);
		sync_it(w, a);
		blob_end(a);
		total += 2000;
		struct blob_azure_token t;
		assert_int_equal(blob_azure_token_read(w->token, &t), 0);
		assert_int_equal(t.bytes, total);
		assert_int_equal(t.blocks, (total + BLOCK - 1) / BLOCK);
	}
	ok(w, blob_commit(begin(w, "k", total), NULL, &w->err));
	assert_int_equal(blocks_of(w, "k"), 3);
	assert_data(w, "k", total);
}

static void one_writer_may_sync_often(void **state)
{
	struct world *w = *state;
	static const size_t pieces[] = {
		1, BLOCK - 1, 1, 5, BLOCK, BLOCK, 7 * BLOCK + 9, BLOCK - 15};
	struct blob_writer *a = begin(w, "k", 0);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		append(w, a, pieces[i]);
		sync_it(w, a);
		assert_data(w, "k", (size_t)blob_offset(a));
		sync_it(w, a);
	}
	size_t total = (size_t)blob_offset(a);
	assert_int_equal(total % BLOCK, 0);
	ok(w, blob_commit(a, NULL, &w->err));
	assert_data(w, "k", total);
	assert_int_equal(blocks_of(w, "k"), total / BLOCK);
}

static void what_is_committed_costs_no_second_commit(void **state)
{
	struct world *w = *state;
	struct blob_stat before, after;
	struct blob_writer *a = begin(w, "k", 0);
	append(w, a, BLOCK + 77);
	sync_it(w, a);
	ok(w, blob_stat(w->s, "k", &before, &w->err));
	sync_it(w, a);
	ok(w, blob_commit(a, NULL, &w->err));
	ok(w, blob_commit(begin(w, "k", BLOCK + 77), NULL, &w->err));
	ok(w, blob_stat(w->s, "k", &after, &w->err));
	assert_string_equal(before.etag, after.etag);
}

static void assert_overtaken(struct world *w, struct blob_writer *a)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(blob_sync(a, &w->err), -1);
		assert_int_equal(w->err.code, ERR_CONFLICT);
		assert_non_null(strstr(w->err.text, "another writer has gone on with it"));
	}
	assert_int_equal(blob_append(a, "x", 1, &w->err), -1);
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_CONFLICT);
}

static void a_stale_writer_fails_loudly(void **state)
{
	struct world *w = *state;
	static const size_t ends[] = {BLOCK / 2, 3 * BLOCK};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char key[8];
		snprintf(key, sizeof(key), "k%zu", i);
		w->token[0] = '\0';
		struct blob_writer *stale = begin(w, key, 0);
		struct blob_writer *fresh = begin(w, key, 0);
		ok(w, blob_append(stale, "stale", 5, &w->err));
		append(w, fresh, ends[i]);
		sync_it(w, fresh);
		assert_overtaken(w, stale);
		blob_end(fresh);

		stale = begin(w, key, ends[i]);
		ok(w, blob_append(stale, "stale", 5, &w->err));
		fresh = begin(w, key, ends[i]);
		append(w, fresh, 2 * BLOCK + 3);
		sync_it(w, fresh);
		assert_overtaken(w, stale);
		append(w, fresh, 1);
		ok(w, blob_commit(fresh, NULL, &w->err));
		assert_data(w, key, ends[i] + 2 * BLOCK + 4);
	}
}

static void the_surplus_of_a_lost_commit_is_cut(void **state)
{
	struct world *w = *state;
	static const size_t offsets[] = {1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 10};
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		char key[8];
		char old[256];
		snprintf(key, sizeof(key), "k%zu", i);
		w->token[0] = '\0';
		struct blob_writer *a = begin(w, key, 0);
		append(w, a, offsets[i]);
		sync_it(w, a);
		memcpy(old, w->token, sizeof(old));
		/* These never become known to anybody. */
		unsigned char *junk = mem_zalloc(3 * BLOCK);
		ok(w, blob_append(a, junk, 3 * BLOCK, &w->err));
		free(junk);
		sync_it(w, a);
		blob_end(a);

		memcpy(w->token, old, sizeof(old));
		blob_end(begin(w, key, offsets[i]));
		/* Nothing is added: the commit alone cuts. */
		if (i % 2)
			ok(w, blob_commit(begin(w, key, offsets[i]), NULL, &w->err));
		a = begin(w, key, offsets[i]);
		append(w, a, BLOCK + 5);
		ok(w, blob_commit(a, NULL, &w->err));
		assert_data(w, key, offsets[i] + BLOCK + 5);
	}
}

static void an_upload_may_begin_anew(void **state)
{
	struct world *w = *state;
	struct blob_writer *a = begin(w, "k", 0);
	append(w, a, 2 * BLOCK + 5);
	sync_it(w, a);
	blob_end(a);
	w->token[0] = '\0';
	ok(w, blob_commit(begin(w, "k", 0), NULL, &w->err));
	assert_data(w, "k", 0);
	a = begin(w, "k", 0);
	append(w, a, 9);
	ok(w, blob_commit(a, NULL, &w->err));
	assert_data(w, "k", 9);
	a = blob_begin(w->s, "empty", BLOB_RESUME, 0, NULL, 0, &w->err);
	ok(w, blob_commit(a, NULL, &w->err));
	assert_data(w, "empty", 0);
}

static void blocks_of_a_dead_writer_are_not_in_the_way(void **state)
{
	struct world *w = *state;
	struct blob_writer *dead = begin(w, "k", 0);
	append(w, dead, 3 * BLOCK + 1);
	blob_end(dead); /* three blocks were sent, none committed */
	struct blob_writer *a = begin(w, "k", 0);
	append(w, a, 2 * BLOCK);
	sync_it(w, a);
	blob_end(a);
	a = begin(w, "k", 2 * BLOCK);
	append(w, a, 10);
	ok(w, blob_commit(a, NULL, &w->err));
	assert_data(w, "k", 2 * BLOCK + 10);
}

static void fewer_bytes_than_the_token_tells_are_corrupt(void **state)
{
	struct world *w = *state;
	struct blob_writer *a = begin(w, "k", 0);
	append(w, a, 10);
	sync_it(w, a);
	blob_end(a);
	assert_null(blob_begin(w->s, "k", BLOB_RESUME, 11, w->token, 0, &w->err));
	assert_int_equal(w->err.code, ERR_CORRUPT);
	ok(w, blob_del(w->s, "k", w->token, &w->err));
	assert_null(blob_begin(w->s, "k", BLOB_RESUME, 10, w->token, 0, &w->err));
	assert_int_equal(w->err.code, ERR_CORRUPT);
}

static void staged_blocks_become_one_object(void **state)
{
	struct world *w = *state;
	static const size_t sizes[] = {BLOCK - 1, BLOCK, BLOCK + 1, 9 * BLOCK + 100};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char key[8];
		struct blob_stat st;
		snprintf(key, sizeof(key), "k%zu", i);
		for (int again = 0; again < 2; again++) {
			struct blob_writer *a =
				blob_begin(w->s, key, BLOB_STAGE, 0, NULL, sizes[i], &w->err);
			assert_non_null(a);
			append(w, a, sizes[i]);
			if (!again) {
				assert_int_equal(blob_stat(w->s, key, &st, &w->err), -1);
				ok(w, blob_commit(a, NULL, &w->err));
			} else {
				assert_int_equal(blob_commit(a, NULL, &w->err), -1);
				assert_int_equal(w->err.code, ERR_EXISTS);
			}
			assert_data(w, key, sizes[i]);
		}
	}
}

static void keys_of_all_shapes_are_listed(void **state)
{
	struct world *w = *state;
	static const char *const keys[] = {"a b+c=d%20e", "'\"&<>", ".hidden/.x", "...",
		"\xc3\xa4/\xe2\x82\xac \xf0\x9f\x98\x80", "q?x=1&y#z", "%2e%2e",
		"~!*()@:;,$[]{}|^`"};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct blob_writer *a = blob_begin(w->s, keys[i], BLOB_STAGE, 0, NULL, 0, &w->err);
		append(w, a, i + 1);
		ok(w, blob_commit(a, NULL, &w->err));
		assert_data(w, keys[i], i + 1);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		ok(w, blob_del(w->s, keys[i], NULL, &w->err));
		ok(w, blob_del(w->s, keys[i], NULL, &w->err));
	}
}

struct seen {
	size_t n;
	const char *const *keys;
	size_t nkeys;
	struct world *w;
};

static int see(void *arg, const char *key, const struct blob_stat *st)
{
	struct seen *seen = arg;
	struct blob_stat alone;
	seen->n++;
	if (seen->n > 1)
		return 0;
	/* A listing tells the same as a look at the object. */
	ok(seen->w, blob_stat(seen->w->s, key, &alone, &seen->w->err));
	assert_memory_equal(st, &alone, sizeof(alone));
	return 0;
}

static void listings_go_over_many_pages(void **state)
{
	struct world *w = *state;
	char key[32];
	struct seen seen = {.w = w};
	for (int i = 0; i < 1003; i++) {
		snprintf(key, sizeof(key), "many/%04d", i);
		struct blob_writer *a = blob_begin(w->s, key, BLOB_STAGE, 0, NULL, 0, &w->err);
		append(w, a, 3);
		ok(w, blob_commit(a, NULL, &w->err));
	}
	ok(w, blob_list(w->s, "many", see, &seen, &w->err));
	assert_int_equal(seen.n, 1003);
}

static void assert_header(struct world *w, const char *key, const char *name, const char *value)
{
	struct blob_azure_call c;
	blob_azure_call_init(&c, (struct blob_azure_store *)w->s, "HEAD", key, NULL);
	ok(w, blob_azure_call_send(&c, &w->err));
	const char *got = net_headers_get(&c.a.headers, name);
	if (!str_eq(got, value))
		fail_msg("%s of %s: %s", name, key, got ? got : "none");
	blob_azure_call_free(&c);
}

static void metadata_travels_with_every_kind_of_commit(void **state)
{
	struct world *w = *state;
	static const char *const keys[] = {"sender-id", "r\xc3\xa9gion", "note"};
	static const char *const values[] = {"x", "\xc3\xa9", " a  b=c; d "};
	struct buf left_out;
	buf_init(&left_out, 64);
	struct blob_meta meta = {.keys = keys, .values = values, .n = 3, .left_out = &left_out};
	static const char *const made[] = {"one", "blocks", "resumed", "again", "copy"};
	struct blob_writer *a = blob_begin(w->s, "one", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, a, 5);
	ok(w, blob_commit(a, &meta, &w->err));
	a = blob_begin(w->s, "blocks", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, a, 2 * BLOCK + 5);
	ok(w, blob_commit(a, &meta, &w->err));
	a = begin(w, "resumed", 0);
	append(w, a, 5);
	ok(w, blob_commit(a, &meta, &w->err));
	a = begin(w, "again", 0);
	append(w, a, 5);
	sync_it(w, a);
	ok(w, blob_commit(a, &meta, &w->err));
	struct blob_source src = {w->s, "blocks", 2 * BLOCK + 5};
	ok(w, blob_copy_from(w->s, "copy", &src, 1, &meta, NULL, NULL, &w->err));
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		assert_header(w, made[i], "x-ms-meta-sender_x2D_id", "x");
		assert_header(w, made[i], "x-ms-meta-r_xC3__xA9_gion", "%C3%A9");
		assert_header(w, made[i], "x-ms-meta-note", "%20a %20b=c; d%20");
	}
	assert_string_equal(buf_str(&left_out), "");
	buf_free(&left_out);
	/* Nothing went through us. */
	assert_header(w, "copy", "x-ms-copy-status", "success");
	assert_data(w, "copy", 2 * BLOCK + 5);
	assert_int_equal(blob_copy_from(w->s, "copy", &src, 1, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
}

static void a_missing_container_is_made_where_it_may_be(void **state)
{
	struct world *w = *state;
	char name[64];
	struct blob_stat st;
	struct seen seen = {.w = w};
	azure_world_name(name, "made");
	struct azure_world_options o = {.container = name, .part_size = "64KiB"};
	struct blob_store *s = azure_world_open("missing", &o, &w->err);
	assert_non_null(s);
	assert_int_equal(blob_stat(s, "k", &st, &w->err), -1);
	/* The answer to a HEAD names the error in a field, which some servers leave out. */
	assert_int_equal(blob_list(s, "", see, &seen, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(w->err.text, name));
	assert_int_equal(blob_probe(s, true, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	struct blob_writer *a = blob_begin(s, "k", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, a, 5);
	assert_int_equal(blob_commit(a, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	blob_close(s);

	o.create = true;
	s = azure_world_open("made", &o, &w->err);
	assert_non_null(s);
	ok(w, blob_probe(s, true, &w->err));
	assert_int_equal(blob_stat(s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	ok(w, blob_list(s, "", see, &seen, &w->err));
	ok(w, blob_del(s, "k", NULL, &w->err));
	a = blob_begin(s, "k", BLOB_STAGE, 0, NULL, 0, &w->err);
	append(w, a, 3 * BLOCK);
	ok(w, blob_commit(a, NULL, &w->err));
	ok(w, blob_stat(s, "k", &st, &w->err));
	assert_int_equal(st.size, 3 * BLOCK);
	blob_close(s);
}

static void copies_go_from_container_to_container(void **state)
{
	struct world *w = *state;
	char name[64];
	azure_world_name(name, "other");
	struct azure_world_options o = {.container = name, .folder = "in/side", .create = true};
	struct blob_store *other = azure_world_open("other", &o, &w->err);
	assert_non_null(other);
	struct blob_writer *a = begin(w, "a b+%/\xc3\xa4", 0);
	append(w, a, 2 * BLOCK + 5);
	ok(w, blob_commit(a, NULL, &w->err));
	struct blob_source src = {w->s, "a b+%/\xc3\xa4", 2 * BLOCK + 5};
	ok(w, blob_copy_from(other, "copy +", &src, 1, NULL, NULL, NULL, &w->err));
	struct blob_store *first = w->s;
	w->s = other;
	assert_header(w, "copy +", "x-ms-copy-status", "success");
	assert_data(w, "copy +", 2 * BLOCK + 5);
	w->s = first;
	src.key = "missing";
	assert_int_equal(blob_copy_from(other, "none", &src, 1, NULL, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	blob_close(other);
}

static void a_wrong_key_is_denied_and_not_shown(void **state)
{
	struct world *w = *state;
	struct azure_world_options o = {.key = "d3JvbmctYW5kLXNlY3JldA=="};
	struct blob_stat st;
	char c;
	struct blob_store *s = azure_world_open("wrong", &o, &w->err);
	assert_non_null(s);
	assert_int_equal(blob_stat(s, "k", &st, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_int_equal(blob_read(s, "k", 0, &c, 1, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	assert_non_null(strstr(w->err.text, "403"));
	assert_null(strstr(w->err.text, "d3Jvbmct"));
	assert_int_equal(blob_probe(s, false, &w->err), -1);
	assert_int_equal(w->err.code, ERR_DENIED);
	blob_close(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(many_small_writers_make_few_blocks),
		TEST(one_writer_may_sync_often),
		TEST(what_is_committed_costs_no_second_commit),
		TEST(a_stale_writer_fails_loudly),
		TEST(the_surplus_of_a_lost_commit_is_cut),
		TEST(an_upload_may_begin_anew),
		TEST(blocks_of_a_dead_writer_are_not_in_the_way),
		TEST(fewer_bytes_than_the_token_tells_are_corrupt),
		TEST(staged_blocks_become_one_object),
		TEST(keys_of_all_shapes_are_listed),
		TEST(listings_go_over_many_pages),
		TEST(metadata_travels_with_every_kind_of_commit),
		TEST(a_missing_container_is_made_where_it_may_be),
		TEST(copies_go_from_container_to_container),
		TEST(a_wrong_key_is_denied_and_not_shown),
	};
	/* There is no such service here. */
	if (!azure_world_there())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
