/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_SQS_MESSAGE_H
#define DEX_BACKENDS_SQS_MESSAGE_H

#include "core/store/subscribe_impl.h"

#include <stddef.h>

/* Messages in answers of SQS. Pure: bytes in, messages out. */

struct err;

struct sqs_message {
	struct subscribe_held held; /* its strings are owned */
	char *receipt;              /* ReceiptHandle: what a call names this receipt by */
};

/*
 * The messages of an answer to ReceiveMessage, at most ${max}; returns their number. An empty
 * answer has none. What SNS has wrapped (https://docs.aws.amazon.com/sns/latest/dg/
 * sns-sqs-as-subscriber.html) is unwrapped; a message without a receipt is left out. ERR_CORRUPT:
 * it is no such answer.
 */
int sqs_messages_parse(
	const char *text, size_t len, struct sqs_message **out, size_t max, struct err *err);
void sqs_message_free(struct sqs_message *m); /* NULL is fine */

#endif
