/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_AWS_SERVICE_H
#define DEX_BACKENDS_AWS_SERVICE_H

#include "core/base/buf.h"
#include "core/net/aws_signer.h"
#include "core/net/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Requests to SNS (Query protocol: a form, answered in XML) and to SQS (JSON protocol,
 * https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html): signed, repeated where that
 * helps, failures put into words.
 */

struct err;

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME of a topic or a queue. */
struct aws_arn {
	char text[384];
	char partition[16];
	char region[32];
	char account[16];
	char name[257];
	bool fifo; /* the name ends with ".fifo" */
};
/*
 * ${service}: "sns" or "sqs". ERR_INVALID says what is wrong, and names no more than the text.
 */
int aws_arn_parse(const char *text, const char *service, struct aws_arn *out, struct err *err);

/* Value of a variable, NULL or "" for none. */
typedef const char *aws_setting_fn(void *arg, const char *variable);

struct aws_service;
/*
 * The service of ${arn}'s region: at AWS_ENDPOINT_URL_SNS (or _SQS), else AWS_ENDPOINT_URL, else
 * where AWS has it. Keys: aws_credentials.h. Makes no connection. Safe from any thread.
 */
struct aws_service *aws_service_new(const char *service, const struct aws_arn *arn,
	aws_setting_fn *setting, void *arg, struct err *err);
void aws_service_free(struct aws_service *s); /* NULL is fine */

struct aws_call {
	struct buf body;         /* what is sent */
	size_t answer_max;       /* bytes of the answer; 0: 256 KiB */
	int64_t deadline_ms;     /* clock_mono_ms(), tries and pauses included; 0: in 20 s */
	bool once;               /* do not repeat what may have been heeded */
	bool (*stop)(void *arg); /* as in struct net_request */
	void *stop_arg;

	struct net_response answer;
	char code[96];     /* of the service's error, "" for none */
	char message[160]; /* its words, printable */

	struct aws_service *service;
	const char *target; /* of a JSON call, NULL of a Query */
	char payload[65];
	struct aws_signer_tries signing;
};

/* A form with Action=${action}; aws_query_param adds to it. */
void aws_query_init(struct aws_call *c, struct aws_service *s, const char *action);
void aws_query_param(struct aws_call *c, const char *name, const char *value);
/* As aws_query_param, ${name} being formatted: "Entry.%zu.Id". */
void aws_query_param_at(struct aws_call *c, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A JSON call; ${target}: "AmazonSQS.ReceiveMessage". Its body is written by the caller. */
void aws_json_init(struct aws_call *c, struct aws_service *s, const char *target);
void aws_call_free(struct aws_call *c);

/*
 * 0: a 2xx answer in ${c}. -1: ERR_NOT_FOUND: no such topic or queue; ERR_INVALID: the service will
 * never take this; ERR_DENIED: keys or rights; ERR_UNAVAILABLE: out of reach or busy; ERR_EXISTS;
 * ERR_IO: whatever else. The text has the service's code and words, no key.
 */
int aws_call_run(struct aws_call *c, struct err *err);

#endif
