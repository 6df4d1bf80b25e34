/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_token.h"

#include "core/base/digest.h"
#include "core/base/str.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 8
#define NAME_LEN (BLOB_S3_TOKEN_NAME - 1)

struct field {
	const char *text;
	size_t len;
};

static bool is(const struct field *f, const char *text)
{
	return f->len == strlen(text) && memcmp(f->text, text, f->len) == 0;
}

/* Fields between single spaces; the number of them, 0 for malformed ones. */
static size_t split(const char *text, struct field out[FIELDS])
{
	size_t n = 0;

	for (;;) {
		size_t len = strcspn(text, " ");
		if (n == FIELDS || len == 0)
			return 0;
		out[n++] = (struct field){text, len};
		if (text[len] == '\0')
			return n;
		text += len + 1;
	}
}

/* Canonical: no leading zeros, so that equal tokens are equal texts. */
static int get_number(const struct field *f, uint64_t max, uint64_t *out)
{
	if (f->len > 1 && f->text[0] == '0')
		return -1;
	return str_to_u64_n(f->text, f->len, max, out);
}

/* 32 lower-case hex digits. */
static int get_hex(const struct field *f, char out[BLOB_S3_TOKEN_NAME])
{
	if (f->len != NAME_LEN)
		return -1;
	for (size_t i = 0; i < NAME_LEN; i++) {
		char c = f->text[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return -1;
		out[i] = c;
	}
	out[NAME_LEN] = '\0';
	return 0;
}

static int get_name(const struct field *f, char out[BLOB_S3_TOKEN_NAME])
{
	out[0] = '\0';
	return is(f, "-") ? 0 : get_hex(f, out);
}

int blob_s3_token_check_upload(const char *id)
{
	size_t len = strlen(id);

	if (len == 0 || len > BLOB_S3_TOKEN_UPLOAD_MAX || strcmp(id, "-") == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (id[i] <= 0x20 || id[i] > 0x7e)
			return -1;
	}
	return 0;
}

void blob_s3_token_init(struct blob_s3_token *t)
{
	*t = (struct blob_s3_token){0};
	memset(t->chain, '0', NAME_LEN);
}

static int parse_parts(const struct field f[FIELDS], struct blob_s3_token *t)
{
	uint64_t parts;

	if (!is(&f[1], "-")) {
		if (f[1].len > BLOB_S3_TOKEN_UPLOAD_MAX)
			return -1;
		memcpy(t->upload, f[1].text, f[1].len);
		t->upload[f[1].len] = '\0';
		if (blob_s3_token_check_upload(t->upload) < 0)
			return -1;
	}
	if (get_number(&f[2], BLOB_S3_TOKEN_PARTS_MAX, &parts) < 0 ||
		get_number(&f[3], INT64_MAX, &t->bytes) < 0 || get_hex(&f[4], t->chain) < 0 ||
		get_name(&f[5], t->tail) < 0 || get_number(&f[6], INT64_MAX, &t->tail_len) < 0 ||
		get_name(&f[7], t->old_tail) < 0)
		return -1;
	t->parts = (uint32_t)parts;
	bool some = t->parts > 0;
	if ((t->upload[0] != '\0') != some || (t->bytes > 0) != some)
		return -1;
	if ((t->tail[0] != '\0') != (t->tail_len > 0) || t->tail_len > INT64_MAX - t->bytes)
		return -1;
	return 0;
}

int blob_s3_token_parse(const char *text, struct blob_s3_token *out)
{
	struct field f[FIELDS];

	blob_s3_token_init(out);
	if (strnlen(text, BLOB_S3_TOKEN_MAX) == BLOB_S3_TOKEN_MAX)
		return -1;
	size_t n = split(text, f);
	if (n == 0 || !is(&f[0], "1"))
		return -1;
	if (n == 3 && is(&f[1], "whole")) {
		out->whole = 1;
		return get_number(&f[2], INT64_MAX, &out->bytes);
	}
	return n == FIELDS ? parse_parts(f, out) : -1;
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

void blob_s3_token_write(const struct blob_s3_token *t, char out[BLOB_S3_TOKEN_MAX])
{
	if (t->whole) {
		snprintf(out, BLOB_S3_TOKEN_MAX, "1 whole %llu", (unsigned long long)t->bytes);
		return;
	}
	snprintf(out, BLOB_S3_TOKEN_MAX, "1 %s %u %llu %s %s %llu %s", or_dash(t->upload),
		(unsigned)t->parts, (unsigned long long)t->bytes, t->chain, or_dash(t->tail),
		(unsigned long long)t->tail_len, or_dash(t->old_tail));
}

void blob_s3_token_chain(
	char chain[BLOB_S3_TOKEN_NAME], uint32_t number, uint64_t size, const char *etag)
{
	unsigned char sum[DIGEST_SHA256_SIZE];
	char text[256];
	int len = snprintf(text, sizeof(text), "%s %u %llu %.128s", chain, (unsigned)number,
		(unsigned long long)size, etag);

	digest_sha256(text, (size_t)len, sum);
	str_hex(chain, sum, NAME_LEN / 2);
}
