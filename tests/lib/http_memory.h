/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_HTTP_MEMORY_H
#define DEX_TEST_HTTP_MEMORY_H

#include "core/base/buf.h"
#include "fcgi/http.h"

#include <stdbool.h>
#include <stddef.h>

/* A transport in memory: variables and body pieces are laid in, the answer is gathered. */

#define HTTP_MEMORY_PARAMS 64
#define HTTP_MEMORY_PIECES 32

struct http_memory {
	struct {
		char *name;
		char *value;
	} params[HTTP_MEMORY_PARAMS];
	size_t nparams;
	struct {
		enum body_result result;
		const char *data; /* borrowed */
		size_t len;
	} pieces[HTTP_MEMORY_PIECES];
	size_t npieces;
	size_t next;      /* piece to be read; after the last one: BODY_END */
	size_t reads;     /* calls of read */
	size_t writes;    /* calls of write */
	bool client_gone; /* write fails */
	struct buf out;   /* head and body as written */
	struct buf found; /* of http_memory_header */
};

extern const struct http_io http_memory_io; /* its io_arg is a struct http_memory */

void http_memory_init(struct http_memory *m);
void http_memory_free(struct http_memory *m);
/* Set a CGI variable; NULL removes it. */
void http_memory_param(struct http_memory *m, const char *name, const char *value);
/* The next call of read gives this. ${data}: text for BODY_DATA. */
void http_memory_piece(struct http_memory *m, enum body_result result, const char *data);

/* Of the answer: its status (0: none), a header (NULL: absent; valid until the next call), its
 * body. */
int http_memory_status(const struct http_memory *m);
const char *http_memory_header(struct http_memory *m, const char *name);
const char *http_memory_body(const struct http_memory *m);
/* The same for any answer in text form. */
int http_memory_status_of(const char *answer);
const char *http_memory_header_of(const char *answer, const char *name, struct buf *out);
const char *http_memory_body_of(const char *answer);

#endif
