/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: template, newline, file name. Whatever both are, a path that comes out is a valid key
 * whose every segment a file system takes.
 */
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/dex/path_template.h"
#include "core/store/blob.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ID "6b18cf8a-0d49-4a6e-9d0a-1f2e3d4c5b6a"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
	if (!blob_key_valid(path))
		abort();
	for (const char *seg = path; seg; seg = strchr(seg, '/')) {
		seg += *seg == '/';
		if (strcspn(seg, "/") > 255)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_strndup((const char *)data, size);
	char *newline = strchr(text, '\n');
	struct err err;
	if (newline)
		*newline = '\0';
	struct path_template *t = path_template_compile(text, &err);
	if (t) {
		struct path_template_values v = {
			.ingest_time = INT64_C(1767323045123456),
			.upload_id = ID,
			.filename = newline ? newline + 1 : "",
			.data_stream_id = "stream",
			.data_stream_route = "route",
		};
		struct buf path;
		struct buf with_id;
		buf_init(&path, BLOB_KEY_MAX);
		buf_init(&with_id, BLOB_KEY_MAX);
		if (path_template_expand(t, &v, &path, &err) == 0) {
			check_path(buf_str(&path));
			if (path_template_with_id(buf_str(&path), ID, &with_id) == 0)
				check_path(buf_str(&with_id));
		}
		buf_free(&path);
		buf_free(&with_id);
	}
	path_template_free(t);
	free(text);
	return 0;
}
