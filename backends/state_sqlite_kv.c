/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/state_sqlite.h"

#include "core/base/buf.h"
#include "core/base/err.h"

int state_sqlite_kv_counts(struct state *s, int64_t now, struct state_counts *out, struct err *err)
{
	struct sql_conn *c = state_sqlite_borrow(s, err);
	if (!c)
		return -1;
	struct sql_query q;
	state_sqlite_query_start(&q, c, SQL_COUNTS, SQL_ARGS(sql_int(now)), err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0) {
		out->open_uploads = state_sqlite_query_int(&q, 0);
		out->pending_deliveries = state_sqlite_query_int(&q, 1);
		out->failed_deliveries = state_sqlite_query_int(&q, 2);
		out->late_messages = state_sqlite_query_int(&q, 3);
		out->parked_messages = state_sqlite_query_int(&q, 4);
	}
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	return rc < 0 ? -1 : 0;
}

enum state_result state_sqlite_kv_get(
	struct state *s, const char *key, int64_t now, struct buf *out, struct err *err)
{
	struct sql_conn *c = state_sqlite_borrow(s, err);
	if (!c)
		return STATE_ERROR;
	struct sql_query q;
	enum state_result result = STATE_NOT_FOUND;
	state_sqlite_query_start(&q, c, SQL_KV_GET, SQL_ARGS(sql_text(key), sql_int(now)), err);
	int rc = state_sqlite_query_step(&q, err);
	if (rc > 0) {
		size_t len;
		const void *data = state_sqlite_query_blob(&q, 0, &len);
		result = STATE_OK;
		if (len > 0 && buf_add(out, data, len)) {
			err_set(err, ERR_TOO_LARGE, __func__, "the value of %s has %zu bytes", key,
				len);
			result = STATE_ERROR;
		}
	}
	state_sqlite_query_end(&q);
	state_sqlite_give_back(s, c);
	return rc < 0 ? STATE_ERROR : result;
}

struct put_args {
	const char *key;
	const char *value;
	size_t len;
	bool only_if_absent;
	int64_t now;
	int64_t expires_at;
};

static enum state_result put_write(struct sql_conn *c, void *arg, struct err *err)
{
	const struct put_args *a = arg;
	struct sql_value key = sql_text(a->key);
	struct sql_value value = sql_blob(a->value, a->len);
	struct sql_value expires = sql_int(a->expires_at);
	int n;
	if (a->only_if_absent)
		n = state_sqlite_query_run(
			c, SQL_KV_ADD, SQL_ARGS(key, value, expires, sql_int(a->now)), err);
	else
		n = state_sqlite_query_run(c, SQL_KV_SET, SQL_ARGS(key, value, expires), err);
	if (n < 0)
		return STATE_ERROR;
	if (n == 0)
		return STATE_CONFLICT;
	/* Whoever adds takes some of the expired ones away: the table stays as small as its use. */
	n = state_sqlite_query_run(c, SQL_KV_SWEEP, SQL_ARGS(sql_int(a->now)), err);
	return n < 0 ? STATE_ERROR : STATE_OK;
}

enum state_result state_sqlite_kv_put(struct state *s, const char *key, const char *value,
	size_t len, bool only_if_absent, int64_t now, int64_t expires_at, struct err *err)
{
	/* An empty value is a value, NULL would be none. */
	struct put_args a = {key, value ? value : "", len, only_if_absent, now, expires_at};
	return state_sqlite_write(s, put_write, &a, 0, err);
}
