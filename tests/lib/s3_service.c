/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/s3_service.h"

#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/store/blob.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS 4

bool s3_service_there(void)
{
	const char *service = getenv("DEX_TEST_S3");
	return service && *service;
}

struct blob_store *s3_service_open(
	const char *folder, const char *name, const char *part_size, struct err *err)
{
	const char *service = getenv("DEX_TEST_S3");
	char *copy = mem_strdup(service ? service : "");
	char *field[FIELDS];
	char *rest = NULL;
	char uuid[UUID_SIZE];
	struct blob_store *s = NULL;
	size_t n = 0;

	for (char *p = strtok_r(copy, " ", &rest); p && n < FIELDS; p = strtok_r(NULL, " ", &rest))
		field[n++] = p;
	random_uuid(uuid);
	if (n == FIELDS) {
		struct blob_option opts[] = {
			{"endpoint", field[0]},
			{"bucket_name", field[1]},
			{"access_key_id", field[2]},
			{"secret_access_key", field[3]},
			{"region", "us-east-1"},
			{"folder", folder ? folder : uuid},
			{"part_size", part_size},
		};
		s = blob_open(registry_find_blob("s3"), name, opts, sizeof(opts) / sizeof(opts[0]),
			true, err);
	} else {
		err_set(err, ERR_INVALID, __func__, "DEX_TEST_S3 has %zu fields of 4", n);
	}
	free(copy);
	return s;
}
