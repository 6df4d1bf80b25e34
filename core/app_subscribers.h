/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_APP_SUBSCRIBERS_H
#define DEX_APP_SUBSCRIBERS_H

#include "core/app.h"

/*
 * Where dex-deliver takes events from: every bus whose variable, as the backends name it, is set.
 * What such a variable holds may be secret, so it stands in no error. Nothing here needs the
 * network.
 */

/* -1 + ${err} that names the variable at fault; what is open then is closed by the second. */
int app_subscribers_open(const struct config *c, const struct app_backends *b,
	struct app_subscribers *out, struct err *err);
void app_subscribers_close(struct app_subscribers *s);
/* Opened and closed again; what is wrong as lines in ${problems}. */
void app_subscribers_check(
	const struct config *c, const struct app_backends *b, struct buf *problems);

#endif
