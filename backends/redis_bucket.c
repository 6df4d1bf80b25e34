/* SPDX-License-Identifier: Apache-2.0 */
#include "backends/redis_bucket.h"

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdlib.h>
#include <string.h>

#define BASE_MAX 1024

int redis_buckets_init(struct redis_buckets *b, const char *prefix, struct err *err)
{
	bool fits = true;

	for (unsigned i = 0; i < REDIS_BUCKETS; i++) {
		struct buf name;
		buf_init(&name, BASE_MAX);
		fits = buf_printf(&name, "%s:{%x}:", prefix, i) == 0 && fits;
		b->bases[i] = buf_take(&name);
	}
	return fits ? 0 : err_set(err, ERR_INVALID, __func__, "the prefix of keys is too long");
}

void redis_buckets_free(struct redis_buckets *b)
{
	for (unsigned i = 0; i < REDIS_BUCKETS; i++) {
		free(b->bases[i]);
		b->bases[i] = NULL;
	}
}

unsigned redis_bucket_of(const char *upload_id)
{
	char c = upload_id[0];
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 0;
}

void redis_bucket_keys(
	const struct redis_buckets *b, unsigned bucket, struct redis_arg keys[static 2])
{
	keys[0] = redis_arg_str(b->bases[bucket]);
	keys[1] = (struct redis_arg){keys[0].data, keys[0].len - 1};
}
