/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_SIGV4_H
#define DEX_NET_SIGV4_H

#include "core/base/buf.h"
#include "core/net/headers.h"

#include <stdint.h>

/*
 * AWS Signature Version 4
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html), as pure functions
 * of request, keys and time.
 */

struct err;

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_keys {
	const char *access_key_id;
	const char *secret_access_key;
	const char *session_token; /* NULL or "": none */
};
struct sigv4_scope {
	const char *region;
	const char *service; /* "s3": the path is encoded once and x-amz-content-sha256 is sent */
};

/* 64 lower-case hex digits and NUL of the SHA-256 of ${data}. */
void sigv4_payload_hash(char out[65], const void *data, size_t len);

/*
 * Sign a request: sets X-Amz-Date, X-Amz-Security-Token (with a session token), for "s3"
 * X-Amz-Content-Sha256, and Authorization in ${headers}; every field that is in ${headers} then,
 * and Host with ${host}, is signed. ${path}: encoded as it is sent, "/" at least. ${query}: encoded
 * as it is sent, NULL or "" for none; its parameters may stand in any order and lack their '='.
 * ${payload}: what sigv4_payload_hash gave, or SIGV4_UNSIGNED. ${now}: wall clock, microseconds.
 */
int sigv4_sign(const char *method, const char *host, const char *path, const char *query,
	struct net_headers *headers, const char *payload, const struct sigv4_keys *keys,
	const struct sigv4_scope *scope, int64_t now, struct err *err);

/* The canonical request that is signed; for tests. */
int sigv4_canonical(const char *method, const char *host, const char *path, const char *query,
	const struct net_headers *headers, const char *payload, const struct sigv4_scope *scope,
	struct buf *out);

#endif
