/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app_state.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/str.h"
#include "core/store/lock.h"
#include "core/store/lock_impl.h"
#include "core/store/state.h"
#include "core/store/state_impl.h"

#include <string.h>

#define WARNINGS_MAX 4096

static bool durable(const struct config *c)
{
	return config_durability(c) != CONFIG_DURABLE_NONE;
}

static const char *set_variable(const struct config *c, const char *name)
{
	const char *value = name ? config_in_force(c, name) : NULL;

	return value && *value ? value : NULL;
}

/* The backend that a variable selects, and the variable's value; or NULL. */
static const struct state_backend *find_state(
	const struct config *c, const struct app_backends *b, const char **where)
{
	for (size_t i = 0; b->state[i]; i++) {
		*where = set_variable(c, b->state[i]->env);
		if (*where)
			return b->state[i];
	}
	return NULL;
}

/* Locks that are kept at the place of that variable. */
static const struct lock_backend *find_lock(const struct app_backends *b, const char *env)
{
	for (size_t i = 0; b->lock[i]; i++) {
		if (b->lock[i]->env && str_eq(b->lock[i]->env, env))
			return b->lock[i];
	}
	return NULL;
}

/* The directory of ${path} into ${dir}, made if it is missing. */
static int make_folder(const char *path, struct buf *dir, struct err *err)
{
	const char *slash = strrchr(path, '/');

	if (slash && slash != path)
		buf_add(dir, path, (size_t)(slash - path));
	else
		buf_add_str(dir, slash ? "/" : ".");
	return fsio_mkdirs(buf_str(dir), false, err);
}

static int open_files(const struct config *c, const struct app_backends *b, struct state **state,
	struct lock_service **locks, struct err *err)
{
	struct buf dir;
	int rc = -1;

	buf_init(&dir, 4096);
	if (make_folder(c->state_db, &dir, err) < 0)
		goto out;
	*state = state_open(b->state[0], c->state_db, durable(c), err);
	if (!*state)
		goto out;
	/* Locks lie beside the state: whoever shares the one shares the other. */
	buf_add_str(&dir, "/locks");
	*locks = lock_open(b->lock[0], buf_str(&dir), err);
	if (*locks)
		rc = 0;
out:
	buf_free(&dir);
	return rc < 0 ? err_prefix(err, "DEX_STATE_DB=%s", c->state_db) : 0;
}

int app_state_open(const struct config *c, const struct app_backends *b, struct state **state,
	struct lock_service **locks, struct err *err)
{
	const char *where;
	const struct state_backend *backend = find_state(c, b, &where);

	if (!backend)
		return open_files(c, b, state, locks, err);
	const struct lock_backend *lock = find_lock(b, backend->env);
	*state = state_open(backend, where, durable(c), err);
	if (*state && lock)
		*locks = lock_open(lock, where, err);
	else if (*state)
		err_set(err, ERR_UNSUPPORTED, __func__, "there are no locks for this state");
	return *state && *locks ? 0 : err_prefix(err, "%s", backend->env);
}

bool app_state_is_apart(const struct config *c, const struct app_backends *b)
{
	const char *where;

	return find_state(c, b, &where) != NULL;
}

struct state *app_state_open_named(
	const struct config *c, const struct app_backends *b, const char *place, struct err *err)
{
	size_t len = strcspn(place, ":");
	struct state *s = NULL;
	struct buf dir;

	for (size_t i = 0; b->state[i]; i++) {
		const struct state_backend *backend = b->state[i];
		if (strlen(backend->type) != len || strncmp(backend->type, place, len) != 0)
			continue;
		if (backend->env && !place[len]) {
			const char *where = set_variable(c, backend->env);
			if (where)
				s = state_open(backend, where, durable(c), err);
			else
				err_set(err, ERR_INVALID, __func__, "it is not set");
			if (!s)
				err_prefix(err, "%s", backend->env);
			return s;
		}
		if (!backend->env && place[len] && place[len + 1]) {
			buf_init(&dir, 4096);
			if (make_folder(place + len + 1, &dir, err) == 0)
				s = state_open(backend, place + len + 1, durable(c), err);
			buf_free(&dir);
			return s;
		}
	}
	/* The text is not repeated: somebody may have written a password. */
	err_set(err, ERR_INVALID, __func__,
		"a state store is named as sqlite:PATH, or redis for the one at "
		"REDIS_CONNECTION_STRING");
	return NULL;
}

void app_state_check(const struct config *c, const struct app_backends *b, struct buf *problems,
	struct buf *warnings)
{
	const char *where;
	struct state *state = NULL;
	struct lock_service *locks = NULL;
	const struct state_backend *backend = find_state(c, b, &where);
	struct err err = {0};
	struct buf found;

	if (!backend)
		return;
	buf_init(&found, WARNINGS_MAX);
	if (app_state_open(c, b, &state, &locks, &err) < 0) {
		buf_printf(problems, "%s\n", err.text);
	} else if (warnings && state_warnings(state, &found, &err) < 0) {
		/* It may come later, but not with the wrong password. */
		buf_printf(err.code == ERR_DENIED ? problems : warnings, "%s: %s\n", backend->env,
			err.text);
	}
	for (const char *line = buf_str(&found); *line;) {
		int len = (int)strcspn(line, "\n");
		buf_printf(warnings, "%s: %.*s\n", backend->env, len, line);
		line += len + (line[len] == '\n');
	}
	lock_close(locks);
	state_close(state);
	buf_free(&found);
}
