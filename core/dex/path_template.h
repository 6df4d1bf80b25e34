/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_DEX_PATH_TEMPLATE_H
#define DEX_DEX_PATH_TEMPLATE_H

#include "core/base/buf.h"

#include <stdint.h>

/*
 * Path templates of delivery targets: "{{.Year}}/{{.Month}}/{{.Filename}}_{{.UploadId}}". Compiled
 * once; an unknown placeholder is an error then, not at three in the morning.
 */

struct err;
struct path_template;

#define PATH_TEMPLATE_DEFAULT "{{.Year}}/{{.Month}}/{{.Day}}/{{.Filename}}"

struct path_template_values {
	int64_t ingest_time; /* microseconds: Year Month Day Hour (UTC) */
	const char *upload_id;
	const char *filename; /* with its extension */
	const char *data_stream_id;
	const char *data_stream_route;
};

/* At most 1,024 bytes of template. NULL + ${err} that names placeholder and column. */
struct path_template *path_template_compile(const char *text, struct err *err);
void path_template_free(struct path_template *t); /* NULL is fine */
/*
 * Fill in ${v} and append the file name's extension. The result is a valid blob key; one that would
 * leave the target ("..", absolute, empty segment or name) is ERR_INVALID.
 */
int path_template_expand(const struct path_template *t, const struct path_template_values *v,
	struct buf *out, struct err *err);
/* "a/b.csv" -> "a/b_ID.csv": the name taken when "a/b.csv" exists already. */
int path_template_with_id(const char *path, const char *upload_id, struct buf *out);

#endif
