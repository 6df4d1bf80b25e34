/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/cookie.h"

#include <string.h>

const char *cookie_next(const char **header, const char *name, size_t *len)
{
	size_t n = strlen(name);

	while (*header && **header) {
		const char *pair = *header + strspn(*header, " \t;");
		size_t whole = strcspn(pair, ";");
		*header = pair + whole;
		if (whole > n && strncmp(pair, name, n) == 0 && pair[n] == '=') {
			*len = whole - n - 1;
			return pair + n + 1;
		}
	}
	return NULL;
}
