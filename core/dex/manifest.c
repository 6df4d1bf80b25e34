/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/manifest.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/manifest_config.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 255 /* of a file name, and of a configuration's */
#define SEPARATORS_MAX 16  /* tried in a compat_config_filename */
#define KEY_SIZE (NAME_MAX_BYTES + 8)
/* Told instead of a name that could not be a file's: the answer must not echo a path. */
#define UNSAFE_NAME "invalid_stream_name.json"

static const char failure[] = "validation failure";

static const char *const filename_keys[] = {
	"filename",
	"original_filename",
	"meta_ext_filename",
	"received_filename",
};
#define FILENAME_KEYS (sizeof(filename_keys) / sizeof(filename_keys[0]))

/* One check in progress. */
struct checking {
	struct manifest_configs *configs;
	struct manifest_check *out;
	bool versioned; /* the place has v1/ or v2/ */
	struct err *err;
};

void manifest_errors_free(struct manifest_errors *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->items[i]);
	free(e->items);
	*e = (struct manifest_errors){0};
}

void manifest_check_free(struct manifest_check *c)
{
	json_decref(c->manifest);
	json_decref(c->hydrated);
	manifest_errors_free(&c->errors);
	*c = (struct manifest_check){0};
}

bool manifest_is_filename(const char *field)
{
	for (size_t i = 0; i < FILENAME_KEYS; i++) {
		if (str_eq(field, filename_keys[i]))
			return true;
	}
	return false;
}

const char *manifest_filename(const json_t *manifest)
{
	for (size_t i = 0; i < FILENAME_KEYS; i++) {
		const char *name = json_get_str(manifest, filename_keys[i]);
		if (name)
			return name;
	}
	return "";
}

static const char *stream_part(const json_t *manifest, const char *v2_key, const char *v1_key)
{
	bool v2 = json_get_str(manifest, "data_stream_id") ||
		  json_get_str(manifest, "data_stream_route");
	const char *value = json_get_str(manifest, v2 ? v2_key : v1_key);
	return value ? value : "";
}

const char *manifest_stream_id(const json_t *manifest)
{
	return stream_part(manifest, "data_stream_id", "meta_destination_id");
}

const char *manifest_stream_route(const json_t *manifest)
{
	return stream_part(manifest, "data_stream_route", "meta_ext_event");
}

static void add_text(struct manifest_errors *e, char *text)
{
	e->items = mem_array(e->items, e->n + 1, sizeof(*e->items));
	e->items[e->n++] = text;
}

/* ${before} + ${value} + ${after}; a NUL in the value is spelled out. */
static char *echo(const char *before, const json_t *value, const char *after)
{
	const char *s = json_string_value(value);
	size_t len = json_string_length(value);
	struct buf b;
	buf_init(&b, strlen(before) + 6 * len + strlen(after));
	(void)buf_add_str(&b, before);
	for (size_t i = 0; i < len; i++) {
		if (s[i])
			(void)buf_add_char(&b, s[i]);
		else
			(void)buf_add_str(&b, "\\u0000");
	}
	(void)buf_add_str(&b, after);
	return buf_take(&b);
}

static char *text2(const char *before, const char *name, const char *after)
{
	struct buf b;
	buf_init(&b, strlen(before) + strlen(name) + strlen(after));
	(void)buf_add_str(&b, before);
	(void)buf_add_str(&b, name);
	(void)buf_add_str(&b, after);
	return buf_take(&b);
}

static void fail_missing(struct manifest_errors *e, const char *field)
{
	add_text(e, mem_strdup(failure));
	add_text(e, text2("field ", field, " was missing"));
}

static void fail_no_config(struct manifest_errors *e, const char *file)
{
	add_text(e, text2("open ", file, ": no such file or directory"));
	add_text(e, mem_strdup(failure));
	add_text(e, mem_strdup("manifest validation config file not found"));
}

static void check_field(
	struct manifest_errors *e, const json_t *manifest, const struct manifest_field *f)
{
	const json_t *value = json_object_get(manifest, f->name);
	if (!value) {
		if (f->required)
			fail_missing(e, f->name);
		return;
	}
	if (!f->allowed)
		return;
	for (char **a = f->allowed; *a; a++) {
		if (strlen(*a) == json_string_length(value) &&
			memcmp(*a, json_string_value(value), json_string_length(value)) == 0)
			return;
	}
	add_text(e, mem_strdup(failure));
	char *before = text2(f->name, " had disallowed value ", "");
	add_text(e, echo(before, value, ""));
	free(before);
}

static bool filename_ok(const json_t *value)
{
	const char *s = json_string_value(value);
	size_t len = json_string_length(value);
	if (len > NAME_MAX_BYTES || str_has_control(s, len))
		return false;
	return !strpbrk(s, "/\\") && !str_eq(s, ".") && !str_eq(s, "..");
}

static void check_filenames(struct manifest_errors *e, const json_t *manifest)
{
	for (size_t i = 0; i < FILENAME_KEYS; i++) {
		const json_t *value = json_object_get(manifest, filename_keys[i]);
		if (value && !filename_ok(value))
			add_text(e,
				echo("invalid character found in ", value, " validation failure"));
	}
}

/*
 * Lower-cased "{id}{separator}{route}.json"; false for a pair whose name could lead out of the
 * directory or be no file's name at all.
 */
static bool config_name(const json_t *id, char separator, const json_t *route, char out[KEY_SIZE])
{
	const json_t *const parts[] = {id, route};
	struct buf b;
	buf_init(&b, NAME_MAX_BYTES);
	bool ok = true;
	for (size_t i = 0; i < 2; i++) {
		const char *s = json_string_value(parts[i]);
		size_t len = json_string_length(parts[i]);
		ok = ok && !str_has_control(s, len) && !strpbrk(s, "/\\") && !strstr(s, "..");
		(void)buf_add(&b, s, len);
		if (i == 0)
			(void)buf_add_char(&b, separator);
	}
	ok = buf_add_str(&b, ".json") == 0 && !b.overflow && ok;
	if (ok) {
		(void)str_copy(out, KEY_SIZE, buf_str(&b));
		str_lower(out);
	}
	buf_free(&b);
	return ok;
}

/* A configuration, or NULL with ERR_NOT_FOUND where there is none; other errors end the check. */
static const struct manifest_config *get(struct checking *k, const char *folder, const char *name)
{
	char key[KEY_SIZE];
	if (!str_copy(key, sizeof(key), folder) ||
		!str_copy(key + strlen(folder), sizeof(key) - strlen(folder), name)) {
		err_set(k->err, ERR_NOT_FOUND, __func__, "name too long");
		return NULL;
	}
	return manifest_configs_get(k->configs, key, k->err);
}

struct candidate {
	const char *folder;
	const char *name;
	bool in_folders; /* only where the place has v1/ or v2/ */
};

static const struct manifest_config *first_of(
	struct checking *k, const struct candidate *c, size_t n)
{
	err_set(k->err, ERR_NOT_FOUND, __func__, "no such configuration");
	for (size_t i = 0; i < n; i++) {
		if (c[i].in_folders && !k->versioned)
			continue;
		const struct manifest_config *mc = get(k, c[i].folder, c[i].name);
		if (mc || k->err->code != ERR_NOT_FOUND)
			return mc;
	}
	return NULL;
}

/*
 * Fill the v2 fields that have a counterpart among the v1 keys, also over what the sender gave: the
 * configuration was chosen by the v1 keys, so these decide where the upload goes as well.
 */
static int hydrate(struct checking *k, const struct manifest_config *v2)
{
	json_t *manifest = k->out->manifest;
	k->out->hydrated = json_object();
	int rc = k->out->hydrated ? 0 : -1;
	for (size_t i = 0; rc == 0 && i < v2->nfields; i++) {
		const struct manifest_field *f = &v2->fields[i];
		json_t *value = f->compat_name ? json_object_get(manifest, f->compat_name) : NULL;
		if (!value || str_eq(f->name, f->compat_name))
			continue;
		if (json_object_set(manifest, f->name, value) < 0 ||
			json_object_set(k->out->hydrated, f->name, value) < 0)
			rc = -1;
	}
	if (rc == 0)
		rc = json_object_set_new(manifest, "version", json_string("2.0"));
	if (rc < 0)
		return err_set(k->err, ERR_UNAVAILABLE, __func__, "out of memory");
	return 0;
}

static const struct manifest_config *get_compat(struct checking *k, const char *name)
{
	const struct candidate places[] = {{"v2/", name, true}, {"", name, false}};
	for (size_t i = 0; i < 2; i++) {
		const struct manifest_config *mc = first_of(k, &places[i], 1);
		if (!mc && k->err->code != ERR_NOT_FOUND)
			return NULL;
		/* With the other separator the name may be that of the v1 file itself. */
		if (mc && str_eq(mc->version, "2.0"))
			return mc;
		manifest_config_unref(mc);
	}
	err_set(k->err, ERR_NOT_FOUND, __func__, "no such configuration");
	return NULL;
}

/* The v2 file that a v1 configuration names, looked for with '_' and with '-'. */
static const struct manifest_config *find_compat(struct checking *k, const char *file)
{
	char name[KEY_SIZE];
	if (str_starts(file, "v2/"))
		file += 3;
	if (!str_copy(name, sizeof(name), file)) {
		err_set(k->err, ERR_NOT_FOUND, __func__, "name too long");
		return NULL;
	}
	str_lower(name);
	const struct manifest_config *mc = get_compat(k, name);
	size_t tried = 0;
	for (size_t i = strlen(name); i-- > 0 && tried < SEPARATORS_MAX;) {
		if (mc || k->err->code != ERR_NOT_FOUND)
			return mc;
		if (name[i] != '_' && name[i] != '-')
			continue;
		char kept = name[i];
		name[i] = kept == '_' ? '-' : '_';
		mc = get_compat(k, name);
		name[i] = kept;
		tried++;
	}
	return mc;
}

/* Check against the v2 configuration that ${v1} names. */
static int check_hydrated(struct checking *k, const struct manifest_config *v1)
{
	const struct manifest_config *v2 = find_compat(k, v1->compat_config);
	if (!v2) {
		if (k->err->code != ERR_NOT_FOUND)
			return -1;
		fail_no_config(&k->out->errors,
			strchr(v1->compat_config, '/') ? UNSAFE_NAME : v1->compat_config);
		return 0;
	}
	int rc = hydrate(k, v2);
	for (size_t i = 0; rc == 0 && i < v2->nfields; i++)
		check_field(&k->out->errors, k->out->manifest, &v2->fields[i]);
	manifest_config_unref(v2);
	return rc;
}

static int check_against(struct checking *k, const struct manifest_config *mc, bool v1)
{
	if (v1 && mc->compat_config)
		return check_hydrated(k, mc);
	for (size_t i = 0; i < mc->nfields; i++)
		check_field(&k->out->errors, k->out->manifest, &mc->fields[i]);
	return 0;
}

/*
 * The configuration of a pair into ${out}: 1; 0 where there is none, which is told in the errors;
 * -1 when the configurations cannot be read.
 */
static int find_stream(struct checking *k, const json_t *id, const json_t *route, bool v1,
	const struct manifest_config **out)
{
	struct manifest_errors *errors = &k->out->errors;
	char dash[KEY_SIZE];
	char underscore[KEY_SIZE];
	if (!config_name(id, '-', route, dash) || !config_name(id, '_', route, underscore)) {
		fail_no_config(errors, UNSAFE_NAME);
		return 0;
	}
	const struct candidate v2_places[] = {{"v2/", underscore, true}, {"v2/", dash, true},
		{"v1/", dash, true}, {"", underscore, false}, {"", dash, false}};
	const struct candidate v1_places[] = {{"v1/", dash, true}, {"", dash, false}};
	int versioned = manifest_configs_versioned(k->configs, k->err);
	if (versioned < 0)
		return -1;
	k->versioned = versioned;
	*out = v1 ? first_of(k, v1_places, 2) : first_of(k, v2_places, 5);
	if (*out)
		return 1;
	if (k->err->code != ERR_NOT_FOUND)
		return -1;
	fail_no_config(errors, v1 ? dash : underscore);
	return 0;
}

/* Find the configuration of the manifest's pair and check against it. */
static int check_stream(struct checking *k, bool v1)
{
	const char *id_key = v1 ? "meta_destination_id" : "data_stream_id";
	const char *route_key = v1 ? "meta_ext_event" : "data_stream_route";
	const json_t *id = json_object_get(k->out->manifest, id_key);
	const json_t *route = json_object_get(k->out->manifest, route_key);
	const struct manifest_config *mc = NULL;
	if (!id)
		fail_missing(&k->out->errors, id_key);
	if (!route)
		fail_missing(&k->out->errors, route_key);
	if (!id || !route)
		return 0;
	int rc = find_stream(k, id, route, v1, &mc);
	if (rc <= 0)
		return rc;
	rc = check_against(k, mc, v1);
	manifest_config_unref(mc);
	return rc;
}

static int check_version(struct checking *k)
{
	const json_t *manifest = k->out->manifest;
	const json_t *version = json_object_get(manifest, "version");
	const char *text = json_string_value(version);
	/* A NUL inside must not make "2.0" of it. */
	bool whole = text && strlen(text) == json_string_length(version);
	if (version && !(whole && (str_eq(text, "2.0") || str_eq(text, "1.0")))) {
		add_text(&k->out->errors,
			echo("unsupported version ", version, " validation failure"));
		return 0;
	}
	bool v1 = version ? str_eq(text, "1.0")
			  : !json_object_get(manifest, "data_stream_id") &&
				    json_object_get(manifest, "meta_destination_id");
	return check_stream(k, v1);
}

/* A copy of ${manifest} with the two members that are always ours. */
static json_t *own_copy(const json_t *manifest, const char *id, int64_t now)
{
	char time[CLOCK_RFC3339_SIZE];
	/* jansson takes no const for copying and iterating; neither changes the original. */
	json_t *copy = json_copy((json_t *)(uintptr_t)manifest);
	bool strings = copy != NULL;
	const char *key;
	json_t *value;
	json_object_foreach (copy, key, value)
		strings = strings && json_is_string(value);
	if (strings &&
		json_object_set_new(
			copy, "dex_ingest_datetime", json_string(clock_rfc3339(time, now))) == 0 &&
		json_object_set_new(copy, "upload_id", json_string(id)) == 0)
		return copy;
	json_decref(copy);
	return NULL;
}

int manifest_check(struct manifest_configs *configs, const json_t *manifest, const char *id,
	int64_t now, struct manifest_check *out, struct err *err)
{
	struct err scratch = {0};
	struct checking k = {.configs = configs, .out = out, .err = err ? err : &scratch};
	*out = (struct manifest_check){.manifest = own_copy(manifest, id, now)};
	if (!out->manifest)
		return err_set(
			k.err, ERR_UNAVAILABLE, __func__, "the manifest is no object of strings");
	if (check_version(&k) < 0) {
		k.err->code = ERR_UNAVAILABLE;
		manifest_check_free(out);
		return -1;
	}
	check_filenames(&out->errors, out->manifest);
	return 0;
}

int manifest_find(struct manifest_configs *configs, const char *id, const char *route,
	const struct manifest_config **out, struct manifest_errors *errors, struct err *err)
{
	struct err scratch = {0};
	struct manifest_check check = {0};
	struct checking k = {.configs = configs, .out = &check, .err = err ? err : &scratch};
	json_t *id_value = json_string(id);
	json_t *route_value = json_string(route);
	int rc = 0;

	*out = NULL;
	if (!id || !id[0])
		fail_missing(&check.errors, "data_stream_id");
	if (!route || !route[0])
		fail_missing(&check.errors, "data_stream_route");
	if (check.errors.n == 0) {
		if (id_value && route_value)
			rc = find_stream(&k, id_value, route_value, false, out);
		else
			fail_no_config(&check.errors, UNSAFE_NAME);
	}
	json_decref(id_value);
	json_decref(route_value);
	*errors = check.errors;
	return rc;
}
