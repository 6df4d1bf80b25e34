/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_SERVICE_BUS_H
#define DEX_BACKENDS_SERVICE_BUS_H

#include "core/base/buf.h"
#include "core/net/azure_bus.h"
#include "core/net/http.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Requests to the REST interface of Azure Service Bus
 * (https://learn.microsoft.com/rest/api/servicebus/service-bus-runtime-rest): what publisher and
 * subscriber share.
 */

struct err;

/* Value of a variable, NULL or "" for none. */
typedef const char *service_bus_setting_fn(void *arg, const char *variable);

struct service_bus {
	struct net_http *http;
	struct azure_bus *auth;
	char *path; /* of a subscription below its topic, with its slash; "" for none */
};

/*
 * ${where}: connection string; ${entity}: queue or topic, NULL: that of EntityPath; ${subscription}
 * of the topic, or NULL. DEX_CA_FILE and DEX_HTTP_PROXY are looked up.
 */
int service_bus_open(struct service_bus *b, const char *where, const char *entity,
	const char *subscription, service_bus_setting_fn *setting, void *arg, struct err *err);
void service_bus_close(struct service_bus *b);

/*
 * The one of the variables ${queue} and ${topic} that is set, or NULL with ${err} empty.
 * ERR_INVALID: both are.
 */
const char *service_bus_entity(service_bus_setting_fn *setting, void *arg, const char *queue,
	const char *topic, struct err *err);

struct service_bus_call {
	struct net_http *http;
	struct net_request r;
	struct net_response a;
	char *url;
	char detail[160]; /* the service's words on a failure, printable */
};
/* ${suffix}: behind queue, topic or subscription: "/messages". ${ms}: until its end. */
void service_bus_call_init(struct service_bus_call *c, struct service_bus *b, const char *method,
	const char *suffix, int64_t ms);
void service_bus_call_free(struct service_bus_call *c);
/*
 * 0: a 2xx answer. -1: ERR_INVALID, ERR_TOO_LARGE: the request will never be taken; ERR_DENIED: key
 * or rights, or a quota is used up; ERR_NOT_FOUND: what the URL names is not there;
 * ERR_UNAVAILABLE: out of reach or busy; ERR_INTERRUPTED; ERR_IO: whatever else.
 */
int service_bus_call_run(struct service_bus_call *c, struct err *err);

/*
 * The service answers, knows the queue, topic or subscription, and the key. A key that may only
 * send or only listen is not shown it, which is told from a wrong one by the service's words.
 */
int service_bus_probe(struct service_bus *b, struct err *err);

#endif
