/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_CONFIG_H
#define DEX_CONFIG_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Settings. Each environment variable is one row of the table in config_table.c {name, type,
 * default, limits, flags, help}; parsing, range errors, --check-config, --help-config, .env.example
 * and the README's table are made from it. A variable of the environment wins over the dotenv file.
 */

enum config_environment { CONFIG_DEV, CONFIG_TST, CONFIG_STG, CONFIG_PROD };
enum config_durability { CONFIG_DURABLE_PATCH, CONFIG_DURABLE_COMPLETE, CONFIG_DURABLE_NONE };

struct config {
	/* server */
	bool debug;                  /* LOGGER_DEBUG_ON */
	const char *environment;     /* ENVIRONMENT, one of DEV TST STG PROD */
	const char *log_dest;        /* DEX_LOG: stderr, syslog or a path */
	const char *log_format;      /* DEX_LOG_FORMAT: logfmt, json */
	const char *server_protocol; /* SERVER_PROTOCOL */
	const char *server_hostname; /* SERVER_HOSTNAME */
	const char *sandbox;         /* DEX_SANDBOX: auto, on, off */
	uint64_t server_port;        /* SERVER_PORT */
	uint64_t ui_port;            /* UI_PORT */
	const char *tus_path;        /* TUSD_HANDLER_BASE_PATH, begins and ends with '/' */
	const char *info_path;       /* TUSD_HANDLER_INFO_PATH, begins and ends with '/' */
	bool relative_location;      /* DEX_RELATIVE_LOCATION */
	const char *cors_origins;    /* DEX_CORS_ORIGINS: "*" or a comma-separated list */
	const char *trusted_proxies; /* DEX_TRUSTED_PROXIES: comma-separated addresses or CIDR */
	uint64_t threads;            /* DEX_THREADS: requests served at once by one responder */
	int64_t body_timeout_ms;     /* DEX_BODY_TIMEOUT: silence after which a body is given up */
	int64_t lock_wait_ms;        /* DEX_LOCK_WAIT: 423 after this (20s) */

	/* uploads */
	uint64_t max_size;            /* DEX_MAX_SIZE, bytes; 0 = no limit */
	uint64_t max_append;          /* DEX_MAX_APPEND, bytes; 0 = no limit */
	uint64_t max_open;            /* DEX_MAX_OPEN_UPLOADS; 0 = no limit */
	uint64_t max_open_of_subject; /* DEX_MAX_OPEN_UPLOADS_PER_SUBJECT; 0 = no limit */
	int64_t upload_expiry_ms;     /* DEX_UPLOAD_EXPIRY; 0 = never */
	int64_t retention_ms;         /* DEX_RETENTION; 0 = never */
	const char *durability;       /* DEX_DURABILITY: patch, complete, none */
	const char *upload_folder;    /* LOCAL_FOLDER_UPLOADS_TUS */
	const char *upload_prefix;    /* TUS_UPLOAD_PREFIX */
	const char *state_db;         /* DEX_STATE_DB */
	const char *keep_info;        /* DEX_KEEP_INFO: auto, on, off */
	const char *metrics_file; /* DEX_METRICS_FILE, default {LOCAL_FOLDER_UPLOADS_TUS}/metrics */
	const char *metrics_labels; /* METRICS_LABELS_FROM_MANIFEST */

	/* manifests, routing, reports */
	const char *upload_config_path; /* UPLOAD_CONFIG_PATH */
	const char *delivery_file;      /* DEX_DELIVERY_CONFIG_FILE */
	const char *reports_folder;     /* LOCAL_REPORTS_FOLDER */
	const char *events_folder;      /* LOCAL_EVENTS_FOLDER */
	uint64_t max_retry;             /* EVENT_MAX_RETRY_COUNT */
	int64_t retry_delay_ms; /* DEX_RETRY_DELAY: first pause, doubled each time, with jitter */
	int64_t delivery_lease_ms; /* DEX_DELIVERY_LEASE */
	bool delivery_checksum;    /* DEX_DELIVERY_CHECKSUM */
	uint64_t listener_workers; /* LISTENER_WORKERS */

	/* upload page */
	const char *csrf_token;           /* CSRF_TOKEN */
	const char *csrf_trusted_origins; /* CSRF_TRUSTED_ORIGINS: comma-separated */
	const char *ui_api_protocol;      /* UI_SERVER_EXTERNAL_PROTOCOL */
	const char *ui_api_host;          /* UI_SERVER_EXTERNAL_HOST, with its port */

	/* authorization; "" for what is not given */
	bool auth_enabled;                  /* OAUTH_AUTH_ENABLED */
	const char *auth_issuer;            /* OAUTH_ISSUER_URL */
	const char *auth_audience;          /* OAUTH_AUDIENCE */
	const char *auth_required_scopes;   /* OAUTH_REQUIRED_SCOPES, separated by one space */
	const char *auth_read_scopes;       /* OAUTH_READ_SCOPES */
	const char *auth_route_scopes;      /* OAUTH_ROUTE_SCOPES */
	const char *auth_admin_scope;       /* OAUTH_ADMIN_SCOPE */
	const char *auth_introspection_url; /* OAUTH_INTROSPECTION_URL */
	const char *auth_client_id;         /* OAUTH_INTROSPECTION_CLIENT_ID */
	const char *auth_client_secret;     /* OAUTH_INTROSPECTION_CLIENT_SECRET */

	/* login of the upload page; "" for what is not given */
	const char *login_client_id;     /* OAUTH_CLIENT_ID */
	const char *login_client_secret; /* OAUTH_CLIENT_SECRET */
	const char *login_scopes;        /* OAUTH_LOGIN_SCOPES */
	const char *login_resource;      /* OAUTH_LOGIN_RESOURCE */
	const char *session_key;         /* OAUTH_SESSION_KEY */
	bool session_secure;             /* OAUTH_SESSION_SECURE */
	const char *session_domain;      /* OAUTH_SESSION_DOMAIN */

	const char *status_api_health_uri; /* PROCESSING_STATUS_HEALTH_URI; "": it is not asked */

	/* traces */
	const char *otlp_endpoint; /* OTEL_EXPORTER_OTLP_ENDPOINT; "": no spans are sent */
	const char *otlp_headers;  /* OTEL_EXPORTER_OTLP_HEADERS */
	const char *otel_service;  /* OTEL_SERVICE_NAME */

	struct config_values *values; /* all rows as text, and the dotenv's other variables */
};

/*
 * Read the environment and the dotenv file ${dotenv} (NULL: the one DEX_APPCONF names, if any). All
 * faults are collected in ${problems}, one line each: "NAME: expected …, got …", with "FILE:LINE: "
 * in front when the file is to blame, secrets masked; relative defaults are resolved. An empty
 * value stands for the default, unless the row says that it means "none". Returns 0 with ${out}
 * (free with config_free), or -1. The environment is copied: nothing reads it afterwards, and the
 * result may be shared by threads. In a CGI program (it has GATEWAY_INTERFACE) what describes the
 * request is left out: SERVER_PROTOCOL, SERVER_PORT, HTTP_*.
 */
int config_load(const char *dotenv, struct config **out, struct buf *problems);
void config_free(struct config *c); /* NULL is fine */

enum config_durability config_durability(const struct config *c);
/* Value of any variable: environment, then dotenv file; NULL when unset. ${arg} is a struct config.
 */
const char *config_lookup(void *arg, const char *name);

/* Value in force of a row of the table, its default included, "" for none; else as config_lookup.
 */
const char *config_in_force(const struct config *c, const char *name);

/* "NAME=value" lines of what is in force, secrets masked: for --check-config. */
int config_dump(const struct config *c, struct buf *out);
/*
 * The table as a person reads it (--help-config), as .env.example, as a Markdown table, and as
 * sections of a manual page (mdoc(7)).
 */
int config_help(struct buf *out);
int config_dotenv_example(struct buf *out);
int config_markdown(struct buf *out);
int config_man(struct buf *out);

/*
 * Parse dotenv text: NAME=value lines, '#' comments, optional `export `, single quotes (literal)
 * and double quotes (\n \" \\ \$). Calls ${fn} per variable. Limits: 64 KiB, 1,000 lines. Lines
 * that are at fault are skipped and told in ${problems} as "FILE:LINE: …" without their values; -1
 * when there were any.
 */
typedef void config_dotenv_fn(void *arg, const char *name, const char *value, size_t line);
int config_dotenv_parse(const char *file, const char *text, size_t len, config_dotenv_fn *fn,
	void *arg, struct buf *problems);

#endif
