/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_MANIFEST_PAGE_H
#define DEX_FCGI_UI_MANIFEST_PAGE_H

#include "core/dex/manifest_config.h"
#include "fcgi/http.h"

/* The form for the details of a file: its fields are those of the stream's configuration. */

struct manifest_errors;

/* What the form shows beside its fields. */
struct manifest_page {
	const char *stream_id;
	const char *stream_route;
	const struct manifest_config *config;
	const json_t *typed;  /* values by field, or NULL */
	const json_t *errors; /* the strings of a rejection, or NULL */
	bool several;         /* details for many files: their names are not asked for */
	bool retry;           /* the form's token was no good */
	bool too_long;        /* the details do not fit into one manifest */
};
void manifest_page_send(struct http_request *r, int status, const struct manifest_page *page);

/* Answer for a pair without a configuration: 404 and what the check says. */
void manifest_page_unknown(struct http_request *r, const struct manifest_errors *errors);
/* Whether ${field} is one of the two keys of the stream, which the form does not ask for. */
bool manifest_page_is_key(const char *field);

#endif
