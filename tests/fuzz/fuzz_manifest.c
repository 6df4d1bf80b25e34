/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: configuration, a line "---", manifest. The configuration answers to every name, so the
 * manifest also meets it as its own v2 counterpart. Reports of the outcome must be JSON.
 */
#include "core/base/err.h"
#include "core/dex/manifest.h"
#include "core/dex/manifest_config.h"
#include "core/dex/report.h"
#include "core/store/blob_impl.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ID "6b18cf8a-0d49-4a6e-9d0a-1f2e3d4c5b6a"
#define NOW INT64_C(1767323045123456)
#define SEPARATOR "\n---\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store whose every object is the configuration of this input. */
struct one_text {
	struct blob_store base;
	const char *text;
	size_t len;
};

static int one_stat(struct blob_store *s, const char *key, struct blob_stat *out, struct err *err)
{
	(void)key;
	(void)err;
	*out = (struct blob_stat){.size = ((struct one_text *)s)->len};
	return 0;
}

static ssize_t one_read(struct blob_store *s, const char *key, uint64_t offset, void *data,
	size_t len, struct err *err)
{
	(void)key;
	(void)offset;
	(void)err;
	const struct one_text *t = (struct one_text *)s;
	memcpy(data, t->text, len < t->len ? len : t->len);
	return (ssize_t)(len < t->len ? len : t->len);
}

static int one_list(
	struct blob_store *s, const char *prefix, blob_list_fn *fn, void *arg, struct err *err)
{
	(void)s;
	(void)prefix;
	(void)fn;
	(void)arg;
	(void)err;
	return 0;
}

static const struct blob_backend one_backend = {
	.type = "one", .stat = one_stat, .read = one_read, .list = one_list};

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return "v";
}

static void check_report(int rc, struct buf *report)
{
	json_t *parsed = rc == 0 ? json_parse(buf_str(report), report->len, NULL) : NULL;
	if (!parsed)
		abort();
	json_decref(parsed);
	buf_reset(report);
}

static void check_reports(const struct manifest_check *c)
{
	struct buf text;
	buf_init(&text, 16 << 20);
	json_t *issues = c->errors.n > 0 ? report_issue("ERROR", c->errors.items[0]) : NULL;
	struct report_head head = {.upload_id = ID,
		.manifest = c->manifest,
		.start = NOW,
		.end = NOW,
		.failure = issues != NULL,
		.issues = issues};
	check_report(report_metadata_verify(&text, &head), &text);
	check_report(report_metadata_transform(&text, &head, "t", c->hydrated), &text);
	check_report(report_upload_status(&text, &head, 0, 1), &text);
	json_decref(issues);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t sep = sizeof(SEPARATOR) - 1;
	const uint8_t *at = size ? memmem(data, size, SEPARATOR, sep) : NULL;
	if (!at)
		return 0;
	struct one_text store = {.base = {.backend = &one_backend, .name = "one"},
		.text = (const char *)data,
		.len = (size_t)(at - data)};
	/* A broken one would only be logged, input after input. */
	struct manifest_config *mc =
		manifest_config_parse("fuzz.json", store.text, store.len, NULL);
	manifest_config_unref(mc);
	if (!mc)
		return 0;
	json_t *manifest = json_parse((const char *)at + sep, size - store.len - sep, NULL);
	if (!manifest)
		return 0;
	struct manifest_configs *configs = manifest_configs_new(&store.base, lookup, NULL, 0);
	struct manifest_check c;
	struct err err;
	if (manifest_check(configs, manifest, ID, NOW, &c, &err) == 0) {
		check_reports(&c);
		manifest_check_free(&c);
	}
	manifest_configs_free(configs);
	json_decref(manifest);
	return 0;
}
