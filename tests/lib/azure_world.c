/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/azure_world.h"

#include "backends/registry.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE "DEX_TEST_AZURE"
#define FIELDS 4

bool azure_world_there(void)
{
	const char *text = getenv(VARIABLE);
	return text && *text;
}

/* Cut ${text} at its spaces. */
static int cut(char *text, const char *fields[FIELDS])
{
	for (size_t i = 0; i < FIELDS; i++) {
		size_t len = strcspn(text, " ");
		if (len == 0)
			return -1;
		fields[i] = text;
		text += len;
		if (*text)
			*text++ = '\0';
	}
	return *text ? -1 : 0;
}

struct blob_store *azure_world_open(
	const char *name, const struct azure_world_options *o, struct err *err)
{
	const char *fields[FIELDS];
	struct blob_store *s = NULL;
	char *text = mem_strdup(getenv(VARIABLE));
	if (!text || cut(text, fields) < 0) {
		err_set(err, ERR_INVALID, __func__,
			VARIABLE " is not \"endpoint account key container\"");
		free(text);
		return NULL;
	}
	struct blob_option opts[] = {
		{"endpoint", fields[0]},
		{"storage_account", fields[1]},
		{"storage_key", o->key ? o->key : fields[2]},
		{"container_name", o->container ? o->container : fields[3]},
		{"folder", o->folder ? o->folder : ""},
		{"part_size", o->part_size ? o->part_size : ""},
	};
	s = blob_open(registry_find_blob("az-blob"), name, opts, sizeof(opts) / sizeof(opts[0]),
		o->create, err);
	free(text);
	return s;
}

void azure_world_name(char out[64], const char *prefix)
{
	unsigned char raw[8];
	char hex[17];
	random_bytes(raw, sizeof(raw));
	str_hex(hex, raw, sizeof(raw));
	snprintf(out, 64, "%s-%s", prefix, hex);
}
