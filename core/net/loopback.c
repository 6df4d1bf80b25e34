/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/loopback.h"

#include "core/base/str.h"

#include <arpa/inet.h>

bool loopback_is(const char *host)
{
	struct in_addr v4;
	if (str_eq_ci(host, "localhost") || str_eq(host, "[::1]"))
		return true;
	/* Only four plain numbers are an address here; 127.1 or 0x7f000001 would be a name. */
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}
