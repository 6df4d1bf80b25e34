/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_APP_SINKS_H
#define DEX_APP_SINKS_H

#include "core/app.h"

/*
 * Where reports and events go: reports to a local folder always, events where no bus takes them,
 * and both to every bus whose variable, as the backends name it, is set. Nothing here needs the
 * network.
 */

/* -1 + ${err} that names the variable at fault; what is open then is closed by notify_close. */
int app_sinks_open(
	const struct config *c, const struct app_backends *b, struct notify *n, struct err *err);
/* The buses, opened and closed again; what is wrong as lines in ${problems}. */
void app_sinks_check(const struct config *c, const struct app_backends *b, struct buf *problems);

#endif
