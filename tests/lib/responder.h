/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_RESPONDER_H
#define DEX_TEST_RESPONDER_H

#include <stddef.h>
#include <sys/types.h>

/* The real dex-upload of this build, in a directory of its own. */

struct responder {
	char *dir;    /* scratch directory; uploads/ and log lie in it */
	char *socket; /* where it listens */
	int listener; /* our copy of the listening socket: others may be started on it */
	pid_t pid;    /* 0: not running */
};

/* Make the directory, its configuration and the socket. */
void responder_make(struct responder *r);
/* Stop what runs, remove all. */
void responder_remove(struct responder *r);

/* Start a process on the socket; ${env}: "NAME=value" …, NULL, beside what the directory needs. */
pid_t responder_spawn(const struct responder *r, const char *const *env);
/* The same, kept in r->pid. */
void responder_start(struct responder *r, const char *const *env);
/* Send SIGTERM and wait: milliseconds until it ended with status 0; -1: otherwise, or not in 15 s.
 */
long responder_stop(struct responder *r);

/*
 * Run it as a CGI program with ${in_fd} and ${out_fd} as standard input and output. ${env} is its
 * whole environment beside the settings.
 */
pid_t responder_cgi(const struct responder *r, const char *const *env, int in_fd, int out_fd);
/* Wait for a process: its exit status, 128 + signal, or -1 when it runs longer than ${timeout_ms}.
 */
int responder_wait(pid_t pid, long timeout_ms);
/* Path of the program. malloc'ed. */
char *responder_program(void);

#endif
