/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_SQS_QUEUE_H
#define DEX_BACKENDS_SQS_QUEUE_H

#include "backends/aws_service.h"
#include "core/base/json.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Making a queue ready (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/): it
 * is made when it is missing, with a queue for dead letters and leave for the topic to send to it,
 * and subscribed to the topic. What is there already is left as it is.
 */

struct err;

#define SQS_URL_MAX 1024

struct sqs_queue_wanted {
	struct aws_arn queue;
	bool has_topic;
	struct aws_arn topic;
	unsigned max_receives; /* then a message is a dead letter */
	struct aws_service *sqs;
	struct aws_service *sns; /* NULL without a topic */
};
struct sqs_queue {
	char url[SQS_URL_MAX]; /* just as the service names it */
	int64_t visible_ms;    /* so long nobody else sees what was received */
	bool redrives;         /* dead letters go to another queue */
};

/*
 * Safe to repeat. Rights that only making something would need are missed with a warning where all
 * is there.
 */
int sqs_queue_prepare(const struct sqs_queue_wanted *w, struct sqs_queue *out, struct err *err);
/* A JSON object as the body of a call; ${o} is taken over. */
void sqs_call_body(struct aws_call *c, json_t *o);
/* Only where the queue is; ERR_NOT_FOUND: there is none. */
int sqs_queue_find(const struct sqs_queue_wanted *w, int64_t deadline_ms, struct sqs_queue *out,
	struct err *err);

#endif
