/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/state_world.h"

#include "backends/registry.h"
#include "core/base/str.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct state_backend *sqlite(void)
{
	return registry_find_state("sqlite");
}

static struct state *open_sqlite(const char *dir, bool durable, struct err *err)
{
	char *path = scratch_path(dir, "state.db");
	struct state *s = state_open(sqlite(), path, durable, err);
	free(path);
	return s;
}

static struct state *open_durable(const char *dir, struct err *err)
{
	return open_sqlite(dir, true, err);
}

static struct state *open_relaxed(const char *dir, struct err *err)
{
	return open_sqlite(dir, false, err);
}

/* One server or one Cluster for the whole program; each directory has a prefix of its own. */
static struct redis_server redis_servers[3];

static const struct state_backend *redis(void)
{
	return registry_find_state("redis");
}

static struct state *open_redis(const char *dir, struct err *err)
{
	char where[256];
	const char *name = strrchr(dir, '/');
	snprintf(where, sizeof(where), "redis://127.0.0.1:%u/?prefix=%s&timeout=20s",
		redis_servers[0].port, name ? name + 1 : dir);
	return state_open(redis(), where, true, err);
}

static bool start_redis(void)
{
	if (!redis_server_present())
		return false;
	redis_server_start(&redis_servers[0], NULL);
	return true;
}

static bool start_cluster(void)
{
	if (!redis_server_present())
		return false;
	redis_server_start_cluster(redis_servers, sizeof(redis_servers) / sizeof(redis_servers[0]));
	return true;
}

static void stop_redis(void)
{
	for (size_t i = 0; i < sizeof(redis_servers) / sizeof(redis_servers[0]); i++)
		redis_server_remove(&redis_servers[i]);
}

static const struct state_row rows[] = {
	{"sqlite, durable", sqlite, open_durable, NULL, NULL},
	{"sqlite", sqlite, open_relaxed, NULL, NULL},
	{"redis", redis, open_redis, start_redis, stop_redis},
	{"redis, cluster", redis, open_redis, start_cluster, stop_redis},
};

void state_world_die(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : "");
	fflush(NULL);
	_exit(1);
}

void state_world_close(struct state_world *w)
{
	state_close(w->s);
	w->s = NULL;
}

void state_world_open(struct state_world *w)
{
	w->s = w->row->open(w->dir, &w->err);
	if (!w->s)
		state_world_die("cannot open the store", &w->err);
}

static int setup(void **state)
{
	struct state_world *w = calloc(1, sizeof(*w));
	if (!w)
		return -1;
	w->row = *state;
	w->dir = scratch_make();
	state_world_open(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct state_world *w = *state;
	state_world_close(w);
	scratch_remove(w->dir);
	free(w);
	return 0;
}

int state_world_run(const char *group, const struct CMUnitTest *tests, size_t n)
{
	int failed = 0;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct CMUnitTest *of_row = calloc(n, sizeof(*of_row));
		char name[64];
		if (!of_row)
			return 1;
		if (rows[r].start && !rows[r].start()) {
			printf("%s: %s: left out, there is no server\n", group, rows[r].name);
			free(of_row);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			of_row[i] = (struct CMUnitTest){tests[i].name, tests[i].test_func, setup,
				teardown, (void *)&rows[r]};
		snprintf(name, sizeof(name), "%s: %s", group, rows[r].name);
		failed += _cmocka_run_group_tests(name, of_row, n, NULL, NULL);
		if (rows[r].stop)
			rows[r].stop();
		free(of_row);
	}
	return failed > 0;
}

void state_world_ok(struct state_world *w, int rc)
{
	if (rc != 0)
		fail_msg("result %d: %s", rc, w->err.text);
}

void state_world_upload(struct state_world *w, struct upload *u, int64_t length)
{
	*u = (struct upload){.length = length, .created_at = NOW};
	random_uuid(u->id);
	state_world_ok(w, state_upload_create(w->s, u, NULL, NULL, &w->err));
}

struct upload_change state_world_change(const char *id, int64_t from, int64_t to)
{
	return (struct upload_change){
		.id = id, .from = from, .to = to, .length = UPLOAD_LENGTH_UNKNOWN, .now = NOW + 1};
}

enum state_result state_world_complete_for(
	struct state_world *w, const struct upload *u, const char *const *targets, size_t n)
{
	struct upload_change c = state_world_change(u->id, 0, u->length);
	return state_upload_complete(w->s, &c, targets, n, NULL, &w->err);
}

void state_world_complete(struct state_world *w, struct upload *u, const char *target)
{
	state_world_upload(w, u, 10);
	state_world_ok(w, (int)state_world_complete_for(w, u, &target, 1));
}

enum upload_status state_world_status(struct state_world *w, const char *id)
{
	struct upload u;
	state_world_ok(w, (int)state_upload_get(w->s, id, &u, &w->err));
	upload_free(&u);
	return u.status;
}

int64_t state_world_lease(
	struct state_world *w, const struct delivery_filter *f, const char *owner, int64_t now)
{
	struct delivery d;
	enum state_result r = state_delivery_lease(w->s, f, owner, now, 1000, &d, &w->err);
	if (r == STATE_NOT_FOUND)
		return 0;
	state_world_ok(w, (int)r);
	int64_t id = d.id;
	delivery_free(&d);
	delivery_free(&d);
	return id;
}

enum state_result state_world_end(
	struct state_world *w, int64_t id, enum delivery_status status, int64_t now)
{
	struct delivery_end e = {.id = id,
		.owner = "me",
		.status = status,
		.due_at = now + 5 * SECOND,
		.location = "/srv/file",
		.now = now};
	return state_delivery_end(w->s, &e, NULL, &w->err);
}

void state_world_finish(
	struct state_world *w, const struct upload *u, enum delivery_status status, int64_t now)
{
	struct delivery_filter f = {.upload_id = u->id};
	int64_t id = state_world_lease(w, &f, "me", now);
	assert_true(id > 0);
	state_world_ok(w, (int)state_world_end(w, id, status, now));
}

int state_world_see_delivery(void *arg, const struct delivery *d)
{
	struct seen_deliveries *seen = arg;
	size_t used = strlen(seen->targets);
	snprintf(seen->targets + used, sizeof(seen->targets) - used, "%s ", d->target);
	seen->last = *d;
	str_copy(seen->text[0], sizeof(seen->text[0]), d->lease_owner ? d->lease_owner : "-");
	str_copy(seen->text[1], sizeof(seen->text[1]), d->location ? d->location : "-");
	str_copy(seen->sha256, sizeof(seen->sha256), d->sha256 ? d->sha256 : "-");
	str_copy(seen->text[2], sizeof(seen->text[2]), d->issues ? d->issues : "-");
	return ++seen->n == seen->stop_at ? -1 : 0;
}

struct seen_deliveries state_world_deliveries(struct state_world *w, const char *id)
{
	struct seen_deliveries seen = {0};
	state_world_ok(
		w, state_delivery_of_upload(w->s, id, state_world_see_delivery, &seen, &w->err));
	return seen;
}

struct outbox_message state_world_message(const char *upload_id, const char *sink, const char *name)
{
	struct outbox_message m = {.sink = sink, .name = name, .data = "{}", .due_at = NOW};
	str_copy(m.upload_id, sizeof(m.upload_id), upload_id);
	return m;
}

void state_world_add_message(struct state_world *w, const char *upload_id, const char *sink,
	const char *name, int64_t due_at)
{
	struct outbox_message m = state_world_message(upload_id, sink, name);
	m.due_at = due_at;
	struct outbox_list list = {&m, 1};
	state_world_ok(w, state_outbox_add(w->s, &list, &w->err));
}

static int see_message(void *arg, const struct outbox_message *m)
{
	struct seen_messages *seen = arg;
	size_t used = strlen(seen->names);
	snprintf(seen->names + used, sizeof(seen->names) - used, "%s ", m->name);
	seen->ids[seen->n++] = m->id;
	seen->attempt = m->attempt;
	return 0;
}

struct seen_messages state_world_take(struct state_world *w, const char *sink, int64_t now, int max)
{
	struct seen_messages seen = {0};
	state_world_ok(
		w, state_outbox_take(w->s, sink, now, 1000, max, see_message, &seen, &w->err));
	return seen;
}

void state_world_sent(struct state_world *w, const struct seen_messages *seen)
{
	state_world_ok(w, state_outbox_sent(w->s, seen->ids, (size_t)seen->n, &w->err));
}

struct seen_messages state_world_parked(struct state_world *w, const char *upload_id)
{
	struct seen_messages seen = {0};
	state_world_ok(w, state_outbox_parked(w->s, upload_id, see_message, &seen, &w->err));
	return seen;
}

struct state_counts state_world_counts(struct state_world *w)
{
	struct state_counts c;
	state_world_ok(w, state_counts(w->s, NOW, &c, &w->err));
	return c;
}
