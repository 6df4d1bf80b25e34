/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/azure_connection.h"

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

/* Public knowledge, the same in every emulator. */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define EMULATOR_ENDPOINT "http://127.0.0.1:10000/devstoreaccount1"

enum part { PROTOCOL, ACCOUNT, KEY, SAS, ENDPOINT, SUFFIX, EMULATOR, NPARTS };
static const char *const part_names[NPARTS] = {
	[PROTOCOL] = "DefaultEndpointsProtocol",
	[ACCOUNT] = "AccountName",
	[KEY] = "AccountKey",
	[SAS] = "SharedAccessSignature",
	[ENDPOINT] = "BlobEndpoint",
	[SUFFIX] = "EndpointSuffix",
	[EMULATOR] = "UseDevelopmentStorage",
};

static int emulator(char **parts, struct azure_connection *out, struct err *err)
{
	if (!str_eq_ci(parts[EMULATOR], "true"))
		return err_set(err, ERR_INVALID, __func__,
			"the connection string's UseDevelopmentStorage can only be true");
	out->account = mem_strdup(EMULATOR_ACCOUNT);
	out->key = mem_strdup(EMULATOR_KEY);
	out->endpoint = mem_strdup(EMULATOR_ENDPOINT);
	return 0;
}

static int fill(char **parts, struct azure_connection *out, struct err *err)
{
	if (parts[EMULATOR])
		return emulator(parts, out, err);
	if (!parts[ENDPOINT] && !parts[ACCOUNT])
		return err_set(err, ERR_INVALID, __func__,
			"the connection string has neither AccountName nor BlobEndpoint");
	if (parts[PROTOCOL] && !str_eq_ci(parts[PROTOCOL], "https") &&
		!str_eq_ci(parts[PROTOCOL], "http"))
		return err_set(err, ERR_INVALID, __func__,
			"the connection string's DefaultEndpointsProtocol is neither http nor "
			"https");
	if (parts[ENDPOINT]) {
		out->endpoint = mem_strdup(parts[ENDPOINT]);
	} else {
		struct buf url;
		buf_init(&url, AZURE_CONNECTION_MAX + 64);
		/* Cannot overflow: the parts come from a text of AZURE_CONNECTION_MAX. */
		(void)buf_printf(&url, "%s://%s.blob.%s",
			parts[PROTOCOL] ? parts[PROTOCOL] : "https", parts[ACCOUNT],
			parts[SUFFIX] ? parts[SUFFIX] : "core.windows.net");
		str_lower(url.data);
		out->endpoint = buf_take(&url);
	}
	out->account = mem_strdup(parts[ACCOUNT]);
	out->key = mem_strdup(parts[KEY]);
	out->sas_token = mem_strdup(parts[SAS]);
	return 0;
}

int azure_connection_parse(
	const char *text, size_t len, struct azure_connection *out, struct err *err)
{
	char *parts[NPARTS];
	*out = (struct azure_connection){0};
	int rc = azure_parts_split(text, len, part_names, parts, NPARTS, err);
	if (rc == 0)
		rc = fill(parts, out, err);
	azure_parts_free(parts, NPARTS);
	return rc;
}

void azure_connection_free(struct azure_connection *c)
{
	free(c->account);
	mem_free_secret(c->key);
	mem_free_secret(c->sas_token);
	free(c->endpoint);
	*c = (struct azure_connection){0};
}
