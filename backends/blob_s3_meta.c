/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_meta.h"

#include "core/base/buf.h"

#include <string.h>

#define PREFIX "x-amz-meta-"
#define PREFIX_LEN (sizeof(PREFIX) - 1)

static void leave_out(const struct blob_meta *meta, const char *key)
{
	if (!meta->left_out)
		return;
	/* A list that is full says by its end that it is not whole. */
	(void)buf_printf(meta->left_out, "%s%s", meta->left_out->len > 0 ? ", " : "", key);
}

void blob_s3_meta_leave_out(const struct blob_meta *meta)
{
	for (size_t i = 0; meta && i < meta->n; i++)
		leave_out(meta, meta->keys[i]);
}

static int add_name(struct buf *out, const char *name)
{
	int rc = 0;

	for (; rc == 0 && *name; name++) {
		unsigned char c = (unsigned char)*name;
		if (c >= 'A' && c <= 'Z')
			c = (unsigned char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-_.", c))
			rc = buf_add_char(out, (char)c);
		else
			rc = buf_printf(out, "%%%02x", c);
	}
	return rc;
}

static int add_value(struct buf *out, const char *value)
{
	int rc = 0;

	for (const char *p = value; rc == 0 && *p; p++) {
		unsigned char c = (unsigned char)*p;
		bool blank = c == ' ' && (p == value || p[1] == '\0' || p[-1] == ' ');
		if (c < 0x20 || c > 0x7e || c == '%' || blank)
			rc = buf_printf(out, "%%%02X", c);
		else
			rc = buf_add_char(out, (char)c);
	}
	return rc;
}

void blob_s3_meta_headers(const struct blob_meta *meta, struct net_headers *h)
{
	struct buf name, value;
	size_t used = 0;

	buf_init(&name, PREFIX_LEN + BLOB_S3_META_MAX);
	buf_init(&value, BLOB_S3_META_MAX);
	for (size_t i = 0; meta && i < meta->n; i++) {
		buf_reset(&name);
		buf_reset(&value);
		int rc = buf_add_str(&name, PREFIX);
		if (rc == 0)
			rc = add_name(&name, meta->keys[i]);
		if (rc == 0)
			rc = add_value(&value, meta->values[i]);
		size_t size = name.len - PREFIX_LEN + value.len;
		if (rc < 0 || name.len == PREFIX_LEN || size > BLOB_S3_META_MAX - used ||
			net_headers_get(h, buf_str(&name))) {
			leave_out(meta, meta->keys[i]);
			continue;
		}
		used += size;
		net_headers_add(h, buf_str(&name), buf_str(&value));
	}
	buf_free(&name);
	buf_free(&value);
}
