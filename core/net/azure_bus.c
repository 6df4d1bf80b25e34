/* SPDX-License-Identifier: Apache-2.0 */
#include "core/net/azure_bus.h"

#include "core/base/clock.h"
#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/azure_parts.h"
#include "core/net/loopback.h"
#include "core/net/uri.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENTITY_MAX 260 /* characters of a path; a topic's name with its folders */
#define URL_MAX ((size_t)16 << 10)
#define TOKEN_MAX ((size_t)32 << 10)
#define LIFE_S 3600
#define EARLY_S 300

enum part { ENDPOINT, KEY_NAME, KEY, SIGNATURE, ENTITY, EMULATOR, NPARTS };
static const char *const part_names[NPARTS] = {
	[ENDPOINT] = "Endpoint",
	[KEY_NAME] = "SharedAccessKeyName",
	[KEY] = "SharedAccessKey",
	[SIGNATURE] = "SharedAccessSignature",
	[ENTITY] = "EntityPath",
	[EMULATOR] = "UseDevelopmentEmulator",
};

struct azure_bus {
	char *url;
	char *key_name;
	char *key;
	char *given;           /* the connection string's own signature */
	pthread_mutex_t mutex; /* for the two below */
	char *token;
	int64_t token_ends; /* seconds */
};

static int add_url(struct buf *out, const char *scheme, const char *rest, struct err *err)
{
	(void)buf_printf(out, "%s%s", scheme, rest);
	return out->overflow ? err_set(err, ERR_INVALID, __func__,
				       "the connection string's Endpoint is too long")
			     : 0;
}

/* http or https URL of the name space, from "sb://HOST/" and the like. */
static int set_endpoint(char *const *parts, struct uri *u, struct err *err)
{
	const char *text = parts[ENDPOINT];
	bool emulator = false;
	struct buf b;

	if (parts[EMULATOR] && str_to_bool(parts[EMULATOR], &emulator) < 0)
		return err_set(err, ERR_INVALID, __func__,
			"the connection string's UseDevelopmentEmulator is neither true nor false");
	if (!text)
		return err_set(err, ERR_INVALID, __func__, "the connection string has no Endpoint");
	buf_init(&b, URL_MAX);
	int rc = str_starts(text, "sb://")
			 ? add_url(&b, emulator ? "http://" : "https://", text + 5, err)
			 : add_url(&b, "", text, err);
	if (rc == 0 && uri_parse(buf_str(&b), u, err) < 0) {
		err_prefix(err, "the connection string's Endpoint");
		rc = -1;
	}
	buf_free(&b);
	if (rc != 0)
		return -1;
	if (!u->tls && !loopback_is(u->host))
		return err_set(err, ERR_INVALID, __func__,
			"the connection string's Endpoint must be an sb or https URL: signatures "
			"are sent there");
	if (u->path[0] || u->query[0])
		return err_set(
			err, ERR_INVALID, __func__, "the connection string's Endpoint has a path");
	return 0;
}

/* Names of queues and topics may have folders. */
static int check_entity(const char *name, struct err *err)
{
	size_t len = strlen(name);
	bool ok = len > 0 && len <= ENTITY_MAX && name[0] != '/' && name[len - 1] != '/' &&
		  !strstr(name, "//") && !strpbrk(name, "?#@*\\");

	for (const char *p = name; ok && *p; p += strcspn(p, "/"), p += *p == '/') {
		size_t n = strcspn(p, "/");
		ok = !(n == 1 && p[0] == '.') && !(n == 2 && p[0] == '.' && p[1] == '.');
	}
	return ok ? 0 : err_set(err, ERR_INVALID, __func__, "no name of a queue or topic");
}

static int set_url(struct azure_bus *b, const struct uri *u, char *const *parts, const char *entity,
	struct err *err)
{
	struct buf url;

	if (!entity || !*entity)
		entity = parts[ENTITY];
	if (!entity)
		return err_set(err, ERR_INVALID, __func__,
			"neither a queue nor a topic is named, nor does the connection string have "
			"an EntityPath");
	if (parts[ENTITY] && !str_eq_ci(entity, parts[ENTITY]))
		return err_set(err, ERR_INVALID, __func__,
			"the connection string is for another queue or topic (EntityPath)");
	if (check_entity(entity, err) < 0)
		return -1;
	buf_init(&url, URL_MAX);
	uri_origin(u, &url);
	buf_add_char(&url, '/');
	/* Cannot overflow: both are bounded. */
	uri_encode_path(&url, entity);
	b->url = buf_take(&url);
	return 0;
}

static int set_key(struct azure_bus *b, char **parts, struct err *err)
{
	if (parts[SIGNATURE] && str_starts(parts[SIGNATURE], "SharedAccessSignature ")) {
		b->given = mem_strdup(parts[SIGNATURE]);
		return 0;
	}
	if (parts[SIGNATURE])
		return err_set(err, ERR_INVALID, __func__,
			"the connection string's SharedAccessSignature does not begin with that "
			"word and a blank");
	if (!parts[KEY_NAME] || !parts[KEY])
		return err_set(err, ERR_INVALID, __func__, "the connection string has no %s",
			parts[KEY] ? part_names[KEY_NAME] : part_names[KEY]);
	b->key_name = mem_strdup(parts[KEY_NAME]);
	b->key = mem_strdup(parts[KEY]);
	return 0;
}

struct azure_bus *azure_bus_new(const char *text, const char *entity, struct err *err)
{
	struct azure_bus *b = mem_zalloc(sizeof(*b));
	struct uri u = {0};
	char *parts[NPARTS];

	pthread_mutex_init(&b->mutex, NULL);
	int rc = azure_parts_split(text, strlen(text), part_names, parts, NPARTS, err);
	if (rc == 0)
		rc = set_endpoint(parts, &u, err);
	if (rc == 0)
		rc = set_key(b, parts, err);
	if (rc == 0)
		rc = set_url(b, &u, parts, entity, err);
	uri_free(&u);
	azure_parts_free(parts, NPARTS);
	if (rc == 0)
		return b;
	azure_bus_free(b);
	return NULL;
}

void azure_bus_free(struct azure_bus *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->mutex);
	mem_free_secret(b->token);
	mem_free_secret(b->given);
	mem_free_secret(b->key);
	free(b->key_name);
	free(b->url);
	free(b);
}

const char *azure_bus_url(const struct azure_bus *b)
{
	return b->url;
}

int azure_bus_signature(
	const char *url, const char *key_name, const char *key, int64_t expires_at, struct buf *out)
{
	unsigned char mac[DIGEST_SHA256_SIZE];
	struct buf text, sum;

	buf_init(&text, TOKEN_MAX);
	buf_init_secret(&sum, 64);
	(void)uri_encode(&text, url);
	(void)buf_add_str(out, "SharedAccessSignature sr=");
	(void)buf_add_str(out, buf_str(&text));
	(void)buf_printf(&text, "\n%lld", (long long)expires_at);
	/* The key is taken as it is written, though it looks like Base64. */
	digest_hmac_sha256(key, strlen(key), text.data, text.len, mac);
	(void)str_base64_encode(&sum, mac, sizeof(mac));
	(void)buf_add_str(out, "&sig=");
	(void)uri_encode(out, buf_str(&sum));
	(void)buf_printf(out, "&se=%lld&skn=", (long long)expires_at);
	(void)uri_encode(out, key_name);
	bool full = text.overflow || out->overflow;
	buf_free(&sum);
	buf_free(&text);
	return full ? -1 : 0;
}

static int renew_token(struct azure_bus *b, int64_t now_s, struct err *err)
{
	struct buf token;

	buf_init_secret(&token, TOKEN_MAX);
	if (azure_bus_signature(b->url, b->key_name, b->key, now_s + LIFE_S, &token) < 0) {
		buf_free(&token);
		return err_set(err, ERR_IO, __func__, "a signature is too long");
	}
	mem_free_secret(b->token);
	b->token = buf_take(&token);
	b->token_ends = now_s + LIFE_S;
	return 0;
}

int azure_bus_sign(void *arg, struct net_request *r, int64_t now, struct err *err)
{
	struct azure_bus *b = arg;
	int64_t now_s = now / CLOCK_US_PER_S;
	int rc = 0;

	if (b->given) {
		net_headers_set(&r->headers, "Authorization", b->given);
		return 0;
	}
	pthread_mutex_lock(&b->mutex);
	/* Also where the clock was set back: one that ends too far ahead is refused. */
	if (!b->token || now_s >= b->token_ends - EARLY_S || now_s < b->token_ends - LIFE_S)
		rc = renew_token(b, now_s, err);
	if (rc == 0)
		net_headers_set(&r->headers, "Authorization", b->token);
	pthread_mutex_unlock(&b->mutex);
	return rc;
}
