/* SPDX-License-Identifier: Apache-2.0 */
/* A key that is called valid has all the properties that backends rely on, checked another way. */
#include "core/store/blob.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *key)
{
	size_t len = strlen(key);
	if (len == 0 || len > BLOB_KEY_MAX)
		abort();
	if (key[0] == '/' || key[len - 1] == '/' || strstr(key, "//"))
		abort();
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)key[i];
		if (c < 0x20 || c == 0x7f || c == 0xc0 || c == 0xc1 || c > 0xf4)
			abort();
	}
	/* Framed by slashes, every segment looks the same. */
	char framed[BLOB_KEY_MAX + 3];
	framed[0] = '/';
	memcpy(framed + 1, key, len);
	memcpy(framed + 1 + len, "/", 2);
	if (strstr(framed, "/./") || strstr(framed, "/../"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *key = malloc(size + 1);
	if (!key)
		return 0;
	if (size > 0)
		memcpy(key, data, size);
	key[size] = '\0';
	if (blob_key_valid(key))
		check(key);
	free(key);
	return 0;
}
