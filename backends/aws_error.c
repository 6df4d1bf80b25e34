/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Codes: https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html and of the actions,
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
 */
#include "backends/aws_error.h"

#include "core/base/json.h"
#include "core/base/str.h"
#include "core/net/xml.h"

#include <string.h>

struct found {
	char *code;
	size_t code_size;
	char *message;
	size_t message_size;
};

static int error_element(void *arg, const char *path, const char *text)
{
	const struct found *f = arg;

	if (strcmp(path, "ErrorResponse/Error/Code") == 0)
		(void)str_copy(f->code, f->code_size, text);
	else if (strcmp(path, "ErrorResponse/Error/Message") == 0)
		(void)str_copy(f->message, f->message_size, text);
	return 0;
}

static void read_json(const struct net_response *a, const struct found *f)
{
	json_t *o = json_parse(buf_str(&a->body), a->body.len, NULL);
	const char *type = o ? json_get_str(o, "__type") : NULL;
	const char *message = o ? json_get_str(o, "message") : NULL;

	if (!message && o)
		message = json_get_str(o, "Message");
	if (type) {
		/* "com.amazonaws.sqs#QueueDoesNotExist" */
		const char *hash = strrchr(type, '#');
		(void)str_copy(f->code, f->code_size, hash ? hash + 1 : type);
	}
	(void)str_copy(f->message, f->message_size, message ? message : "");
	json_decref(o);
}

void aws_error_read(const struct net_response *a, char *code, size_t code_size, char *message,
	size_t message_size)
{
	struct found f = {code, code_size, message, message_size};
	const char *text = buf_str(&a->body);

	code[0] = message[0] = '\0';
	text += strspn(text, " \t\r\n");
	/* What is not well-formed keeps what stood before the fault; the status tells enough. */
	if (*text == '<')
		(void)xml_parse(text, strlen(text), error_element, &f, NULL);
	else if (*text == '{')
		read_json(a, &f);
	/* Further lines may quote the request, whose signed fields hold a session's token. */
	message[strcspn(message, "\r\n")] = '\0';
	str_make_printable(code, '?');
	str_make_printable(message, ' ');
}

static const struct {
	const char *code;
	enum err_code means;
	bool passes;
} codes[] = {
	{"NotFound", ERR_NOT_FOUND, false},
	{"NotFoundException", ERR_NOT_FOUND, false},
	{"QueueDoesNotExist", ERR_NOT_FOUND, false},
	{"AWS.SimpleQueueService.NonExistentQueue", ERR_NOT_FOUND, false},
	{"QueueNameExists", ERR_EXISTS, false},
	{"QueueDeletedRecently", ERR_UNAVAILABLE, false},
	{"InvalidParameter", ERR_INVALID, false},
	{"InvalidParameterException", ERR_INVALID, false},
	{"InvalidParameterValue", ERR_INVALID, false},
	{"ParameterValueInvalid", ERR_INVALID, false},
	{"InvalidMessageContents", ERR_INVALID, false},
	{"ValidationError", ERR_INVALID, false},
	{"ValidationException", ERR_INVALID, false},
	{"AccessDenied", ERR_DENIED, false},
	{"AccessDeniedException", ERR_DENIED, false},
	{"AuthorizationError", ERR_DENIED, false},
	{"AuthorizationErrorException", ERR_DENIED, false},
	{"ExpiredToken", ERR_DENIED, false},
	{"ExpiredTokenException", ERR_DENIED, false},
	{"IncompleteSignature", ERR_DENIED, false},
	{"InvalidClientTokenId", ERR_DENIED, false},
	{"InvalidSignatureException", ERR_DENIED, false},
	{"MissingAuthenticationToken", ERR_DENIED, false},
	{"OptInRequired", ERR_DENIED, false},
	{"RequestExpired", ERR_DENIED, false},
	{"SignatureDoesNotMatch", ERR_DENIED, false},
	{"UnrecognizedClientException", ERR_DENIED, false},
	{"InternalError", ERR_UNAVAILABLE, true},
	{"InternalFailure", ERR_UNAVAILABLE, true},
	{"KMSThrottling", ERR_UNAVAILABLE, true},
	{"RequestThrottled", ERR_UNAVAILABLE, true},
	{"ServiceUnavailable", ERR_UNAVAILABLE, true},
	{"Throttled", ERR_UNAVAILABLE, true},
	{"ThrottledException", ERR_UNAVAILABLE, true},
	{"Throttling", ERR_UNAVAILABLE, true},
	{"ThrottlingException", ERR_UNAVAILABLE, true},
};

bool aws_error_passes(const char *code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(code, codes[i].code) == 0)
			return codes[i].passes;
	}
	return false;
}

enum err_code aws_error_code(const char *code, int status)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(code, codes[i].code) == 0)
			return codes[i].means;
	}
	return net_http_meaning(status);
}
