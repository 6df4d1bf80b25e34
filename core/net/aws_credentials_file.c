/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/fsio.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/net/aws_credentials_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLANKS " \t"

struct parser {
	const char *path;
	size_t line;
	char *section;   /* NULL before the first */
	bool in_setting; /* one was seen in this section */
	size_t indent;   /* of that setting */
	aws_credentials_setting_fn *fn;
	void *arg;
};

static int fault(const struct parser *p, const char *what, struct err *err)
{
	return err_set(err, ERR_INVALID, __func__, "%s line %zu: %s", p->path, p->line, what);
}

static size_t trim_end(char *s, size_t len)
{
	while (len > 0 && strchr(BLANKS, s[len - 1]))
		len--;
	s[len] = '\0';
	return len;
}

/* A comment behind a value needs a blank before it. */
static void cut_comment(char *s)
{
	for (char *p = s; *p; p++) {
		if ((*p == '#' || *p == ';') && (p == s || strchr(BLANKS, p[-1]))) {
			*p = '\0';
			return;
		}
	}
}

static int take_section(struct parser *p, const char *s, struct err *err)
{
	const char *end = strchr(s, ']');
	if (!end)
		return fault(p, "a section without \"]\"", err);
	const char *rest = end + 1 + strspn(end + 1, BLANKS);
	if (*rest && *rest != '#' && *rest != ';')
		return fault(p, "text behind a section", err);
	s += 1 + strspn(s + 1, BLANKS);
	free(p->section);
	p->section = mem_strndup(s, s < end ? (size_t)(end - s) : 0);
	(void)trim_end(p->section, strlen(p->section));
	p->in_setting = false;
	return 0;
}

static int take_setting(struct parser *p, char *s, struct err *err)
{
	char *eq = strchr(s, '=');
	if (!eq || eq == s)
		return fault(p, "expected NAME = VALUE", err);
	if (!p->section)
		return fault(p, "a setting before the first section", err);
	char *value = eq + 1 + strspn(eq + 1, BLANKS);
	cut_comment(value);
	(void)trim_end(value, strlen(value));
	(void)trim_end(s, (size_t)(eq - s));
	str_lower(s);
	return p->fn(p->arg, p->section, s, value, err);
}

/* ${s}: a line without its end, NUL-terminated. */
static int take_line(struct parser *p, char *s, struct err *err)
{
	size_t indent = strspn(s, BLANKS);
	char *text = s + indent;
	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (*text == '[')
		return take_section(p, text, err);
	if (p->in_setting && indent > p->indent)
		return 0;
	p->in_setting = true;
	p->indent = indent;
	return take_setting(p, text, err);
}

int aws_credentials_file_parse(const char *path, const char *text, size_t len,
	aws_credentials_setting_fn *fn, void *arg, struct err *err)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct parser p = {.path = path, .fn = fn, .arg = arg};
	char line[AWS_FILE_LINE_MAX + 1];
	const char *end = text + len;
	int rc = 0;
	if (len > AWS_FILE_MAX)
		return err_set(err, ERR_INVALID, __func__, "%s is longer than 64 KiB", path);
	if (len >= 3 && memcmp(text, bom, 3) == 0)
		text += 3;
	while (rc == 0 && text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);
		p.line++;
		if (n > 0 && text[n - 1] == '\r')
			n--;
		if (n > AWS_FILE_LINE_MAX) {
			rc = fault(&p, "longer than 4 KiB", err);
		} else if (memchr(text, '\0', n)) {
			rc = fault(&p, "a NUL byte", err);
		} else {
			memcpy(line, text, n);
			line[n] = '\0';
			rc = take_line(&p, line, err);
		}
		text = nl ? nl + 1 : end;
	}
	mem_wipe(line, sizeof line);
	free(p.section);
	return rc;
}

enum setting {
	ACCESS_KEY_ID,
	SECRET_ACCESS_KEY,
	SESSION_TOKEN,
	REGION,
	ROLE_ARN,
	ROLE_SESSION_NAME,
	WEB_IDENTITY_TOKEN_FILE,
	/* ways to keys that are not offered */
	CREDENTIAL_PROCESS,
	CREDENTIAL_SOURCE,
	SOURCE_PROFILE,
	SSO_SESSION,
	SSO_START_URL,
	NSETTINGS
};
static const char *const setting_names[NSETTINGS] = {
	[ACCESS_KEY_ID] = "aws_access_key_id",
	[SECRET_ACCESS_KEY] = "aws_secret_access_key",
	[SESSION_TOKEN] = "aws_session_token",
	[REGION] = "region",
	[ROLE_ARN] = "role_arn",
	[ROLE_SESSION_NAME] = "role_session_name",
	[WEB_IDENTITY_TOKEN_FILE] = "web_identity_token_file",
	[CREDENTIAL_PROCESS] = "credential_process",
	[CREDENTIAL_SOURCE] = "credential_source",
	[SOURCE_PROFILE] = "source_profile",
	[SSO_SESSION] = "sso_session",
	[SSO_START_URL] = "sso_start_url",
};

struct collected {
	const char *profile;
	bool config; /* sections are called "profile NAME" */
	bool found;
	char *values[NSETTINGS]; /* NULL: not there, or empty */
};

static void free_collected(struct collected *c)
{
	for (int i = 0; i < NSETTINGS; i++)
		mem_free_secret(c->values[i]);
}

static bool is_profile(const struct collected *c, const char *section)
{
	if (!c->config)
		return str_eq(section, c->profile);
	if (str_eq(section, "default"))
		return str_eq(c->profile, "default");
	if (!str_starts(section, "profile") || !section[7] || !strchr(BLANKS, section[7]))
		return false;
	section += 7 + strspn(section + 7, BLANKS);
	/* A name with blanks may stand in quotes. */
	size_t n = strlen(section);
	if (n >= 2 && section[0] == '"' && section[n - 1] == '"')
		return strlen(c->profile) == n - 2 && memcmp(section + 1, c->profile, n - 2) == 0;
	return str_eq(section, c->profile);
}

static int collect(
	void *arg, const char *section, const char *name, const char *value, struct err *err)
{
	struct collected *c = arg;
	(void)err;
	if (!is_profile(c, section))
		return 0;
	c->found = true;
	for (int i = 0; i < NSETTINGS; i++) {
		if (str_eq(name, setting_names[i])) {
			mem_free_secret(c->values[i]);
			c->values[i] = value[0] ? mem_strdup(value) : NULL;
		}
	}
	return 0;
}

static int read_one(const char *path, struct collected *c, struct err *err)
{
	struct buf text;
	struct stat st;
	/* Also where a home directory may not be entered: there is nothing for us then. */
	if (!path || stat(path, &st) != 0)
		return 0;
	buf_init_secret(&text, AWS_FILE_MAX);
	int rc = fsio_read_file(path, &text, err);
	if (rc == 0)
		rc = aws_credentials_file_parse(path, buf_str(&text), text.len, collect, c, err);
	buf_free(&text);
	if (rc == 0 && !c->values[ACCESS_KEY_ID] != !c->values[SECRET_ACCESS_KEY]) {
		bool id = c->values[ACCESS_KEY_ID];
		rc = err_set(err, ERR_INVALID, __func__, "%s: profile %.64s has %s without %s",
			path, c->profile, setting_names[id ? ACCESS_KEY_ID : SECRET_ACCESS_KEY],
			setting_names[id ? SECRET_ACCESS_KEY : ACCESS_KEY_ID]);
	}
	return rc;
}

static void move(char **to, struct collected *from, enum setting s)
{
	if (*to)
		return;
	*to = from->values[s];
	from->values[s] = NULL;
}

static void merge(struct aws_profile *p, struct collected *c)
{
	p->found = p->found || c->found;
	if (!p->access_key_id && c->values[ACCESS_KEY_ID]) {
		move(&p->access_key_id, c, ACCESS_KEY_ID);
		move(&p->secret_access_key, c, SECRET_ACCESS_KEY);
		move(&p->session_token, c, SESSION_TOKEN);
	}
	move(&p->region, c, REGION);
	move(&p->role_arn, c, ROLE_ARN);
	move(&p->role_session_name, c, ROLE_SESSION_NAME);
	move(&p->web_identity_token_file, c, WEB_IDENTITY_TOKEN_FILE);
}

/* What the profile asks for instead of keys and is not offered, or NULL. */
static const char *unsupported(const struct collected *a, const struct collected *b)
{
	for (int i = CREDENTIAL_PROCESS; i < NSETTINGS; i++) {
		if (a->values[i] || b->values[i])
			return setting_names[i];
	}
	return NULL;
}

int aws_credentials_file_load(const char *credentials_file, const char *config_file,
	const char *profile, struct aws_profile *out, struct err *err)
{
	struct collected credentials = {.profile = profile};
	struct collected config = {.profile = profile, .config = true};
	*out = (struct aws_profile){0};
	int rc = read_one(credentials_file, &credentials, err);
	if (rc == 0)
		rc = read_one(config_file, &config, err);
	if (rc == 0) {
		const char *other = unsupported(&credentials, &config);
		merge(out, &credentials);
		merge(out, &config);
		/* Keys beside a role are those to assume it with, not to use as they are. */
		bool role = out->role_arn && !out->web_identity_token_file;
		if (role && !other)
			other = "role_arn without web_identity_token_file";
		if (other && (role || (!out->access_key_id && !out->web_identity_token_file)))
			rc = err_set(err, ERR_UNSUPPORTED, __func__,
				"profile %.64s uses %s, which is not supported", profile, other);
	}
	free_collected(&credentials);
	free_collected(&config);
	if (rc < 0)
		aws_credentials_file_free(out);
	return rc;
}

void aws_credentials_file_free(struct aws_profile *p)
{
	mem_free_secret(p->access_key_id);
	mem_free_secret(p->secret_access_key);
	mem_free_secret(p->session_token);
	free(p->region);
	free(p->role_arn);
	free(p->role_session_name);
	free(p->web_identity_token_file);
	*p = (struct aws_profile){0};
}

bool aws_credentials_file_changed(const char *path, struct aws_file_stamp *s)
{
	struct aws_file_stamp now = {0};
	struct stat st;
	if (path && stat(path, &st) == 0) {
		now.inode = st.st_ino;
		now.size = st.st_size;
		now.changed_ns =
			(int64_t)st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	}
	bool changed =
		now.inode != s->inode || now.size != s->size || now.changed_ns != s->changed_ns;
	*s = now;
	return changed;
}
