/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/str.h"
#include "core/config_impl.h"
#include "tests/lib/config_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_defaults(void **state)
{
	struct config_world *f = *state;
	config_world_problems(f, NULL, "");
	const struct config *c = f->config;
	assert_false(c->debug);
	assert_string_equal(c->environment, "DEV");
	assert_string_equal(c->log_dest, "stderr");
	assert_string_equal(c->log_format, "logfmt");
	assert_string_equal(c->server_protocol, "http");
	assert_string_equal(c->server_hostname, "localhost");
	assert_int_equal(c->server_port, 8080);
	assert_int_equal(c->ui_port, 8081);
	assert_string_equal(c->tus_path, "/files/");
	assert_string_equal(c->info_path, "/info/");
	assert_false(c->relative_location);
	assert_string_equal(c->cors_origins, "*");
	assert_string_equal(c->trusted_proxies, "");
	assert_int_equal(c->threads, 256);
	assert_int_equal(c->body_timeout_ms, 120000);
	assert_int_equal(c->lock_wait_ms, 20000);
	assert_int_equal(c->max_size, 0);
	assert_int_equal(c->upload_expiry_ms, 86400000);
	assert_int_equal(c->retention_ms, 0);
	assert_string_equal(c->durability, "patch");
	assert_int_equal(config_durability(c), CONFIG_DURABLE_PATCH);
	assert_string_equal(c->upload_folder, "./uploads");
	assert_string_equal(c->upload_prefix, "tus-prefix");
	assert_string_equal(c->state_db, "./uploads/state.db");
	assert_string_equal(c->metrics_file, "./uploads/metrics");
	assert_string_equal(c->metrics_labels, "data_stream_id,data_stream_route,sender_id");
	assert_string_equal(c->upload_config_path, "./upload-configs");
	assert_string_equal(c->delivery_file, "./deploy/delivery.yml");
	assert_string_equal(c->reports_folder, "./uploads/reports");
	assert_string_equal(c->events_folder, "./uploads/events");
	assert_int_equal(c->max_retry, 3);
	assert_int_equal(c->retry_delay_ms, 30000);
	assert_int_equal(c->delivery_lease_ms, 60000);
	assert_int_equal(c->listener_workers, 5);
	assert_true(strlen(c->csrf_token) >= 32);
	assert_string_equal(c->csrf_trusted_origins, "");
	assert_string_equal(c->ui_api_protocol, "http");
	assert_string_equal(c->ui_api_host, "localhost:8080");
	assert_null(config_lookup(f->config, "UI_SERVER_EXTERNAL_HOST"));
	assert_false(c->auth_enabled);
	assert_string_equal(c->auth_issuer, "");
	assert_string_equal(c->auth_required_scopes, "");
	assert_string_equal(c->auth_admin_scope, "");
}

static void test_every_field_is_set_from_its_variable(void **state)
{
	struct config_world *f = *state;
	config_world_env("LOGGER_DEBUG_ON", "TRUE");
	config_world_env("ENVIRONMENT", "stg");
	config_world_env("DEX_LOG", "/var/log/dex.log");
	config_world_env("DEX_LOG_FORMAT", "json");
	config_world_env("SERVER_PROTOCOL", "https");
	config_world_env("SERVER_HOSTNAME", "up.example.org");
	config_world_env("SERVER_PORT", "443");
	config_world_env("UI_PORT", "65535");
	config_world_env("TUSD_HANDLER_BASE_PATH", "/api/files");
	config_world_env("TUSD_HANDLER_INFO_PATH", "/api/info/");
	config_world_env("DEX_RELATIVE_LOCATION", "1");
	config_world_env("DEX_CORS_ORIGINS",
		" https://A.example.org , http://[::1]:3000,https://a.example.org");
	config_world_env("DEX_TRUSTED_PROXIES", "10.0.0.0/8, ::1,fd00::/8");
	config_world_env("DEX_THREADS", "4");
	config_world_env("DEX_BODY_TIMEOUT", "2m");
	config_world_env("DEX_LOCK_WAIT", "250ms");
	config_world_env("DEX_MAX_SIZE", "5GiB");
	config_world_env("DEX_UPLOAD_EXPIRY", "0");
	config_world_env("DEX_RETENTION", "7d");
	config_world_env("DEX_DURABILITY", "complete");
	config_world_env("LOCAL_FOLDER_UPLOADS_TUS", "/srv/data//");
	config_world_env("TUS_UPLOAD_PREFIX", "a/b");
	config_world_env("METRICS_LABELS_FROM_MANIFEST", "x, y_1");
	config_world_env("UPLOAD_CONFIG_PATH", "upload-configs/");
	config_world_env("LOCAL_EVENTS_FOLDER", "events");
	config_world_env("EVENT_MAX_RETRY_COUNT", "0");
	config_world_env("DEX_RETRY_DELAY", "0");
	config_world_env("DEX_DELIVERY_LEASE", "5s");
	config_world_env("LISTENER_WORKERS", "12");
	config_world_env("CSRF_TOKEN", "geheim");
	config_world_env("CSRF_TRUSTED_ORIGINS", "https://A.example.org, http://b:81");
	config_world_env("UI_SERVER_EXTERNAL_PROTOCOL", "HTTPS");
	config_world_env("UI_SERVER_EXTERNAL_HOST", "api.example.org");
	config_world_env("OAUTH_AUTH_ENABLED", "yes");
	config_world_env("OAUTH_ISSUER_URL", "https://login.example.org/realms/x");
	config_world_env("OAUTH_AUDIENCE", "urn:dex upload");
	config_world_env("OAUTH_REQUIRED_SCOPES", "  dex:upload   b ");
	config_world_env("OAUTH_READ_SCOPES", "dex:read");
	config_world_env("OAUTH_ROUTE_SCOPES", "dex:route x,y");
	config_world_env("OAUTH_ADMIN_SCOPE", "dex:admin");
	config_world_env("OAUTH_INTROSPECTION_URL", "http://127.0.0.1:8/introspect?a=b");
	config_world_env("OAUTH_INTROSPECTION_CLIENT_ID", "me");
	config_world_env("OAUTH_INTROSPECTION_CLIENT_SECRET", "s3cret");
	config_world_problems(f, NULL, "");
	const struct config *c = f->config;
	assert_string_equal(c->csrf_trusted_origins, "https://a.example.org,http://b:81");
	assert_string_equal(c->ui_api_protocol, "https");
	assert_string_equal(c->ui_api_host, "api.example.org");
	assert_true(c->auth_enabled);
	assert_string_equal(c->auth_issuer, "https://login.example.org/realms/x");
	assert_string_equal(c->auth_audience, "urn:dex upload");
	assert_string_equal(c->auth_required_scopes, "dex:upload b");
	assert_string_equal(c->auth_read_scopes, "dex:read");
	assert_string_equal(c->auth_route_scopes, "dex:route x,y");
	assert_string_equal(c->auth_admin_scope, "dex:admin");
	assert_string_equal(c->auth_introspection_url, "http://127.0.0.1:8/introspect?a=b");
	assert_string_equal(c->auth_client_id, "me");
	assert_string_equal(c->auth_client_secret, "s3cret");
	assert_true(c->debug);
	assert_string_equal(c->environment, "STG");
	assert_string_equal(c->log_dest, "/var/log/dex.log");
	assert_string_equal(c->log_format, "json");
	assert_string_equal(c->server_protocol, "https");
	assert_string_equal(c->server_hostname, "up.example.org");
	assert_int_equal(c->server_port, 443);
	assert_int_equal(c->ui_port, 65535);
	assert_string_equal(c->tus_path, "/api/files/");
	assert_string_equal(c->info_path, "/api/info/");
	assert_true(c->relative_location);
	assert_string_equal(c->cors_origins, "https://a.example.org,http://[::1]:3000");
	assert_string_equal(c->trusted_proxies, "10.0.0.0/8,::1,fd00::/8");
	assert_int_equal(c->threads, 4);
	assert_int_equal(c->body_timeout_ms, 120000);
	assert_int_equal(c->lock_wait_ms, 250);
	assert_int_equal(c->max_size, UINT64_C(5) << 30);
	assert_int_equal(c->upload_expiry_ms, 0);
	assert_int_equal(c->retention_ms, INT64_C(7) * 86400000);
	assert_int_equal(config_durability(c), CONFIG_DURABLE_COMPLETE);
	assert_string_equal(c->upload_folder, "/srv/data");
	assert_string_equal(c->upload_prefix, "a/b");
	assert_string_equal(c->state_db, "/srv/data/state.db");
	assert_string_equal(c->metrics_file, "/srv/data/metrics");
	assert_string_equal(c->metrics_labels, "x,y_1");
	assert_string_equal(c->upload_config_path, "upload-configs");
	assert_string_equal(c->reports_folder, "/srv/data/reports");
	assert_string_equal(c->events_folder, "events");
	assert_int_equal(c->max_retry, 0);
	assert_int_equal(c->retry_delay_ms, 0);
	assert_int_equal(c->delivery_lease_ms, 5000);
	assert_int_equal(c->listener_workers, 12);
	assert_string_equal(c->csrf_token, "geheim");
}

static void test_empty_stands_for_the_default_or_for_none(void **state)
{
	struct config_world *f = *state;
	config_world_env("SERVER_PORT", "");
	config_world_env("UPLOAD_CONFIG_PATH", "");
	config_world_env("DEX_CORS_ORIGINS", "");
	config_world_env("METRICS_LABELS_FROM_MANIFEST", "");
	config_world_env("S3_ENDPOINT", "");
	config_world_env("DEX_APPCONF", "");
	config_world_problems(f, NULL, "");
	assert_int_equal(f->config->server_port, 8080);
	assert_string_equal(f->config->upload_config_path, "./upload-configs");
	assert_string_equal(f->config->cors_origins, "");
	assert_string_equal(f->config->metrics_labels, "");
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *name, *value, *start;
	} cases[] = {
		{"ENVIRONMENT", "QA",
			"ENVIRONMENT: expected one of DEV, TST, STG, PROD, got \"QA\"\n"},
		{"LOGGER_DEBUG_ON", "maybe",
			"LOGGER_DEBUG_ON: expected true or false, got \"maybe\"\n"},
		{"SERVER_PORT", "0",
			"SERVER_PORT: expected a whole number 1 to 65535, got \"0\"\n"},
		{"SERVER_PORT", "65536", "SERVER_PORT: "},
		{"SERVER_PORT", "80a", "SERVER_PORT: "},
		{"SERVER_PORT", "-1", "SERVER_PORT: "},
		{"UI_PORT", "0", "UI_PORT: "},
		{"SERVER_PROTOCOL", "HTTP/1.1", "SERVER_PROTOCOL: "},
		{"SERVER_HOSTNAME", "a/b", "SERVER_HOSTNAME: "},
		{"SERVER_HOSTNAME", "host:80", "SERVER_HOSTNAME: "},
		{"SERVER_HOSTNAME", "[::1", "SERVER_HOSTNAME: "},
		{"UI_SERVER_EXTERNAL_HOST", "http://host", "UI_SERVER_EXTERNAL_HOST: "},
		{"UI_SERVER_EXTERNAL_HOST", "host:0", "UI_SERVER_EXTERNAL_HOST: "},
		{"UI_SERVER_EXTERNAL_HOST", "host;x", "UI_SERVER_EXTERNAL_HOST: "},
		{"UI_SERVER_EXTERNAL_PROTOCOL", "ftp", "UI_SERVER_EXTERNAL_PROTOCOL: "},
		{"CSRF_TRUSTED_ORIGINS", "a.example.org", "CSRF_TRUSTED_ORIGINS: "},
		{"DEX_THREADS", "3", "DEX_THREADS: expected a whole number 4 to 4096, got \"3\"\n"},
		{"DEX_THREADS", "4097", "DEX_THREADS: "},
		{"DEX_BODY_TIMEOUT", "120", "DEX_BODY_TIMEOUT: expected a duration such as "},
		{"DEX_BODY_TIMEOUT", "99ms", "DEX_BODY_TIMEOUT: "},
		{"DEX_LOCK_WAIT", "25h", "DEX_LOCK_WAIT: "},
		{"DEX_MAX_SIZE", "1X", "DEX_MAX_SIZE: expected a size "},
		{"DEX_MAX_SIZE", "9223372036854775808", "DEX_MAX_SIZE: "},
		{"DEX_DURABILITY", "always",
			"DEX_DURABILITY: expected one of patch, complete, none, "},
		{"TUSD_HANDLER_BASE_PATH", "files", "TUSD_HANDLER_BASE_PATH: "},
		{"TUSD_HANDLER_BASE_PATH", "/", "TUSD_HANDLER_BASE_PATH: "},
		{"TUSD_HANDLER_BASE_PATH", "//", "TUSD_HANDLER_BASE_PATH: "},
		{"TUSD_HANDLER_BASE_PATH", "/a//b", "TUSD_HANDLER_BASE_PATH: "},
		{"TUSD_HANDLER_BASE_PATH", "/a/../b", "TUSD_HANDLER_BASE_PATH: "},
		{"TUSD_HANDLER_BASE_PATH", "/a?b", "TUSD_HANDLER_BASE_PATH: "},
		{"TUSD_HANDLER_INFO_PATH", "/files",
			"TUSD_HANDLER_INFO_PATH: expected another path "},
		{"TUS_UPLOAD_PREFIX", "/abs", "TUS_UPLOAD_PREFIX: "},
		{"TUS_UPLOAD_PREFIX", "a//b", "TUS_UPLOAD_PREFIX: "},
		{"TUS_UPLOAD_PREFIX", "a/..", "TUS_UPLOAD_PREFIX: "},
		{"TUS_UPLOAD_PREFIX", ".", "TUS_UPLOAD_PREFIX: "},
		{"TUS_UPLOAD_PREFIX", "a/", "TUS_UPLOAD_PREFIX: "},
		{"TUS_UPLOAD_PREFIX", "a\nb",
			"TUS_UPLOAD_PREFIX: expected a relative path without empty, "
			". or .. parts, got \"a?b\"\n"},
		{"TUS_UPLOAD_PREFIX", "a\xff", "TUS_UPLOAD_PREFIX: "},
		{"DEX_CORS_ORIGINS", "example.org", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://a/", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://a/b", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://:80", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://a:0", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://a:65536", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://[zz]", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://[", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://u@a", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "*,https://a", "DEX_CORS_ORIGINS: "},
		{"DEX_CORS_ORIGINS", "https://a,", "DEX_CORS_ORIGINS: "},
		{"DEX_TRUSTED_PROXIES", "proxy", "DEX_TRUSTED_PROXIES: "},
		{"DEX_TRUSTED_PROXIES", "10.0.0.0/33", "DEX_TRUSTED_PROXIES: "},
		{"DEX_TRUSTED_PROXIES", "10.0.0.0/", "DEX_TRUSTED_PROXIES: "},
		{"DEX_TRUSTED_PROXIES", "::/129", "DEX_TRUSTED_PROXIES: "},
		{"DEX_TRUSTED_PROXIES", "10.1", "DEX_TRUSTED_PROXIES: "},
		{"DEX_TRUSTED_PROXIES", ",", "DEX_TRUSTED_PROXIES: "},
		{"METRICS_LABELS_FROM_MANIFEST", "a-b", "METRICS_LABELS_FROM_MANIFEST: "},
		{"METRICS_LABELS_FROM_MANIFEST", "a,1b", "METRICS_LABELS_FROM_MANIFEST: "},
		{"UPLOAD_CONFIG_PATH", "nowhere",
			"UPLOAD_CONFIG_PATH: expected a directory that exists, got \"nowhere\"\n"},
		{"UPLOAD_CONFIG_PATH", "deploy/delivery.yml", "UPLOAD_CONFIG_PATH: "},
		{"DEX_DELIVERY_CONFIG_FILE", "deploy", "DEX_DELIVERY_CONFIG_FILE: "},
		{"EVENT_MAX_RETRY_COUNT", "1001", "EVENT_MAX_RETRY_COUNT: "},
		{"LISTENER_WORKERS", "0", "LISTENER_WORKERS: "},
		{"OAUTH_ISSUER_URL", "http://login.example.org",
			"OAUTH_ISSUER_URL: expected an https URL, or an http one on this machine, "
			"got "
			"\"http://login.example.org\"\n"},
		{"OAUTH_ISSUER_URL", "login.example.org", "OAUTH_ISSUER_URL: "},
		{"OAUTH_ISSUER_URL", "https://u:p@login.example.org", "OAUTH_ISSUER_URL: "},
		{"OAUTH_ISSUER_URL", "https://a/#b", "OAUTH_ISSUER_URL: "},
		{"OAUTH_ISSUER_URL", "https://a/?b",
			"OAUTH_ISSUER_URL: expected a URL without query\n"},
		{"OAUTH_ISSUER_URL", "http://127.0.0.1.example.org", "OAUTH_ISSUER_URL: "},
		{"OAUTH_INTROSPECTION_URL", "http://10.0.0.1/", "OAUTH_INTROSPECTION_URL: "},
		{"OAUTH_INTROSPECTION_URL", "ftp://127.0.0.1/", "OAUTH_INTROSPECTION_URL: "},
		{"OAUTH_REQUIRED_SCOPES", "a \"b\"",
			"OAUTH_REQUIRED_SCOPES: expected scopes separated by spaces, got "},
		{"OAUTH_REQUIRED_SCOPES", "a\\b", "OAUTH_REQUIRED_SCOPES: "},
		{"OAUTH_READ_SCOPES", "\xc3\xa4", "OAUTH_READ_SCOPES: "},
		{"OAUTH_ADMIN_SCOPE", "  ", "OAUTH_ADMIN_SCOPE: "},
		{"OAUTH_AUTH_ENABLED", "true",
			"OAUTH_AUTH_ENABLED: expected OAUTH_ISSUER_URL or OAUTH_INTROSPECTION_URL "
			"beside it, got neither\n"},
		{"OAUTH_INTROSPECTION_CLIENT_ID", "me",
			"OAUTH_INTROSPECTION_CLIENT_ID: expected together with "
			"OAUTH_INTROSPECTION_CLIENT_SECRET, got one of them\n"},
		{"OAUTH_INTROSPECTION_CLIENT_SECRET", "s", "OAUTH_INTROSPECTION_CLIENT_ID: "},
	};
	struct config_world *f = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		config_world_refused(f, cases[i].name, cases[i].value, cases[i].start);
}

static void test_good_values(void **state)
{
	static const struct {
		const char *name, *value;
	} cases[] = {
		{"SERVER_HOSTNAME", "[2001:db8::1]"},
		{"SERVER_HOSTNAME", "192.0.2.1"},
		{"SERVER_HOSTNAME", "dex_upload"},
		{"DEX_CORS_ORIGINS", "*"},
		{"DEX_CORS_ORIGINS", "chrome-extension://abcdef"},
		{"DEX_CORS_ORIGINS", "https://a:65535"},
		{"DEX_TRUSTED_PROXIES", "0.0.0.0/0"},
		{"DEX_TRUSTED_PROXIES", "::/0"},
		{"TUS_UPLOAD_PREFIX", "...a"},
		{"OAUTH_AUTH_ENABLED", "False"},
		{"OAUTH_ISSUER_URL", "https://login.example.org/"},
		{"OAUTH_ISSUER_URL", "http://localhost:8080"},
		{"OAUTH_ISSUER_URL", "http://[::1]:8080/x"},
		{"OAUTH_SESSION_SECURE", "yes"},
		{"SQS_SUBSCRIBER_MAX_RETRIES", "5"},
		{"UI_SERVER_EXTERNAL_HOST", "localhost:8080"},
		{"UI_SERVER_EXTERNAL_HOST", "[::1]:81"},
		{"UI_SERVER_EXTERNAL_HOST", "upload.example.org"},
		{"UI_SERVER_EXTERNAL_PROTOCOL", "HTTPS"},
		{"CSRF_TRUSTED_ORIGINS", "https://a.example.org, http://b:81"},
		{"DEX_CRASH_AT", "after-append"},
		{"DEX_CRASH_ONCE", "x"},
		{"DEXTER", "x"},
	};
	struct config_world *f = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		config_world_accepted(f, cases[i].name, cases[i].value);
}

static void test_all_problems_are_told_at_once(void **state)
{
	struct config_world *f = *state;
	config_world_file(
		"app.env", "DEX_THREADS=2\nbroken\nSERVER_PORT=8080\nDEX_LOG_FORMAT=xml\n");
	config_world_env("SERVER_PORT", "none");
	config_world_env("UI_PORT", "none");
	config_world_problems(f, "app.env",
		"app.env:2: expected NAME=value\n"
		"app.env:4: DEX_LOG_FORMAT: expected one of logfmt, json, got \"xml\"\n"
		"SERVER_PORT: expected a whole number 1 to 65535, got \"none\"\n"
		"app.env:1: DEX_THREADS: expected a whole number 4 to 4096, got \"2\"\n"
		"UI_PORT: expected a whole number 1 to 65535, got \"none\"\n");
}

static void test_environment_wins_over_dotenv(void **state)
{
	struct config_world *f = *state;
	config_world_file("app.env", "SERVER_PORT=1\nUI_PORT=2\nEDAV_KEY='a b'\nOTHER=file\n");
	config_world_env("SERVER_PORT", "3");
	config_world_env("OTHER", "environment");
	config_world_problems(f, "app.env", "");
	assert_int_equal(f->config->server_port, 3);
	assert_int_equal(f->config->ui_port, 2);
	assert_string_equal(config_lookup(f->config, "EDAV_KEY"), "a b");
	assert_string_equal(config_lookup(f->config, "OTHER"), "environment");
	assert_string_equal(config_lookup(f->config, "SERVER_PORT"), "3");
	assert_null(config_lookup(f->config, "SERVER_HOSTNAME"));
	assert_null(config_lookup(f->config, "NOBODY"));
	/* the environment was copied */
	config_world_env("OTHER", "later");
	config_world_env("NOBODY", "later");
	assert_string_equal(config_lookup(f->config, "OTHER"), "environment");
	assert_null(config_lookup(f->config, "NOBODY"));
}

static void test_appconf_names_the_dotenv_file(void **state)
{
	struct config_world *f = *state;
	config_world_file("app.env", "UI_PORT=1\n");
	config_world_file("other.env", "UI_PORT=2\n");
	config_world_env("DEX_APPCONF", "other.env");
	config_world_problems(f, NULL, "");
	assert_int_equal(f->config->ui_port, 2);
	config_world_problems(f, "app.env", "");
	assert_int_equal(f->config->ui_port, 1);
	config_world_problems(f, "missing.env",
		"DEX_APPCONF: cannot open missing.env: No such file or directory\n");
	config_world_file("app.env", "DEX_APPCONF=other.env\n");
	config_world_problems(f, "app.env", "app.env:1: DEX_APPCONF: cannot be set in this file\n");
}

static void test_dotenv_names_twice(void **state)
{
	struct config_world *f = *state;
	config_world_file("app.env", "UI_PORT=1\nX=1\nUI_PORT=1\nX=2\n");
	config_world_env("X", "0");
	config_world_problems(f, "app.env",
		"app.env:3: UI_PORT: already set in line 1\n"
		"app.env:4: X: already set in line 2\n");
}

static void test_unknown_dex_names(void **state)
{
	struct config_world *f = *state;
	config_world_file("app.env", "DEX_MAXSIZE=1\nDEX_Q=1\nUPLOAD_CONFIG_PHAT=x\n");
	config_world_env("DEX_THREAD", "9");
	config_world_problems(f, "app.env",
		"unknown variable DEX_THREAD (did you mean DEX_THREADS?)\n"
		"app.env:1: unknown variable DEX_MAXSIZE (did you mean DEX_MAX_SIZE?)\n"
		"app.env:2: unknown variable DEX_Q\n");
}

static void test_prod_needs_a_csrf_token(void **state)
{
	struct config_world *f = *state;
	const char *def = config_table_find("CSRF_TOKEN")->def;
	const char *problem = "CSRF_TOKEN: expected a secret of your own with ENVIRONMENT=PROD, "
			      "got the default\n";
	config_world_env("ENVIRONMENT", "PROD");
	config_world_problems(f, NULL, problem);
	config_world_env("CSRF_TOKEN", def);
	config_world_problems(f, NULL, problem);
	config_world_env("CSRF_TOKEN", "my own");
	config_world_problems(f, NULL, "");
}

static void test_places_of_upload_configs(void **state)
{
	struct config_world *f = *state;
	/* beside the data comes first, also while the upload folder is still missing */
	assert_int_equal(mkdir("data", 0700), 0);
	assert_int_equal(mkdir("data/upload-configs", 0700), 0);
	config_world_env("LOCAL_FOLDER_UPLOADS_TUS", "data/uploads");
	config_world_problems(f, NULL, "");
	assert_string_equal(f->config->upload_config_path, "data/upload-configs");
	assert_int_equal(rmdir("data/upload-configs"), 0);
	config_world_problems(f, NULL, "");
	assert_string_equal(f->config->upload_config_path, "./upload-configs");
}

static void test_missing_places_are_named(void **state)
{
	struct config_world *f = *state;
	if (access("/usr/local/share/dex-upload", F_OK) == 0 ||
		access("/usr/share/dex-upload", F_OK) == 0 || access("/etc/dex-upload", F_OK) == 0)
		skip(); /* an installed DEX Upload would be found */
	assert_int_equal(rmdir("upload-configs"), 0);
	assert_int_equal(unlink("deploy/delivery.yml"), 0);
	config_world_env("LOCAL_FOLDER_UPLOADS_TUS", "/nowhere/uploads");
	config_world_problems(f, NULL,
		"UPLOAD_CONFIG_PATH: expected a directory that exists, it is not set and there is "
		"none "
		"at /nowhere/upload-configs, ./upload-configs, /usr/local/share/dex-upload/"
		"upload-configs, /usr/share/dex-upload/upload-configs\n"
		"DEX_DELIVERY_CONFIG_FILE: expected a file that exists, it is not set and there is "
		"none "
		"at ./deploy/delivery.yml, /etc/dex-upload/delivery.yml, "
		"/usr/local/share/dex-upload/"
		"delivery.yml, /usr/share/dex-upload/delivery.yml\n");
}

static void test_configurations_elsewhere_need_no_folder(void **state)
{
	struct config_world *f = *state;
	assert_int_equal(rmdir("upload-configs"), 0);
	config_world_env("LOCAL_FOLDER_UPLOADS_TUS", "/nowhere/uploads");
	config_world_env("DEX_MANIFEST_CONFIG_BUCKET_NAME", "configs");
	config_world_problems(f, NULL, "");
}

static void test_default_places_below_odd_folders(void **state)
{
	static const struct {
		const char *folder, *db, *configs;
	} cases[] = {
		{"./uploads", "./uploads/state.db", "./upload-configs"},
		{"uploads", "uploads/state.db", "./upload-configs"},
		{"/srv/a", "/srv/a/state.db", "/srv/upload-configs"},
		{"/a", "/a/state.db", "/upload-configs"},
		{"..", "../state.db", "../../upload-configs"},
		{"a/.", "a/./state.db", "a/./../upload-configs"},
		{"/", "/state.db", "//../upload-configs"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *db =
			config_value_default(config_table_find("DEX_STATE_DB"), 0, cases[i].folder);
		char *configs = config_value_default(
			config_table_find("UPLOAD_CONFIG_PATH"), 0, cases[i].folder);
		assert_string_equal(db, cases[i].db);
		assert_string_equal(configs, cases[i].configs);
		free(db);
		free(configs);
	}
	assert_null(config_value_default(config_table_find("DEX_STATE_DB"), 1, "x"));
	assert_null(config_value_default(config_table_find("UPLOAD_CONFIG_PATH"), 4, "x"));
}

static void test_cgi_variables_of_the_request_are_not_settings(void **state)
{
	struct config_world *f = *state;
	config_world_env("GATEWAY_INTERFACE", "CGI/1.1");
	config_world_env("SERVER_PROTOCOL", "HTTP/1.1");
	config_world_env("SERVER_PORT", "8443");
	config_world_env("HTTP_EDAV_KEY", "from a client");
	config_world_env("DEX_UI", "1");
	config_world_file("app.env", "SERVER_PORT=444\n");
	config_world_problems(f, "app.env", "");
	assert_string_equal(f->config->server_protocol, "http");
	assert_int_equal(f->config->server_port, 444);
	assert_null(config_lookup(f->config, "HTTP_EDAV_KEY"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, config_world_setup, config_world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_every_field_is_set_from_its_variable),
		TEST(test_empty_stands_for_the_default_or_for_none),
		TEST(test_bad_values),
		TEST(test_good_values),
		TEST(test_all_problems_are_told_at_once),
		TEST(test_environment_wins_over_dotenv),
		TEST(test_appconf_names_the_dotenv_file),
		TEST(test_dotenv_names_twice),
		TEST(test_unknown_dex_names),
		TEST(test_prod_needs_a_csrf_token),
		TEST(test_places_of_upload_configs),
		TEST(test_missing_places_are_named),
		TEST(test_configurations_elsewhere_need_no_folder),
		TEST(test_default_places_below_odd_folders),
		TEST(test_cgi_variables_of_the_request_are_not_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
