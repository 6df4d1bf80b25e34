/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/sns_topic.h"

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/net/xml.h"

#include <string.h>

struct made {
	char arn[sizeof(((struct aws_arn *)0)->text)];
};

static int made_element(void *arg, const char *path, const char *text)
{
	struct made *m = arg;

	if (strcmp(path, "CreateTopicResponse/CreateTopicResult/TopicArn") == 0)
		(void)str_copy(m->arn, sizeof(m->arn), text);
	return 0;
}

int sns_topic_make(struct aws_service *sns, const struct aws_arn *topic, struct err *err)
{
	struct made made = {""};
	struct aws_call c;

	aws_query_init(&c, sns, "CreateTopic");
	aws_query_param(&c, "Name", topic->name);
	if (topic->fifo) {
		aws_query_param(&c, "Attributes.entry.1.key", "FifoTopic");
		aws_query_param(&c, "Attributes.entry.1.value", "true");
	}
	int rc = aws_call_run(&c, err);
	if (rc == 0)
		rc = xml_parse(
			buf_str(&c.answer.body), c.answer.body.len, made_element, &made, err);
	aws_call_free(&c);
	if (rc == 0 && strcmp(made.arn, topic->text) != 0)
		rc = err_set(err, ERR_DENIED, __func__,
			"the keys belong to another account: made %s instead", made.arn);
	if (rc < 0)
		return err_prefix(err, "topic %s cannot be made", topic->name);
	LOG(LOG_LEVEL_INFO, "topic made", log_str("topic", topic->text));
	return 0;
}

int sns_topic_subscribe(struct aws_service *sns, const struct aws_arn *topic,
	const struct aws_arn *queue, struct err *err)
{
	struct aws_call c;

	aws_query_init(&c, sns, "Subscribe");
	aws_query_param(&c, "TopicArn", topic->text);
	aws_query_param(&c, "Protocol", "sqs");
	aws_query_param(&c, "Endpoint", queue->text);
	aws_query_param(&c, "Attributes.entry.1.key", "RawMessageDelivery");
	aws_query_param(&c, "Attributes.entry.1.value", "true");
	int rc = aws_call_run(&c, err);
	aws_call_free(&c);
	return rc < 0 ? err_prefix(err, "subscription to topic %s", topic->name) : 0;
}
