/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AZURE_BUS_H
#define DEX_NET_AZURE_BUS_H

#include "core/net/http.h"

#include <stddef.h>
#include <stdint.h>

/*
 * How a request to Azure Service Bus proves who sends it: a shared access signature
 * (https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas), made from the key of a
 * connection string "Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…", or the
 * one in its SharedAccessSignature. Safe from any thread.
 */

struct azure_bus;
struct err;

/*
 * ${text}: a connection string; UseDevelopmentEmulator=true is the emulator of this machine,
 * without TLS. ${entity}: queue or topic, NULL or "": that of EntityPath. ERR_INVALID: malformed,
 * no end point, nothing to sign with, no entity or one that EntityPath contradicts, or no TLS to
 * another machine. The text names parts, never values.
 */
struct azure_bus *azure_bus_new(const char *text, const char *entity, struct err *err);
void azure_bus_free(struct azure_bus *b); /* wipes; NULL is fine */

/* URL of the queue or topic, encoded, without a final slash. */
const char *azure_bus_url(const struct azure_bus *b);
/*
 * For net_request.sign with ${arg} a struct azure_bus: sets Authorization. One signature serves for
 * nearly an hour, and is replaced five minutes before it ends.
 */
int azure_bus_sign(void *arg, struct net_request *r, int64_t now, struct err *err);

/*
 * Append "SharedAccessSignature sr=…" that lets ${url} and what is below it be used until
 * ${expires_at} (seconds since 1970). Pure. -1: ${out} is full.
 */
int azure_bus_signature(const char *url, const char *key_name, const char *key, int64_t expires_at,
	struct buf *out);

#endif
