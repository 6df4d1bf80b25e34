/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/event.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_ready e;
	struct err err = {.code = ERR_NONE};
	if (event_ready_parse((const char *)data, size, &e, &err) == 0)
		require(str_is_uuid(e.upload_id) && e.target[0] != '\0' &&
			!str_has_control(e.target, strlen(e.target)) && err.code == ERR_NONE);
	else
		require(err.code == ERR_INVALID && err.text[0] != '\0' &&
			!str_has_control(err.text, strlen(err.text)));
	return 0;
}
