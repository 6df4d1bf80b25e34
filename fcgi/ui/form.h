/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_FORM_H
#define DEX_FCGI_UI_FORM_H

#include "core/base/json.h"
#include "fcgi/http.h"

#include <stddef.h>

/*
 * Bodies of type application/x-www-form-urlencoded
 * (https://url.spec.whatwg.org/#application/x-www-form-urlencoded), read strictly: what no browser
 * sends is an error, not a guess.
 */

struct err;

#define FORM_TYPE "application/x-www-form-urlencoded"
#define FORM_MAX (size_t)(64 * 1024) /* bytes of a body */
#define FORM_FIELDS_MAX 1100         /* a configuration may have 1,000 */

/*
 * Parse into a JSON object of strings in their order (caller decrefs). NULL + ERR_INVALID: a
 * malformed escape, what is not UTF-8, a NUL, an empty or repeated name, a pair without '='.
 */
json_t *form_parse(const char *text, size_t len, struct err *err);
/* The form that is the body of ${r}, as form_parse; NULL: none, and ${status} says in what way. */
json_t *form_read(struct http_request *r, int *status);

#endif
