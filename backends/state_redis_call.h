/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_STATE_REDIS_CALL_H
#define DEX_BACKENDS_STATE_REDIS_CALL_H

#include "backends/redis.h"
#include "backends/state_redis.h"
#include "backends/state_redis_scripts.h"

/*
 * Calls of the Redis state store: arguments of a script, running it, reading what it answers.
 * Every answer is checked: what is not as a script makes it is ERR_CORRUPT.
 */

struct state_redis_number;

struct state_redis_args { /* start with = {0} */
	struct redis_arg *items;
	size_t n;
	size_t cap;
	struct state_redis_number *numbers; /* texts that items point to */
};

/* Strings are not copied: they must outlive the call. */
void state_redis_call_str(struct state_redis_args *a, const char *s);
void state_redis_call_bytes(struct state_redis_args *a, const char *data, size_t len);
void state_redis_call_int(struct state_redis_args *a, int64_t value);
/* The name of a delivery or message as keys have it. */
void state_redis_call_name(struct state_redis_args *a, int64_t id);
/* A new random name of this operation. */
void state_redis_call_op(struct state_redis_args *a);
/* Name and value of a row's member, unless ${value} is NULL. */
void state_redis_call_member(struct state_redis_args *a, const char *name, const char *value);
/* Their number and all members of ${msgs} (may be NULL); each must belong to ${bucket}. */
int state_redis_call_messages(struct state_redis_args *a, const struct outbox_list *msgs,
	unsigned bucket, struct err *err);
void state_redis_call_free(struct state_redis_args *a);

unsigned state_redis_call_bucket_of(int64_t id); /* of a delivery or message */

/*
 * Run the script on the bucket and free ${a}. ${reply_out} (may be NULL): the whole answer, to be
 * freed by the caller, NULL unless STATE_OK.
 */
enum state_result state_redis_call(struct state_redis *s, enum script_id id, unsigned bucket,
	struct state_redis_args *a, redisReply **reply_out, struct err *err);
/* The same on a key of its own, without an answer. */
enum state_result state_redis_call_key(struct state_redis *s, enum script_id id, const char *key,
	struct state_redis_args *a, struct err *err);

/* Called with the answer of each bucket; -1 + ${err} ends it. */
typedef int state_redis_each_fn(
	void *arg, unsigned bucket, const redisReply *answer, struct err *err);
/*
 * Run one of SCRIPT_ALL_… on all buckets and free ${a}: at once, or one after another where they
 * lie on different nodes.
 */
int state_redis_call_all(struct state_redis *s, enum script_id id, struct state_redis_args *a,
	state_redis_each_fn *fn, void *arg, struct err *err);
/* Run one of them on a single bucket and free ${a}. */
int state_redis_call_one(struct state_redis *s, enum script_id id, unsigned bucket,
	struct state_redis_args *a, state_redis_each_fn *fn, void *arg, struct err *err);

/* One command that may be repeated, e.g. a read; frees ${a}. ${key} chooses the node. 0 or -1. */
int state_redis_call_command(struct state_redis *s, const char *key, struct state_redis_args *a,
	redisReply **out, struct err *err);

/* --- reading; each 0, or -1 with ERR_CORRUPT --- */

/* An array of ${min} elements at least. */
int state_redis_call_array(const redisReply *r, size_t min, struct err *err);
/* A decimal number of 0 … ${max}, as text or as number; more is taken as ${max} if ${clamp}. */
int state_redis_call_number(
	const redisReply *r, int64_t max, bool clamp, int64_t *out, struct err *err);
/* The id of what has this name in ${bucket}. */
int state_redis_call_id(const redisReply *r, unsigned bucket, int64_t *out, struct err *err);
int state_redis_call_uuid(const redisReply *r, char out[UUID_SIZE], struct err *err);
/* A malloc'ed string; a missing one gives NULL if it is ${optional}. */
int state_redis_call_text(const redisReply *r, bool optional, char **out, struct err *err);

#endif
