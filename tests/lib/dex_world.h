/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_DEX_WORLD_H
#define DEX_TEST_DEX_WORLD_H

#include "core/app.h"
#include "core/base/err.h"
#include "core/store/state.h"

#include <stddef.h>
#include <stdint.h>

/*
 * A whole installation in a directory of its own: SQLite state, file storage, two file targets
 * "one" and "two". Stream "stream"/"plain" goes to target one under the file's name,
 * "stream"/"both" to both, under the file's name and under the upload's id. Streams named otherwise
 * are routed nowhere.
 */
struct dex_world {
	char *dir;
	struct config *config;
	struct app app;
	struct err err;
};

/* ${settings}: further "NAME=value" lines, or NULL. A failure fails the test. */
struct dex_world *dex_world_new(const char *settings);
void dex_world_free(struct dex_world *w);
/* Close everything, as before a fork; dex_world_reopen opens it again, as after a restart. */
void dex_world_close(struct dex_world *w);
void dex_world_reopen(struct dex_world *w);

/* Open upload of ${length} bytes; ${id_out} receives its id. */
void dex_world_upload(struct dex_world *w, const char *route, const char *filename, int64_t length,
	char id_out[UUID_SIZE]);
/* Put ${text} into upload storage as the data of ${id}. */
void dex_world_store(struct dex_world *w, const char *id, const char *text);
/* Complete ${id} as the last byte would: its deliveries become pending. */
void dex_world_complete(struct dex_world *w, const char *id);
/* The three together. */
void dex_world_finished(struct dex_world *w, const char *route, const char *filename,
	const char *text, char id_out[UUID_SIZE]);

/* DIR/${fmt}… as text, at most 64 KiB, malloc'ed; NULL when there is no such file. */
char *dex_world_read(const struct dex_world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Regular files below DIR/${path}, 0 where nothing is. */
size_t dex_world_files(const struct dex_world *w, const char *path);
/* The delivery of ${id} to ${target}; free with delivery_free. It must exist. */
struct delivery dex_world_delivery(struct dex_world *w, const char *id, const char *target);

#endif
