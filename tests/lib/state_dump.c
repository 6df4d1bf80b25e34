/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/state_dump.h"

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/state_impl.h"
#include "tests/lib/state_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DUMP_MAX ((size_t)1 << 20)

struct dump {
	struct state *s;
	char **lines;
	size_t n;
	struct buf line;
};

static void add_field(struct dump *d, const char *name, const char *value)
{
	/* An empty text and none are not the same. */
	assert_int_equal(buf_printf(&d->line, " %s=%s%s%s", name, value ? "\"" : "",
				 value ? value : "NULL", value ? "\"" : ""),
		0);
}

static void add_int(struct dump *d, const char *name, int64_t value)
{
	assert_int_equal(buf_printf(&d->line, " %s=%lld", name, (long long)value), 0);
}

static void end_line(struct dump *d)
{
	d->lines = mem_array(d->lines, d->n + 1, sizeof(*d->lines));
	d->lines[d->n++] = mem_strdup(buf_str(&d->line));
	buf_reset(&d->line);
}

static int dump_delivery(void *arg, const struct delivery *x)
{
	struct dump *d = arg;
	add_field(d, "\n\tdelivery", x->target);
	add_int(d, "status", x->status);
	add_int(d, "attempt", x->attempt);
	add_int(d, "due", x->due_at);
	add_int(d, "queued", x->queued_at);
	add_int(d, "ended", x->ended_at);
	add_field(d, "location", x->location);
	add_field(d, "sha256", x->sha256);
	add_field(d, "issues", x->issues);
	return 0;
}

static int dump_row(void *arg, const struct state_move_row *row, struct err *err)
{
	struct dump *d = arg;
	const struct upload *u = &row->upload;
	assert_int_equal(row->ndeliveries, 0);
	add_field(d, "upload", u->id);
	add_int(d, "kind", u->kind);
	add_int(d, "status", u->status);
	add_int(d, "length", u->length);
	add_int(d, "offset", u->offset);
	add_int(d, "beyond", u->beyond);
	add_int(d, "created", u->created_at);
	add_int(d, "touched", u->touched_at);
	add_int(d, "completed", u->completed_at);
	add_int(d, "delivered", row->delivered_at);
	add_int(d, "ended", row->ended_at);
	add_int(d, "removable", row->removable);
	add_field(d, "metadata", u->metadata);
	add_field(d, "manifest", u->manifest);
	add_field(d, "concat", u->concat);
	add_field(d, "token", u->token);
	add_field(d, "owner", u->owner);
	if (state_delivery_of_upload(d->s, u->id, dump_delivery, d, err) < 0)
		return -1;
	end_line(d);
	return 0;
}

static int dump_message(void *arg, const struct outbox_message *m, struct err *err)
{
	struct dump *d = arg;
	(void)err;
	/* The order within an upload and sink is part of what is kept. */
	add_field(d, "message", m->upload_id);
	add_field(d, "sink", m->sink);
	add_int(d, "parked", m->parked_at);
	add_field(d, "reason", m->reason);
	size_t group = d->line.len;
	add_field(d, "name", m->name);
	add_int(d, "replace", m->replace);
	add_field(d, "data", m->data);
	add_int(d, "due", m->due_at);
	add_int(d, "attempt", m->attempt);
	const char *last = d->n > 0 ? d->lines[d->n - 1] : "";
	if (strncmp(last, buf_str(&d->line), group) == 0) {
		/* One line for all of a group. */
		struct buf joined;
		buf_init(&joined, DUMP_MAX);
		assert_int_equal(buf_printf(&joined, "%s\n%s", last, buf_str(&d->line)), 0);
		free(d->lines[d->n - 1]);
		d->lines[d->n - 1] = mem_strdup(buf_str(&joined));
		buf_free(&joined);
		buf_reset(&d->line);
		return 0;
	}
	end_line(d);
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *state_dump(struct state *s)
{
	struct dump d = {.s = s};
	struct buf all;
	struct err err = {0};
	buf_init(&d.line, DUMP_MAX);
	buf_init(&all, DUMP_MAX);
	if (s->backend->move_uploads(s, dump_row, &d, &err) < 0 ||
		s->backend->move_messages(s, dump_message, &d, &err) < 0)
		state_world_die("cannot walk the store", &err);
	if (d.n > 0)
		qsort(d.lines, d.n, sizeof(*d.lines), by_text);
	for (size_t i = 0; i < d.n; i++) {
		if (i + 1 == d.n || !str_eq(d.lines[i], d.lines[i + 1]))
			assert_int_equal(buf_printf(&all, "%s\n", d.lines[i]), 0);
	}
	for (size_t i = 0; i < d.n; i++)
		free(d.lines[i]);
	free(d.lines);
	buf_free(&d.line);
	char *text = mem_strdup(buf_str(&all));
	buf_free(&all);
	return text;
}
