/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for a connection string has what the connections rely on. */
#include "backends/redis_uri.h"
#include "core/base/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct redis_uri *u)
{
	if (u->nhosts == 0 || u->nhosts > REDIS_URI_HOSTS_MAX)
		abort();
	for (size_t i = 0; i < u->nhosts; i++) {
		if (!*u->hosts[i].name || u->hosts[i].port == 0 || u->hosts[i].port > 65535 ||
			strpbrk(u->hosts[i].name, "/?@,[] \n"))
			abort();
	}
	if ((u->user && !u->password) || (u->password && !*u->password))
		abort();
	if (u->sentinel != (u->master != NULL) || (u->master && !*u->master))
		abort();
	if (!u->prefix || !*u->prefix || strpbrk(u->prefix, "{} \n"))
		abort();
	if (!u->cert_file != !u->key_file || u->timeout_ms < 10 || u->timeout_ms > 60000)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redis_uri u;
	struct err err = {0};
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (redis_uri_parse(text, &u, &err) == 0)
		check(&u);
	else if (err.code != ERR_INVALID || u.password || u.nhosts)
		abort();
	redis_uri_free(&u);
	free(text);
	return 0;
}
