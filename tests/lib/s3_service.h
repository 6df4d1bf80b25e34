/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_S3_SERVICE_H
#define DEX_TEST_S3_SERVICE_H

#include <stdbool.h>

/*
 * The S3 service that tests may use: DEX_TEST_S3 holds its endpoint, a bucket that exists, an
 * access key and its secret, separated by spaces. Without it such tests are skipped.
 */
struct blob_store;
struct err;

bool s3_service_there(void);
/*
 * A store called ${name} in ${folder} of the bucket; NULL: in a new folder with a random name.
 * ${part_size}: "5MiB" …
 */
struct blob_store *s3_service_open(
	const char *folder, const char *name, const char *part_size, struct err *err);

#endif
