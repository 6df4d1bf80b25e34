/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of uploads beside their data: what is written is read, what is damaged is refused.
 */
#include "core/store/sidecar.h"

#include "backends/registry.h"
#include "core/base/err.h"
#include "core/store/blob.h"
#include "core/store/state.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0f00aaaa-1111-4222-8333-444455556666"
#define KEY "p/0f/" ID

struct world {
	char *dir;
	struct blob_store *s;
	struct err err;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	w->dir = scratch_make();
	const struct blob_option opts[] = {{"path", w->dir}, {"durable", "false"}};
	w->s = blob_open(registry_find_blob("file"), "x", opts, 2, true, &w->err);
	*state = w;
	return w->s ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	blob_close(w->s);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

static void put(struct world *w, const char *text)
{
	struct blob_writer *b = blob_begin(w->s, KEY ".info", BLOB_STAGE, 0, NULL, 0, &w->err);
	assert_non_null(b);
	assert_int_equal(blob_append(b, text, strlen(text), &w->err), 0);
	assert_int_equal(blob_commit(b, NULL, &w->err), 0);
}

static void test_what_is_written_is_read(void **state)
{
	struct world *w = *state;
	struct upload out;
	struct upload u = {
		.id = ID,
		.kind = UPLOAD_FINAL,
		.length = INT64_C(5) << 40,
		.created_at = 1234567890123456,
		.metadata = (char[]){"a YQ==,b"},
		.manifest = (char[]){"{\"x\":\"\\u00fc\\\"\"}"},
		.concat = (char[]){"final;/files/x /files/y"},
	};

	assert_int_equal(sidecar_read(w->s, KEY, ID, &out, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
	assert_int_equal(sidecar_write(w->s, KEY, &u, &w->err), 0);
	assert_int_equal(sidecar_write(w->s, KEY, &u, &w->err), -1);
	assert_int_equal(w->err.code, ERR_EXISTS);
	assert_int_equal(sidecar_read(w->s, KEY, ID, &out, &w->err), 0);
	assert_string_equal(out.id, ID);
	assert_int_equal(out.kind, UPLOAD_FINAL);
	assert_int_equal(out.status, UPLOAD_OPEN);
	assert_true(out.length == u.length && out.offset == 0);
	assert_true(out.created_at == u.created_at && out.touched_at == u.created_at);
	assert_string_equal(out.metadata, u.metadata);
	assert_string_equal(out.manifest, u.manifest);
	assert_string_equal(out.concat, u.concat);
	assert_null(out.owner);
	assert_string_equal(out.token, "");
	upload_free(&out);
	assert_int_equal(sidecar_del(w->s, KEY, &w->err), 0);
	assert_int_equal(sidecar_del(w->s, KEY, &w->err), 0);
	assert_int_equal(sidecar_read(w->s, KEY, ID, &out, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NOT_FOUND);
}

static void test_what_is_damaged_is_refused(void **state)
{
	struct world *w = *state;
	static const char *const bad[] = {
		"{",
		"{}",
		"{\"version\":2,\"id\":\"" ID "\",\"kind\":0,\"length\":1,\"created_at\":1}",
		"{\"version\":1,\"id\":\"" ID "\",\"kind\":3,\"length\":1,\"created_at\":1}",
		"{\"version\":1,\"id\":\"" ID "\",\"kind\":0,\"length\":-2,\"created_at\":1}",
		"{\"version\":1,\"id\":\"" ID "\",\"kind\":0,\"length\":\"1\",\"created_at\":1}",
		"{\"version\":1,\"id\":\"" ID "\",\"kind\":0,\"length\":1}",
		"{\"version\":1,\"id\":\"1f00aaaa-1111-4222-8333-444455556666\",\"kind\":0,"
		"\"length\":1,\"created_at\":1}",
	};
	struct upload out;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(w, bad[i]);
		assert_int_equal(sidecar_read(w->s, KEY, ID, &out, &w->err), -1);
		assert_int_equal(w->err.code, ERR_CORRUPT);
		upload_free(&out);
		assert_int_equal(sidecar_del(w->s, KEY, &w->err), 0);
	}
	put(w, "{\"version\":1,\"id\":\"" ID "\",\"kind\":0,\"length\":-1,\"created_at\":1}");
	assert_int_equal(sidecar_read(w->s, KEY, ID, &out, &w->err), 0);
	assert_true(out.length == UPLOAD_LENGTH_UNKNOWN);
	upload_free(&out);
}

static void test_names(void **state)
{
	char id[UUID_SIZE];
	(void)state;
	assert_true(sidecar_is(KEY ".info", id));
	assert_string_equal(id, ID);
	assert_true(sidecar_is(ID ".info", id));
	assert_false(sidecar_is(KEY, id));
	assert_false(sidecar_is(KEY ".inf", id));
	assert_false(sidecar_is("p/0f/x" ID ".info", id));
	assert_false(sidecar_is("p/0f/0f00aaaa-1111-4222-8333-44445555666.xinfo", id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_written_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_damaged_is_refused, setup, teardown),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
