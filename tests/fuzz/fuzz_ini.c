/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/net/aws_credentials_impl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static int on_setting(
	void *arg, const char *section, const char *name, const char *value, struct err *err)
{
	size_t *bytes = arg;
	(void)err;
	require(name[0] && !strpbrk(name, "=\n"));
	require(!strpbrk(value, "\n") && !strpbrk(section, "]\n"));
	require(!value[0] || !strchr(" \t", value[strlen(value) - 1]));
	require(strlen(section) + strlen(name) + strlen(value) <= 2 * (size_t)AWS_FILE_LINE_MAX);
	*bytes += strlen(name) + strlen(value) + 1;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {.code = ERR_NONE};
	size_t bytes = 0;
	int rc =
		aws_credentials_file_parse("F", (const char *)data, size, on_setting, &bytes, &err);
	/* a fault is told with its place, and no byte comes from nowhere */
	require((rc == 0) == (err.code == ERR_NONE));
	require(rc == 0 || strncmp(err.text, "F ", 2) == 0);
	require(bytes <= size);
	return 0;
}
