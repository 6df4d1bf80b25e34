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
	int64_t mtime;
	uint64_t version;
};

struct memory_store {
	struct blob_store base;
	pthread_mutex_t mutex;
	struct object *objects;
	uint64_t versions; /* changes so far, for etags */
};

struct memory_writer {
	struct blob_writer base;
	char *staged; /* BLOB_STAGE: what was appended */
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

static struct object **find(struct memory_store *s, const char *key)
{
	struct object **at = &s->objects;
	while (*at && strcmp((*at)->key, key) != 0)
		at = &(*at)->next;
	return at;
}

static void touch(struct memory_store *s, struct object *o)
{
	o->mtime = clock_now();
	o->version = ++s->versions;
}

static struct object *find_or_add(struct memory_store *s, const char *key)
{
	struct object **at = find(s, key);
	if (!*at) {
		*at = mem_zalloc(sizeof(**at));
		(*at)->key = mem_strdup(key);
		touch(s, *at);
	}
	return *at;
}

static void remove_object(struct object **at)
{
	struct object *o = *at;
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
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static int memory_location(const struct blob_store *base, const char *key, struct buf *out)
{
	return buf_printf(out, "memory:%s/%s", base->name, key);
}

static struct blob_writer *memory_begin(struct blob_store *base, const char *key,
	enum blob_mode mode, uint64_t offset, const char *token, uint64_t size_hint,
	struct err *err)
{
	(void)token;
	(void)size_hint;
	if (mode == BLOB_RESUME && offset > 0) {
		struct memory_store *s = lock_store(base);
		struct object *o = *find(s, key);
		size_t have = o ? o->len : 0;
		if (have > offset) {
			o->len = (size_t)offset;
			touch(s, o);
		}
		unlock_store(s);
		if (have < offset) {
			err_set(err, ERR_CORRUPT, __func__, "%s has %zu bytes, expected %llu", key,
				have, (unsigned long long)offset);
			return NULL;
		}
	}
	struct memory_writer *w = mem_zalloc(sizeof(*w));
	return &w->base;
}

static int memory_append(struct blob_writer *base, const void *data, size_t len, struct err *err)
{
	(void)err;
	struct memory_writer *w = (struct memory_writer *)base;
	size_t total = (size_t)base->offset + len;
	if (base->mode == BLOB_STAGE) {
		w->staged = mem_realloc(w->staged, total);
		memcpy(w->staged + base->offset, data, len);
	} else {
		struct memory_store *s = lock_store(base->store);
		struct object *o = find_or_add(s, base->key);
		o->data = mem_realloc(o->data, total);
		memcpy(o->data + base->offset, data, len);
		o->len = total;
		touch(s, o);
		unlock_store(s);
	}
	base->offset = total;
	return 0;
}

static int memory_sync(struct blob_writer *base, struct err *err)
{
	(void)base;
	(void)err;
	return 0;
}

static void memory_end(struct blob_writer *base)
{
	struct memory_writer *w = (struct memory_writer *)base;
	free(w->staged);
	free(w);
}

static int memory_commit(struct blob_writer *base, const struct blob_meta *meta, struct err *err)
{
	(void)meta;
	struct memory_writer *w = (struct memory_writer *)base;
	struct memory_store *s = lock_store(base->store);
	int rc = 0;
	if (base->mode == BLOB_STAGE && *find(s, base->key)) {
		rc = err_set(err, ERR_EXISTS, __func__, "%s exists", base->key);
	} else {
		struct object *o = find_or_add(s, base->key);
		o->len = (size_t)base->offset;
		if (base->mode == BLOB_STAGE) {
			o->data = w->staged;
			w->staged = NULL;
		}
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
	const struct object *o = *find(s, key);
	if (o)
		fill_stat(out, o);
	unlock_store(s);
	return o ? 0 : err_set(err, ERR_NOT_FOUND, __func__, "%s does not exist", key);
}

static ssize_t memory_read(struct blob_store *base, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	struct memory_store *s = lock_store(base);
	const struct object *o = *find(s, key);
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
	(void)token;
	(void)err;
	struct memory_store *s = lock_store(base);
	struct object **at = find(s, key);
	if (*at)
		remove_object(at);
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

const struct blob_backend blob_memory_backend = {
	.type = "memory",
	.caps = BLOB_CAP_ADOPT,
	.options = memory_options,
	.open = memory_open,
	.close = memory_close,
	.location = memory_location,
	.begin = memory_begin,
	.append = memory_append,
	.sync = memory_sync,
	.commit = memory_commit,
	.end = memory_end,
	.stat = memory_stat,
	.read = memory_read,
	.del = memory_del,
	.list = memory_list,
	.probe = memory_probe,
};
