/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the text of a delivery configuration. What is accepted must hang together. */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/store/blob_impl.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct blob_option_spec options[] = {
	{"path", NULL, BLOB_OPT_REQUIRED, ""}, {"durable", NULL, 0, ""}, {NULL, NULL, 0, NULL}};
static const struct blob_backend file = {.type = "file", .options = options};
static const struct blob_backend *const backends[] = {&file, NULL};

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	return str_eq(name, "DIR") ? "/dir" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct routing *r =
		routing_parse("fuzz.yml", (const char *)data, size, backends, lookup, NULL, &err);
	if (!r && !str_starts(err.text, "fuzz.yml:"))
		abort();
	for (size_t i = 0; r && i < r->ngroups; i++) {
		const struct routing_group *g = &r->groups[i];
		if (routing_find_group(r, g->data_stream_id, g->data_stream_route) != g)
			abort();
		for (size_t j = 0; j < g->nentries; j++) {
			const struct routing_target *t = g->entries[j].target;
			if (!g->entries[j].path_template || routing_find_target(r, t->name) != t ||
				t->noptions == 0 || strlen(t->options[0].key) == 0)
				abort();
		}
	}
	routing_free(r);
	return 0;
}
