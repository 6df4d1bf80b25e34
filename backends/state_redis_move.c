/* SPDX-License-Identifier: Apache-2.0 */
/* Moving a whole state: see struct state_move_row. Here alone keys are looked for by scanning. */
#include "backends/state_redis.h"
#include "backends/state_redis_call.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_COUNT "1000"
#define PATTERN_MAX 4096

/* --- finding --- */

struct scan {
	struct state_redis *s;
	const char *kind; /* what stands behind the bucket in a key: "u:" */
	/* ${rest}: of the key, behind the kind */
	int (*fn)(struct scan *scan, unsigned bucket, const char *rest, struct err *err);
	int (*row)(void *arg, const struct state_move_row *row, struct err *err);
	int (*message)(void *arg, const struct outbox_message *m, struct err *err);
	void *arg;
};

/* ${text} so that a pattern takes it literally. */
static int add_literal(struct buf *out, const char *text)
{
	int rc = 0;
	for (; *text && rc == 0; text++) {
		if (strchr("*?[]\\^", *text))
			rc = buf_add_char(out, '\\');
		if (rc == 0)
			rc = buf_add_char(out, *text);
	}
	return rc;
}

/* Keys of the bucket, or with ${all} of every bucket. */
static int make_pattern(
	const struct scan *scan, unsigned bucket, bool all, struct buf *out, struct err *err)
{
	const struct state_redis *s = scan->s;
	int rc = add_literal(out, redis_prefix(s->r));
	if (rc == 0)
		rc = all ? buf_printf(out, ":{?}:%s*", scan->kind)
			 : buf_printf(out, ":{%x}:%s*", bucket, scan->kind);
	return rc == 0 ? 0 : err_set(err, ERR_INVALID, __func__, "the prefix of keys is too long");
}

static int see_key(struct scan *scan, const redisReply *key, struct err *err)
{
	size_t kind = strlen(scan->kind);
	if (key->type != REDIS_REPLY_STRING)
		return 0;
	for (unsigned i = 0; i < REDIS_BUCKETS; i++) {
		size_t base = strlen(scan->s->buckets.bases[i]);
		if (strncmp(key->str, scan->s->buckets.bases[i], base) == 0 &&
			strncmp(key->str + base, scan->kind, kind) == 0)
			return scan->fn(scan, i, key->str + base + kind, err);
	}
	return 0;
}

static int scan_node(struct scan *scan, unsigned bucket, const char *pattern, struct err *err)
{
	char *cursor = mem_strdup("0");
	int rc = 0;
	bool more = true;

	while (rc == 0 && more) {
		struct state_redis_args a = {0};
		redisReply *reply;
		char *next = NULL;
		state_redis_call_str(&a, "SCAN");
		state_redis_call_str(&a, cursor);
		state_redis_call_str(&a, "MATCH");
		state_redis_call_str(&a, pattern);
		state_redis_call_str(&a, "COUNT");
		state_redis_call_str(&a, SCAN_COUNT);
		if (state_redis_call_command(
			    scan->s, scan->s->buckets.bases[bucket], &a, &reply, err)) {
			rc = -1;
			break;
		}
		if (state_redis_call_array(reply, 2, err) ||
			state_redis_call_text(reply->element[0], false, &next, err) ||
			state_redis_call_array(reply->element[1], 0, err))
			rc = -1;
		for (size_t i = 0; rc == 0 && i < reply->element[1]->elements; i++)
			rc = see_key(scan, reply->element[1]->element[i], err);
		freeReplyObject(reply);
		if (next) {
			free(cursor);
			cursor = next;
		}
		more = !str_eq(cursor, "0");
	}
	free(cursor);
	return rc;
}

static int scan_all(struct scan *scan, struct err *err)
{
	struct state_redis *s = scan->s;
	struct buf pattern;
	int rc = 0;

	/* Which tells whether there is more than one node. */
	if (s->base.backend->probe(&s->base, err) < 0)
		return -1;
	bool all = !atomic_load(&s->cluster);
	buf_init(&pattern, PATTERN_MAX);
	for (unsigned i = 0; rc == 0 && i < (all ? 1 : REDIS_BUCKETS); i++) {
		buf_reset(&pattern);
		rc = make_pattern(scan, i, all, &pattern, err);
		if (rc == 0)
			rc = scan_node(scan, i, buf_str(&pattern), err);
	}
	buf_free(&pattern);
	return rc;
}

/* --- reading --- */

static int64_t number_or_0(const redisReply *r)
{
	int64_t n = 0;
	struct err err = {0};
	return state_redis_call_number(r, INT64_MAX, true, &n, &err) == 0 ? n : 0;
}

static int see_upload(struct scan *scan, unsigned bucket, const char *id, struct err *err)
{
	struct state_move_row row = {0};
	struct state_redis_args a = {0};
	redisReply *reply;
	struct buf key;
	int rc = -1;

	if (!str_is_uuid(id))
		return 0;
	enum state_result res = state_redis_upload_get(&scan->s->base, id, &row.upload, err);
	if (res != STATE_OK)
		return res == STATE_NOT_FOUND ? 0 : -1;
	buf_init(&key, PATTERN_MAX);
	(void)buf_printf(&key, "%su:%s", scan->s->buckets.bases[bucket], id);
	state_redis_call_str(&a, "HMGET");
	state_redis_call_str(&a, buf_str(&key));
	state_redis_call_str(&a, "delivered_at");
	state_redis_call_str(&a, "ended_at");
	state_redis_call_str(&a, "removable");
	if (state_redis_call_command(scan->s, buf_str(&key), &a, &reply, err) == 0) {
		rc = state_redis_call_array(reply, 3, err);
		if (rc == 0) {
			row.delivered_at = number_or_0(reply->element[0]);
			row.ended_at = number_or_0(reply->element[1]);
			row.removable = number_or_0(reply->element[2]) != 0;
			rc = scan->row(scan->arg, &row, err);
		}
		freeReplyObject(reply);
	}
	buf_free(&key);
	upload_free(&row.upload);
	return rc;
}

int state_redis_move_uploads(struct state *s, state_move_row_fn *fn, void *arg, struct err *err)
{
	struct scan scan = {.s = (struct state_redis *)s,
		.kind = "u:",
		.fn = see_upload,
		.row = fn,
		.arg = arg};
	return scan_all(&scan, err);
}

/* ${rest}: ID:SINK */
static int see_group(struct scan *scan, unsigned bucket, const char *rest, struct err *err)
{
	struct state_redis_args a = {0};
	redisReply *reply;
	struct buf group;
	int rc = 0;

	if (strlen(rest) <= UUID_SIZE || rest[UUID_SIZE - 1] != ':')
		return 0;
	buf_init(&group, PATTERN_MAX);
	(void)buf_printf(&group, "%s%s", scan->kind, rest);
	state_redis_call_str(&a, buf_str(&group));
	enum state_result r = state_redis_call(scan->s, SCRIPT_MOVE_GROUP, bucket, &a, &reply, err);
	buf_free(&group);
	if (r != STATE_OK)
		return -1;
	for (size_t i = 1; rc == 0 && i < reply->elements; i++)
		rc = state_redis_parked_read(
			bucket, reply->element[i], scan->message, scan->arg, err);
	freeReplyObject(reply);
	return rc;
}

int state_redis_move_messages(
	struct state *s, state_move_message_fn *fn, void *arg, struct err *err)
{
	struct scan scan = {.s = (struct state_redis *)s,
		.kind = "g:",
		.fn = see_group,
		.message = fn,
		.arg = arg};
	if (scan_all(&scan, err) < 0)
		return -1;
	scan.kind = "p:";
	return scan_all(&scan, err);
}

/* --- writing --- */

static void add_number(struct state_redis_args *a, const char *name, int64_t value)
{
	state_redis_call_str(a, name);
	state_redis_call_int(a, value);
}

static void add_members(struct state_redis_args *a, const struct state_move_row *row)
{
	const struct upload *u = &row->upload;

	state_redis_call_member(a, "op", "0");
	add_number(a, "kind", u->kind);
	add_number(a, "status", u->status);
	add_number(a, "length", u->length);
	add_number(a, "offset", u->offset);
	add_number(a, "beyond", u->beyond);
	add_number(a, "fence", 0);
	add_number(a, "created_at", u->created_at);
	add_number(a, "touched_at", u->touched_at);
	add_number(a, "completed_at", u->completed_at);
	add_number(a, "ended_at", row->ended_at);
	add_number(a, "removable", row->removable);
	if (row->delivered_at > 0)
		add_number(a, "delivered_at", row->delivered_at);
	state_redis_call_member(a, "token", u->token ? u->token : "");
	state_redis_call_member(a, "metadata", u->metadata);
	state_redis_call_member(a, "manifest", u->manifest);
	state_redis_call_member(a, "concat", u->concat);
	state_redis_call_member(a, "owner", u->owner);
}

/* That of struct upload_mark. */
static int64_t time_of(const struct state_move_row *row)
{
	const struct upload *u = &row->upload;
	bool ended = u->status == UPLOAD_EXPIRED || u->status == UPLOAD_TERMINATED;
	int64_t at = u->completed_at > u->created_at ? u->completed_at : u->created_at;

	return ended && row->ended_at > at ? row->ended_at : at;
}

static enum state_result put_row(
	struct state_redis *s, const struct state_move_row *row, struct err *err)
{
	struct state_redis_args a = {0};
	char number[24];

	state_redis_call_str(&a, row->upload.id);
	state_redis_call_int(&a, row->upload.status);
	state_redis_call_int(&a, row->upload.kind);
	state_redis_call_int(&a, row->upload.touched_at);
	state_redis_call_int(&a, row->delivered_at);
	state_redis_call_int(&a, row->ended_at);
	state_redis_call_int(&a, row->removable);
	state_redis_call_int(&a, clock_now());
	state_redis_call_int(&a, time_of(row));
	size_t count = a.n;
	state_redis_call_str(&a, "");
	add_members(&a, row);
	a.items[count] = redis_arg_int(number, (int64_t)(a.n - count - 1));
	state_redis_call_int(&a, (int64_t)row->ndeliveries);
	for (size_t i = 0; i < row->ndeliveries; i++) {
		const struct delivery *d = &row->deliveries[i];
		state_redis_call_str(&a, d->target);
		state_redis_call_int(&a, d->status);
		state_redis_call_int(&a, d->attempt);
		state_redis_call_int(&a, d->due_at);
		state_redis_call_int(&a, d->queued_at);
		state_redis_call_int(&a, d->ended_at);
		state_redis_call_str(&a, d->location ? d->location : "");
		state_redis_call_str(&a, d->issues ? d->issues : "");
		state_redis_call_str(&a, d->sha256 ? d->sha256 : "");
	}
	return state_redis_call(
		s, SCRIPT_MOVE_PUT_UPLOAD, redis_bucket_of(row->upload.id), &a, NULL, err);
}

int state_redis_move_put_uploads(struct state *s, const struct state_move_row *rows, size_t n,
	size_t *added, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		enum state_result r = put_row((struct state_redis *)s, &rows[i], err);
		if (r == STATE_ERROR)
			return -1;
		*added += r == STATE_OK;
	}
	return 0;
}

int state_redis_move_put_messages(
	struct state *st, const struct outbox_list *msgs, size_t *added, struct err *err)
{
	struct state_redis *s = (struct state_redis *)st;
	struct state_redis_args a = {0};
	const struct outbox_message *first = &msgs->items[0];
	unsigned bucket = redis_bucket_of(first->upload_id);

	state_redis_call_str(&a, first->upload_id);
	state_redis_call_str(&a, first->sink);
	state_redis_call_int(&a, clock_now());
	state_redis_call_int(&a, first->parked_at > 0);
	state_redis_call_int(&a, (int64_t)msgs->n);
	for (size_t i = 0; i < msgs->n; i++) {
		const struct outbox_message *m = &msgs->items[i];
		state_redis_call_str(&a, m->name);
		state_redis_call_int(&a, m->replace);
		state_redis_call_str(&a, m->data);
		state_redis_call_int(&a, m->due_at);
		state_redis_call_int(&a, m->attempt);
		state_redis_call_int(&a, m->parked_at);
		state_redis_call_str(&a, m->reason ? m->reason : "");
	}
	enum state_result r = state_redis_call(s, SCRIPT_MOVE_PUT_MESSAGES, bucket, &a, NULL, err);
	*added = r == STATE_OK ? msgs->n : 0;
	return r == STATE_ERROR ? -1 : 0;
}
