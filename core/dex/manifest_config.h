/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_MANIFEST_CONFIG_H
#define DEX_DEX_MANIFEST_CONFIG_H

#include "core/base/buf.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Sender manifest configurations: one JSON file per data stream, read from a blob store, cached,
 * and refreshed when their etag changes (one look every few seconds at most). A broken new version
 * is logged and the last good one stays in force.
 */

struct blob_store;
struct err;

struct manifest_field {
	char *name;
	bool required;
	char *description; /* "" when none */
	char **allowed;    /* NULL-terminated, NULL when any value goes */
	char *compat_name; /* v1 key that fills this field, NULL when none */
};

struct manifest_config {
	char *name;    /* file name, "ehdi_csv.json" */
	char *version; /* "2.0" or "1.0" */
	struct manifest_field *fields;
	size_t nfields;
	char *compat_config; /* compat_config_filename of a v1 file, NULL when none */
	atomic_uint refs;    /* manifest_config_unref; everything else never changes */
};

struct manifest_configs;

/*
 * ${store} holds the files (borrowed). ${lookup} answers $NAME in them. ${look_ms}: pause between
 * two looks at the same file (0: always look, for tests).
 */
struct manifest_configs *manifest_configs_new(struct blob_store *store,
	const char *(*lookup)(void *arg, const char *name), void *arg, int look_ms);
void manifest_configs_free(struct manifest_configs *c);

/*
 * The configuration under ${name} ("v2/ehdi_csv.json" or "ehdi_csv.json"), with a reference that
 * manifest_config_unref gives back; NULL + ERR_NOT_FOUND when there is no such file.
 */
const struct manifest_config *manifest_configs_get(
	struct manifest_configs *c, const char *name, struct err *err);
void manifest_config_unref(const struct manifest_config *mc);
/* The place has a v1/ or v2/ folder (looked at once per look interval). 1, 0 or -1. */
int manifest_configs_versioned(struct manifest_configs *c, struct err *err);
/*
 * Read and parse every configuration; problems as lines "FILE: …" in ${problems}. Returns the
 * number of good ones, -1 when the place cannot be listed. For --check-config and the upload page.
 */
int manifest_configs_check_all(struct manifest_configs *c, struct buf *problems, struct err *err);

/* A stream that has a v2 configuration. */
struct manifest_stream {
	char *id;
	char *route;
};
struct manifest_streams {
	struct manifest_stream *items; /* by id, then route */
	size_t n;
};
/*
 * The streams that a sender may choose from, at most 1,000: the pairs that the files' names and
 * their allowed values for the two keys tell; files that are broken are left out. Remembered for
 * ten look intervals, so a page may ask each time. -1 when the place cannot be listed and never
 * could be. Free with manifest_streams_free.
 */
int manifest_configs_streams(
	struct manifest_configs *c, struct manifest_streams *out, struct err *err);
void manifest_streams_free(struct manifest_streams *s);

/*
 * Parse one file's text; ${name} is what errors call it. NULL + err, else with one reference.
 * Limits: 1 MiB, 1,000 fields, 10,000 allowed values. Variables are not replaced here.
 */
struct manifest_config *manifest_config_parse(
	const char *name, const char *text, size_t len, struct err *err);

#endif
