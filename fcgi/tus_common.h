/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_TUS_COMMON_H
#define DEX_FCGI_TUS_COMMON_H

#include "fcgi/http.h"

/* What several tus handlers say and read alike. */

/* Upload-Expires, where the upload has an end of life (also on errors). */
void tus_add_expires(struct http_request *r, const struct upload *u);
/* Upload-Offset. */
void tus_add_offset(struct http_request *r, const struct upload *u);
/*
 * Upload-Limit with how much one request may bring, where that is bounded (DEX_MAX_APPEND): the
 * header is that of draft-ietf-httpbis-resumable-upload.
 */
void tus_add_limit(struct http_request *r);
/* Whether the request may bring its body as far as its length is declared. False: answered. */
bool tus_may_append(struct http_request *r);
/* Content-Type is application/offset+octet-stream. */
bool tus_is_offset_stream(struct http_request *r);
/*
 * Receive the request's body as a chunk of ${h}, with Upload-Checksum where it is given. On failure
 * the error answer is set, with the true offset where that helps the client; -1.
 */
int tus_receive(struct http_request *r, struct upload_hold *h, int64_t offset, int64_t length);
/* Error answer for a failure that is about an upload: http_error, and the headers that belong to
 * it. */
void tus_error(struct http_request *r, const struct upload *u, const struct err *err);

#endif
