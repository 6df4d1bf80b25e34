/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_HEALTH_URI_H
#define DEX_FCGI_HEALTH_URI_H

#include "core/config.h"

/* A service that /health only asks how it is: the Processing Status API. */

struct err;

/*
 * GET PROCESSING_STATUS_HEALTH_URI, within two seconds. 0: it answers 2xx, and where that is a JSON
 * object whose `status` is a text, the text is "UP". A redirect is not followed: it is no answer.
 */
int health_uri_ask(const struct config *c, struct err *err);

#endif
