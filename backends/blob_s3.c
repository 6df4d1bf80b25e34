/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bucket of an S3 service, or a folder in it, as a blob store. Requests, listings, whole objects,
 * multipart uploads, writer and copies have files of their own; here is what ties them together.
 *
 * Opening a store asks nothing of the service: one that is away at the start is found by the probe,
 * and by whoever uses it. Buckets are never made.
 */
#include "backends/blob_s3_copy.h"
#include "backends/blob_s3_list.h"
#include "backends/blob_s3_multipart.h"
#include "backends/blob_s3_object.h"
#include "backends/blob_s3_tail.h"
#include "backends/blob_s3_token.h"
#include "backends/blob_s3_upload.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/tasks.h"
#include "core/net/uri.h"

#include <stdlib.h>
#include <string.h>

#define PROBE_MS 2000
#define BUCKET_MAX 255
#define URL_MAX 8192
/* Writers at once that need not wait for threads; those beyond share them. */
#define WRITERS 8

static const struct blob_option_spec s3_options[] = {
	{"endpoint", "S3_ENDPOINT", BLOB_OPT_REQUIRED | BLOB_OPT_SELECTS, "URL of the S3 service"},
	{"bucket_name", "S3_BUCKET_NAME", BLOB_OPT_REQUIRED | BLOB_OPT_SELECTS,
		"bucket, which must exist"},
	{"bucket_name", "DEX_MANIFEST_CONFIG_BUCKET_NAME", BLOB_OPT_CONFIGS,
		"bucket of the manifest configurations"},
	{"folder", NULL, 0, "what the names of all objects begin with, a path"},
	{"folder", "DEX_S3_MANIFEST_CONFIG_FOLDER_NAME", BLOB_OPT_CONFIGS,
		"folder of the manifest configurations"},
	{"access_key_id", "AWS_ACCESS_KEY_ID", BLOB_OPT_IDENTITY, "access key"},
	{"secret_access_key", "AWS_SECRET_ACCESS_KEY", BLOB_OPT_IDENTITY | BLOB_OPT_SECRET,
		"its secret"},
	{"session_token", "AWS_SESSION_TOKEN", BLOB_OPT_IDENTITY | BLOB_OPT_SECRET,
		"token of temporary keys"},
	{"region", "AWS_REGION", BLOB_OPT_AMBIENT, "region that requests are signed for"},
	{"region", "AWS_DEFAULT_REGION", BLOB_OPT_AMBIENT, "the same, where it is not set"},
	{"profile", "AWS_PROFILE", BLOB_OPT_AMBIENT, "profile of the two files below"},
	{"credentials_file", "AWS_SHARED_CREDENTIALS_FILE", BLOB_OPT_AMBIENT,
		"instead of ~/.aws/credentials"},
	{"config_file", "AWS_CONFIG_FILE", BLOB_OPT_AMBIENT, "instead of ~/.aws/config"},
	{"home", "HOME", BLOB_OPT_AMBIENT, "where .aws lies"},
	{"web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE", BLOB_OPT_AMBIENT,
		"file with a token to get keys for"},
	{"role_arn", "AWS_ROLE_ARN", BLOB_OPT_AMBIENT, "role that the token is for"},
	{"role_session_name", "AWS_ROLE_SESSION_NAME", BLOB_OPT_AMBIENT, "name of its sessions"},
	{"sts_endpoint", "AWS_ENDPOINT_URL_STS", BLOB_OPT_AMBIENT,
		"URL of the service that gives keys for the token"},
	{"container_uri", "AWS_CONTAINER_CREDENTIALS_FULL_URI", BLOB_OPT_AMBIENT,
		"URL that a container gets keys from"},
	{"container_uri", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", BLOB_OPT_AMBIENT,
		"the same, without the host"},
	{"container_token", "AWS_CONTAINER_AUTHORIZATION_TOKEN", BLOB_OPT_AMBIENT | BLOB_OPT_SECRET,
		"token to show there"},
	{"container_token_file", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", BLOB_OPT_AMBIENT,
		"file with that token"},
	{"metadata_endpoint", "AWS_EC2_METADATA_SERVICE_ENDPOINT", BLOB_OPT_AMBIENT,
		"URL that a virtual machine gets keys from"},
	{"metadata_disabled", "AWS_EC2_METADATA_DISABLED", BLOB_OPT_AMBIENT,
		"true: do not ask there"},
	{"ca_file", "DEX_CA_FILE", BLOB_OPT_AMBIENT, "certificates to trust, not the system's"},
	{"proxy", "DEX_HTTP_PROXY", BLOB_OPT_AMBIENT | BLOB_OPT_SECRET, "URL of an HTTP proxy"},
	{"part_size", "DEX_PART_SIZE", BLOB_OPT_AMBIENT, "size of parts: 8MiB; 5MiB to 5GiB"},
	BLOB_LIMITS_OPTIONS,
	{NULL, NULL, 0, NULL},
};

struct given {
	const struct blob_option *opts;
	size_t n;
};

/* Value of an option; NULL where it is not given or empty. */
static const char *get(const struct given *g, const char *key)
{
	const char *value = blob_option_get(g->opts, g->n, key);

	return value && *value ? value : NULL;
}

static int get_limits(struct blob_s3_store *s, const struct given *g, struct err *err)
{
	static const struct blob_part_bounds part = {
		BLOB_S3_PART_MIN, BLOB_S3_PART_MAX, "5MiB to 5GiB"};
	struct blob_limits limits;

	if (blob_limits_read(g->opts, g->n, &part, &limits, err) < 0)
		return -1;
	s->part_size = limits.part_size;
	s->in_flight = limits.parts_in_flight;
	s->timeout_ms = limits.timeout_ms;
	return 0;
}

/* Where the bucket is. */
static int get_place(struct blob_s3_store *s, const struct given *g, struct err *err)
{
	const char *bucket = get(g, "bucket_name");
	const char *folder = get(g, "folder");
	struct buf b;
	struct uri u = {0};
	int rc = -1;

	buf_init(&b, URL_MAX);
	if (uri_parse(get(g, "endpoint"), &u, err) < 0) {
		err_prefix(err, "option \"endpoint\"");
		goto out;
	}
	if (*u.query) {
		err_set(err, ERR_INVALID, __func__, "option \"endpoint\" has a query");
		goto out;
	}
	if (strlen(bucket) > BUCKET_MAX || strchr(bucket, '/') || !blob_key_valid(bucket)) {
		err_set(err, ERR_INVALID, __func__,
			"option \"bucket_name\" is not the name of a bucket");
		goto out;
	}
	size_t len = folder ? strlen(folder) : 0;
	while (len > 0 && folder[len - 1] == '/')
		len--;
	while (len > 0 && folder[0] == '/') {
		folder++;
		len--;
	}
	if (len > 0) {
		char *path = mem_strndup(folder, len);
		bool valid = blob_key_valid(path);
		s->folder = valid && buf_printf(&b, "%s/", path) == 0 ? buf_take(&b) : NULL;
		free(path);
		if (!valid) {
			err_set(err, ERR_INVALID, __func__,
				"option \"folder\" is not a path in a bucket");
			goto out;
		}
	} else {
		s->folder = mem_strdup("");
	}
	s->bucket = mem_strdup(bucket);
	s->host = mem_strdup(u.authority);
	if (uri_origin(&u, &b) < 0)
		goto too_long;
	s->origin = buf_take(&b);
	if (buf_printf(&b, "%s/", u.path) < 0 || uri_encode(&b, bucket) < 0)
		goto too_long;
	s->path = buf_take(&b);
	rc = 0;
	goto out;

too_long:
	err_set(err, ERR_INVALID, __func__, "option \"endpoint\" is too long");
out:
	uri_free(&u);
	buf_free(&b);
	return rc;
}

static const char *get_key(void *arg, const char *key, const char *variable)
{
	(void)variable; /* read into the options already */
	return get(arg, key);
}

static void s3_close(struct blob_store *base)
{
	struct blob_s3_store *s = (struct blob_s3_store *)base;

	tasks_free(s->tasks);
	aws_credentials_free(s->credentials);
	net_http_free(s->http);
	free(s->origin);
	free(s->host);
	free(s->path);
	free(s->bucket);
	free(s->folder);
	for (int i = 0; i < BLOB_S3_STRIPES; i++)
		pthread_mutex_destroy(&s->stripes[i]);
	free(s);
}

static struct blob_store *s3_open(
	const struct blob_option *opts, size_t nopts, bool create, struct err *err)
{
	struct given g = {opts, nopts};
	struct blob_s3_store *s = mem_zalloc(sizeof(*s));
	(void)create;

	for (int i = 0; i < BLOB_S3_STRIPES; i++)
		pthread_mutex_init(&s->stripes[i], NULL);
	if (get_limits(s, &g, err) < 0 || get_place(s, &g, err) < 0) {
		s3_close(&s->base);
		return NULL;
	}
	struct net_http_options o = {
		.ca_file = get(&g, "ca_file"),
		.proxy = get(&g, "proxy"),
		.stall_ms = s->timeout_ms,
	};
	s->http = net_http_new(&o);
	struct aws_credentials_options identity;
	aws_credentials_options_read(&identity, get_key, &g);
	s->credentials = aws_credentials_new(&identity, s->http);
	s->signer = (struct aws_signer){.credentials = s->credentials, .service = "s3"};
	s->tasks = tasks_new(WRITERS * s->in_flight);
	return &s->base;
}

static int s3_location(const struct blob_store *base, const char *key, struct buf *out)
{
	const struct blob_s3_store *s = (const struct blob_s3_store *)base;

	return buf_add_str(out, s->origin) < 0 ? -1 : blob_s3_request_path(s, key, out);
}

static int s3_stat(struct blob_store *base, const char *key, struct blob_stat *out, struct err *err)
{
	return blob_s3_object_stat((struct blob_s3_store *)base, key, out, err);
}

static ssize_t s3_read(struct blob_store *base, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	return blob_s3_object_read((struct blob_s3_store *)base, key, offset, data, len, err);
}

static int s3_del(struct blob_store *base, const char *key, const char *token, struct err *err)
{
	struct blob_s3_store *s = (struct blob_s3_store *)base;
	struct blob_s3_token t;

	/* A token that is malformed has nothing to remove. */
	if (!token || blob_s3_token_parse(token, &t) < 0)
		blob_s3_token_init(&t);
	if (t.upload[0] && blob_s3_multipart_abort(s, key, t.upload, err) < 0)
		return -1;
	if (blob_s3_object_del(s, key, err) < 0)
		return -1;
	if (blob_s3_tail_del_all(s, key, err) == 0)
		return 0;
	/* Who may not list can still remove those that are known. */
	if (err->code != ERR_DENIED && err->code != ERR_UNSUPPORTED)
		return -1;
	blob_s3_tail_del(s, key, t.tail);
	blob_s3_tail_del(s, key, t.old_tail);
	return 0;
}

struct listing {
	const char *prefix;
	blob_list_fn *fn;
	void *arg;
};

static int list_one(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	const struct listing *l = arg;
	struct blob_stat st = {.size = item->size, .mtime = item->time};
	size_t len = strlen(l->prefix);
	(void)err;

	if (strncmp(item->key, l->prefix, len) != 0 ||
		(len > 0 && item->key[len] != '\0' && item->key[len] != '/'))
		return 0;
	/* What other programs use for folders is no object either. */
	if (!blob_key_valid(item->key) || blob_s3_tail_is(item->key))
		return 0;
	memcpy(st.etag, item->etag, sizeof(st.etag));
	return l->fn(l->arg, item->key, &st) < 0 ? 1 : 0;
}

static int s3_list(
	struct blob_store *base, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	struct listing l = {prefix, fn, arg};

	return blob_s3_list_objects((struct blob_s3_store *)base, prefix, list_one, &l, err);
}

struct sweeping {
	struct blob_s3_store *s;
	int64_t before; /* microseconds since 1970 */
	blob_in_use_fn *in_use;
	void *arg;
	uint64_t removed;
};

static int sweep_one(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	struct sweeping *w = arg;

	if (!item->upload || item->time == 0 || item->time >= w->before ||
		!blob_key_valid(item->key))
		return 0;
	if (w->in_use(w->arg, item->key, item->upload) != 0)
		return 0;
	if (blob_s3_multipart_abort(w->s, item->key, item->upload, err) < 0)
		return -1;
	w->removed++;
	return 0;
}

/*
 * Multipart uploads of objects that nobody goes on with. Others below a target's folder may belong
 * to other programs: those of our deliveries are aborted when the delivery is tried again.
 */
static int s3_sweep(struct blob_store *base, int64_t age_ms, blob_in_use_fn *in_use, void *arg,
	uint64_t *removed_out, struct err *err)
{
	struct sweeping w = {
		.s = (struct blob_s3_store *)base,
		.before = clock_now() - age_ms * CLOCK_US_PER_MS,
		.in_use = in_use,
		.arg = arg,
	};
	if (!in_use)
		return 0;
	int rc = blob_s3_list_uploads(w.s, "", sweep_one, &w, err);
	*removed_out = w.removed;
	return rc;
}

static int s3_probe(struct blob_store *base, bool writable, struct err *err)
{
	struct blob_s3_store *s = (struct blob_s3_store *)base;
	struct blob_s3_call c;
	(void)writable;

	blob_s3_request_init(&c, "HEAD", NULL, s);
	c.deadline_ms = clock_mono_ms() + PROBE_MS;
	c.once = true;
	int rc = blob_s3_request_run(&c, err);
	if (rc < 0 && err->code == ERR_NOT_FOUND)
		rc = err_set(
			err, ERR_UNAVAILABLE, __func__, "there is no bucket \"%s\"", s->bucket);
	blob_s3_request_free(&c);
	return rc;
}

const struct blob_backend blob_s3_backend = {
	.type = "s3",
	.caps = BLOB_CAP_FAST_COPY | BLOB_CAP_STORED_BY_SYNC | BLOB_CAP_REMOTE,
	.options = s3_options,
	.open = s3_open,
	.close = s3_close,
	.location = s3_location,
	.begin = blob_s3_upload_begin,
	.describe = blob_s3_upload_describe,
	.append = blob_s3_upload_append,
	.sync = blob_s3_upload_sync,
	.token = blob_s3_upload_token,
	.commit = blob_s3_upload_commit,
	.end = blob_s3_upload_end,
	.stat = s3_stat,
	.read = s3_read,
	.del = s3_del,
	.copy_from = blob_s3_copy_from,
	.list = s3_list,
	.sweep = s3_sweep,
	.probe = s3_probe,
};
