/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container of Azure Blob Storage, or a folder in it, as a blob store. The service takes '\' in
 * a name for '/', so keys that differ only in that are one blob.
 */
#include "backends/blob_azure_blocks.h"
#include "backends/blob_azure_store.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_SIZE_MIN ((uint64_t)64 << 10)
#define PROBE_MS 2000
#define THREADS_MAX 32 /* of all writers of a store */
#define URL_MAX ((size_t)8 << 10)

static const struct blob_option_spec azure_options[] = {
	{"endpoint", "AZURE_ENDPOINT", BLOB_OPT_SELECTS,
		"URL of the account; https://ACCOUNT.blob.core.windows.net where there is none"},
	{"storage_account", "AZURE_STORAGE_ACCOUNT", BLOB_OPT_SELECTS, "name of the account"},
	{"storage_key", "AZURE_STORAGE_KEY", BLOB_OPT_SECRET, "key of the account, or a SAS token"},
	{"sas_token", NULL, BLOB_OPT_SECRET, "SAS token"},
	{"connection_string", NULL, BLOB_OPT_SECRET, "connection string of the account"},
	{"tenant_id", "AZURE_TENANT_ID", 0, "tenant of a service principal"},
	{"client_id", "AZURE_CLIENT_ID", 0, "client id of the service principal"},
	{"client_secret", "AZURE_CLIENT_SECRET", BLOB_OPT_SECRET, "its secret"},
	{"authority", "AZURE_AUTHORITY_HOST", BLOB_OPT_AMBIENT,
		"where the service principal gets its tokens"},
	{"container_name", "TUS_AZURE_CONTAINER_NAME", BLOB_OPT_REQUIRED | BLOB_OPT_SELECTS,
		"name of the container"},
	{"container_name", "DEX_MANIFEST_CONFIG_CONTAINER_NAME", BLOB_OPT_CONFIGS,
		"container of the manifest configurations"},
	{"folder", NULL, 0, "folder in the container"},
	{"ca_file", "DEX_CA_FILE", BLOB_OPT_AMBIENT,
		"certificates to trust instead of the system's"},
	{"proxy", "DEX_HTTP_PROXY", BLOB_OPT_AMBIENT | BLOB_OPT_SECRET, "URL of an HTTP proxy"},
	{"part_size", "DEX_PART_SIZE", BLOB_OPT_AMBIENT, "size of a block: 8MiB; 64KiB to 4000MiB"},
	BLOB_LIMITS_OPTIONS,
	{NULL, NULL, 0, NULL},
};

static struct blob_azure_store *store_of(const struct blob_store *s)
{
	return (struct blob_azure_store *)s;
}

struct given {
	const struct blob_option *opts;
	size_t n;
};

/* Value of an option, NULL also for an empty one. */
static const char *get(const struct given *g, const char *key)
{
	const char *value = blob_option_get(g->opts, g->n, key);
	return value && *value ? value : NULL;
}

static int read_limits(struct blob_azure_store *s, const struct given *g, struct err *err)
{
	static const struct blob_part_bounds part = {
		PART_SIZE_MIN, BLOB_AZURE_BLOCK_MAX, "64KiB to 4000MiB"};
	struct blob_limits limits;

	if (blob_limits_read(g->opts, g->n, &part, &limits, err) < 0)
		return -1;
	s->part_size = (size_t)limits.part_size;
	s->in_flight = limits.parts_in_flight;
	s->timeout_ms = limits.timeout_ms;
	return 0;
}

/* Three to 63 lower-case letters, digits and '-', or one of the service's own ("$web"). */
static bool is_container_name(const char *name)
{
	size_t len = strlen(name);
	const char *rest = name[0] == '$' ? name + 1 : name;
	return len >= 3 && len <= 63 &&
	       strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(rest);
}

static int read_names(struct blob_azure_store *s, const struct given *g, struct err *err)
{
	const char *container = get(g, "container_name");
	const char *folder = get(g, "folder");

	if (!is_container_name(container))
		return err_set(err, ERR_INVALID, __func__,
			"option \"container_name\" is not a name of a container");
	s->container = mem_strdup(container);
	if (folder)
		folder += strspn(folder, "/");
	size_t len = folder ? strlen(folder) : 0;
	while (len > 0 && folder[len - 1] == '/')
		len--;
	s->prefix = mem_zalloc(len + 2);
	if (len == 0)
		return 0;
	memcpy(s->prefix, folder, len);
	if (!blob_key_valid(s->prefix))
		return err_set(
			err, ERR_INVALID, __func__, "option \"folder\" is not a valid folder");
	s->prefix[len] = '/';
	return 0;
}

static int connect_account(struct blob_azure_store *s, const struct given *g, struct err *err)
{
	const struct net_http_options http = {
		.ca_file = get(g, "ca_file"),
		.proxy = get(g, "proxy"),
		.stall_ms = s->timeout_ms,
	};
	const struct azure_auth_options auth = {
		.connection_string = get(g, "connection_string"),
		.account = get(g, "storage_account"),
		.key = get(g, "storage_key"),
		.sas_token = get(g, "sas_token"),
		.endpoint = get(g, "endpoint"),
		.tenant_id = get(g, "tenant_id"),
		.client_id = get(g, "client_id"),
		.client_secret = get(g, "client_secret"),
		.authority = get(g, "authority"),
	};
	struct buf url;

	s->http = net_http_new(&http);
	s->auth = azure_auth_new(&auth, s->http, err);
	if (!s->auth)
		return -1;
	const char *endpoint = azure_auth_endpoint(s->auth);
	s->tls = str_starts(endpoint, "https:");
	buf_init(&url, URL_MAX);
	if (buf_printf(&url, "%s/%s", endpoint, s->container) < 0) {
		buf_free(&url);
		return err_set(err, ERR_INVALID, __func__, "option \"endpoint\" is too long");
	}
	s->url = buf_take(&url);
	return 0;
}

static void azure_close(struct blob_store *base)
{
	struct blob_azure_store *s = store_of(base);
	tasks_free(s->tasks);
	azure_auth_free(s->auth);
	net_http_free(s->http);
	free(s->container);
	free(s->prefix);
	free(s->url);
	free(s);
}

static struct blob_store *azure_open(
	const struct blob_option *opts, size_t nopts, bool create, struct err *err)
{
	const struct given g = {opts, nopts};
	struct blob_azure_store *s = mem_zalloc(sizeof(*s));

	s->create = create;
	if (read_limits(s, &g, err) < 0 || read_names(s, &g, err) < 0 ||
		connect_account(s, &g, err) < 0) {
		azure_close(&s->base);
		return NULL;
	}
	s->tasks = tasks_new(THREADS_MAX);
	return &s->base;
}

static int azure_location(const struct blob_store *base, const char *key, struct buf *out)
{
	return blob_azure_url(store_of(base), key, out);
}

static int fill_stat(const struct blob_azure_call *c, struct blob_stat *out, struct err *err)
{
	const char *modified = net_headers_get(&c->a.headers, "Last-Modified");

	memset(out, 0, sizeof(*out));
	if (blob_azure_call_length(c, &out->size, err) < 0)
		return -1;
	if (modified && clock_parse_http_date(modified, &out->mtime) < 0)
		out->mtime = 0;
	blob_azure_call_etag(c, out->etag, sizeof(out->etag));
	return 0;
}

static int azure_stat(
	struct blob_store *base, const char *key, struct blob_stat *out, struct err *err)
{
	struct blob_azure_call c;
	int rc = -1;

	blob_azure_call_init(&c, store_of(base), "HEAD", key, NULL);
	if (blob_azure_call_send(&c, err) == 0) {
		if (blob_azure_call_ok(&c))
			rc = fill_stat(&c, out, err);
		else if (blob_azure_call_missing(&c))
			err_set(err, ERR_NOT_FOUND, __func__, "%s does not exist", key);
		else
			blob_azure_call_fail(&c, "stat", err);
	}
	blob_azure_call_free(&c);
	return rc;
}

struct piece {
	unsigned char *data;
	size_t len;
	size_t got;
};

static int take_piece(void *arg, const void *data, size_t len)
{
	struct piece *p = arg;
	if (len > p->len - p->got)
		return -1;
	memcpy(p->data + p->got, data, len);
	p->got += len;
	return 0;
}

/*
 * The answer to a read of ${p}->len bytes from ${offset}: bytes from the right place, and all that
 * there are. 1: they are, 0: not all came, -1: another failure.
 */
static int check_piece(
	const struct blob_azure_call *c, const struct piece *p, uint64_t offset, struct err *err)
{
	char start[48];
	uint64_t total;
	const char *range = net_headers_get(&c->a.headers, "Content-Range");

	snprintf(start, sizeof(start), "bytes %llu-", (unsigned long long)offset);
	const char *slash = range ? strchr(range, '/') : NULL;
	if (c->a.status != 206 || !slash || !str_starts(range, start) ||
		str_to_u64(slash + 1, INT64_MAX, &total) < 0 || total < offset)
		return err_set(err, ERR_UNAVAILABLE, __func__,
			"read %s: an answer that makes no sense (%d)", c->key, c->a.status);
	uint64_t due = total - offset < p->len ? total - offset : p->len;
	return p->got == due ? 1 : 0;
}

/* One try. 1: done, 0: worth another one, -1: error. */
static int read_once(struct blob_azure_store *s, const char *key, const char *etag, uint64_t offset,
	struct piece *p, int64_t deadline_ms, struct err *err)
{
	struct blob_azure_call c;
	char range[64];
	int rc = -1;

	p->got = 0;
	blob_azure_call_init(&c, s, "GET", key, NULL);
	snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)offset,
		(unsigned long long)(offset + p->len - 1));
	net_headers_set(&c.r.headers, "x-ms-range", range);
	if (etag)
		blob_azure_call_if_match(&c, etag);
	c.r.sink = take_piece;
	c.r.sink_arg = p;
	c.r.deadline_ms = deadline_ms;
	if (blob_azure_call_send(&c, err) < 0) {
		/* What broke off in the middle of the body is not repeated by the client. */
		rc = err->code == ERR_UNAVAILABLE && p->got > 0 ? 0 : -1;
	} else if (c.a.status == 416) {
		p->got = 0;
		rc = 1;
	} else if (blob_azure_call_ok(&c)) {
		rc = check_piece(&c, p, offset, err);
		if (rc == 0)
			err_set(err, ERR_UNAVAILABLE, __func__, "read %s: %zu bytes came of %zu",
				key, p->got, p->len);
	} else if (blob_azure_call_missing(&c)) {
		err_set(err, ERR_NOT_FOUND, __func__, "%s does not exist", key);
	} else {
		blob_azure_call_fail(&c, "read", err);
	}
	blob_azure_call_free(&c);
	return rc;
}

ssize_t blob_azure_read(struct blob_azure_store *s, const char *key, const char *etag,
	uint64_t offset, void *data, size_t len, struct err *err)
{
	struct piece p = {.data = data, .len = len};
	/* A slow source counts as long as it moves: down to a byte a millisecond. */
	int64_t deadline = clock_mono_ms() + s->timeout_ms + (int64_t)len;
	int rc = 0;

	for (int i = 0; rc == 0 && i < BLOB_AZURE_TRIES; i++)
		rc = read_once(s, key, etag, offset, &p, deadline, err);
	return rc == 1 ? (ssize_t)p.got : -1;
}

static ssize_t azure_read(struct blob_store *base, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	struct blob_stat st;
	/* There is no range of nothing. */
	if (len == 0)
		return azure_stat(base, key, &st, err);
	return blob_azure_read(store_of(base), key, NULL, offset, data, len, err);
}

static int azure_del(struct blob_store *base, const char *key, const char *token, struct err *err)
{
	struct blob_azure_call c;

	/* Blocks that belong to no blob yet go away with it, or on their own. */
	(void)token;
	blob_azure_call_init(&c, store_of(base), "DELETE", key, NULL);
	net_headers_set(&c.r.headers, "x-ms-delete-snapshots", "include");
	int rc = blob_azure_call_send(&c, err);
	if (rc == 0 && !blob_azure_call_ok(&c) && !blob_azure_call_missing(&c))
		rc = blob_azure_call_fail(&c, "remove", err);
	blob_azure_call_free(&c);
	return rc;
}

/* Refusals of a SAS token that is good, but not for looks at a container. */
static bool is_narrow(const struct blob_azure_call *c)
{
	return str_eq(c->code, "AuthorizationPermissionMismatch") ||
	       str_eq(c->code, "AuthorizationResourceTypeMismatch");
}

static int azure_probe(struct blob_store *base, bool writable, struct err *err)
{
	struct blob_azure_call c;

	/* Whether a write would be taken only a write can tell. */
	(void)writable;
	blob_azure_call_init(&c, store_of(base), "GET", NULL, "restype=container");
	c.r.deadline_ms = clock_mono_ms() + PROBE_MS;
	int rc = blob_azure_call_send(&c, err);
	if (rc == 0 && !blob_azure_call_ok(&c) && !blob_azure_call_missing(&c) && !is_narrow(&c))
		rc = blob_azure_call_fail(&c, "look at", err);
	blob_azure_call_free(&c);
	return rc;
}

const struct blob_backend blob_azure_backend = {
	.type = "az-blob",
	.caps = BLOB_CAP_STORED_BY_SYNC | BLOB_CAP_REMOTE | BLOB_CAP_FAST_COPY,
	.options = azure_options,
	.open = azure_open,
	.close = azure_close,
	.location = azure_location,
	.begin = blob_azure_begin,
	.append = blob_azure_append,
	.sync = blob_azure_sync,
	.token = blob_azure_token,
	.commit = blob_azure_commit,
	.end = blob_azure_end,
	.stat = azure_stat,
	.read = azure_read,
	.del = azure_del,
	.copy_from = blob_azure_copy_from,
	.list = blob_azure_list,
	/* No sweep: the service itself discards blocks that were not committed, after a week. */
	.probe = azure_probe,
};
