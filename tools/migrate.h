/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_MIGRATE_H
#define DEX_TOOLS_MIGRATE_H

#include "core/app.h"

/*
 * dex-deliver --migrate-state: move the state from one place to another, as app_state_open_named
 * knows them, and tell on standard output what was moved. 0 or -1.
 */
int migrate_state(const struct config *c, const struct app_backends *b, const char *from,
	const char *to, bool dry_run, struct err *err);

#endif
