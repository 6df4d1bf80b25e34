/* SPDX-License-Identifier: Apache-2.0 */
/* Resume tokens of the S3 store, and the dates that services send. */
#include "backends/blob_s3_token.h"
#include "core/base/clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char again[BLOB_S3_TOKEN_MAX];
	struct blob_s3_token t;
	int64_t us;

	if (!text)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	/* A token that is taken is the only text for what it says. */
	if (blob_s3_token_parse(text, &t) == 0) {
		blob_s3_token_write(&t, again);
		if (strcmp(text, again) != 0)
			abort();
	}
	char date[CLOCK_HTTP_SIZE];
	if (clock_parse_http_date(text, &us) == 0 &&
		strcmp(clock_http_date(date, us) + 5, text + 5) != 0 && !strstr(text, ":60 "))
		abort();
	if (clock_parse_rfc3339(text, &us) == 0 && us < 0)
		abort();
	free(text);
	return 0;
}
