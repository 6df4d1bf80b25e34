/* SPDX-License-Identifier: Apache-2.0 */
/* Input: the text of a sender manifest configuration. */
#include "core/base/err.h"
#include "core/dex/manifest_config.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct manifest_config *mc =
		manifest_config_parse("fuzz.json", (const char *)data, size, &err);
	if (!mc && err.code == ERR_NONE)
		abort();
	for (size_t i = 0; mc && i < mc->nfields; i++) {
		if (!mc->fields[i].name || !*mc->fields[i].name || !mc->fields[i].description)
			abort();
	}
	manifest_config_unref(mc);
	return 0;
}
