/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/manifest_config.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX ((size_t)1 << 20)
#define FILES_MAX 10000 /* that check_all reads */
#define STREAMS_MAX 1000
#define STREAMS_LOOKS 10 /* the list of streams is looked at less often by this factor */
/*
 * Strangers choose the names that are looked up, so the table has an end, and names without a file,
 * remembered for one look interval, never push out one that has a file.
 */
#define ENTRIES_MAX 256
#define MISSING_MAX 64

struct entry {
	char *name;
	struct manifest_config *good; /* last good version, NULL when there was none */
	char *problem;                /* what is wrong with the version `seen`, NULL when nothing */
	struct blob_stat seen;
	bool missing;
	int64_t looked_ms;
	uint64_t used; /* tick of the last use */
};

struct manifest_configs {
	struct blob_store *store;
	const char *(*lookup)(void *arg, const char *name);
	void *arg;
	int look_ms;

	pthread_mutex_t mutex; /* guards what follows; never held while the store is asked */
	struct entry *entries;
	size_t n;
	uint64_t tick;
	int versioned; /* -1: not known yet */
	int64_t versioned_looked_ms;
	struct manifest_streams streams;
	bool streams_known;
	int64_t streams_looked_ms;
};

void manifest_config_unref(const struct manifest_config *mc)
{
	if (!mc)
		return;
	/* Callers hold it const because it never changes; the count is ours. */
	struct manifest_config *own = (struct manifest_config *)(uintptr_t)mc;
	if (atomic_fetch_sub_explicit(&own->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < own->nfields; i++) {
		struct manifest_field *f = &own->fields[i];
		for (char **a = f->allowed; a && *a; a++)
			free(*a);
		free(f->allowed);
		free(f->name);
		free(f->description);
		free(f->compat_name);
	}
	free(own->fields);
	free(own->name);
	free(own->version);
	free(own->compat_config);
	free(own);
}

static struct manifest_config *ref(struct manifest_config *mc)
{
	atomic_fetch_add_explicit(&mc->refs, 1, memory_order_relaxed);
	return mc;
}

struct manifest_configs *manifest_configs_new(struct blob_store *store,
	const char *(*lookup)(void *arg, const char *name), void *arg, int look_ms)
{
	struct manifest_configs *c = mem_zalloc(sizeof(*c));
	c->store = store;
	c->lookup = lookup;
	c->arg = arg;
	c->look_ms = look_ms;
	c->entries = mem_zalloc(ENTRIES_MAX * sizeof(*c->entries));
	c->versioned = -1;
	pthread_mutex_init(&c->mutex, NULL);
	return c;
}

static void entry_clear(struct entry *e)
{
	manifest_config_unref(e->good);
	free(e->problem);
	free(e->name);
	*e = (struct entry){0};
}

void manifest_configs_free(struct manifest_configs *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		entry_clear(&c->entries[i]);
	free(c->entries);
	manifest_streams_free(&c->streams);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

/* The file's text with variables replaced. ${broken} tells a bad file from a store out of reach. */
static struct manifest_config *load(struct manifest_configs *c, const char *name,
	const struct blob_stat *st, bool *broken, struct err *err)
{
	*broken = st->size > TEXT_MAX;
	if (*broken) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s: larger than %zu bytes", name, TEXT_MAX);
		return NULL;
	}
	struct manifest_config *mc = NULL;
	struct buf text;
	buf_init(&text, TEXT_MAX);
	size_t size = (size_t)st->size;
	char *raw = mem_alloc(size ? size : 1);
	ssize_t got = blob_read(c->store, name, 0, raw, size, err);
	if (got < 0) {
		err_prefix(err, "%s", name);
		goto out;
	}
	*broken = true;
	if (str_expand(&text, raw, (size_t)got, c->lookup, c->arg, err) < 0) {
		err_prefix(err, "%s", name);
		goto out;
	}
	mc = manifest_config_parse(name, buf_str(&text), text.len, err);
	*broken = mc == NULL;
out:
	buf_free(&text);
	free(raw);
	return mc;
}

static struct entry *find(struct manifest_configs *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++) {
		if (strcmp(c->entries[i].name, name) == 0) {
			c->entries[i].used = ++c->tick;
			return &c->entries[i];
		}
	}
	return NULL;
}

static struct entry *oldest(struct manifest_configs *c, bool missing_only, size_t *nmissing)
{
	struct entry *victim = NULL;
	*nmissing = 0;
	for (size_t i = 0; i < c->n; i++) {
		struct entry *e = &c->entries[i];
		if (e->missing)
			(*nmissing)++;
		else if (missing_only)
			continue;
		if (!victim || e->used < victim->used)
			victim = e;
	}
	return victim;
}

/* The entry of ${name}, made (maybe in the place of another) when there is none. */
static struct entry *find_or_add(struct manifest_configs *c, const char *name, bool missing)
{
	struct entry *e = find(c, name);
	if (e)
		return e;
	size_t nmissing;
	struct entry *victim = oldest(c, true, &nmissing);
	if (c->n < ENTRIES_MAX && (!missing || nmissing < MISSING_MAX)) {
		e = &c->entries[c->n++];
	} else {
		e = victim ? victim : oldest(c, false, &nmissing);
		entry_clear(e);
	}
	e->name = mem_strdup(name);
	e->used = ++c->tick;
	return e;
}

static bool same_version(const struct blob_stat *a, const struct blob_stat *b)
{
	return a->size == b->size && a->mtime == b->mtime && strcmp(a->etag, b->etag) == 0;
}

/* What is known of an entry as the answer of manifest_configs_get. */
static const struct manifest_config *answer(struct entry *e, struct err *err)
{
	if (e->good)
		return ref(e->good);
	if (e->missing)
		err_set(err, ERR_NOT_FOUND, "manifest_configs_get", "%s: no such configuration",
			e->name);
	else
		err_set(err, ERR_CORRUPT, "manifest_configs_get", "%s",
			e->problem ? e->problem : e->name);
	return NULL;
}

static void record_missing(struct manifest_configs *c, const char *name, int64_t now)
{
	pthread_mutex_lock(&c->mutex);
	struct entry *e = find_or_add(c, name, true);
	manifest_config_unref(e->good);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not follow the reference count. */
	free(e->problem);
	e->good = NULL;
	e->problem = NULL;
	e->missing = true;
	e->looked_ms = now;
	pthread_mutex_unlock(&c->mutex);
}

/* Keep what a look at ${st} gave (${mc} takes the reference, or is NULL) and answer with it. */
static const struct manifest_config *record(struct manifest_configs *c, const char *name,
	const struct blob_stat *st, struct manifest_config *mc, int64_t now, struct err *err)
{
	pthread_mutex_lock(&c->mutex);
	struct entry *e = find_or_add(c, name, false);
	bool known_problem = e->problem && same_version(&e->seen, st);
	free(e->problem);
	e->problem = mc ? NULL : mem_strdup(err->text);
	if (mc) {
		manifest_config_unref(e->good);
		e->good = mc;
	}
	e->seen = *st;
	e->missing = false;
	e->looked_ms = now;
	bool had_good = e->good != NULL;
	struct err why = {0};
	if (!mc)
		why = *err;
	const struct manifest_config *result = answer(e, err);
	pthread_mutex_unlock(&c->mutex);
	if (!mc && !known_problem)
		LOG(LOG_LEVEL_WARN,
			had_good ? "manifest configuration is broken, the last good one stays in "
				   "force"
				 : "manifest configuration is broken",
			log_err(&why));
	return result;
}

/* The store could not be asked: the last good version goes on to serve. */
static const struct manifest_config *record_unreachable(
	struct manifest_configs *c, const char *name, int64_t now, struct err *err)
{
	const struct manifest_config *result = NULL;
	pthread_mutex_lock(&c->mutex);
	struct entry *e = find(c, name);
	if (e && e->good) {
		e->looked_ms = now;
		result = ref(e->good);
	}
	pthread_mutex_unlock(&c->mutex);
	if (result)
		LOG(LOG_LEVEL_WARN, "manifest configuration could not be refreshed", log_err(err));
	return result;
}

/* Look at the file now; ${known} is the version already held, or NULL. */
static const struct manifest_config *look(struct manifest_configs *c, const char *name,
	const struct blob_stat *known, int64_t now, struct err *err)
{
	struct blob_stat st;
	bool broken = false;
	struct manifest_config *mc = NULL;
	if (blob_stat(c->store, name, &st, err) == 0) {
		if (known && same_version(known, &st)) {
			pthread_mutex_lock(&c->mutex);
			struct entry *e = find(c, name);
			bool held = e && !e->missing && same_version(&e->seen, &st);
			const struct manifest_config *result = held ? answer(e, err) : NULL;
			pthread_mutex_unlock(&c->mutex);
			if (held)
				return result;
		}
		mc = load(c, name, &st, &broken, err);
		if (mc || broken)
			return record(c, name, &st, mc, now, err);
	}
	if (err->code != ERR_NOT_FOUND)
		return record_unreachable(c, name, now, err);
	record_missing(c, name, now);
	return NULL;
}

const struct manifest_config *manifest_configs_get(
	struct manifest_configs *c, const char *name, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (!blob_key_valid(name)) {
		err_set(err, ERR_NOT_FOUND, __func__, "no configuration can have that name");
		return NULL;
	}
	struct blob_stat known;
	bool has_known = false;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&c->mutex);
	struct entry *e = find(c, name);
	if (e && now - e->looked_ms < c->look_ms) {
		const struct manifest_config *result = answer(e, err);
		pthread_mutex_unlock(&c->mutex);
		return result;
	}
	if (e && !e->missing) {
		/* This thread looks; the others go on with what is there. */
		e->looked_ms = now;
		known = e->seen;
		has_known = true;
	}
	pthread_mutex_unlock(&c->mutex);
	return look(c, name, has_known ? &known : NULL, now, err);
}

/* A listing that ends with its first object. */
static int found_one(void *arg, const char *key, const struct blob_stat *stat)
{
	(void)key;
	(void)stat;
	*(bool *)arg = true;
	return -1;
}

static int has_folder(struct manifest_configs *c, const char *folder, struct err *err)
{
	bool found = false;
	err_clear(err);
	int rc = blob_list(c->store, folder, found_one, &found, err);
	if (found)
		return 1;
	return rc == 0 || err->code == ERR_NOT_FOUND ? 0 : -1;
}

int manifest_configs_versioned(struct manifest_configs *c, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	int64_t now = clock_mono_ms();
	pthread_mutex_lock(&c->mutex);
	int known = c->versioned;
	bool fresh = known >= 0 && now - c->versioned_looked_ms < c->look_ms;
	c->versioned_looked_ms = fresh ? c->versioned_looked_ms : now;
	pthread_mutex_unlock(&c->mutex);
	if (fresh)
		return known;
	int rc = has_folder(c, "v2", err);
	if (rc == 0)
		rc = has_folder(c, "v1", err);
	if (rc < 0)
		return known;
	pthread_mutex_lock(&c->mutex);
	c->versioned = rc;
	pthread_mutex_unlock(&c->mutex);
	return rc;
}

struct files {
	char **names;
	size_t n;
	bool too_many;
};

static int collect_file(void *arg, const char *key, const struct blob_stat *stat)
{
	(void)stat;
	struct files *f = arg;
	bool folder = str_starts(key, "v1/") || str_starts(key, "v2/");
	if (!str_ends(key, ".json") || strchr(folder ? key + 3 : key, '/'))
		return 0;
	f->too_many = f->n == FILES_MAX;
	if (f->too_many)
		return -1;
	f->names = mem_array(f->names, f->n + 1, sizeof(*f->names));
	f->names[f->n++] = mem_strdup(key);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int manifest_configs_check_all(struct manifest_configs *c, struct buf *problems, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	struct files f = {0};
	int good = blob_list(c->store, "", collect_file, &f, err);
	if (f.too_many)
		good = err_set(
			err, ERR_TOO_LARGE, __func__, "more than %d configurations", FILES_MAX);
	if (good == 0 && f.n > 0)
		qsort(f.names, f.n, sizeof(*f.names), by_name);
	for (size_t i = 0; good >= 0 && i < f.n; i++) {
		struct err why;
		struct blob_stat st;
		bool broken;
		struct manifest_config *mc = NULL;
		if (blob_stat(c->store, f.names[i], &st, &why) < 0)
			err_prefix(&why, "%s", f.names[i]);
		else
			mc = load(c, f.names[i], &st, &broken, &why);
		if (mc)
			good++;
		else /* a full buffer has told enough */
			(void)buf_printf(problems, "%s\n", why.text);
		manifest_config_unref(mc);
	}
	for (size_t i = 0; i < f.n; i++)
		free(f.names[i]);
	free(f.names);
	return good;
}

/* --- the list of streams --- */

void manifest_streams_free(struct manifest_streams *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->items[i].id);
		free(s->items[i].route);
	}
	free(s->items);
	*s = (struct manifest_streams){0};
}

static void add_stream(struct manifest_streams *s, const char *id, const char *route)
{
	if (s->n == STREAMS_MAX || !id[0] || !route[0])
		return;
	s->items = mem_array(s->items, s->n + 1, sizeof(*s->items));
	s->items[s->n++] = (struct manifest_stream){mem_strdup(id), mem_strdup(route)};
}

static void copy_streams(const struct manifest_streams *from, struct manifest_streams *to)
{
	*to = (struct manifest_streams){0};
	for (size_t i = 0; i < from->n; i++)
		add_stream(to, from->items[i].id, from->items[i].route);
}

static char **allowed_of(const struct manifest_config *mc, const char *field)
{
	static char *nothing[] = {NULL};
	for (size_t i = 0; i < mc->nfields; i++) {
		if (str_eq(mc->fields[i].name, field) && mc->fields[i].allowed)
			return mc->fields[i].allowed;
	}
	return nothing;
}

/* Whether ${stem}, a file's name without its folder and ".json", is that of the pair. */
static bool is_stem_of(const char *stem, const char *id, const char *route)
{
	size_t n = strlen(id);
	return strncasecmp(stem, id, n) == 0 && (stem[n] == '_' || stem[n] == '-') &&
	       strcasecmp(stem + n + 1, route) == 0;
}

/* The pairs of one file: those of its allowed values that its name stands for, else from the name.
 */
static void add_streams_of(
	struct manifest_streams *s, const char *key, const struct manifest_config *mc)
{
	const char *file = str_starts(key, "v2/") ? key + 3 : key;
	char *stem = mem_strndup(file, strlen(file) - strlen(".json"));
	bool found = false;
	for (char **id = allowed_of(mc, "data_stream_id"); *id; id++) {
		for (char **route = allowed_of(mc, "data_stream_route"); *route; route++) {
			if (!is_stem_of(stem, *id, *route))
				continue;
			add_stream(s, *id, *route);
			found = true;
		}
	}
	char *separator = strrchr(stem, '_');
	if (!found && separator) {
		*separator = '\0';
		add_stream(s, stem, separator + 1);
	}
	free(stem);
}

static int by_pair(const void *a, const void *b)
{
	const struct manifest_stream *x = a;
	const struct manifest_stream *y = b;
	int order = strcmp(x->id, y->id);
	return order != 0 ? order : strcmp(x->route, y->route);
}

static int read_streams(struct manifest_configs *c, struct manifest_streams *out, struct err *err)
{
	struct files f = {0};
	int rc = blob_list(c->store, "", collect_file, &f, err);
	for (size_t i = 0; rc == 0 && i < f.n && out->n < STREAMS_MAX; i++) {
		struct err why = {0};
		if (str_starts(f.names[i], "v1/"))
			continue;
		const struct manifest_config *mc = manifest_configs_get(c, f.names[i], &why);
		if (mc && str_eq(mc->version, "2.0"))
			add_streams_of(out, f.names[i], mc);
		manifest_config_unref(mc);
	}
	for (size_t i = 0; i < f.n; i++)
		free(f.names[i]);
	free(f.names);
	if (out->n > 0)
		qsort(out->items, out->n, sizeof(*out->items), by_pair);
	return rc;
}

int manifest_configs_streams(
	struct manifest_configs *c, struct manifest_streams *out, struct err *err)
{
	struct err scratch = {0};
	struct manifest_streams fresh = {0};
	int64_t now = clock_mono_ms();

	pthread_mutex_lock(&c->mutex);
	bool due = !c->streams_known ||
		   now - c->streams_looked_ms >= (int64_t)c->look_ms * STREAMS_LOOKS;
	/* This thread looks; the others go on with what is there. */
	if (due)
		c->streams_looked_ms = now;
	pthread_mutex_unlock(&c->mutex);
	int rc = due ? read_streams(c, &fresh, err ? err : &scratch) : 0;

	pthread_mutex_lock(&c->mutex);
	if (due && rc == 0) {
		manifest_streams_free(&c->streams);
		c->streams = fresh;
		c->streams_known = true;
		fresh = (struct manifest_streams){0};
	}
	if (c->streams_known)
		rc = 0;
	copy_streams(&c->streams, out);
	pthread_mutex_unlock(&c->mutex);
	manifest_streams_free(&fresh);
	return rc;
}
