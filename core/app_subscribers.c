/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app_subscribers.h"

#include "core/base/err.h"
#include "core/store/subscribe.h"
#include "core/store/subscribe_impl.h"

static const char *setting(void *arg, const char *variable)
{
	return config_in_force(arg, variable);
}

/* NULL with ${err} empty: its variable is not set. */
static struct subscriber *open_one(
	const struct config *c, const struct subscribe_backend *b, struct err *err)
{
	struct subscribe_place place = {
		.where = config_in_force(c, b->env),
		.setting = setting,
		.arg = (void *)(uintptr_t)c, /* only read */
	};

	err_clear(err);
	if (!place.where || !*place.where)
		return NULL;
	return subscribe_open(b, b->type, &place, err);
}

int app_subscribers_open(const struct config *c, const struct app_backends *b,
	struct app_subscribers *out, struct err *err)
{
	for (size_t i = 0; b->subscribe[i]; i++) {
		struct subscriber *s = open_one(c, b->subscribe[i], err);
		if (!s && err->code != ERR_NONE)
			return -1;
		if (s && out->n == APP_SUBSCRIBERS_MAX) {
			subscribe_close(s);
			return err_set(err, ERR_INVALID, __func__, "too many buses are set");
		}
		if (s)
			out->items[out->n++] = s;
	}
	return 0;
}

void app_subscribers_close(struct app_subscribers *s)
{
	for (size_t i = 0; i < s->n; i++)
		subscribe_close(s->items[i]);
	s->n = 0;
}

void app_subscribers_check(
	const struct config *c, const struct app_backends *b, struct buf *problems)
{
	for (size_t i = 0; b->subscribe[i]; i++) {
		struct err err;
		struct subscriber *s = open_one(c, b->subscribe[i], &err);
		if (!s && err.code != ERR_NONE)
			(void)buf_printf(problems, "%s\n", err.text);
		subscribe_close(s);
	}
}
