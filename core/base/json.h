/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BASE_JSON_H
#define DEX_BASE_JSON_H

#include "core/base/buf.h"

#include <jansson.h>
#include <stddef.h>

/*
 * JSON through jansson. This header is where the project includes it; callers use json_t as it is,
 * and these for parsing and writing, so that the limits are the same everywhere.
 */

struct err;

/* json_decref for __attribute__((cleanup)) is not used here: free by hand, goto ladder. */

/*
 * Parse a whole text of at most ${len} bytes: UTF-8, duplicate members refused, at most 64 levels,
 * top level an object. NULL + ${err} ("line 3 column 7: …") when it is not.
 */
json_t *json_parse(const char *text, size_t len, struct err *err);
/* Append compact JSON, members in insertion order. -1 on overflow of ${out}. */
int json_write(struct buf *out, const json_t *value);
/* Member as string, or NULL when absent or not a string. */
const char *json_get_str(const json_t *obj, const char *key);
/*
 * Append ${len} bytes as a JSON string with its quotes, without building a value first. What is not
 * UTF-8 becomes U+FFFD. -1 on overflow of ${out}.
 */
int json_write_string(struct buf *out, const char *s, size_t len);

#endif
