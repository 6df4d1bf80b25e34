/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AWS_SIGNER_H
#define DEX_NET_AWS_SIGNER_H

#include "core/net/aws_credentials.h"
#include "core/net/http.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Signing the requests to one AWS service with keys that may end and by a clock that may be wrong:
 * a refusal that either explains is answered with other keys or another time. Safe from any thread.
 */

struct err;

struct aws_signer {
	struct aws_credentials *credentials; /* borrowed */
	const char *service;                 /* "s3", "sns", "sqs" */
	const char *region;                  /* borrowed; NULL: that of the credentials */
	atomic_int_fast64_t skew_us;         /* of the service's clock to ours */
};

/* What was done for one request so far; begins as {0}. */
struct aws_signer_tries {
	bool temporary_keys;
	bool clock_set;
	bool keys_renewed;
};

/* sigv4_sign with the signer's keys, region and clock. ${now}: as net_http_send gives it. */
int aws_signer_sign(struct aws_signer *s, struct aws_signer_tries *t, const char *method,
	const char *host, const char *path, const char *query, struct net_headers *headers,
	const char *payload, int64_t now, struct err *err);
/*
 * Whether a request that was answered ${a}, with ${code} of the service's error ("" for none), may
 * fare better when it is signed anew. Sets the clock or asks for new keys, each once for a request.
 */
bool aws_signer_again(struct aws_signer *s, struct aws_signer_tries *t,
	const struct net_response *a, const char *code);

#endif
