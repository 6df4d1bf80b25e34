/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_FCGI_CLIENT_H
#define DEX_TEST_FCGI_CLIENT_H

#include "core/base/buf.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The web server's side of FastCGI, record by record
 * (https://fastcgi-archives.github.io/FastCGI_Specification.html): a test decides how records are
 * cut, padded and packed into what is sent.
 */

/* Connect to a unix socket; -1 when nobody listens. */
int fcgi_client_connect(const char *path);

/* Append records. ${params}: name, value, …, NULL. Begin: BEGIN_REQUEST, PARAMS and their end. */
void fcgi_client_begin(struct buf *out, const char *const *params);
/* One STDIN record; ${len} 0 is the end of the body. */
void fcgi_client_stdin(struct buf *out, const void *data, size_t len, unsigned char padding);
void fcgi_client_abort(struct buf *out);

/* Send all of it in one call; -1 when the peer has gone. Empties ${b}. */
int fcgi_client_send(int fd, struct buf *b);
/*
 * Read records until END_REQUEST, appending the content of STDOUT to ${answer}. 0; -1: the
 * connection ended before that, or ${timeout_ms} went by in silence.
 */
int fcgi_client_answer(int fd, struct buf *answer, int timeout_ms);

#endif
