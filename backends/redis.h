/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REDIS_H
#define DEX_BACKENDS_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Connections to Redis for the state store and the locks: one server, a Sentinel group or a Cluster
 * (https://redis.io/docs/latest/develop/reference/protocol-spec/, RESP2), with or without TLS. A
 * pool that threads borrow from; broken connections are made anew with growing pauses.
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DB][?…]        rediss:// with TLS
 *   redis+sentinel://[…@]HOST[:PORT][,HOST[:PORT]…]/NAME[/DB][?…]   rediss+sentinel://
 *
 * User and password are percent-encoded; Sentinels get them only when they ask. A server that
 * answers MOVED or ASK is a Cluster's, and is followed. Further hosts are tried where the one
 * before is out of reach: they are for Clusters. Behind '?', joined by '&': prefix (of all keys,
 * "dex"), ca_file, cert_file, key_file, timeout (of one command, "2s").
 */

struct err;
struct redis;

struct redis *redis_open(const char *where, struct err *err); /* makes no connection */
void redis_close(struct redis *r);                            /* NULL is fine */
const char *redis_prefix(const struct redis *r);

enum redis_result {
	REDIS_DONE = 0, /* hiredis' REDIS_OK is the same */
	/* an error reply: ${err} has its text; nothing was done, unless a script did it before */
	REDIS_REFUSED = 1,
	/* out of reach: the command was certainly not carried out */
	REDIS_DOWN = -1,
	/* the connection broke after the command was sent: it may have been carried out, or may be
	   yet. Read before repeating what is not idempotent. */
	REDIS_UNKNOWN = -2,
};

struct redis_arg {
	const char *data;
	size_t len;
};
/* ${s} as an argument; NULL as "". */
struct redis_arg redis_arg_str(const char *s);
/* ${value} in decimal, in ${buffer}. */
struct redis_arg redis_arg_int(char buffer[24], int64_t value);

/*
 * Send one command and wait for its reply (freed by the caller with freeReplyObject; NULL unless
 * REDIS_DONE). ${key} is the key that decides which node of a Cluster is asked, NULL where any will
 * do. Idempotent commands (${repeat}) are sent again where the outcome is not known, within the
 * time limit.
 * ${err}: ERR_UNAVAILABLE (down, unknown, loading, failing over), ERR_DENIED (authentication, ACL),
 * ERR_NO_SPACE (OOM), ERR_TOO_LARGE (a reply above 64 MiB; the result is REDIS_UNKNOWN then), else
 * ERR_IO.
 */
enum redis_result redis_command(struct redis *r, const char *key, const struct redis_arg *args,
	size_t n, bool repeat, redisReply **out, struct err *err);

/* A Lua script: sent by its SHA-1, whole where the server does not know it yet. */
struct redis_script {
	const char *name; /* for errors */
	const char *text;
	char sha1[41]; /* set by redis_script_hash, once, before the script is run */
};
void redis_script_hash(struct redis_script *s);
/*
 * Run ${s} with ${keys} (all of one hash slot) and ${args}. As redis_command; ${repeat} where the
 * script does the same thing when it is run twice.
 */
enum redis_result redis_eval(struct redis *r, const struct redis_script *s,
	const struct redis_arg *keys, size_t nkeys, const struct redis_arg *args, size_t nargs,
	bool repeat, redisReply **out, struct err *err);

/*
 * A thread that listens to ${channel} (without prefix) and calls ${fn} with each message. ${fn} is
 * called with NULL as soon as it listens, and again after a connection broke: messages before that
 * were lost.
 */
struct redis_listener;
typedef void redis_message_fn(void *arg, const char *message);
struct redis_listener *redis_listen(
	struct redis *r, const char *channel, redis_message_fn *fn, void *arg, struct err *err);
void redis_unlisten(struct redis_listener *l); /* waits for its thread; NULL is fine */
/* Publish; lost messages must not matter to the caller. */
int redis_publish(struct redis *r, const char *channel, const char *message, struct err *err);

#endif
