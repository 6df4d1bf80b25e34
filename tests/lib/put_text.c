/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/put_text.h"

#include "core/store/blob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void put_text(struct blob_store *store, const char *key, const char *text)
{
	assert_int_equal(blob_del(store, key, NULL, NULL), 0);
	if (!text)
		return;
	struct blob_writer *w = blob_begin(store, key, BLOB_STAGE, 0, NULL, 0, NULL);
	assert_non_null(w);
	assert_int_equal(blob_append(w, text, strlen(text), NULL), 0);
	assert_int_equal(blob_commit(w, NULL, NULL), 0);
}
