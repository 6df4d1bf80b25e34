/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_AWS_ERROR_H
#define DEX_BACKENDS_AWS_ERROR_H

#include "core/base/err.h"
#include "core/net/http.h"

#include <stdbool.h>
#include <stddef.h>

/* What SNS and SQS say when they refuse a request, and what it means to us. */

/*
 * Code and words of an answer that is not 2xx: of <ErrorResponse> in the Query protocol, of a JSON
 * object ("__type", "message") in the other. Both printable, "" where there are none.
 */
void aws_error_read(const struct net_response *a, char *code, size_t code_size, char *message,
	size_t message_size);
/* It may well go better the next time, though its status does not say so. */
bool aws_error_passes(const char *code);
/* Meaning of ${code} in an answer of ${status}; see aws_call_run. */
enum err_code aws_error_code(const char *code, int status);

#endif
