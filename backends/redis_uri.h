/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_URI_H
#define DEX_BACKENDS_REDIS_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connection strings, see redis.h. Errors (ERR_INVALID) show nothing of the string itself. */

struct err;

#define REDIS_URI_HOSTS_MAX 16

struct redis_uri {
	bool tls;
	bool sentinel; /* the hosts are Sentinels, ${master} is the name of what they watch */
	struct {
		char *name; /* an IPv6 address without its brackets */
		unsigned port;
	} hosts[REDIS_URI_HOSTS_MAX];
	size_t nhosts;
	char *user;     /* NULL: the default user */
	char *password; /* NULL: no AUTH */
	char *master;   /* NULL unless ${sentinel} */
	unsigned db;
	char *prefix;
	char *ca_file, *cert_file, *key_file; /* NULL: the system's authorities, no certificate */
	int64_t timeout_ms;
};

int redis_uri_parse(const char *text, struct redis_uri *out, struct err *err);
void redis_uri_free(struct redis_uri *u); /* idempotent; wipes the password */

#endif
