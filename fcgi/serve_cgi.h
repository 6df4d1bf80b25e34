/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_SERVE_CGI_H
#define DEX_FCGI_SERVE_CGI_H

#include <stdbool.h>

/* CGI (RFC 3875): one request from the environment and standard input, answered on standard output.
 */

struct app;
struct err;

/* Whether this process was started as a CGI program. Its arguments are then the client's. */
bool serve_cgi_wanted(void);
/*
 * Take SIGTERM, by which web servers tell that the client has gone, as an event. To be called
 * before any thread is started.
 */
int serve_cgi_init(struct err *err);
/* Serve the one request. */
void serve_cgi_run(struct app *app);
/* Answer 503 where the program could not be set up; the cause is for the log alone. */
void serve_cgi_refuse(void);

#endif
