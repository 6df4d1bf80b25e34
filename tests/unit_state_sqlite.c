/* SPDX-License-Identifier: Apache-2.0 */
/* What only the SQLite state store can show: its file, its schema, its plans, its one writer. */
#include "backends/registry.h"
#include "backends/state_sqlite.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/store/state.h"
#include "tests/lib/scratch.h"
#include "tests/lib/state_world.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 16

struct place {
	char *dir;
	char *path;
	struct err err;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	if (!p)
		return -1;
	p->dir = scratch_make();
	p->path = scratch_path(p->dir, "state.db");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	scratch_remove(p->dir);
	free(p->path);
	free(p);
	return 0;
}

static struct state *try_open(struct place *p)
{
	return state_open(registry_find_state("sqlite"), p->path, true, &p->err);
}

static struct state *open_state(struct place *p)
{
	struct state *s = try_open(p);
	if (!s)
		fail_msg("%s", p->err.text);
	return s;
}

/* A connection that is none of the store's: as another process would have it. */
static sqlite3 *open_other(struct place *p)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(p->path, &db), SQLITE_OK);
	return db;
}

static void run(sqlite3 *db, const char *sql)
{
	char *msg = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &msg) != SQLITE_OK)
		fail_msg("%s: %s", sql, msg);
}

static void run_once(struct place *p, const char *sql)
{
	sqlite3 *db = open_other(p);
	run(db, sql);
	sqlite3_close(db);
}

static void assert_open_fails(struct place *p, enum err_code code, const char *says)
{
	err_clear(&p->err);
	assert_null(try_open(p));
	assert_int_equal(p->err.code, code);
	assert_non_null(strstr(p->err.text, p->path));
	assert_non_null(strstr(p->err.text, "state (sqlite)"));
	if (!strstr(p->err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", p->err.text, says);
}

static int create(struct state *s, const char *manifest, char id[UUID_SIZE], struct err *err)
{
	struct upload u = {
		.length = 10, .created_at = NOW, .manifest = (char *)(uintptr_t)manifest};
	random_uuid(u.id);
	memcpy(id, u.id, UUID_SIZE);
	return state_upload_create(s, &u, NULL, NULL, err);
}

static bool exists(struct state *s, const char *id)
{
	struct upload u;
	struct err err = {0};
	enum state_result r = state_upload_get(s, id, &u, &err);
	upload_free(&u);
	if (r == STATE_ERROR)
		state_world_die("cannot read", &err);
	return r == STATE_OK;
}

static void write_file(const char *path, long at, const char *data, size_t len)
{
	FILE *f = fopen(path, at < 0 ? "w" : "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, at < 0 ? 0 : at, SEEK_SET), 0);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

/* --- the file and its schema --- */

static void a_new_file_has_the_schema_and_is_private(void **state)
{
	struct place *p = *state;
	static const char *const suffixes[] = {"", "-wal", "-shm", "-wake"};
	struct state *s = open_state(p);
	char id[UUID_SIZE];
	assert_int_equal(create(s, NULL, id, &p->err), 0);
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char name[512];
		struct stat st;
		snprintf(name, sizeof(name), "%s%s", p->path, suffixes[i]);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(st.st_mode & 0137, 0);
	}
	int64_t version;
	struct sql_conn *c = state_sqlite_borrow(s, &p->err);
	assert_non_null(c);
	assert_int_equal(state_sqlite_query_value(c, "PRAGMA user_version", &version, &p->err), 0);
	assert_int_equal(version, state_sqlite_sql_version);
	assert_int_equal(state_sqlite_query_exec(c, "DELETE FROM uploads", &p->err), -1);
	state_sqlite_give_back(s, c);
	state_close(s);
	s = open_state(p);
	assert_true(exists(s, id));
	state_close(s);
}

static void a_file_that_is_not_ours_is_left_alone(void **state)
{
	struct place *p = *state;
	char text[4096];
	memset(text, 'x', sizeof(text));
	write_file(p->path, -1, text, sizeof(text));
	assert_open_fails(p, ERR_CORRUPT, "not a database");
	struct stat st;
	assert_int_equal(stat(p->path, &st), 0);
	assert_int_equal(st.st_size, sizeof(text));

	assert_int_equal(unlink(p->path), 0);
	run_once(p, "CREATE TABLE uploads(x)");
	assert_open_fails(p, ERR_CORRUPT, "another program");
	assert_int_equal(unlink(p->path), 0);
	run_once(p, "CREATE TABLE t(x); PRAGMA user_version=1");
	assert_open_fails(p, ERR_CORRUPT, "another program");
}

static void a_newer_schema_is_refused(void **state)
{
	struct place *p = *state;
	char sql[64];
	state_close(open_state(p));
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", state_sqlite_sql_version + 1);
	run_once(p, sql);
	assert_open_fails(p, ERR_UNSUPPORTED, "newer release");
	snprintf(sql, sizeof(sql), "PRAGMA user_version=%d", state_sqlite_sql_version);
	run_once(p, sql);
	state_close(open_state(p));
}

static int version_of(sqlite3 *db)
{
	sqlite3_stmt *st;
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	int version = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return version;
}

static void every_version_is_brought_up_to_date(void **state)
{
	struct place *p = *state;
	for (int from = 1; from <= state_sqlite_sql_version; from++) {
		char id[UUID_SIZE];
		sqlite3 *db = open_other(p);
		for (int v = 0; v < from; v++) {
			run(db, state_sqlite_sql_migrations[v]);
			assert_int_equal(version_of(db), v + 1);
		}
		sqlite3_close(db);
		struct state *s = open_state(p);
		assert_int_equal(create(s, NULL, id, &p->err), 0);
		assert_true(exists(s, id));
		state_close(s);
		db = open_other(p);
		assert_int_equal(version_of(db), state_sqlite_sql_version);
		sqlite3_close(db);
		assert_int_equal(unlink(p->path), 0);
	}
}

static int create_of(struct state *s, const char *owner, const struct upload_limits *limits)
{
	struct upload u = {.length = 1, .created_at = 1, .owner = (char *)owner};
	random_uuid(u.id);
	return state_upload_create(s, &u, limits, NULL, NULL);
}

/* Uploads of a file that was made before they were counted. */
static void open_uploads_of_old_files_count(void **state)
{
	struct place *p = *state;
	static const struct upload_limits of_owner = {.of_owner = 3};
	static const struct upload_limits in_all = {.in_all = 5};
	sqlite3 *db = open_other(p);
	run(db, state_sqlite_sql_migrations[0]);
	run(db, state_sqlite_sql_migrations[1]);
	run(db, "INSERT INTO uploads(id, kind, status, length, offset, beyond, fence, created_at,"
		" touched_at, completed_at, ended_at, removable, token, owner) VALUES"
		" ('a',0,0,1,0,0,0,1,1,0,0,0,'','alice'), ('b',0,0,1,0,0,0,1,1,0,0,0,'','alice'),"
		" ('c',0,1,1,0,0,0,1,1,0,0,0,'','alice'), ('d',0,0,1,0,0,0,1,1,0,0,0,'',NULL)");
	sqlite3_close(db);
	struct state *s = open_state(p);
	assert_int_equal(create_of(s, "alice", &of_owner), 0);
	assert_int_equal(create_of(s, "alice", &of_owner), -1);
	assert_int_equal(create_of(s, NULL, &in_all), 0);
	assert_int_equal(create_of(s, NULL, &in_all), -1);
	state_close(s);
}

/* Uploads and deliveries of a file that was made before there was an order, and before checksums.
 */
static void uploads_of_old_files_are_in_order(void **state)
{
	struct place *p = *state;
	struct upload_mark marks[5];
	struct upload_mark start = {.at = 2};
	sqlite3 *db = open_other(p);
	for (int v = 0; v < 3; v++)
		run(db, state_sqlite_sql_migrations[v]);
	run(db, "INSERT INTO uploads(seq, id, kind, status, length, offset, beyond, fence,"
		" created_at, touched_at, completed_at, ended_at, removable, token) VALUES"
		" (1,'a',0,1,1,1,0,0,1,1,9,0,0,''), (2,'b',0,0,1,0,0,0,7,8,0,0,0,''),"
		" (3,'c',0,2,1,0,0,0,2,2,0,30,0,''), (4,'d',0,4,1,1,0,0,3,3,4,40,0,''),"
		" (5,'e',0,0,1,0,0,0,1,99,0,0,0,'')");
	run(db, "INSERT INTO deliveries(upload, upload_id, target, status, attempt, due_at,"
		" lease_until, next_at, queued_at, ended_at, location) VALUES"
		" (1,'3f0c1d52-8a3e-4a7e-9d55-0d7c3a6b2f10','edav',1,0,0,0,0,9,9,'/srv/a')");
	sqlite3_close(db);
	struct state *s = open_state(p);
	assert_int_equal(state_upload_scan_times(s, &start, 100, marks, 5, &p->err), 4);
	for (int i = 0; i < 4; i++) {
		static const int64_t at[] = {4, 7, 9, 30};
		char id[2] = {"dbac"[i], '\0'};
		assert_string_equal(marks[i].id, id);
		assert_int_equal(marks[i].at, at[i]);
	}
	state_close(s);
	db = open_other(p);
	run(db, "UPDATE deliveries SET sha256='x' WHERE sha256 IS NULL AND location='/srv/a'");
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_close(db);
}

static void a_damaged_file_is_told(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	char ids[64][UUID_SIZE];
	char big[2000];
	memset(big, 'm', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 64; i++)
		assert_int_equal(create(s, big, ids[i], &p->err), 0);
	state_close(s);
	struct stat st;
	assert_int_equal(stat(p->path, &st), 0);
	char junk[4096];
	memset(junk, 0xa5, sizeof(junk));
	for (long at = 4096; at < st.st_size; at += 4096)
		write_file(p->path, at, junk, sizeof(junk));
	s = try_open(p);
	assert_non_null(s);
	struct upload u;
	assert_int_equal(state_upload_get(s, ids[0], &u, &p->err), STATE_ERROR);
	assert_int_equal(p->err.code, ERR_CORRUPT);
	char id[UUID_SIZE];
	assert_int_equal(create(s, NULL, id, &p->err), -1);
	assert_int_equal(p->err.code, ERR_CORRUPT);
	state_close(s);
}

static void a_place_that_cannot_be_is_told(void **state)
{
	struct place *p = *state;
	free(p->path);
	p->path = scratch_path(p->dir, "missing/state.db");
	assert_open_fails(p, ERR_NOT_FOUND, "");
	assert_null(state_open(registry_find_state("sqlite"), "", true, &p->err));
	assert_int_equal(p->err.code, ERR_INVALID);
}

/* Root may write everything, so that another user has to try. */
static void a_read_only_file_is_told(void **state)
{
	struct place *p = *state;
	state_close(open_state(p));
	assert_int_equal(chmod(p->path, 0444), 0);
	assert_int_equal(chmod(p->dir, 0755), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(3);
		struct state *s = try_open(p);
		_exit(s ? 2 : p->err.code == ERR_DENIED ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void probe_tells_when_the_file_is_gone(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	assert_int_equal(state_probe(s, &p->err), 0);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(state_probe(s, &p->err), -1);
	assert_int_equal(p->err.code, ERR_UNAVAILABLE);
	state_close(s);
}

/* --- plans --- */

/*
 * A step of a plan that looks at every row of a table or of a full index, or sorts what it found.
 * What a partial index (or the outbox, which holds unsent messages only) has is the work at hand.
 */
static bool is_costly(const char *step, enum sql_id id)
{
	static const char *const small[] = {"uploads_open", "deliveries_due",
		"deliveries_unfinished", "uploads_removable", "outbox_parked",
		"deliveries_target (upload=?"};
	if (strstr(step, "TEMP B-TREE")) /* of the few deliveries of one upload */
		return id != SQL_DELIVERY_UNFINISHED_OF_UPLOAD && id != SQL_DELIVERY_OF_UPLOAD &&
		       id != SQL_DELIVERY_LEASE_OF_UPLOAD;
	if (strncmp(step, "SCAN", 4) != 0 || strcmp(step, "SCAN CONSTANT ROW") == 0)
		return false;
	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		if (strstr(step, small[i]))
			return false;
	}
	return true;
}

static void no_statement_reads_what_it_does_not_need(void **state)
{
	struct place *p = *state;
	state_close(open_state(p));
	sqlite3 *db = open_other(p);
	for (int id = 0; id < SQL_COUNT; id++) {
		char sql[2048];
		sqlite3_stmt *st;
		assert_non_null(state_sqlite_sql[id]);
		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", state_sqlite_sql[id]);
		if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
			fail_msg("%s: %s", state_sqlite_sql[id], sqlite3_errmsg(db));
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *step = (const char *)sqlite3_column_text(st, 3);
			if (is_costly(step, (enum sql_id)id))
				fail_msg("%s: %s", state_sqlite_sql[id], step);
		}
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
}

/* --- the writer --- */

struct writer { /* one thread's change */
	struct state *s;
	const char *manifest; /* create with it */
	char id[UUID_SIZE];   /* or, without it, advance this upload */
	int rc;
	enum err_code code;
};

static void *write_one(void *arg)
{
	struct writer *t = arg;
	struct err err = {0};
	if (t->manifest) {
		t->rc = create(t->s, t->manifest, t->id, &err);
	} else {
		struct upload_change c = {.id = t->id, .to = 1, .length = -1, .now = NOW};
		t->rc = (int)state_upload_advance(t->s, &c, &err);
	}
	t->code = err.code;
	return NULL;
}

static struct sql_conn *writer_of(struct state *s)
{
	return ((struct state_sqlite *)s)->write_conn;
}

static void another_s_lock_is_waited_for(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	char id[UUID_SIZE];
	sqlite3 *other = open_other(p);

	writer_of(s)->busy_limit_ms = 20;
	run(other, "BEGIN IMMEDIATE");
	assert_int_equal(create(s, NULL, id, &p->err), -1);
	assert_int_equal(p->err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(p->err.text, "locked"));
	assert_int_equal(state_probe(s, &p->err), -1);
	assert_int_equal(p->err.code, ERR_UNAVAILABLE);
	assert_false(exists(s, id)); /* reading goes on */

	/* Let go in time, the change is made. */
	writer_of(s)->busy_limit_ms = 60000;
	struct writer t = {.s = s, .manifest = "{}"};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, write_one, &t), 0);
	clock_sleep_ms(20); /* so that it most likely meets the lock; right either way */
	run(other, "COMMIT");
	pthread_join(thread, NULL);
	assert_int_equal(t.rc, 0);
	assert_true(exists(s, t.id));
	sqlite3_close(other);
	state_close(s);
}

static int set_max_pages(struct state *s, const char *max)
{
	char sql[64];
	struct err err = {0};
	/* The writer thread has answered all there was, and sleeps. */
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%s", max);
	return state_sqlite_query_exec(writer_of(s), sql, &err);
}

static void a_full_disk_fails_only_what_needs_space(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	struct writer t[THREADS] = {0};
	pthread_t threads[THREADS];
	char big[16384];
	char id[UUID_SIZE];
	memset(big, 'm', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < THREADS; i++) {
		t[i].s = s;
		assert_int_equal(create(s, "{}", t[i].id, &p->err), 0);
	}
	assert_int_equal(set_max_pages(s, "1"), 0); /* as many as it has */
	assert_int_equal(create(s, big, id, &p->err), -1);
	assert_int_equal(p->err.code, ERR_NO_SPACE);
	assert_false(exists(s, id));

	/* All in one transaction or two: they wait behind the other's lock. */
	sqlite3 *other = open_other(p);
	run(other, "BEGIN IMMEDIATE");
	for (int i = 0; i < THREADS; i++) {
		t[i].manifest = i % 2 ? big : NULL;
		assert_int_equal(pthread_create(&threads[i], NULL, write_one, &t[i]), 0);
	}
	clock_sleep_ms(20);
	run(other, "COMMIT");
	sqlite3_close(other);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		struct upload u;
		if (t[i].manifest) {
			assert_int_equal(t[i].rc, -1);
			assert_int_equal(t[i].code, ERR_NO_SPACE);
			assert_false(exists(s, t[i].id));
		} else {
			assert_int_equal(t[i].rc, 0);
			assert_int_equal(state_upload_get(s, t[i].id, &u, &p->err), STATE_OK);
			assert_int_equal(u.offset, 1);
			upload_free(&u);
		}
	}
	assert_int_equal(set_max_pages(s, "1000000"), 0);
	assert_int_equal(create(s, big, id, &p->err), 0);
	assert_true(exists(s, id));
	state_close(s);
}

static void a_failed_change_leaves_its_neighbours(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	struct writer t[THREADS] = {0};
	pthread_t threads[THREADS];
	sqlite3 *other = open_other(p);
	/* What the schema refuses in the middle of a change of several statements. */
	run(other, "CREATE TRIGGER no BEFORE INSERT ON uploads WHEN new.manifest='bad'"
		   " BEGIN SELECT raise(ABORT, 'bad'); END");
	run(other, "BEGIN IMMEDIATE");
	for (int i = 0; i < THREADS; i++) {
		t[i] = (struct writer){.s = s, .manifest = i % 2 ? "bad" : "good"};
		assert_int_equal(pthread_create(&threads[i], NULL, write_one, &t[i]), 0);
	}
	clock_sleep_ms(20);
	run(other, "COMMIT");
	sqlite3_close(other);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(t[i].rc, i % 2 ? -1 : 0);
		assert_int_equal(exists(s, t[i].id), i % 2 == 0);
	}
	state_close(s);
}

static void a_change_is_taken_back_as_a_whole(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	static const char *const targets[] = {"good", "bad"};
	char id[UUID_SIZE];
	assert_int_equal(create(s, "{}", id, &p->err), 0);
	run_once(p, "CREATE TRIGGER no BEFORE INSERT ON deliveries WHEN new.target='bad'"
		    " BEGIN SELECT raise(ABORT, 'bad'); END");
	struct upload_change c = {.id = id, .to = 10, .length = -1, .now = NOW};
	struct upload u;
	assert_int_equal(state_upload_complete(s, &c, targets, 2, NULL, &p->err), STATE_ERROR);
	assert_int_equal(state_upload_get(s, id, &u, &p->err), STATE_OK);
	assert_int_equal(u.status, UPLOAD_OPEN);
	assert_int_equal(u.offset, 0);
	upload_free(&u);
	assert_int_equal(state_upload_complete(s, &c, targets, 1, NULL, &p->err), STATE_OK);
	struct state_counts counts;
	assert_int_equal(state_counts(s, NOW, &counts, &p->err), 0);
	assert_int_equal(counts.pending_deliveries, 1);
	state_close(s);
}

static void the_log_does_not_grow_for_ever(void **state)
{
	struct place *p = *state;
	struct state *s = state_open(registry_find_state("sqlite"), p->path, false, &p->err);
	assert_non_null(s);
	char big[16384];
	char id[UUID_SIZE];
	char wal[512];
	struct stat st;
	memset(big, 'm', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 2000; i++) /* 32 MiB */
		assert_int_equal(create(s, big, id, &p->err), 0);
	snprintf(wal, sizeof(wal), "%s-wal", p->path);
	assert_int_equal(stat(wal, &st), 0);
	assert_true(st.st_size < 12 << 20);
	state_close(s);
}

/* --- the readers --- */

static void *read_often(void *arg)
{
	const struct writer *t = arg;
	for (int i = 0; i < 50; i++) {
		if (!exists(t->s, t->id))
			state_world_die("not found", NULL);
	}
	return NULL;
}

static void many_threads_share_few_readers(void **state)
{
	struct place *p = *state;
	struct state *s = open_state(p);
	struct writer t = {.s = s};
	pthread_t threads[4 * THREADS];
	assert_int_equal(create(s, NULL, t.id, &p->err), 0);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_often, &t), 0);
	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
		pthread_join(threads[i], NULL);
	const struct state_sqlite *q = (const struct state_sqlite *)s;
	assert_in_range(q->opened, 1, SQLITE_READERS_MAX);
	assert_int_equal(q->idle, q->opened);
	state_close(s);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_file_has_the_schema_and_is_private),
		TEST(a_file_that_is_not_ours_is_left_alone),
		TEST(a_newer_schema_is_refused),
		TEST(every_version_is_brought_up_to_date),
		TEST(uploads_of_old_files_are_in_order),
		TEST(open_uploads_of_old_files_count),
		TEST(a_damaged_file_is_told),
		TEST(a_place_that_cannot_be_is_told),
		TEST(a_read_only_file_is_told),
		TEST(probe_tells_when_the_file_is_gone),
		TEST(no_statement_reads_what_it_does_not_need),
		TEST(another_s_lock_is_waited_for),
		TEST(a_full_disk_fails_only_what_needs_space),
		TEST(a_failed_change_leaves_its_neighbours),
		TEST(a_change_is_taken_back_as_a_whole),
		TEST(the_log_does_not_grow_for_ever),
		TEST(many_threads_share_few_readers),
	};
	return cmocka_run_group_tests_name("state: sqlite", tests, NULL, NULL);
}
