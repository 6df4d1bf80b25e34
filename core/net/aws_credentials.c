/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/aws_credentials.h"

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/aws_credentials_impl.h"
#include "core/net/http.h"
#include "core/net/renewal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REGION "us-east-1"
#define PROFILE "default"
#define SESSION_NAME "dex-upload"
#define METADATA "http://169.254.169.254"
#define LOCAL_CONNECT_MS 1000
#define PATH_MAX_BYTES 4096
#define URL_MAX 512

struct aws_credentials {
	struct aws_credentials_options o; /* copies; NULL: not given */
	char *credentials_file;           /* NULL: none */
	char *config_file;
	struct net_http *http;  /* borrowed */
	struct net_http *local; /* for services of this machine: no proxy, short waits */
	struct renewal *renewal;
	bool metadata_worked; /* of the thread that fetches */

	pthread_mutex_t lock; /* all below */
	bool loaded;
	struct aws_profile profile;
	struct aws_file_stamp credentials_stamp, config_stamp;
	char *region; /* NULL: not asked for so far; it stays the same then */
};

/* Where in struct aws_credentials_options the strings are, and which variables hold them. */
#define FIELD(name, ...)                                               \
	{                                                              \
		offsetof(struct aws_credentials_options, name), #name, \
		{                                                      \
			__VA_ARGS__                                    \
		}                                                      \
	}
static const struct {
	size_t offset;
	const char *key;
	const char *variables[3]; /* the first that is set counts; ends with NULL */
} fields[] = {
	FIELD(access_key_id, "AWS_ACCESS_KEY_ID"),
	FIELD(secret_access_key, "AWS_SECRET_ACCESS_KEY"),
	FIELD(session_token, "AWS_SESSION_TOKEN"),
	FIELD(region, "AWS_REGION", "AWS_DEFAULT_REGION"),
	FIELD(profile, "AWS_PROFILE"),
	FIELD(credentials_file, "AWS_SHARED_CREDENTIALS_FILE"),
	FIELD(config_file, "AWS_CONFIG_FILE"),
	FIELD(home, "HOME"),
	FIELD(web_identity_token_file, "AWS_WEB_IDENTITY_TOKEN_FILE"),
	FIELD(role_arn, "AWS_ROLE_ARN"),
	FIELD(role_session_name, "AWS_ROLE_SESSION_NAME"),
	FIELD(sts_endpoint, "AWS_ENDPOINT_URL_STS"),
	FIELD(container_uri, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI"),
	FIELD(container_token, "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
	FIELD(container_token_file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
	FIELD(metadata_endpoint, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),
	FIELD(metadata_disabled, "AWS_EC2_METADATA_DISABLED"),
};
#undef FIELD
#define NFIELDS (sizeof fields / sizeof fields[0])
_Static_assert(NFIELDS * sizeof(char *) == sizeof(struct aws_credentials_options),
	"a field of the options is not in the list");

static char **field_of(const struct aws_credentials_options *o, size_t i)
{
	return (char **)((char *)o + fields[i].offset);
}

void aws_credentials_options_read(
	struct aws_credentials_options *o, aws_credentials_option_fn *get, void *arg)
{
	for (size_t i = 0; i < NFIELDS; i++) {
		const char *value = NULL;
		for (const char *const *v = fields[i].variables; *v && !(value && *value); v++)
			value = get(arg, fields[i].key, *v);
		*field_of(o, i) = (char *)(uintptr_t)value;
	}
}

/* ${path} with its "~/", or HOME/.aws/NAME. */
static char *file_path(const char *path, const char *home, const char *name)
{
	struct buf b;
	bool in_home = !path || str_starts(path, "~/");
	if (in_home && !home)
		return NULL;
	buf_init(&b, PATH_MAX_BYTES);
	if (in_home)
		(void)buf_printf(&b, "%s/", home);
	if (path)
		(void)buf_add_str(&b, in_home ? path + 2 : path);
	else
		(void)buf_printf(&b, ".aws/%s", name);
	/* No system has a file of so long a name. */
	if (b.overflow)
		buf_reset(&b);
	return buf_take(&b);
}

static void *fetch(void *arg, int64_t *expires_at, struct err *err);
static void copy_keys(const void *value, void *out);
static void drop_keys(void *value);
static const struct renewal_ops ops = {fetch, copy_keys, drop_keys};

struct aws_credentials *aws_credentials_new_timed(const struct aws_credentials_options *o,
	struct net_http *http, const struct renewal_times *times)
{
	struct aws_credentials *c = mem_zalloc(sizeof *c);
	for (size_t i = 0; i < NFIELDS; i++) {
		const char *s = *field_of(o, i);
		*field_of(&c->o, i) = s && s[0] ? mem_strdup(s) : NULL;
	}
	if (!c->o.profile)
		c->o.profile = mem_strdup(PROFILE);
	if (!c->o.metadata_endpoint)
		c->o.metadata_endpoint = mem_strdup(METADATA);
	c->credentials_file = file_path(c->o.credentials_file, c->o.home, "credentials");
	c->config_file = file_path(c->o.config_file, c->o.home, "config");
	c->http = http;
	c->local = net_http_new(&(struct net_http_options){.connect_ms = LOCAL_CONNECT_MS});
	c->renewal = renewal_new(&ops, c, times);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

struct aws_credentials *aws_credentials_new(
	const struct aws_credentials_options *o, struct net_http *http)
{
	return aws_credentials_new_timed(o, http, NULL);
}

void aws_credentials_free(struct aws_credentials *c)
{
	if (!c)
		return;
	renewal_free(c->renewal);
	net_http_free(c->local);
	aws_credentials_file_free(&c->profile);
	pthread_mutex_destroy(&c->lock);
	for (size_t i = 0; i < NFIELDS; i++)
		mem_free_secret(*field_of(&c->o, i));
	free(c->credentials_file);
	free(c->config_file);
	free(c->region);
	free(c);
}

void aws_keys_free(struct aws_keys *k)
{
	mem_free_secret(k->access_key_id);
	mem_free_secret(k->secret_access_key);
	mem_free_secret(k->session_token);
	*k = (struct aws_keys){0};
}

static void copy_keys(const void *value, void *out)
{
	const struct aws_keys *k = value;
	*(struct aws_keys *)out = (struct aws_keys){
		.access_key_id = mem_strdup(k->access_key_id),
		.secret_access_key = mem_strdup(k->secret_access_key),
		.session_token = mem_strdup(k->session_token),
		.expires_at = k->expires_at,
	};
}

static void drop_keys(void *value)
{
	aws_keys_free(value);
	free(value);
}

/* Read the files where they have changed. The lock is held. */
static int load(struct aws_credentials *c, struct err *err)
{
	bool changed = aws_credentials_file_changed(c->credentials_file, &c->credentials_stamp);
	changed = aws_credentials_file_changed(c->config_file, &c->config_stamp) || changed;
	if (c->loaded && !changed)
		return 0;
	c->loaded = false;
	aws_credentials_file_free(&c->profile);
	if (aws_credentials_file_load(
		    c->credentials_file, c->config_file, c->o.profile, &c->profile, err) < 0)
		return -1;
	c->loaded = true;
	/* What was fetched may have been for another role. */
	renewal_reset(c->renewal);
	/* A name that was given and is nowhere is a slip; other keys would be a surprise. */
	if (!c->profile.found && !str_eq(c->o.profile, PROFILE)) {
		c->loaded = false;
		return err_set(err, ERR_DENIED, __func__,
			"AWS profile %.64s is in neither %.120s nor %.120s", c->o.profile,
			c->credentials_file ? c->credentials_file : "~/.aws/credentials",
			c->config_file ? c->config_file : "~/.aws/config");
	}
	return 0;
}

/* The lock is held. */
static const char *region(struct aws_credentials *c)
{
	if (c->region)
		return c->region;
	const char *found = c->o.region;
	/* What is wrong with the files is told with the keys. */
	if (!found && load(c, NULL) == 0)
		found = c->profile.region;
	c->region = mem_strdup(found ? found : REGION);
	return c->region;
}

const char *aws_credentials_region(struct aws_credentials *c)
{
	pthread_mutex_lock(&c->lock);
	const char *r = region(c);
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int sts_endpoint(struct aws_credentials *c, struct buf *out)
{
	const char *r = aws_credentials_region(c);
	if (c->o.sts_endpoint)
		return buf_add_str(out, c->o.sts_endpoint);
	/* A token goes to the host that this makes. */
	if (strspn(r, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(r))
		return -1;
	return buf_printf(
		out, "https://sts.%s.amazonaws.com%s", r, str_starts(r, "cn-") ? ".cn" : "");
}

static int fetch_web_identity(struct aws_credentials *c, const struct aws_profile *p,
	struct aws_keys *out, struct err *err)
{
	bool of_profile = p->web_identity_token_file;
	const char *name = of_profile ? p->role_session_name : NULL;
	struct aws_web_identity w = {
		.token_file =
			of_profile ? p->web_identity_token_file : c->o.web_identity_token_file,
		.role_arn = of_profile ? p->role_arn : c->o.role_arn,
	};
	if (!name)
		name = c->o.role_session_name;
	w.session_name = name ? name : SESSION_NAME;
	if (!w.role_arn)
		return err_set(err, ERR_INVALID, __func__, "%s is given without %s",
			of_profile ? "web_identity_token_file" : "AWS_WEB_IDENTITY_TOKEN_FILE",
			of_profile ? "role_arn" : "AWS_ROLE_ARN");
	struct buf url;
	buf_init(&url, URL_MAX);
	int rc = sts_endpoint(c, &url);
	if (rc < 0)
		err_set(err, ERR_INVALID, __func__, "the region has no valid name");
	w.endpoint = buf_str(&url);
	if (rc == 0)
		rc = aws_credentials_remote_web_identity(c->http, &w, out, err);
	buf_free(&url);
	return rc;
}

/* The last place. Where it has never had any, the text tells all places that were looked at. */
static int fetch_metadata(struct aws_credentials *c, struct aws_keys *out, struct err *err)
{
	struct err why = {.code = ERR_NONE};
	bool off = c->o.metadata_disabled && str_eq_ci(c->o.metadata_disabled, "true");
	if (!off &&
		aws_credentials_remote_metadata(c->local, c->o.metadata_endpoint, out, &why) == 0) {
		c->metadata_worked = true;
		return 0;
	}
	if (c->metadata_worked) {
		if (err)
			*err = why;
		return -1;
	}
	return err_set(err, ERR_DENIED, __func__,
		"no AWS credentials in AWS_ACCESS_KEY_ID, profile %.32s of %.64s and %.64s, "
		"AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_FULL_URI, "
		"metadata service (%.100s)",
		c->o.profile, c->credentials_file ? c->credentials_file : "~/.aws/credentials",
		c->config_file ? c->config_file : "~/.aws/config", off ? "disabled" : why.text);
}

/* Without TLS it is a service of this machine, which no proxy may stand before. */
static struct net_http *container_client(const struct aws_credentials *c)
{
	return str_starts(c->o.container_uri, "https:") ? c->http : c->local;
}

static void *fetch(void *arg, int64_t *expires_at, struct err *err)
{
	struct aws_credentials *c = arg;
	struct aws_profile p = {0};
	struct aws_keys keys = {0};
	int rc;
	pthread_mutex_lock(&c->lock);
	p.role_arn = mem_strdup(c->profile.role_arn);
	p.role_session_name = mem_strdup(c->profile.role_session_name);
	p.web_identity_token_file = mem_strdup(c->profile.web_identity_token_file);
	pthread_mutex_unlock(&c->lock);
	if (p.web_identity_token_file || c->o.web_identity_token_file)
		rc = fetch_web_identity(c, &p, &keys, err);
	else if (c->o.container_uri)
		rc = aws_credentials_remote_container(container_client(c), c->o.container_uri,
			c->o.container_token, c->o.container_token_file, &keys, err);
	else
		rc = fetch_metadata(c, &keys, err);
	aws_credentials_file_free(&p);
	if (rc < 0)
		return NULL;
	struct aws_keys *out = mem_alloc(sizeof *out);
	*out = keys;
	*expires_at = keys.expires_at;
	return out;
}

/* 1: ${out} is filled; 0: the profile has no keys. */
static int get_from_files(struct aws_credentials *c, struct aws_keys *out, struct err *err)
{
	pthread_mutex_lock(&c->lock);
	int rc = load(c, err);
	if (rc == 0 && c->profile.access_key_id) {
		*out = (struct aws_keys){
			.access_key_id = mem_strdup(c->profile.access_key_id),
			.secret_access_key = mem_strdup(c->profile.secret_access_key),
			.session_token = mem_strdup(c->profile.session_token),
		};
		rc = 1;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int aws_credentials_get(struct aws_credentials *c, struct aws_keys *out, struct err *err)
{
	*out = (struct aws_keys){0};
	if (!c->o.access_key_id != !c->o.secret_access_key)
		return err_set(err, ERR_INVALID, __func__, "%s is given without %s",
			c->o.access_key_id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			c->o.access_key_id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (c->o.access_key_id) {
		*out = (struct aws_keys){
			.access_key_id = mem_strdup(c->o.access_key_id),
			.secret_access_key = mem_strdup(c->o.secret_access_key),
			.session_token = mem_strdup(c->o.session_token),
		};
		return 0;
	}
	int rc = get_from_files(c, out, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return renewal_get(c->renewal, out, err);
}

void aws_credentials_refused(struct aws_credentials *c)
{
	/* Given keys, and those of files, are what they are; files are looked at each time. */
	(void)renewal_refused(c->renewal);
}
