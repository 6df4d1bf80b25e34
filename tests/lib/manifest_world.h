/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_MANIFEST_WORLD_H
#define DEX_TEST_MANIFEST_WORLD_H

#include "core/base/json.h"
#include "core/dex/manifest.h"
#include "core/dex/manifest_config.h"
#include "core/store/blob.h"

#include <stddef.h>

/* Manifests held against configurations that lie in memory, and what is said of them. */

#define ID "6b18cf8a-0d49-4a6e-9d0a-1f2e3d4c5b6a"
#define NOW INT64_C(1767323045123456)
#define NOW_TEXT "2026-01-02T03:04:05.123456Z"
#define AB "\"data_stream_id\":\"a\",\"data_stream_route\":\"b\""
#define VF "validation failure"
#define NO_FILE(name) \
	"open " name ": no such file or directory", VF, "manifest validation config file not found"
/* Of a stream whose name cannot be a file's. */
#define UNSAFE "invalid_stream_name.json"

#define CONFIG(fields) "{\"metadata_config\":{\"version\":\"2.0\",\"fields\":[" fields "]}}"
#define FIELD(name) "{\"field_name\":\"" name "\",\"required\":true}"

struct manifest_world {
	struct blob_store *store;
	struct blob_store *front; /* the same, but faulty when asked to be */
	struct manifest_configs *configs;
};

/* cmocka set-up and teardown; *state is the world. */
int manifest_world_setup(void **state);
int manifest_world_teardown(void **state);
/* Forget what was read of the configurations. */
void manifest_world_anew(struct manifest_world *w);
/* Those that ship, as a world for manifest_world_check; for manifest_world_close. */
void manifest_world_open_shipped(struct manifest_world *w);
void manifest_world_close(struct manifest_world *w);

json_t *manifest_world_object(const char *text);
/* The errors are those of ${want}, which ends with NULL. */
void manifest_world_errors(
	const struct manifest_errors *e, const char *const *want, const char *what);
/* manifest_check of ${manifest}, which it leaves as it is; it has ID and NOW. */
void manifest_world_check(
	struct manifest_world *w, const char *manifest, struct manifest_check *out);

struct manifest_world_row {
	const char *manifest;
	const char *want[8]; /* errors */
};
void manifest_world_rows(struct manifest_world *w, const struct manifest_world_row *rows, size_t n);

#endif
