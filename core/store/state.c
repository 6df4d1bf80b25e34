/* SPDX-License-Identifier: Apache-2.0 */
#include "core/store/state.h"

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/store/state_impl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Every call ends here: one place for the debug line and for what an error is called. */
static int end(
	const struct state *s, const char *op, const char *about, int result, struct err *err)
{
	if (result == STATE_ERROR && err)
		err_prefix(err, "state (%s)", s->backend->type);
	if (log_enabled(LOG_LEVEL_DEBUG))
		LOG(LOG_LEVEL_DEBUG, "state", log_str("op", op), log_str("about", about),
			log_int("result", result));
	return result;
}

static enum state_result end_result(const struct state *s, const char *op, const char *about,
	enum state_result r, struct err *err)
{
	return (enum state_result)end(s, op, about, (int)r, err);
}

static bool time_ok(int64_t t)
{
	return t >= 0;
}

static int bad(struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, "state", "%s", what);
}

static int check_id(const char *id, struct err *err)
{
	return id && str_is_uuid(id) ? 0 : bad(err, "not an upload id");
}

static int check_msgs(const struct outbox_list *msgs, struct err *err)
{
	for (size_t i = 0; msgs && i < msgs->n; i++) {
		const struct outbox_message *m = &msgs->items[i];
		if (!m->sink || !*m->sink || !m->name || !m->data || !time_ok(m->due_at))
			return bad(err, "a message without sink, name or data");
	}
	return 0;
}

static int check_lease(const char *owner, int64_t now, int64_t lease_ms, struct err *err)
{
	if (!owner || !*owner)
		return bad(err, "a lease without owner");
	if (!time_ok(now) || lease_ms < 0 || lease_ms > (INT64_MAX - now) / CLOCK_US_PER_MS)
		return bad(err, "a lease's time is out of range");
	return 0;
}

static int check_change(const struct upload_change *c, struct err *err)
{
	if (check_id(c->id, err))
		return -1;
	if (c->from < 0 || c->to < 0 || c->length < UPLOAD_LENGTH_UNKNOWN || !time_ok(c->now))
		return bad(err, "an offset, length or time is negative");
	if (c->length >= 0 && c->to > c->length)
		return bad(err, "an offset is beyond the length");
	if (c->fence > INT64_MAX)
		return bad(err, "a fencing token is out of range");
	return 0;
}

static bool is_sha256(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static int check_targets(const char *const *targets, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!targets[i] || !*targets[i])
			return bad(err, "a delivery without target");
		for (size_t j = 0; j < i; j++) {
			if (str_eq(targets[i], targets[j]))
				return bad(err, "a target is named twice");
		}
	}
	return 0;
}

void upload_free(struct upload *u)
{
	free(u->metadata);
	free(u->manifest);
	free(u->concat);
	free(u->token);
	free(u->owner);
	u->metadata = u->manifest = u->concat = u->token = u->owner = NULL;
}

void delivery_free(struct delivery *d)
{
	free(d->target);
	free(d->lease_owner);
	free(d->location);
	free(d->sha256);
	free(d->issues);
	d->target = d->lease_owner = d->location = d->sha256 = d->issues = NULL;
}

struct state *state_open(
	const struct state_backend *backend, const char *where, bool durable, struct err *err)
{
	struct state *s = NULL;
	if (where && *where)
		s = backend->open(where, durable, err);
	else
		bad(err, "no place is given");
	if (s)
		s->backend = backend;
	else if (err)
		err_prefix(err, "state (%s)", backend->type);
	return s;
}

void state_close(struct state *s)
{
	if (s)
		s->backend->close(s);
}

const char *state_type(const struct state *s)
{
	return s->backend->type;
}

int state_probe(struct state *s, struct err *err)
{
	return end(s, "probe", NULL, s->backend->probe(s, err), err);
}

int state_warnings(struct state *s, struct buf *out, struct err *err)
{
	int rc = s->backend->warnings ? s->backend->warnings(s, out, err) : 0;
	return end(s, "warnings", NULL, rc, err);
}

int state_upload_create(struct state *s, const struct upload *u, const struct upload_limits *limits,
	const struct outbox_list *msgs, struct err *err)
{
	static const struct upload_limits none = {0, 0};
	int rc = check_id(u->id, err);
	if (rc == 0 && (u->length < UPLOAD_LENGTH_UNKNOWN || !time_ok(u->created_at)))
		rc = bad(err, "a length or time is negative");
	if (rc == 0)
		rc = check_msgs(msgs, err);
	if (rc == 0)
		rc = s->backend->upload_create(s, u, limits ? limits : &none, msgs, err);
	return end(s, "upload_create", u->id, rc, err);
}

enum state_result state_upload_get(
	struct state *s, const char *id, struct upload *out, struct err *err)
{
	*out = (struct upload){0};
	enum state_result r = STATE_NOT_FOUND; /* what is no id is the id of nothing */
	if (id && str_is_uuid(id))
		r = s->backend->upload_get(s, id, out, err);
	return end_result(s, "upload_get", id, r, err);
}

enum state_result state_upload_advance(
	struct state *s, const struct upload_change *c, struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (check_change(c, err) == 0 && check_msgs(c->msgs, err) == 0)
		r = s->backend->upload_change(s, c, false, NULL, 0, c->msgs, err);
	return end_result(s, "upload_advance", c->id, r, err);
}

enum state_result state_upload_complete(struct state *s, const struct upload_change *c,
	const char *const *targets, size_t ntargets, const struct outbox_list *msgs,
	struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (check_change(c, err) == 0 && check_targets(targets, ntargets, err) == 0 &&
		check_msgs(msgs, err) == 0)
		r = s->backend->upload_change(s, c, true, targets, ntargets, msgs, err);
	return end_result(s, "upload_complete", c->id, r, err);
}

enum state_result state_upload_end(struct state *s, const char *id, enum upload_status status,
	int64_t touched_before, int64_t now, const struct outbox_list *msgs, struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (status != UPLOAD_EXPIRED && status != UPLOAD_TERMINATED && status != UPLOAD_RETIRED)
		bad(err, "not the status of a tombstone");
	else if (check_id(id, err) == 0 && check_msgs(msgs, err) == 0)
		r = s->backend->upload_end(s, id, status, touched_before, now, msgs, err);
	return end_result(s, "upload_end", id, r, err);
}

int state_upload_removed(struct state *s, const char *id, struct err *err)
{
	int rc = check_id(id, err);
	if (rc == 0)
		rc = s->backend->upload_removed(s, id, err);
	return end(s, "upload_removed", id, rc, err);
}

int state_upload_purge(struct state *s, int64_t before, int limit, int *purged_out, struct err *err)
{
	*purged_out = 0;
	int rc = limit <= 0 ? 0 : s->backend->upload_purge(s, before, limit, purged_out, err);
	return end(s, "upload_purge", NULL, rc, err);
}

int state_upload_scan_stale(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	int rc = max <= 0 ? 0 : s->backend->upload_scan_stale(s, cutoff, ids, max, err);
	return end(s, "upload_scan_stale", NULL, rc, err);
}

int state_upload_scan_delivered(
	struct state *s, int64_t cutoff, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	int rc = max <= 0 ? 0 : s->backend->upload_scan_delivered(s, cutoff, ids, max, err);
	return end(s, "upload_scan_delivered", NULL, rc, err);
}

int state_upload_scan_removable(struct state *s, char (*ids)[UUID_SIZE], int max, struct err *err)
{
	int rc = max <= 0 ? 0 : s->backend->upload_scan_removable(s, ids, max, err);
	return end(s, "upload_scan_removable", NULL, rc, err);
}

int state_upload_scan_times(struct state *s, const struct upload_mark *after, int64_t until,
	struct upload_mark *marks, int max, struct err *err)
{
	int rc = 0;
	if (after->id[0] && check_id(after->id, err))
		rc = -1;
	else if (max > 0 && after->at < until)
		rc = s->backend->upload_scan_times(s, after, until, marks, max, err);
	return end(s, "upload_scan_times", after->id, rc, err);
}

enum state_result state_delivery_lease(struct state *s, const struct delivery_filter *f,
	const char *owner, int64_t now, int64_t lease_ms, struct delivery *out, struct err *err)
{
	enum state_result r = STATE_ERROR;
	*out = (struct delivery){0};
	if (check_lease(owner, now, lease_ms, err) == 0)
		r = s->backend->delivery_lease(s, f, owner, now, lease_ms, out, err);
	return end_result(s, "delivery_lease", r == STATE_OK ? out->upload_id : NULL, r, err);
}

enum state_result state_delivery_renew(struct state *s, int64_t id, const char *owner, int64_t now,
	int64_t lease_ms, struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (check_lease(owner, now, lease_ms, err) == 0)
		r = s->backend->delivery_renew(s, id, owner, now, lease_ms, err);
	return end_result(s, "delivery_renew", owner, r, err);
}

enum state_result state_delivery_end(struct state *s, const struct delivery_end *e,
	const struct outbox_list *msgs, struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (!e->owner || !*e->owner)
		bad(err, "a lease without owner");
	else if (e->status != DELIVERY_DONE && e->status != DELIVERY_FAILED &&
		 e->status != DELIVERY_PENDING)
		bad(err, "not the status of a delivery");
	else if (!time_ok(e->now) || !time_ok(e->due_at))
		bad(err, "a time is negative");
	else if (e->sha256 && !is_sha256(e->sha256))
		bad(err, "not a checksum");
	else if (check_msgs(msgs, err) == 0)
		r = s->backend->delivery_end(s, e, msgs, err);
	return end_result(s, "delivery_end", e->owner, r, err);
}

enum state_result state_delivery_queue(struct state *s, const char *upload_id, const char *target,
	int64_t now, const struct outbox_list *msgs, struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (check_id(upload_id, err) == 0 && check_targets(&target, 1, err) == 0 &&
		check_msgs(msgs, err) == 0)
		r = s->backend->delivery_queue(s, upload_id, target, now, msgs, err);
	return end_result(s, "delivery_queue", upload_id, r, err);
}

int state_delivery_of_upload(
	struct state *s, const char *upload_id, state_delivery_fn *fn, void *arg, struct err *err)
{
	int rc = check_id(upload_id, err);
	if (rc == 0)
		rc = s->backend->delivery_of_upload(s, upload_id, fn, arg, err);
	return end(s, "delivery_of_upload", upload_id, rc, err);
}

int state_delivery_unfinished(struct state *s, const struct delivery_filter *f,
	state_delivery_fn *fn, void *arg, struct err *err)
{
	int rc = s->backend->delivery_unfinished(s, f, fn, arg, err);
	return end(s, "delivery_unfinished", f ? f->upload_id : NULL, rc, err);
}

int state_wait(struct state *s, int64_t timeout_ms, int stop_fd, struct err *err)
{
	int rc = s->backend->wait(s, timeout_ms < 0 ? 0 : timeout_ms, stop_fd, err);
	return end(s, "wait", NULL, rc, err);
}

int state_outbox_add(struct state *s, const struct outbox_list *msgs, struct err *err)
{
	int rc = check_msgs(msgs, err);
	if (rc == 0 && msgs && msgs->n > 0)
		rc = s->backend->outbox_add(s, msgs, err);
	return end(s, "outbox_add", NULL, rc, err);
}

int state_outbox_take(struct state *s, const char *sink, int64_t now, int64_t lease_ms, int max,
	state_outbox_fn *fn, void *arg, struct err *err)
{
	int rc = check_lease(sink, now, lease_ms, err);
	if (rc == 0 && max > 0)
		rc = s->backend->outbox_take(s, sink, now, lease_ms, max, fn, arg, err);
	return end(s, "outbox_take", sink, rc, err);
}

int state_outbox_sent(struct state *s, const int64_t *ids, size_t n, struct err *err)
{
	int rc = n == 0 ? 0 : s->backend->outbox_sent(s, ids, n, err);
	return end(s, "outbox_sent", NULL, rc, err);
}

int state_outbox_retry(struct state *s, int64_t id, int64_t due_at, struct err *err)
{
	return end(s, "outbox_retry", NULL, s->backend->outbox_retry(s, id, due_at, err), err);
}

int state_outbox_park(struct state *s, int64_t id, const char *reason, int64_t now, struct err *err)
{
	int rc;
	if (now <= 0)
		rc = bad(err, "a time is missing");
	else
		rc = s->backend->outbox_park(s, id, reason, now, err);
	return end(s, "outbox_park", NULL, rc, err);
}

int state_outbox_unpark(struct state *s, int64_t id, int64_t now, struct err *err)
{
	return end(s, "outbox_unpark", NULL, s->backend->outbox_unpark(s, id, now, err), err);
}

int state_outbox_parked(
	struct state *s, const char *upload_id, state_outbox_fn *fn, void *arg, struct err *err)
{
	int rc = upload_id ? check_id(upload_id, err) : 0;
	if (rc == 0)
		rc = s->backend->outbox_parked(s, upload_id, fn, arg, err);
	return end(s, "outbox_parked", upload_id, rc, err);
}

int state_counts(struct state *s, int64_t now, struct state_counts *out, struct err *err)
{
	*out = (struct state_counts){0};
	return end(s, "counts", NULL, s->backend->counts(s, now, out, err), err);
}

static int check_key(const char *key, const char *value, size_t len, struct err *err)
{
	if (!key || !*key)
		return bad(err, "a value without key");
	return value || len == 0 ? 0 : bad(err, "no value");
}

enum state_result state_kv_get(
	struct state *s, const char *key, int64_t now, struct buf *out, struct err *err)
{
	enum state_result r = STATE_ERROR;
	buf_reset(out);
	if (check_key(key, NULL, 0, err) == 0)
		r = s->backend->kv_get(s, key, now, out, err);
	return end_result(s, "kv_get", key, r, err);
}

int state_kv_set(struct state *s, const char *key, const char *value, size_t len,
	int64_t expires_at, struct err *err)
{
	int rc = check_key(key, value, len, err);
	if (rc == 0)
		rc = (int)s->backend->kv_put(
			s, key, value, len, false, clock_now(), expires_at, err);
	return end(s, "kv_set", key, rc, err);
}

enum state_result state_kv_add(struct state *s, const char *key, const char *value, size_t len,
	int64_t now, int64_t expires_at, struct err *err)
{
	enum state_result r = STATE_ERROR;
	if (check_key(key, value, len, err) == 0)
		r = s->backend->kv_put(s, key, value, len, true, now, expires_at, err);
	return end_result(s, "kv_add", key, r, err);
}
