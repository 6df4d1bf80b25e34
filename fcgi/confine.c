/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/confine.h"

#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/dex/routing.h"
#include "core/net/uri.h"
#include "core/store/blob_impl.h"
#include "fcgi/sandbox.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sanitizers write their findings where they like, and look at the process with ptrace. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

struct rules {
	struct sandbox_rule *items;
	size_t n;
	char **paths; /* owned, as many as items */
};

static void add(struct rules *r, const char *path, size_t len, enum sandbox_access access)
{
	r->items = mem_array(r->items, r->n + 1, sizeof(*r->items));
	r->paths = mem_array(r->paths, r->n + 1, sizeof(*r->paths));
	r->paths[r->n] = mem_strndup(path, len);
	r->items[r->n] = (struct sandbox_rule){r->paths[r->n], access};
	r->n++;
}

static void free_rules(struct rules *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->paths[i]);
	free(r->paths);
	free(r->items);
}

static void add_path(struct rules *r, const char *path, enum sandbox_access access)
{
	if (path && *path)
		add(r, path, strlen(path), access);
}

/* What cannot be made is told by whoever needs it. */
static void add_own_folder(struct rules *r, const char *path)
{
	if (!path || !*path)
		return;
	(void)fsio_mkdirs(path, false, NULL);
	add_path(r, path, SANDBOX_WRITE);
}

/* The folder of ${file}: it may be replaced, or has others beside it. */
static void add_folder_of(struct rules *r, const char *file, enum sandbox_access access, bool make)
{
	const char *slash = file ? strrchr(file, '/') : NULL;

	if (!file || !*file)
		return;
	if (!slash || slash == file)
		add_path(r, slash ? "/" : ".", access);
	else
		add(r, file, (size_t)(slash - file), access);
	if (make)
		(void)fsio_mkdirs(r->paths[r->n - 1], false, NULL);
}

static void add_system(struct rules *r)
{
	static const char *const readable[] = {/* libraries and what they are set up by */
		"/usr", "/lib", "/lib64", "/etc", "/var/lib/ca-certificates",
		/* where /etc/resolv.conf may lead to */
		"/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
		/* where containers get their keys and tokens */
		"/run/secrets", "/var/run/secrets",
		/* counters of processes, number of processors */
		"/proc", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random", "/dev/zero"};

	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
		add_path(r, readable[i], SANDBOX_READ);
	add_path(r, "/dev/null", SANDBOX_WRITE);
	/* OpenSSL's own variables */
	add_folder_of(r, getenv("SSL_CERT_FILE"), SANDBOX_READ, false);
	add_path(r, getenv("SSL_CERT_DIR"), SANDBOX_READ);
}

static void add_folders(struct rules *r, const struct config *c)
{
	add_own_folder(r, c->upload_folder);
	add_own_folder(r, c->reports_folder);
	add_own_folder(r, c->events_folder);
	add_folder_of(r, c->state_db, SANDBOX_WRITE, true);
	add_folder_of(r, c->metrics_file, SANDBOX_WRITE, true);
	/* A log is opened anew after it was renamed; what is no file stays what it is. */
	if (str_starts(c->log_dest, "/dev/") || str_starts(c->log_dest, "/proc/"))
		add_path(r, c->log_dest, SANDBOX_WRITE);
	else if (!str_eq(c->log_dest, "stderr") && !str_eq(c->log_dest, "syslog"))
		add_folder_of(r, c->log_dest, SANDBOX_WRITE, false);
	add_path(r, c->upload_config_path, SANDBOX_READ);
	add_path(r, c->delivery_file, SANDBOX_READ);
	add_folder_of(r, config_in_force(c, "DEX_CA_FILE"), SANDBOX_READ, false);
}

/*
 * ${path} may be missing until it is first delivered to, or vanish and come back: what is allowed
 * holds for a folder above it.
 */
static void add_target(struct rules *r, const char *path)
{
	struct stat st;
	char *at = mem_strdup(path);
	char *slash;

	do {
		slash = strrchr(at, '/');
		if (!slash || slash == at)
			break;
		*slash = '\0';
	} while (stat(at, &st) < 0);
	/* Not the whole tree, unless it lies right there. */
	if (slash && slash != at)
		add_path(r, at, SANDBOX_LIST);
	else
		add_path(r, stat(path, &st) == 0 ? path : slash ? "/" : ".", SANDBOX_LIST);
	free(at);
}

static bool names_file(const char *key)
{
	size_t n = strlen(key);

	return n > 5 && str_eq(key + n - 5, "_file");
}

/* ${file}: a key, token or certificate; "~/" is the home folder. */
static void add_key_file(struct rules *r, const char *file)
{
	const char *home = getenv("HOME");
	struct buf path;

	if (!file || !str_starts(file, "~/") || !home) {
		add_folder_of(r, file, SANDBOX_READ, false);
		return;
	}
	buf_init(&path, 4096);
	if (buf_printf(&path, "%s/%s", home, file + 2) == 0)
		add_folder_of(r, buf_str(&path), SANDBOX_READ, false);
	buf_free(&path);
}

/* Certificates and key for Redis stand in its address: …?ca_file=PATH&cert_file=PATH, with %XX. */
static void add_redis(struct rules *r, const struct config *c)
{
	const char *address = config_in_force(c, "REDIS_CONNECTION_STRING");
	const char *at = address ? strchr(address, '?') : NULL;
	struct buf path;

	for (at = at ? strstr(at, "_file=") : NULL; at; at = strstr(at, "_file=")) {
		at += strlen("_file=");
		buf_init(&path, 4096);
		/* What is malformed is told by whoever connects. */
		if (uri_decode(&path, at, strcspn(at, "&")) == 0)
			add_folder_of(r, buf_str(&path), SANDBOX_READ, false);
		buf_free(&path);
	}
}

/* Files that the object stores read keys from, by their options and by their variables. */
static void add_stores(struct rules *r, const struct config *c, const struct app_backends *b,
	const struct routing *routing)
{
	for (size_t i = 0; b->blob[i]; i++) {
		for (const struct blob_option_spec *o = b->blob[i]->options; o->key; o++) {
			if (o->env && names_file(o->key))
				add_key_file(r, config_in_force(c, o->env));
		}
	}
	add_key_file(r, "~/.aws/credentials");
	for (size_t i = 0; routing && i < routing->ntargets; i++) {
		const struct routing_target *t = &routing->targets[i];
		for (size_t k = 0; k < t->noptions; k++) {
			if (names_file(t->options[k].key))
				add_key_file(r, t->options[k].value);
			else if (t->backend == b->blob[0] && str_eq(t->options[k].key, "path"))
				add_target(r, t->options[k].value);
		}
	}
}

static void tell(const struct sandbox_state *s, bool cgi)
{
	bool complete = s->landlock > 0 && s->seccomp;

	if (cgi && complete)
		return;
	LOG(complete ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "sandbox", log_int("landlock", s->landlock),
		log_str("seccomp", s->seccomp ? "yes" : "no"), log_str("no_new_privs", "yes"));
	if (!cgi && geteuid() == 0)
		LOG(LOG_LEVEL_WARN, "runs as root: give it a user of its own", log_int("uid", 0));
}

int confine_enter(
	const struct config *c, const struct app_backends *backends, bool cgi, struct err *err)
{
	struct rules rules = {0};
	struct sandbox_state state;
	bool required = str_eq(c->sandbox, "on");

	if (str_eq(c->sandbox, "off") || (SANITIZED && !required))
		return 0;
	/* What is wrong with it is told when it is read to be used. */
	struct routing *routing =
		routing_load(c->delivery_file, backends->blob, config_lookup, (void *)c, NULL);
	add_system(&rules);
	add_folders(&rules, c);
	add_stores(&rules, c, backends, routing);
	add_redis(&rules, c);
	int rc = sandbox_enter(rules.items, rules.n, required, &state, err);
	if (rc < 0)
		err_prefix(err, "DEX_SANDBOX=on");
	else
		tell(&state, cgi);
	routing_free(routing);
	free_rules(&rules);
	return rc;
}
