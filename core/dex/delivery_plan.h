/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_DELIVERY_PLAN_H
#define DEX_DEX_DELIVERY_PLAN_H

#include "core/base/buf.h"
#include "core/base/json.h"

#include <stddef.h>

/* Where an upload goes: its manifest, the target, and the name it is to have there. */

struct app;
struct err;
struct upload;

struct delivery_plan {
	json_t *manifest; /* never NULL after success */
	size_t target;    /* index in app->routing->targets */
	struct buf key;   /* the resolved path template */
};

/*
 * Work out the delivery of ${u} to ${target}. Failures: ERR_NOT_FOUND when the target is not
 * configured (any more) for this stream; ERR_INVALID, which no repetition helps, when the path
 * would leave the target. Writes nothing. Free with delivery_plan_free, also after a failure.
 */
int delivery_plan_make(struct app *a, const struct upload *u, const char *target,
	struct delivery_plan *out, struct err *err);
/* The same where the manifest is at hand (borrowed; NULL means an empty one). */
int delivery_plan_from(struct app *a, const struct upload *u, json_t *manifest, const char *target,
	struct delivery_plan *out, struct err *err);
void delivery_plan_free(struct delivery_plan *p);

/* The manifest of ${u} as JSON, an empty object where it has none; NULL + ERR_CORRUPT. */
json_t *delivery_plan_manifest(const struct upload *u, struct err *err);
/* Where the data of upload ${id} lie in upload storage, as people find them. */
int delivery_plan_source(struct app *a, const char *id, struct buf *url);

#endif
