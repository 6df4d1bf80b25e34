/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/net/azure_auth.h"
#include "core/net/azure_bus.h"
#include "core/net/azure_connection.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* With what is left of the text as a string: the whole way to an end point. */
static void try_auth(const char *data, size_t size)
{
	struct err err = {.code = ERR_NONE};
	char *text = strndup(data, size);
	require(text);
	struct azure_auth *a =
		azure_auth_new(&(struct azure_auth_options){.connection_string = text}, NULL, &err);
	require(a || err.code == ERR_INVALID);
	if (a) {
		const char *endpoint = azure_auth_endpoint(a);
		require(strncmp(endpoint, "http", 4) == 0 && !strpbrk(endpoint, "?# \n"));
		require(endpoint[strlen(endpoint) - 1] != '/');
	}
	azure_auth_free(a);
	free(text);
}

/* The same of a message bus. */
static void try_bus(const char *data, size_t size)
{
	struct err err = {.code = ERR_NONE};
	char *text = strndup(data, size);
	require(text);
	struct azure_bus *b = azure_bus_new(text, NULL, &err);
	require(b || err.code == ERR_INVALID);
	if (b) {
		const char *url = azure_bus_url(b);
		require(strncmp(url, "http", 4) == 0 && !strpbrk(url, "?# \n"));
		require(url[strlen(url) - 1] != '/' && !strstr(url, "/../"));
	}
	azure_bus_free(b);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct azure_connection c;
	struct err err = {.code = ERR_NONE};
	int rc = azure_connection_parse((const char *)data, size, &c, &err);
	if (rc == 0)
		require(c.endpoint && err.code == ERR_NONE);
	else
		require(!c.account && !c.key && !c.sas_token && !c.endpoint &&
			err.code == ERR_INVALID);
	azure_connection_free(&c);
	try_auth((const char *)data, size);
	try_bus((const char *)data, size);
	return 0;
}
