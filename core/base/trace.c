/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/trace.h"

#include "core/base/random.h"
#include "core/base/str.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define VERSION_00_LEN 55
#define FLAG_SAMPLED 0x01

static _Thread_local const struct trace_context *current;

static bool is_lower_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* ${n} bytes of lower-case hex. */
static bool read_hex(unsigned char *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_lower_hex(text[2 * i]) || !is_lower_hex(text[2 * i + 1]))
			return false;
		out[i] = (unsigned char)(str_hex_digit(text[2 * i]) * 16 +
					 str_hex_digit(text[2 * i + 1]));
	}
	return true;
}

static bool is_zero(const unsigned char *data, size_t n)
{
	while (n > 0 && data[n - 1] == 0)
		n--;
	return n == 0;
}

static bool is_state(const char *state)
{
	size_t n = 0;

	for (; state[n]; n++) {
		if (n == TRACE_STATE_MAX || state[n] < ' ' || state[n] > '~')
			return false;
	}
	return true;
}

int trace_parse(struct trace_context *out, const char *parent, const char *state)
{
	struct trace_context c = {0};
	unsigned char version, flags;

	/* VERSION "-" TRACE-ID "-" SPAN-ID "-" FLAGS, section 3.2.2 */
	if (!parent || strnlen(parent, VERSION_00_LEN) < VERSION_00_LEN)
		return -1;
	if (parent[2] != '-' || parent[35] != '-' || parent[52] != '-')
		return -1;
	if (!read_hex(&version, parent, 1) || !read_hex(c.trace_id, parent + 3, TRACE_ID_BYTES) ||
		!read_hex(c.span_id, parent + 36, TRACE_SPAN_BYTES) ||
		!read_hex(&flags, parent + 53, 1))
		return -1;
	char behind = parent[VERSION_00_LEN];
	if (version == 0xff || (version == 0 ? behind != '\0' : behind != '\0' && behind != '-'))
		return -1;
	if (is_zero(c.trace_id, TRACE_ID_BYTES) || is_zero(c.span_id, TRACE_SPAN_BYTES))
		return -1;
	c.sampled = flags & FLAG_SAMPLED;
	if (state && is_state(state))
		str_copy(c.state, sizeof(c.state), state);
	*out = c;
	return 0;
}

/* All zeros mean "none" (sections 3.2.2.3 and 3.2.2.4). */
static void random_id(unsigned char *out, size_t n)
{
	do {
		random_bytes(out, n);
	} while (is_zero(out, n));
}

static bool read_uuid(unsigned char *out, const char *uuid)
{
	char hex[TRACE_ID_SIZE] = "";
	size_t n = 0;

	for (; uuid && *uuid && n < sizeof(hex) - 1; uuid++) {
		if (*uuid != '-')
			hex[n++] = *uuid;
	}
	return n == sizeof(hex) - 1 && read_hex(out, hex, TRACE_ID_BYTES) &&
	       !is_zero(out, TRACE_ID_BYTES);
}

void trace_new(struct trace_context *out, const char *upload_id)
{
	*out = (struct trace_context){.sampled = true};
	if (!read_uuid(out->trace_id, upload_id))
		random_id(out->trace_id, TRACE_ID_BYTES);
	random_id(out->span_id, TRACE_SPAN_BYTES);
}

void trace_child(struct trace_context *out, const struct trace_context *parent)
{
	if (out != parent)
		*out = *parent;
	random_id(out->span_id, TRACE_SPAN_BYTES);
}

char *trace_format(const struct trace_context *c, char out[TRACE_PARENT_SIZE])
{
	char trace_id[TRACE_ID_SIZE], span_id[2 * TRACE_SPAN_BYTES + 1];

	str_hex(trace_id, c->trace_id, TRACE_ID_BYTES);
	str_hex(span_id, c->span_id, TRACE_SPAN_BYTES);
	(void)snprintf(
		out, TRACE_PARENT_SIZE, "00-%s-%s-%s", trace_id, span_id, c->sampled ? "01" : "00");
	return out;
}

const struct trace_context *trace_current(void)
{
	return current;
}

const struct trace_context *trace_enter(const struct trace_context *c)
{
	const struct trace_context *before = current;

	current = c;
	return before;
}
