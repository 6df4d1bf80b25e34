/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_TEMPLATE_H
#define DEX_FCGI_UI_TEMPLATE_H

#include "core/base/buf.h"
#include "core/base/json.h"

#include <stddef.h>

/*
 * HTML templates, a part of Mustache (https://mustache.github.io/mustache.5.html):
 *
 *   {{name}}               the value, escaped; there is no way to put it in unescaped. Attributes
 *                          must be quoted, and values never stand in scripts, styles or URLs'
 * schemes
 *   {{.}}                  the element itself, in a list of strings
 *   {{#name}}...{{/name}}  once for each element of a list; once inside an object; once for true, a
 *                          string that is not empty and a number; not at all otherwise
 *   {{^name}}...{{/name}}  only where {{#name}} gives nothing
 *   {{t.name}}             a text of the page, from fcgi/ui/texts.h
 *
 * A name is looked up in the innermost object first. What is absent or null gives nothing.
 */

struct err;

#define TEMPLATE_DEPTH_MAX 16

/* Append ${text} filled from ${values}. -1: ERR_INVALID, the template is malformed (a mistake of
 * ours), or ERR_TOO_LARGE, ${out} is full. */
int template_render(
	struct buf *out, const char *text, size_t len, const json_t *values, struct err *err);
/* Append ${len} bytes with & < > " ' escaped; what is no UTF-8 becomes U+FFFD, controls a blank. */
int template_escape(struct buf *out, const char *s, size_t len);

#endif
