/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_TLS_H
#define DEX_BACKENDS_REDIS_TLS_H

#include <stddef.h>
#include <sys/types.h>

/* TLS 1.2 and later over a connected socket that does not block. */

struct err;
struct redis_tls;     /* what all connections have in common */
struct redis_tls_end; /* one connection */

/* NULL ${ca_file}: the system's authorities. ${cert_file}, ${key_file}: ours, PEM, or both NULL. */
struct redis_tls *redis_tls_new(
	const char *ca_file, const char *cert_file, const char *key_file, struct err *err);
void redis_tls_free(struct redis_tls *t); /* NULL is fine */

/*
 * An end for ${fd}, which stays the caller's. The peer must prove to be ${host}, a name or an IP
 * address.
 */
struct redis_tls_end *redis_tls_begin(
	struct redis_tls *t, int fd, const char *host, struct err *err);
void redis_tls_end(struct redis_tls_end *e); /* NULL is fine */

/* What the next three ask for beside a result above 0. */
#define REDIS_TLS_FAILED (-1) /* or closed by the peer; ${err} tells */
#define REDIS_TLS_READ (-2)   /* call again when the socket is readable */
#define REDIS_TLS_WRITE (-3)  /* when it is writable */

int redis_tls_handshake(struct redis_tls_end *e, struct err *err); /* 1: done */
ssize_t redis_tls_read(struct redis_tls_end *e, void *data, size_t len, struct err *err);
/* May be called again with the same bytes only. */
ssize_t redis_tls_write(struct redis_tls_end *e, const void *data, size_t len, struct err *err);

#endif
