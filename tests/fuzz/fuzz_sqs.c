/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of SNS and SQS: messages with SNS's envelope around them or without, and refusals. */
#include "backends/aws_error.h"
#include "backends/aws_service.h"
#include "backends/sqs_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_messages(const uint8_t *data, size_t size)
{
	struct sqs_message *messages[MESSAGES];
	struct err err;
	int n = sqs_messages_parse((const char *)data, size, messages, MESSAGES, &err);

	for (int i = 0; i < n; i++) {
		if (!messages[i]->receipt ||
			strlen(messages[i]->held.m.data) != messages[i]->held.m.len)
			abort();
		sqs_message_free(messages[i]);
	}
}

static void read_error(const uint8_t *data, size_t size)
{
	struct net_response a;
	char code[96];
	char message[160];

	net_response_init(&a, 0);
	(void)buf_add(&a.body, data, size);
	aws_error_read(&a, code, sizeof(code), message, sizeof(message));
	for (const char *p = message; *p; p++) {
		if (*p < 0x20 || *p > 0x7e)
			abort();
	}
	net_response_free(&a);
}

static void read_arn(const uint8_t *data, size_t size)
{
	struct aws_arn arn;
	struct err err;
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (aws_arn_parse(text, "sqs", &arn, &err) == 0 && strcmp(arn.text, text) != 0)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_messages(data, size);
	read_error(data, size);
	read_arn(data, size);
	return 0;
}
