/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/net/xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read, written again, is read the same. */
static int same(void *arg, const char *path, const char *text)
{
	if (strcmp(path, "T") != 0 || strcmp(text, arg) != 0)
		abort();
	return 0;
}

static int element(void *arg, const char *path, const char *text)
{
	size_t *calls = arg;
	size_t depth = 1;
	for (const char *p = path; *p != '\0'; p++)
		depth += *p == '/';
	if (depth > 32 || path[0] == '\0' || strlen(text) > 65536)
		abort();
	struct buf b;
	buf_init(&b, 1 << 20);
	if (buf_add_str(&b, "<T>") != 0 || xml_escape(&b, text) != 0 ||
		buf_add_str(&b, "</T>") != 0)
		abort();
	char *copy = strdup(text);
	if (!copy || xml_parse(b.data, b.len, same, copy, NULL) != 0)
		abort();
	free(copy);
	buf_free(&b);
	return ++*calls > 1000 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t calls = 0;
	struct err err = {0};
	int rc = xml_parse((const char *)data, size, element, &calls, &err);
	if ((rc == 0) != (err.code == ERR_NONE) || (rc == 0 && calls == 0))
		abort();
	return 0;
}
