/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_UI_UI_H
#define DEX_FCGI_UI_UI_H

#include "fcgi/http.h"

#include <stdbool.h>

/*
 * The upload page (port UI_PORT): pages for people who send files with a browser. It is the same
 * program as the API; the web server tells their requests apart by the parameter DEX_UI, which no
 * client can set. Scripts and styles (/assets/) are files of the web server.
 */

/* Whether the web server marked ${r} as one of the upload page. */
bool ui_is_asked(struct http_request *r);
/* Find the page of r->path, check the method, call its handler. */
void ui_dispatch(struct http_request *r);

/* Handlers, one per file of the same name; the last four are in login.c. */
void landing_get(struct http_request *r);
void manifest_page_get(struct http_request *r);
void upload_form_post(struct http_request *r);
void status_page_get(struct http_request *r);
void login_get(struct http_request *r);
void oauth_callback_get(struct http_request *r);
void logged_in_get(struct http_request *r);
void logout_post(struct http_request *r);

#endif
