/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/manifest_world.h"

#include "backends/registry.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "tests/lib/blob_fault.h"
#include "tests/lib/blob_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *lookup(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return NULL;
}

int manifest_world_setup(void **state)
{
	static struct manifest_world w;
	w.store = blob_open(&blob_memory_backend, "memory", NULL, 0, true, NULL);
	assert_non_null(w.store);
	w.front = blob_fault_open(w.store);
	assert_non_null(w.front);
	w.configs = manifest_configs_new(w.front, lookup, NULL, 0);
	*state = &w;
	return 0;
}

int manifest_world_teardown(void **state)
{
	manifest_world_close(*state);
	return 0;
}

void manifest_world_anew(struct manifest_world *w)
{
	manifest_configs_free(w->configs);
	w->configs = manifest_configs_new(w->front, lookup, NULL, 0);
}

void manifest_world_open_shipped(struct manifest_world *w)
{
	const struct blob_option opt = {"path", "upload-configs"};
	struct err err = {0};
	*w = (struct manifest_world){0};
	w->front = blob_open(registry_find_blob("file"), "configs", &opt, 1, false, &err);
	if (!w->front)
		fail_msg("upload-configs: %s", err.text);
	w->configs = manifest_configs_new(w->front, lookup, NULL, 0);
}

void manifest_world_close(struct manifest_world *w)
{
	manifest_configs_free(w->configs);
	blob_close(w->front);
}

json_t *manifest_world_object(const char *text)
{
	struct err err = {0};
	json_t *o = json_parse(text, strlen(text), &err);
	if (!o)
		fail_msg("%s: %s", text, err.text);
	return o;
}

void manifest_world_errors(
	const struct manifest_errors *e, const char *const *want, const char *what)
{
	size_t n = 0;
	while (want[n])
		n++;
	for (size_t i = 0; i < n && i < e->n; i++) {
		if (!str_eq(e->items[i], want[i]))
			fail_msg("%s: error %zu is \"%s\", not \"%s\"", what, i, e->items[i],
				want[i]);
	}
	if (n != e->n)
		fail_msg("%s: %zu errors, not %zu; first: %s", what, e->n, n,
			e->n ? e->items[0] : "-");
}

void manifest_world_check(
	struct manifest_world *w, const char *manifest, struct manifest_check *out)
{
	json_t *m = manifest_world_object(manifest);
	json_t *before = json_deep_copy(m);
	struct err err = {0};
	if (manifest_check(w->configs, m, ID, NOW, out, &err) < 0)
		fail_msg("%s: %s", manifest, err.text);
	assert_true(json_equal(m, before));
	json_decref(before);
	json_decref(m);
	assert_string_equal(json_get_str(out->manifest, "upload_id"), ID);
	assert_string_equal(json_get_str(out->manifest, "dex_ingest_datetime"), NOW_TEXT);
}

void manifest_world_rows(struct manifest_world *w, const struct manifest_world_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct manifest_check c;
		manifest_world_check(w, rows[i].manifest, &c);
		manifest_world_errors(&c.errors, rows[i].want, rows[i].manifest);
		manifest_check_free(&c);
	}
}
