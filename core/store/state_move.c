/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/state_move.h"

#include "core/base/clock.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state.h"
#include "core/store/state_impl.h"

#include <stdlib.h>

#define BATCH 64
#define MARK_KEY "state/moving"

struct move {
	struct state *from;
	struct state *to;
	bool dry_run;
	struct state_move_counts *counts;
	struct state_move_row *rows;
	size_t nrows;
	struct outbox_message *messages; /* see move_put_messages; their strings are ours */
	size_t nmessages;
};

/* --- the destination --- */

static int found_row(void *arg, const struct state_move_row *row, struct err *err)
{
	(void)row;
	*(bool *)arg = true;
	return err_set(err, ERR_EXISTS, "state_move", "the destination is not empty");
}

static int found_message(void *arg, const struct outbox_message *m, struct err *err)
{
	(void)m;
	return found_row(arg, NULL, err);
}

/* Empty, or marked as one that a move has begun to fill. */
static int check_destination(struct move *m, struct err *err)
{
	struct state *to = m->to;
	struct buf mark;
	bool found = false;

	buf_init(&mark, 64);
	enum state_result r = state_kv_get(to, MARK_KEY, clock_now(), &mark, err);
	buf_free(&mark);
	if (r == STATE_OK)
		return 0;
	if (r == STATE_ERROR)
		return -1;
	if (to->backend->move_uploads(to, found_row, &found, err) < 0 ||
		to->backend->move_messages(to, found_message, &found, err) < 0)
		return -1;
	return 0;
}

/* --- uploads --- */

static void free_row(struct state_move_row *row)
{
	for (size_t i = 0; i < row->ndeliveries; i++)
		delivery_free(&row->deliveries[i]);
	free(row->deliveries);
	upload_free(&row->upload);
}

static int flush_rows(struct move *m, struct err *err)
{
	size_t added = 0;
	int rc = 0;

	if (!m->dry_run && m->nrows > 0)
		rc = m->to->backend->move_put_uploads(m->to, m->rows, m->nrows, &added, err);
	crash_point("state-moved");
	m->counts->present += m->dry_run ? 0 : m->nrows - added;
	for (size_t i = 0; i < m->nrows; i++) {
		m->counts->deliveries += m->rows[i].ndeliveries;
		free_row(&m->rows[i]);
	}
	m->counts->uploads += m->nrows;
	m->nrows = 0;
	return rc;
}

static char *dup_or_null(const char *s)
{
	return s ? mem_strdup(s) : NULL;
}

static int see_delivery(void *arg, const struct delivery *d)
{
	struct state_move_row *row = arg;

	row->deliveries =
		mem_array(row->deliveries, row->ndeliveries + 1, sizeof(*row->deliveries));
	struct delivery *copy = &row->deliveries[row->ndeliveries++];
	*copy = *d;
	copy->target = mem_strdup(d->target);
	copy->lease_owner = NULL;
	copy->lease_until = 0;
	copy->location = dup_or_null(d->location);
	copy->sha256 = dup_or_null(d->sha256);
	copy->issues = dup_or_null(d->issues);
	return 0;
}

static int see_row(void *arg, const struct state_move_row *row, struct err *err)
{
	struct move *m = arg;
	struct state_move_row *copy = &m->rows[m->nrows++];

	*copy = *row;
	copy->upload.metadata = dup_or_null(row->upload.metadata);
	copy->upload.manifest = dup_or_null(row->upload.manifest);
	copy->upload.concat = dup_or_null(row->upload.concat);
	copy->upload.token = dup_or_null(row->upload.token);
	copy->upload.owner = dup_or_null(row->upload.owner);
	copy->deliveries = NULL;
	copy->ndeliveries = 0;
	if (state_delivery_of_upload(m->from, copy->upload.id, see_delivery, copy, err) < 0)
		return -1;
	return m->nrows == BATCH ? flush_rows(m, err) : 0;
}

/* --- messages --- */

static void free_messages(struct move *m)
{
	for (size_t i = 0; i < m->nmessages; i++) {
		free((char *)(uintptr_t)m->messages[i].sink);
		free((char *)(uintptr_t)m->messages[i].name);
		free((char *)(uintptr_t)m->messages[i].data);
		free((char *)(uintptr_t)m->messages[i].reason);
	}
	m->nmessages = 0;
}

static int flush_messages(struct move *m, struct err *err)
{
	const struct outbox_list list = {m->messages, m->nmessages};
	size_t added = 0;
	int rc = 0;

	if (!m->dry_run && list.n > 0)
		rc = m->to->backend->move_put_messages(m->to, &list, &added, err);
	m->counts->messages += list.n;
	free_messages(m);
	return rc;
}

static int see_message(void *arg, const struct outbox_message *msg, struct err *err)
{
	struct move *m = arg;
	const struct outbox_message *first = m->messages;

	if (m->nmessages > 0 &&
		(!str_eq(first->upload_id, msg->upload_id) || !str_eq(first->sink, msg->sink) ||
			(first->parked_at > 0) != (msg->parked_at > 0)) &&
		flush_messages(m, err) < 0)
		return -1;
	m->messages = mem_array(m->messages, m->nmessages + 1, sizeof(*m->messages));
	struct outbox_message *copy = &m->messages[m->nmessages++];
	*copy = *msg;
	copy->sink = mem_strdup(msg->sink);
	copy->name = mem_strdup(msg->name);
	copy->data = mem_strdup(msg->data);
	copy->reason = dup_or_null(msg->reason);
	return 0;
}

int state_move(struct state *from, struct state *to, bool dry_run, struct state_move_counts *out,
	struct err *err)
{
	struct move m = {.from = from, .to = to, .dry_run = dry_run, .counts = out};
	int rc = -1;

	*out = (struct state_move_counts){0};
	m.rows = mem_array(NULL, BATCH, sizeof(*m.rows));
	if (to && check_destination(&m, err) < 0)
		goto out;
	if (!dry_run && state_kv_set(to, MARK_KEY, "1", 1, 0, err) < 0)
		goto out;
	if (from->backend->move_uploads(from, see_row, &m, err) < 0 || flush_rows(&m, err) < 0 ||
		from->backend->move_messages(from, see_message, &m, err) < 0 ||
		flush_messages(&m, err) < 0)
		goto out;
	/* One that has expired is none. */
	if (!dry_run && state_kv_set(to, MARK_KEY, "1", 1, 1, err) < 0)
		goto out;
	rc = 0;
out:
	for (size_t i = 0; i < m.nrows; i++)
		free_row(&m.rows[i]);
	free(m.rows);
	free_messages(&m);
	free(m.messages);
	return rc;
}
