/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TOOLS_RECOVER_H
#define DEX_TOOLS_RECOVER_H

#include <stdbool.h>

struct app;
struct err;

/*
 * dex-deliver --recover: register uploads again whose data and description are in storage and of
 * which the state knows nothing. Tells counts on standard output. Safe to run again, and beside
 * everything else. 0 or -1.
 */
int recover_uploads(struct app *a, bool dry_run, struct err *err);

#endif
