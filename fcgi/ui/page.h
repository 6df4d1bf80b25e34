/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_PAGE_H
#define DEX_FCGI_UI_PAGE_H

#include "core/base/json.h"
#include "fcgi/http.h"

/*
 * Pages: a template of fcgi/ui/pages/ inside the frame that all pages share, with the headers that
 * all pages have (a Content-Security-Policy without inline scripts and styles, among others).
 */

/* The sources of the templates; made from fcgi/ui/pages/ by fcgi/ui/embed.sh. */
struct page_source {
	const char *name; /* "landing" */
	const unsigned char *text;
	size_t len;
};
extern const struct page_source page_sources[];
extern const size_t page_sources_len;

/*
 * Answer with page ${name} under the title ${title} (a text's name), filled from ${values}, whose
 * reference is taken. Beside its own values a page has `base` (where the program is mounted), `api`
 * and `files` (URLs of the API and its tus end point); where people can log in, `login_url`, and
 * `user` and `csrf_token` where somebody has.
 */
void page_send(
	struct http_request *r, int status, const char *name, const char *title, json_t *values);
/* A page that says ${text} under ${title} (names of texts) and links to the start. */
void page_message(struct http_request *r, int status, const char *title, const char *text);
/* The same for a failure, with the status that http_error gives it. */
void page_error(struct http_request *r, const struct err *err);
/* Send the browser to ${path}, a path of the upload page ("/status/ID"). */
void page_redirect(struct http_request *r, const char *path);

/* Append the URL by which a browser reaches the API, without a closing slash. */
void page_api_url(struct http_request *r, struct buf *out);

#endif
