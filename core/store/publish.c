/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/publish.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/publish_impl.h"

#include <stdlib.h>
#include <string.h>

struct publisher *publish_open(const struct publish_backend *backend, const char *name,
	const struct publish_place *place, struct err *err)
{
	struct publisher *p = backend->open(place, err);
	if (!p) {
		err_prefix(err, "%s", name);
		return NULL;
	}
	p->backend = backend;
	p->name = mem_strdup(name);
	return p;
}

void publish_close(struct publisher *p)
{
	if (!p)
		return;
	char *name = p->name;
	p->backend->close(p);
	free(name);
}

const char *publish_name(const struct publisher *p)
{
	return p->name;
}

bool publish_is_local(const struct publisher *p)
{
	return p->backend->local;
}

/* Actions and event types become file names and message properties. */
static bool name_valid(const char *name)
{
	if (!name || !*name)
		return false;
	for (; *name; name++) {
		bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
		if (!letter && !(*name >= '0' && *name <= '9') && *name != '-' && *name != '_')
			return false;
	}
	return true;
}

static int check(const struct publisher *p, const struct publish_message *m, struct err *err)
{
	if (!str_is_uuid(m->upload_id) || !name_valid(m->name))
		return err_set(
			err, ERR_INVALID, __func__, "%s: no valid upload id and name", p->name);
	if (m->len == 0 || memchr(m->data, '\n', m->len))
		return err_set(
			err, ERR_INVALID, __func__, "%s: a message is one line of text", p->name);
	return 0;
}

/* ${since}: clock_mono_ms(). */
static void tell(const struct publisher *p, const struct publish_message *m, size_t n,
	int64_t since, const struct err *err)
{
	LOG(LOG_LEVEL_DEBUG, "publish", log_str("sink", p->name), log_str("name", m->name),
		log_str("upload_id", m->upload_id), log_int("messages", (int64_t)n),
		log_int("ms", clock_mono_ms() - since),
		err ? log_err(err) : log_str("error", NULL));
}

int publish_send(struct publisher *p, const struct publish_message *m, bool repeat, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	if (check(p, m, err) < 0)
		return -1;
	bool logged = log_enabled(LOG_LEVEL_DEBUG);
	int64_t since = logged ? clock_mono_ms() : 0;
	int rc = p->backend->send(p, m, repeat, err);
	if (rc < 0)
		err_prefix(err, "%s", p->name);
	if (logged)
		tell(p, m, 1, since, rc < 0 ? err : NULL);
	return rc;
}

bool publish_can_batch(const struct publisher *p)
{
	return p->backend->send_many != NULL;
}

int publish_send_many(struct publisher *p, const struct publish_message *m, size_t n, size_t *sent,
	struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	for (size_t i = 0; i < n; i++) {
		if (check(p, &m[i], err) < 0)
			return -1;
	}
	bool logged = log_enabled(LOG_LEVEL_DEBUG);
	int64_t since = logged ? clock_mono_ms() : 0;
	int rc = p->backend->send_many(p, m, n, sent, err);
	if (rc < 0)
		err_prefix(err, "%s", p->name);
	if (logged)
		tell(p, m, rc < 0 ? n : *sent, since, rc < 0 ? err : NULL);
	return rc;
}

bool publish_refused(const struct err *err)
{
	return err->code == ERR_INVALID || err->code == ERR_TOO_LARGE;
}

int publish_probe(struct publisher *p, struct err *err)
{
	struct err scratch;
	if (!err)
		err = &scratch;
	int rc = p->backend->probe(p, err);
	if (rc < 0)
		err_prefix(err, "%s", p->name);
	return rc;
}
