/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_APP_STORE_H
#define DEX_APP_STORE_H

#include "core/app.h"

struct routing_target;

/*
 * Which blob stores the settings name, as the backends' option tables say: the one with a
 * BLOB_OPT_SELECTS variable that is set holds the uploads, the one with a BLOB_OPT_CONFIGS variable
 * that is set the manifest configurations, of several the first in the registry; files where none
 * is. Nothing here needs the network.
 */

/* NULL + ${err} that names the variable at fault. */
struct blob_store *app_store_open_uploads(
	const struct config *c, const struct app_backends *b, struct err *err);
struct blob_store *app_store_open_configs(
	const struct config *c, const struct app_backends *b, struct err *err);
/* A delivery target, with what BLOB_OPT_AMBIENT and BLOB_OPT_IDENTITY variables add to it. */
struct blob_store *app_store_open_target(
	const struct config *c, const struct routing_target *t, bool create, struct err *err);
/* Stores other than files, opened and closed again; what is wrong as lines in ${problems}. */
void app_store_check(const struct config *c, const struct app_backends *b, const struct routing *r,
	struct buf *problems);

#endif
