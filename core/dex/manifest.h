/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_MANIFEST_H
#define DEX_DEX_MANIFEST_H

#include "core/base/buf.h"
#include "core/base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sender manifests: what a sender says of its file, checked against the configuration of its data
 * stream (configuration files: manifest_config.h). A manifest is a JSON object of strings.
 */

struct err;
struct manifest_config;
struct manifest_configs;

/* Texts in the order in which they are told; freed with manifest_errors_free. */
struct manifest_errors {
	char **items;
	size_t n;
};
void manifest_errors_free(struct manifest_errors *e);

struct manifest_check {
	json_t *manifest; /* the manifest as it was accepted or rejected, incl. hydration; owned */
	struct manifest_errors errors; /* empty: accepted */
	json_t *hydrated; /* object of the fields filled from v1 keys, NULL when none; owned */
};
void manifest_check_free(struct manifest_check *c);

/*
 * Check ${manifest} (object of strings, borrowed, not changed) for an upload ${id} begun at ${now}:
 * choose the configuration, hydrate a v1 manifest, check every field, and add `upload_id` and
 * `dex_ingest_datetime` to the result (both overwrite what the client sent; also on rejection).
 * Returns 0 with ${out} filled (accepted or not), or -1 when the configurations cannot be read
 * (ERR_UNAVAILABLE). Safe from any thread.
 */
int manifest_check(struct manifest_configs *configs, const json_t *manifest, const char *id,
	int64_t now, struct manifest_check *out, struct err *err);

/*
 * The configuration that manifest_check would choose for a manifest of this v2 pair (each may be
 * NULL): 1 and ${out} (give back with manifest_config_unref); 0 where there is none, and ${errors}
 * says so in manifest_check's words; -1 + ${err} when the configurations cannot be read. The caller
 * frees ${errors} in every case.
 */
int manifest_find(struct manifest_configs *configs, const char *id, const char *route,
	const struct manifest_config **out, struct manifest_errors *errors, struct err *err);

/* Whether a manifest field of that name holds the file's name. */
bool manifest_is_filename(const char *field);
/* First present of filename, original_filename, meta_ext_filename, received_filename; "" when none.
 */
const char *manifest_filename(const json_t *manifest);
/* v2 pair (data_stream_id/_route) or, where absent, the v1 pair; "" when neither is there. */
const char *manifest_stream_id(const json_t *manifest);
const char *manifest_stream_route(const json_t *manifest);

#endif
