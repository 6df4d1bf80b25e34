/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/blob_memory.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob_impl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct object {
	struct object *next;
	char *key;
	char *data;
	size_t len;
	size_t room; /* bytes that `data` has room for */
	int64_t mtime;
	uint64_t version;
};

struct memory_store {
	struct blob_store base;
	pthread_mutex_t mutex;
	struct object *objects;
	struct object *synced; /* bytes of BLOB_RESUME objects that were not committed */
	uint64_t versions;     /* changes so far, for etags */
};

struct memory_writer {
	struct blob_writer base;
	bool holds; /* what is appended stays here until sync (BLOB_RESUME) or commit */
	bool done;  /* begun at the end of what had been committed: there is nothing to add */
	struct object held;
	uint64_t held_at; /* offset of its first byte */
	char token[48];
};

static const struct blob_option_spec memory_options[] = {{NULL, NULL, 0, NULL}};

static struct memory_store *lock_store(struct blob_store *base)
{
	struct memory_store *s = (struct memory_store *)base;
	pthread_mutex_lock(&s->mutex);
	return s;
}

static void unlock_store(struct memory_store *s)
{
	pthread_mutex_unlock(&s->mutex);
}

static struct object **find(struct object **list, const char *key)
{
	struct object **at = list;
	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static void touch(struct memory_store *s, struct object *o)
{
	o->mtime = clock_now();
	o->version = ++s->versions;
}

static struct object *find_or_add(struct memory_store *s, struct object **list, const char *key)
{
	struct object **at = find(list, key);
	if (!*at) {
		*at = mem_zalloc(sizeof(**at));
		(*at)->key = mem_strdup(key);
		touch(s, *at);
	}
	return *at;
}

/* ${o} ends after them. */
static void put_bytes(struct object *o, uint64_t at, const void *data, size_t len)
{
	o->len = (size_t)at + len;
	if (o->len > o->room) {
		o->room = o->len > 2 * o->room ? o->len : 2 * o->room;
		o->data = mem_realloc(o->data, o->room);
	}
	if (len > 0)
		memcpy(o->data + at, data, len);
}

static void write_at(
	struct memory_store *s, struct object *o, uint64_t at, const void *data, size_t len)
{
	put_bytes(o, at, data, len);
	touch(s, o);
}

static void remove_object(struct object **at)
{
	struct object *o = *at;
	if (!o)
		return;
	*at = o->next;
	free(o->key);
	free(o->data);
	free(o);
}

static struct blob_store *memory_open(
	const struct blob_option *opts, size_t nopts, bool create, struct err *err)
{
	(void)opts;
	(void)nopts;
	(void)create;
	(void)err;
	struct memory_store *s = mem_zalloc(sizeof(*s));
	pthread_mutex_init(&s->mutex, NULL);
	return &s->base;
}

static void memory_close(struct blob_store *base)
{
	struct memory_store *s = (struct memory_store *)base;
	while (s->objects)
		remove_object(&s->objects);
	while (s->synced)
		remove_object(&s->synced);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static int memory_location(const struct blob_store *base, const char *key, struct buf *out)
{
	return buf_printf(out, "memory:%s/%s", base->name, key);
}

/* Every byte is here as soon as it was appended. */
static int resume_appended(
	struct memory_store *s, const char *key, uint64_t offset, struct err *err)
{
	struct object *o = *find(&s->objects, key);
	size_t have = o ? o->len : 0;
	if (have < offset)
		return err_set(err, ERR_CORRUPT, __func__, "%s has %zu bytes, expected %llu", key,
			have, (unsigned long long)offset);
	if (have > offset)
		write_at(s, o, offset, NULL, 0);
	return 0;
}

static void print_token(char *out, size_t size, uint64_t offset)
{
	snprintf(out, size, "synced:%llu", (unsigned long long)offset);
}

/* Only what was synced is here, and only for who has its token. */
static int resume_synced(struct memory_store *s, struct memory_writer *w, const char *key,
	uint64_t offset, const char *token, struct err *err)
{
	struct object *o = *find(&s->synced, key);
	const struct object *whole = *find(&s->objects, key);
	print_token(w->token, sizeof(w->token), offset);
	if (!token || strcmp(token, w->token) != 0)
		return err_set(err, ERR_CORRUPT, __func__, "%s: no token for %llu bytes", key,
			(unsigned long long)offset);
	w->done = !o && whole && whole->len == offset;
	if (w->done)
		return 0;
	if (!o || o->len < offset)
		return err_set(err, ERR_CORRUPT, __func__, "%s: no %llu bytes were synced", key,
			(unsigned long long)offset);
	if (o->len > offset)
		write_at(s, o, offset, NULL, 0);
	return 0;
}

static struct blob_writer *memory_begin(struct blob_store *base, const char *key,
	enum blob_mode mode, uint64_t offset, const char *token, uint64_t size_hint,
	struct err *err)
{
	(void)size_hint;
	bool by_sync = blob_can(base, BLOB_CAP_STORED_BY_SYNC);
	struct memory_writer *w = mem_zalloc(sizeof(*w));
	w->holds = mode == BLOB_STAGE || by_sync;
	w->held_at = offset;
	if (offset == 0)
		return &w->base;
	struct memory_store *s = lock_store(base);
	int rc = by_sync ? resume_synced(s, w, key, offset, token, err)
			 : resume_appended(s, key, offset, err);
	unlock_store(s);
	if (rc == 0)
		return &w->base;
	free(w);
	return NULL;
}

static int memory_append(struct blob_writer *base, const void *data, size_t len, struct err *err)
{
	struct memory_writer *w = (struct memory_writer *)base;
	if (w->done)
		return err_set(err, ERR_CORRUPT, __func__, "%s was committed", base->key);
	if (w->holds) {
		put_bytes(&w->held, base->offset - w->held_at, data, len);
	} else {
		struct memory_store *s = lock_store(base->store);
		write_at(s, find_or_add(s, &s->objects, base->key), base->offset, data, len);
		unlock_store(s);
	}
	base->offset += len;
	return 0;
}

static void sync_held(struct memory_store *s, struct memory_writer *w)
{
	write_at(s, find_or_add(s, &s->synced, w->base.key), w->held_at, w->held.data, w->held.len);
	w->held.len = 0;
	w->held_at = w->base.offset;
	print_token(w->token, sizeof(w->token), w->held_at);
}

static int memory_sync(struct blob_writer *base, struct err *err)
{
	(void)err;
	struct memory_writer *w = (struct memory_writer *)base;
	if (!w->holds || base->mode == BLOB_STAGE || base->offset == w->held_at)
		return 0;
	struct memory_store *s = lock_store(base->store);
	sync_held(s, w);
	unlock_store(s);
	return 0;
}

static const char *memory_token(const struct blob_writer *base)
{
	return ((const struct memory_writer *)base)->token;
}

static void memory_end(struct blob_writer *base)
{
	struct memory_writer *w = (struct memory_writer *)base;
	free(w->held.data);
	free(w);
}

/* What was synced, and what is still held, becomes the object. */
static void commit_synced(struct memory_store *s, struct memory_writer *w)
{
	sync_held(s, w);
	struct object **from = find(&s->synced, w->base.key);
	struct object *o = find_or_add(s, &s->objects, w->base.key);
	write_at(s, o, 0, (*from)->data, (*from)->len);
	remove_object(from);
}

static int memory_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err)
{
	(void)meta;
	struct memory_writer *w = (struct memory_writer *)base;
	struct memory_store *s = lock_store(base->store);
	int rc = 0;
	if (base->mode == BLOB_STAGE) {
		if (*find(&s->objects, base->key))
			rc = err_set(err, ERR_EXISTS, __func__, "%s exists", base->key);
		else
			write_at(s, find_or_add(s, &s->objects, base->key), 0, w->held.data,
				w->held.len);
	} else if (!w->holds) {
		find_or_add(s, &s->objects, base->key)->len = (size_t)base->offset;
	} else if (!w->done) {
		commit_synced(s, w);
	}
	unlock_store(s);
	memory_end(base);
	return rc;
}

static void fill_stat(struct blob_stat *out, const struct object *o)
{
	out->size = o->len;
	out->mtime = o->mtime;
	snprintf(out->etag, sizeof(out->etag), "%llu", (unsigned long long)o->version);
}

static int memory_stat(
	struct blob_store *base, const char *key, struct blob_stat *out, struct err *err)
{
	struct memory_store *s = lock_store(base);
	const struct object *o = *find(&s->objects, key);
	if (o)
		fill_stat(out, o);
	unlock_store(s);
	return o ? 0 : err_set(err, ERR_NOT_FOUND, __func__, "%s does not exist", key);
}

static ssize_t memory_read(struct blob_store *base, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	struct memory_store *s = lock_store(base);
	const struct object *o = *find(&s->objects, key);
	ssize_t n = 0;
	if (!o) {
		n = err_set(err, ERR_NOT_FOUND, __func__, "%s does not exist", key);
	} else if (offset < o->len && len > 0) {
		size_t left = o->len - (size_t)offset;
		n = (ssize_t)(left < len ? left : len);
		memcpy(data, o->data + offset, (size_t)n);
	}
	unlock_store(s);
	return n;
}

static int memory_del(struct blob_store *base, const char *key, const char *token, struct err *err)
{
	(void)err;
	struct memory_store *s = lock_store(base);
	remove_object(find(&s->objects, key));
	if (token && *token)
		remove_object(find(&s->synced, key));
	unlock_store(s);
	return 0;
}

/* ${fn} must not use the store. */
static int memory_list(
	struct blob_store *base, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	(void)err;
	size_t n = strlen(prefix);
	struct memory_store *s = lock_store(base);
	for (const struct object *o = s->objects; o; o = o->next) {
		struct blob_stat st;
		if (n > 0 &&
			!(str_starts(o->key, prefix) && (o->key[n] == '\0' || o->key[n] == '/')))
			continue;
		fill_stat(&st, o);
		if (fn(arg, o->key, &st) < 0)
			break;
	}
	unlock_store(s);
	return 0;
}

static int memory_probe(struct blob_store *base, bool writable, struct err *err)
{
	(void)base;
	(void)writable;
	(void)err;
	return 0;
}

/* What the two kinds have in common. */
#define SLOTS                                                                                   \
	.options = memory_options, .open = memory_open, .close = memory_close,                  \
	.location = memory_location, .begin = memory_begin, .append = memory_append,            \
	.sync = memory_sync, .token = memory_token, .commit = memory_commit, .end = memory_end, \
	.stat = memory_stat, .read = memory_read, .del = memory_del, .list = memory_list,       \
	.probe = memory_probe

const struct blob_backend blob_memory_backend = {
	.type = "memory",
	.caps = BLOB_CAP_ADOPT | BLOB_CAP_REMOTE,
	SLOTS,
};

const struct blob_backend blob_memory_by_sync_backend = {
	.type = "memory",
	.caps = BLOB_CAP_STORED_BY_SYNC | BLOB_CAP_REMOTE,
	SLOTS,
};
