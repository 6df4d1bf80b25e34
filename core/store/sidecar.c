/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/sidecar.h"

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "core/store/state.h"

#include <stdlib.h>
#include <string.h>

#define SUFFIX ".info"
#define VERSION 1
/* Metadata and manifest have 7 KiB each; a list of parts has more. */
#define TEXT_MAX ((size_t)1 << 20)

static int make_key(const char *key, struct buf *out, struct err *err)
{
	buf_init(out, BLOB_KEY_MAX);
	if (buf_printf(out, "%s" SUFFIX, key) == 0)
		return 0;
	return err_set(err, ERR_INVALID, __func__, "a key is too long");
}

static int add_text(json_t *o, const char *name, const char *value)
{
	return value ? json_object_set_new(o, name, json_string(value)) : 0;
}

static int describe(const struct upload *u, struct buf *out, struct err *err)
{
	json_t *o = json_pack("{s:i, s:s, s:i, s:I, s:I}", "version", VERSION, "id", u->id, "kind",
		(int)u->kind, "length", (json_int_t)u->length, "created_at",
		(json_int_t)u->created_at);
	int rc = o && add_text(o, "metadata", u->metadata) == 0 &&
				 add_text(o, "manifest", u->manifest) == 0 &&
				 add_text(o, "concat", u->concat) == 0 &&
				 add_text(o, "owner", u->owner) == 0 && json_write(out, o) == 0 &&
				 buf_add_char(out, '\n') == 0
			 ? 0
			 : err_set(err, ERR_TOO_LARGE, __func__,
				   "the description of an upload is too long");
	json_decref(o);
	return rc;
}

int sidecar_write(struct blob_store *s, const char *key, const struct upload *u, struct err *err)
{
	struct buf name;
	struct buf text;
	int rc = -1;

	buf_init(&text, TEXT_MAX);
	if (make_key(key, &name, err) < 0 || describe(u, &text, err) < 0)
		goto out;
	struct blob_writer *w =
		blob_begin(s, buf_str(&name), BLOB_STAGE, 0, NULL, (uint64_t)text.len, err);
	if (!w)
		goto out;
	if (blob_append(w, text.data, text.len, err) < 0) {
		blob_end(w);
		goto out;
	}
	rc = blob_commit(w, NULL, err);
out:
	buf_free(&text);
	buf_free(&name);
	return rc;
}

static int get_number(const json_t *o, const char *name, int64_t min, int64_t max, int64_t *out)
{
	const json_t *v = json_object_get(o, name);

	if (!json_is_integer(v))
		return -1;
	*out = json_integer_value(v);
	return *out < min || *out > max ? -1 : 0;
}

static char *get_text(const json_t *o, const char *name)
{
	const char *value = json_get_str(o, name);

	return value ? mem_strdup(value) : NULL;
}

static int parse(const struct buf *text, const char *id, struct upload *out, struct err *err)
{
	json_t *o = json_parse(buf_str(text), text->len, err);
	int64_t version;
	int64_t kind;
	int rc = -1;

	if (!o)
		goto out;
	if (get_number(o, "version", VERSION, VERSION, &version) < 0 ||
		!str_eq(json_get_str(o, "id"), id) ||
		get_number(o, "kind", 0, UPLOAD_FINAL, &kind) < 0 ||
		get_number(o, "length", UPLOAD_LENGTH_UNKNOWN, INT64_MAX, &out->length) < 0 ||
		get_number(o, "created_at", 0, INT64_MAX, &out->created_at) < 0)
		goto out;
	str_copy(out->id, sizeof(out->id), id);
	out->kind = (enum upload_kind)kind;
	out->touched_at = out->created_at;
	out->metadata = get_text(o, "metadata");
	out->manifest = get_text(o, "manifest");
	out->concat = get_text(o, "concat");
	out->owner = get_text(o, "owner");
	out->token = mem_strdup("");
	rc = 0;
out:
	json_decref(o);
	return rc < 0 ? err_set(err, ERR_CORRUPT, __func__, "the description of %s is damaged", id)
		      : 0;
}

int sidecar_read(
	struct blob_store *s, const char *key, const char *id, struct upload *out, struct err *err)
{
	struct blob_stat st;
	struct buf name;
	struct buf text;
	int rc = -1;

	*out = (struct upload){0};
	buf_init(&text, TEXT_MAX);
	if (make_key(key, &name, err) < 0 || blob_stat(s, buf_str(&name), &st, err) < 0)
		goto out;
	if (st.size == 0 || st.size > TEXT_MAX) {
		err_set(err, ERR_CORRUPT, __func__, "the description of %s is damaged", id);
		goto out;
	}
	char *bytes = mem_alloc((size_t)st.size);
	ssize_t n = blob_read(s, buf_str(&name), 0, bytes, (size_t)st.size, err);
	if (n >= 0 && buf_add(&text, bytes, (size_t)n) == 0)
		rc = parse(&text, id, out, err);
	free(bytes);
out:
	buf_free(&text);
	buf_free(&name);
	return rc;
}

int sidecar_del(struct blob_store *s, const char *key, struct err *err)
{
	struct buf name;
	int rc = make_key(key, &name, err);

	if (rc == 0)
		rc = blob_del(s, buf_str(&name), NULL, err);
	buf_free(&name);
	return rc;
}

bool sidecar_is(const char *key, char id[UUID_SIZE])
{
	const char *slash = strrchr(key, '/');
	const char *name = slash ? slash + 1 : key;

	if (strlen(name) != UUID_SIZE - 1 + strlen(SUFFIX) || !str_ends(name, SUFFIX))
		return false;
	memcpy(id, name, UUID_SIZE - 1);
	id[UUID_SIZE - 1] = '\0';
	return str_is_uuid(id);
}
