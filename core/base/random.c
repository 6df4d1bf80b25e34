/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t n)
{
	unsigned char *p = out;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		/* Guessable ids and keys would be worse than a restart. */
		if (got <= 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}

void random_uuid(char out[UUID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[16];
	random_bytes(raw, sizeof raw);
	raw[6] = (unsigned char)((raw[6] & 0x0f) | 0x40);
	raw[8] = (unsigned char)((raw[8] & 0x3f) | 0x80);
	char *p = out;
	for (size_t i = 0; i < sizeof raw; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		*p++ = hex[raw[i] >> 4];
		*p++ = hex[raw[i] & 15];
	}
	*p = '\0';
}

uint64_t random_below(uint64_t n)
{
	if (n == 0)
		return 0;
	/* Values below 2^64 mod n would make small results likelier. */
	uint64_t uneven = (0 - n) % n;
	uint64_t value;
	do {
		random_bytes(&value, sizeof value);
	} while (value < uneven);
	return value % n;
}
