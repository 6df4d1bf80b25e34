/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_STORE_PUBLISH_IMPL_H
#define DEX_STORE_PUBLISH_IMPL_H

#include "core/store/publish.h"

struct publisher { /* first member of the backend's own struct */
	const struct publish_backend *backend;
	char *name;
};

struct publish_backend {
	const char *type; /* "file", "service-bus", "sns" */
	bool local;
	/* Variables that say where reports and events go; NULL where others say it. */
	const char *reports_env;
	const char *events_env;
	const char *const *settings; /* further variables, ends with NULL; NULL: none */
	struct publisher *(*open)(const struct publish_place *place, struct err *err);
	void (*close)(struct publisher *p);
	int (*send)(
		struct publisher *p, const struct publish_message *m, bool repeat, struct err *err);
	/* NULL: messages are sent singly. */
	int (*send_many)(struct publisher *p, const struct publish_message *m, size_t n,
		size_t *sent, struct err *err);
	int (*probe)(struct publisher *p, struct err *err);
};

#endif
