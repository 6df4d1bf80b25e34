/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app_sinks.h"

#include "core/base/err.h"
#include "core/store/publish.h"
#include "core/store/publish_impl.h"

#include <stdio.h>

#define NAME_MAX_BYTES 64

static const char *setting(void *arg, const char *variable)
{
	return config_in_force(arg, variable);
}

static const char *set_variable(const struct config *c, const char *name)
{
	const char *value = name ? config_in_force(c, name) : NULL;

	return value && *value ? value : NULL;
}

static int add(struct notify *n, enum notify_kind kind, struct publisher *p)
{
	if (!p)
		return -1;
	n->sinks[n->n++] = (struct notify_sink){.kind = kind, .publisher = p};
	return 0;
}

static const char *env_of(const struct publish_backend *b, enum notify_kind kind)
{
	return kind == NOTIFY_EVENT ? b->events_env : b->reports_env;
}

/* The publisher that a bus's variable asks for; NULL with ${err} empty: it is not set. */
static struct publisher *open_bus(const struct config *c, const struct publish_backend *b,
	enum notify_kind kind, struct err *err)
{
	const char *variable = env_of(b, kind);
	char name[NAME_MAX_BYTES];
	struct publish_place place = {
		.where = set_variable(c, variable),
		.events = kind == NOTIFY_EVENT,
		.setting = setting,
		.arg = (void *)(uintptr_t)c, /* only read */
	};

	err_clear(err);
	if (!place.where)
		return NULL;
	(void)snprintf(name, sizeof(name), "%s-%s", place.events ? "events" : "reports", b->type);
	struct publisher *p = publish_open(b, name, &place, err);
	if (!p)
		err_prefix(err, "%s", variable);
	return p;
}

static int open_folder(const struct app_backends *b, struct notify *n, enum notify_kind kind,
	const char *variable, const char *folder, struct err *err)
{
	struct publish_place place = {.where = folder, .events = kind == NOTIFY_EVENT};
	const char *name = place.events ? "events" : "reports";

	if (add(n, kind, publish_open(b->publish[0], name, &place, err)) < 0)
		return err_prefix(err, "%s=%s", variable, folder);
	return 0;
}

int app_sinks_open(
	const struct config *c, const struct app_backends *b, struct notify *n, struct err *err)
{
	bool bus_for_events = false;

	n->max_retry = c->max_retry;
	for (size_t i = 0; b->publish[i]; i++) {
		for (enum notify_kind kind = NOTIFY_REPORT; kind <= NOTIFY_EVENT; kind++) {
			struct publisher *p = open_bus(c, b->publish[i], kind, err);
			if (!p && err->code != ERR_NONE)
				return -1;
			if (p && add(n, kind, p) == 0)
				bus_for_events = bus_for_events || kind == NOTIFY_EVENT;
		}
	}
	if (open_folder(b, n, NOTIFY_REPORT, "LOCAL_REPORTS_FOLDER", c->reports_folder, err) < 0 ||
		open_folder(b, n, NOTIFY_EVENT, "LOCAL_EVENTS_FOLDER", c->events_folder, err) < 0)
		return -1;
	/* What was written for the folder before there was a bus still goes there. */
	n->sinks[n->n - 1].retired = bus_for_events;
	return 0;
}

void app_sinks_check(const struct config *c, const struct app_backends *b, struct buf *problems)
{
	for (size_t i = 0; b->publish[i]; i++) {
		for (enum notify_kind kind = NOTIFY_REPORT; kind <= NOTIFY_EVENT; kind++) {
			struct err err;
			struct publisher *p = open_bus(c, b->publish[i], kind, &err);
			if (!p && err.code != ERR_NONE)
				(void)buf_printf(problems, "%s\n", err.text);
			publish_close(p);
		}
	}
}
