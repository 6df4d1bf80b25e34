/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis.h"

#include "backends/state_redis_call.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>

#define NAME_BYTES_MAX 1024 /* of the first part of keys */

static void redis_state_close(struct state *st)
{
	struct state_redis *s = (struct state_redis *)st;
	state_redis_wait_stop(s);
	redis_close(s->r);
	redis_buckets_free(&s->buckets);
	free(s->channel);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Makes no connection: a server that comes up later than we do is no reason to end. */
static struct state *redis_state_open(const char *where, bool durable, struct err *err)
{
	struct state_redis *s = mem_zalloc(sizeof(*s));
	struct buf name;

	s->durable = durable;
	atomic_init(&s->cluster, false);
	pthread_mutex_init(&s->lock, NULL);
	s->r = redis_open(where, err);
	if (!s->r)
		goto bad;
	for (size_t i = 0; i < SCRIPT_COUNT; i++) {
		s->scripts[i] = state_redis_scripts[i];
		redis_script_hash(&s->scripts[i]);
	}
	if (redis_buckets_init(&s->buckets, redis_prefix(s->r), err) < 0)
		goto bad;
	buf_init(&name, NAME_BYTES_MAX);
	bool fits = buf_printf(&name, "%s:queued", redis_prefix(s->r)) == 0;
	s->channel = buf_take(&name);
	if (fits)
		return &s->base;
	err_set(err, ERR_INVALID, __func__, "the prefix of keys is too long");
bad:
	redis_state_close(&s->base);
	return NULL;
}

static int see_format(void *arg, unsigned bucket, const redisReply *r, struct err *err)
{
	char *format;
	(void)arg;
	(void)bucket;
	if (state_redis_call_text(r, false, &format, err))
		return -1;
	int rc = 0;
	if (!str_eq(format, STATE_REDIS_SCRIPTS_FORMAT))
		rc = err_set(err, ERR_UNSUPPORTED, __func__,
			"Redis holds uploads in a form that another release has made");
	free(format);
	return rc;
}

/* Every bucket, and so every node that holds one, must be there and take changes. */
static int redis_state_probe(struct state *st, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	return state_redis_call_all(s, SCRIPT_ALL_PROBE, &a, see_format, NULL, err);
}

/* --- what would lose an acknowledged offset --- */

enum finding {
	NO_FILE = 1,     /* appendonly no */
	LATE_SYNC = 2,   /* appendfsync is not always */
	EVICTION = 4,    /* maxmemory-policy allkeys-… */
	NOT_ALLOWED = 8, /* CONFIG GET is denied */
};

static const struct {
	enum finding what;
	const char *text;
} findings[] = {
	{NO_FILE, "appendonly is not on: when Redis ends, uploads acknowledged since its last "
		  "snapshot are forgotten"},
	{LATE_SYNC,
		"appendfsync is not always: a power cut takes what was acknowledged in the last "
		"seconds"},
	{EVICTION, "maxmemory-policy lets Redis drop any key when its memory is full: use "
		   "noeviction"},
	{NOT_ALLOWED,
		"the user may not read Redis' settings (CONFIG GET): it cannot be told whether "
		"they keep what is acknowledged"},
};

/* The value of a setting of the node that holds ${bucket}. 1, 0 when we may not know it, or -1. */
static int read_setting(
	struct state_redis *s, unsigned bucket, const char *name, char **out, struct err *err)
{
	struct state_redis_args a = {0};
	redisReply *r;
	struct err why = {0};
	int rc = 0;
	*out = NULL;
	state_redis_call_str(&a, "CONFIG");
	state_redis_call_str(&a, "GET");
	state_redis_call_str(&a, name);
	if (state_redis_call_command(s, s->buckets.bases[bucket], &a, &r, &why)) {
		/* Denied, or a hosted one that has no such command. */
		if (why.code == ERR_UNAVAILABLE)
			return err_set(err, why.code, why.where, "%s", why.text);
		return 0;
	}
	if (r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
		rc = state_redis_call_text(r->element[1], false, out, err);
		if (rc == 0)
			rc = 1;
	}
	freeReplyObject(r);
	return rc;
}

static int look_at_node(struct state_redis *s, unsigned bucket, unsigned *found, struct err *err)
{
	char *file = NULL;
	char *sync = NULL;
	char *policy = NULL;
	int rc = read_setting(s, bucket, "appendonly", &file, err);
	if (rc > 0)
		rc = read_setting(s, bucket, "appendfsync", &sync, err);
	if (rc > 0)
		rc = read_setting(s, bucket, "maxmemory-policy", &policy, err);
	if (rc == 0)
		*found |= NOT_ALLOWED;
	if (rc > 0) {
		if (!str_eq(file, "yes"))
			*found |= NO_FILE;
		else if (s->durable && !str_eq(sync, "always"))
			*found |= LATE_SYNC;
		if (str_starts(policy, "allkeys-"))
			*found |= EVICTION;
	}
	free(file);
	free(sync);
	free(policy);
	return rc < 0 ? -1 : 0;
}

static int redis_state_warnings(struct state *st, struct buf *out, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	unsigned found = 0;
	/* Which tells too whether there is more than one node. */
	if (redis_state_probe(st, err))
		return -1;
	unsigned last = atomic_load(&s->cluster) ? REDIS_BUCKETS : 1;
	for (unsigned i = 0; i < last; i++) {
		if (look_at_node(s, i, &found, err))
			return -1;
	}
	for (size_t i = 0; i < sizeof(findings) / sizeof(findings[0]); i++) {
		if ((found & findings[i].what) && buf_printf(out, "%s\n", findings[i].text))
			return err_set(err, ERR_TOO_LARGE, __func__, "too many warnings");
	}
	return 0;
}

const struct state_backend state_redis_backend = {
	.type = "redis",
	.env = "REDIS_CONNECTION_STRING",
	.open = redis_state_open,
	.close = redis_state_close,
	.probe = redis_state_probe,
	.warnings = redis_state_warnings,
	.upload_create = state_redis_upload_create,
	.upload_get = state_redis_upload_get,
	.upload_change = state_redis_upload_change,
	.upload_end = state_redis_upload_end,
	.upload_removed = state_redis_upload_removed,
	.upload_purge = state_redis_upload_purge,
	.upload_scan_stale = state_redis_upload_scan_stale,
	.upload_scan_delivered = state_redis_upload_scan_delivered,
	.upload_scan_removable = state_redis_upload_scan_removable,
	.upload_scan_times = state_redis_times_scan,
	.delivery_lease = state_redis_delivery_lease,
	.delivery_renew = state_redis_delivery_renew,
	.delivery_end = state_redis_delivery_end,
	.delivery_queue = state_redis_delivery_queue,
	.delivery_of_upload = state_redis_list_of_upload,
	.delivery_unfinished = state_redis_list_unfinished,
	.wait = state_redis_wait,
	.outbox_add = state_redis_outbox_add,
	.outbox_take = state_redis_outbox_take,
	.outbox_sent = state_redis_outbox_sent,
	.outbox_retry = state_redis_outbox_retry,
	.outbox_park = state_redis_parked_park,
	.outbox_unpark = state_redis_parked_unpark,
	.outbox_parked = state_redis_parked_list,
	.counts = state_redis_kv_counts,
	.kv_get = state_redis_kv_get,
	.kv_put = state_redis_kv_put,
	.move_uploads = state_redis_move_uploads,
	.move_messages = state_redis_move_messages,
	.move_put_uploads = state_redis_move_put_uploads,
	.move_put_messages = state_redis_move_put_messages,
};
