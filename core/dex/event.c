/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dex/event.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/str.h"
#include "core/dex/delivery.h"
#include "core/store/state.h"

#include <string.h>

int event_ready_parse(const char *data, size_t len, struct event_ready *out, struct err *err)
{
	json_t *event = json_parse(data, len, err);
	int rc = -1;

	memset(out, 0, sizeof(*out));
	if (!event)
		return -1;
	const char *type = json_get_str(event, "type");
	const char *id = json_get_str(event, "upload_id");
	const char *target = json_get_str(event, "deliver_target");
	if (!type || !str_eq(type, "FileReady"))
		err_set(err, ERR_INVALID, __func__, "its type is not FileReady");
	else if (!id || !str_is_uuid(id))
		err_set(err, ERR_INVALID, __func__, "its upload_id is not the id of an upload");
	else if (!target || !*target || str_has_control(target, strlen(target)) ||
		 !str_copy(out->target, sizeof(out->target), target))
		err_set(err, ERR_INVALID, __func__,
			"its deliver_target is not the name of a target");
	else if (str_copy(out->upload_id, sizeof(out->upload_id), id))
		rc = 0;
	json_decref(event);
	return rc;
}

struct search {
	const char *target;
	bool found;
	enum delivery_status status;
};

static int find_target(void *arg, const struct delivery *d)
{
	struct search *s = arg;

	if (!str_eq(d->target, s->target))
		return 0;
	s->found = true;
	s->status = d->status;
	return -1;
}

enum event_task event_ready_task(struct app *a, const struct event_ready *e, struct err *err)
{
	struct search s = {.target = e->target};
	struct upload u = {0};

	if (state_delivery_of_upload(a->state, e->upload_id, find_target, &s, err) < 0)
		return EVENT_ERROR;
	if (s.found)
		return s.status == DELIVERY_PENDING ? EVENT_DELIVER : EVENT_DONE;
	enum state_result res = state_upload_get(a->state, e->upload_id, &u, err);
	if (res == STATE_NOT_FOUND)
		err_set(err, ERR_NOT_FOUND, __func__, "there is no upload %s", e->upload_id);
	else if (res == STATE_OK)
		res = delivery_queue(a, &u, e->target, err);
	upload_free(&u);
	if (res == STATE_ERROR)
		return EVENT_ERROR;
	return res == STATE_OK ? EVENT_DELIVER : EVENT_REFUSED;
}
