/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_XML_H
#define DEX_NET_XML_H

#include "core/base/buf.h"

#include <stddef.h>

/*
 * XML answers of object stores through expat: no document type, at most 32 levels, names without
 * their namespace. Callers are called back with the path of each element, never see a tree.
 */

struct err;

/*
 * Called at the end of each element. ${path}: names from the root joined by '/', as in
 * "ListBucketResult/Contents/Key". ${text}: character data: all of it, as it is, of an element
 * without children; of others what follows the last child, "" where that is white space. At most
 * 64 KiB. -1 ends parsing with ERR_INVALID.
 */
typedef int xml_element_fn(void *arg, const char *path, const char *text);

/* ERR_INVALID: not well-formed, a DOCTYPE, too deep, or too long a text. */
int xml_parse(const char *data, size_t len, xml_element_fn *fn, void *arg, struct err *err);
/* Append ${text} with & < > " and control characters as entities. */
int xml_escape(struct buf *out, const char *text);

#endif
