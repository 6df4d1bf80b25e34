/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"

#include "core/app_sinks.h"
#include "core/app_state.h"
#include "core/app_store.h"
#include "core/app_subscribers.h"
#include "core/auth/auth.h"
#include "core/auth/oidc_client.h"
#include "core/auth/session.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/intake.h"
#include "core/dex/manifest_config.h"
#include "core/dex/routing.h"
#include "core/metrics.h"
#include "core/net/loopback.h"
#include "core/store/blob.h"
#include "core/store/lock.h"
#include "core/store/sidecar.h"
#include "core/store/state.h"
#include "core/tracer.h"
#include "core/tus/gather.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_LOOK_MS 2000
#define LAST_SPANS_MS 1000
#define SCOPES_MAX ((size_t)8192)

int app_upload_key(const struct app *a, const char *id, struct buf *out, struct err *err)
{
	const char *prefix = a->config->upload_prefix;

	if (buf_printf(out, "%s%s%.2s/%s", prefix, *prefix ? "/" : "", id, id) == 0)
		return 0;
	return err_set(err, ERR_INVALID, __func__, "the storage prefix is too long");
}

int app_forget_info(struct app *a, const char *key, struct err *err)
{
	if (!a->keep_info && blob_can(a->uploads, BLOB_CAP_REMOTE))
		return 0;
	return sidecar_del(a->uploads, key, err);
}

static int open_uploads(struct app *a, struct err *err)
{
	a->uploads = app_store_open_uploads(a->config, &a->backends, err);
	return a->uploads ? 0 : -1;
}

static int open_configs(struct app *a, struct err *err)
{
	a->config_store = app_store_open_configs(a->config, &a->backends, err);
	if (!a->config_store)
		return -1;
	/* config_lookup only reads the settings. */
	a->manifests = manifest_configs_new(
		a->config_store, config_lookup, (void *)a->config, CONFIG_LOOK_MS);
	return 0;
}

static void open_auth(struct app *a)
{
	const struct config *c = a->config;

	if (!c->auth_enabled)
		return;
	a->auth = auth_new(
		&(struct auth_options){
			.issuer = c->auth_issuer,
			.audience = c->auth_audience,
			.introspection_url = c->auth_introspection_url,
			.client_id = c->auth_client_id,
			.client_secret = c->auth_client_secret,
			.required_scopes = c->auth_required_scopes,
			.read_scopes = c->auth_read_scopes,
			.route_scopes = c->auth_route_scopes,
			.admin_scope = c->auth_admin_scope,
			.ca_file = config_in_force(c, "DEX_CA_FILE"),
			.proxy = config_in_force(c, "DEX_HTTP_PROXY"),
		},
		a->state);
}

/* The words of ${list} that ${out} does not have yet. */
static void add_scopes(struct buf *out, const char *list)
{
	while (*list) {
		size_t len = strcspn(list, " ");
		bool known = false;
		for (const char *p = buf_str(out); *p && !known; p += strspn(p, " ")) {
			size_t n = strcspn(p, " ");
			known = n == len && memcmp(p, list, len) == 0;
			p += n;
		}
		if (!known)
			(void)buf_printf(out, "%s%.*s", out->len > 0 ? " " : "", (int)len, list);
		list += len + (list[len] == ' ');
	}
}

static void open_login(struct app *a)
{
	const struct config *c = a->config;
	struct buf scopes;

	if (!c->auth_enabled || !*c->login_client_id)
		return;
	buf_init(&scopes, SCOPES_MAX);
	if (!*c->login_scopes) {
		add_scopes(&scopes, "profile");
		add_scopes(&scopes, c->auth_required_scopes);
		add_scopes(&scopes, c->auth_read_scopes);
	}
	a->login = oidc_client_new(
		&(struct oidc_client_options){
			.issuer = c->auth_issuer,
			.client_id = c->login_client_id,
			.client_secret = c->login_client_secret,
			.scopes = *c->login_scopes ? c->login_scopes : buf_str(&scopes),
			.resource = c->login_resource,
			.ca_file = config_in_force(c, "DEX_CA_FILE"),
			.proxy = config_in_force(c, "DEX_HTTP_PROXY"),
		},
		a->state);
	a->sessions = sessions_new(c->session_key, a->login, a->state);
	buf_free(&scopes);
}

static void open_tracer(struct app *a)
{
	const struct config *c = a->config;

	if (!*c->otlp_endpoint)
		return;
	a->tracer = tracer_new(&(struct tracer_options){
		.endpoint = c->otlp_endpoint,
		.headers = c->otlp_headers,
		.service = c->otel_service,
		.environment = c->environment,
		.ca_file = config_in_force(c, "DEX_CA_FILE"),
		.proxy = config_in_force(c, "DEX_HTTP_PROXY"),
	});
}

int app_open(struct app *a, const struct config *c, const struct app_backends *backends,
	bool responder, struct err *err)
{
	struct err metrics = {0};

	memset(a, 0, sizeof(*a));
	a->config = c;
	a->backends = *backends;
	a->hooks = &intake_hooks;
	pthread_mutex_init(&a->target_mutex, NULL);
	a->gather = gather_pool_new();
	a->keep_info = str_eq(c->keep_info, "on") ||
		       (str_eq(c->keep_info, "auto") && app_state_is_apart(c, backends));
	if (open_uploads(a, err) < 0 || open_configs(a, err) < 0)
		goto fail;
	a->routing = routing_load(c->delivery_file, backends->blob, config_lookup, (void *)c, err);
	if (!a->routing) {
		err_prefix(err, "DEX_DELIVERY_CONFIG_FILE");
		goto fail;
	}
	a->targets = mem_zalloc((a->routing->ntargets + 1) * sizeof(struct blob_store *));
	if (app_state_open(c, backends, &a->state, &a->locks, err) < 0 ||
		app_sinks_open(c, backends, &a->notify, err) < 0)
		goto fail;
	if (app_subscribers_open(c, backends, &a->subscribers, err) < 0)
		goto fail;
	open_auth(a);
	open_login(a);
	open_tracer(a);
	/* Counters are worth a warning, not an outage. */
	if (metrics_open(c->metrics_file, responder, &metrics) < 0)
		LOG(LOG_LEVEL_WARN, "metrics are not counted", log_str("file", c->metrics_file),
			log_err(&metrics));
	return 0;
fail:
	app_close(a);
	return -1;
}

void app_close(struct app *a)
{
	metrics_close();
	tracer_free(a->tracer, LAST_SPANS_MS);
	sessions_free(a->sessions);
	oidc_client_free(a->login);
	auth_free(a->auth);
	app_subscribers_close(&a->subscribers);
	notify_close(&a->notify);
	lock_close(a->locks);
	state_close(a->state);
	for (size_t i = 0; a->routing && a->targets && i < a->routing->ntargets; i++)
		blob_close(a->targets[i]);
	free(a->targets);
	routing_free(a->routing);
	manifest_configs_free(a->manifests);
	blob_close(a->config_store);
	blob_close(a->uploads);
	gather_pool_free(a->gather);
	pthread_mutex_destroy(&a->target_mutex);
	memset(a, 0, sizeof(*a));
}

struct blob_store *app_target(struct app *a, size_t index, struct err *err)
{
	const struct routing_target *t = &a->routing->targets[index];

	pthread_mutex_lock(&a->target_mutex);
	struct blob_store *s = a->targets[index];
	if (!s)
		s = a->targets[index] = app_store_open_target(a->config, t, true, err);
	pthread_mutex_unlock(&a->target_mutex);
	return s;
}

static size_t count_lines(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

/* A browser keeps a cookie for HTTPS only where it comes from there, or from its own machine. */
static void warn_of_login(const struct config *c, struct buf *warnings)
{
	if (c->auth_enabled && *c->login_client_id && c->session_secure &&
		str_eq(c->server_protocol, "http") && !loopback_is(c->server_hostname))
		(void)buf_add_str(warnings, "OAUTH_SESSION_SECURE: where the upload page is "
					    "reached over http, browsers keep no "
					    "session; let the web server speak TLS\n");
}

size_t app_check(const struct config *c, const struct app_backends *backends, struct buf *problems,
	struct buf *warnings)
{
	struct app a = {.config = c, .backends = *backends};
	struct err err = {0};

	struct routing *r =
		routing_load(c->delivery_file, backends->blob, config_lookup, (void *)c, &err);
	if (!r)
		buf_printf(problems, "DEX_DELIVERY_CONFIG_FILE: %s\n", err.text);
	app_store_check(c, backends, r, problems);
	app_state_check(c, backends, problems, warnings);
	app_subscribers_check(c, backends, problems);
	app_sinks_check(c, backends, problems);
	routing_free(r);
	err_clear(&err);
	if (open_configs(&a, &err) < 0 ||
		manifest_configs_check_all(a.manifests, problems, &err) < 0)
		buf_printf(problems, "%s\n", err.text);
	manifest_configs_free(a.manifests);
	blob_close(a.config_store);
	if (warnings)
		warn_of_login(c, warnings);
	return count_lines(problems);
}
