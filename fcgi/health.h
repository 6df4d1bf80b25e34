/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_HEALTH_H
#define DEX_FCGI_HEALTH_H

#include <stdbool.h>

/*
 * Forget the probes of /health before their app is closed. False: one of them still hangs in a
 * service, and the app must not be closed under it.
 */
bool health_close(void);

#endif
