/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/blob.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob_copy.h"
#include "core/store/blob_impl.h"

#include <stdlib.h>
#include <string.h>

/* One call of a backend, for its log line; costs nothing unless debug lines are wanted. */
struct op {
	const struct blob_store *store;
	const char *name;
	char *key; /* a copy, for the writer that owned it may be gone at the end */
	int64_t since_ms;
	bool logged;
};

static struct op op_start(const struct blob_store *s, const char *name, const char *key)
{
	struct op op = {.store = s, .name = name, .logged = log_enabled(LOG_LEVEL_DEBUG)};
	if (op.logged) {
		op.key = mem_strdup(key);
		op.since_ms = clock_mono_ms();
	}
	return op;
}

/* ${failed}: ${err} tells why; it gets the store's name in front. */
static void op_end(struct op *op, bool failed, struct err *err)
{
	if (failed)
		err_prefix(err, "%s", op->store->name);
	if (!op->logged)
		return;
	struct log_field error = failed ? log_err(err) : log_str("error", NULL);
	LOG(LOG_LEVEL_DEBUG, "blob", log_str("store", op->store->name), log_str("op", op->name),
		log_str("key", op->key), log_int("ms", clock_mono_ms() - op->since_ms), error);
	free(op->key);
}

bool blob_key_valid(const char *key)
{
	size_t len = key ? strnlen(key, BLOB_KEY_MAX + 1) : 0;
	if (len == 0 || len > BLOB_KEY_MAX)
		return false;
	if (!str_is_utf8(key, len) || str_has_control(key, len))
		return false;
	for (const char *seg = key;;) {
		size_t n = strcspn(seg, "/");
		if (n == 0 || (n == 1 && seg[0] == '.') ||
			(n == 2 && seg[0] == '.' && seg[1] == '.'))
			return false;
		if (seg[n] == '\0')
			return true;
		seg += n + 1;
	}
}

static int check_key(
	const struct blob_store *s, const char *key, const char *where, struct err *err)
{
	if (blob_key_valid(key))
		return 0;
	return err_set(err, ERR_INVALID, where, "%s: not a valid key", s->name);
}

const char *blob_option_get(const struct blob_option *opts, size_t nopts, const char *key)
{
	for (size_t i = 0; i < nopts; i++) {
		if (str_eq(opts[i].key, key))
			return opts[i].value;
	}
	return NULL;
}

static int check_options(const struct blob_backend *backend, const struct blob_option *opts,
	size_t nopts, struct err *err)
{
	for (size_t i = 0; i < nopts; i++) {
		const struct blob_option_spec *spec = backend->options;
		while (spec->key && !str_eq(spec->key, opts[i].key))
			spec++;
		if (!spec->key)
			return err_set(err, ERR_INVALID, __func__,
				"unknown option \"%s\" for type %s", opts[i].key, backend->type);
	}
	for (const struct blob_option_spec *spec = backend->options; spec->key; spec++) {
		const char *value = blob_option_get(opts, nopts, spec->key);
		if ((spec->flags & BLOB_OPT_REQUIRED) && (!value || !*value))
			return err_set(err, ERR_INVALID, __func__,
				"option \"%s\" is missing for type %s", spec->key, backend->type);
	}
	return 0;
}

struct blob_store *blob_open(const struct blob_backend *backend, const char *name,
	const struct blob_option *opts, size_t nopts, bool create, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (check_options(backend, opts, nopts, err) < 0) {
		err_prefix(err, "%s", name);
		return NULL;
	}
	struct blob_store *s = backend->open(opts, nopts, create, err);
	if (!s) {
		err_prefix(err, "%s", name);
		return NULL;
	}
	s->backend = backend;
	s->name = mem_strdup(name);
	return s;
}

void blob_close(struct blob_store *s)
{
	if (!s)
		return;
	char *name = s->name;
	s->backend->close(s);
	free(name);
}

const char *blob_name(const struct blob_store *s)
{
	return s->name;
}

const char *blob_type(const struct blob_store *s)
{
	return s->backend->type;
}

bool blob_can(const struct blob_store *s, enum blob_cap cap)
{
	return (s->backend->caps & (unsigned)cap) != 0;
}

int blob_location(const struct blob_store *s, const char *key, struct buf *out)
{
	return blob_key_valid(key) ? s->backend->location(s, key, out) : -1;
}

struct blob_writer *blob_begin(struct blob_store *s, const char *key, enum blob_mode mode,
	uint64_t offset, const char *token, uint64_t size_hint, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (check_key(s, key, __func__, err) < 0)
		return NULL;
	bool has_token = token && *token;
	if (offset > INT64_MAX || (mode == BLOB_STAGE && (offset || has_token))) {
		err_set(err, ERR_INVALID, __func__, "%s: %s cannot be begun at offset %llu",
			s->name, key, (unsigned long long)offset);
		return NULL;
	}
	struct op op = op_start(s, "begin", key);
	struct blob_writer *w = s->backend->begin(s, key, mode, offset, token, size_hint, err);
	op_end(&op, !w, err);
	if (!w)
		return NULL;
	w->store = s;
	w->key = mem_strdup(key);
	w->mode = mode;
	w->offset = offset;
	return w;
}

void blob_describe(struct blob_writer *w, const struct blob_meta *meta)
{
	if (meta && w->mode == BLOB_STAGE && w->store->backend->describe)
		w->store->backend->describe(w, meta);
}

int blob_append(struct blob_writer *w, const void *data, size_t len, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (len == 0)
		return 0;
	if (len > INT64_MAX - w->offset)
		return err_set(err, ERR_TOO_LARGE, __func__,
			"%s: %s would grow beyond the largest offset", w->store->name, w->key);
	struct op op = op_start(w->store, "append", w->key);
	int rc = w->store->backend->append(w, data, len, err);
	op_end(&op, rc < 0, err);
	return rc;
}

uint64_t blob_offset(const struct blob_writer *w)
{
	return w->offset;
}

int blob_sync(struct blob_writer *w, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	struct op op = op_start(w->store, "sync", w->key);
	int rc = w->store->backend->sync(w, err);
	op_end(&op, rc < 0, err);
	return rc;
}

const char *blob_token(const struct blob_writer *w)
{
	const struct blob_backend *backend = w->store->backend;
	const char *token = backend->token ? backend->token(w) : NULL;
	return token ? token : "";
}

int blob_commit(struct blob_writer *w, const struct blob_meta *meta, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	char *key = w->key;
	struct op op = op_start(w->store, "commit", key);
	int rc = w->store->backend->commit(w, meta, err);
	op_end(&op, rc < 0, err);
	free(key);
	return rc;
}

void blob_end(struct blob_writer *w)
{
	if (!w)
		return;
	char *key = w->key;
	w->store->backend->end(w);
	free(key);
}

int blob_stat(struct blob_store *s, const char *key, struct blob_stat *out, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (check_key(s, key, __func__, err) < 0)
		return -1;
	struct op op = op_start(s, "stat", key);
	int rc = s->backend->stat(s, key, out, err);
	op_end(&op, rc < 0, err);
	return rc;
}

ssize_t blob_read(struct blob_store *s, const char *key, uint64_t offset, void *data, size_t len,
	struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (check_key(s, key, __func__, err) < 0)
		return -1;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return err_set(err, ERR_INVALID, __func__,
			"%s: a read of %s beyond the largest offset", s->name, key);
	struct op op = op_start(s, "read", key);
	ssize_t n = s->backend->read(s, key, offset, data, len, err);
	op_end(&op, n < 0, err);
	return n;
}

int blob_del(struct blob_store *s, const char *key, const char *token, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (check_key(s, key, __func__, err) < 0)
		return -1;
	struct op op = op_start(s, "del", key);
	int rc = s->backend->del(s, key, token, err);
	op_end(&op, rc < 0, err);
	return rc;
}

/* The store's own word for what lies there now. */
static int check_copy(struct blob_store *dst, const char *key, uint64_t total, struct err *err)
{
	struct blob_stat st;
	if (blob_stat(dst, key, &st, err) < 0) {
		/* Visible objects belong to their consumer, who may have moved it away already. */
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	}
	if (st.size == total)
		return 0;
	struct err ignored;
	int removed = blob_del(dst, key, NULL, &ignored);
	return err_set(err, ERR_CORRUPT, __func__, "%s: %s has %llu bytes after a copy of %llu%s",
		dst->name, key, (unsigned long long)st.size, (unsigned long long)total,
		removed < 0 ? " and could not be removed" : "");
}

int blob_copy_from(struct blob_store *dst, const char *key, const struct blob_source *src, size_t n,
	const struct blob_meta *meta, const struct blob_progress *progress, char *sha256_hex,
	struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (sha256_hex)
		sha256_hex[0] = '\0';
	if (check_key(dst, key, __func__, err) < 0)
		return -1;
	bool fast = dst->backend->copy_from != NULL;
	uint64_t total = 0;
	for (size_t i = 0; i < n; i++) {
		if (check_key(src[i].store, src[i].key, __func__, err) < 0)
			return -1;
		if (src[i].size > INT64_MAX - total)
			return err_set(err, ERR_TOO_LARGE, __func__, "%s: %s would grow too large",
				dst->name, key);
		total += src[i].size;
		fast = fast && src[i].store->backend == dst->backend;
	}
	int rc = BLOB_COPY_GENERIC;
	if (fast) {
		struct op op = op_start(dst, "copy", key);
		rc = dst->backend->copy_from(dst, key, src, n, meta, progress, err);
		op_end(&op, rc < 0, err);
	}
	if (rc == BLOB_COPY_GENERIC)
		rc = blob_copy_generic(dst, key, src, n, total, meta, progress, sha256_hex, err);
	if (rc < 0)
		return -1;
	return check_copy(dst, key, total, err);
}

int blob_list(
	struct blob_store *s, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (!prefix)
		prefix = "";
	if (*prefix && check_key(s, prefix, __func__, err) < 0)
		return -1;
	if (!s->backend->list)
		return err_set(err, ERR_UNSUPPORTED, __func__, "%s: type %s cannot list", s->name,
			s->backend->type);
	struct op op = op_start(s, "list", prefix);
	int rc = s->backend->list(s, prefix, fn, arg, err);
	op_end(&op, rc < 0, err);
	return rc;
}

int blob_sweep(struct blob_store *s, int64_t age_ms, blob_in_use_fn *in_use, void *arg,
	uint64_t *removed_out, struct err *err)
{
	struct err scratch;
	uint64_t removed = 0;
	if (!err)
		err = &scratch;
	int rc = 0;
	/* A backend without this slot leaves nothing behind. */
	if (s->backend->sweep) {
		struct op op = op_start(s, "sweep", NULL);
		rc = s->backend->sweep(s, age_ms, in_use, arg, &removed, err);
		op_end(&op, rc < 0, err);
	}
	if (removed_out)
		*removed_out = removed;
	return rc;
}

int blob_probe(struct blob_store *s, bool writable, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	struct op op = op_start(s, "probe", NULL);
	int rc = s->backend->probe(s, writable, err);
	op_end(&op, rc < 0, err);
	return rc;
}
