/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AZURE_CONNECTION_H
#define DEX_NET_AZURE_CONNECTION_H

#include "core/net/azure_parts.h"

#include <stddef.h>

/*
 * Connection strings of Azure Storage
 * (https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string):
 * "Name=Value;Name=Value". Known are DefaultEndpointsProtocol, AccountName, AccountKey,
 * SharedAccessSignature, BlobEndpoint, EndpointSuffix and UseDevelopmentStorage=true, which stands
 * for the emulator on this machine; other names are ignored. Names are compared without regard to
 * case.
 */

struct err;

struct azure_connection { /* NULL: the string does not tell */
	char *account;
	char *key;
	char *sas_token;
	char *endpoint; /* of the blob service, also where it follows from the account's name */
};

/*
 * ERR_INVALID: not of that form, a name twice, neither account nor end point, UseDevelopmentStorage
 * other than "true". The text names parts, never values.
 */
int azure_connection_parse(
	const char *text, size_t len, struct azure_connection *out, struct err *err);
void azure_connection_free(struct azure_connection *c); /* wipes; leaves it empty */

#endif
