/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_SECRET_CALLS_H
#define DEX_TEST_SECRET_CALLS_H

#include <stddef.h>

/*
 * Every kind of outgoing call by which a secret is shown or had, against made-up end points that
 * give what the real ones do. A program runs the end points, and makes the calls, or another does.
 */

struct err;
struct http_server_answer;
struct http_server_request;

#define SECRET_SIZE 401 /* with NUL; about that of a session token */

/* What is secret in them: each is a word of its own, made from its number. */
enum secret {
	SECRET_IDENTITY_TOKEN,  /* shown to the security token service */
	SECRET_CONTAINER_TOKEN, /* shown to the container's end point */
	SECRET_METADATA_TOKEN,  /* had from the machine's metadata service, and shown to it */
	SECRET_AWS_KEY,         /* had from each of them */
	SECRET_AWS_SESSION,     /* the same */
	SECRET_CLIENT,          /* shown to the token and to the introspection end point */
	SECRET_AZURE_TOKEN,     /* had from the token end point */
	SECRET_BEARER,          /* of a request, shown to the introspection end point */
	SECRETS
};
void secret_make(enum secret s, char out[SECRET_SIZE]);

/* An http_server_fn: what the end points answer; 404 to everything else. ${arg} is not used. */
void secret_calls_answer(
	void *arg, const struct http_server_request *q, struct http_server_answer *a);

struct secret_call {
	const char *name;
	size_t requests; /* it takes so many */
	/* Make it at ${url}, "http://127.0.0.1:PORT", with files below ${dir}. -1 + ${err}. */
	int (*make)(const char *url, const char *dir, struct err *err);
};
extern const struct secret_call secret_calls[];
extern const size_t secret_calls_n;

#endif
