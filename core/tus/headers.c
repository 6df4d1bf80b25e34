/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tus/headers.h"

#include "core/base/digest.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

int headers_number(const char *name, const char *value, int64_t *out, struct err *err)
{
	uint64_t n;

	if (str_to_u64(value, INT64_MAX, &n) < 0)
		return err_set(err, ERR_INVALID, __func__,
			"%s must be a whole number from 0 to 9223372036854775807", name);
	*out = (int64_t)n;
	return 0;
}

int headers_defer_length(const char *value, struct err *err)
{
	if (strcmp(value, "1") != 0)
		return err_set(err, ERR_INVALID, __func__, "Upload-Defer-Length must be 1");
	return 0;
}

static bool key_is_valid(const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)key[i];
		if (c <= ' ' || c > '~')
			return false;
	}
	return len > 0;
}

/* One "KEY" or "KEY BASE64" pair of ${len} bytes into ${out}. */
static int parse_pair(json_t *out, const char *pair, size_t len, size_t number, struct err *err)
{
	const char *space = memchr(pair, ' ', len);
	size_t key_len = space ? (size_t)(space - pair) : len;
	size_t b64_len = space ? len - key_len - 1 : 0;
	char *key = NULL;
	unsigned char *value = NULL;
	int rc = -1;

	if (!key_is_valid(pair, key_len)) {
		err_set(err, ERR_INVALID, __func__,
			"Upload-Metadata: pair %zu has no valid key (ASCII, no space, no comma)",
			number);
		return -1;
	}
	key = mem_strndup(pair, key_len);
	value = mem_alloc(b64_len / 4 * 3 + 1);
	ssize_t n = str_base64_decode(space ? space + 1 : "", b64_len, value);
	if (n < 0)
		err_set(err, ERR_INVALID, __func__,
			"Upload-Metadata: the value of pair %zu (%.64s) is not Base64", number,
			key);
	else if (memchr(value, '\0', (size_t)n) || !str_is_utf8((char *)value, (size_t)n))
		err_set(err, ERR_INVALID, __func__,
			"Upload-Metadata: the value of pair %zu (%.64s) is not UTF-8 text", number,
			key);
	else if (json_object_get(out, key))
		err_set(err, ERR_INVALID, __func__,
			"Upload-Metadata: the key of pair %zu (%.64s) stands there twice", number,
			key);
	else
		rc = json_object_set_new(out, key, json_stringn((char *)value, (size_t)n));
	mem_wipe(value, b64_len / 4 * 3);
	free(value);
	free(key);
	return rc;
}

json_t *headers_metadata(const char *value, struct err *err)
{
	json_t *out = json_object();
	size_t number = 0;

	if (!value || !*value)
		return out;
	if (strlen(value) > TUS_METADATA_MAX) {
		err_set(err, ERR_INVALID, __func__, "Upload-Metadata is longer than %d bytes",
			TUS_METADATA_MAX);
		goto fail;
	}
	for (const char *p = value; p; number++) {
		/* RFC 9110 list syntax: white space may stand around the commas, which also is what
		 * a front end makes of two header lines. */
		p += strspn(p, " \t");
		const char *comma = strchr(p, ',');
		size_t len = comma ? (size_t)(comma - p) : strlen(p);
		const char *next = comma ? comma + 1 : NULL;
		while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
			len--;
		if (number == TUS_METADATA_KEYS_MAX) {
			err_set(err, ERR_INVALID, __func__,
				"Upload-Metadata has more than %d pairs", TUS_METADATA_KEYS_MAX);
			goto fail;
		}
		if (parse_pair(out, p, len, number + 1, err) < 0)
			goto fail;
		p = next;
	}
	return out;
fail:
	json_decref(out);
	return NULL;
}

int headers_checksum(const char *value, struct headers_checksum *out, struct err *err)
{
	const char *space = strchr(value, ' ');
	size_t name_len = space ? (size_t)(space - value) : 0;
	size_t b64_len = space ? strlen(space + 1) : 0;
	/* Longest sum is 64 bytes: 88 characters, of which the decoder may write 66 bytes. */
	unsigned char sum[96];

	if (name_len == 0 || name_len >= sizeof(out->algorithm) || b64_len > 96)
		return err_set(err, ERR_INVALID, __func__,
			"Upload-Checksum must be an algorithm, one space and the sum in Base64");
	memcpy(out->algorithm, value, name_len);
	out->algorithm[name_len] = '\0';
	size_t want = digest_size(out->algorithm);
	if (want == 0)
		return err_set(err, ERR_INVALID, __func__,
			"Upload-Checksum: unknown algorithm; known are %s", digest_names());
	ssize_t n = str_base64_decode(space + 1, b64_len, sum);
	if (n < 0 || (size_t)n != want)
		return err_set(err, ERR_INVALID, __func__,
			"Upload-Checksum: a %s sum is %zu bytes in Base64", out->algorithm, want);
	memcpy(out->sum, sum, want);
	out->len = want;
	return 0;
}

/* The id at the end of a part's URL, which must be ".../TUS_PATH" + id, perhaps behind
 * scheme://host. */
static int part_id(
	const char *url, size_t len, const char *tus_path, char id[UUID_SIZE], struct err *err)
{
	size_t base_len = strlen(tus_path);
	const size_t id_len = UUID_SIZE - 1;

	if (len < base_len + id_len)
		goto unknown;
	const char *tail = url + len - id_len;
	memcpy(id, tail, id_len);
	id[id_len] = '\0';
	if (!str_is_uuid(id) || memcmp(tail - base_len, tus_path, base_len) != 0)
		goto unknown;
	/* Before the path only an origin and a mount prefix may stand; a dot segment leads
	 * elsewhere. */
	const char *head_end = tail - base_len;
	for (const char *p = url; p + 1 < head_end; p++) {
		if (p[0] == '.' && p[1] == '.')
			goto unknown;
	}
	return 0;
unknown:
	return err_set(err, ERR_NOT_FOUND, __func__,
		"Upload-Concat names an upload that does not exist here");
}

int headers_concat(
	const char *value, const char *tus_path, struct headers_concat *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (strcmp(value, "partial") == 0) {
		out->kind = CONCAT_PARTIAL;
		return 0;
	}
	if (!str_starts(value, "final;"))
		return err_set(err, ERR_INVALID, __func__,
			"Upload-Concat must be \"partial\" or \"final;URL URL ...\"");
	out->kind = CONCAT_FINAL;
	const char *p = value + strlen("final;");
	for (p += strspn(p, " "); *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		if (out->nparts == TUS_PARTS_MAX) {
			err_set(err, ERR_INVALID, __func__,
				"Upload-Concat names more than %d parts", TUS_PARTS_MAX);
			goto fail;
		}
		if (out->nparts % 16 == 0)
			out->parts = mem_array(out->parts, out->nparts + 16, UUID_SIZE);
		if (part_id(p, len, tus_path, out->parts[out->nparts], err) < 0)
			goto fail;
		out->nparts++;
		p += len;
	}
	if (out->nparts == 0) {
		err_set(err, ERR_INVALID, __func__,
			"Upload-Concat: a final upload needs its parts");
		goto fail;
	}
	return 0;
fail:
	headers_concat_free(out);
	return -1;
}

void headers_concat_free(struct headers_concat *c)
{
	free(c->parts);
	memset(c, 0, sizeof(*c));
}
