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

/* Without the blanks around it. */
static char *trimmed(const char *s, size_t len)
{
	while (len > 0 && (*s == ' ' || *s == '\t')) {
		s++;
		len--;
	}
	while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return mem_strndup(s, len);
}

static int take_part(const char *text, size_t len, char **parts, struct err *err)
{
	const char *eq = memchr(text, '=', len);
	if (!eq) {
		char *rest = trimmed(text, len);
		bool empty = !rest[0];
		mem_free_secret(rest);
		return empty ? 0
			     : err_set(err, ERR_INVALID, __func__,
				       "the connection string has a part without \"=\"");
	}
	char *name = trimmed(text, (size_t)(eq - text));
	int rc = 0;
	for (int i = 0; i < NPARTS; i++) {
		if (!str_eq_ci(name, part_names[i]))
			continue;
		if (parts[i])
			rc = err_set(err, ERR_INVALID, __func__,
				"the connection string has %s twice", part_names[i]);
		else
			parts[i] = trimmed(eq + 1, len - (size_t)(eq - text) - 1);
		break;
	}
	/* A part that lost its name may be a piece of a key. */
	mem_free_secret(name);
	return rc;
}

static int split(const char *text, size_t len, char **parts, struct err *err)
{
	const char *end = text + len;
	while (text < end) {
		const char *semi = memchr(text, ';', (size_t)(end - text));
		const char *stop = semi ? semi : end;
		if (take_part(text, (size_t)(stop - text), parts, err) < 0)
			return -1;
		text = semi ? semi + 1 : end;
	}
	for (int i = 0; i < NPARTS; i++) {
		if (parts[i] && !parts[i][0]) {
			free(parts[i]);
			parts[i] = NULL;
		}
	}
	return 0;
}

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
	char *parts[NPARTS] = {0};
	*out = (struct azure_connection){0};
	if (len > AZURE_CONNECTION_MAX)
		return err_set(err, ERR_INVALID, __func__,
			"the connection string is longer than %d bytes", AZURE_CONNECTION_MAX);
	if (str_has_control(text, len))
		return err_set(err, ERR_INVALID, __func__,
			"the connection string has a control character");
	int rc = split(text, len, parts, err);
	if (rc == 0)
		rc = fill(parts, out, err);
	for (int i = 0; i < NPARTS; i++)
		mem_free_secret(parts[i]);
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
