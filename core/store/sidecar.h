/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_SIDECAR_H
#define DEX_STORE_SIDECAR_H

#include "core/base/random.h"

#include <stdbool.h>

/*
 * A description of an upload beside its data, an object KEY.info: should the state be lost, the
 * upload can be registered again from it. It tells how the upload was made, as one JSON object:
 * "version" 1, "id", "kind", "length" (-1: not known then), "created_at" (microseconds), and where
 * there is one "metadata", "manifest", "concat", "owner". Its name is no upload's, so that nothing
 * takes it for one.
 */

struct blob_store;
struct err;
struct upload;

/* Durable, and whole or not at all. ERR_EXISTS where there is one. */
int sidecar_write(struct blob_store *s, const char *key, const struct upload *u, struct err *err);
/*
 * As it was made: open, offset 0; the caller frees it with upload_free. ERR_NOT_FOUND where there
 * is none, ERR_CORRUPT where it is not of upload ${id}.
 */
int sidecar_read(
	struct blob_store *s, const char *key, const char *id, struct upload *out, struct err *err);
int sidecar_del(struct blob_store *s, const char *key, struct err *err); /* none is fine */
/* ${key} is a sidecar's; ${id}: of its upload. */
bool sidecar_is(const char *key, char id[UUID_SIZE]);

#endif
