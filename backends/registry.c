/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/registry.h"

#include "core/base/str.h"
#include "core/store/blob_impl.h"
#include "core/store/lock_impl.h"
#include "core/store/publish_impl.h"
#include "core/store/state_impl.h"
#include "core/store/subscribe_impl.h"

extern const struct blob_backend blob_azure_backend;
extern const struct blob_backend blob_file_backend;
extern const struct blob_backend blob_s3_backend;
extern const struct lock_backend lock_file_backend;
extern const struct lock_backend lock_redis_backend;
extern const struct publish_backend publish_file_backend;
extern const struct publish_backend publish_service_bus_backend;
extern const struct publish_backend publish_sns_backend;
extern const struct state_backend state_redis_backend;
extern const struct state_backend state_sqlite_backend;
extern const struct subscribe_backend subscribe_service_bus_backend;
extern const struct subscribe_backend subscribe_sqs_backend;

const struct blob_backend *const registry_blob[] = {
	&blob_file_backend,
	&blob_azure_backend,
	&blob_s3_backend,
	NULL,
};

const struct lock_backend *const registry_lock[] = {
	&lock_file_backend,
	&lock_redis_backend,
	NULL,
};

const struct publish_backend *const registry_publish[] = {
	&publish_file_backend,
	&publish_service_bus_backend,
	&publish_sns_backend,
	NULL,
};

const struct state_backend *const registry_state[] = {
	&state_sqlite_backend,
	&state_redis_backend,
	NULL,
};

const struct subscribe_backend *const registry_subscribe[] = {
	&subscribe_service_bus_backend,
	&subscribe_sqs_backend,
	NULL,
};

const struct blob_backend *registry_find_blob(const char *type)
{
	const struct blob_backend *const *b = registry_blob;
	while (*b && !str_eq((*b)->type, type))
		b++;
	return *b;
}

const struct lock_backend *registry_find_lock(const char *name)
{
	const struct lock_backend *const *b = registry_lock;
	while (*b && !str_eq((*b)->name, name))
		b++;
	return *b;
}

const struct publish_backend *registry_find_publish(const char *type)
{
	const struct publish_backend *const *b = registry_publish;
	while (*b && !str_eq((*b)->type, type))
		b++;
	return *b;
}

const struct state_backend *registry_find_state(const char *type)
{
	const struct state_backend *const *b = registry_state;
	while (*b && !str_eq((*b)->type, type))
		b++;
	return *b;
}

const struct subscribe_backend *registry_find_subscribe(const char *type)
{
	const struct subscribe_backend *const *b = registry_subscribe;
	while (*b && !str_eq((*b)->type, type))
		b++;
	return *b;
}
