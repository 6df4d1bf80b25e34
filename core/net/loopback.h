/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_LOOPBACK_H
#define DEX_NET_LOOPBACK_H

#include <stdbool.h>

/*
 * ${host} (as in struct uri, an IPv6 address in its brackets) is this machine: "localhost",
 * 127.0.0.0/8 or [::1]. Only there may a secret travel without TLS.
 */
bool loopback_is(const char *host);

#endif
