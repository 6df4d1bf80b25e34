/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_azure_meta.h"

#include "core/base/str.h"

#include <stdbool.h>
#include <string.h>

#define META_PREFIX "x-ms-meta-"
#define META_MAX ((size_t)8 << 10) /* names and values of a blob */

static const char hex[] = "0123456789ABCDEF";

static bool is_letter(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

int blob_azure_meta_name(struct buf *out, const char *key)
{
	if (!*key)
		return -1;
	for (const char *p = key; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (is_letter(c) || (c == '_' && p[1] != 'x') || (is_digit(c) && p > key)) {
			buf_add_char(out, *p);
			continue;
		}
		char group[5] = {'_', 'x', hex[c >> 4], hex[c & 15], '_'};
		buf_add(out, group, sizeof(group));
	}
	return out->overflow ? -1 : 0;
}

int blob_azure_meta_value(struct buf *out, const char *value)
{
	for (const char *p = value; *p; p++) {
		unsigned char c = (unsigned char)*p;
		bool edge = c == ' ' && (p == value || p[-1] == ' ' || p[1] == '\0');
		if (c >= ' ' && c < 0x7f && c != '%' && !edge) {
			buf_add_char(out, *p);
			continue;
		}
		char code[3] = {'%', hex[c >> 4], hex[c & 15]};
		buf_add(out, code, sizeof(code));
	}
	return out->overflow ? -1 : 0;
}

static void leave_out(const struct blob_meta *meta, const char *key)
{
	if (!meta->left_out)
		return;
	if (meta->left_out->len > 0)
		buf_add_str(meta->left_out, ", ");
	buf_add_str(meta->left_out, key);
}

void blob_azure_meta_headers(struct net_headers *h, const struct blob_meta *meta)
{
	size_t used = 0;
	struct buf name, value;

	if (!meta)
		return;
	buf_init(&name, sizeof(META_PREFIX) + META_MAX);
	buf_init(&value, META_MAX);
	for (size_t i = 0; i < meta->n; i++) {
		buf_reset(&name);
		buf_reset(&value);
		buf_add_str(&name, META_PREFIX);
		if (blob_azure_meta_name(&name, meta->keys[i]) < 0 ||
			blob_azure_meta_value(&value, meta->values[i]) < 0 || value.len == 0 ||
			name.len - (sizeof(META_PREFIX) - 1) + value.len > META_MAX - used ||
			net_headers_get(h, buf_str(&name))) {
			leave_out(meta, meta->keys[i]);
			continue;
		}
		used += name.len - (sizeof(META_PREFIX) - 1) + value.len;
		net_headers_add(h, buf_str(&name), buf_str(&value));
	}
	buf_free(&name);
	buf_free(&value);
}
