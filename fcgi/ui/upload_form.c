/* SPDX-License-Identifier: Apache-2.0 */
#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/manifest.h"
#include "fcgi/ui/csrf.h"
#include "fcgi/ui/form.h"
#include "fcgi/ui/manifest_page.h"
#include "fcgi/ui/page.h"
#include "fcgi/ui/ui.h"

#include <stdio.h>
#include <string.h>

/*
 * POST /upload: the details of a file become an upload whose length is not known yet. A script may
 * ask for JSON: 201 {"id":…,"status_url":…}, or {"error":CODE} with "validation_errors" where the
 * details were refused.
 */

static bool wants_json(struct http_request *r)
{
	const char *accept = http_header(r, "Accept");

	return accept && str_starts(accept, "application/json");
}

static void fail_json(struct http_request *r, int status, const char *code, json_t *errors)
{
	json_t *body = json_pack("{s:s}", "error", code);

	if (errors)
		json_object_set(body, "validation_errors", errors);
	http_json(r, status, body);
	r->code = code;
	json_decref(body);
}

/* The form, or NULL: answered. The caller decrefs. */
static json_t *read_form(struct http_request *r)
{
	int status;
	json_t *form = form_read(r, &status);

	if (form)
		return form;
	if (wants_json(r))
		fail_json(r, status, "ERR_INVALID_FORM", NULL);
	else
		page_message(r, status, "form_title", "form_text");
	r->code = "ERR_INVALID_FORM";
	return NULL;
}

/* The value without the blanks around it that people paste along; "": nothing was typed. */
static json_t *trimmed(const char *value)
{
	static const char blanks[] = " \t\r\n";
	size_t len;

	value += strspn(value, blanks);
	len = strlen(value);
	while (len > 0 && strchr(blanks, value[len - 1]))
		len--;
	return json_stringn(value, len);
}

/* What the sender says of the file: the two keys, and each field that was filled in. */
static json_t *manifest_of(const json_t *form, const struct manifest_page *page)
{
	json_t *manifest = json_object();

	json_object_set_new(manifest, "data_stream_id", json_string(page->stream_id));
	json_object_set_new(manifest, "data_stream_route", json_string(page->stream_route));
	for (size_t i = 0; i < page->config->nfields; i++) {
		const char *name = page->config->fields[i].name;
		const char *typed = manifest_page_is_key(name) ? NULL : json_get_str(form, name);
		json_t *value = typed ? trimmed(typed) : NULL;
		if (json_string_length(value) > 0)
			json_object_set(manifest, name, value);
		json_decref(value);
	}
	return manifest;
}

/* The manifest as an Upload-Metadata header: a client of the API sees the upload as if it were its
 * own. -1: longer than such a header may be. */
static int encode(const json_t *manifest, struct buf *out)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)manifest, key, value) {
		(void)buf_printf(out, "%s%s ", out->len > 0 ? "," : "", key);
		(void)str_base64_encode(out, json_string_value(value), json_string_length(value));
	}
	return out->overflow ? -1 : 0;
}

static void answer_created(struct http_request *r, const struct upload *up)
{
	char path[UUID_SIZE + 16];

	str_copy(r->upload_id, sizeof(r->upload_id), up->id);
	(void)snprintf(path, sizeof(path), "/status/%s", up->id);
	if (wants_json(r)) {
		json_t *body = json_pack("{s:s}", "id", up->id);
		struct buf url;
		buf_init(&url, 4096);
		(void)buf_printf(&url, "%s%s", r->prefix, path);
		json_object_set_new(body, "status_url", json_string(buf_str(&url)));
		http_json(r, 201, body);
		buf_free(&url);
		json_decref(body);
	} else {
		page_redirect(r, path);
	}
}

static void answer_rejected(
	struct http_request *r, struct manifest_page *page, const struct upload_rejection *why)
{
	json_t *errors = json_object_get(why->body, "validation_errors");

	page->errors = errors;
	if (wants_json(r))
		fail_json(r, 400, "ERR_INVALID_MANIFEST", errors);
	else
		manifest_page_send(r, 400, page);
	r->code = "ERR_INVALID_MANIFEST";
	page->errors = NULL;
}

static void create(struct http_request *r, const json_t *form, struct manifest_page *page)
{
	struct headers_concat concat = {.kind = CONCAT_NONE};
	struct upload_rejection rejection = {0};
	json_t *manifest = manifest_of(form, page);
	struct buf header;
	struct upload up;

	buf_init(&header, TUS_METADATA_MAX);
	if (encode(manifest, &header) < 0) {
		page->too_long = true;
		if (wants_json(r))
			fail_json(r, 400, "ERR_INVALID_METADATA", NULL);
		else
			manifest_page_send(r, 400, page);
		r->code = "ERR_INVALID_METADATA";
		goto out;
	}
	struct upload_request request = {
		.length = UPLOAD_LENGTH_UNKNOWN,
		.metadata_header = buf_str(&header),
		.metadata = manifest,
		.concat = &concat,
		.owner = r->identity.subject,
	};
	if (upload_create(r->app, &request, &up, &rejection, r->err) == 0) {
		answer_created(r, &up);
		upload_free(&up);
	} else if (rejection.body) {
		answer_rejected(r, page, &rejection);
	} else if (wants_json(r)) {
		http_error(r, r->err);
		fail_json(r, r->status, r->code, NULL);
	} else {
		page_error(r, r->err);
	}
	json_decref(rejection.body);
out:
	buf_free(&header);
	json_decref(manifest);
}

/* The form's token is no good: what was typed comes back with a new one. */
static void refuse(struct http_request *r, struct manifest_page *page)
{
	if (wants_json(r)) {
		fail_json(r, 403, "ERR_CSRF", NULL);
	} else {
		page->retry = true;
		manifest_page_send(r, 403, page);
	}
	r->code = "ERR_CSRF";
}

void upload_form_post(struct http_request *r)
{
	struct manifest_errors errors = {0};
	json_t *form = read_form(r);
	const char *id = json_get_str(form, "data_stream_id");
	const char *route = json_get_str(form, "data_stream_route");
	struct manifest_page page = {
		.stream_id = id,
		.stream_route = route,
		.typed = form,
		.several = str_eq(json_get_str(form, "several"), "1"),
	};

	if (!form)
		return;
	bool genuine = csrf_check(r, json_get_str(form, CSRF_FIELD));
	switch (manifest_find(r->app->manifests, id, route, &page.config, &errors, r->err)) {
	case 1:
		if (genuine)
			create(r, form, &page);
		else
			refuse(r, &page);
		manifest_config_unref(page.config);
		break;
	case 0:
		if (!genuine)
			page_message(r, 403, "csrf_h1", "csrf_plain");
		else
			manifest_page_unknown(r, &errors);
		break;
	default:
		page_error(r, r->err);
		break;
	}
	manifest_errors_free(&errors);
	json_decref(form);
}
