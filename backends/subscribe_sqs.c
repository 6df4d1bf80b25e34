/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events from an SQS queue. A lock is the queue's visibility timeout; a message that was received
 * too often without an end is moved to the queue for dead letters by the service.
 */
#include "backends/sqs_message.h"
#include "backends/sqs_queue.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 10
#define MAX_RECEIVES 5
#define WAIT_MAX_S 20
#define PROBE_MS 2000
#define ANSWER_MS 15000 /* beyond the time that a call waits for messages */
/* Ten messages of a megabyte each, with as many escapes again. */
#define ANSWER_MAX ((size_t)24 << 20)
/*
 * What cannot be heeded may be received again at once, so that it soon counts as a dead letter; but
 * not for ever, where the service lets it be received more often than this.
 */
#define HURRIED_RECEIVES 10

struct sqs_subscriber {
	struct subscriber base;
	struct sqs_queue_wanted wanted;
	pthread_mutex_t mutex; /* for what follows */
	bool ready;
	struct sqs_queue queue;
};

static void sqs_close(struct subscriber *base)
{
	struct sqs_subscriber *s = (struct sqs_subscriber *)base;

	aws_service_free(s->wanted.sqs);
	aws_service_free(s->wanted.sns);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static const char *setting(const struct subscribe_place *place, const char *variable)
{
	const char *value = place->setting ? place->setting(place->arg, variable) : NULL;

	return value && *value ? value : NULL;
}

static int get_number(const struct subscribe_place *place, const char *variable, uint64_t max,
	uint64_t *out, struct err *err)
{
	const char *value = setting(place, variable);

	if (!value || (str_to_u64(value, max, out) == 0 && *out > 0))
		return 0;
	return err_set(err, ERR_INVALID, __func__, "%s: expected a number 1 to %llu", variable,
		(unsigned long long)max);
}

static const char *nothing(void *arg, const char *variable)
{
	(void)arg;
	(void)variable;
	return NULL;
}

static struct subscriber *sqs_open(const struct subscribe_place *place, struct err *err)
{
	struct sqs_subscriber *s = mem_zalloc(sizeof(*s));
	struct sqs_queue_wanted *w = &s->wanted;
	aws_setting_fn *get = place->setting ? place->setting : nothing;
	const char *topic = setting(place, "SQS_SUBSCRIBER_TOPIC_ARN");
	uint64_t batch = BATCH_MAX;
	uint64_t receives = MAX_RECEIVES;

	pthread_mutex_init(&s->mutex, NULL);
	if (aws_arn_parse(place->where, "sqs", &w->queue, err) < 0 ||
		get_number(place, "SQS_SUBSCRIBER_MAX_MESSAGES", BATCH_MAX, &batch, err) < 0 ||
		get_number(place, "SQS_SUBSCRIBER_MAX_RETRIES", 1000, &receives, err) < 0)
		goto fail;
	s->base.batch = (size_t)batch;
	w->max_receives = (unsigned)receives;
	w->sqs = aws_service_new("sqs", &w->queue, get, place->arg, err);
	if (!w->sqs)
		goto fail;
	if (!topic)
		return &s->base;
	w->has_topic = true;
	if (aws_arn_parse(topic, "sns", &w->topic, err) == 0)
		w->sns = aws_service_new("sns", &w->topic, get, place->arg, err);
	if (w->sns)
		return &s->base;
	err_prefix(err, "SQS_SUBSCRIBER_TOPIC_ARN");
fail:
	sqs_close(&s->base);
	return NULL;
}

/* The queue as it was found or made; once, unless it vanishes. */
static int ready(struct sqs_subscriber *s, struct sqs_queue *out, struct err *err)
{
	int rc = 0;

	pthread_mutex_lock(&s->mutex);
	if (!s->ready)
		rc = sqs_queue_prepare(&s->wanted, &s->queue, err);
	s->ready = rc == 0;
	*out = s->queue;
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

static void forget_queue(struct sqs_subscriber *s)
{
	pthread_mutex_lock(&s->mutex);
	s->ready = false;
	pthread_mutex_unlock(&s->mutex);
}

static int receive(struct sqs_subscriber *s, const struct sqs_queue *q, struct aws_call *c,
	size_t max, struct subscribe_held **out, struct err *err)
{
	struct sqs_message *messages[BATCH_MAX];

	int rc = aws_call_run(c, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND)
		forget_queue(s);
	if (rc < 0)
		return -1;
	int64_t now = clock_mono_ms();
	int n = sqs_messages_parse(
		buf_str(&c->answer.body), c->answer.body.len, messages, max, err);
	for (int i = 0; i < n; i++) {
		messages[i]->held.locked_until = now + q->visible_ms;
		messages[i]->held.lock_ms = q->visible_ms;
		out[i] = &messages[i]->held;
	}
	return n;
}

static int sqs_receive(struct subscriber *base, size_t max, int64_t wait_ms,
	bool (*stop)(void *arg), void *arg, struct subscribe_held **out, struct err *err)
{
	struct sqs_subscriber *s = (struct sqs_subscriber *)base;
	int64_t wait_s = wait_ms / 1000 < WAIT_MAX_S ? wait_ms / 1000 : WAIT_MAX_S;
	struct sqs_queue q;
	struct aws_call c;

	if (ready(s, &q, err) < 0)
		return -1;
	aws_json_init(&c, s->wanted.sqs, "AmazonSQS.ReceiveMessage");
	max = max < BATCH_MAX ? max : BATCH_MAX;
	sqs_call_body(&c, json_pack("{s:s, s:i, s:I, s:[s]}", "QueueUrl", q.url,
				  "MaxNumberOfMessages", (int)max, "WaitTimeSeconds",
				  (json_int_t)wait_s, "AttributeNames", "ApproximateReceiveCount"));
	c.answer_max = ANSWER_MAX;
	c.deadline_ms = clock_mono_ms() + wait_s * 1000 + ANSWER_MS;
	c.stop = stop;
	c.stop_arg = arg;
	int n = receive(s, &q, &c, max, out, err);
	aws_call_free(&c);
	return n;
}

/* A call about one message; ${o} (taken over) is what it has beside queue and receipt. */
static int about(struct subscriber *base, const struct subscribe_held *h, const char *target,
	json_t *o, struct err *err)
{
	struct sqs_subscriber *s = (struct sqs_subscriber *)base;
	const struct sqs_message *m = (const struct sqs_message *)h;
	struct sqs_queue q;
	struct aws_call c;

	if (ready(s, &q, err) < 0) {
		json_decref(o);
		return -1;
	}
	json_object_set_new(o, "QueueUrl", json_string(q.url));
	json_object_set_new(o, "ReceiptHandle", json_string(m->receipt));
	aws_json_init(&c, s->wanted.sqs, target);
	sqs_call_body(&c, o);
	int rc = aws_call_run(&c, err);
	/* An old receipt, or a message that nobody has in hand any more. */
	if (rc < 0 && (err->code == ERR_INVALID || err->code == ERR_NOT_FOUND))
		err->code = ERR_GONE;
	aws_call_free(&c);
	return rc;
}

/* Nobody else sees the message for so long from now on. */
static int hide(
	struct subscriber *base, const struct subscribe_held *h, int64_t ms, struct err *err)
{
	return about(base, h, "AmazonSQS.ChangeMessageVisibility",
		json_pack("{s:I}", "VisibilityTimeout", (json_int_t)(ms / 1000)), err);
}

static int sqs_renew(struct subscriber *base, struct subscribe_held *h, struct err *err)
{
	int64_t from = clock_mono_ms();

	if (hide(base, h, h->lock_ms, err) < 0)
		return -1;
	h->locked_until = from + h->lock_ms;
	return 0;
}

static int sqs_complete(struct subscriber *base, struct subscribe_held *h, struct err *err)
{
	return about(base, h, "AmazonSQS.DeleteMessage", json_object(), err);
}

static int sqs_abandon(struct subscriber *base, struct subscribe_held *h, struct err *err)
{
	return hide(base, h, 0, err);
}

static int sqs_dead_letter(
	struct subscriber *base, struct subscribe_held *h, const char *reason, struct err *err)
{
	struct sqs_subscriber *s = (struct sqs_subscriber *)base;
	(void)reason; /* SQS has no place for it; it was logged */

	pthread_mutex_lock(&s->mutex);
	bool hurry = s->queue.redrives && h->m.count < HURRIED_RECEIVES;
	pthread_mutex_unlock(&s->mutex);
	return hurry ? hide(base, h, 0, err) : 0;
}

static void sqs_drop(struct subscribe_held *h)
{
	sqs_message_free((struct sqs_message *)h);
}

static int sqs_probe(struct subscriber *base, struct err *err)
{
	const struct sqs_subscriber *s = (const struct sqs_subscriber *)base;
	struct sqs_queue q;

	return sqs_queue_find(&s->wanted, clock_mono_ms() + PROBE_MS, &q, err);
}

static const char *const sqs_settings[] = {
	"SQS_SUBSCRIBER_TOPIC_ARN",
	"SQS_SUBSCRIBER_MAX_MESSAGES",
	"SQS_SUBSCRIBER_MAX_RETRIES",
	NULL,
};

const struct subscribe_backend subscribe_sqs_backend = {
	.type = "sqs",
	.env = "SQS_SUBSCRIBER_EVENT_ARN",
	.settings = sqs_settings,
	.open = sqs_open,
	.close = sqs_close,
	.receive = sqs_receive,
	.renew = sqs_renew,
	.complete = sqs_complete,
	.abandon = sqs_abandon,
	.dead_letter = sqs_dead_letter,
	.drop = sqs_drop,
	.probe = sqs_probe,
};
