/* SPDX-License-Identifier: Apache-2.0 */
/* What only the Redis state store can show: lost replies, foreign keys, its server's settings. */
#include "backends/registry.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/store/lock.h"
#include "core/store/state.h"
#include "tests/lib/lossy_proxy.h"
#include "tests/lib/redis_server.h"
#include "tests/lib/state_world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct place {
	struct redis_server server;
	struct state_world w; /* only `s` and `err` */
};

static const char *uri_of(char out[128], unsigned port, const char *more)
{
	snprintf(out, 128, "redis://127.0.0.1:%u/?prefix=t%s", port, more);
	return out;
}

static struct state *open_at(unsigned port, const char *more, struct err *err)
{
	char uri[128];
	return state_open(registry_find_state("redis"), uri_of(uri, port, more), true, err);
}

static struct lock_service *open_locks_at(unsigned port, const char *more, struct err *err)
{
	char uri[128];
	return lock_open(registry_find_lock("redis"), uri_of(uri, port, more), err);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	if (!p || !redis_server_present())
		return -1;
	redis_server_start(&p->server, NULL);
	p->w.s = open_at(p->server.port, "&timeout=20s", &p->w.err);
	if (!p->w.s)
		return -1;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	state_close(p->w.s);
	redis_server_remove(&p->server);
	free(p);
	return 0;
}

/* Run a command past the store; its integer, or 0. */
static long long run(struct place *p, const char *fmt, const char *key)
{
	redisReply *r = redis_server_command(&p->server, fmt, key);
	if (r->type == REDIS_REPLY_ERROR)
		fail_msg("%s", r->str);
	long long n = r->integer;
	freeReplyObject(r);
	return n;
}

/* The key of kind ${kind} of an upload. */
static char *key_of(char out[80], const char *kind, const char *id)
{
	snprintf(out, 80, "t:{%c}:%s%s", id[0], kind, id);
	return out;
}

/* The warnings have these words, a line each, and no more. */
static void assert_warnings(struct state_world *w, struct state *s, const char *const *words)
{
	struct buf out;
	size_t lines = 0;
	buf_init(&out, 4096);
	state_world_ok(w, state_warnings(s, &out, &w->err));
	for (; words[lines]; lines++) {
		if (!strstr(buf_str(&out), words[lines]))
			fail_msg("no \"%s\" in: %s", words[lines], buf_str(&out));
	}
	for (const char *c = buf_str(&out); *c; c++)
		lines -= *c == '\n';
	assert_int_equal(lines, 0);
	buf_free(&out);
}

/* --- what earlier releases have left --- */

static void assert_order(struct place *p, const struct upload *u, const int64_t *at, int n)
{
	struct upload_mark marks[9];
	struct upload_mark start = {.at = 0};
	int got = state_upload_scan_times(p->w.s, &start, INT64_MAX, marks, 9, &p->w.err);
	if (got < 0)
		fail_msg("%s", p->w.err.text);
	assert_int_equal(got, n);
	for (int i = 0; i < n; i++) {
		assert_string_equal(marks[i].id, u[i].id);
		assert_int_equal(marks[i].at, at[i]);
	}
}

/* They did not keep the order of uploads by time; beside them newer ones put uploads in. */
static void the_order_is_made_of_what_was_there(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	struct upload u[4];
	const int64_t at[] = {NOW, NOW + 1, NOW + 2, NOW + 3};
	char key[80];

	for (int i = 0; i < 4; i++)
		state_world_upload(w, &u[i], 10);
	state_world_ok(w, (int)state_world_complete_for(w, &u[1], NULL, 0));
	for (int i = 2; i < 4; i++)
		state_world_ok(w, (int)state_upload_end(w->s, u[i].id,
					  i == 2 ? UPLOAD_EXPIRED : UPLOAD_TERMINATED, INT64_MAX,
					  NOW + i, NULL, &w->err));
	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "t:{%c}:times", u[i].id[0]);
		run(p, "DEL %s", key);
	}
	assert_order(p, u, at, 4);
	/* It is made once: what is taken out by hand stays out. */
	snprintf(key, sizeof(key), "t:{%c}:times", u[0].id[0]);
	run(p, "DEL %s", key);
	struct upload_mark marks[9];
	struct upload_mark start = {.at = 0};
	assert_true(state_upload_scan_times(w->s, &start, INT64_MAX, marks, 9, &w->err) < 4);
}

/* --- replies that get lost --- */

/* All changes, with the first ${lose} answers to each lost; ${sink} is of this round only. */
static void all_of_it(struct state_world *w, struct lossy_proxy *proxy, int lose, const char *sink)
{
	static const char *const targets[] = {"a", "b"};
	struct upload u = {.length = 9, .created_at = NOW};
	struct upload got;
	int64_t late = state_world_counts(w).late_messages;
	random_uuid(u.id);
#define LOST(call)                                            \
	do {                                                  \
		lossy_proxy_lose(proxy, 0, lose);             \
		state_world_ok(w, (int)(call));               \
		assert_int_equal(lossy_proxy_left(proxy), 0); \
	} while (0)

	struct outbox_message m = state_world_message(u.id, sink, "created");
	struct outbox_list list = {&m, 1};
	LOST(state_upload_create(w->s, &u, NULL, &list, &w->err));
	struct upload_change c = state_world_change(u.id, 0, 4);
	LOST(state_upload_advance(w->s, &c, &w->err));
	c = state_world_change(u.id, 4, 9);
	m.name = "completed";
	LOST(state_upload_complete(w->s, &c, targets, 2, &list, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.offset, 9);
	assert_int_equal(got.status, UPLOAD_COMPLETE);
	upload_free(&got);
	assert_string_equal(state_world_deliveries(w, u.id).targets, "a b ");

	/* Leased once, not each delivery for one of the tries. */
	struct delivery_filter f = {.upload_id = u.id};
	struct delivery d;
	LOST(state_delivery_lease(w->s, &f, "me", NOW + 1, 1000, &d, &w->err));
	assert_string_equal(d.target, "a");
	LOST(state_delivery_renew(w->s, d.id, "me", NOW + 1, 2000, &w->err));
	struct delivery_end e = {.id = d.id,
		.owner = "me",
		.status = DELIVERY_PENDING,
		.due_at = NOW + 9,
		.count_attempt = true,
		.now = NOW + 2};
	m.name = "failed";
	LOST(state_delivery_end(w->s, &e, &list, &w->err));
	delivery_free(&d);
	f.target = "a";
	state_world_ok(w, (int)state_delivery_lease(w->s, &f, "me", NOW + 9, 1000, &d, &w->err));
	assert_int_equal(d.attempt, 1);
	e.status = DELIVERY_DONE;
	LOST(state_delivery_end(w->s, &e, NULL, &w->err));
	delivery_free(&d);
	m.name = "again";
	LOST(state_delivery_queue(w->s, u.id, "a", NOW + 10, &list, &w->err));
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 11);
	state_world_finish(w, &u, DELIVERY_DONE, NOW + 11);

	/* Each message once, in order. */
	m.name = "more";
	LOST(state_outbox_add(w->s, &list, &w->err));
	assert_int_equal(state_world_counts(w).late_messages, late + 5);
	lossy_proxy_lose(proxy, 0, lose); /* of the search for what is due */
	struct seen_messages seen = state_world_take(w, sink, NOW, 9);
	assert_string_equal(seen.names, "created completed failed again more ");
	LOST(state_outbox_retry(w->s, seen.ids[0], NOW + 5, &w->err));
	seen = state_world_take(w, sink, NOW + 5, 1);
	assert_int_equal(seen.attempt, 1);
	LOST(state_outbox_park(w->s, seen.ids[0], "no", NOW + 5, &w->err));
	seen = state_world_parked(w, u.id);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.attempt, 2);
	LOST(state_outbox_unpark(w->s, seen.ids[0], NOW + 5, &w->err));
	seen = state_world_take(w, sink, NOW + 5, 1);
	assert_string_equal(seen.names, "created ");
	assert_int_equal(seen.attempt, 0);
	LOST(state_outbox_sent(w->s, seen.ids, 1, &w->err));

	m.name = "retired";
	LOST(state_upload_end(w->s, u.id, UPLOAD_RETIRED, 0, NOW + 12, &list, &w->err));
	LOST(state_upload_removed(w->s, u.id, &w->err));
	LOST(state_kv_add(w->s, u.id, "me", 2, NOW, NOW + 9, &w->err));
	assert_int_equal(state_kv_add(w->s, u.id, "me", 2, NOW, NOW + 9, &w->err), STATE_CONFLICT);
	LOST(state_kv_set(w->s, u.id, "you", 3, NOW + 9, &w->err));
#undef LOST
}

static void a_change_whose_answer_was_lost_is_made_once(void **state)
{
	struct place *p = *state;
	struct lossy_proxy *proxy = lossy_proxy_start(p->server.port);
	struct state *direct = p->w.s;
	p->w.s = open_at(lossy_proxy_port(proxy), "&timeout=20s", &p->w.err);
	assert_non_null(p->w.s);
	/* The first round makes the scripts known; a second try may meet the same fate. */
	static const char *const sinks[] = {"none lost", "one lost", "two lost"};
	for (int lose = 0; lose < 3; lose++)
		all_of_it(&p->w, proxy, lose, sinks[lose]);

	/* Where no answer comes to an end, the caller is told that nothing is known. */
	struct upload u;
	state_world_upload(&p->w, &u, 5);
	state_close(p->w.s);
	p->w.s = open_at(lossy_proxy_port(proxy), "&timeout=300ms", &p->w.err);
	lossy_proxy_lose(proxy, 0, 1 << 30);
	struct upload_change c = state_world_change(u.id, 0, 4);
	assert_int_equal(state_upload_advance(p->w.s, &c, &p->w.err), STATE_ERROR);
	assert_int_equal(p->w.err.code, ERR_UNAVAILABLE);
	state_close(p->w.s);
	p->w.s = direct;
	lossy_proxy_stop(proxy);
}

static void what_was_leased_in_vain_is_found_again(void **state)
{
	struct place *p = *state;
	struct lossy_proxy *proxy = lossy_proxy_start(p->server.port);
	struct state *direct = p->w.s;
	struct upload u;
	p->w.s = open_at(lossy_proxy_port(proxy), "&timeout=20s", &p->w.err);
	assert_non_null(p->w.s);
	for (int round = 0; round < 2; round++) { /* the first one makes the scripts known */
		state_world_complete(&p->w, &u, "a");
		state_world_add_message(&p->w, u.id, "bus", "one", NOW);
		state_world_add_message(&p->w, u.id, "bus", "two", NOW);
		/* The first script finds the bucket, the second leases. */
		lossy_proxy_lose(proxy, 1, round);
		assert_string_equal(state_world_take(&p->w, "bus", NOW, 9).names, "one two ");
		assert_int_equal(lossy_proxy_left(proxy), 0);
		lossy_proxy_lose(proxy, 1, round);
		assert_true(state_world_lease(&p->w, NULL, "me", NOW + 2) > 0);
		assert_int_equal(lossy_proxy_left(proxy), 0);
		assert_true(state_world_lease(&p->w, NULL, "me", NOW + 2) == 0);
	}
	state_close(p->w.s);
	p->w.s = direct;
	lossy_proxy_stop(proxy);
}

/* --- numbers --- */

static void offsets_and_fences_are_exact(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	struct upload u;
	struct upload got;
	int64_t at = INT64_MAX - 9;
	state_world_upload(w, &u, INT64_MAX - 1);
	struct upload_change c = state_world_change(u.id, 0, at);
	c.fence = INT64_MAX - 1;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	/* All of these are one and the same number to a double. */
	c = state_world_change(u.id, at + 1, at + 2);
	c.fence = INT64_MAX - 1;
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c.from = at;
	c.to = INT64_MAX; /* beyond its length */
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c.to = at + 1;
	c.fence = INT64_MAX - 2;
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
	c.fence = INT64_MAX;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	c.from = at + 1;
	c.to = INT64_MAX - 2;
	assert_int_equal(state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err), STATE_CONFLICT);
	c.to = INT64_MAX - 1;
	state_world_ok(w, (int)state_upload_complete(w->s, &c, NULL, 0, NULL, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.offset, INT64_MAX - 1);
	upload_free(&got);

	/* Shorter text is less: 9 and 10. */
	state_world_upload(w, &u, 100);
	c = state_world_change(u.id, 0, 9);
	c.fence = 9;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	c = state_world_change(u.id, 9, 10);
	c.fence = 10;
	state_world_ok(w, (int)state_upload_advance(w->s, &c, &w->err));
	c = state_world_change(u.id, 10, 9);
	c.fence = 9;
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
}

/* --- what is not as it should be --- */

static void assert_corrupt(struct state_world *w, int result)
{
	assert_int_equal(result, -1);
	if (w->err.code != ERR_CORRUPT)
		fail_msg("%s", w->err.text);
}

static void foreign_and_damaged_keys_are_no_answer(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	static const char *const damages[] = {"HSET %s offset 4x", "HSET %s offset -4",
		"HSET %s length -2", "HDEL %s touched_at", "HSET %s status 9", "HSET %s fence 1e3"};
	char key[80];
	struct upload u;
	struct upload got;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		state_world_upload(w, &u, 10);
		struct upload_change c = state_world_change(u.id, 0, 1);
		run(p, damages[i], key_of(key, "u:", u.id));
		if (strstr(damages[i], "status"))
			assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_CONFLICT);
		else
			assert_corrupt(w, (int)state_upload_advance(w->s, &c, &w->err));
		if (!strstr(damages[i], "fence"))
			assert_corrupt(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	}
	run(p, "SET %s x", key_of(key, "u:", u.id));
	struct upload_change c = state_world_change(u.id, 0, 1);
	assert_corrupt(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_corrupt(w, (int)state_upload_advance(w->s, &c, &w->err));
	assert_corrupt(
		w, (int)state_upload_end(w->s, u.id, UPLOAD_TERMINATED, 0, NOW, NULL, &w->err));
	assert_corrupt(w, state_upload_create(w->s, &u, NULL, NULL, &w->err));
	run(p, "SET %s x", "t:kv:k");
	struct buf out;
	buf_init(&out, 100);
	assert_corrupt(w, (int)state_kv_get(w->s, "k", NOW, &out, &w->err));
	assert_corrupt(w, (int)state_kv_add(w->s, "k", "v", 1, NOW, 0, &w->err));
	run(p, "HSET %s a b", "t:kv:h");
	assert_corrupt(w, (int)state_kv_get(w->s, "h", NOW, &out, &w->err));
	buf_free(&out);
}

static void a_script_that_fails_changes_no_row(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	const char *target = "a";
	char key[80];
	struct upload u;
	struct upload got;
	state_world_upload(w, &u, 10);
	struct outbox_message m = state_world_message(u.id, "bus", "completed");
	struct outbox_list list = {&m, 1};
	snprintf(key, sizeof(key), "t:{%c}:late", u.id[0]);
	run(p, "SET %s x", key);
	struct upload_change c = state_world_change(u.id, 0, 10);
	assert_corrupt(w, (int)state_upload_complete(w->s, &c, &target, 1, &list, &w->err));
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	assert_int_equal(got.offset, 0);
	assert_int_equal(got.status, UPLOAD_OPEN);
	upload_free(&got);
}

static void a_server_that_lost_all_knows_nothing(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	struct upload u;
	struct upload got;
	struct delivery d;
	char ids[2][UUID_SIZE];
	state_world_complete(w, &u, "a");
	int64_t id = state_world_lease(w, NULL, "me", NOW + 1);
	redis_server_stop(&p->server);
	struct state *quick = open_at(p->server.port, "&timeout=200ms", &w->err);
	assert_int_equal(state_upload_get(quick, u.id, &got, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	assert_int_equal(state_probe(quick, &w->err), -1);
	assert_int_equal(w->err.code, ERR_UNAVAILABLE);
	state_close(quick);

	redis_server_start_again(&p->server);
	assert_int_equal(state_upload_get(w->s, u.id, &got, &w->err), STATE_NOT_FOUND);
	struct upload_change c = state_world_change(u.id, 10, 10);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_NOT_FOUND);
	assert_int_equal(
		state_delivery_queue(w->s, u.id, "a", NOW, NULL, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_delivery_renew(w->s, id, "me", NOW, 1000, &w->err), STATE_CONFLICT);
	assert_int_equal(state_world_end(w, id, DELIVERY_DONE, NOW), STATE_CONFLICT);
	assert_int_equal(
		state_delivery_lease(w->s, NULL, "me", NOW, 1, &d, &w->err), STATE_NOT_FOUND);
	assert_int_equal(state_upload_scan_stale(w->s, INT64_MAX, ids, 2, &w->err), 0);
	/* And a new delivery gets no old one's id. */
	state_world_complete(w, &u, "a");
	int64_t new = state_world_lease(w, NULL, "me", NOW + 1);
	assert_true(new / 16 > id / 16);
}

static void a_full_server_is_no_space(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	struct upload u;
	struct upload got;
	state_world_upload(w, &u, 10);
	run(p, "CONFIG SET maxmemory %s", "1");
	struct upload other = {.length = 1, .created_at = NOW};
	random_uuid(other.id);
	assert_int_equal(state_upload_create(w->s, &other, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NO_SPACE);
	struct upload_change c = state_world_change(u.id, 0, 1);
	assert_int_equal(state_upload_advance(w->s, &c, &w->err), STATE_ERROR);
	assert_int_equal(w->err.code, ERR_NO_SPACE);
	assert_int_equal(state_probe(w->s, &w->err), -1);
	assert_int_equal(w->err.code, ERR_NO_SPACE);
	/* What makes room goes on. */
	state_world_ok(w, (int)state_upload_get(w->s, u.id, &got, &w->err));
	upload_free(&got);
	state_world_ok(
		w, (int)state_upload_end(w->s, u.id, UPLOAD_TERMINATED, 0, NOW, NULL, &w->err));
	run(p, "CONFIG SET maxmemory %s", "0");
	state_world_ok(w, state_probe(w->s, &w->err));
	assert_int_equal(state_upload_get(w->s, other.id, &got, &w->err), STATE_NOT_FOUND);
}

static void a_replica_is_not_well(void **state)
{
	struct place *p = *state;
	state_world_ok(&p->w, state_probe(p->w.s, &p->w.err));
	struct state *quick = open_at(p->server.port, "&timeout=300ms", &p->w.err);
	run(p, "REPLICAOF 127.0.0.1 %s", "1");
	assert_int_equal(state_probe(quick, &p->w.err), -1);
	assert_int_equal(p->w.err.code, ERR_UNAVAILABLE);
	state_close(quick);
}

static void another_release_s_data_are_left_alone(void **state)
{
	struct place *p = *state;
	run(p, "SET %s 2", "t:{b}:format");
	assert_int_equal(state_probe(p->w.s, &p->w.err), -1);
	assert_int_equal(p->w.err.code, ERR_UNSUPPORTED);
}

/* --- a Cluster --- */

static void say(const struct redis_server *s, const char *fmt, long long slot, const char *node)
{
	redisReply *r = redis_server_command(s, fmt, slot, node);
	if (r->type == REDIS_REPLY_ERROR)
		fail_msg("%s", r->str);
	freeReplyObject(r);
}

static void a_slot_on_its_way_is_no_answer(void **state)
{
	struct place *p = *state;
	struct redis_server nodes[2];
	char *names[2];
	struct err err = {0};
	struct upload u = {.length = 9, .created_at = NOW};
	struct upload got;
	struct state_counts counts;
	redis_server_start_cluster(nodes, 2);
	for (int i = 0; i < 2; i++) {
		redisReply *r = redis_server_command(&nodes[i], "CLUSTER MYID");
		names[i] = strdup(r->str);
		assert_non_null(names[i]);
		freeReplyObject(r);
	}
	struct state *s = open_at(nodes[0].port, "&timeout=300ms", &err);
	assert_non_null(s);
	struct lock_service *locks = open_locks_at(nodes[0].port, "&timeout=300ms", &err);
	assert_non_null(locks);
	struct lock_row row = {0};
	struct lock *lock;
	str_copy(u.id, sizeof(u.id), "a0000000-0000-4000-8000-000000000000");
	assert_int_equal(state_upload_create(s, &u, NULL, NULL, &err), 0);
	redisReply *r = redis_server_command(&nodes[0], "CLUSTER KEYSLOT %s", "t:{a}:");
	long long slot = r->integer;
	freeReplyObject(r);
	int from = slot < 8192 ? 0 : 1;
	int to = 1 - from;
	say(&nodes[to], "CLUSTER SETSLOT %lld IMPORTING %s", slot, names[from]);
	say(&nodes[from], "CLUSTER SETSLOT %lld MIGRATING %s", slot, names[to]);

	/* All of its keys are here, then one there, then all. */
	static const char *const keys[] = {
		"t:{a}:u:a0000000-0000-4000-8000-000000000000", "t:{a}:open", "t:{a}:times"};
	int keys_n = sizeof(keys) / sizeof(keys[0]);
	struct upload_change c = state_world_change(u.id, 0, 4);
	for (int moved = 0; moved <= keys_n; moved++) {
		assert_int_equal(state_upload_advance(s, &c, &err), STATE_ERROR);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_int_equal(state_counts(s, NOW, &counts, &err), -1);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_int_equal(lock_acquire(locks, u.id, 0, &row, &lock, &err), LOCK_ERROR);
		assert_int_equal(err.code, ERR_UNAVAILABLE);
		assert_int_equal(state_upload_get(s, u.id, &got, &err), STATE_OK);
		assert_int_equal(got.offset, 0);
		upload_free(&got);
		if (moved == keys_n)
			break;
		r = redis_server_command(&nodes[from], "MIGRATE 127.0.0.1 %u %s 0 5000",
			nodes[to].port, keys[moved]);
		assert_string_equal(r->str, "OK");
		freeReplyObject(r);
	}
	say(&nodes[to], "CLUSTER SETSLOT %lld NODE %s", slot, names[to]);
	say(&nodes[from], "CLUSTER SETSLOT %lld NODE %s", slot, names[to]);
	assert_int_equal(state_upload_advance(s, &c, &err), STATE_OK);
	/* The lock is where the row is now. */
	assert_int_equal(lock_acquire(locks, u.id, 0, &row, &lock, &err), LOCK_OK);
	assert_true(row.found);
	assert_int_equal(row.upload.offset, 4);
	upload_free(&row.upload);
	c = state_world_change(u.id, 4, 5);
	c.fence = lock_fence(lock);
	c.release = lock;
	assert_int_equal(state_upload_advance(s, &c, &err), STATE_OK);
	r = redis_server_command(
		&nodes[to], "EXISTS t:{a}:lock:a0000000-0000-4000-8000-000000000000");
	assert_int_equal(r->integer, 0);
	freeReplyObject(r);
	lock_release(lock);
	lock_close(locks);
	state_close(s);

	/* Any of its nodes may be set up badly. */
	redisReply *set = redis_server_command(&nodes[0], "CONFIG SET appendonly yes");
	freeReplyObject(set);
	set = redis_server_command(&nodes[0], "CONFIG SET appendfsync always");
	freeReplyObject(set);
	s = open_at(nodes[0].port, "&timeout=20s", &err);
	assert_non_null(s);
	assert_warnings(&p->w, s, (const char *const[]){"appendonly", NULL});
	state_close(s);
	for (int i = 0; i < 2; i++) {
		redis_server_remove(&nodes[i]);
		free(names[i]);
	}
}

/* --- the server's settings --- */

static void settings_that_lose_uploads_are_told(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	assert_warnings(w, w->s, (const char *const[]){"appendonly", NULL});
	run(p, "CONFIG SET maxmemory-policy %s", "allkeys-lru");
	assert_warnings(w, w->s, (const char *const[]){"appendonly", "maxmemory-policy", NULL});
	run(p, "CONFIG SET maxmemory-policy %s", "volatile-ttl");
	run(p, "CONFIG SET appendonly %s", "yes");
	assert_warnings(w, w->s, (const char *const[]){"appendfsync", NULL});
	run(p, "CONFIG SET appendfsync %s", "always");
	assert_warnings(w, w->s, (const char *const[]){NULL});

	run(p, "ACL SETUSER app on >pw ~* &* +@all %s", "-config");
	char where[128];
	snprintf(where, sizeof(where), "redis://app:pw@127.0.0.1:%u/?prefix=t", p->server.port);
	struct state *s = state_open(registry_find_state("redis"), where, true, &w->err);
	assert_warnings(w, s, (const char *const[]){"CONFIG GET", NULL});
	state_close(s);
}

/* --- waiting --- */

static void *wait_for_one(void *arg)
{
	struct place *p = arg;
	if (state_wait(p->w.s, 60000, -1, &p->w.err))
		state_world_die("cannot wait", &p->w.err);
	return NULL;
}

static long long listeners(struct place *p)
{
	redisReply *r = redis_server_command(&p->server, "PUBSUB NUMSUB t:queued");
	long long n = r->elements == 2 ? r->element[1]->integer : -1;
	freeReplyObject(r);
	return n;
}

static void a_lost_message_costs_seconds_at_most(void **state)
{
	struct place *p = *state;
	struct state_world *w = &p->w;
	struct err err = {0};
	pthread_t thread;
	char where[128];
	/* Whoever queues may not publish; the change is no less one. */
	run(p, "ACL SETUSER mute on >pw ~* resetchannels +@all %s", "-publish");
	snprintf(where, sizeof(where), "redis://mute:pw@127.0.0.1:%u/?prefix=t", p->server.port);
	struct state *mute = state_open(registry_find_state("redis"), where, true, &w->err);
	struct upload u;
	state_world_upload(w, &u, 0);
	state_world_ok(w, (int)state_world_complete_for(w, &u, NULL, 0));
	int64_t start = clock_mono_ms();
	assert_int_equal(pthread_create(&thread, NULL, wait_for_one, p), 0);
	while (listeners(p) != 1)
		clock_sleep_ms(1);
	assert_int_equal(state_delivery_queue(mute, u.id, "a", clock_now(), NULL, &err), STATE_OK);
	pthread_join(thread, NULL);
	assert_true(clock_mono_ms() - start < 30000);
	state_close(mute);
}

#define TEST(fn)                               \
	{                                      \
#fn, fn, setup, teardown, NULL \
	}
static const struct CMUnitTest tests[] = {
	TEST(the_order_is_made_of_what_was_there),
	TEST(a_change_whose_answer_was_lost_is_made_once),
	TEST(what_was_leased_in_vain_is_found_again),
	TEST(offsets_and_fences_are_exact),
	TEST(foreign_and_damaged_keys_are_no_answer),
	TEST(a_script_that_fails_changes_no_row),
	TEST(a_server_that_lost_all_knows_nothing),
	TEST(a_full_server_is_no_space),
	TEST(a_replica_is_not_well),
	TEST(another_release_s_data_are_left_alone),
	TEST(a_slot_on_its_way_is_no_answer),
	TEST(settings_that_lose_uploads_are_told),
	TEST(a_lost_message_costs_seconds_at_most),
};
#undef TEST

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
