/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_NET_AWS_CREDENTIALS_IMPL_H
#define DEX_NET_AWS_CREDENTIALS_IMPL_H

#include "core/net/aws_credentials.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Private to core/net/aws_credentials*.c and their tests. */

struct renewal_times;

/* As aws_credentials_new, with other times between fetches; NULL: the usual ones. */
struct aws_credentials *aws_credentials_new_timed(const struct aws_credentials_options *o,
	struct net_http *http, const struct renewal_times *times);

/*
 * aws_credentials_file.c: the files of the AWS tools
 * (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
 */

#define AWS_FILE_MAX ((size_t)64 * 1024)
#define AWS_FILE_LINE_MAX 4096

/* ${section} without its brackets, ${name} in lower case. -1 + err ends parsing. */
typedef int aws_credentials_setting_fn(
	void *arg, const char *section, const char *name, const char *value, struct err *err);
/*
 * Call ${fn} for each NAME = VALUE. Lines that begin with # or ; are comments, so is what follows
 * one of them behind a blank. Lines that are indented deeper than the setting before them belong to
 * it and are passed over. ERR_INVALID names ${path} and the line, never what stands there.
 */
int aws_credentials_file_parse(const char *path, const char *text, size_t len,
	aws_credentials_setting_fn *fn, void *arg, struct err *err);

struct aws_profile { /* NULL: not there */
	bool found;  /* in one of the files */
	char *access_key_id;
	char *secret_access_key; /* both of one file, or none */
	char *session_token;
	char *region;
	char *role_arn;
	char *role_session_name;
	char *web_identity_token_file;
};
/*
 * What credentials file and config file say of ${profile}; the first goes before the second. A file
 * that does not exist says nothing. ERR_INVALID: malformed, half a pair of keys; ERR_UNSUPPORTED:
 * its keys would have to come from another program, a log-in or another profile.
 */
int aws_credentials_file_load(const char *credentials_file, const char *config_file,
	const char *profile, struct aws_profile *out, struct err *err);
void aws_credentials_file_free(struct aws_profile *p); /* wipes; leaves it empty */

struct aws_file_stamp { /* all 0: no such file */
	ino_t inode;
	off_t size;
	int64_t changed_ns;
};
/* Stamp of ${path} as it is now (NULL: no file) to ${s}; true: it is another than before. */
bool aws_credentials_file_changed(const char *path, struct aws_file_stamp *s);

/* aws_credentials_remote.c: services that hand out temporary keys. 0: ${out} is filled. */

struct aws_web_identity {
	const char *token_file;
	const char *role_arn;
	const char *session_name;
	const char *endpoint; /* of STS */
};
/* https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html */
int aws_credentials_remote_web_identity(struct net_http *http, const struct aws_web_identity *w,
	struct aws_keys *out, struct err *err);

/*
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html. ${uri}: full,
 * or a path at 169.254.170.2. ${token_file} goes before ${token}; both may be NULL. ERR_INVALID:
 * without TLS only this machine and the addresses of ECS and EKS are asked.
 */
int aws_credentials_remote_container(struct net_http *http, const char *uri, const char *token,
	const char *token_file, struct aws_keys *out, struct err *err);

/*
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html, the
 * version with a session token only. Gives up in seconds: most machines have no such service.
 */
int aws_credentials_remote_metadata(
	struct net_http *http, const char *endpoint, struct aws_keys *out, struct err *err);

/* Microseconds of "2026-01-02T03:04:05Z", also with a fraction, which is dropped. */
int aws_credentials_remote_time(const char *text, int64_t *out);

#endif
