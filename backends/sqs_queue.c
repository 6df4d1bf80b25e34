/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/sqs_queue.h"

#include "backends/sns_topic.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD "-dead"
#define FIFO ".fifo"
#define NAME_MAX_BYTES 80
#define VISIBLE_S 60
#define DEAD_LETTERS_KEPT_S "1209600" /* 14 days, the longest there is */
#define WAIT_S "20"

void sqs_call_body(struct aws_call *c, json_t *o)
{
	(void)json_write(&c->body, o);
	json_decref(o);
}

/* Run a call of ${o} (taken over); its answer, or NULL + ${err}. */
static json_t *call(const struct sqs_queue_wanted *w, const char *target, json_t *o,
	int64_t deadline_ms, struct err *err)
{
	struct aws_call c;
	json_t *answer = NULL;

	aws_json_init(&c, w->sqs, target);
	sqs_call_body(&c, o);
	c.deadline_ms = deadline_ms;
	if (aws_call_run(&c, err) == 0)
		answer = json_parse(buf_str(&c.answer.body), c.answer.body.len, err);
	aws_call_free(&c);
	return answer;
}

static int url_of(const json_t *answer, char url[SQS_URL_MAX], struct err *err)
{
	const char *text = json_get_str(answer, "QueueUrl");

	if (text && *text && str_copy(url, SQS_URL_MAX, text))
		return 0;
	return err_set(err, ERR_CORRUPT, __func__, "the answer has no address of a queue");
}

int sqs_queue_find(const struct sqs_queue_wanted *w, int64_t deadline_ms, struct sqs_queue *out,
	struct err *err)
{
	json_t *answer = call(w, "AmazonSQS.GetQueueUrl",
		json_pack("{s:s, s:s}", "QueueName", w->queue.name, "QueueOwnerAWSAccountId",
			w->queue.account),
		deadline_ms, err);
	int rc = answer ? url_of(answer, out->url, err) : -1;

	json_decref(answer);
	return rc;
}

/* Name of the queue for dead letters: "events-dead", "events-dead.fifo". */
static int dead_name(const struct aws_arn *queue, char out[NAME_MAX_BYTES + 1], struct err *err)
{
	size_t plain = strlen(queue->name) - (queue->fifo ? strlen(FIFO) : 0);
	int n = snprintf(out, NAME_MAX_BYTES + 1, "%.*s" DEAD "%s", (int)plain, queue->name,
		queue->fifo ? FIFO : "");

	if (n > 0 && n <= NAME_MAX_BYTES)
		return 0;
	return err_set(err, ERR_INVALID, __func__,
		"no queue for dead letters can have so long a name: %s" DEAD, queue->name);
}

/* An object as the text that attributes hold; ${o} is taken over. */
static json_t *as_text(json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);
	json_t *s = json_string(text);

	free(text);
	json_decref(o);
	return s;
}

static void set_fifo(json_t *attributes, const struct aws_arn *queue)
{
	if (queue->fifo)
		json_object_set_new(attributes, "FifoQueue", json_string("true"));
}

static int create(const struct sqs_queue_wanted *w, const char *name, json_t *attributes,
	char url[SQS_URL_MAX], struct err *err)
{
	json_t *answer = call(w, "AmazonSQS.CreateQueue",
		json_pack("{s:s, s:o}", "QueueName", name, "Attributes", attributes), 0, err);
	int rc = answer ? url_of(answer, url, err) : -1;

	json_decref(answer);
	if (rc < 0)
		return err_prefix(err, "queue %s cannot be made", name);
	LOG(LOG_LEVEL_INFO, "queue made", log_str("queue", name));
	return 0;
}

/* What its attributes say, as text; NULL for what it has not. The caller decrefs it. */
static json_t *attributes_of(const struct sqs_queue_wanted *w, const char *url, struct err *err)
{
	json_t *answer = call(w, "AmazonSQS.GetQueueAttributes",
		json_pack("{s:s, s:[ssss]}", "QueueUrl", url, "AttributeNames", "QueueArn",
			"VisibilityTimeout", "RedrivePolicy", "Policy"),
		0, err);
	json_t *attributes = json_incref(json_object_get(answer, "Attributes"));

	json_decref(answer);
	if (answer && !attributes)
		err_set(err, ERR_CORRUPT, __func__, "the answer has no attributes");
	return attributes;
}

/* Leave for the topic, and nobody else, to send to the queue. */
static json_t *policy(const struct sqs_queue_wanted *w)
{
	return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:s, s:{s:{s:s}}}]}", "Version",
		"2012-10-17", "Statement", "Effect", "Allow", "Principal", "Service",
		"sns.amazonaws.com", "Action", "sqs:SendMessage", "Resource", w->queue.text,
		"Condition", "ArnEquals", "aws:SourceArn", w->topic.text);
}

/* The queue for dead letters first: one that is there has all it needs, whenever we die. */
static int make(const struct sqs_queue_wanted *w, struct sqs_queue *out, struct err *err)
{
	char name[NAME_MAX_BYTES + 1];
	char url[SQS_URL_MAX];
	char arn[sizeof(w->queue.text) + sizeof(DEAD)];
	char text[16];

	if (dead_name(&w->queue, name, err) < 0)
		return -1;
	json_t *dead = json_pack("{s:s, s:o}", "MessageRetentionPeriod", DEAD_LETTERS_KEPT_S,
		"RedriveAllowPolicy",
		as_text(json_pack("{s:s, s:[s]}", "redrivePermission", "byQueue", "sourceQueueArns",
			w->queue.text)));
	set_fifo(dead, &w->queue);
	if (create(w, name, dead, url, err) < 0)
		return -1;
	size_t prefix = strlen(w->queue.text) - strlen(w->queue.name);
	(void)snprintf(arn, sizeof(arn), "%.*s%s", (int)prefix, w->queue.text, name);
	json_t *attributes =
		json_pack("{s:s, s:o}", "ReceiveMessageWaitTimeSeconds", WAIT_S, "RedrivePolicy",
			as_text(json_pack("{s:s, s:i}", "deadLetterTargetArn", arn,
				"maxReceiveCount", (int)w->max_receives)));
	(void)snprintf(text, sizeof(text), "%d", VISIBLE_S);
	json_object_set_new(attributes, "VisibilityTimeout", json_string(text));
	if (w->has_topic)
		json_object_set_new(attributes, "Policy", as_text(policy(w)));
	set_fifo(attributes, &w->queue);
	return create(w, w->queue.name, attributes, out->url, err);
}

/* What somebody else set up is not ours to change, but a person should know what it will do. */
static void look_at(const struct sqs_queue_wanted *w, const json_t *attributes)
{
	const char *redrive = json_get_str(attributes, "RedrivePolicy");
	const char *allows = json_get_str(attributes, "Policy");

	if (!redrive)
		LOG(LOG_LEVEL_WARN,
			"the queue has no redrive policy: an event that cannot be heeded comes "
			"back until it is too old",
			log_str("queue", w->queue.text));
	if (w->has_topic && (!allows || !strstr(allows, w->topic.text)))
		LOG(LOG_LEVEL_WARN, "the policy of the queue does not name the topic",
			log_str("queue", w->queue.text), log_str("topic", w->topic.text));
}

static int subscribe(const struct sqs_queue_wanted *w, struct err *err)
{
	int rc = sns_topic_subscribe(w->sns, &w->topic, &w->queue, err);

	if (rc < 0 && err->code == ERR_NOT_FOUND && sns_topic_make(w->sns, &w->topic, err) == 0)
		rc = sns_topic_subscribe(w->sns, &w->topic, &w->queue, err);
	/* A person may have subscribed it, with rights that we lack, or otherwise than we would. */
	if (rc < 0 && (err->code == ERR_DENIED || err->code == ERR_INVALID)) {
		LOG(LOG_LEVEL_WARN, "the queue is not subscribed to the topic by us",
			log_str("queue", w->queue.text), log_str("topic", w->topic.text),
			log_err(err));
		rc = 0;
	}
	return rc;
}

int sqs_queue_prepare(const struct sqs_queue_wanted *w, struct sqs_queue *out, struct err *err)
{
	uint64_t seconds = VISIBLE_S;

	*out = (struct sqs_queue){0};
	int rc = sqs_queue_find(w, 0, out, err);
	bool there = rc == 0;
	if (rc < 0 && err->code == ERR_NOT_FOUND)
		rc = make(w, out, err);
	json_t *attributes = rc == 0 ? attributes_of(w, out->url, err) : NULL;
	if (!attributes)
		return -1;
	const char *arn = json_get_str(attributes, "QueueArn");
	const char *visible = json_get_str(attributes, "VisibilityTimeout");
	if (!str_eq(arn, w->queue.text)) {
		err_set(err, ERR_DENIED, __func__, "the keys belong to another account: %s is %s",
			w->queue.text, arn ? arn : "unknown");
		json_decref(attributes);
		return -1;
	}
	if (there)
		look_at(w, attributes);
	/* 0 would hide nothing; nor could it be renewed. */
	if (!visible || str_to_u64(visible, 43200, &seconds) < 0 || seconds == 0)
		seconds = VISIBLE_S;
	out->visible_ms = (int64_t)seconds * 1000;
	out->redrives = json_get_str(attributes, "RedrivePolicy") != NULL;
	json_decref(attributes);
	return w->has_topic ? subscribe(w, err) : 0;
}
