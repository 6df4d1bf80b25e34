/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app_store.h"

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/store/blob.h"
#include "core/store/blob_impl.h"

#define OPTIONS_MAX 64
/* A creation waits for a look at its configuration, and has the last good one to go on with. */
#define CONFIGS_TIMEOUT "5s"

struct options {
	struct blob_option items[OPTIONS_MAX];
	size_t n;
};

static const char *set_variable(const struct config *c, const char *name)
{
	const char *value = name ? config_in_force(c, name) : NULL;

	return value && *value ? value : NULL;
}

static void add(struct options *o, const char *key, const char *value)
{
	if (o->n < OPTIONS_MAX && !blob_option_get(o->items, o->n, key))
		o->items[o->n++] = (struct blob_option){key, value};
}

/* The variables of the rows with one of ${flags} (0: with none of BLOB_OPT_CONFIGS). */
static void add_variables(
	struct options *o, const struct config *c, const struct blob_backend *b, unsigned flags)
{
	for (const struct blob_option_spec *spec = b->options; spec->key; spec++) {
		bool wanted =
			flags ? (spec->flags & flags) != 0 : (spec->flags & BLOB_OPT_CONFIGS) == 0;
		const char *value = wanted ? set_variable(c, spec->env) : NULL;
		if (value)
			add(o, spec->key, value);
	}
}

/* The first backend with a row of ${flag} whose variable is set, and that variable; or NULL. */
static const struct blob_backend *find(
	const struct config *c, const struct app_backends *b, unsigned flag, const char **variable)
{
	for (size_t i = 0; b->blob[i]; i++) {
		const struct blob_option_spec *spec = b->blob[i]->options;
		for (; spec->key; spec++) {
			if ((spec->flags & flag) && set_variable(c, spec->env)) {
				*variable = spec->env;
				return b->blob[i];
			}
		}
	}
	return NULL;
}

/* What ${variable} makes necessary is there. */
static int check_required(const struct blob_backend *b, const struct options *o,
	const char *variable, struct err *err)
{
	for (const struct blob_option_spec *spec = b->options; spec->key; spec++) {
		if ((spec->flags & BLOB_OPT_REQUIRED) &&
			!blob_option_get(o->items, o->n, spec->key))
			return err_set(err, ERR_INVALID, __func__, "%s: must be set where %s is",
				spec->env, variable);
	}
	return 0;
}

static struct blob_store *open_files(const struct config *c, const struct app_backends *b,
	const char *name, const char *path, bool create, struct err *err)
{
	bool durable = config_durability(c) != CONFIG_DURABLE_NONE;
	const struct blob_option opts[] = {
		{"path", path},
		{"durable", durable ? "true" : "false"},
	};

	return blob_open(b->blob[0], name, opts, 2, create, err);
}

static struct blob_store *open_selected(const struct config *c, const struct blob_backend *backend,
	const char *name, const char *variable, unsigned first, struct err *err)
{
	struct options o = {0};

	if (first == BLOB_OPT_CONFIGS) {
		add_variables(&o, c, backend, first);
		add(&o, "request_timeout", CONFIGS_TIMEOUT);
	}
	add_variables(&o, c, backend, 0);
	if (check_required(backend, &o, variable, err) < 0)
		return NULL;
	return blob_open(backend, name, o.items, o.n, false, err);
}

struct blob_store *app_store_open_uploads(
	const struct config *c, const struct app_backends *b, struct err *err)
{
	const char *variable;
	const struct blob_backend *backend = find(c, b, BLOB_OPT_SELECTS, &variable);

	if (backend)
		return open_selected(c, backend, "uploads", variable, 0, err);
	struct blob_store *s = open_files(c, b, "uploads", c->upload_folder, true, err);
	if (!s)
		err_prefix(err, "LOCAL_FOLDER_UPLOADS_TUS=%s", c->upload_folder);
	return s;
}

struct blob_store *app_store_open_configs(
	const struct config *c, const struct app_backends *b, struct err *err)
{
	static const char name[] = "manifest configurations";
	const char *variable;
	const struct blob_backend *backend = find(c, b, BLOB_OPT_CONFIGS, &variable);

	if (backend)
		return open_selected(c, backend, name, variable, BLOB_OPT_CONFIGS, err);
	struct blob_store *s = open_files(c, b, name, c->upload_config_path, false, err);
	if (!s)
		err_prefix(err, "UPLOAD_CONFIG_PATH=%s", c->upload_config_path);
	return s;
}

struct blob_store *app_store_open_target(
	const struct config *c, const struct routing_target *t, bool create, struct err *err)
{
	struct options o = {0};
	bool identified = false;

	for (size_t i = 0; i < t->noptions; i++)
		add(&o, t->options[i].key, t->options[i].value);
	for (const struct blob_option_spec *spec = t->backend->options; spec->key; spec++) {
		if ((spec->flags & BLOB_OPT_IDENTITY) && blob_option_get(o.items, o.n, spec->key))
			identified = true;
	}
	add_variables(&o, c, t->backend,
		identified ? BLOB_OPT_AMBIENT : BLOB_OPT_AMBIENT | BLOB_OPT_IDENTITY);
	struct blob_store *s = blob_open(t->backend, t->name, o.items, o.n, create, err);
	if (!s)
		err_prefix(err, "target \"%s\"", t->name);
	return s;
}

static void tell(struct blob_store *s, const struct err *err, struct buf *problems)
{
	if (!s)
		(void)buf_printf(problems, "%s\n", err->text);
	blob_close(s);
}

void app_store_check(const struct config *c, const struct app_backends *b, const struct routing *r,
	struct buf *problems)
{
	const char *variable;
	struct err err = {0};

	if (find(c, b, BLOB_OPT_SELECTS, &variable))
		tell(app_store_open_uploads(c, b, &err), &err, problems);
	for (size_t i = 0; r && i < r->ntargets; i++) {
		/* A folder may be made when it is first delivered to. */
		if (r->targets[i].backend == b->blob[0])
			continue;
		err_clear(&err);
		tell(app_store_open_target(c, &r->targets[i], false, &err), &err, problems);
	}
}
