/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEX_TEST_AZURE_WORLD_H
#define DEX_TEST_AZURE_WORLD_H

#include "core/base/err.h"
#include "core/store/blob.h"

#include <stdbool.h>

/*
 * Stores in the Azure service that DEX_TEST_AZURE names: "endpoint account key container",
 * separated by spaces. Without it the tests of it are skipped.
 */

bool azure_world_there(void);

struct azure_world_options {   /* NULL: not given */
	const char *container; /* another one than the variable's */
	const char *folder;
	const char *key; /* another one than the account's */
	const char *part_size;
	bool create;
};
struct blob_store *azure_world_open(
	const char *name, const struct azure_world_options *o, struct err *err);
/* ${prefix}, a '-' and 16 random hex digits. */
void azure_world_name(char out[64], const char *prefix);

#endif
