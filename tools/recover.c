/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/recover.h"

#include "core/app.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/store/blob.h"
#include "core/store/sidecar.h"
#include "core/tus/upload.h"
#include "tools/stop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDERS 256

struct found { /* in one folder */
	char (*ids)[UUID_SIZE];
	size_t n;
};

static void add(struct found *f, const char *id)
{
	f->ids = mem_array(f->ids, f->n + 1, sizeof(*f->ids));
	str_copy(f->ids[f->n++], UUID_SIZE, id);
}

/* Data and description of an upload make its id come twice. */
static int see_key(void *arg, const char *key, const struct blob_stat *st)
{
	const char *slash = strrchr(key, '/');
	const char *name = slash ? slash + 1 : key;
	char id[UUID_SIZE];

	(void)st;
	if (sidecar_is(key, id))
		add(arg, id);
	else if (str_is_uuid(name))
		add(arg, name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int list_folder(struct app *a, unsigned folder, struct found *out, struct err *err)
{
	char id[UUID_SIZE];
	struct buf key;

	snprintf(id, sizeof(id), "%02x000000-0000-4000-8000-000000000000", folder);
	buf_init(&key, BLOB_KEY_MAX);
	int rc = app_upload_key(a, id, &key, err);
	if (rc == 0) {
		*strrchr(key.data, '/') = '\0';
		rc = blob_list(a->uploads, key.data, see_key, out, err);
	}
	buf_free(&key);
	if (out->n > 1)
		qsort(out->ids, out->n, sizeof(*out->ids), by_name);
	return rc;
}

static int recover_folder(struct app *a, unsigned folder, bool dry_run,
	size_t counts[RECOVERY_COUNT], struct err *err)
{
	struct found f = {0};
	int rc = list_folder(a, folder, &f, err);

	for (size_t i = 0; rc == 0 && i < f.n && !stop_asked(NULL); i++) {
		enum upload_recovery r;
		if (i > 0 && str_eq(f.ids[i], f.ids[i - 1]))
			continue;
		rc = upload_recover(a, f.ids[i], dry_run, &r, err);
		if (rc == 0)
			counts[r]++;
	}
	free(f.ids);
	return rc;
}

int recover_uploads(struct app *a, bool dry_run, struct err *err)
{
	size_t counts[RECOVERY_COUNT] = {0};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < FOLDERS && !stop_asked(NULL); i++)
		rc = recover_folder(a, i, dry_run, counts, err);
	printf("%s: %zu whole uploads (their deliveries are due), %zu unfinished ones\n",
		dry_run ? "would register" : "registered", counts[RECOVERY_WHOLE],
		counts[RECOVERY_UNFINISHED]);
	printf("left alone: %zu known already, %zu that cannot be gone on with, %zu without "
	       "description\n",
		counts[RECOVERY_KNOWN], counts[RECOVERY_LOST], counts[RECOVERY_UNDESCRIBED]);
	return rc;
}
