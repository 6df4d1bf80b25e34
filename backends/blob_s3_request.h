/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_BLOB_S3_REQUEST_H
#define DEX_BACKENDS_BLOB_S3_REQUEST_H

#include "core/net/aws_signer.h"
#include "core/net/http.h"
#include "core/net/sigv4.h"
#include "core/store/blob_impl.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One request to an S3 service (https://docs.aws.amazon.com/AmazonS3/latest/API/): addressed in
 * path style, signed, repeated where that helps, its failure put into words.
 */

struct err;
struct tasks;

#define BLOB_S3_STRIPES 16

struct blob_s3_store {
	struct blob_store base;
	struct net_http *http;
	struct aws_credentials *credentials;
	struct aws_signer signer;
	struct tasks *tasks; /* parts on their way */
	char *origin;        /* scheme://authority */
	char *host;          /* value of the Host field */
	char *path;          /* of the bucket in the URL, encoded, without a final slash */
	char *bucket;
	char *folder; /* what keys begin with in the bucket: "", or it ends with '/' */
	uint64_t part_size;
	size_t in_flight;
	int64_t timeout_ms;
	atomic_bool answered; /* the bucket is known to exist */
	/*
	 * The service knows no If-None-Match for writing: a look for the name comes first then,
	 * under the lock of the key's stripe, so that writers of this process do not meet.
	 */
	atomic_bool unconditional;
	pthread_mutex_t stripes[BLOB_S3_STRIPES];
};

/* A request, and what came back. */
struct blob_s3_call {
	const char *method;
	const char *key; /* below the store's folder; NULL: the bucket */
	struct buf query;
	struct net_headers headers;
	const void *body; /* borrowed */
	size_t len;
	net_sink_fn *sink; /* as in struct net_request */
	void *sink_arg;
	size_t answer_max;   /* bytes of the answer's body; 0: 256 KiB */
	int64_t deadline_ms; /* 0: what the store's request_timeout and the length of the body give
			      */
	bool once;           /* do not repeat */

	struct net_response answer;
	char code[64];     /* of an <Error>, "" for none */
	char message[160]; /* printable */

	/* for the signature and what follows from its refusal */
	struct blob_s3_store *store;
	struct buf path;
	char payload[65];
	struct aws_signer_tries signing;
};

void blob_s3_request_init(
	struct blob_s3_call *c, const char *method, const char *key, struct blob_s3_store *s);
void blob_s3_request_free(struct blob_s3_call *c);
/* Add NAME=VALUE to the query, encoded here. */
void blob_s3_request_param(struct blob_s3_call *c, const char *name, const char *value);
void blob_s3_request_param_number(struct blob_s3_call *c, const char *name, uint64_t value);
/* The request makes an object: add its type and its metadata ${h} (may be NULL). */
void blob_s3_request_fields(struct blob_s3_call *c, const struct net_headers *h);

/* 0: there is an answer, of whatever status, in ${c}. -1 + ERR_UNAVAILABLE …: there is none. */
int blob_s3_request_send(struct blob_s3_call *c, struct err *err);
/* As blob_s3_request_send; whatever is not 2xx, or is an <Error> in spite of that, is an error. */
int blob_s3_request_run(struct blob_s3_call *c, struct err *err);
/*
 * Put the failure that ${c} holds into ${err}; returns -1. ERR_NOT_FOUND: no such key; ERR_GONE: no
 * such multipart upload; ERR_EXISTS: the condition did not hold; ERR_DENIED; ERR_NO_SPACE;
 * ERR_TOO_LARGE; ERR_UNSUPPORTED: the service does not offer it; ERR_CORRUPT: parts do not fit
 * together; ERR_UNAVAILABLE, also for a bucket that does not exist.
 */
int blob_s3_request_failed(const struct blob_s3_call *c, struct err *err);
bool blob_s3_request_succeeded(const struct blob_s3_call *c);

/* Value of an ETag, without its quotation marks. -1: it does not fit. */
int blob_s3_request_etag(char *out, size_t size, const char *value);
/* Path of ${key} in a URL of the service: "/bucket/folder/key", encoded, appended. */
int blob_s3_request_path(const struct blob_s3_store *s, const char *key, struct buf *out);

#endif
