/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_STATE_KV_H
#define DEX_TEST_STATE_KV_H

#include "core/store/state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A state store in memory that has small shared values only. It can be out of reach. */

struct state *state_kv_new(void); /* for state_close */
/* From now on every call fails with ERR_UNAVAILABLE, or works again. */
void state_kv_away(struct state *s, bool away);
/* Forget what begins with ${prefix}, as if its time were over. Returns how much that was. */
size_t state_kv_forget(struct state *s, const char *prefix);
/* Values that begin with ${prefix}; the last one's end of life into ${expires_at} (or NULL). */
size_t state_kv_count(struct state *s, const char *prefix, int64_t *expires_at);
/* A name or value has ${text} in it. */
bool state_kv_has(struct state *s, const char *text);
size_t state_kv_writes(struct state *s); /* so far */

#endif
