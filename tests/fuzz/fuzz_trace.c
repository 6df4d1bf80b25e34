/* SPDX-License-Identifier: Apache-2.0 */
/* traceparent and, behind a newline, tracestate: what is read can be written and read again. */
#include "core/base/trace.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char out[TRACE_PARENT_SIZE];
	struct trace_context c, again;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	char *state = strchr(text, '\n');
	if (state)
		*state++ = '\0';
	if (trace_parse(&c, text, state) == 0) {
		if (strlen(trace_format(&c, out)) != TRACE_PARENT_SIZE - 1 ||
			strpbrk(c.state, "\r\n") || trace_parse(&again, out, c.state) != 0 ||
			memcmp(&c.trace_id, &again.trace_id, TRACE_ID_BYTES) != 0 ||
			strcmp(c.state, again.state) != 0)
			abort();
	}
	free(text);
	return 0;
}
