/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_AZURE_REQUEST_H
#define DEX_BACKENDS_BLOB_AZURE_REQUEST_H

#include "core/net/azure_auth.h"
#include "core/net/http.h"
#include "core/store/blob_impl.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The Azure Blob store as its files see it, and one request to the service: its URL, signature,
 * answer and error. Service:
 * https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
 */

/* Answers that come short or make no sense are asked for again, so often in all. */
#define BLOB_AZURE_TRIES 8

struct tasks;

struct blob_azure_store {
	struct blob_store base;
	struct net_http *http;
	struct azure_auth *auth;
	struct tasks *tasks;
	char *container;
	char *prefix; /* in front of every key: "" or "FOLDER/" */
	char *url;    /* of the container */
	bool create;  /* a container that is missing is made with the first write */
	bool tls;
	size_t part_size;
	size_t in_flight;
	int64_t timeout_ms;
};

struct blob_azure_call {
	struct blob_azure_store *s;
	const char *key; /* borrowed; NULL: the container is meant */
	char *url;
	struct net_request r; /* fields, body and sink may be set before it is sent */
	struct net_response a;
	int64_t since_ms; /* clock_mono_ms() at its beginning */
	char code[64];    /* the service's name of the error, "" for none */
};

/*
 * ${query}: encoded, without '?'; NULL for none. The request may be repeated and ends after the
 * store's timeout, unless the caller changes r.idempotent and r.deadline_ms.
 */
void blob_azure_call_init(struct blob_azure_call *c, struct blob_azure_store *s, const char *method,
	const char *key, const char *query);
void blob_azure_call_free(struct blob_azure_call *c);
/* Make room for answers of up to ${max} bytes; before it is sent. */
void blob_azure_call_body_max(struct blob_azure_call *c, size_t max);

/* Send it. 0: there is an answer, of whatever status. -1: none, ERR_UNAVAILABLE as a rule. */
int blob_azure_call_send(struct blob_azure_call *c, struct err *err);
/* The same for what writes: a container that is missing is made where the store may do so. */
int blob_azure_call_write(struct blob_azure_call *c, struct err *err);

bool blob_azure_call_ok(const struct blob_azure_call *c); /* 2xx */
/* The blob is not there, or its container, which will be made with the first write. */
bool blob_azure_call_missing(const struct blob_azure_call *c);
/* A condition of the request did not hold: another blob is there, or none. */
bool blob_azure_call_refused(const struct blob_azure_call *c);
/* The error that the answer tells of. Returns -1. */
int blob_azure_call_fail(const struct blob_azure_call *c, const char *what, struct err *err);

/* Append the blob's URL without a query. */
int blob_azure_url(const struct blob_azure_store *s, const char *key, struct buf *out);
/* Field Content-MD5 for what goes over a connection that has no other integrity check. */
void blob_azure_call_add_md5(struct blob_azure_call *c);
/* ETag of the answer without its quotes into ${out}; "" for none. */
void blob_azure_call_etag(const struct blob_azure_call *c, char *out, size_t size);
/* Condition on the ETag ${etag}; "": that no blob is there. */
void blob_azure_call_if_match(struct blob_azure_call *c, const char *etag);
/*
 * ${head}, the answer to a HEAD, tells of a blob that has been written since ${c} was begun, give
 * or take two seconds: by the service's own clock.
 */
bool blob_azure_call_since(const struct blob_azure_call *c, const struct blob_azure_call *head);
/* Content-Length of the answer to a HEAD. */
int blob_azure_call_length(const struct blob_azure_call *c, uint64_t *out, struct err *err);

#endif
