/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/json.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed must be writable, and what was written must parse to the same value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	json_t *value = json_parse((const char *)data, size, &err);
	if (!value) {
		if (err.code == ERR_NONE)
			abort();
		return 0;
	}
	struct buf out;
	buf_init(&out, 8 << 20);
	if (json_write(&out, value) == 0) {
		json_t *again = json_parse(buf_str(&out), out.len, &err);
		if (!again || !json_equal(value, again))
			abort();
		json_decref(again);
	}
	buf_free(&out);
	json_decref(value);
	return 0;
}
