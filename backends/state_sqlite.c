/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sql_conn *state_sqlite_borrow(struct state *st, struct err *err)
{
	struct state_sqlite *s = (struct state_sqlite *)st;
	struct sql_conn *c = NULL;

	pthread_mutex_lock(&s->lock);
	while (s->idle == 0 && s->opened == SQLITE_READERS_MAX)
		pthread_cond_wait(&s->reader_freed, &s->lock);
	if (s->idle > 0)
		c = s->readers[--s->idle];
	else
		s->opened++;
	pthread_mutex_unlock(&s->lock);
	if (c)
		return c;

	c = state_sqlite_query_connect(s->path, false, false, err);
	if (!c) {
		pthread_mutex_lock(&s->lock);
		s->opened--;
		pthread_cond_signal(&s->reader_freed);
		pthread_mutex_unlock(&s->lock);
	}
	return c;
}

void state_sqlite_give_back(struct state *st, struct sql_conn *c)
{
	struct state_sqlite *s = (struct state_sqlite *)st;
	pthread_mutex_lock(&s->lock);
	s->readers[s->idle++] = c;
	pthread_cond_signal(&s->reader_freed);
	pthread_mutex_unlock(&s->lock);
}

enum state_result state_sqlite_write(
	struct state *st, sql_write_fn *fn, void *arg, unsigned flags, struct err *err)
{
	struct state_sqlite *s = (struct state_sqlite *)st;
	return state_sqlite_writer_do(s->writer, fn, arg, flags, err);
}

/* The schema's version, 0 for an empty file, or -1 when it is none that we can use. */
static int64_t schema_version(struct sql_conn *c, struct err *err)
{
	int64_t version;
	int64_t application;
	int64_t objects;

	if (state_sqlite_query_value(c, "PRAGMA user_version", &version, err) ||
		state_sqlite_query_value(c, "PRAGMA application_id", &application, err) ||
		state_sqlite_query_value(c, "SELECT count(*) FROM sqlite_master", &objects, err))
		return -1;
	if (objects == 0)
		return 0;
	if (application != STATE_SQLITE_SQL_APPLICATION || version < 1)
		return err_set(
			err, ERR_CORRUPT, __func__, "%s is another program's database", c->path);
	if (version > state_sqlite_sql_version)
		return err_set(err, ERR_UNSUPPORTED, __func__,
			"%s has schema version %lld, made by a newer release; this one knows up to "
			"%d",
			c->path, (long long)version, state_sqlite_sql_version);
	return version;
}

static int migrate(struct sql_conn *c, struct err *err)
{
	/* In a transaction, lest another process changes the schema between two looks. */
	if (state_sqlite_query_exec(c, "BEGIN", err))
		return -1;
	int64_t version = schema_version(c, err);
	if (version < 0 || state_sqlite_query_exec(c, "COMMIT", err))
		return -1; /* a failure closes the connection, which rolls back */
	if (version == state_sqlite_sql_version)
		return 0;

	/* Of two processes that start at once, the second finds it done. */
	if (state_sqlite_query_exec(c, "BEGIN IMMEDIATE", err))
		return -1;
	version = schema_version(c, err);
	if (version < 0)
		return -1;
	for (; version < state_sqlite_sql_version; version++) {
		if (state_sqlite_query_exec(c, state_sqlite_sql_migrations[version], err))
			return -1;
	}
	return state_sqlite_query_exec(c, "COMMIT", err);
}

static int open_wake_file(struct state_sqlite *s, struct err *err)
{
	struct buf path;
	buf_init(&path, 4096);
	int rc = buf_printf(&path, "%s-wake", s->path);
	s->wake_path = buf_take(&path);
	if (rc)
		return err_set(err, ERR_INVALID, __func__, "%s is too long", s->path);
	s->wake_fd = fsio_open_or_make(s->wake_path, O_RDWR, err);
	return s->wake_fd < 0 ? -1 : 0;
}

static void sqlite_close(struct state *st)
{
	struct state_sqlite *s = (struct state_sqlite *)st;
	state_sqlite_writer_stop(s->writer);
	for (int i = 0; i < s->idle; i++)
		state_sqlite_query_disconnect(s->readers[i]);
	/* Last, so that it finds nobody else and can tidy up the write-ahead log. */
	state_sqlite_query_disconnect(s->write_conn);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	pthread_cond_destroy(&s->reader_freed);
	pthread_mutex_destroy(&s->lock);
	free(s->wake_path);
	free(s->path);
	free(s);
}

static struct state *sqlite_open(const char *where, bool durable, struct err *err)
{
	struct state_sqlite *s = mem_zalloc(sizeof(*s));
	s->path = mem_strdup(where);
	s->wake_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->reader_freed, NULL);

	s->write_conn = state_sqlite_query_connect(s->path, true, durable, err);
	if (!s->write_conn || migrate(s->write_conn, err) || open_wake_file(s, err))
		goto bad;
	s->writer = state_sqlite_writer_start(s->write_conn, s->wake_fd, err);
	if (!s->writer)
		goto bad;
	return &s->base;
bad:
	sqlite_close(&s->base);
	return NULL;
}

/* An empty transaction: it needs the write lock but no sync. */
static enum state_result probe_write(struct sql_conn *c, void *arg, struct err *err)
{
	(void)arg;
	if (state_sqlite_query_file_moved(c)) {
		err_set(err, ERR_UNAVAILABLE, __func__, "%s was moved or removed", c->path);
		return STATE_ERROR;
	}
	return state_sqlite_query_run(c, SQL_PROBE, NULL, err) < 0 ? STATE_ERROR : STATE_OK;
}

static int sqlite_probe(struct state *s, struct err *err)
{
	return state_sqlite_write(s, probe_write, NULL, 0, err) == STATE_OK ? 0 : -1;
}

const struct state_backend state_sqlite_backend = {
	.type = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.probe = sqlite_probe,
	.upload_create = state_sqlite_upload_create,
	.upload_get = state_sqlite_upload_get,
	.upload_change = state_sqlite_upload_change,
	.upload_end = state_sqlite_upload_end,
	.upload_removed = state_sqlite_upload_removed,
	.upload_purge = state_sqlite_upload_purge,
	.upload_scan_stale = state_sqlite_upload_scan_stale,
	.upload_scan_delivered = state_sqlite_upload_scan_delivered,
	.upload_scan_removable = state_sqlite_upload_scan_removable,
	.upload_scan_times = state_sqlite_upload_scan_times,
	.delivery_lease = state_sqlite_delivery_lease,
	.delivery_renew = state_sqlite_delivery_renew,
	.delivery_end = state_sqlite_delivery_end,
	.delivery_queue = state_sqlite_delivery_queue,
	.delivery_of_upload = state_sqlite_delivery_of_upload,
	.delivery_unfinished = state_sqlite_delivery_unfinished,
	.wait = state_sqlite_delivery_wait,
	.outbox_add = state_sqlite_outbox_add,
	.outbox_take = state_sqlite_outbox_take,
	.outbox_sent = state_sqlite_outbox_sent,
	.outbox_retry = state_sqlite_outbox_retry,
	.outbox_park = state_sqlite_parked_park,
	.outbox_unpark = state_sqlite_parked_unpark,
	.outbox_parked = state_sqlite_parked_list,
	.counts = state_sqlite_kv_counts,
	.kv_get = state_sqlite_kv_get,
	.kv_put = state_sqlite_kv_put,
	.move_uploads = state_sqlite_move_uploads,
	.move_messages = state_sqlite_move_messages,
	.move_put_uploads = state_sqlite_move_put_uploads,
	.move_put_messages = state_sqlite_move_put_messages,
};
