/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/sqs_message.h"

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/*
 * What was published, where ${body} is SNS's envelope around it, else NULL. The caller frees it.
 * An event has neither `Type` nor `TopicArn`.
 */
static char *unwrap(const char *body)
{
	json_t *o = json_parse(body, strlen(body), NULL);
	const char *type = o ? json_get_str(o, "Type") : NULL;
	const char *message = o ? json_get_str(o, "Message") : NULL;
	bool wrapped =
		type && str_eq(type, "Notification") && message && json_get_str(o, "TopicArn");
	char *inner = wrapped ? mem_strdup(message) : NULL;

	json_decref(o);
	return inner;
}

static unsigned receive_count(const json_t *m)
{
	const char *text =
		json_get_str(json_object_get(m, "Attributes"), "ApproximateReceiveCount");
	uint64_t n = 0;

	return text && str_to_u64(text, UINT_MAX, &n) == 0 ? (unsigned)n : 0;
}

static struct sqs_message *read_one(const json_t *m)
{
	const char *receipt = json_get_str(m, "ReceiptHandle");
	const char *body = json_get_str(m, "Body");
	const char *id = json_get_str(m, "MessageId");

	if (!receipt)
		return NULL;
	struct sqs_message *out = mem_zalloc(sizeof(*out));
	char *data = body ? unwrap(body) : NULL;
	if (!data)
		data = mem_strdup(body ? body : "");
	out->receipt = mem_strdup(receipt);
	out->held.m = (struct subscribe_message){
		.data = data,
		.len = strlen(data),
		.id = mem_strdup(id ? id : ""),
		.count = receive_count(m),
	};
	return out;
}

int sqs_messages_parse(
	const char *text, size_t len, struct sqs_message **out, size_t max, struct err *err)
{
	struct err cause;
	size_t n = 0;
	size_t i;
	json_t *m;

	if (len == 0)
		return 0;
	json_t *o = json_parse(text, len, &cause);
	const json_t *list = o ? json_object_get(o, "Messages") : NULL;
	if (!o || (list && !json_is_array(list) && !json_is_null(list))) {
		json_decref(o);
		return err_set(err, ERR_CORRUPT, __func__, "the answer is no list of messages%s%s",
			o ? "" : ": ", o ? "" : cause.text);
	}
	json_array_foreach (list, i, m) {
		struct sqs_message *one = n < max ? read_one(m) : NULL;
		if (one)
			out[n++] = one;
	}
	json_decref(o);
	return (int)n;
}

void sqs_message_free(struct sqs_message *m)
{
	if (!m)
		return;
	free((void *)(uintptr_t)m->held.m.data);
	free((void *)(uintptr_t)m->held.m.id);
	free(m->receipt);
	free(m);
}
