/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/str.h"
#include "core/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t bytes;
	size_t line;
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_variable(void *arg, const char *name, const char *value, size_t line)
{
	struct seen *seen = arg;
	require(name[0] && strlen(name) <= 255);
	require(!strpbrk(name, "= \t\n\"'#$-"));
	require(name[0] < '0' || name[0] > '9');
	require(str_is_utf8(value, strlen(value)));
	require(line > seen->line && line <= 1000);
	seen->line = line;
	seen->bytes += strlen(name) + strlen(value) + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = {0};
	struct buf problems;
	buf_init(&problems, 1 << 20);
	int rc = config_dotenv_parse(
		".env", (const char *)data, size, on_variable, &seen, &problems);
	/* every fault is told, nothing else is, and no byte comes from nowhere */
	require((rc == 0) == (problems.len == 0));
	require(rc == 0 || problems.data[problems.len - 1] == '\n');
	require(seen.bytes <= size);
	buf_free(&problems);
	return 0;
}
