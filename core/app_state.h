/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_APP_STATE_H
#define DEX_APP_STATE_H

#include "core/app.h"

/*
 * Where state and locks are kept, as the backends say: in the first backend of the registry whose
 * variable is set, else in files at DEX_STATE_DB and beside it. What the variable holds may be
 * secret, so it stands in no error.
 */

/* Both, or -1 + ${err} that names the variable at fault. Makes no connection. */
int app_state_open(const struct config *c, const struct app_backends *b, struct state **state,
	struct lock_service **locks, struct err *err);
/* It lies in a service of its own, not in a file: it can be lost while the uploads are not. */
bool app_state_is_apart(const struct config *c, const struct app_backends *b);
/*
 * The state alone, from a place that a person names: "TYPE:PATH" for a backend without a variable
 * ("sqlite:/srv/state.db"), "TYPE" for one with ("redis", where its variable says).
 */
struct state *app_state_open_named(
	const struct config *c, const struct app_backends *b, const char *place, struct err *err);
/*
 * A backend that a variable selects: what is wrong with its settings as lines in ${problems};
 * where ${warnings} is not NULL it is connected to, and what it warns of, or that it does not
 * answer, is told there. Does nothing for files.
 */
void app_state_check(const struct config *c, const struct app_backends *b, struct buf *problems,
	struct buf *warnings);

#endif
