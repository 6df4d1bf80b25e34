/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_BACKENDS_REGISTRY_H
#define DEX_BACKENDS_REGISTRY_H

/*
 * One row per implementation. Accepted names, help, health and the contract tests follow from it.
 * Only the mains and the contract tests include this header.
 */

struct blob_backend;
struct lock_backend;
struct publish_backend;
struct state_backend;
struct subscribe_backend;

extern const struct blob_backend *const registry_blob[]; /* each ends with NULL */
extern const struct lock_backend *const registry_lock[];
extern const struct publish_backend *const registry_publish[];
extern const struct state_backend *const registry_state[];
extern const struct subscribe_backend *const registry_subscribe[];

/* The backend of that type or name, or NULL. */
const struct blob_backend *registry_find_blob(const char *type);
const struct lock_backend *registry_find_lock(const char *name);
const struct publish_backend *registry_find_publish(const char *type);
const struct state_backend *registry_find_state(const char *type);
const struct subscribe_backend *registry_find_subscribe(const char *type);

#endif
