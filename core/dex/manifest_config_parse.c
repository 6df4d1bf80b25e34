/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/manifest_config.h"

#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)
#define FIELDS_MAX 1000
#define ALLOWED_MAX 10000

struct parsing {
	struct err *err;
	size_t allowed_left; /* values the file may still have */
};

/* A string member that may be absent or null: ${out} becomes a copy or NULL. */
static int optional_str(const json_t *obj, const char *key, char **out, struct err *err)
{
	const json_t *v = json_object_get(obj, key);
	*out = NULL;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return err_set(err, ERR_INVALID, __func__, "%s: must be a string", key);
	*out = mem_strdup(json_string_value(v));
	return 0;
}

/* NULL-terminated copy of an array of strings; NULL for an absent, null or empty one. */
static int optional_strings(
	const json_t *obj, const char *key, size_t *budget, char ***out, struct err *err)
{
	const json_t *v = json_object_get(obj, key);
	*out = NULL;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_array(v))
		return err_set(err, ERR_INVALID, __func__, "%s: must be a list of strings", key);
	size_t n = json_array_size(v);
	if (n > *budget)
		return err_set(err, ERR_TOO_LARGE, __func__, "%s: more than %d values in the file",
			key, ALLOWED_MAX);
	*budget -= n;
	for (size_t i = 0; i < n; i++) {
		if (!json_is_string(json_array_get(v, i)))
			return err_set(err, ERR_INVALID, __func__,
				"%s: element %zu is not a string", key, i + 1);
	}
	if (n == 0)
		return 0;
	*out = mem_array(NULL, n + 1, sizeof(**out));
	for (size_t i = 0; i < n; i++)
		(*out)[i] = mem_strdup(json_string_value(json_array_get(v, i)));
	(*out)[n] = NULL;
	return 0;
}

static int parse_field(struct parsing *p, const json_t *obj, struct manifest_field *f)
{
	if (!json_is_object(obj))
		return err_set(p->err, ERR_INVALID, __func__, "must be an object");
	if (optional_str(obj, "field_name", &f->name, p->err) < 0)
		return -1;
	if (!f->name || !*f->name)
		return err_set(p->err, ERR_INVALID, __func__, "field_name is missing");
	const json_t *required = json_object_get(obj, "required");
	if (required && !json_is_null(required) && !json_is_boolean(required))
		return err_set(p->err, ERR_INVALID, __func__, "required: must be true or false");
	f->required = json_is_true(required);
	if (optional_str(obj, "description", &f->description, p->err) < 0 ||
		optional_str(obj, "compat_field_name", &f->compat_name, p->err) < 0)
		return -1;
	if (!f->description)
		f->description = mem_strdup("");
	return optional_strings(obj, "allowed_values", &p->allowed_left, &f->allowed, p->err);
}

static int parse_fields(struct parsing *p, const json_t *list, struct manifest_config *mc)
{
	if (!json_is_array(list))
		return err_set(p->err, ERR_INVALID, __func__, "fields: must be a list");
	size_t n = json_array_size(list);
	if (n > FIELDS_MAX)
		return err_set(p->err, ERR_TOO_LARGE, __func__, "fields: more than %d", FIELDS_MAX);
	mc->fields = mem_zalloc((n ? n : 1) * sizeof(*mc->fields));
	mc->nfields = n; /* zeroed ones are fine to free */
	json_t *seen = json_object();
	int rc = seen ? 0 : err_set(p->err, ERR_IO, __func__, "out of memory");
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct manifest_field *f = &mc->fields[i];
		if (parse_field(p, json_array_get(list, i), f) < 0)
			rc = err_prefix(p->err, "field %zu", i + 1);
		else if (json_object_get(seen, f->name))
			rc = err_set(p->err, ERR_INVALID, __func__,
				"field %zu: \"%s\" appears twice", i + 1, f->name);
		else if (json_object_set_new(seen, f->name, json_true()) < 0)
			rc = err_set(p->err, ERR_IO, __func__, "out of memory");
	}
	json_decref(seen);
	return rc;
}

static int parse_metadata(struct parsing *p, const json_t *meta, struct manifest_config *mc)
{
	if (!json_is_object(meta))
		return err_set(p->err, ERR_INVALID, __func__, "metadata_config: must be an object");
	if (optional_str(meta, "version", &mc->version, p->err) < 0)
		return err_prefix(p->err, "metadata_config");
	if (!mc->version)
		mc->version = mem_strdup("2.0");
	if (!str_eq(mc->version, "2.0") && !str_eq(mc->version, "1.0"))
		return err_set(p->err, ERR_INVALID, __func__,
			"metadata_config: version: must be \"2.0\" or \"1.0\"");
	if (parse_fields(p, json_object_get(meta, "fields"), mc) < 0)
		return err_prefix(p->err, "metadata_config");
	return 0;
}

/* Where a file goes is the delivery configuration's matter; only the types are held against it. */
static int check_copy_config(const json_t *copy, struct err *err)
{
	static const char *const strings[] = {
		"filename_suffix", "folder_structure", "path_template"};
	if (!copy || json_is_null(copy))
		return 0;
	if (!json_is_object(copy))
		return err_set(err, ERR_INVALID, __func__, "copy_config: must be an object");
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		const json_t *v = json_object_get(copy, strings[i]);
		if (v && !json_is_null(v) && !json_is_string(v))
			return err_set(err, ERR_INVALID, __func__,
				"copy_config: %s: must be a string", strings[i]);
	}
	const json_t *targets = json_object_get(copy, "targets");
	if (targets && !json_is_null(targets) && !json_is_array(targets))
		return err_set(err, ERR_INVALID, __func__,
			"copy_config: targets: must be a list of strings");
	for (size_t i = 0; i < json_array_size(targets); i++) {
		if (!json_is_string(json_array_get(targets, i)))
			return err_set(err, ERR_INVALID, __func__,
				"copy_config: targets: element %zu is not a string", i + 1);
	}
	return 0;
}

/* The v1 file names its v2 one at the top; some carry it beside the fields. */
static int parse_compat(const json_t *root, struct manifest_config *mc, struct err *err)
{
	const json_t *meta = json_object_get(root, "metadata_config");
	const char *key = "compat_config_filename";
	const json_t *place = json_object_get(root, key) ? root : meta;
	if (optional_str(place, key, &mc->compat_config, err) < 0)
		return -1;
	if (mc->compat_config && (!*mc->compat_config || strlen(mc->compat_config) > 255))
		return err_set(err, ERR_INVALID, __func__, "%s: must have 1 to 255 bytes", key);
	return 0;
}

struct manifest_config *manifest_config_parse(
	const char *name, const char *text, size_t len, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (len > TEXT_MAX) {
		err_set(err, ERR_TOO_LARGE, __func__, "%s: larger than %zu bytes", name, TEXT_MAX);
		return NULL;
	}
	json_t *root = json_parse(text, len, err);
	if (!root) {
		err_prefix(err, "%s", name);
		return NULL;
	}
	struct parsing p = {.err = err, .allowed_left = ALLOWED_MAX};
	struct manifest_config *mc = mem_zalloc(sizeof(*mc));
	atomic_init(&mc->refs, 1);
	mc->name = mem_strdup(name);
	if (parse_metadata(&p, json_object_get(root, "metadata_config"), mc) < 0 ||
		parse_compat(root, mc, err) < 0 ||
		check_copy_config(json_object_get(root, "copy_config"), err) < 0) {
		err_prefix(err, "%s", name);
		manifest_config_unref(mc);
		mc = NULL;
	}
	json_decref(root);
	return mc;
}
