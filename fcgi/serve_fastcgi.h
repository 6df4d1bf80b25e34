/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_FCGI_SERVE_FASTCGI_H
#define DEX_FCGI_SERVE_FASTCGI_H

#include <stdbool.h>
#include <stdint.h>

/*
 * FastCGI: DEX_THREADS threads take connections from the listening socket that spawn-fcgi, systemd
 * or the like hand over as descriptor 0.
 */

struct app;
struct err;

/* Whether descriptor 0 is a listening socket. */
bool serve_fastcgi_possible(void);
/*
 * systemd leaves a socket that is standard input as it uses it itself: without O_NONBLOCK taken off
 * it, threads that wait for connections would ask ten times a second.
 */
void serve_fastcgi_make_blocking(void);
/*
 * Set the process up: signals are blocked (only serve_fastcgi_run takes them), descriptor limit
 * raised. To be called before any thread is started. -1: libfcgi is not what this program was built
 * for.
 */
int serve_fastcgi_init(struct err *err);
/*
 * Serve until SIGTERM, SIGQUIT or SIGINT; SIGHUP reopens the log. Running bodies are then stopped,
 * what has come of them is stored and answered. Returns 0, 1 when threads still hang in a request
 * after 8 s
 * (${app} must then not be closed under them), or -1 when nothing could be served.
 */
int serve_fastcgi_run(struct app *app, struct err *err);

/*
 * glibc keeps up to seven freed blocks of each size for every thread. With a thread for each sender
 * that is a third of what a silent one costs, so it is told to keep none; as it listens at its
 * start only, the program executes itself anew with ${argv}. Does nothing where GLIBC_TUNABLES is
 * set already.
 */
void serve_fastcgi_restrain_heap(char **argv);

/*
 * Answer 503 for ${ms}, where the process could not be set up: clients then try again later instead
 * of waiting in the backlog, and a supervisor does not start it again in vain all the time.
 */
void serve_fastcgi_refuse(int64_t ms);

#endif
