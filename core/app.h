/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_APP_H
#define DEX_APP_H

#include "core/config.h"
#include "core/store/notify.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Everything a process needs, opened once from the settings and passed explicitly. Both programs
 * use it; it knows no HTTP.
 */

struct auth;
struct blob_backend;
struct blob_store;
struct err;
struct gather_pool;
struct lock_backend;
struct lock_service;
struct manifest_configs;
struct oidc_client;
struct publish_backend;
struct routing;
struct sessions;
struct state;
struct state_backend;
struct subscribe_backend;
struct subscriber;
struct tracer;
struct upload_hooks;

struct app_backends { /* the registry, as the mains see it; arrays end with NULL */
	const struct blob_backend *const *blob;
	const struct lock_backend *const *lock;
	const struct publish_backend *const *publish;
	const struct state_backend *const *state;
	const struct subscribe_backend *const *subscribe;
};

#define APP_SUBSCRIBERS_MAX 4

struct app_subscribers { /* see core/app_subscribers.h */
	struct subscriber *items[APP_SUBSCRIBERS_MAX];
	size_t n;
};

struct app {
	const struct config *config; /* borrowed */
	struct app_backends backends;
	struct blob_store *uploads;      /* upload storage */
	struct blob_store *config_store; /* where the manifest configurations lie */
	struct state *state;
	struct lock_service *locks;
	struct manifest_configs *manifests;
	struct routing *routing;
	struct blob_store **targets; /* per routing->targets, opened on first use; see app_target */
	struct notify notify;
	struct app_subscribers subscribers; /* where events come from */
	const struct upload_hooks *hooks;   /* what the life cycle calls at its turning points */
	struct tracer *tracer;              /* NULL: no spans are sent */
	struct auth *auth;                  /* NULL: nobody is asked who he is */
	struct oidc_client *login;          /* NULL: people cannot log in at the upload page */
	struct sessions *sessions;          /* the same */
	struct gather_pool *gather;         /* buffers for bodies */
	bool keep_info;                     /* DEX_KEEP_INFO: see core/store/sidecar.h */
	pthread_mutex_t target_mutex;
};

/*
 * Open storage, state, locks, configurations and sinks. -1 + ${err} naming the variable or file at
 * fault. ${responder}: for the metrics file.
 */
int app_open(struct app *a, const struct config *c, const struct app_backends *backends,
	bool responder, struct err *err);
void app_close(struct app *a);

/* Append the storage key of an upload: {TUS_UPLOAD_PREFIX}/{first two hex digits}/{id}. */
int app_upload_key(const struct app *a, const char *id, struct buf *out, struct err *err);
/* Remove what describes the upload at ${key}; where none is made, a service is not asked for it. */
int app_forget_info(struct app *a, const char *key, struct err *err);
/* The opened store of target number ${index} in routing->targets; opened (made) on first use. */
struct blob_store *app_target(struct app *a, size_t index, struct err *err);

/*
 * --check-config: everything app_open reads, plus every manifest configuration, told at once as
 * lines in ${problems}; ${warnings} (NULL: services are not asked) gets what a person should know
 * though all of it would start. Writes no file. Returns the number of problems.
 */
size_t app_check(const struct config *c, const struct app_backends *backends, struct buf *problems,
	struct buf *warnings);

#endif
