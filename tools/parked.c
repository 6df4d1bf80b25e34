/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/parked.h"

#include "core/app.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/store/state.h"
#include "tools/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_MAX ((size_t)1 << 16)

/* Gathered first, so that nothing is changed under the reader's feet. */
struct gathered {
	const char *verb;
	bool quiet;
	int64_t *ids;
	size_t n, cap;
};

static int gather(void *arg, const struct outbox_message *m)
{
	struct gathered *g = arg;
	if (g->n == g->cap) {
		g->cap = g->cap ? 2 * g->cap : 64;
		g->ids = mem_array(g->ids, g->cap, sizeof(*g->ids));
	}
	g->ids[g->n++] = m->id;
	if (!g->quiet)
		printf("%s %s of %s to %s: %s\n", g->verb, m->name, m->upload_id, m->sink,
			m->reason ? m->reason : "-");
	return 0;
}

static int change(struct app *a, enum parked_act act, int64_t id, struct err *err)
{
	if (act == PARKED_SEND_AGAIN)
		return state_outbox_unpark(a->state, id, clock_now(), err);
	LOG(LOG_LEVEL_INFO, "parked message dropped", log_int("id", id));
	return state_outbox_sent(a->state, &id, 1, err);
}

int parked_do(struct app *a, enum parked_act act, const char *upload_id, bool dry_run, bool quiet,
	struct err *err)
{
	static const char *const verbs[2][2] = {
		[PARKED_SEND_AGAIN] = {"queued again", "would send again"},
		[PARKED_DROP] = {"dropped", "would drop"},
	};
	struct gathered g = {.verb = verbs[act][dry_run], .quiet = quiet};
	int rc = state_outbox_parked(a->state, upload_id, gather, &g, err);
	for (size_t i = 0; !dry_run && rc == 0 && i < g.n; i++)
		rc = change(a, act, g.ids[i], err);
	free(g.ids);
	return rc;
}

struct rows {
	bool json;
	size_t before;
	size_t limit;
	int n;
};

static int print_object(const struct rows *r, const struct outbox_message *m)
{
	char at[CLOCK_RFC3339_SIZE];
	struct buf text;
	json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "upload_id", m->upload_id,
		"sink", m->sink, "message", m->name, "state", "parked", "attempts", m->attempt,
		"parked_at", clock_rfc3339(at, m->parked_at), "reason", m->reason ? m->reason : "");
	buf_init(&text, ROW_MAX);
	int rc = row ? json_write(&text, row) : -1;
	if (rc == 0)
		printf("%s%s", r->before == 0 && r->n == 0 ? "[\n" : ",\n", buf_str(&text));
	buf_free(&text);
	json_decref(row);
	return rc;
}

static int print_one(void *arg, const struct outbox_message *m)
{
	struct rows *r = arg;
	char at[HUMAN_SIZE];
	if (r->limit > 0 && r->before + (size_t)r->n >= r->limit)
		return -1;
	if (r->json) {
		r->n += print_object(r, m) == 0;
		return 0;
	}
	if (r->n++ == 0)
		printf("%s%-36s  %-12s  %-17s  %8s  %-20s  %s\n", r->before > 0 ? "\n" : "",
			"PARKED MESSAGE OF", "SINK", "MESSAGE", "ATTEMPTS", "PARKED", "REASON");
	printf("%-36s  %-12s  %-17s  %8d  %-20s  %s\n", m->upload_id, m->sink, m->name, m->attempt,
		human_time(at, m->parked_at), m->reason ? m->reason : "-");
	return 0;
}

int parked_list(
	struct app *a, const char *upload_id, bool json, size_t n, size_t limit, struct err *err)
{
	struct rows r = {.json = json, .before = n, .limit = limit};
	return state_outbox_parked(a->state, upload_id, print_one, &r, err) < 0 ? -1 : r.n;
}
