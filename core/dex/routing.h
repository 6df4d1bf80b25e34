/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_ROUTING_H
#define DEX_DEX_ROUTING_H

#include "core/base/json.h"
#include "core/dex/path_template.h"

#include <stddef.h>

/*
 * The delivery configuration (YAML): targets, and which streams go to which of them. Both
 * spellings, routing_groups and the older programs, are read. Immutable once loaded.
 */

struct blob_backend;
struct err;

struct routing_option { /* one option of a target, key as in its backend's option table */
	char *key;
	char *value;
};
struct routing_target {
	char *name;
	const struct blob_backend *backend;
	struct routing_option *options;
	size_t noptions;
	size_t line; /* where it is defined */
};
struct routing_entry { /* one target of one stream */
	const struct routing_target *target;
	struct path_template *path_template;
};
struct routing_group {
	char *data_stream_id;    /* lower case */
	char *data_stream_route; /* lower case */
	struct routing_entry *entries;
	size_t nentries;
};
struct routing {
	struct routing_target *targets;
	size_t ntargets;
	struct routing_group *groups;
	size_t ngroups;
};

/*
 * Read ${file}. $NAME references are replaced first (${lookup}); unknown keys, types (not in the
 * NULL-terminated ${backends}), placeholders, undefined or doubled names and missing required
 * options are errors "FILE:LINE: …" that name the key. NULL + ${err}.
 */
struct routing *routing_load(const char *file, const struct blob_backend *const *backends,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct err *err);
/* The same for text in memory; ${file} is what errors call it. */
struct routing *routing_parse(const char *file, const char *text, size_t len,
	const struct blob_backend *const *backends,
	const char *(*lookup)(void *arg, const char *name), void *arg, struct err *err);
void routing_free(struct routing *r); /* NULL is fine */

const struct routing_target *routing_find_target(const struct routing *r, const char *name);
/* Group of a stream, names compared in lower case; NULL when it is routed nowhere. */
const struct routing_group *routing_find_group(
	const struct routing *r, const char *data_stream_id, const char *data_stream_route);
/* Group of a manifest: the v2 pair, then the v1 pair (meta_destination_id / meta_ext_event). */
const struct routing_group *routing_of_manifest(const struct routing *r, const json_t *manifest);
/* Entry of ${target} in ${g}, or NULL. */
const struct routing_entry *routing_entry_of(const struct routing_group *g, const char *target);

#endif
