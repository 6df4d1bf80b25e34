/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Strict base64 has one text for each byte string. */
static void base64(const char *s, size_t len)
{
	unsigned char *plain = mem_alloc(len / 4 * 3);
	ssize_t n = str_base64_decode(s, len, plain);
	if (n >= 0) {
		struct buf again;
		buf_init(&again, len);
		if (str_base64_encode(&again, plain, (size_t)n) != 0 || again.len != len ||
			(len > 0 && memcmp(again.data, s, len) != 0))
			abort();
		buf_free(&again);
	}
	free(plain);
}

static void utf8(const char *s, size_t len)
{
	bool valid = true;
	for (size_t i = 0; i < len && valid;) {
		size_t n = str_utf8_char(s + i, len - i);
		if (n > len - i)
			abort();
		valid = n > 0;
		i += n;
	}
	if (valid != str_is_utf8(s, len))
		abort();
	(void)str_has_control(s, len);
}

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	if (name[0] == 'A')
		return "value $of ${A}";
	return name[0] == 'E' ? "" : NULL;
}

static void expand(const char *s, size_t len)
{
	struct buf out;
	struct err err = {0};
	buf_init(&out, 4096);
	int rc = str_expand(&out, s, len, lookup, NULL, &err);
	if ((rc == 0) != (err.code == ERR_NONE) || out.len > 4096)
		abort();
	buf_free(&out);
}

static void numbers(const char *s)
{
	int64_t ms = 0;
	uint64_t number = 0;
	bool flag;
	if (str_to_duration_ms(s, &ms) == 0 && ms < 0)
		abort();
	if (str_to_u64(s, 1000, &number) == 0 && number > 1000)
		abort();
	/* A plain number is a size too, and the same one. */
	uint64_t bytes = 0;
	if (str_to_u64(s, UINT64_MAX, &number) == 0 &&
		(str_to_size(s, &bytes) != 0 || bytes != number))
		abort();
	(void)str_to_size(s, &bytes);
	(void)str_to_bool(s, &flag);
	(void)str_is_uuid(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	base64(s, size);
	utf8(s, size);
	expand(s, size);
	char *text = mem_alloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	numbers(text);
	struct buf out;
	buf_init(&out, 3 * size);
	if (str_percent_encode(&out, text, "/") != 0)
		abort();
	buf_free(&out);
	free(text);
	return 0;
}
