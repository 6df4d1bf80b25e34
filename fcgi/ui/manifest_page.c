/* SPDX-License-Identifier: Apache-2.0 */
#include "fcgi/ui/manifest_page.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/dex/manifest.h"
#include "fcgi/ui/csrf.h"
#include "fcgi/ui/page.h"
#include "fcgi/ui/texts.h"
#include "fcgi/ui/ui.h"

#include <ctype.h>
#include <string.h>

#define KEY_MAX (size_t)1024
#define URL_MAX (size_t)4096
#define LABEL_MAX (size_t)1024

bool manifest_page_is_key(const char *field)
{
	return str_eq(field, "data_stream_id") || str_eq(field, "data_stream_route");
}

/* "data_producer_id" as a person writes it: "Data producer ID". */
static json_t *label_of(const char *name)
{
	struct buf label;
	const char *p = name;

	buf_init(&label, LABEL_MAX);
	while (*p) {
		size_t len = strcspn(p, "_");
		if (len == 2 && strncmp(p, "id", 2) == 0)
			(void)buf_add_str(&label, "ID");
		else
			(void)buf_add(&label, p, len);
		p += len;
		if (*p) {
			(void)buf_add_char(&label, ' ');
			p++;
		}
	}
	if (label.len > 0)
		label.data[0] = (char)toupper((unsigned char)label.data[0]);
	json_t *text = json_string(buf_str(&label));
	buf_free(&label);
	return text;
}

static bool begins_with_field(const char *text, const char *field, const char *rest)
{
	return str_starts(text, field) && str_starts(text + strlen(field), rest);
}

/* What a person is told about ${error} where it is about ${field}, else NULL. */
static const char *advice_for(const char *error, const struct manifest_field *field)
{
	if (str_starts(error, "field ") &&
		begins_with_field(error + 6, field->name, " was missing") &&
		strlen(error) == strlen(field->name) + strlen("field  was missing"))
		return "error_missing";
	if (begins_with_field(error, field->name, " had disallowed value "))
		return "error_value";
	if (manifest_is_filename(field->name) && str_starts(error, "invalid character found in "))
		return "error_name";
	return NULL;
}

static json_t *options_of(const struct manifest_field *f, const char *value)
{
	json_t *options = json_array();
	/* Where there is nothing to choose, it is chosen. */
	bool only = f->required && f->allowed[0] && !f->allowed[1];

	if (!only)
		json_array_append_new(
			options, json_pack("{s:s, s:s, s:b}", "value", "", "label",
					 texts_get("manifest_choose"), "selected", !value[0]));
	for (char **a = f->allowed; *a; a++)
		json_array_append_new(options, json_pack("{s:s, s:s, s:b}", "value", *a, "label",
						       *a, "selected", str_eq(*a, value)));
	return options;
}

static json_t *field_values(const struct manifest_page *page, const struct manifest_field *f)
{
	const char *value = json_get_str(page->typed, f->name);
	bool filename = manifest_is_filename(f->name);
	const char *advice = NULL;
	json_t *said = json_array();

	for (size_t i = 0; i < json_array_size(page->errors); i++) {
		const char *error = json_string_value(json_array_get(page->errors, i));
		const char *found = advice_for(error, f);
		if (!found)
			continue;
		advice = found;
		json_array_append_new(said, json_string(error));
	}
	json_t *values = json_pack("{s:s, s:o, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:o}", "name",
		f->name, "label", label_of(f->name), "help", f->description, "value",
		value ? value : "", "required", f->required, "filename", filename, "by_file",
		filename && page->several, "select", f->allowed != NULL, "wrong", advice != NULL,
		"said", said);
	if (advice)
		json_object_set_new(values, "advice", json_string(texts_get(advice)));
	if (f->allowed)
		json_object_set_new(values, "options", options_of(f, value ? value : ""));
	return values;
}

/* The strings of a rejection, each with the field it is about; the bare headlines are left out. */
static json_t *error_list(const struct manifest_page *page)
{
	json_t *list = json_array();

	for (size_t i = 0; i < json_array_size(page->errors); i++) {
		const char *error = json_string_value(json_array_get(page->errors, i));
		json_t *item;
		if (str_eq(error, "validation failure"))
			continue;
		item = json_pack("{s:s}", "text", error);
		for (size_t k = 0; k < page->config->nfields; k++) {
			const struct manifest_field *f = &page->config->fields[k];
			if (advice_for(error, f) && !manifest_page_is_key(f->name))
				json_object_set_new(item, "field", json_string(f->name));
		}
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *single_url(struct http_request *r, const struct manifest_page *page)
{
	struct buf url;

	buf_init(&url, URL_MAX);
	(void)buf_printf(&url, "%s/manifest?data_stream_id=", r->prefix);
	(void)str_percent_encode(&url, page->stream_id, "");
	(void)buf_add_str(&url, "&data_stream_route=");
	(void)str_percent_encode(&url, page->stream_route, "");
	json_t *text = json_string(buf_str(&url));
	buf_free(&url);
	return text;
}

void manifest_page_send(struct http_request *r, int status, const struct manifest_page *page)
{
	char token[CSRF_TOKEN_SIZE];
	json_t *fields = json_array();
	json_t *errors = error_list(page);
	bool has_errors = json_array_size(errors) > 0 || page->retry || page->too_long;

	csrf_issue(r, token);
	for (size_t i = 0; i < page->config->nfields; i++) {
		const struct manifest_field *f = &page->config->fields[i];
		if (!manifest_page_is_key(f->name))
			json_array_append_new(fields, field_values(page, f));
	}
	json_t *values = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o, s:o, s:o}",
		"csrf_token", token, "stream_id", page->stream_id, "stream_route",
		page->stream_route, "several", page->several, "retry", page->retry, "too_long",
		page->too_long, "has_errors", has_errors, "errors", errors, "fields", fields,
		"single_url", single_url(r, page));
	page_send(r, status, "manifest", has_errors ? "manifest_title_error" : "manifest_title",
		values);
}

void manifest_page_unknown(struct http_request *r, const struct manifest_errors *errors)
{
	json_t *list = json_array();

	for (size_t i = 0; i < errors->n; i++)
		json_array_append_new(list, json_string(errors->items[i]));
	page_send(r, 404, "unknown", "unknown_title", json_pack("{s:o}", "errors", list));
	r->code = "ERR_UNKNOWN_STREAM";
}

/* The key as the configuration writes it: files are found without regard to case, values are not.
 */
static const char *spelled(
	const struct manifest_config *config, const char *field, const char *typed)
{
	for (size_t i = 0; i < config->nfields; i++) {
		const struct manifest_field *f = &config->fields[i];
		for (char **a = f->allowed; a && str_eq(f->name, field) && *a; a++) {
			if (str_eq_ci(*a, typed))
				return *a;
		}
	}
	return typed;
}

void manifest_page_get(struct http_request *r)
{
	struct manifest_errors errors = {0};
	const struct manifest_config *config;
	struct buf id, route, several;

	buf_init(&id, KEY_MAX);
	buf_init(&route, KEY_MAX);
	buf_init(&several, KEY_MAX);
	(void)http_query(r, "data_stream_id", &id);
	(void)http_query(r, "data_stream_route", &route);
	(void)http_query(r, "several", &several);
	switch (manifest_find(
		r->app->manifests, buf_str(&id), buf_str(&route), &config, &errors, r->err)) {
	case 1: {
		struct manifest_page page = {
			.stream_id = spelled(config, "data_stream_id", buf_str(&id)),
			.stream_route = spelled(config, "data_stream_route", buf_str(&route)),
			.config = config,
			.several = str_eq(buf_str(&several), "1"),
		};
		manifest_page_send(r, 200, &page);
		manifest_config_unref(config);
		break;
	}
	case 0:
		manifest_page_unknown(r, &errors);
		break;
	default:
		page_error(r, r->err);
		break;
	}
	manifest_errors_free(&errors);
	buf_free(&several);
	buf_free(&route);
	buf_free(&id);
}
