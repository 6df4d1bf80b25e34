/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_COOKIE_H
#define DEX_FCGI_COOKIE_H

#include <stddef.h>

/*
 * The value of the next cookie called ${name} in ${header}, a Cookie field (RFC 6265 section 4.2.1;
 * may be NULL), and its length; NULL: there is none. ${header} is moved behind it: several may have
 * one name, of other paths and domains, and only the caller knows what his own look like.
 */
const char *cookie_next(const char **header, const char *name, size_t *len);

#endif
