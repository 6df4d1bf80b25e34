/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_INTAKE_H
#define DEX_DEX_INTAKE_H

#include "core/tus/hooks.h"

/*
 * The data exchange's side of an upload's life: manifest check before creation, reports, deliveries
 * at completion. Meaning of each function: core/tus/hooks.h.
 */
extern const struct upload_hooks intake_hooks;

/* Also for house-keeping: the last upload-status of an unfinished upload, FAILURE with ${why}. */
void intake_ended(struct app *a, const struct upload *u, const char *why, int64_t now,
	struct notify_batch *b);

#endif
