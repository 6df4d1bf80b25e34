/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_SNS_TOPIC_H
#define DEX_BACKENDS_SNS_TOPIC_H

#include "backends/aws_service.h"

/* A topic of SNS itself (https://docs.aws.amazon.com/sns/latest/api/); errors as of aws_call_run.
 */

struct err;

/* Does nothing where the topic is there already. ERR_DENIED also for keys of another account. */
int sns_topic_make(struct aws_service *sns, const struct aws_arn *topic, struct err *err);
/*
 * Let ${queue} get what is sent to the topic, as it was sent. Does nothing where it does already;
 * ERR_INVALID where it gets it in another form. ERR_NOT_FOUND: there is no such topic.
 */
int sns_topic_subscribe(struct aws_service *sns, const struct aws_arn *topic,
	const struct aws_arn *queue, struct err *err);

#endif
