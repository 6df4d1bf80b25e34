/* SPDX-License-Identifier: Apache-2.0 */
#include "core/base/err.h"
#include "core/base/yaml.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every node must be as the header says, and every member must be found by its key. */
static void check(const struct yaml_node *node, size_t depth)
{
	if (node->line == 0 || depth > 40 || (node->kind == YAML_SCALAR) != (node->scalar != NULL))
		abort();
	for (const struct yaml_node *n = node->child; n; n = n->next) {
		if ((node->kind == YAML_MAP) != (n->key != NULL))
			abort();
		if (n->key && yaml_get(node, n->key) != n)
			abort();
		check(n, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	struct yaml_node *root = yaml_parse("fuzz.yml", (const char *)data, size, &err);
	if (root)
		check(root, 0);
	else if (err.code == ERR_NONE)
		abort();
	yaml_tree_free(root);
	return 0;
}
