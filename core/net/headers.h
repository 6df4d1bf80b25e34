/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_HEADERS_H
#define DEX_NET_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * HTTP header fields of a request or an answer, in order, with strings of their own. Names are
 * compared without regard to case (RFC 9110 section 5.1).
 */
struct net_header {
	char *name;
	char *value;
};
struct net_headers {
	struct net_header *items;
	size_t n, cap;
};

void net_headers_init(struct net_headers *h);
void net_headers_free(struct net_headers *h); /* values are wiped first; leaves an empty list */
/* Add a field, also where one of that name is there. CR and LF become spaces. */
void net_headers_add(struct net_headers *h, const char *name, const char *value);
/* Take away every field of that name, then add this one; ${value} NULL: only take away. */
void net_headers_set(struct net_headers *h, const char *name, const char *value);
/* Value of the first field of that name, or NULL. */
const char *net_headers_get(const struct net_headers *h, const char *name);

#endif
