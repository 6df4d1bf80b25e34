/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports and events to an SNS topic (https://docs.aws.amazon.com/sns/latest/api/). A topic that is
 * missing is made with the first message. A ".fifo" topic keeps the order of each upload, and drops
 * what is sent again within five minutes.
 */
#include "backends/aws_error.h"
#include "backends/aws_service.h"
#include "backends/sns_topic.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/sigv4.h"
#include "core/net/xml.h"
#include "core/store/publish_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX ((size_t)262144) /* bytes, attributes included */
#define BATCH_MAX 10
#define BATCH_FAILED "PublishBatchResponse/PublishBatchResult/Failed/member"
#define PROBE_MS 2000

struct sns_publisher {
	struct publisher base;
	struct aws_arn topic;
	struct aws_service *service;
};

static void sns_close(struct publisher *base)
{
	struct sns_publisher *p = (struct sns_publisher *)base;

	aws_service_free(p->service);
	free(p);
}

static struct publisher *sns_open(const struct publish_place *place, struct err *err)
{
	struct sns_publisher *p = mem_zalloc(sizeof(*p));

	if (aws_arn_parse(place->where, "sns", &p->topic, err) == 0)
		p->service = aws_service_new("sns", &p->topic, place->setting, place->arg, err);
	if (p->service)
		return &p->base;
	sns_close(&p->base);
	return NULL;
}

struct attribute {
	const char *name;
	const char *value;
};
#define ATTRIBUTES 3

/* What subscriptions can filter by without a look into the message. */
static void describe(const struct publish_message *m, struct attribute out[ATTRIBUTES])
{
	out[0] = (struct attribute){"upload_id", m->upload_id};
	out[1] = (struct attribute){"message_type", m->name};
	out[2] = (struct attribute){"disposition", m->replace ? "replace" : "add"};
}

static size_t size_of(const struct publish_message *m)
{
	struct attribute a[ATTRIBUTES];
	size_t size = m->len;

	describe(m, a);
	for (size_t i = 0; i < ATTRIBUTES; i++)
		size += strlen(a[i].name) + strlen("String") + strlen(a[i].value);
	return size;
}

static int check_size(const struct publish_message *m, struct err *err)
{
	size_t size = size_of(m);

	if (size <= MESSAGE_MAX)
		return 0;
	return err_set(err, ERR_TOO_LARGE, __func__, "%zu bytes are more than a topic takes (%zu)",
		size, MESSAGE_MAX);
}

/* U+FFFE and U+FFFF may stand in JSON, but not in a message: there they are escaped. */
static char *message_text(const struct publish_message *m)
{
	struct buf b;

	buf_init(&b, 2 * m->len);
	for (size_t i = 0; i < m->len; i++) {
		bool barred = m->len - i >= 3 && memcmp(m->data + i, "\xef\xbf", 2) == 0 &&
			      (unsigned char)m->data[i + 2] >= 0xbe;
		if (barred)
			(void)buf_add_str(&b, m->data[i + 2] == '\xbe' ? "\\ufffe" : "\\uffff");
		else
			(void)buf_add_char(&b, m->data[i]);
		i += barred ? 2 : 0;
	}
	return buf_take(&b);
}

/* The same for a message that is sent again, another one for every other. */
static void deduplication_id(const struct publish_message *m, char out[65])
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	(void)buf_printf(&b, "%s\n%s\n", m->upload_id, m->name);
	(void)buf_add(&b, m->data, m->len);
	sigv4_payload_hash(out, b.data, b.len);
	buf_free(&b);
}

static void add_message(struct aws_call *c, const struct sns_publisher *p,
	const struct publish_message *m, const char *prefix)
{
	struct attribute a[ATTRIBUTES];
	char id[65];
	char *text = message_text(m);

	aws_query_param_at(c, text, "%sMessage", prefix);
	free(text);
	describe(m, a);
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		aws_query_param_at(
			c, a[i].name, "%sMessageAttributes.entry.%zu.Name", prefix, i + 1);
		aws_query_param_at(
			c, "String", "%sMessageAttributes.entry.%zu.Value.DataType", prefix, i + 1);
		aws_query_param_at(c, a[i].value, "%sMessageAttributes.entry.%zu.Value.StringValue",
			prefix, i + 1);
	}
	if (!p->topic.fifo)
		return;
	deduplication_id(m, id);
	aws_query_param_at(c, m->upload_id, "%sMessageGroupId", prefix);
	aws_query_param_at(c, id, "%sMessageDeduplicationId", prefix);
}

static int publish(struct sns_publisher *p, const struct publish_message *m, struct err *err)
{
	struct aws_call c;

	aws_query_init(&c, p->service, "Publish");
	aws_query_param(&c, "TopicArn", p->topic.text);
	add_message(&c, p, m, "");
	int rc = aws_call_run(&c, err);
	/* That the topic's name is wrong is no fault of the message. */
	if (rc < 0 && err->code == ERR_INVALID && strstr(c.message, "TopicArn"))
		err->code = ERR_IO;
	aws_call_free(&c);
	return rc;
}

static int make_topic(const struct sns_publisher *p, struct err *err)
{
	int rc = sns_topic_make(p->service, &p->topic, err);

	/* Which is no fault of the message. */
	if (rc < 0 && err->code == ERR_INVALID)
		err->code = ERR_IO;
	return rc;
}

static int sns_send(
	struct publisher *base, const struct publish_message *m, bool repeat, struct err *err)
{
	struct sns_publisher *p = (struct sns_publisher *)base;
	(void)repeat; /* a topic cannot be asked for what it was sent */

	if (check_size(m, err) < 0)
		return -1;
	int rc = publish(p, m, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND && make_topic(p, err) == 0)
		rc = publish(p, m, err);
	return rc;
}

struct refusals {
	size_t n;
	char code[64]; /* of the first one */
};

static int batch_element(void *arg, const char *path, const char *text)
{
	struct refusals *r = arg;

	if (strcmp(path, BATCH_FAILED "/Id") == 0)
		r->n++;
	else if (strcmp(path, BATCH_FAILED "/Code") == 0 && !r->code[0])
		(void)str_copy(r->code, sizeof(r->code), text);
	return 0;
}

/* The answer is 200 whatever became of the single messages. */
static int judge_batch(const struct aws_call *c, struct err *err)
{
	struct refusals r = {0};

	if (xml_parse(buf_str(&c->answer.body), c->answer.body.len, batch_element, &r, err) < 0) {
		err->code = ERR_UNAVAILABLE;
		return -1;
	}
	if (r.n == 0)
		return 0;
	str_make_printable(r.code, '?');
	return err_set(err, aws_error_code(r.code, 400), __func__,
		"%zu messages of a batch are refused: %s", r.n, r.code);
}

static int publish_batch(
	struct sns_publisher *p, const struct publish_message *m, size_t n, struct err *err)
{
	struct aws_call c;
	char prefix[64];
	char id[24];

	aws_query_init(&c, p->service, "PublishBatch");
	aws_query_param(&c, "TopicArn", p->topic.text);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(
			prefix, sizeof(prefix), "PublishBatchRequestEntries.member.%zu.", i + 1);
		(void)snprintf(id, sizeof(id), "%zu", i + 1);
		aws_query_param_at(&c, id, "%sId", prefix);
		add_message(&c, p, &m[i], prefix);
	}
	int rc = aws_call_run(&c, err);
	if (rc == 0)
		rc = judge_batch(&c, err);
	aws_call_free(&c);
	return rc;
}

/*
 * Where the order counts they go singly: of a batch some may be taken and one before them not, and
 * nothing puts that one in its place again.
 */
static int sns_send_many(struct publisher *base, const struct publish_message *m, size_t n,
	size_t *sent, struct err *err)
{
	struct sns_publisher *p = (struct sns_publisher *)base;
	size_t size = size_of(&m[0]);
	size_t k = 1;

	while (!p->topic.fifo && k < n && k < BATCH_MAX && size + size_of(&m[k]) <= MESSAGE_MAX)
		size += size_of(&m[k++]);
	*sent = k;
	if (k == 1)
		return sns_send(base, m, true, err);
	int rc = publish_batch(p, m, k, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND && make_topic(p, err) == 0)
		rc = publish_batch(p, m, k, err);
	return rc;
}

static int sns_probe(struct publisher *base, struct err *err)
{
	struct sns_publisher *p = (struct sns_publisher *)base;
	struct aws_call c;

	aws_query_init(&c, p->service, "GetTopicAttributes");
	aws_query_param(&c, "TopicArn", p->topic.text);
	c.deadline_ms = clock_mono_ms() + PROBE_MS;
	c.once = true;
	int rc = aws_call_run(&c, err);
	aws_call_free(&c);
	return rc;
}

const struct publish_backend publish_sns_backend = {
	.type = "sns",
	.reports_env = "SNS_REPORTER_EVENT_ARN",
	.events_env = "SNS_PUBLISHER_EVENT_ARN",
	.open = sns_open,
	.close = sns_close,
	.send = sns_send,
	.send_many = sns_send_many,
	.probe = sns_probe,
};
