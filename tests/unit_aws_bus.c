/* SPDX-License-Identifier: Apache-2.0 */
/* SNS and SQS: names, messages, and what an answer means. The service itself: tests/e2e. */
#include "backends/aws_service.h"
#include "backends/registry.h"
#include "backends/sqs_message.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/publish.h"
#include "tests/lib/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "2b1c4f0e-9a55-4a11-8d3e-0f6f6f1c2d3e"
#define TOPIC "arn:aws:sns:eu-west-1:123456789012:reports"

static void names_are_checked(void **state)
{
	static const char *const wrong[] = {"", "reports", "arn:aws:sns:eu-west-1:123456789012",
		"arn:aws:sns:eu-west-1:123456789012:", "arn:aws:sqs:eu-west-1:123456789012:reports",
		"arn:aws:sns::123456789012:reports", "arn:aws:sns:eu west:123456789012:reports",
		"arn:aws:sns:eu-west-1:123456789012:a:b", "arn:aws:sns:eu-west-1:123456789012:a/b",
		"arn:aws:sns:eu-west-1:123456789012:.fifo", "arn:aws:sns:eu-west-1:1:a.b",
		"arn:aws:sns:evil.example.org/:123456789012:a", "xrn:aws:sns:eu-west-1:1:a"};
	struct aws_arn arn;
	struct err err;
	(void)state;

	assert_int_equal(aws_arn_parse(TOPIC, "sns", &arn, &err), 0);
	assert_string_equal(arn.text, TOPIC);
	assert_string_equal(arn.partition, "aws");
	assert_string_equal(arn.region, "eu-west-1");
	assert_string_equal(arn.account, "123456789012");
	assert_string_equal(arn.name, "reports");
	assert_false(arn.fifo);
	assert_int_equal(aws_arn_parse(TOPIC ".fifo", "sns", &arn, &err), 0);
	assert_true(arn.fifo);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (aws_arn_parse(wrong[i], "sns", &arn, &err) == 0)
			fail_msg("%s is taken", wrong[i]);
		assert_int_equal(err.code, ERR_INVALID);
	}
}

static int parse(const char *text, struct sqs_message **out, struct err *err)
{
	return sqs_messages_parse(text, strlen(text), out, 10, err);
}

static void assert_data(const char *answer, const char *data)
{
	struct sqs_message *m[10];
	struct err err;

	assert_int_equal(parse(answer, m, &err), 1);
	assert_string_equal(m[0]->held.m.data, data);
	assert_int_equal(m[0]->held.m.len, strlen(data));
	sqs_message_free(m[0]);
}

static void messages_are_read(void **state)
{
	struct sqs_message *m[10];
	struct err err;
	(void)state;

	assert_int_equal(parse("", m, &err), 0);
	assert_int_equal(parse("{}", m, &err), 0);
	assert_int_equal(parse("{\"Messages\":null}", m, &err), 0);
	assert_int_equal(parse("{\"Messages\":[1,{\"Body\":\"no receipt\"}]}", m, &err), 0);
	assert_int_equal(parse("{\"Messages\":{}}", m, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(parse("<html>", m, &err), -1);
	assert_int_equal(err.code, ERR_CORRUPT);

	assert_int_equal(
		parse("{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\","
		      "\"Body\":\"{}\",\"Attributes\":{\"ApproximateReceiveCount\":\"3\"}},"
		      "{\"ReceiptHandle\":\"s\"}]}",
			m, &err),
		2);
	assert_string_equal(m[0]->receipt, "r");
	assert_string_equal(m[0]->held.m.id, "m");
	assert_int_equal(m[0]->held.m.count, 3);
	assert_string_equal(m[1]->held.m.data, "");
	assert_int_equal(m[1]->held.m.count, 0);
	sqs_message_free(m[0]);
	sqs_message_free(m[1]);
	sqs_message_free(NULL);
}

#define ONE(body) "{\"Messages\":[{\"ReceiptHandle\":\"r\",\"Body\":\"" body "\"}]}"
#define IN_ENVELOPE "{\\\"Type\\\":\\\"Notification\\\",\\\"TopicArn\\\":\\\"t\\\","

static void envelopes_are_opened(void **state)
{
	(void)state;
	assert_data(ONE(IN_ENVELOPE "\\\"Message\\\":\\\"text\\\"}"), "text");
	assert_data(ONE(IN_ENVELOPE "\\\"Message\\\":\\\"\\\"}"), "");
	/* What only looks like one is the message itself. */
	assert_data(ONE(IN_ENVELOPE "\\\"Message\\\":1}"),
		"{\"Type\":\"Notification\",\"TopicArn\":\"t\",\"Message\":1}");
	assert_data(ONE("{\\\"Type\\\":\\\"Notification\\\",\\\"Message\\\":\\\"x\\\"}"),
		"{\"Type\":\"Notification\",\"Message\":\"x\"}");
	assert_data(ONE("no JSON"), "no JSON");
}

struct world {
	struct http_server *server;
	struct publisher *p;
	struct err err;
	int status; /* of the next answers but CreateTopic's */
	const char *body;
	bool there; /* false: 404 until CreateTopic */
};

static const char *setting(void *arg, const char *variable)
{
	const struct world *w = arg;

	if (strcmp(variable, "AWS_ENDPOINT_URL_SNS") == 0)
		return http_server_url(w->server);
	if (strcmp(variable, "AWS_ACCESS_KEY_ID") == 0)
		return "AKIA";
	return strcmp(variable, "AWS_SECRET_ACCESS_KEY") == 0 ? "secret" : NULL;
}

static bool says(const struct http_server_request *q, const char *text)
{
	return strstr(buf_str(&q->body), text) != NULL;
}

static void answer(void *arg, const struct http_server_request *q, struct http_server_answer *a)
{
	struct world *w = arg;

	if (says(q, "Action=CreateTopic&")) {
		w->there = true;
		(void)buf_add_str(&a->body,
			"<CreateTopicResponse><CreateTopicResult><TopicArn>" TOPIC
			"</TopicArn></CreateTopicResult></CreateTopicResponse>");
	} else if (!w->there) {
		a->status = 404;
		(void)buf_add_str(&a->body,
			"<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>");
	} else {
		a->status = w->status;
		(void)buf_add_str(&a->body, w->body);
	}
}

static int setup(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));
	w->status = 200;
	w->body = "";
	w->there = true;
	w->server = http_server_start(answer, w);
	struct publish_place place = {.where = TOPIC, .setting = setting, .arg = w};
	w->p = publish_open(registry_find_publish("sns"), "sink", &place, &w->err);
	*state = w;
	return w->p ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	publish_close(w->p);
	http_server_stop(w->server);
	free(w);
	return 0;
}

static int send(struct world *w, const char *data, size_t len)
{
	struct publish_message m = {
		.upload_id = ID, .name = "upload-started", .data = data, .len = len};
	return publish_send(w->p, &m, true, &w->err);
}

static void messages_have_attributes(void **state)
{
	struct world *w = *state;
	const char *data = "{\"n\":\"\xef\xbf\xbe+ &\"}";

	assert_int_equal(send(w, data, strlen(data)), 0);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_true(says(q, "TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Areports&"));
	assert_true(says(q, "Message=%7B%22n%22%3A%22%5Cufffe%2B%20%26%22%7D&"));
	assert_true(says(q, "entry.1.Name=upload_id&"));
	assert_true(says(q, "entry.1.Value.StringValue=" ID));
	assert_true(says(q, "entry.2.Value.StringValue=upload-started"));
	assert_false(says(q, "MessageGroupId"));
	const char *mark = net_headers_get(&q->headers, "Authorization");
	assert_non_null(mark);
	assert_non_null(strstr(mark, "/eu-west-1/sns/aws4_request"));
}

static void missing_topic_is_made_once(void **state)
{
	struct world *w = *state;

	w->there = false;
	assert_int_equal(send(w, "{}", 2), 0);
	assert_int_equal(send(w, "{}", 2), 0);
	assert_int_equal(http_server_count(w->server), 4);
	assert_true(says(http_server_request(w->server, 1), "Action=CreateTopic&"));
}

#define REFUSAL(code, text)                                         \
	"<ErrorResponse><Error><Code>" code "</Code><Message>" text \
	"</Message></Error></ErrorResponse>"

static void answers_have_a_meaning(void **state)
{
	static const struct {
		int status;
		const char *body;
		enum err_code code;
	} cases[] = {
		{400, REFUSAL("InvalidParameter", "Invalid parameter: Message too long"),
			ERR_INVALID},
		{400, REFUSAL("ParameterValueInvalid", "The value is not good"), ERR_INVALID},
		/* A fault of the settings must not cost a message. */
		{400, REFUSAL("InvalidParameter", "Invalid parameter: TopicArn"), ERR_IO},
		{403, REFUSAL("AuthorizationError", "not authorized"), ERR_DENIED},
		{403, REFUSAL("SignatureDoesNotMatch", "no"), ERR_DENIED},
		{403, REFUSAL("InvalidClientTokenId", "no"), ERR_DENIED},
		{400, REFUSAL("KMSDisabled", "key"), ERR_IO},
		{403, "", ERR_DENIED},
		{400, "<html>", ERR_IO},
		{302, "", ERR_IO},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w->status = cases[i].status;
		w->body = cases[i].body;
		assert_int_equal(send(w, "{}", 2), -1);
		if (w->err.code != cases[i].code)
			fail_msg("%d %s: %s", cases[i].status, cases[i].body, w->err.text);
		assert_null(strstr(w->err.text, "secret"));
	}
}

/* The service quotes the request where a signature is wrong, with what was signed. */
static void quoted_requests_are_not_repeated(void **state)
{
	struct world *w = *state;

	w->status = 403;
	w->body = REFUSAL("SignatureDoesNotMatch", "It is wrong.\n\nx-amz-security-token:TOKEN");
	assert_int_equal(send(w, "{}", 2), -1);
	assert_non_null(strstr(w->err.text, "It is wrong."));
	assert_null(strstr(w->err.text, "TOKEN"));
}

static void large_messages_are_refused_at_once(void **state)
{
	struct world *w = *state;
	size_t len = 262144;
	char *data = mem_alloc(len);

	memset(data, 'x', len);
	assert_int_equal(send(w, data, len), -1);
	assert_int_equal(w->err.code, ERR_TOO_LARGE);
	assert_true(publish_refused(&w->err));
	assert_int_equal(http_server_count(w->server), 0);
	assert_int_equal(send(w, data, len - 200), 0);
	free(data);
}

static void messages_of_an_upload_leave_together(void **state)
{
	struct world *w = *state;
	struct publish_message m[12];
	size_t sent = 0;

	for (size_t i = 0; i < 12; i++)
		m[i] = (struct publish_message){
			.upload_id = ID, .name = "a", .data = "{}", .len = 2};
	w->body = "<PublishBatchResponse/>";
	assert_true(publish_can_batch(w->p));
	assert_int_equal(publish_send_many(w->p, m, 12, &sent, &w->err), 0);
	assert_int_equal(sent, 10);
	const struct http_server_request *q = http_server_request(w->server, 0);
	assert_true(says(q, "Action=PublishBatch&"));
	assert_true(says(q, "PublishBatchRequestEntries.member.10.Id=10&"));
	assert_false(says(q, "PublishBatchRequestEntries.member.11."));
	/* What does not fit any more has to wait. */
	char *large = mem_alloc(200000);
	memset(large, 'x', 200000);
	m[1].data = m[2].data = large;
	m[1].len = m[2].len = 200000;
	assert_int_equal(publish_send_many(w->p, m, 12, &sent, &w->err), 0);
	assert_int_equal(sent, 2);
	m[1] = m[2] = m[0];
	free(large);

	w->body = "<PublishBatchResponse><PublishBatchResult><Failed><member><Id>2</Id><Code>"
		  "InvalidParameter</Code></member></Failed></PublishBatchResult>"
		  "</PublishBatchResponse>";
	assert_int_equal(publish_send_many(w->p, m, 2, &sent, &w->err), -1);
	assert_true(publish_refused(&w->err));
	w->body = "<PublishBatchResponse><PublishBatchResult><Failed><member><Id>2</Id><Code>"
		  "Throttled</Code></member></Failed></PublishBatchResult></PublishBatchResponse>";
	assert_int_equal(publish_send_many(w->p, m, 2, &sent, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	w->body = "no XML";
	assert_int_equal(publish_send_many(w->p, m, 2, &sent, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(messages_are_read),
		cmocka_unit_test(envelopes_are_opened),
		TEST(messages_have_attributes),
		TEST(missing_topic_is_made_once),
		TEST(answers_have_a_meaning),
		TEST(quoted_requests_are_not_repeated),
		TEST(large_messages_are_refused_at_once),
		TEST(messages_of_an_upload_leave_together),
	};
#undef TEST
	return cmocka_run_group_tests_name("SNS and SQS", tests, NULL, NULL);
}
