/* SPDX-License-Identifier: Apache-2.0 */
/* tus request headers: the first byte chooses the parser, the rest is the header's value. */
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/tus/headers.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 65536)
		return 0;
	char *value = mem_strndup((const char *)data + 1, size - 1);
	struct err err = {0};
	struct headers_concat concat;
	struct headers_checksum checksum;
	int64_t number;

	switch (data[0] % 5) {
	case 0:
		json_decref(headers_metadata(value, &err));
		break;
	case 1:
		if (headers_concat(value, "/files/", &concat, &err) == 0)
			headers_concat_free(&concat);
		break;
	case 2:
		(void)headers_checksum(value, &checksum, &err);
		break;
	case 3:
		(void)headers_number("Upload-Length", value, &number, &err);
		break;
	default:
		(void)headers_defer_length(value, &err);
		break;
	}
	free(value);
	return 0;
}
