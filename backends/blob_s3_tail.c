/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/blob_s3_tail.h"

#include "backends/blob_s3_list.h"
#include "backends/blob_s3_object.h"
#include "core/base/crash.h"
#include "core/base/err.h"
#include "core/base/random.h"
#include "core/base/str.h"

#include <string.h>

#define MARK ".tail-"
#define MARK_LEN (sizeof(MARK) - 1)
#define NAME_LEN ((size_t)BLOB_S3_TOKEN_NAME - 1)

/* The key of a tail. The service refuses what is too long. */
static const char *tail_key(struct buf *b, const char *key, const char *name)
{
	buf_init(b, BLOB_KEY_MAX + MARK_LEN + NAME_LEN);
	(void)buf_printf(b, "%s" MARK "%s", key, name);
	return buf_str(b);
}

int blob_s3_tail_put(struct blob_s3_store *s, const char *key, const void *data, size_t len,
	char name[BLOB_S3_TOKEN_NAME], struct err *err)
{
	unsigned char rnd[NAME_LEN / 2];
	struct buf b;

	random_bytes(rnd, sizeof(rnd));
	str_hex(name, rnd, sizeof(rnd));
	int rc = blob_s3_object_put(s, tail_key(&b, key, name), data, len, NULL, false, err);
	buf_free(&b);
	crash_point("s3-tail-sent");
	return rc;
}

ssize_t blob_s3_tail_read(struct blob_s3_store *s, const char *key, const char *name,
	uint64_t offset, void *data, size_t len, struct err *err)
{
	struct buf b;
	ssize_t n = blob_s3_object_read(s, tail_key(&b, key, name), offset, data, len, err);

	buf_free(&b);
	return n;
}

void blob_s3_tail_del(struct blob_s3_store *s, const char *key, const char *name)
{
	struct buf b;
	struct err ignored; /* what stays goes with the object */

	if (!name[0])
		return;
	(void)blob_s3_object_del(s, tail_key(&b, key, name), &ignored);
	buf_free(&b);
}

bool blob_s3_tail_is(const char *key)
{
	size_t len = strlen(key);

	if (len <= MARK_LEN + NAME_LEN)
		return false;
	const char *mark = key + len - MARK_LEN - NAME_LEN;
	return strncmp(mark, MARK, MARK_LEN) == 0 &&
	       strspn(mark + MARK_LEN, "0123456789abcdef") == NAME_LEN;
}

struct removing {
	struct blob_s3_store *s;
	size_t len; /* of the key and the mark */
};

static int remove_one(void *arg, const struct blob_s3_list_item *item, struct err *err)
{
	const struct removing *r = arg;

	if (!blob_s3_tail_is(item->key) || strlen(item->key) != r->len + NAME_LEN)
		return 0;
	return blob_s3_object_del(r->s, item->key, err);
}

int blob_s3_tail_del_all(struct blob_s3_store *s, const char *key, struct err *err)
{
	struct buf b;
	const char *prefix = tail_key(&b, key, "");
	struct removing r = {s, strlen(prefix)};
	int rc = blob_s3_list_objects(s, prefix, remove_one, &r, err);

	buf_free(&b);
	return rc;
}
