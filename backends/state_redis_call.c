/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_redis_call.h"

#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP_BYTES 8
#define NAME_MAX_VALUE (INT64_MAX / REDIS_BUCKETS)

struct state_redis_number {
	struct state_redis_number *next;
	char text[24];
};

/* --- arguments --- */

void state_redis_call_bytes(struct state_redis_args *a, const char *data, size_t len)
{
	if (a->n == a->cap) {
		a->cap = a->cap ? 2 * a->cap : 32;
		a->items = mem_array(a->items, a->cap, sizeof(*a->items));
	}
	a->items[a->n++] = (struct redis_arg){data, len};
}

void state_redis_call_str(struct state_redis_args *a, const char *s)
{
	state_redis_call_bytes(a, s, strlen(s));
}

static char *new_number(struct state_redis_args *a)
{
	struct state_redis_number *n = mem_alloc(sizeof(*n));
	n->next = a->numbers;
	a->numbers = n;
	return n->text;
}

void state_redis_call_int(struct state_redis_args *a, int64_t value)
{
	char *text = new_number(a);
	snprintf(text, sizeof(a->numbers->text), "%lld", (long long)value);
	state_redis_call_str(a, text);
}

void state_redis_call_name(struct state_redis_args *a, int64_t id)
{
	char *text = new_number(a);
	/* No id is negative; what is asked for with one has no row. */
	snprintf(text, sizeof(a->numbers->text), "%016lld", (long long)(id / REDIS_BUCKETS));
	state_redis_call_str(a, text);
}

void state_redis_call_op(struct state_redis_args *a)
{
	unsigned char bytes[OP_BYTES];
	char *text = new_number(a);
	random_bytes(bytes, sizeof(bytes));
	str_hex(text, bytes, sizeof(bytes));
	state_redis_call_str(a, text);
}

void state_redis_call_member(struct state_redis_args *a, const char *name, const char *value)
{
	if (value) {
		state_redis_call_str(a, name);
		state_redis_call_str(a, value);
	}
}

int state_redis_call_messages(struct state_redis_args *a, const struct outbox_list *msgs,
	unsigned bucket, struct err *err)
{
	state_redis_call_int(a, msgs ? (int64_t)msgs->n : 0);
	for (size_t i = 0; msgs && i < msgs->n; i++) {
		const struct outbox_message *m = &msgs->items[i];
		if (redis_bucket_of(m->upload_id) != bucket)
			return err_set(err, ERR_INVALID, __func__,
				"a message about another upload cannot be part of the change");
		state_redis_call_str(a, m->upload_id);
		state_redis_call_str(a, m->sink);
		state_redis_call_str(a, m->name);
		state_redis_call_int(a, m->replace);
		state_redis_call_str(a, m->data);
		state_redis_call_int(a, m->due_at);
	}
	return 0;
}

void state_redis_call_free(struct state_redis_args *a)
{
	while (a->numbers) {
		struct state_redis_number *n = a->numbers;
		a->numbers = n->next;
		free(n);
	}
	free(a->items);
	*a = (struct state_redis_args){0};
}

unsigned state_redis_call_bucket_of(int64_t id)
{
	return (unsigned)((uint64_t)id % REDIS_BUCKETS);
}

/* --- running --- */

static int not_as_expected(struct err *err)
{
	return err_set(err, ERR_CORRUPT, "state_redis", "Redis answers something unexpected");
}

/*
 * What kind of failure an error reply is, where the connection does not know: errors of scripts,
 * and those that servers before Redis 7 hide in the midst of such a text.
 */
static int refused(struct err *err)
{
	static const struct {
		const char *text;
		enum err_code code;
	} known[] = {
		{"WRONGTYPE", ERR_CORRUPT},
		{"attempt to", ERR_CORRUPT}, /* a script met a member that is no number */
		{"is not a", ERR_CORRUPT},
		{"OOM command", ERR_NO_SPACE},
		{"MISCONF",
			ERR_UNAVAILABLE}, /* it cannot save, and takes no changes until it can */
		{"READONLY", ERR_UNAVAILABLE},
		{"The user executing the script", ERR_DENIED},
	};
	for (size_t i = 0; err && err->code == ERR_IO && i < sizeof(known) / sizeof(known[0]);
		i++) {
		if (strstr(err->text, known[i].text))
			err->code = known[i].code;
	}
	return -1;
}

static bool is_text(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static enum state_result answer_of(
	const redisReply *r, const struct redis_script *script, struct err *err)
{
	if (state_redis_call_array(r, 1, err))
		return STATE_ERROR;
	if (r->element[0]->type == REDIS_REPLY_INTEGER) {
		switch (r->element[0]->integer) {
		case SCRIPT_OK:
			return STATE_OK;
		case SCRIPT_NOT_FOUND:
			return STATE_NOT_FOUND;
		case SCRIPT_CONFLICT:
			return STATE_CONFLICT;
		case SCRIPT_EXISTS:
			err_set(err, ERR_EXISTS, script->name, "the upload exists");
			return STATE_ERROR;
		case SCRIPT_CORRUPT:
			if (r->elements < 2 || !is_text(r->element[1]))
				break;
			err_set(err, ERR_CORRUPT, script->name, "%s is damaged",
				r->element[1]->str);
			return STATE_ERROR;
		default:
			break;
		}
	}
	not_as_expected(err);
	return STATE_ERROR;
}

static enum state_result run(struct state_redis *s, enum script_id id, const struct redis_arg *keys,
	size_t nkeys, struct state_redis_args *a, redisReply **reply_out, struct err *err)
{
	const struct redis_script *script = &s->scripts[id];
	redisReply *reply = NULL;
	struct err local = {0};
	struct err *e = err ? err : &local; /* its text is looked at */
	enum state_result result = STATE_ERROR;

	crash_point("state_redis.before_script");
	int done = redis_eval(s->r, script, keys, nkeys, a->items, a->n, true, &reply, e);
	crash_point("state_redis.after_script");
	if (done == REDIS_DONE)
		result = answer_of(reply, script, e);
	else
		refused(e);
	if (result == STATE_OK && reply_out) {
		*reply_out = reply;
		reply = NULL;
	}
	if (reply)
		freeReplyObject(reply);
	state_redis_call_free(a);
	return result;
}

enum state_result state_redis_call_key(struct state_redis *s, enum script_id id, const char *key,
	struct state_redis_args *a, struct err *err)
{
	struct redis_arg k = redis_arg_str(key);
	return run(s, id, &k, 1, a, NULL, err);
}

enum state_result state_redis_call(struct state_redis *s, enum script_id id, unsigned bucket,
	struct state_redis_args *a, redisReply **reply_out, struct err *err)
{
	struct redis_arg keys[2];
	redis_bucket_keys(&s->buckets, bucket, keys);
	if (reply_out)
		*reply_out = NULL;
	return run(s, id, keys, 2, a, reply_out, err);
}

/* Run on ${n} buckets from ${first} onward. */
static int all_part(struct state_redis *s, enum script_id id, unsigned first, unsigned n,
	const struct state_redis_args *a, state_redis_each_fn *fn, void *arg, struct err *err)
{
	struct redis_arg keys[REDIS_BUCKETS + 1];
	redisReply *reply = NULL;
	int rc = 0;
	for (unsigned i = n; i-- > 0;) {
		struct redis_arg of_bucket[2];
		redis_bucket_keys(&s->buckets, first + i, of_bucket);
		keys[i] = of_bucket[0];
		keys[n] = of_bucket[1];
	}
	if (redis_eval(s->r, &s->scripts[id], keys, n + 1, a->items, a->n, true, &reply, err) !=
		REDIS_DONE)
		return refused(err);
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != n)
		rc = not_as_expected(err);
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = fn(arg, first + i, reply->element[i], err);
	freeReplyObject(reply);
	return rc;
}

int state_redis_call_all(struct state_redis *s, enum script_id id, struct state_redis_args *a,
	state_redis_each_fn *fn, void *arg, struct err *err)
{
	struct err local = {0};
	struct err *e = err ? err : &local;
	int rc = 0;
	if (!atomic_load(&s->cluster)) {
		rc = all_part(s, id, 0, REDIS_BUCKETS, a, fn, arg, e);
		if (rc && strstr(e->text, "CROSSSLOT"))
			atomic_store(&s->cluster, true);
		else
			goto out;
		err_clear(e);
	}
	rc = 0;
	for (unsigned i = 0; rc == 0 && i < REDIS_BUCKETS; i++)
		rc = all_part(s, id, i, 1, a, fn, arg, e);
out:
	state_redis_call_free(a);
	return rc;
}

int state_redis_call_one(struct state_redis *s, enum script_id id, unsigned bucket,
	struct state_redis_args *a, state_redis_each_fn *fn, void *arg, struct err *err)
{
	struct err local = {0};
	int rc = all_part(s, id, bucket, 1, a, fn, arg, err ? err : &local);
	state_redis_call_free(a);
	return rc;
}

int state_redis_call_command(struct state_redis *s, const char *key, struct state_redis_args *a,
	redisReply **out, struct err *err)
{
	struct err local = {0};
	struct err *e = err ? err : &local;
	int rc = 0;
	*out = NULL;
	if (redis_command(s->r, key, a->items, a->n, true, out, e) != REDIS_DONE)
		rc = refused(e);
	state_redis_call_free(a);
	return rc;
}

/* --- reading --- */

int state_redis_call_array(const redisReply *r, size_t min, struct err *err)
{
	return r->type == REDIS_REPLY_ARRAY && r->elements >= min ? 0 : not_as_expected(err);
}

int state_redis_call_number(
	const redisReply *r, int64_t max, bool clamp, int64_t *out, struct err *err)
{
	uint64_t value;
	if (r->type == REDIS_REPLY_INTEGER && r->integer >= 0)
		value = (uint64_t)r->integer;
	else if (!is_text(r) || str_to_u64_n(r->str, (size_t)r->len, UINT64_MAX, &value))
		return err_set(err, ERR_CORRUPT, "state_redis", "a member is no number");
	if (value > (uint64_t)max) {
		if (!clamp)
			return err_set(err, ERR_CORRUPT, "state_redis", "a number is out of range");
		value = (uint64_t)max;
	}
	*out = (int64_t)value;
	return 0;
}

int state_redis_call_id(const redisReply *r, unsigned bucket, int64_t *out, struct err *err)
{
	int64_t name = 0;
	if (state_redis_call_number(r, NAME_MAX_VALUE, false, &name, err))
		return -1;
	*out = name * REDIS_BUCKETS + (int64_t)bucket;
	return 0;
}

int state_redis_call_uuid(const redisReply *r, char out[UUID_SIZE], struct err *err)
{
	if (!is_text(r) || strlen(r->str) != (size_t)r->len || !str_is_uuid(r->str))
		return err_set(err, ERR_CORRUPT, "state_redis", "a member is no upload id");
	str_copy(out, UUID_SIZE, r->str);
	return 0;
}

int state_redis_call_text(const redisReply *r, bool optional, char **out, struct err *err)
{
	*out = NULL;
	if (r->type == REDIS_REPLY_NIL && optional)
		return 0;
	if (!is_text(r) || strlen(r->str) != (size_t)r->len)
		return err_set(err, ERR_CORRUPT, "state_redis", "a member is missing or no text");
	*out = mem_strndup(r->str, (size_t)r->len);
	return 0;
}
