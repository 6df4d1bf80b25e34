/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/state_kv.h"

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state_impl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 4096

struct item {
	char *key;
	char *value;
	size_t len;
	int64_t expires_at;
};

struct store {
	struct state base;
	pthread_mutex_t mutex; /* all below */
	struct item items[ITEMS_MAX];
	size_t n;
	size_t writes;
	bool away;
};

static struct state *kv_open(const char *where, bool durable, struct err *err)
{
	struct store *s = mem_zalloc(sizeof *s);
	(void)where;
	(void)durable;
	(void)err;
	pthread_mutex_init(&s->mutex, NULL);
	return &s->base;
}

static void drop(struct store *s, size_t i)
{
	free(s->items[i].key);
	free(s->items[i].value);
	s->items[i] = s->items[--s->n];
}

static void kv_close(struct state *base)
{
	struct store *s = (struct store *)base;
	while (s->n > 0)
		drop(s, s->n - 1);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

/* Index of ${key}, or s->n. */
static size_t find(const struct store *s, const char *key, int64_t now)
{
	size_t i = 0;
	while (i < s->n && (strcmp(s->items[i].key, key) != 0 ||
				   (s->items[i].expires_at > 0 && s->items[i].expires_at <= now)))
		i++;
	return i;
}

static enum state_result kv_get(
	struct state *base, const char *key, int64_t now, struct buf *out, struct err *err)
{
	struct store *s = (struct store *)base;
	enum state_result r = STATE_NOT_FOUND;
	pthread_mutex_lock(&s->mutex);
	size_t i = find(s, key, now);
	if (s->away) {
		err_set(err, ERR_UNAVAILABLE, __func__, "away");
		r = STATE_ERROR;
	} else if (i < s->n) {
		r = buf_add(out, s->items[i].value, s->items[i].len) == 0 ? STATE_OK : STATE_ERROR;
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static char *copy(const char *value, size_t len)
{
	char *own = mem_zalloc(len + 1);
	if (len > 0)
		memcpy(own, value, len);
	return own;
}

static enum state_result kv_put(struct state *base, const char *key, const char *value, size_t len,
	bool only_if_absent, int64_t now, int64_t expires_at, struct err *err)
{
	struct store *s = (struct store *)base;
	enum state_result r = STATE_OK;
	pthread_mutex_lock(&s->mutex);
	s->writes++;
	if (s->away) {
		err_set(err, ERR_UNAVAILABLE, __func__, "away");
		r = STATE_ERROR;
	} else if (only_if_absent && find(s, key, now) < s->n) {
		r = STATE_CONFLICT;
	} else {
		size_t i = find(s, key, 0);
		if (i < s->n)
			drop(s, i);
		if (s->n == ITEMS_MAX)
			abort();
		s->items[s->n++] =
			(struct item){mem_strdup(key), copy(value, len), len, expires_at};
	}
	pthread_mutex_unlock(&s->mutex);
	return r;
}

static const struct state_backend backend = {
	.type = "kv",
	.open = kv_open,
	.close = kv_close,
	.kv_get = kv_get,
	.kv_put = kv_put,
};

struct state *state_kv_new(void)
{
	return state_open(&backend, "memory", false, NULL);
}

void state_kv_away(struct state *base, bool away)
{
	struct store *s = (struct store *)base;
	pthread_mutex_lock(&s->mutex);
	s->away = away;
	pthread_mutex_unlock(&s->mutex);
}

size_t state_kv_forget(struct state *base, const char *prefix)
{
	struct store *s = (struct store *)base;
	size_t n = 0;
	pthread_mutex_lock(&s->mutex);
	for (size_t i = s->n; i-- > 0;) {
		if (str_starts(s->items[i].key, prefix)) {
			drop(s, i);
			n++;
		}
	}
	pthread_mutex_unlock(&s->mutex);
	return n;
}

size_t state_kv_count(struct state *base, const char *prefix, int64_t *expires_at)
{
	struct store *s = (struct store *)base;
	size_t n = 0;
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < s->n; i++) {
		if (!str_starts(s->items[i].key, prefix))
			continue;
		n++;
		if (expires_at)
			*expires_at = s->items[i].expires_at;
	}
	pthread_mutex_unlock(&s->mutex);
	return n;
}

bool state_kv_has(struct state *base, const char *text)
{
	struct store *s = (struct store *)base;
	bool has = false;
	pthread_mutex_lock(&s->mutex);
	for (size_t i = 0; i < s->n; i++)
		has = has || strstr(s->items[i].key, text) ||
		      memmem(s->items[i].value, s->items[i].len, text, strlen(text));
	pthread_mutex_unlock(&s->mutex);
	return has;
}

size_t state_kv_writes(struct state *base)
{
	struct store *s = (struct store *)base;
	pthread_mutex_lock(&s->mutex);
	size_t n = s->writes;
	pthread_mutex_unlock(&s->mutex);
	return n;
}
