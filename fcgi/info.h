/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_INFO_H
#define DEX_FCGI_INFO_H

#include "core/base/json.h"
#include "core/store/state.h"

struct app;
struct err;

/*
 * What GET /info/{id} tells of an upload: manifest, size, status, deliveries. STATE_OK and ${out}
 * (the caller decrefs); STATE_NOT_FOUND also for one that has been removed; STATE_ERROR.
 */
enum state_result info_describe(struct app *a, const char *id, json_t **out, struct err *err);

#endif
