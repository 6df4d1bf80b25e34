/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AZURE_PARTS_H
#define DEX_NET_AZURE_PARTS_H

#include <stddef.h>

/*
 * Connection strings as Azure's portal shows them, of whatever service: "Name=Value;Name=Value".
 * Names are compared without regard to case, unknown ones are ignored.
 */

struct err;

#define AZURE_CONNECTION_MAX 8192 /* bytes */

/*
 * The values of the ${n} ${names} into ${parts}, malloc'ed, NULL for what is not there or empty;
 * the caller frees them with azure_parts_free, also after -1. ERR_INVALID: not of that form, a name
 * twice, too long. The text names parts, never values.
 */
int azure_parts_split(const char *text, size_t len, const char *const *names, char **parts,
	size_t n, struct err *err);
void azure_parts_free(char **parts, size_t n); /* wipes; leaves NULLs */

#endif
