/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite_writer.h"

#include "backends/state_sqlite_query.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Pages that change all the time are copied once for each checkpoint. */
#define CHECKPOINT_PAGES 2000

struct change { /* lives on the stack of the thread that waits for it */
	sql_write_fn *fn;
	void *arg;
	unsigned flags;
	enum state_result result;
	bool spoilt; /* its failure undid the whole transaction: not to be run again */
	struct err err;
	sem_t answered;
	struct change *next;
};

struct sql_writer {
	struct sql_conn *conn;
	int wake_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work;
	struct change *first;
	struct change **last;
	bool stop;
};

static void fail_all(struct change *batch, const struct err *err)
{
	for (struct change *ch = batch; ch; ch = ch->next) {
		if (!ch->spoilt) {
			ch->result = STATE_ERROR;
			ch->err = *err;
		}
	}
}

static int command(struct sql_writer *w, enum sql_id id, struct err *err)
{
	return state_sqlite_query_run(w->conn, id, NULL, err) < 0 ? -1 : 0;
}

static void roll_back(struct sql_writer *w)
{
	struct err err = {0};
	if (state_sqlite_query_in_transaction(w->conn) && command(w, SQL_ROLLBACK, &err))
		LOG(LOG_LEVEL_ERROR, "state: cannot roll back", log_err(&err));
}

/* -1: what ${ch} has done must be taken back, and with it the whole transaction. */
static int run_one(struct sql_writer *w, struct change *ch)
{
	int64_t before = state_sqlite_query_changes(w->conn);
	err_clear(&ch->err);
	ch->result = ch->fn(w->conn, ch->arg, &ch->err);
	if (!state_sqlite_query_in_transaction(w->conn)) {
		/* A full disk or a failing one makes SQLite give up the whole transaction. */
		if (ch->result != STATE_ERROR)
			err_set(&ch->err, ERR_IO, __func__, "the transaction was given up");
		ch->result = STATE_ERROR;
		return -1;
	}
	/*
	 * Savepoints would keep the others' work, but copy every page that is changed. A statement
	 * that fails leaves nothing, so that only what fails after its first has to be taken back.
	 */
	return ch->result == STATE_OK || state_sqlite_query_changes(w->conn) == before ? 0 : -1;
}

/* All of the batch in one transaction. -1: it was undone by one that is now marked as spoilt. */
static int run_batch_once(struct sql_writer *w, struct change *batch)
{
	struct err err = {0};
	if (command(w, SQL_BEGIN, &err)) {
		roll_back(w);
		fail_all(batch, &err);
		return 0;
	}
	for (struct change *ch = batch; ch; ch = ch->next) {
		if (!ch->spoilt && run_one(w, ch)) {
			ch->spoilt = true;
			roll_back(w);
			return -1;
		}
	}
	crash_point("state_before_commit");
	if (command(w, SQL_COMMIT, &err)) {
		roll_back(w);
		fail_all(batch, &err);
		return 0;
	}
	crash_point("state_after_commit");
	return 0;
}

static void wake_waiters(struct sql_writer *w, const struct change *batch)
{
	for (; batch; batch = batch->next) {
		if (batch->result != STATE_OK || !(batch->flags & SQL_WRITE_WAKES))
			continue;
		struct err err = {0};
		if (futimens(w->wake_fd, NULL)) {
			/* The change itself is made, and a waiter looks again when its time is
			 * over. */
			err_errno(&err, __func__, "cannot set the time of the wake file");
			LOG(LOG_LEVEL_WARN, "state: no wake-up", log_err(&err));
		}
		return;
	}
}

static void answer(struct change *batch)
{
	while (batch) {
		struct change *next = batch->next; /* gone with its thread's stack once answered */
		(void)sem_post(&batch->answered);  /* fails only beyond a count of 1 */
		batch = next;
	}
}

static struct change *next_batch(struct sql_writer *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->first && !w->stop)
		pthread_cond_wait(&w->work, &w->lock);
	struct change *batch = w->first;
	w->first = NULL;
	w->last = &w->first;
	pthread_mutex_unlock(&w->lock);
	return batch;
}

static void *writer_main(void *arg)
{
	struct sql_writer *w = arg;
	struct change *batch;

	while ((batch = next_batch(w)) != NULL) {
		while (run_batch_once(w, batch))
			continue; /* once more without the one that spoilt it */
		wake_waiters(w, batch);
		answer(batch);
		if (w->conn->wal_pages >= CHECKPOINT_PAGES) {
			struct err err = {0};
			if (state_sqlite_query_checkpoint(w->conn, &err))
				LOG(LOG_LEVEL_WARN, "state: checkpoint failed", log_err(&err));
		}
	}
	return NULL;
}

struct sql_writer *state_sqlite_writer_start(struct sql_conn *c, int wake_fd, struct err *err)
{
	struct sql_writer *w = mem_zalloc(sizeof(*w));
	w->conn = c;
	w->wake_fd = wake_fd;
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);

	int rc = thread_start(&w->thread, 0, writer_main, w);
	if (rc == 0)
		return w;
	errno = rc;
	err_errno(err, __func__, "cannot start the writer thread");
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

void state_sqlite_writer_stop(struct sql_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

enum state_result state_sqlite_writer_do(
	struct sql_writer *w, sql_write_fn *fn, void *arg, unsigned flags, struct err *err)
{
	struct change ch = {.fn = fn, .arg = arg, .flags = flags};
	(void)sem_init(&ch.answered, 0, 0); /* fails only for other values */
	pthread_mutex_lock(&w->lock);
	bool idle = !w->first;
	*w->last = &ch;
	/* The writer has taken it off the list before this function returns. */
	/* cppcheck-suppress autoVariables */
	w->last = &ch.next;
	pthread_mutex_unlock(&w->lock);
	/* Not before the unlock: the writer would wake up only to wait for the lock. */
	if (idle)
		pthread_cond_signal(&w->work);
	while (sem_wait(&ch.answered) != 0)
		; /* interrupted */
	(void)sem_destroy(&ch.answered);
	if (ch.result == STATE_ERROR && err)
		*err = ch.err;
	return ch.result;
}
