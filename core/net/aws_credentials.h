/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AWS_CREDENTIALS_H
#define DEX_NET_AWS_CREDENTIALS_H

#include <stdint.h>

/*
 * Where AWS keys come from, in the order of the AWS tools
 * (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html): given keys, the
 * profile of the shared credentials and config files, a web identity token, the container's
 * end point, the machine's metadata service (IMDSv2). Temporary keys are fetched again before they
 * end; files are read again when they change. Safe from any thread.
 */

struct err;
struct net_http;
struct aws_credentials;

/* NULL or "" everywhere: not given. Names in brackets: the standard variables they come from. */
struct aws_credentials_options {
	const char *access_key_id;           /* AWS_ACCESS_KEY_ID */
	const char *secret_access_key;       /* AWS_SECRET_ACCESS_KEY */
	const char *session_token;           /* AWS_SESSION_TOKEN */
	const char *region;                  /* AWS_REGION, AWS_DEFAULT_REGION */
	const char *profile;                 /* AWS_PROFILE; "default" */
	const char *credentials_file;        /* AWS_SHARED_CREDENTIALS_FILE; ~/.aws/credentials */
	const char *config_file;             /* AWS_CONFIG_FILE; ~/.aws/config */
	const char *home;                    /* HOME, for the two above */
	const char *web_identity_token_file; /* AWS_WEB_IDENTITY_TOKEN_FILE */
	const char *role_arn;                /* AWS_ROLE_ARN */
	const char *role_session_name;       /* AWS_ROLE_SESSION_NAME */
	const char *sts_endpoint; /* AWS_ENDPOINT_URL_STS; https://sts.REGION.amazonaws.com */
	/*
	 * AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or, where there is none, FULL_URI: without TLS
	 * only of this machine, ECS or EKS.
	 */
	const char *container_uri;
	const char *container_token;      /* AWS_CONTAINER_AUTHORIZATION_TOKEN */
	const char *container_token_file; /* AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE */
	const char
		*metadata_endpoint; /* AWS_EC2_METADATA_SERVICE_ENDPOINT; http://169.254.169.254 */
	const char *metadata_disabled; /* AWS_EC2_METADATA_DISABLED: "true" */
};

struct aws_keys { /* strings of their own: aws_keys_free wipes and frees */
	char *access_key_id;
	char *secret_access_key;
	char *session_token; /* NULL: none */
	int64_t expires_at;  /* microseconds, 0: never */
};

/*
 * Fill ${o} with what ${get} answers for each option: its name as above, and the variable it may
 * come from; NULL or "" is not given. An option with several variables is asked for in turn.
 */
typedef const char *aws_credentials_option_fn(void *arg, const char *key, const char *variable);
void aws_credentials_options_read(
	struct aws_credentials_options *o, aws_credentials_option_fn *get, void *arg);

/* ${http} is borrowed. Options are copied. */
struct aws_credentials *aws_credentials_new(
	const struct aws_credentials_options *o, struct net_http *http);
void aws_credentials_free(struct aws_credentials *c); /* NULL is fine */

/*
 * The keys to sign with now. ERR_DENIED: no place has any, the text names the places looked at; or
 * the profile, other than "default", is in neither file. ERR_INVALID: half a pair, a malformed file
 * or option. ERR_UNSUPPORTED: the profile wants another way. ERR_UNAVAILABLE: the service that has
 * them does not answer; it is remembered for five seconds. No text holds a key or a token.
 */
int aws_credentials_get(struct aws_credentials *c, struct aws_keys *out, struct err *err);
void aws_keys_free(struct aws_keys *k);
/*
 * A service has refused these keys: those that were fetched are fetched anew next time, but not
 * twice within five seconds.
 */
void aws_credentials_refused(struct aws_credentials *c);
/* Region: given, of the profile, or "us-east-1". Valid as long as ${c}. */
const char *aws_credentials_region(struct aws_credentials *c);

#endif
